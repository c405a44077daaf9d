// Legacy sessions, each on a child of its own: opening, streams, the child's own requests, healing, ending.
// Run by bun test. Promises: the child is played by the test; no real time passes.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import {
  type RequestParts,
  type Sent,
  StdioWorld,
  sendOn,
  stdioSpec,
  type Wire,
} from '../../fixtures/stdio-world.ts';

const INITIALIZE = {
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
    _meta: { progressToken: 'p' },
  },
  jsonrpc: '2.0',
  id: 'init-1',
};

function legacy(session: string | null, parts: RequestParts = {}): RequestParts {
  return { era: 'legacy', session, ...parts };
}

function call(
  world: StdioWorld,
  session: string,
  id: string | number,
  params: object = {},
): Sent & { id: string | number } {
  const sent = world.send(
    { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x', ...params } },
    legacy(session),
  );
  return { ...sent, id: world.child.last.id ?? -1 };
}

function note(method: string, params: object = {}): Wire {
  return { jsonrpc: '2.0', method, params };
}

describe('opening', () => {
  test('initialize starts a child, forwards the bytes and mints a session id', () => {
    const world = new StdioWorld();
    const { caught } = world.send(INITIALIZE, legacy(null));
    expect(world.children).toHaveLength(1);
    expect(world.child.last).toEqual<unknown>({ ...INITIALIZE, id: expect.any(Number) });
    world.child.say(note('notifications/message', { data: 'early' }));
    world.child.say(note('notifications/progress', { progressToken: 'p', progress: 1 }));
    expect(caught.head).toBeNull();
    world.child.say({
      jsonrpc: '2.0',
      id: world.child.last.id ?? -1,
      result: { protocolVersion: '2025-11-25' },
    });
    expect(caught.head?.status).toBe(200);
    expect(caught.head?.sessionId).toMatch(/^[\w-]{43}$/);
    expect(caught.head?.header('mcp-session-id')).toBe(caught.head?.sessionId ?? '');
    expect(caught.json).toEqual<unknown>({
      jsonrpc: '2.0',
      id: 'init-1',
      result: { protocolVersion: '2025-11-25' },
    });
    expect(world.upstream.stats()).toMatchObject({ sessions: 1, total: 1, connects: 1 });
  });

  test('each session has its own child and its own calls', () => {
    const world = new StdioWorld();
    const a = world.openSession();
    const childA = world.child;
    const b = world.openSession();
    expect(a).not.toBe(b);
    const first = world.send({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, legacy(a));
    const second = world.send({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, legacy(b));
    expect(childA.last.method).toBe('tools/list');
    childA.say({ jsonrpc: '2.0', id: childA.last.id ?? -1, result: { of: 'a' } });
    expect(first.caught.json.result).toEqual<unknown>({ of: 'a' });
    expect(second.caught.over).toBe(false);
  });

  test('an initialize that the server refuses opens nothing and stops the child', () => {
    const world = new StdioWorld();
    const { caught } = world.send(INITIALIZE, legacy(null));
    world.child.say({
      jsonrpc: '2.0',
      id: world.child.last.id ?? -1,
      error: { code: -32602, message: 'no' },
    });
    expect(caught.head?.status).toBe(200);
    expect(caught.head?.sessionId).toBeNull();
    expect(caught.json.error?.code).toBe(-32602);
    expect(world.child.stdinClosed).toBe(true);
    world.child.exit();
    expect(world.upstream.stats()).toMatchObject({ sessions: 0, total: 0 });
  });

  test('a client that left before the answer leaves no session behind', () => {
    const world = new StdioWorld();
    const { call: gone } = world.send(INITIALIZE, legacy(null));
    gone.abort();
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: {} });
    expect(world.child.stdinClosed).toBe(true);
    expect(world.upstream.stats().sessions).toBe(0);
  });

  test('an initialize without an answer in time ends its child, and is not cancelled', () => {
    const world = new StdioWorld();
    const { caught } = world.send(INITIALIZE, legacy(null, { timeoutMs: 50 }));
    world.clock.advance(100);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(world.child.lines).toHaveLength(1);
    expect(world.child.stdinClosed).toBe(true);
  });

  test('a child that cannot start or dies at once fails initialize, and soon backs off', () => {
    const world = new StdioWorld();
    world.spawnFault = new GatewayError('GW_UPSTREAM_SPAWN', 'no such command');
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 12; i++) {
      const { caught } = world.send(INITIALIZE, legacy(null));
      world.clock.advance(2_000);
      codes.push(caught.failed?.code);
    }
    expect(codes.slice(0, 2)).toEqual(['GW_UPSTREAM_SPAWN', 'GW_UPSTREAM_SPAWN']);
    expect(codes.at(-1)).toBe('GW_UPSTREAM_BACKOFF');
    world.spawnFault = null;
    world.clock.advance(LIMITS.childBackoffLastMs);
    const { caught } = world.send(INITIALIZE, legacy(null));
    world.child.exit(1);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    world.clock.advance(LIMITS.childBackoffLastMs);
    world.openSession();
    expect(world.upstream.stats().sessions).toBe(1);
  });

  test('sessions are bounded, those that are still opening included', () => {
    const world = new StdioWorld({ sessionsMax: 2 });
    world.openSession();
    world.send(INITIALIZE, legacy(null));
    expect(world.send(INITIALIZE, legacy(null)).caught.failed?.code).toBe('GW_SESSION_LIMIT');
  });

  test('what is no initialize needs a session; a ping gets an answer without one', () => {
    const world = new StdioWorld();
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    expect(world.send(list, legacy(null)).caught.failed?.code).toBe('GW_SESSION_MISSING');
    expect(world.send(note('notifications/x'), legacy(null)).caught.failed?.code).toBe('GW_SESSION_MISSING');
    expect(world.send(list, legacy('nope')).caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(world.send(null, legacy('nope', { verb: 'GET' })).caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(world.send(null, legacy(null, { verb: 'DELETE' })).caught.failed?.code).toBe('GW_SESSION_MISSING');
    const { caught } = world.send({ jsonrpc: '2.0', id: 'p', method: 'ping' }, legacy(null));
    expect(caught.json).toEqual<unknown>({ jsonrpc: '2.0', id: 'p', result: {} });
    expect(world.children).toHaveLength(0);
  });
});

describe('calls', () => {
  test('errors are status 200; ids and tokens keep their spelling', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, '7', { _meta: { progressToken: 'caf\u00e9' } });
    expect(world.child.last.params._meta.progressToken).toBe('café');
    world.child.say(
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"caf\\u00e9","progress":1}}',
    );
    world.child.say({ jsonrpc: '2.0', id: sent.id, error: { code: -32601, message: 'no' } });
    expect(sent.caught.head?.status).toBe(200);
    expect(sent.caught.events).toHaveLength(2);
    expect(sent.caught.events[0]).toContain('"caf\\u00e9"');
    expect(sent.caught.answer.id).toBe('7');
    const plain = call(world, session, 8);
    world.child.say({ jsonrpc: '2.0', id: plain.id, error: { code: -32601, message: 'no' } });
    expect(plain.caught.head).toMatchObject({ status: 200, media: 'json', sessionId: null });
  });

  test('leaving cancels nothing: the call goes on and its reply is dropped', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, 1);
    const before = world.child.lines.length;
    sent.call.abort();
    expect(world.child.lines).toHaveLength(before);
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: {} });
    expect(sent.caught.head).toBeNull();
    expect(world.upstream.stats().busy).toBe(0);
  });

  test("the client's cancel reaches the child under the child's id; the stream ends when no reply comes", () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const one = call(world, session, 1);
    const other = call(world, session, '1');
    const cancel = world.send(
      note('notifications/cancelled', { requestId: '1', reason: 'enough' }),
      legacy(session),
    );
    expect(cancel.caught.head?.status).toBe(202);
    expect(world.child.last).toEqual<unknown>(
      note('notifications/cancelled', { requestId: other.id, reason: 'enough' }),
    );
    world.clock.advance(1_100);
    expect(other.caught.ended).toBe(1);
    expect(other.caught.events).toEqual([]);
    expect(one.caught.over).toBe(false);
    const before = world.child.lines.length;
    const late = world.send(note('notifications/cancelled', { requestId: '1' }), legacy(session));
    expect(late.caught.head?.status).toBe(202);
    expect(world.child.lines).toHaveLength(before);
  });

  test('progress after the cancel does not keep the stream open for ever', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, 1, { _meta: { progressToken: 1 } });
    world.send(note('notifications/cancelled', { requestId: 1 }), legacy(session));
    world.child.say(note('notifications/progress', { progressToken: 1, progress: 1 }));
    world.clock.advance(1_100);
    expect(sent.caught.events).toHaveLength(1);
    expect(sent.caught.ended).toBe(1);
  });

  test('a reply in spite of the cancel still arrives', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, 1);
    world.send(note('notifications/cancelled', { requestId: 1 }), legacy(session));
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: { done: true } });
    expect(sent.caught.json.result).toEqual<unknown>({ done: true });
  });

  test('a batch is sent line by line; each answer is an event of one stream', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const before = world.child.lines.length;
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      note('notifications/x', { text: '],[' }),
      { jsonrpc: '2.0', id: 'b', method: 'prompts/list' },
    ];
    const { caught } = world.send(JSON.stringify(batch, null, 1), legacy(session));
    const got = world.child.got.slice(before);
    expect(got.map((message) => message.method)).toEqual(['tools/list', 'notifications/x', 'prompts/list']);
    world.child.say({ jsonrpc: '2.0', id: got[2]?.id ?? -1, result: { n: 2 } });
    world.child.say({ jsonrpc: '2.0', id: got[0]?.id ?? -1, result: { n: 1 } });
    expect(caught.events.map((line) => JSON.parse(line))).toEqual([
      { jsonrpc: '2.0', id: 'b', result: { n: 2 } },
      { jsonrpc: '2.0', id: 1, result: { n: 1 } },
    ]);
    expect(caught.ended).toBe(1);
    const notes = world.send(JSON.stringify([note('a'), note('b')]), legacy(session));
    expect(notes.caught.head?.status).toBe(202);
    for (const bad of [
      '[]',
      '[1]',
      '[[]]',
      `[${JSON.stringify(INITIALIZE)}]`,
      `[${'{"method":"x"},'.repeat(100)}{"method":"x"}]`,
    ]) {
      expect(world.send(bad, legacy(session)).caught.failed?.code).toBe('GW_MCP_BATCH');
    }
  });
});

