// A legacy session over several servers: what is lost is healed once, what runs ends, what nobody needs is let go of.
// Runs proxy/aggregate-legacy.ts and what it uses over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { Aggregate } from '../../../src/proxy/aggregate.ts';
import type { FakeReply } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  INITIALIZE,
  json,
  jsonOf,
  Lab,
  legacyScript,
  SESSION_LOST,
  textResult,
} from '../../fixtures/lab.ts';
import type { Rpc } from '../../fixtures/legacy-server.ts';

const call = (id: unknown, name: string): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});
const list = (id: unknown, method = 'tools/list'): object => ({ jsonrpc: '2.0', id, method });
const tools = (message: Rpc, ...names: string[]): FakeReply =>
  json({ jsonrpc: '2.0', id: message.id, result: { tools: names.map((name) => ({ name })) } });

/** A server that forgets its first `lost` sessions. */
function forgetful(name: string, lost: readonly string[], reply: FakeReply = SESSION_LOST) {
  return legacyScript(name, (message, sent) =>
    lost.includes(sent.session ?? '')
      ? reply
      : message.method === 'tools/list'
        ? tools(message, 'x')
        : textResult(message, `${name}:${sent.session}`),
  );
}

describe('lost sessions of a member', () => {
  test('a call is sent again once on the new session', async () => {
    const lab = new Lab({ servers: { a: forgetful('a', ['a-s1']), b: legacyScript('b') } });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect(seen.text).toContain('a:a-s2');
    expect([seen.replies, seen.finishes, lab.active.size]).toEqual([1, 1, 0]);
    expect(lab.asked('a', 'initialize').length).toBe(2);
    expect(lab.asked('a', 'notifications/initialized').length).toBe(2);
  });

  test('regression: a call that runs while its member’s session is ended is not sent again: it may have been executed', async () => {
    const lab = new Lab({ servers: { a: forgetful('a', ['a-s1'], { fail: 'GW_SESSION_ENDED' }) } });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.exchange.errorCode]).toEqual([502, 'GW_UPSTREAM_CLOSED']);
    expect(lab.asked('a', 'tools/call').length).toBe(1);
  });

  test('regression: a healed session is not busy for ever, and is swept when idle', async () => {
    const lab = new Lab({ servers: { a: forgetful('a', ['a-s1']) } });
    const session = await lab.initialize();
    lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect(lab.target.sessions).toBe(1);
    await lab.sim.advance(60_001);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(0);
    await lab.sim.advance(10);
    expect(lab.fake('a').sent.at(-1)).toMatchObject({ verb: 'DELETE', session: 'a-s2' });
  });

  test('regression: a session is idle from the end of its last call on, and not from its beginning', async () => {
    const lab = new Lab({
      servers: { a: legacyScript('a', (message) => ({ ...textResult(message, 'late'), delayMs: 59_000 })) },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(59_500);
    expect(seen.text).toContain('late');
    await lab.sim.advance(59_000);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(1);
    await lab.sim.advance(2_000);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(0);
  });

  test('regression: a session is in use while it begins, and while a list is joined, however long that takes', async () => {
    const slow = legacyScript('a', (message) => ({ ...tools(message, 'x'), delayMs: 4_000 }));
    const lab = new Lab({
      servers: {
        a: (sent) => {
          const reply = slow(sent, 0);
          return sent.verb === 'POST' ? { ...reply, delayMs: 4_000 } : reply;
        },
      },
      tools: { sessionIdleMs: 2_000 },
    });
    const begun = lab.post(INITIALIZE);
    await lab.sim.advance(3_000);
    lab.target.sweep();
    await lab.sim.advance(6_000);
    const session = begun.headers['mcp-session-id'];
    expect(begun.status).toBe(200);
    if (session === undefined) throw new Error('no session');
    const listed = lab.post(list(1), { session });
    await lab.sim.advance(3_000);
    lab.target.sweep();
    await lab.sim.advance(1_500);
    expect(listed.json.result).toEqual({ tools: [{ name: 'a__x' }] });
    lab.target.sweep();
    expect(lab.target.sessions).toBe(1);
    await lab.sim.advance(2_001);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(0);
  });

  test('regression: a server on stdio loses a session by an error, which is healed as well', async () => {
    const lab = new Lab({ servers: { a: forgetful('a', ['a-s1'], { fail: 'GW_SESSION_UNKNOWN' }) } });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    const listed = lab.post(list(2), { session });
    await lab.sim.advance(10);
    expect(seen.text).toContain('a:a-s2');
    expect(listed.json.result).toEqual({ tools: [{ name: 'a__x' }] });
    expect(lab.asked('a', 'initialize').length).toBe(2);
  });

  test('regression: a member that loses every session never ends the client’s own', async () => {
    const lab = new Lab({
      servers: { a: forgetful('a', ['a-s1', 'a-s2', 'a-s3'], { fail: 'GW_SESSION_UNKNOWN' }) },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.json.error?.code]).toEqual([502, -32603]);
    expect(lab.target.sessions).toBe(1);
  });

  test('regression: replies of the lost session that come after the heal start no second one', async () => {
    let late = true;
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message, sent) => {
          if (sent.session !== 'a-s1') return textResult(message, sent.session ?? '');
          late = !late;
          return late ? { ...SESSION_LOST, delayMs: 100 } : SESSION_LOST;
        }),
      },
    });
    const session = await lab.initialize();
    const seen = [1, 2].map((id) => lab.post(call(id, 'a__x'), { session }));
    await lab.sim.advance(200);
    expect(seen.map((one) => one.text.includes('a-s2'))).toEqual([true, true]);
    expect(lab.asked('a', 'initialize').length).toBe(2);
  });

  test('regression: 404 of a server without sessions is an answer, not a loss', async () => {
    const lab = new Lab({
      servers: {
        a: (sent) => {
          const message = jsonOf(sent.body);
          if (message.method === 'tools/call')
            return json(
              { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no' } },
              { status: 404 },
            );
          return json({ jsonrpc: '2.0', id: message.id, result: { capabilities: {} } });
        },
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.json.error?.code]).toEqual([200, -32601]);
    expect(lab.asked('a', 'initialize').length).toBe(1);
    expect(lab.asked('a', 'tools/call').length).toBe(1);
  });

  test('a session that ends while a leg is healed: the call is refused, the new leg ended', async () => {
    const lab = new Lab({
      servers: {
        a: (sent, index) => {
          const reply = forget(sent, index);
          return index > 1 && jsonOf2(sent.body)?.method === 'initialize' ? { ...reply, delayMs: 50 } : reply;
        },
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(20);
    expect(lab.delete(session).status).toBe(200);
    await lab.sim.advance(100);
    expect([seen.status, seen.json.error?.code, seen.finishes]).toEqual([404, -32001, 1]);
    expect(
      lab
        .fake('a')
        .sent.filter((sent) => sent.verb === 'DELETE')
        .map((sent) => sent.session),
    ).toEqual(['a-s2']);
    expect(lab.active.size).toBe(0);
  });

  test('a session that is over is not healed for a call that loses it late', async () => {
    const script = legacyScript('a', (_, sent) =>
      sent.verb === 'DELETE' ? {} : { ...SESSION_LOST, delayMs: 50 },
    );
    const lab = new Lab({ servers: { a: script } });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    lab.delete(session);
    await lab.sim.advance(100);
    expect([seen.status, lab.asked('a', 'initialize').length]).toEqual([404, 1]);
  });

  test('the client leaves while a leg is healed: nothing is sent for it any more', async () => {
    const lab = new Lab({ servers: { a: slowHeal() } });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(20);
    seen.exchange.abandon();
    await lab.sim.advance(200);
    expect(lab.asked('a', 'tools/call').length).toBe(1);
    expect([seen.finishes, seen.status]).toEqual([1, 499]);
    await lab.sim.advance(60_001);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(0);
  });

  test('a healed leg hears the level and that the client is initialized before any call', async () => {
    const lab = new Lab({ servers: { a: forgetful('a', ['a-s1']) } });
    const session = await lab.initialize();
    lab.post({ jsonrpc: '2.0', id: 5, method: 'logging/setLevel', params: { level: 'debug' } }, { session });
    await lab.sim.advance(10);
    lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    const methods = lab
      .fake('a')
      .sent.filter((sent) => sent.session === 'a-s2')
      .map((sent) => jsonOf(sent.body).method);
    expect(methods).toEqual(['notifications/initialized', 'logging/setLevel', 'tools/call']);
  });

  const refusal = (error: object): FakeReply => json({ jsonrpc: '2.0', id: null, error }, { status: 400 });
  test.each<[string, FakeReply]>([
    ['400, as some servers say it', refusal({ code: -32000, message: 'No valid session ID provided' })],
    ['400 in words', { status: 400, headers: { 'content-type': 'text/plain' }, body: 'Invalid session ID' }],
  ])('regression: calls and lists are healed as well after %s', async (_what, lost) => {
    for (const message of [call(1, 'a__x'), list(1)]) {
      const lab = new Lab({ servers: { a: forgetful('a', ['a-s1'], lost) } });
      const session = await lab.initialize();
      const seen = lab.post(message, { session });
      await lab.sim.advance(10);
      expect([seen.status, seen.json.error, seen.replies, seen.finishes]).toEqual([200, undefined, 1, 1]);
      expect(lab.asked('a', 'initialize').length).toBe(2);
    }
  });

  test('a 400 that is about something else, and a method that is not known, are answers', async () => {
    const unknown = json({ jsonrpc: '2.0', id: 1, error: { code: -32601, message: 'x' } }, { status: 404 });
    for (const [reply, code] of [
      [json({ jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'x' } }, { status: 400 }), -32000],
      [unknown, -32601],
    ] as const) {
      const lab = new Lab({ servers: { a: forgetful('a', ['a-s1'], reply) } });
      const session = await lab.initialize();
      const seen = lab.post(call(1, 'a__x'), { session });
      await lab.sim.advance(10);
      expect([seen.status, seen.json.error?.code]).toEqual([200, code]);
      expect(lab.asked('a', 'initialize').length).toBe(1);
    }
  });

  test('regression: a healed leg is subscribed again to what it was, under the names of its own', async () => {
    const lost: string[] = [];
    const lab = new Lab({ servers: { a: forgetful('a', lost), b: legacyScript('b') } });
    const session = await lab.initialize();
    const set = async (id: number, method: string, uri: string): Promise<void> => {
      lab.post({ jsonrpc: '2.0', id, method, params: { uri } }, { session });
      await lab.sim.advance(10);
    };
    await set(1, 'resources/subscribe', 'a+mem://1');
    await set(2, 'resources/subscribe', 'a+mem://2');
    await set(3, 'resources/unsubscribe', 'a+mem://1');
    lost.push('a-s1');
    lab.post(call(4, 'a__x'), { session });
    await lab.sim.advance(10);
    const sent = lab.fake('a').sent.map(({ body }) => jsonOf(body));
    const again = sent.slice(sent.findLastIndex(({ method }) => method === 'initialize') + 1);
    expect(again.map(({ method, params }) => [method, params?.uri])).toEqual([
      ['notifications/initialized', undefined],
      ['resources/subscribe', 'mem://2'],
      ['tools/call', undefined],
    ]);
    expect(lab.asked('b', 'resources/subscribe')).toEqual([]);
  });
});

const forget = forgetful('a', ['a-s1']);
function jsonOf2(bytes: Uint8Array): Rpc | null {
  return bytes.length === 0 ? null : jsonOf(bytes);
}
function slowHeal() {
  const script = forgetful('a', ['a-s1']);
  let initializes = 0;
  return (sent: Parameters<typeof script>[0], index: number): FakeReply => {
    const reply = script(sent, index);
    const isInitialize = jsonOf2(sent.body)?.method === 'initialize';
    return isInitialize && ++initializes > 1 ? { ...reply, delayMs: 100 } : reply;
  };
}

describe('members that are down', () => {
  test('initialize answers with who is there, within the bound', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a'), gone: () => ({ hang: true }) } });
    const seen = lab.post(INITIALIZE);
    await lab.sim.advance(4_999);
    expect(seen.replies).toBe(0);
    await lab.sim.advance(2);
    expect(seen.status).toBe(200);
    expect(
      Object.keys((seen.json.result as { _meta: Record<string, object> })._meta['sluice/missing'] ?? {}),
    ).toEqual(['gone']);
    expect(lab.fake('gone').sent[0]?.aborted).toBe(true);
  });

  test('regression: members that a reload puts in the place of others during an initialize are initialized, too', async () => {
    const script = legacyScript('a');
    const lab = new Lab({ servers: { a: (sent, index) => ({ ...script(sent, index), delayMs: 20 }) } });
    const first = lab.post(INITIALIZE);
    await lab.sim.advance(10);
    if (!(lab.target instanceof Aggregate)) throw new Error('no aggregate');
    const members = lab.snapshot.servers.map((spec) => ({ spec, upstream: lab.fake(spec.name) }));
    lab.target.regroup(members, lab.target.routes, null);
    await lab.sim.advance(100);
    expect(first.status).toBe(200);
    expect(lab.asked('a', 'initialize').length).toBe(2);
  });

  test('nobody is there: initialize is refused and no session is left', async () => {
    const lab = new Lab({ servers: { a: () => ({ fail: 'GW_UPSTREAM_CONNECT' }) } });
    const seen = lab.post(INITIALIZE);
    await lab.sim.advance(10);
    expect([seen.status, seen.json.id, lab.target.sessions]).toEqual([502, 'init', 0]);
  });

  test('regression: lists bring a member back that was down, and do not wait for it more than half of the time', async () => {
    let isUp = false;
    const script = legacyScript('b', (message) => tools(message, 'y'));
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) => tools(message, 'x')),
        b: (sent, index) => (isUp ? script(sent, index) : { fail: 'GW_UPSTREAM_CONNECT', delayMs: 1_000 }),
      },
    });
    const opened = lab.post(INITIALIZE);
    await lab.sim.advance(1_100);
    const session = opened.headers['mcp-session-id'] ?? '';
    const early = lab.post(list(1), { session });
    await lab.sim.advance(10);
    expect(early.json.result).toMatchObject({ tools: [{ name: 'a__x' }], _meta: { 'sluice/missing': {} } });
    isUp = true;
    await lab.sim.advance(1_000);
    const late = lab.post(list(2), { session });
    await lab.sim.advance(10);
    expect(late.json.result).toEqual({ tools: [{ name: 'a__x' }, { name: 'b__y' }] });
  });

  test('regression: a malformed answer to initialize is a fault of that member alone', async () => {
    for (const result of ['"text"', '5', '{"protocolVersion":"2025-06-18\\r\\nx: y"}']) {
      const lab = new Lab({
        servers: {
          a: legacyScript('a'),
          bad: (sent) => json(`{"jsonrpc":"2.0","id":"${jsonOf(sent.body).id}","result":${result}}`),
        },
      });
      const seen = lab.post(INITIALIZE);
      await lab.sim.advance(10);
      expect(seen.json.result).toMatchObject({ _meta: { 'sluice/missing': { bad: expect.any(String) } } });
    }
  });

  test('the client leaves during initialize: the legs that came up are ended', async () => {
    const script = legacyScript('a');
    const lab = new Lab({ servers: { a: (sent, index) => ({ ...script(sent, index), delayMs: 100 }) } });
    const seen = lab.post(INITIALIZE);
    await lab.sim.advance(10);
    seen.exchange.abandon();
    await lab.sim.advance(500);
    expect(lab.target.sessions).toBe(0);
    expect(lab.fake('a').sent.at(-1)).toMatchObject({ verb: 'DELETE', session: 'a-s1' });
  });
});

