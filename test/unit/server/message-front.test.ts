// The front of one connected client: eras, lost sessions, slow clients, the end.
// Runs server/message-front.ts and its parts over a lab; lines belong to stdio.test.ts, event streams to sse.test.ts.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { emptyHeaders } from '../../../src/exchange/client-headers.ts';
import { createLog } from '../../../src/observe/log.ts';
import { MessageFront } from '../../../src/server/message-front.ts';
import type { FakeReply, FakeScript, FakeSent } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  INITIALIZE,
  json,
  jsonOf,
  Lab,
  type LabOptions,
  legacyScript,
  textResult,
} from '../../fixtures/lab.ts';
import { MODERN_META, modernRequest } from '../../fixtures/messages.ts';

function frontOf(options: LabOptions) {
  const lab = new Lab(options);
  const said: ReturnType<typeof jsonOf>[] = [];
  let ids = 0;
  const state = { hasRoom: true };
  const [endpoint] = lab.snapshot.endpoints;
  if (endpoint === undefined) throw new Error('no endpoint');
  const running = new Set<unknown>();
  const front = new MessageFront({
    snapshot: lab.snapshot,
    endpoint,
    principal: '',
    headers: { ...emptyHeaders(), passed: ['traceparent', 'from the connection'] },
    serve: (exchange, body) => {
      running.add(exchange);
      lab.handles.admit(exchange);
      lab.pipeline.serve(exchange, body);
    },
    owner: { onFinish: (exchange) => void running.delete(exchange) },
    scanner: lab.scanner,
    clock: lab.sim.clock,
    log: createLog('debug', { write: (line) => lab.logged.push(line), wall: () => 0 }),
    newId: () => `m${++ids}`,
    send: (message) => {
      said.push(jsonOf(message));
      return state.hasRoom;
    },
  });
  const say = async (message: object | string, ms = 10): Promise<void> => {
    front.take(encode(typeof message === 'string' ? message : JSON.stringify(message)));
    await lab.sim.advance(ms);
  };
  const sent = (): string[] =>
    lab.fake('a').sent.map((one) => {
      const what = one.body.length > 0 ? (jsonOf(one.body).method ?? 'answer') : one.verb;
      return one.session === null ? what : `${what} ${one.session}`;
    });
  return { lab, front, said, say, sent, state, running };
}

const call = (id: unknown, name = 't'): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };
const single = (script: FakeScript) => frontOf({ servers: { a: script }, single: 'http' });

const LOST = { jsonrpc: '2.0', error: { code: -32001, message: 'Session not found' }, id: null };
/** As the server of some packages says it. */
const NO_VALID = {
  jsonrpc: '2.0',
  error: { code: -32000, message: 'Bad Request: No valid session ID provided' },
};

/** A legacy server that forgets its sessions when told so, and counts what it executes. */
function forgetful(lost: FakeReply = json(LOST, { status: 404 }), open: FakeReply = { status: 405 }) {
  const known = new Set<string>();
  const state = { executed: 0, opens: open, initialize: null as FakeReply | null };
  const script: FakeScript = (sent) => {
    const isInitialize = sent.verb === 'POST' && jsonOf(sent.body).method === 'initialize';
    if (isInitialize && state.initialize !== null) return state.initialize;
    if (!isInitialize && !known.has(sent.session ?? '')) return lost;
    const reply = inner(sent, 0);
    const opened = reply.headers?.['mcp-session-id'];
    if (opened !== undefined) known.add(opened);
    return reply;
  };
  const inner = legacyScript('a', (message, sent: FakeSent) => {
    if (sent.verb === 'GET') return state.opens;
    if (sent.verb === 'DELETE' || message.id === undefined) return { status: 202 };
    if (message.method === 'tools/call') state.executed++;
    return textResult(message, sent.session ?? '');
  });
  return { script, state, forget: () => known.clear() };
}

