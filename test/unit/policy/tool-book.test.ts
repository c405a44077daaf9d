// What is known of tools: rules and patterns, what lists say, to whom, and how much of it is kept.
// Runs src/policy/tool-book.ts, tool-notes.ts, list-ear.ts and mcp/glob.ts.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { readMessage } from '../../../src/mcp/envelope.ts';
import { fits, isPlain } from '../../../src/mcp/glob.ts';
import { ToolBook } from '../../../src/policy/tool-book.ts';
import { ToolNotes } from '../../../src/policy/tool-notes.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import type { UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { modern, requestOf } from '../../fixtures/stdio-world.ts';
import { outcomeOf, POLICY, PolicyWorld, stream, TOOLS } from './policy-world.ts';

const scanner = portableScanner();

function listed(names: readonly string[], annotations: unknown = { readOnlyHint: true }) {
  const result = { tools: names.map((name) => ({ name, annotations })) };
  const message = readMessage(scanner, encode(JSON.stringify({ jsonrpc: '2.0', id: 1, result })));
  if (!('bytes' in message)) throw message;
  return message;
}

function asker(principal = '', headers: readonly string[] = []): UpstreamRequest {
  return { ...requestOf(modern(1, 'tools/list')), client: { principal, endpoint: '/mcp' }, headers };
}

const book = (forwardHeaders: readonly string[] = [], notesMax?: number): ToolBook =>
  new ToolBook({ policy: POLICY }, new ToolNotes(forwardHeaders.length > 0, notesMax));