describe('lists', () => {
  test('regression: a client that leaves stops the paging', async () => {
    let pages = 0;
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) => ({
          ...json({ jsonrpc: '2.0', id: message.id, result: { tools: [], nextCursor: `c${++pages}` } }),
          delayMs: 10,
        })),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(list(1), { session });
    await lab.sim.advance(35);
    seen.exchange.abandon();
    await lab.sim.advance(1_000);
    expect(pages).toBe(4);
    expect(lab.asked('a', 'tools/list').at(-1)?.aborted).toBe(true);
  });

  test('regression: all pages of a member together take no longer than the bound', async () => {
    let pages = 0;
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) => ({
          ...json({
            jsonrpc: '2.0',
            id: message.id,
            result: { tools: [{ name: `t${++pages}` }], nextCursor: `c${pages}` },
          }),
          delayMs: 1_900,
        })),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(list(1), { session });
    await lab.sim.advance(5_001);
    expect(seen.json.result).toMatchObject({
      tools: [{ name: 'a__t1' }, { name: 'a__t2' }],
      _meta: { 'sluice/missing': { a: expect.stringContaining('in time') } },
    });
  });

  test('regression: a cursor that leads back to itself ends the list', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) =>
          json({ jsonrpc: '2.0', id: message.id, result: { tools: [{ name: 'x' }], nextCursor: 'again' } }),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(list(1), { session });
    await lab.sim.advance(10);
    expect(lab.asked('a', 'tools/list').length).toBe(2);
    expect(seen.text).toContain('the page before');
  });

  test('regression: a cursor of megabytes is one member’s affair', async () => {
    const long = 'c'.repeat(600_000);
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) =>
          json({
            jsonrpc: '2.0',
            id: message.id,
            result:
              message.params?.cursor === long
                ? { tools: [{ name: 'end' }] }
                : { tools: [], nextCursor: long },
          }),
        ),
        b: legacyScript('b', (message) => tools(message, 'y')),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(list(1), { session });
    await lab.sim.advance(10);
    expect(seen.json.result).toEqual({ tools: [{ name: 'a__end' }, { name: 'b__y' }] });
  });

  test('regression: what a server asks or says before its list goes to the client’s stream', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message, sent) =>
          sent.verb === 'GET'
            ? eventStream([], { hang: true, body: [': \n\n'] })
            : eventStream([
                eventOf({ jsonrpc: '2.0', id: 77, method: 'roots/list' }),
                eventOf({ jsonrpc: '2.0', id: message.id, result: { tools: [] } }),
              ]),
        ),
      },
    });
    const session = await lab.initialize();
    const early = lab.post(list(1), { session });
    await lab.sim.advance(10);
    expect(early.json.result).toEqual({ tools: [] });
    const stream = lab.get(session);
    await lab.sim.advance(10);
    expect(stream.events.map((event) => event.method)).toEqual(['roots/list']);
  });

  test('an answer with another id is no answer', async () => {
    const lab = new Lab({
      servers: { a: legacyScript('a', () => json({ jsonrpc: '2.0', id: 'other', result: { tools: [] } })) },
    });
    const session = await lab.initialize();
    const seen = lab.post(list(1), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.json.id]).toEqual([502, 1]);
    expect(seen.text).toContain('answers another request');
  });

  test('a cursor of the client is refused; a member without such lists is not asked', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a') } });
    const session = await lab.initialize();
    const refused = lab.post({ ...list(1), params: { cursor: 'x' } }, { session });
    const none = lab.post(list(2, 'prompts/list'), { session });
    await lab.sim.advance(10);
    expect(refused.json.error?.code).toBe(-32602);
    expect(none.json.result).toEqual({ prompts: [] });
    expect(lab.asked('a', 'prompts/list').length).toBe(0);
  });
});

