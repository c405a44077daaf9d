// What is kept of a server's answers, for whom, and for how long.
// Runs src/policy/cache.ts over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { span } from '../../../src/mcp/envelope.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import {
  answer,
  asked,
  CacheWorld,
  type Got,
  got,
  type Question,
  refusal,
} from '../../fixtures/cache-world.ts';
import { eventOf, eventStream, json, jsonOf } from '../../fixtures/lab.ts';
import { stdioSpec } from '../../fixtures/stdio-world.ts';
import { codeOf } from '../upstream/http-world.ts';

const LIST: Question = { method: 'tools/list' };
const READ: Question = { method: 'resources/read', params: { uri: 'file:///a' } };
const CACHEABLE: readonly Question[] = [
  { method: 'server/discover' },
  LIST,
  { method: 'prompts/list' },
  { method: 'resources/list' },
  { method: 'resources/templates/list' },
  READ,
];

/** The number that the server put into its answer, which tells calls apart. */
const numberOf = ({ result }: Got): unknown => result?.n;

/** Lets a world with a cached answer be one whose listen vouches for it. */
async function guarded(world: CacheWorld, question: Question): Promise<Got> {
  await world.ask(question);
  await world.settle(1_000);
  await world.ask(question);
  return world.ask(question);
}

describe('what is kept', () => {
  for (const question of CACHEABLE)
    test(`${question.method} is asked once while its answer holds`, async () => {
      const world = new CacheWorld();
      world.listens = false;
      expect(numberOf(await world.ask({ ...question, id: 1 }))).toBe(0);
      const second = await world.ask({ ...question, id: 'zwei' });
      expect(second.id).toBe('zwei');
      expect(numberOf(second)).toBe(0);
      await world.settle(1_000);
      expect(numberOf(await world.ask(question))).toBe(1);
      expect(world.stats).toMatchObject({ hits: 1, misses: 2 });
    });

  const passing: readonly [string, Question][] = [
    ['another method', { method: 'prompts/get', params: { name: 'x' } }],
    ['tools/call', { method: 'tools/call', params: { name: 'x' } }],
    ['a param that is not known', { method: 'tools/list', params: { query: 'x' } }],
    ['a key of _meta that is not known', { ...LIST, meta: { 'com.example/tenant': 'x' } }],
    ['answers to questions', { ...READ, params: { uri: 'a', inputResponses: {} } }],
    ['a state that comes back', { ...READ, params: { uri: 'a', requestState: 's' } }],
    ['a cursor that is no string', { ...LIST, params: { cursor: 5 } }],
    ['a legacy request', { ...LIST, rest: { era: 'legacy' } }],
  ];
  for (const [what, question] of passing)
    test(`${what} always goes to the server`, async () => {
      const world = new CacheWorld();
      for (const n of [0, 1, 2]) expect(numberOf(await world.ask(question))).toBe(n);
      expect(world.stats.entries).toBe(0);
    });

  const unkept: readonly [
    string,
    (sent: Parameters<CacheWorld['script']>[0]) => ReturnType<CacheWorld['script']>,
  ][] = [
    ['ttlMs 0', (sent) => answer(sent, { ttlMs: 0 })],
    ['no ttlMs', (sent) => answer(sent, { ttlMs: undefined })],
    ['a ttlMs that is no count', (sent) => answer(sent, { ttlMs: -5 })],
    ['a ttlMs that is text', (sent) => answer(sent, { ttlMs: '100' })],
    ['input_required', (sent) => answer(sent, { resultType: 'input_required' })],
    ['a result type that is not known', (sent) => answer(sent, { resultType: 'task' })],
    ['no result type', (sent) => answer(sent, { resultType: undefined })],
    ['an error', (sent) => refusal(sent, -32603)],
    [
      'a scope that is said twice',
      (sent) =>
        json(
          `{"jsonrpc":"2.0","id":${jsonOf(sent.body).id},"result":{"resultType":"complete","ttlMs":9000,"cacheScope":"public","cacheScope":"private"}}`,
        ),
    ],
    ['another status', (sent) => ({ ...answer(sent, {}), status: 203 })],
  ];
  for (const [what, script] of unkept)
    test(`an answer with ${what} is not kept`, async () => {
      const world = new CacheWorld();
      world.script = script;
      await world.ask(LIST);
      await world.ask(LIST);
      expect(world.calls).toBe(2);
      expect(world.stats.entries).toBe(0);
    });

  test('what an answer says of its time is what is left of it, and all else is as the server wrote it', async () => {
    const world = new CacheWorld();
    world.listens = false;
    const text = (id: string, ttl: number): string =>
      `{ "result" : {"tools":[{"name":"\\u0061","x":1e400}], "ttlMs": ${ttl} ,"resultType":"complete","cacheScope":"private"},\n"id":${id},"jsonrpc":"2.0"}`;
    world.script = (sent) => json(text(JSON.stringify(jsonOf(sent.body).id), 1_000));
    const { sink: first } = world.send({ ...LIST, id: 7 });
    await world.settle();
    expect(first.text).toBe(text('7', 1_000));
    await world.settle(399);
    const { sink: second } = world.send({ ...LIST, id: 'ü"' });
    await world.settle();
    expect(second.text).toBe(text('"ü\\""', 600));
    expect(second.head).toMatchObject({ status: 200, media: 'json', whole: true });
    expect(second.head?.contentLength).toBe(encode(second.text).length);
  });

  test('no answer is kept for more than a day', async () => {
    const world = new CacheWorld();
    world.listens = false;
    world.script = (sent) => answer(sent, { ttlMs: 10 ** 12 });
    await world.ask(LIST);
    expect((await world.ask(LIST)).result?.ttlMs).toBe(24 * 3_600_000 - 1);
  });

  test('a server that says nothing gets what the configuration says, and its clients hear of it', async () => {
    const world = new CacheWorld({ defaultTtlMs: 500, defaultScope: 'public' });
    world.listens = false;
    world.script = (sent) => answer(sent, { ttlMs: undefined, cacheScope: undefined });
    expect((await world.ask(LIST)).result).toMatchObject({ ttlMs: 500, cacheScope: 'public' });
    expect((await world.ask({ ...LIST, as: 'b' })).result).toMatchObject({
      ttlMs: 499,
      cacheScope: 'public',
    });
    expect(world.calls).toBe(1);
  });

  test('what a server does say is not overruled', async () => {
    const world = new CacheWorld({ defaultTtlMs: 500, defaultScope: 'public' });
    world.script = (sent) => answer(sent, { ttlMs: 0, cacheScope: 'private' });
    await world.ask(LIST);
    await world.ask(LIST);
    expect(world.calls).toBe(2);
  });
});