describe('what follows an initialize at once', () => {
  test('waits for its answer, in order, and is of its session; a modern request does not', async () => {
    const { front, lab, said, sent } = single(
      legacyScript('a', (message, one) =>
        one.verb === 'GET'
          ? { status: 405 }
          : message.id === undefined
            ? { status: 202 }
            : textResult(message, 'ok'),
      ),
    );
    for (const message of [INITIALIZE, INITIALIZED, call(1), call(2)])
      front.take(encode(JSON.stringify(message)));
    front.take(encode(modernRequest(3, 'tools/list')));
    expect(front.underWay).toBe(5);
    let isIdle = false;
    // As when a host closes stdin right behind what it wrote.
    front.whenIdle(() => {
      isIdle = true;
    });
    await lab.sim.advance(100);
    expect(sent()).toEqual([
      'initialize',
      'tools/list',
      'notifications/initialized a-s1',
      'tools/call a-s1',
      'tools/call a-s1',
      'GET a-s1',
    ]);
    expect(said.map((one) => one.id).sort()).toEqual([1, 2, 3, 'init']);
    expect([isIdle, front.underWay]).toEqual([true, 0]);
  });

  test('goes on when the initialize fails, and when its stream stays open behind the answer', async () => {
    const refused = single((one) =>
      jsonOf(one.body).method === 'initialize'
        ? { fail: 'GW_UPSTREAM_CONNECT' }
        : textResult(jsonOf(one.body), 'ok'),
    );
    for (const message of [INITIALIZE, call(1)]) refused.front.take(encode(JSON.stringify(message)));
    await refused.lab.sim.advance(100);
    expect(refused.said.map((one) => [one.id, one.error === undefined])).toEqual([
      ['init', false],
      [1, true],
    ]);
    const open = single((one) => {
      const { id, method } = jsonOf(one.body);
      const event = eventOf({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18' } });
      return method === 'initialize'
        ? eventStream([event], { hang: true })
        : textResult(jsonOf(one.body), 'ok');
    });
    for (const message of [INITIALIZE, call(1), INITIALIZE, call(2)])
      open.front.take(encode(JSON.stringify(message)));
    await open.lab.sim.advance(100);
    expect(open.said.map((one) => one.id)).toEqual(['init', 1, 'init', 2]);
  });
});

describe('a session that its server has lost', () => {
  for (const [what, lost] of [
    ['404', json(LOST, { status: 404 })],
    ['404 without a message', { status: 404 }],
    ['400 about the session', json(NO_VALID, { status: 400 })],
  ] as const) {
    test(`is begun anew, told what its client had said, and what was refused is sent again (${what})`, async () => {
      const { script, state, forget } = forgetful(lost);
      const { said, say, sent } = single(script);
      await say(INITIALIZE);
      await say(INITIALIZED);
      await say({ jsonrpc: '2.0', id: 2, method: 'logging/setLevel', params: { level: 'info' } });
      await say({ jsonrpc: '2.0', id: 3, method: 'resources/subscribe', params: { uri: 'u:1' } });
      await say({ jsonrpc: '2.0', id: 4, method: 'resources/subscribe', params: { uri: 'u:2' } });
      await say({ jsonrpc: '2.0', id: 5, method: 'resources/unsubscribe', params: { uri: 'u:1' } });
      forget();
      const before = sent().length;
      await say(call(6));
      expect(sent().slice(before)).toEqual([
        'tools/call a-s1',
        'initialize',
        'notifications/initialized a-s2',
        'logging/setLevel a-s2',
        'resources/subscribe a-s2',
        'GET a-s2',
        'tools/call a-s2',
      ]);
      // Nothing of all that reaches the client but the one answer.
      expect(said.map((one) => one.id)).toEqual(['init', 2, 3, 4, 5, 6]);
      expect([said[5]?.error, state.executed]).toEqual([undefined, 1]);
    });
  }

  test('is begun anew once for all who wait, and again when it is lost again', async () => {
    const { script, state, forget } = forgetful();
    const { front, lab, said, say } = single(script);
    await say(INITIALIZE);
    await say(INITIALIZED);
    for (let round = 0; round < 3; round++) {
      forget();
      for (let i = 0; i < 16; i++) front.take(encode(JSON.stringify(call(round * 100 + i))));
      await lab.sim.advance(50);
    }
    expect(lab.asked('a', 'initialize').length).toBe(4);
    expect(state.executed).toBe(48);
    expect(said.filter((one) => one.error !== undefined)).toEqual([]);
    expect(new Set(said.map((one) => one.id)).size).toBe(49);
  });

  test('regression: it is not begun anew for ever: one attempt a message, and then the refusal', async () => {
    const { script, state, forget } = forgetful();
    const { lab, said, say } = single(script);
    await say(INITIALIZE);
    await say(INITIALIZED);
    forget();
    state.initialize = json({ jsonrpc: '2.0', id: 'init', error: { code: -1, message: 'no more' } });
    await say(call(1));
    expect(lab.asked('a', 'initialize').length).toBe(2);
    expect(said.at(-1)).toMatchObject({ id: 1, error: { code: -32001 } });
    // A server that gives sessions and knows none of them.
    state.initialize = json(
      { jsonrpc: '2.0', id: 'init', result: {} },
      { headers: { 'content-type': 'application/json', 'mcp-session-id': 'unknown' } },
    );
    await say(call(2));
    expect(said.at(-1)).toMatchObject({ id: 2, error: { code: -32001 } });
    expect(lab.asked('a', 'initialize').length).toBe(3);
  });

  test('a notification that concerns no request is said again; answers and cancellations are not', async () => {
    const { script, forget } = forgetful();
    const { lab, say } = single(script);
    await say(INITIALIZE);
    await say(INITIALIZED);
    forget();
    await say({ jsonrpc: '2.0', id: 9, result: {} });
    await say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 9 } });
    expect(lab.asked('a', 'initialize').length).toBe(1);
    await say({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    expect(lab.asked('a', 'initialize').length).toBe(2);
    expect(lab.asked('a', 'notifications/roots/list_changed').map((one) => one.session)).toEqual([
      'a-s1',
      'a-s2',
    ]);
  });

  test('is found out by its stream too, once it had one; a server without streams that says 404 is let alone', async () => {
    const { script, state, forget } = forgetful();
    const { lab, said, say } = single(script);
    state.opens = { status: 404 };
    await say(INITIALIZE);
    await say(INITIALIZED, 5_000);
    expect(lab.asked('a', 'initialize').length).toBe(1);
    state.opens = eventStream([': \n\n']);
    await say(INITIALIZE);
    await say(INITIALIZED);
    forget();
    await lab.sim.advance(100);
    state.opens = eventStream([eventOf({ jsonrpc: '2.0', method: 'again' })], { hang: true });
    await lab.sim.advance(2_000);
    expect(lab.asked('a', 'initialize').length).toBe(3);
    expect(said.at(-1)).toMatchObject({ method: 'again' });
  });

  test('the client begins another meanwhile: the renewed one ends, and its own goes on', async () => {
    const { script, state, forget } = forgetful();
    const { lab, front, said, say, sent } = single(script);
    await say(INITIALIZE);
    await say(INITIALIZED);
    forget();
    const slow = Promise.withResolvers<void>();
    state.initialize = json(
      { jsonrpc: '2.0', id: 'init', result: {} },
      { headers: { 'content-type': 'application/json', 'mcp-session-id': 'late' }, until: slow.promise },
    );
    await say(call(1));
    state.initialize = null;
    await say({ ...INITIALIZE, id: 'again' });
    await say(INITIALIZED);
    slow.resolve();
    await lab.sim.advance(100);
    expect(sent()).toContain('DELETE late');
    expect(said.at(-1)?.id).toBe(1);
    expect(lab.asked('a', 'tools/call').map((one) => one.session)).toEqual(['a-s1', 'a-s2']);
    void front.end();
    await lab.sim.advance(10);
    expect(sent().at(-1)).toBe('DELETE a-s2');
  });

  test('a call that is cancelled while its session is begun anew is not sent again', async () => {
    const { script, state, forget } = forgetful();
    const { lab, front, said, say } = single(script);
    await say(INITIALIZE);
    await say(INITIALIZED);
    forget();
    state.initialize = json(
      { jsonrpc: '2.0', id: 'init', result: {} },
      { headers: { 'content-type': 'application/json', 'mcp-session-id': 'b' }, delayMs: 100 },
    );
    await say(call(1));
    await say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await lab.sim.advance(5_000);
    expect([state.executed, said.length, front.underWay]).toEqual([0, 1, 0]);
  });
});

describe('the era of a connection', () => {
  const ok: FakeScript = (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} });
  const errors = (said: readonly ReturnType<typeof jsonOf>[]) => said.map((one) => [one.id, one.error?.code]);

  test('a discover says nothing yet; a modern request does, and then there is no initialize', async () => {
    const { said, say, lab } = single(ok);
    await say(modernRequest(1, 'server/discover'));
    await say(INITIALIZE);
    expect(errors(said)).toEqual([
      [1, undefined],
      ['init', undefined],
    ]);
    const other = single(ok);
    await other.say(modernRequest(1, 'server/discover'));
    await other.say(modernRequest(2, 'tools/list'));
    await other.say(INITIALIZE);
    await other.say(modernRequest(3, 'tools/list'));
    expect(errors(other.said)).toEqual([
      [1, undefined],
      [2, undefined],
      ['init', -32022],
      [3, undefined],
    ]);
    expect(other.said[2]?.error).toMatchObject({
      data: { supported: ['2026-07-28'], requested: '2025-06-18' },
    });
    expect([lab.asked('a', 'initialize').length, other.lab.asked('a', 'initialize').length]).toEqual([1, 0]);
  });

  test('on a modern connection requests without a claim are told what is missing; a cancellation needs none', async () => {
    const { said, say, lab } = single((sent) =>
      jsonOf(sent.body).id === 'hang' ? { hang: true } : ok(sent, 0),
    );
    await say(modernRequest(1, 'tools/list'));
    await say(call(2));
    await say({ jsonrpc: '2.0', id: 3, result: {} });
    await say({ jsonrpc: '2.0', id: 'hang', method: 'tools/list', params: { _meta: MODERN_META } });
    await say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'hang' } });
    expect(errors(said)).toEqual([
      [1, undefined],
      [2, -32602],
    ]);
    expect(lab.fake('a').sent.map((one) => one.aborted)).toEqual([false, true]);
  });

  test('a version that nobody has says nothing; on a legacy connection a modern request is still one', async () => {
    const { said, say, lab } = single(ok);
    const meta = { ...MODERN_META, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' };
    await say({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } });
    await say(INITIALIZE);
    await say(modernRequest(2, 'tools/list'));
    expect(said.map((one) => one.id)).toEqual([1, 'init', 2]);
    expect(lab.fake('a').sent.map((one) => one.era)).toEqual(['modern', 'legacy', 'modern']);
  });
});