describe('ids', () => {
  const echo = legacyScript('a', (_, sent) => {
    const text = new TextDecoder().decode(sent.body);
    return json(
      `{"jsonrpc":"2.0","id":${/"id":("(?:[^"\\]|\\.)*"|[^,]+),/.exec(text)?.[1]},"result":{"content":[]}}`,
    );
  });

  test('regression: an id of any form and length comes back byte for byte', async () => {
    const lab = new Lab({ servers: { a: echo } });
    const session = await lab.initialize();
    for (const id of [
      '12345678901234567890',
      '-0',
      '"é\u{1f600}"',
      '"\\u0061\\"\\\\"',
      '""',
      `"${'x'.repeat(300_000)}"`,
    ]) {
      const seen = lab.post(`{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"a__x"}}`, {
        session,
      });
      await lab.sim.advance(10);
      expect(seen.text === `{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`).toBe(true);
    }
  });

  test('the same id may run twice: both are answered and nothing is left', async () => {
    const lab = new Lab({ servers: { a: echo } });
    const session = await lab.initialize();
    const seen = [1, 2].map(() => lab.post(call(9, 'a__x'), { session }));
    await lab.sim.advance(10);
    expect(seen.map((one) => [one.replies, one.finishes, one.json.id])).toEqual([
      [1, 1, 9],
      [1, 1, 9],
    ]);
    await lab.sim.advance(60_001);
    lab.target.sweep();
    expect(lab.target.sessions).toBe(0);
  });

  test('regression: a refused answer of the client bears no id: it would name another request', async () => {
    const lab = new Lab({ servers: { a: echo } });
    const seen = lab.post({ jsonrpc: '2.0', id: 5, result: {} }, { session: 'unknown' });
    expect(seen.status).toBe(404);
    expect('id' in seen.json).toBe(false);
  });
});