describe('what tells answers apart', () => {
  const different: readonly [string, Question, Question][] = [
    ['methods', LIST, { method: 'prompts/list' }],
    ['cursors', { ...LIST, params: { cursor: 'a' } }, { ...LIST, params: { cursor: 'b' } }],
    ['an empty cursor and none', { ...LIST, params: { cursor: '' } }, LIST],
    ['resources', READ, { ...READ, params: { uri: 'file:///b' } }],
    ['versions', LIST, { ...LIST, meta: { 'io.modelcontextprotocol/protocolVersion': '2027-01-01' } }],
    [
      'extensions',
      LIST,
      { ...LIST, meta: { 'io.modelcontextprotocol/clientCapabilities': { extensions: { 'a/b': {} } } } },
    ],
  ];
  for (const [what, one, other] of different)
    test(`different ${what}`, async () => {
      const world = new CacheWorld();
      world.script = (sent, index) => answer(sent, { n: index, cacheScope: 'public' });
      await world.ask(one);
      expect(numberOf(await world.ask(other))).toBe(1);
    });

  test('a resource is the same however it is spelled, and so are extensions', async () => {
    const world = new CacheWorld();
    world.listens = false;
    const extended = (extensions: Record<string, unknown>): Question => ({
      ...READ,
      meta: { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, extensions } },
    });
    await world.ask(extended({ a: { x: 1, y: [2] }, b: {} }));
    const request = asked(extended({ b: {}, a: { y: [2], x: 1 } }));
    const spelled = new TextDecoder().decode(request.body).replace('file:///a', 'file:\\/\\/\\/\\u0061');
    const { messageOf } = await import('../../fixtures/messages.ts');
    const { bytes, envelope } = messageOf(spelled);
    const { Caught } = await import('../../fixtures/stdio-world.ts');
    const sink = new Caught();
    world.upstream.send({ ...request, body: bytes, envelope }, sink);
    await world.settle();
    expect(numberOf(got(sink))).toBe(0);
    expect(world.calls).toBe(1);
  });

  test('who the client is, what it traces and what it wants to hear of progress change nothing', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask(LIST);
    const meta = {
      'io.modelcontextprotocol/clientInfo': { name: 'other', version: '2' },
      'io.modelcontextprotocol/logLevel': 'debug',
      ...{ progressToken: 9, traceparent: '00-1', tracestate: 'x', baggage: 'y' },
    };
    expect(numberOf(await world.ask({ ...LIST, meta }))).toBe(0);
  });

  test('a request is known by what the server would see of it', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask(READ);
    // As an aggregate sends it: with a prefix that its edits take away, and an id of its own.
    const marked = asked({ ...READ, params: { uri: 'docs+file:///a' } });
    const { envelope } = marked;
    if (envelope === null) throw new Error('it was not scanned');
    const uri = span(envelope, ENVELOPE.uri);
    const id = span(envelope, ENVELOPE.id);
    if (uri === null || id === null) throw new Error('it has neither');
    const edits = [
      { ...id, insert: encode('"own"') },
      { ...uri, insert: encode('"file:///a"') },
    ].sort((a, b) => a.start - b.start);
    const { Caught } = await import('../../fixtures/stdio-world.ts');
    const sink = new Caught();
    world.upstream.send({ ...marked, edits }, sink);
    await world.settle();
    expect(got(sink)).toMatchObject({ id: 'own', result: { n: 0 } });
    expect(world.calls).toBe(1);
  });
});