describe('a client that is behind', () => {
  test('replies that are streams wait until it has caught up', async () => {
    const pieces = [1, 2, 3, 4].map((n) => eventOf({ jsonrpc: '2.0', method: `n${n}` }));
    const answer = eventOf({ jsonrpc: '2.0', id: 1, result: {} });
    const { front, lab, said, say, state } = single(() => eventStream([...pieces, answer], { gapMs: 5 }));
    state.hasRoom = false;
    await say(call(1), 1_000);
    expect(said.length).toBe(1);
    state.hasRoom = true;
    front.roomAgain();
    await lab.sim.advance(1_000);
    expect(said.map((one) => one.method ?? one.id)).toEqual(['n1', 'n2', 'n3', 'n4', 1]);
  });
});

describe('the end', () => {
  test('no new requests are taken, what runs is answered, answers of the client still get through', async () => {
    const { front, lab, said, say } = frontOf({
      servers: { a: legacyScript('a', (message) => ({ ...textResult(message, 'late'), delayMs: 500 })) },
    });
    await say(INITIALIZE);
    await say(call(1, 'a__t'));
    let isIdle = false;
    front.whenIdle(() => {
      isIdle = true;
    });
    await say(call(2, 'a__t'));
    expect(said.at(-1)).toMatchObject({ id: 2, error: { code: -32603 } });
    expect([isIdle, front.underWay]).toEqual([false, 1]);
    await lab.sim.advance(1_000);
    expect([isIdle, front.underWay, said.at(-1)?.id]).toEqual([true, 0, 1]);
  });

  test('at once: what runs is let go of, streams and the session end, nothing is left', async () => {
    const hang: FakeScript = legacyScript('a', (_, sent) => (sent.verb === 'DELETE' ? {} : { hang: true }));
    const { front, lab, said, say, sent, running } = single(hang);
    await say(INITIALIZE);
    await say(INITIALIZED);
    await say(call(1));
    void front.end();
    void front.end();
    await lab.sim.advance(10);
    expect(said.length).toBe(1);
    expect(sent().filter((one) => one.startsWith('DELETE'))).toEqual(['DELETE a-s1']);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
    expect([running.size, front.underWay]).toEqual([0, 0]);
    await lab.sim.advance(10_000);
    expect(sent().at(-1)).toBe('DELETE a-s1');
  });

  test('headers of the connection go on to servers where a message has none of its own', async () => {
    const { front, lab, say } = single(() => ({ status: 202 }));
    await say({ jsonrpc: '2.0', method: 'notifications/x' });
    front.take(encode('{"jsonrpc":"2.0","method":"notifications/y"}'), {
      ...emptyHeaders(),
      passed: ['traceparent', 'its own'],
    });
    await lab.sim.advance(10);
    expect(lab.fake('a').sent.map((one) => one.headers[one.headers.indexOf('traceparent') + 1])).toEqual([
      'from the connection',
      'its own',
    ]);
  });
});