describe('what the child says by itself', () => {
  test('with one call in flight it goes to that call', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, 1);
    world.child.say(note('notifications/message', { data: 'hi' }));
    world.child.say({ jsonrpc: '2.0', id: 0, method: 'elicitation/create', params: { message: 'Name?' } });
    expect(sent.caught.events).toHaveLength(2);
    expect(JSON.parse(sent.caught.events[1] ?? '')).toMatchObject({ id: 0, method: 'elicitation/create' });
    const reply = world.send({ jsonrpc: '2.0', id: 0, result: { action: 'accept' } }, legacy(session));
    expect(reply.caught.head?.status).toBe(202);
    expect(world.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 0, result: { action: 'accept' } });
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: {} });
    expect(sent.caught.ended).toBe(1);
  });

  test('an answer that the child does not wait for is taken and dropped', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const before = world.child.lines.length;
    for (const id of [0, 'x']) {
      const { caught } = world.send({ jsonrpc: '2.0', id, result: {} }, legacy(session));
      expect(caught.head?.status).toBe(202);
    }
    expect(world.child.lines).toHaveLength(before);
  });

  test('an open session stream does not take what belongs to the only call; a call whose client left gets nothing', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    const sent = call(world, session, 1);
    world.child.say(note('notifications/message', { data: 'to the call' }));
    expect(sent.caught.events).toHaveLength(1);
    expect(stream.caught.events).toHaveLength(0);
    sent.call.abort();
    world.child.say(note('notifications/message', { data: 'to the session' }));
    expect(sent.caught.events).toHaveLength(1);
    expect(stream.caught.events).toHaveLength(1);
  });

  test('a withdrawn request is heard where the request was heard', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const first = call(world, session, 1);
    world.child.say({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
    const second = call(world, session, 2);
    world.child.say(note('notifications/cancelled', { requestId: 'q' }));
    expect(first.caught.events.map((line) => JSON.parse(line).method)).toEqual([
      'roots/list',
      'notifications/cancelled',
    ]);
    expect(second.caught.head).toBeNull();
    const { caught } = world.send({ jsonrpc: '2.0', id: 'q', result: { roots: [] } }, legacy(session));
    expect(caught.head?.status).toBe(202);
    expect(world.child.last.method).toBe('tools/call');
  });

  test('with several calls: the newest open stream, else the session stream, else the newest call', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const first = call(world, session, 1);
    const second = call(world, session, 2, { _meta: { progressToken: 9 } });
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    expect(stream.caught.head).toMatchObject({ status: 200, media: 'event-stream' });
    world.child.say(note('notifications/message', { data: 'to the session' }));
    expect(stream.caught.events).toHaveLength(1);
    world.child.say(note('notifications/progress', { progressToken: 9, progress: 1 }));
    world.child.say(note('notifications/message', { data: 'to the stream' }));
    expect(second.caught.events).toHaveLength(2);
    expect(stream.caught.events).toHaveLength(1);
    second.call.abort();
    stream.call.abort();
    const third = call(world, session, 3);
    world.child.say(note('notifications/message', { data: 'to the newest' }));
    expect(third.caught.events).toHaveLength(1);
    expect(first.caught.events).toHaveLength(0);
  });

  test('regression: a client that has left a call a moment ago, unnoticed so far, is asked in its next one', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const left = call(world, session, 1);
    const next = call(world, session, 2);
    world.child.say({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: { message: '?' } });
    expect(left.caught.events).toHaveLength(0);
    expect(next.caught.events).toHaveLength(1);
  });

  describe('a question on the stream of a call that turns out to be left', () => {
    const question = (id: string): Wire => ({ jsonrpc: '2.0', id, method: 'elicitation/create', params: {} });

    test('regression: is asked once more in the call that the client waits for, and answered from there, once', () => {
      const world = new StdioWorld();
      const session = world.openSession();
      const left = call(world, session, 1, { _meta: { progressToken: 1 } });
      world.child.say(note('notifications/progress', { progressToken: 1, progress: 1 }));
      const next = call(world, session, 2);
      world.child.say(question('q'));
      expect([left.caught.events.length, next.caught.events.length]).toEqual([2, 0]);
      left.call.abort();
      expect(next.caught.events.map((line) => JSON.parse(line))).toEqual([question('q')]);
      world.send({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } }, legacy(session));
      expect(world.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } });
      const before = world.child.lines.length;
      next.call.abort();
      world.send({ jsonrpc: '2.0', id: 'q', result: {} }, legacy(session));
      expect(world.child.lines).toHaveLength(before);
    });

    test('goes to the session stream without another call; without that the server is told that nobody is there', () => {
      const world = new StdioWorld();
      const session = world.openSession();
      const first = call(world, session, 1);
      world.child.say(question('q'));
      const stream = world.send(null, legacy(session, { verb: 'GET' }));
      first.call.abort();
      expect(stream.caught.events.map((line) => JSON.parse(line).id)).toEqual(['q']);
      stream.call.abort();
      const second = call(world, session, 2);
      world.child.say(question('r'));
      const before = world.child.lines.length;
      second.call.abort();
      expect(world.child.lines).toHaveLength(before + 1);
      expect(world.child.last).toMatchObject({ id: 'r', error: { code: -32603 } });
    });

    test('is not asked again when its call is over, or when the server has withdrawn it', () => {
      const world = new StdioWorld();
      const session = world.openSession();
      const over = call(world, session, 1);
      world.child.say(question('q'));
      world.child.say({ jsonrpc: '2.0', id: over.id, result: {} });
      const withdrawn = call(world, session, 2);
      world.child.say(question('r'));
      const next = call(world, session, 3);
      world.child.say(note('notifications/cancelled', { requestId: 'r' }));
      const before = world.child.lines.length;
      over.call.abort();
      withdrawn.call.abort();
      expect(next.caught.events).toHaveLength(0);
      expect(world.child.lines).toHaveLength(before);
    });

    test('is not kept when it is too long to be kept: the server is told instead', () => {
      const world = new StdioWorld();
      const session = world.openSession();
      const left = call(world, session, 1);
      const padding = 'x'.repeat(LIMITS.downstreamBufferBytesMax * 2);
      const ids = Array.from({ length: 9 }, (_, n) => `q${n}`);
      for (const id of ids) world.child.say({ ...question(id), params: { padding } });
      const next = call(world, session, 2);
      const before = world.child.lines.length;
      left.call.abort();
      const told = world.child.lines.slice(before).map((line) => JSON.parse(line).id);
      const asked = next.caught.events.map((line) => JSON.parse(line).id);
      expect([...told, ...asked]).toEqual(ids);
      expect(told.length).toBeGreaterThan(0);
      expect(asked.length).toBeGreaterThan(0);
    });
  });

  test('what concerns the session goes to its stream, or waits for one, bounded', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const sent = call(world, session, 1);
    for (let n = 0; n < LIMITS.sessionBacklogMax + 10; n++) {
      world.child.say(note('notifications/resources/updated', { uri: `x:${n}` }));
    }
    expect(sent.caught.head).toBeNull();
    const { caught } = world.send(null, legacy(session, { verb: 'GET' }));
    const uris = caught.events.map((line) => JSON.parse(line).params.uri);
    expect(uris).toHaveLength(LIMITS.sessionBacklogMax);
    expect(uris.at(0)).toBe('x:10');
    expect(uris.at(-1)).toBe(`x:${LIMITS.sessionBacklogMax + 9}`);
    world.child.say(note('notifications/tools/list_changed'));
    expect(caught.events).toHaveLength(LIMITS.sessionBacklogMax + 1);
  });

  /** `uri` of everything that a session's stream told. */
  const told = ({ caught }: Sent): unknown[] => caught.events.map((line) => JSON.parse(line).params.uri);
  const changed = (uri: string): Wire => note('notifications/resources/updated', { uri });

  test('regression: a client that is back before it is known to have left is not refused: its newest stream takes the place of the older', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const listen = (): Sent => world.send(null, legacy(session, { verb: 'GET' }));
    const older = listen();
    world.child.say(changed('x:1'));
    const newer = listen();
    expect([older.caught.ended, older.caught.failed]).toEqual([1, null]);
    world.child.say(changed('x:2'));
    older.call.abort();
    world.child.say(changed('x:3'));
    expect([told(older), told(newer)]).toEqual([['x:1'], ['x:2', 'x:3']]);
    expect(newer.caught.over).toBe(false);
    newer.call.abort();
    world.child.say(changed('x:4'));
    expect(told(listen())).toEqual(['x:4']);
  });

  test('regression: the newer stream gets what the client of the older has not taken, and what comes in between', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const older = world.send(null, legacy(session, { verb: 'GET' }));
    older.caught.takes = false;
    for (const n of [1, 2, 3]) world.child.say(changed(`x:${n}`));
    const newer = sendOn(world.upstream, null, legacy(session, { verb: 'GET' }));
    world.child.say(changed('x:4'));
    world.clock.turn();
    // The first was taken: its client only wanted no more after it.
    expect([told(older), told(newer)]).toEqual([['x:1'], ['x:2', 'x:3', 'x:4']]);
    expect([older.caught.ended, older.caught.failed]).toEqual([1, null]);
    older.call.resume();
    older.call.abort();
    world.child.say(changed('x:5'));
    expect(told(newer)).toHaveLength(4);
  });

  test('regression: of streams that are opened in one turn the last one is the session’s, the others end whole', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    world.child.say(changed('x:1'));
    const all = [1, 2, 3].map(() => sendOn(world.upstream, null, legacy(session, { verb: 'GET' })));
    world.clock.turn();
    world.child.say(changed('x:2'));
    expect(all.map(({ caught }) => [caught.head?.status, caught.ended, caught.failed])).toEqual([
      [200, 1, null],
      [200, 1, null],
      [200, 0, null],
    ]);
    expect(all.map(told)).toEqual([[], [], ['x:1', 'x:2']]);
  });

  test('progress of a call that is over (a task) goes to the session stream', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    const sent = call(world, session, 1, { _meta: { progressToken: 'task' } });
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: { task: {} } });
    world.child.say(note('notifications/progress', { progressToken: 'task', progress: 2 }));
    expect(stream.caught.events).toHaveLength(1);
  });

  test('a ping of the child is passed on when someone listens, else answered', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    world.child.say({ jsonrpc: '2.0', id: 'p1', method: 'ping' });
    expect(world.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 'p1', result: {} });
    const { caught } = world.send(null, legacy(session, { verb: 'GET' }));
    world.child.say({ jsonrpc: '2.0', id: 'p2', method: 'ping' });
    expect(caught.events.map((line) => JSON.parse(line).id)).toEqual(['p2']);
  });
});