describe('whose answers are whose', () => {
  const others: readonly [string, Partial<Question>][] = [
    ['other credentials', { as: 'Bearer b' }],
    ['another principal', { principal: 'bob' }],
    ['another endpoint', { endpoint: '/mcp/docs' }],
  ];
  for (const [what, other] of others) {
    test(`a private answer is not shown to ${what}`, async () => {
      const world = new CacheWorld();
      world.listens = false;
      const mine = { ...LIST, as: 'Bearer a', principal: 'ann' };
      await world.ask(mine);
      expect(numberOf(await world.ask({ ...mine, ...other }))).toBe(1);
      expect(numberOf(await world.ask(mine))).toBe(0);
      expect(numberOf(await world.ask({ ...mine, ...other }))).toBe(1);
    });

    test(`a public answer is shown to ${what}`, async () => {
      const world = new CacheWorld();
      world.listens = false;
      world.script = (sent, index) => answer(sent, { n: index, cacheScope: 'public' });
      const mine = { ...LIST, as: 'Bearer a', principal: 'ann' };
      await world.ask(mine);
      expect(numberOf(await world.ask({ ...mine, ...other }))).toBe(0);
    });
  }

  test('a private answer comes before a public one', async () => {
    const world = new CacheWorld();
    world.listens = false;
    world.script = (sent, index) =>
      answer(sent, { n: index, cacheScope: index === 0 ? 'private' : 'public' });
    await world.ask({ ...LIST, as: 'a' });
    await world.ask({ ...LIST, as: 'b' });
    expect(numberOf(await world.ask({ ...LIST, as: 'a' }))).toBe(0);
    expect(numberOf(await world.ask({ ...LIST, as: 'c' }))).toBe(1);
  });

  test('headers that tell requests apart are no credentials', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask(LIST);
    const headers = ['accept', 'x', 'mcp-method', 'tools/list', 'x-request-id', '7', 'traceparent', 't'];
    expect(numberOf(await world.ask({ ...LIST, rest: { headers } }))).toBe(0);
  });
});