describe('calls', () => {
  test('a stream that breaks off ends the exchange, and the session is free again', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', () =>
          eventStream([eventOf({ jsonrpc: '2.0', method: 'notifications/message', params: {} })], {
            fail: 'GW_UPSTREAM_CLOSED',
            failLate: true,
          }),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.state, seen.finishes, seen.exchange.outcome]).toEqual(['failed', 1, 'failed']);
    expect(lab.active.size).toBe(0);
  });

  test('regression: a member’s message that is none breaks the stream and lets go of the member', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', () => eventStream([eventOf('{"nonsense":'), eventOf('{}')], { gapMs: 5 })),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(50);
    expect([seen.state, seen.finishes]).toEqual(['failed', 1]);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
  });

  test('a second response and one to another request are dropped', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) =>
          eventStream([
            eventOf({ jsonrpc: '2.0', id: 'other', result: {} }),
            eventOf({ jsonrpc: '2.0', id: message.id, result: { n: 1 } }),
            eventOf({ jsonrpc: '2.0', id: message.id, result: { n: 2 } }),
          ]),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect(seen.events).toEqual([{ jsonrpc: '2.0', id: 1, result: { n: 1 } }]);
    expect(seen.state).toBe('ended');
  });

  test('regression: an event that ends with bare carriage returns at the very end is not lost', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) =>
          eventStream([`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: {} })}\r\r`]),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect(seen.events).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }]);
  });

  test('back-pressure reaches the member and ends with the client’s reading', async () => {
    const note = eventOf({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message) =>
          eventStream([note, note, note, eventOf({ jsonrpc: '2.0', id: message.id, result: {} })], {
            gapMs: 1,
          }),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(0);
    seen.reads = false;
    await lab.sim.advance(100);
    expect(seen.events.length).toBe(1);
    seen.drain();
    await lab.sim.advance(100);
    expect([seen.events.length, seen.state]).toEqual([4, 'ended']);
  });

  test('progress of two servers under one token goes to the one that asked', async () => {
    const asking = (name: string) =>
      legacyScript(name, () =>
        eventStream(
          [
            eventOf({
              jsonrpc: '2.0',
              id: 'q',
              method: 'sampling/createMessage',
              params: { _meta: { progressToken: 1 } },
            }),
          ],
          { hang: true },
        ),
      );
    const lab = new Lab({ servers: { a: asking('a'), b: asking('b') } });
    const session = await lab.initialize();
    const seen = ['a__x', 'b__x'].map((name, i) => lab.post(call(i, name), { session }));
    await lab.sim.advance(10);
    const tokens = seen.map(
      (one) => (one.events[0]?.params?._meta as { progressToken: string } | undefined)?.progressToken,
    );
    expect(tokens[0]).not.toBe(tokens[1]);
    lab.post(
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: tokens[1], progress: 1 } },
      { session },
    );
    lab.post(
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'none', progress: 1 } },
      { session },
    );
    await lab.sim.advance(10);
    expect(lab.asked('a', 'notifications/progress')).toEqual([]);
    expect(lab.asked('b', 'notifications/progress').map((sent) => jsonOf(sent.body).params)).toEqual([
      { progressToken: 1, progress: 1 },
    ]);
    // The answer finds its way back; the question is then closed for progress too.
    lab.post({ jsonrpc: '2.0', id: seen[1]?.events[0]?.id, result: {} }, { session });
    lab.post({ jsonrpc: '2.0', id: seen[1]?.events[0]?.id, result: {} }, { session });
    await lab.sim.advance(10);
    expect(
      lab.fake('b').sent.filter((sent) => sent.body.length > 0 && jsonOf(sent.body).id === 'q').length,
    ).toBe(1);
    for (const one of seen) one.exchange.abandon();
    expect(lab.active.size).toBe(0);
  });

  test('a question that its server takes back is taken back under the client’s id', async () => {
    const lab = new Lab({
      servers: {
        a: legacyScript('a', () =>
          eventStream(
            [
              eventOf({ jsonrpc: '2.0', id: 3, method: 'roots/list' }),
              eventOf({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3 } }),
              eventOf({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 4 } }),
            ],
            { hang: true },
          ),
        ),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect(seen.events.length).toBe(2);
    expect(seen.events[1]?.params?.requestId).toBe(seen.events[0]?.id);
  });

  test('a reply that is neither JSON nor a stream is refused with the id', async () => {
    const lab = new Lab({
      servers: { a: legacyScript('a', () => ({ headers: { 'content-type': 'text/html' }, body: '<p>' })) },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.json.id, seen.finishes]).toEqual([502, 1, 1]);
  });

  test('regression: a reply beyond every bound is refused and its connection closed', async () => {
    const piece = 'x'.repeat(1024 * 1024);
    const lab = new Lab({
      servers: {
        a: legacyScript('a', () => ({
          headers: { 'content-type': 'application/json' },
          body: Array.from({ length: LIMITS.replyBodyBytesMax / piece.length + 2 }, () => piece),
        })),
      },
    });
    const session = await lab.initialize();
    const seen = lab.post(call(1, 'a__x'), { session });
    await lab.sim.advance(10);
    expect([seen.status, seen.exchange.errorCode]).toEqual([502, 'GW_UPSTREAM_BODY_SIZE']);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
  });
});