describe('healing', () => {
  test('a new child gets the handshake again, then the call that waited; nobody sees its reply', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    const old = world.child;
    const lost = call(world, session, 1);
    old.exit(null, 'SIGKILL');
    expect(lost.caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(lost.caught.failed?.detail).toContain('SIGKILL');
    const message = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x' } };
    const first = world.send(message, legacy(session));
    const second = world.send({ ...message, id: 3 }, legacy(session));
    expect(world.children).toHaveLength(2);
    expect(world.child.got.map(({ method }) => method)).toEqual(['initialize']);
    expect(world.child.last.params).toEqual<unknown>(old.got[0]?.params);
    world.child.say({
      jsonrpc: '2.0',
      id: world.child.last.id ?? -1,
      result: { protocolVersion: '2025-11-25' },
    });
    expect(world.child.got.map(({ method }) => method)).toEqual([
      'initialize',
      'notifications/initialized',
      'tools/call',
      'tools/call',
    ]);
    for (const { id, method } of world.child.got) {
      if (method === 'tools/call') world.child.say({ jsonrpc: '2.0', id: id ?? -1, result: { fresh: true } });
    }
    expect(first.caught.json).toEqual<unknown>({ jsonrpc: '2.0', id: 2, result: { fresh: true } });
    expect(second.caught.json.id).toBe(3);
    expect(stream.caught.over).toBe(false);
    expect(stream.caught.events).toEqual([]);
    expect(world.upstream.stats()).toMatchObject({ sessions: 1, failures: 1, connects: 2 });
  });

  test('regression: a new child hears the level and the subscriptions before the next call, as far as the old one took them', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const set = (id: number, method: string, params: object, isTaken = true): void => {
      const { caught } = world.send({ jsonrpc: '2.0', id, method, params }, legacy(session));
      const answer = isTaken ? { result: {} } : { error: { code: -32002, message: 'no such thing' } };
      world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, ...answer });
      expect(caught.json.id).toBe(id);
    };
    set(1, 'logging/setLevel', { level: 'debug', _meta: { progressToken: 1 } });
    set(2, 'resources/subscribe', { uri: 'a://1' });
    set(3, 'resources/subscribe', { uri: 'a://2' });
    set(4, 'resources/subscribe', { uri: 'a://none' }, false);
    set(5, 'resources/unsubscribe', { uri: 'a://1' });
    world.send(
      { jsonrpc: '2.0', id: 6, method: 'resources/subscribe', params: { uri: 'a://late' } },
      legacy(session),
    );
    world.child.exit(1);
    const sent = call(world, session, 7);
    const child = world.child;
    child.say({ jsonrpc: '2.0', id: child.last.id ?? -1, result: {} });
    const heard = child.got.slice(1).map(({ method, params }) => [method, params] as unknown);
    expect(heard).toEqual([
      ['notifications/initialized', undefined],
      ['logging/setLevel', { level: 'debug' }],
      ['resources/subscribe', { uri: 'a://2' }],
      ['tools/call', { name: 'x' }],
    ]);
    // What the child answers to them is nobody's; the call goes on.
    for (const { id } of child.got.slice(2)) child.say({ jsonrpc: '2.0', id, result: {} });
    expect(sent.caught.json.id).toBe(7);
    expect(world.upstream.stats()).toMatchObject({ sessions: 1, busy: 0, waiting: 0 });
  });

  test('regression: a client that is subscribed and listens gets a new child unasked', () => {
    const world = new StdioWorld();
    const [plain, subscribed] = [world.openSession(), world.openSession()];
    const child = world.child;
    const uri = 'a://1';
    world.send({ jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri } }, legacy(subscribed));
    child.say({ jsonrpc: '2.0', id: child.last.id ?? -1, result: {} });
    world.send(null, legacy(plain, { verb: 'GET' }));
    const { caught } = world.send(null, legacy(subscribed, { verb: 'GET' }));
    for (const one of [...world.children]) one.exit(null, 'SIGKILL');
    expect(world.children).toHaveLength(3);
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: {} });
    expect(world.child.last).toEqual<unknown>(
      expect.objectContaining({ method: 'resources/subscribe', params: { uri } }),
    );
    world.child.say(note('notifications/resources/updated', { uri }));
    expect(caught.events.map((line) => JSON.parse(line).params.uri)).toEqual([uri]);
  });

  test('an answer to a question of the dead child does not reach its successor', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    call(world, session, 1);
    world.child.say({ jsonrpc: '2.0', id: 0, method: 'roots/list' });
    world.child.exit(1);
    const { caught } = world.send({ jsonrpc: '2.0', id: 0, result: { roots: [] } }, legacy(session));
    expect(caught.head?.status).toBe(202);
    expect(world.children).toHaveLength(1);
  });

  test('a new child that refuses the handshake ends the session', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    world.child.exit(1);
    const sent = world.send({ jsonrpc: '2.0', id: 2, method: 'tools/list' }, legacy(session));
    world.child.say({
      jsonrpc: '2.0',
      id: world.child.last.id ?? -1,
      error: { code: -32602, message: 'no' },
    });
    expect(sent.caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(world.child.stdinClosed).toBe(true);
    expect(
      world.send({ jsonrpc: '2.0', id: 3, method: 'tools/list' }, legacy(session)).caught.failed?.code,
    ).toBe('GW_SESSION_UNKNOWN');
  });

  test('a child that dies while healing fails who waits; the session backs off and recovers', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    world.child.exit(1);
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 12; i++) {
      const { caught } = world.send(list, legacy(session));
      world.clock.advance(2_000);
      if (!world.child.exited) world.child.exit(1);
      codes.push(caught.failed?.code);
    }
    expect(codes[0]).toBe('GW_UPSTREAM_SPAWN');
    expect(codes.at(-1)).toBe('GW_UPSTREAM_BACKOFF');
    world.clock.advance(LIMITS.childBackoffLastMs);
    const { caught } = world.send(list, legacy(session));
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: {} });
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: { tools: [] } });
    expect(caught.json.result).toEqual<unknown>({ tools: [] });
  });

  test('a session that dies again and again does not hold up the opening of others', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    for (let i = 0; i < 8; i++) {
      if (!world.child.exited) world.child.exit(1);
      world.send({ jsonrpc: '2.0', id: i, method: 'tools/list' }, legacy(session));
      world.clock.advance(1_000);
    }
    const started = world.children.length;
    world.openSession();
    expect(world.children).toHaveLength(started + 1);
  });

  test('a session that opens clears the back-off of those that did not', () => {
    const world = new StdioWorld();
    for (let i = 0; i < 6; i++) {
      world.send(INITIALIZE, legacy(null));
      world.clock.advance(1_700);
      if (!world.child.exited) world.child.exit(1);
    }
    world.clock.advance(LIMITS.childBackoffLastMs);
    world.openSession();
    for (let i = 0; i < 2; i++) {
      const started = world.children.length;
      world.send(INITIALIZE, legacy(null));
      expect(world.children).toHaveLength(started + 1);
      world.child.exit(1);
    }
  });

  test('a call whose deadline passes while it waits for the new child is told so, and not sent later', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    world.child.exit(1);
    const sent = world.send(
      { jsonrpc: '2.0', id: 2, method: 'tools/list' },
      legacy(session, { timeoutMs: 50 }),
    );
    world.clock.advance(100);
    expect(sent.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: {} });
    expect(world.child.got.map(({ method }) => method)).toEqual(['initialize', 'notifications/initialized']);
  });
});