describe('one call for many', () => {
  test('a thousand that ask at once make one call, each with its own id', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const sinks = Array.from({ length: 1_000 }, (_, id) => world.send({ ...LIST, id }).sink);
    await world.settle(10);
    expect(world.calls).toBe(1);
    expect(sinks.map((sink) => got(sink).id)).toEqual(Array.from({ length: 1_000 }, (_, id) => id));
    expect(world.stats).toMatchObject({ misses: 1, shared: 999 });
  });

  test('clients with other credentials make a call of their own', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const sinks = ['a', 'a', 'b', 'b'].map((as, id) => world.send({ ...LIST, as, id }).sink);
    await world.settle(10);
    expect(sinks.map((sink) => numberOf(got(sink)))).toEqual([0, 0, 1, 1]);
  });

  test('the first client leaves: the others get their answer', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const first = world.send({ ...LIST, id: 1 });
    const second = world.send({ ...LIST, id: 2 });
    await world.settle(1);
    first.call.abort();
    await world.settle(10);
    expect(got(second.sink)).toMatchObject({ id: 2, result: { n: 0 } });
    expect(first.sink.head).toBeNull();
    expect(world.calls).toBe(1);
  });

  test('all leave: the call ends, and the next one makes another', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const calls = [world.send(LIST), world.send(LIST)];
    await world.settle(1);
    for (const { call } of calls) call.abort();
    expect(world.fake.sent[0]?.aborted).toBe(true);
    world.script = (sent, index) => answer(sent, { n: index });
    expect(numberOf(await world.ask(LIST))).toBe(1);
  });

  test('the call fails: each of the others makes one of its own, once', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) =>
      index === 0 ? { fail: 'GW_UPSTREAM_CLOSED', delayMs: 5 } : answer(sent, { n: index });
    const all = [0, 1, 2].map((id) => world.send({ ...LIST, id }));
    await world.settle(10);
    expect(codeOf(all[0]?.sink ?? { failed: null })).toBe('GW_UPSTREAM_CLOSED');
    expect(all.slice(1).map(({ sink }) => numberOf(got(sink)))).toEqual([1, 2]);
    world.script = () => ({ fail: 'GW_UPSTREAM_CLOSED', delayMs: 5 });
    await world.settle(2_000);
    const again = [0, 1].map((id) => world.send({ ...LIST, params: { cursor: 'x' }, id }));
    await world.settle(20);
    expect(again.map(({ sink }) => codeOf(sink))).toEqual(['GW_UPSTREAM_CLOSED', 'GW_UPSTREAM_CLOSED']);
    expect(world.calls).toBe(5);
  });

  test('an error is the first client’s own', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) =>
      index === 0 ? { ...refusal(sent, -32603), delayMs: 5 } : answer(sent, { n: index });
    const [first, second] = [0, 1].map((id) => world.send({ ...LIST, id }).sink);
    await world.settle(10);
    expect(first && got(first).error?.code).toBe(-32603);
    expect(second && numberOf(got(second))).toBe(1);
  });

  test('nobody waits for an answer that is for one alone', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index, ttlMs: 0 }), delayMs: 5 });
    await world.ask(LIST).catch(() => undefined);
    await world.settle(10);
    const sinks = [0, 1, 2].map((id) => world.send({ ...LIST, id }).sink);
    await world.settle(6);
    expect(sinks.map((sink) => numberOf(got(sink)))).toEqual([1, 2, 3]);
    // After a while it is tried again whether that still is so.
    await world.settle(10_000);
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const later = [0, 1].map((id) => world.send({ ...LIST, id }).sink);
    await world.settle(6);
    expect(later.map((sink) => numberOf(got(sink)))).toEqual([4, 4]);
  });

  test('an event stream passes to the first client as it comes, and its answer to the others', async () => {
    const world = new CacheWorld();
    world.listens = false;
    const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } };
    const result = { n: 5, resultType: 'complete', ttlMs: 1_000, cacheScope: 'private' };
    const pieces = [eventOf(progress), eventOf({ jsonrpc: '2.0', id: 1, result })];
    world.script = () => eventStream(pieces, { gapMs: 5 });
    const first = world.send({ ...LIST, id: 1 });
    const second = world.send({ ...LIST, id: 2 });
    await world.settle(7);
    expect(first.sink.text).toBe(pieces[0] ?? '');
    expect(second.sink.head).toBeNull();
    first.sink.takes = false;
    await world.settle(10);
    expect(first.sink.text).toBe(pieces.join(''));
    expect(second.sink.head?.media).toBe('json');
    expect(got(second.sink)).toMatchObject({ id: 2, result: { n: 5 } });
    expect(numberOf(await world.ask(LIST))).toBe(5);
  });

  test('an event stream that breaks off is the first client’s, and the others ask themselves', async () => {
    const world = new CacheWorld();
    const progress = eventOf({ jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } });
    world.script = (sent, index) =>
      index === 0
        ? eventStream([progress], { gapMs: 5, fail: 'GW_UPSTREAM_CLOSED', failLate: true })
        : answer(sent, { n: index });
    const first = world.send({ ...LIST, id: 1 });
    const second = world.send({ ...LIST, id: 2 });
    await world.settle(20);
    expect(codeOf(first.sink)).toBe('GW_UPSTREAM_CLOSED');
    expect(numberOf(got(second.sink))).toBe(1);
  });

  test('a reply beyond what may be kept passes to the first client piece by piece', async () => {
    const world = new CacheWorld({ bytesMax: 70_000 });
    const long = 'x'.repeat(50_000);
    world.script = (sent, index) => ({
      body: index === 0 ? [`{"jsonrpc":"2.0","id":1,"x":"${long}`, long, '"}'] : '{}',
      headers: { 'content-type': 'application/json' },
      gapMs: 5,
      ...(index > 0 && answer(sent, { n: index })),
    });
    const first = world.send({ ...LIST, id: 1 });
    const second = world.send({ ...LIST, id: 2 });
    await world.settle(40);
    expect(first.sink.text.length).toBeGreaterThan(100_000);
    expect(first.sink.head?.whole).toBe(false);
    expect(numberOf(got(second.sink))).toBe(1);
  });

  test('an answer to another request is passed on for the proxy to judge, and not kept', async () => {
    const world = new CacheWorld();
    world.script = () => json({ jsonrpc: '2.0', id: 99, result: { resultType: 'complete', ttlMs: 9_000 } });
    expect((await world.ask(LIST)).id).toBe(99);
    expect(world.stats.entries).toBe(0);
  });

  test('a client whose sink throws harms nobody else', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: 5 });
    const first = world.send({ ...LIST, id: 1 }).sink;
    first.onHead = () => {
      throw new Error('broken');
    };
    const second = world.send({ ...LIST, id: 2 }).sink;
    await world.settle(10);
    expect(codeOf(first)).toBe('GW_BASE_INTERNAL');
    expect(numberOf(got(second))).toBe(0);
  });

  test('a client in a hurry waits for nobody', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index }), delayMs: index === 0 ? 50 : 1 });
    world.send(LIST);
    const { sink } = world.send({ ...LIST, rest: { timeoutMs: 10 } });
    await world.settle(5);
    expect(numberOf(got(sink))).toBe(1);
  });
});