describe('patterns', () => {
  const rows: readonly [string, string, boolean][] = [
    ['a', 'a', true],
    ['a', 'A', false],
    ['a', 'ab', false],
    ['', '', true],
    ['*', '', true],
    ['*', 'anything.at/all', true],
    ['get_*', 'get_', true],
    ['get_*', 'forget_', false],
    ['*_get', 'for_get', true],
    ['*a*b*', 'xaxxbx', true],
    ['*a*b*', 'xbxxax', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?', 'a', false],
    ['**', 'x', true],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
    ['a*', '', false],
  ];
  test('fit whole names', () => {
    for (const [pattern, name, isFit] of rows)
      expect([pattern, name, fits(pattern, name)]).toEqual([pattern, name, isFit]);
    expect([isPlain('a.b'), isPlain('a*'), isPlain('a?')]).toEqual([true, false, false]);
  });

  test('take no more time than name and pattern are long, whatever they are', () => {
    const startedMs = performance.now();
    expect(fits(`${'*a'.repeat(100)}b`, 'a'.repeat(2_000))).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });

  test('a name counts before patterns, then the first that fits', () => {
    const tools = [
      { pattern: '*', retries: 1 },
      { pattern: 'a*', retries: 2 },
      { pattern: 'ab', retries: 3 },
    ];
    const rules = new ToolBook({ policy: { ...POLICY, tools } }, new ToolNotes(false));
    expect(['ab', 'abc', 'x', 'abc'].map((name) => rules.rule(name)?.retries)).toEqual([3, 1, 1, 1]);
    for (let n = 0; n < 2_500; n++) expect(rules.rule(`tool-${n}`)?.retries).toBe(1);
    expect(book().rule('x')).toBeNull();
  });
});

describe('lists', () => {
  test('say which tools may be called twice; a later list corrects an earlier one', () => {
    const known = book();
    known.notes.learn(asker(), listed(['a', 'b']));
    expect(['a', 'b', 'c'].map((name) => known.mayCallTwice(asker(), name))).toEqual([true, true, false]);
    known.notes.learn(asker(), listed(['a'], { idempotentHint: false, readOnlyHint: false }));
    expect(['a', 'b'].map((name) => known.mayCallTwice(asker(), name))).toEqual([false, true]);
    known.notes.learn(asker(), listed(['a'], { idempotentHint: true }));
    expect(known.mayCallTwice(asker(), 'a')).toBe(true);
  });

  test('hints that are no booleans say nothing, nor do results that are none', () => {
    const known = book();
    for (const odd of [null, 7, 'readOnlyHint', [true], { readOnlyHint: 'true' }, { readOnlyHint: 1 }, {}])
      known.notes.learn(asker(), listed(['a'], odd));
    expect(known.mayCallTwice(asker(), 'a')).toBe(false);
    for (const result of ['[]', '{}', '{"tools":7}', '{"tools":[7,{"name":7},{}]}', '7']) {
      const message = readMessage(scanner, encode(`{"jsonrpc":"2.0","id":1,"result":${result}}`));
      if ('bytes' in message) known.notes.learn(asker(), message);
    }
    expect(known.mayCallTwice(asker(), '')).toBe(false);
  });

  test('say nothing to another principal, nor, where the server gets them, under other credentials', () => {
    const own = ['authorization', 'Bearer a', 'traceparent', '00-1', 'accept', 'x'];
    const same = ['traceparent', '00-2', 'authorization', 'Bearer a'];
    const other = ['authorization', 'Bearer b'];
    const known = book(['authorization']);
    known.notes.learn(asker('p', own), listed(['a']));
    const asks = [asker('p', own), asker('p', same), asker('p', other), asker('q', own), asker('p')];
    expect(asks.map((one) => known.mayCallTwice(one, 'a'))).toEqual([true, true, false, false, false]);
  });

  test('are kept up to a bound: who was listed first is forgotten first', () => {
    const known = book([], 10);
    known.notes.learn(asker('first'), listed(['a', 'b', 'c', 'd']));
    known.notes.learn(asker('second'), listed(['a', 'b', 'c', 'd']));
    known.notes.learn(asker('third'), listed(['a', 'b', 'c', 'd']));
    const knows = (principal: string): boolean => known.mayCallTwice(asker(principal), 'd');
    expect(['first', 'second', 'third'].map(knows)).toEqual([false, true, true]);
    known.notes.learn(asker('big'), listed(Array.from({ length: 30 }, (_, n) => `t${n}`)));
    const kept = Array.from({ length: 30 }, (_, n) => known.mayCallTwice(asker('big'), `t${n}`));
    expect(kept.filter(Boolean).length).toBe(10);
    for (let n = 0; n < 3_000; n++) known.notes.learn(asker(`nobody-${n}`), listed([]));
    expect(known.mayCallTwice(asker('big'), 't0')).toBe(false);
    known.notes.learn(asker('big'), listed(['t0']));
    expect(known.mayCallTwice(asker('big'), 't0')).toBe(true);
  });
});

describe('how lists are heard', () => {
  const script = (reply: object) => () => reply;
  async function heard(reply: object): Promise<boolean> {
    const world = new PolicyWorld();
    world.isListed = false;
    world.script = script(reply);
    const list = await world.list();
    expect(list.over).toBe(true);
    world.script = () => ({ fail: 'GW_UPSTREAM_CLOSED' });
    const before = world.sent.length;
    await world.call('reader');
    return world.sent.length - before > 1;
  }
  const message = { jsonrpc: '2.0', id: 1, result: TOOLS };
  const body = JSON.stringify(message);

  test('as JSON, in pieces, as events; not from what is no list', async () => {
    expect(await heard({ body })).toBe(true);
    expect(await heard({ body: [body.slice(0, 30), body.slice(30)] })).toBe(true);
    expect(await heard(stream(message))).toBe(true);
    expect(await heard({ status: 404, body })).toBe(false);
    expect(await heard({ headers: { 'content-type': 'text/html' }, body })).toBe(false);
    expect(await heard({ body: `${body}x` })).toBe(false);
    expect(await heard({ body: '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}' })).toBe(false);
    expect(await heard({ body: '' })).toBe(false);
  });

  test('a list that breaks off is passed on and says nothing', async () => {
    const world = new PolicyWorld({ policy: { retries: { ...POLICY.retries, max: 1 } } });
    world.isListed = false;
    world.script = () => ({ body: [body.slice(0, 60)], fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    const list = await world.list();
    expect([outcomeOf(list), list.text]).toEqual(['GW_UPSTREAM_CLOSED', body.slice(0, 60)]);
  });
});