describe('ending', () => {
  test('DELETE stops the child, fails its calls, ends its stream, forgets the id', () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    const sent = call(world, session, 1);
    const { caught } = world.send(null, legacy(session, { verb: 'DELETE' }));
    expect(caught.head?.status).toBe(200);
    // Not that it is unknown: that would say that nothing was executed.
    expect(sent.caught.failed?.code).toBe('GW_SESSION_ENDED');
    expect(stream.caught.ended).toBe(1);
    expect(world.child.stdinClosed).toBe(true);
    expect(world.send(null, legacy(session, { verb: 'DELETE' })).caught.failed?.code).toBe(
      'GW_SESSION_UNKNOWN',
    );
    world.child.exit();
    expect(world.upstream.stats()).toMatchObject({ total: 0, sessions: 0, failures: 0 });
  });

  test('close does not wait longer for a session that was ended just before', async () => {
    const world = new StdioWorld();
    const session = world.openSession();
    world.send(null, legacy(session, { verb: 'DELETE' }));
    const closed = world.upstream.close(300);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    world.clock.advance(350);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(world.child.signals).toEqual(['SIGKILL']);
    world.child.exit(null, 'SIGKILL');
    await closed;
  });

  test('a session ends when idle; a call, a stream or a message keeps it', () => {
    const world = new StdioWorld({
      sessionIdleMs: 1_000,
      spec: { ...stdioSpec('x', [], {}), firstByteTimeoutMs: 99_000 },
    });
    const session = world.openSession();
    const sent = call(world, session, 1);
    world.clock.advance(5_000);
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: {} });
    world.clock.advance(900);
    expect(world.upstream.stats().sessions).toBe(1);
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    world.clock.advance(5_000);
    expect(world.upstream.stats().sessions).toBe(1);
    stream.call.abort();
    world.clock.advance(900);
    expect(world.upstream.stats().sessions).toBe(1);
    const left = call(world, session, 2);
    left.call.abort();
    world.clock.advance(2_100);
    expect(world.upstream.stats().sessions).toBe(0);
    expect(world.child.stdinClosed).toBe(true);
  });

  test('close lets calls finish, refuses new ones, passes answers to questions, then stops the child', async () => {
    const world = new StdioWorld();
    const session = world.openSession();
    const stream = world.send(null, legacy(session, { verb: 'GET' }));
    const sent = call(world, session, 1);
    world.child.say({ jsonrpc: '2.0', id: 0, method: 'elicitation/create', params: {} });
    const closed = world.upstream.close(5_000);
    expect(stream.caught.ended).toBe(1);
    expect(world.send({ jsonrpc: '2.0', id: 9, method: 'x' }, legacy(session)).caught.failed?.code).toBe(
      'GW_UPSTREAM_CLOSING',
    );
    expect(world.send(INITIALIZE, legacy(null)).caught.failed?.code).toBe('GW_UPSTREAM_CLOSING');
    world.send({ jsonrpc: '2.0', id: 0, result: {} }, legacy(session));
    expect(world.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 0, result: {} });
    expect(world.child.stdinClosed).toBe(false);
    world.child.say({ jsonrpc: '2.0', id: sent.id, result: {} });
    expect(sent.caught.ended).toBe(1);
    await Promise.resolve();
    await Promise.resolve();
    expect(world.child.stdinClosed).toBe(true);
    world.child.exit();
    await closed;
    expect(world.upstream.stats().total).toBe(0);
  });
});