describe('the server is down', () => {
  const outages: readonly [string, () => ReturnType<CacheWorld['script']>][] = [
    ['cannot be reached', () => ({ fail: 'GW_UPSTREAM_CONNECT' })],
    ['does not answer in time', () => ({ fail: 'GW_UPSTREAM_TIMEOUT' })],
    ['is left alone by its breaker', () => ({ fail: 'GW_UPSTREAM_OPEN' })],
    ['answers 503', () => json({ jsonrpc: '2.0', id: 1, error: { code: -32603 } }, { status: 503 })],
    [
      'answers 500 without JSON',
      () => ({ status: 500, headers: { 'content-type': 'text/html' }, body: 'no' }),
    ],
  ];
  for (const [what, script] of outages)
    test(`${what}: what it said before stands in, and says that it does`, async () => {
      const world = new CacheWorld({ staleOnErrorMs: 5_000 });
      world.listens = false;
      world.script = (sent) => answer(sent, { n: 0, _meta: { own: 1 } });
      await world.ask(LIST);
      await world.settle(2_000);
      world.script = script;
      const sinks = [4, 5].map((id) => world.send({ ...LIST, id }).sink);
      await world.settle();
      for (const sink of sinks)
        expect(got(sink).result).toEqual({
          ...{ resultType: 'complete', n: 0, ttlMs: 0, cacheScope: 'private' },
          _meta: { 'sluice/stale': true, own: 1 },
        });
      expect(sinks.map((sink) => got(sink).id)).toEqual([4, 5]);
      expect(world.stats.stale).toBe(2);
      await world.settle(5_000);
      const late = world.send(LIST).sink;
      await world.settle();
      expect(late.failed !== null || late.head?.status === 503 || late.head?.status === 500).toBe(true);
    });

  test('an answer without _meta gets one', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask(LIST);
    await world.settle(2_000);
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    expect((await world.ask(LIST)).result?._meta).toEqual({ 'sluice/stale': true });
  });

  test('what the server refuses is refused, however much is kept', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask(LIST);
    await world.settle(2_000);
    world.script = (sent) => refusal(sent, -32603);
    expect((await world.ask(LIST)).error?.code).toBe(-32603);
    world.script = (sent) => refusal(sent, -32603, 401);
    expect((await world.ask(LIST)).error?.code).toBe(-32603);
  });

  test('nothing private stands in for another client', async () => {
    const world = new CacheWorld();
    world.listens = false;
    await world.ask({ ...LIST, as: 'a' });
    await world.settle(2_000);
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    const { sink } = world.send({ ...LIST, as: 'b' });
    await world.settle();
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CONNECT');
  });
});

describe('what the server tells of changes', () => {
  const changes: readonly [string, Question, string, Record<string, unknown>][] = [
    ['tools', LIST, 'notifications/tools/list_changed', {}],
    ['prompts', { method: 'prompts/list' }, 'notifications/prompts/list_changed', {}],
    ['resources', { method: 'resources/list' }, 'notifications/resources/list_changed', {}],
    ['templates', { method: 'resources/templates/list' }, 'notifications/resources/list_changed', {}],
    ['a resource', READ, 'notifications/resources/updated', { uri: 'file:///a' }],
    ['a part of it', READ, 'notifications/resources/updated', { uri: 'file:///a/b' }],
  ];
  for (const [what, question, method, params] of changes)
    test(`${what}: forgotten at once`, async () => {
      const world = new CacheWorld();
      world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
      const before = numberOf(await guarded(world, question));
      expect(numberOf(await world.ask(question))).toBe(before);
      world.listen.tell(method, params);
      expect(numberOf(await world.ask(question))).toBe(Number(before) + 1);
    });

  test('what it does not concern stays', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    const before = numberOf(await guarded(world, READ));
    world.listen.tell('notifications/resources/updated', { uri: 'file:///ab' });
    world.listen.tell('notifications/tools/list_changed');
    expect(numberOf(await world.ask(READ))).toBe(before);
  });

  test('it is asked to tell by one stream for all of one client, with its credentials', async () => {
    const world = new CacheWorld();
    for (const question of CACHEABLE) await world.ask({ ...question, as: 'Bearer a', principal: 'ann' });
    expect(world.opened.filter(({ isAborted }) => !isAborted)).toHaveLength(1);
    const { headers, client } = world.listen.request;
    expect(headers.slice(-2)).toEqual(['authorization', 'Bearer a']);
    expect(client).toEqual({ principal: 'ann', endpoint: '/mcp' });
    await world.ask({ ...LIST, as: 'Bearer b' });
    await world.settle(1_000);
    expect(world.opened.filter(({ isAborted }) => !isAborted)).toHaveLength(2);
  });

  test('what was asked before it began to tell is asked again, once', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    world.listens = false;
    await world.ask(LIST);
    expect(numberOf(await world.ask(LIST))).toBe(0);
    world.listen.acknowledge();
    expect(numberOf(await world.ask(LIST))).toBe(1);
    expect(numberOf(await world.ask(LIST))).toBe(1);
  });

  test('an answer that is under way when it begins to tell is not kept', async () => {
    const world = new CacheWorld();
    world.listens = false;
    world.script = (sent, index) => ({
      ...answer(sent, { n: index, ttlMs: 100_000 }),
      delayMs: index === 1 ? 20 : 0,
    });
    await world.ask(LIST);
    world.send({ ...LIST, params: { cursor: 'p' } });
    await world.settle(5);
    world.listen.acknowledge();
    await world.settle(30);
    expect(numberOf(await world.ask({ ...LIST, params: { cursor: 'p' } }))).toBe(2);
  });

  test('an answer under way when something changes is for those who wait alone', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => ({ ...answer(sent, { n: index, ttlMs: 100_000 }), delayMs: 10 });
    const early = world.send({ ...LIST, id: 1 }).sink;
    await world.settle(15);
    expect(numberOf(got(early))).toBe(0);
    const waiting = [2, 3].map((id) => world.send({ ...LIST, id }).sink);
    await world.settle(2);
    world.listen.tell('notifications/tools/list_changed');
    const late = world.send({ ...LIST, id: 4 }).sink;
    await world.settle(30);
    expect(waiting.map((sink) => numberOf(got(sink)))).toEqual([1, 1]);
    expect(numberOf(got(late))).toBe(2);
    const next = world.send({ ...LIST, id: 5 }).sink;
    await world.settle(1);
    expect(numberOf(got(next))).toBe(2);
  });

  test('an answer under way when something changes is not kept', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    await guarded(world, { method: 'prompts/list' });
    world.script = (sent, index) => ({ ...answer(sent, { n: index, ttlMs: 100_000 }), delayMs: 10 });
    const waiting = world.send(LIST).sink;
    await world.settle(2);
    world.listen.tell('notifications/tools/list_changed');
    await world.settle(20);
    const before = Number(numberOf(got(waiting)));
    const next = world.send(LIST).sink;
    await world.settle(20);
    expect(numberOf(got(next))).toBe(before + 1);
  });

  test('what a gap has ended stands in from then on, not from when it would have ended', async () => {
    const world = new CacheWorld({ staleOnErrorMs: 1_000 });
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    await guarded(world, LIST);
    world.listen.end('GW_UPSTREAM_CLOSED');
    await world.settle(1_500);
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    const { sink } = world.send(LIST);
    await world.settle();
    expect(codeOf(sink)).toBe('GW_UPSTREAM_CONNECT');
  });

  test('a gap: everything is asked again, and may stand in while the server is down', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    const before = numberOf(await guarded(world, LIST));
    world.listen.end('GW_UPSTREAM_CLOSED');
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    expect((await world.ask(LIST)).result).toMatchObject({ n: before, ttlMs: 0 });
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    expect(numberOf(await world.ask(LIST))).toBe(Number(before) + 2);
  });

  test('it breaks off again and again: it is asked ever more slowly', async () => {
    const world = new CacheWorld();
    world.listens = 'GW_UPSTREAM_CLOSED';
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 10_000_000 });
    await world.ask(LIST);
    await world.settle(60_000);
    expect(world.opened.length).toBeGreaterThan(4);
    expect(world.opened.length).toBeLessThan(9);
    // Meanwhile an answer holds for as long as it says.
    expect(numberOf(await world.ask(LIST))).toBe(0);
  });

  test('it has nothing to tell: answers hold by their time, and no stream is kept open', async () => {
    const world = new CacheWorld();
    world.listens = false;
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    await world.ask(LIST);
    world.listen.acknowledge({});
    await world.settle(60_000);
    expect(numberOf(await world.ask(LIST))).toBe(0);
    expect(world.opened).toHaveLength(1);
    expect(world.opened[0]?.isAborted).toBe(true);
  });

  test('resources that are read later join the stream without a gap', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    await guarded(world, LIST);
    const read = (uri: string): Question => ({ ...READ, params: { uri } });
    await world.ask(read('file:///a'));
    await world.ask(read('file:///b'));
    await world.settle(1_000);
    expect(world.listen.filter.resourceSubscriptions).toEqual(['file:///a', 'file:///b']);
    expect(world.opened.map(({ isAborted }) => isAborted)).toEqual([true, false]);
    const list = numberOf(await world.ask(LIST));
    const a = numberOf(await world.ask(read('file:///a')));
    expect(numberOf(await world.ask(read('file:///a')))).toBe(a);
    world.listen.tell('notifications/resources/updated', { uri: 'file:///a' });
    expect(numberOf(await world.ask(read('file:///a')))).not.toBe(a);
    expect(numberOf(await world.ask(LIST))).toBe(list);
  });

  test('a client’s own listen tells the cache before it tells the client', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
    const before = Number(numberOf(await guarded(world, LIST)));
    const { sink } = world.send({ method: 'subscriptions/listen', params: { notifications: {} }, as: 'b' });
    await world.settle();
    let seen: unknown = null;
    const pass = sink.onData.bind(sink);
    sink.onData = (bytes) => {
      const heard = world.send(LIST).sink;
      void world.settle().then(() => {
        seen = numberOf(got(heard));
      });
      return pass(bytes);
    };
    world.listen.tell('notifications/tools/list_changed');
    await world.settle(5);
    expect(seen).toBe(before + 1);
    expect(sink.text).toContain('list_changed');
  });

  test('what nobody asks for any more keeps no stream open', async () => {
    const world = new CacheWorld();
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 80_000_000 });
    await guarded(world, LIST);
    await world.settle(9 * 60_000);
    world.upstream.sweep?.();
    expect(world.listen.isAborted).toBe(false);
    await world.settle(2 * 60_000);
    const open = world.listen;
    world.upstream.sweep?.();
    expect(open.isAborted).toBe(true);
    expect(world.stats.entries).toBe(0);
  });

  test('regression: the stream is the gateway’s own wish, and ends when a process has been of use to nobody for idleMs', async () => {
    const { target } = stdioSpec('played', [], {}, { idleMs: 60_000 });
    const world = new CacheWorld({}, 1, target);
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 80_000_000 });
    await guarded(world, LIST);
    const open = world.listen;
    expect(open.request.isBackground).toBe(true);
    await world.settle(50_000);
    await world.ask({ method: 'tools/call', params: { name: 'x' } });
    await world.settle(50_000);
    const { hits } = world.stats;
    // An answer that is kept asks nothing of the process.
    await world.ask(LIST);
    expect(world.stats.hits).toBe(hits + 1);
    world.upstream.sweep?.();
    expect(open.isAborted).toBe(false);
    await world.settle(11_000);
    world.upstream.sweep?.();
    expect([open.isAborted, world.stats.entries]).toEqual([true, 0]);
    await guarded(world, LIST);
    expect(world.listen.isAborted).toBe(false);
  });

  test('the gateway lets go of the server: its streams end', async () => {
    const world = new CacheWorld();
    await world.ask(LIST);
    const open = world.listen;
    await world.upstream.close(10);
    expect(open.isAborted).toBe(true);
    expect(world.stats.bytes).toBe(0);
  });
});

describe('pages', () => {
  const page = (cursor: string): Question => ({ ...LIST, params: { cursor } });

  for (const [what, status] of [
    ['in a result', 200],
    ['with status 400', 400],
  ] as const)
    test(`a cursor that the server does not know, said ${what}, makes all pages void`, async () => {
      const world = new CacheWorld();
      world.listens = false;
      world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
      await world.ask(LIST);
      await world.ask(page('two'));
      await world.ask({ ...LIST, as: 'b' });
      world.script = (sent) => refusal(sent, -32602, status);
      expect((await world.ask(page('three'))).error?.code).toBe(-32602);
      world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000 });
      expect(numberOf(await world.ask(LIST))).toBe(4);
      expect(numberOf(await world.ask(page('two')))).toBe(5);
      // Another client's cursors are its own.
      expect(numberOf(await world.ask({ ...LIST, as: 'b' }))).toBe(2);
    });
});

describe('room', () => {
  test('what was used longest ago makes room', async () => {
    const world = new CacheWorld({ bytesMax: 8_000 });
    world.listens = false;
    const text = 'x'.repeat(700);
    world.script = (sent, index) => answer(sent, { n: index, ttlMs: 100_000, text });
    const read = (n: number): Question => ({ ...READ, params: { uri: `file:///${n}` } });
    for (const n of [0, 1, 2]) await world.ask(read(n));
    await world.ask(read(0));
    for (const n of [3, 4]) await world.ask(read(n));
    expect(world.stats.bytes).toBeLessThanOrEqual(8_000);
    expect(world.stats.evictions).toBeGreaterThan(0);
    expect(numberOf(await world.ask(read(0)))).toBe(0);
    expect(numberOf(await world.ask(read(1)))).toBe(5);
  });

  test('what holds no longer goes, when it may not even stand in', async () => {
    const world = new CacheWorld({ staleOnErrorMs: 1_000 });
    world.listens = false;
    await world.ask(LIST);
    await world.settle(1_500);
    world.upstream.sweep?.();
    expect(world.stats.entries).toBe(1);
    await world.settle(1_000);
    world.upstream.sweep?.();
    expect(world.stats).toMatchObject({ entries: 0, bytes: 0 });
  });
});
