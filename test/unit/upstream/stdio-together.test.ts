// Legacy sessions that share one child (`sharing: shared`): one handshake, ids and tokens apart, and who hears what.
// Run by bun test. Promises: the child is played by the test; no real time passes.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import {
  type RequestParts,
  type Sent,
  StdioWorld,
  stdioSpec,
  type Wire,
} from '../../fixtures/stdio-world.ts';

const RESULT = { protocolVersion: '2025-11-25', capabilities: { logging: {} }, serverInfo: { name: 's' } };

function world(parts: object = {}): StdioWorld {
  return new StdioWorld({ spec: stdioSpec('played', [], {}, { sharing: 'shared', ...parts }) });
}

function legacy(session: string | null, parts: RequestParts = {}): RequestParts {
  return { era: 'legacy', session, ...parts };
}

function initialize(id: string | number, capabilities: object = {}, protocolVersion = '2025-11-25'): Wire {
  return { jsonrpc: '2.0', id, method: 'initialize', params: { protocolVersion, capabilities } };
}

function note(method: string, params: object = {}): Wire {
  return { jsonrpc: '2.0', method, params };
}

/** Answers what the child got last. */
function answer(at: StdioWorld, result: object = {}): void {
  at.child.say({ jsonrpc: '2.0', id: at.child.last.id, result });
}

/** A session; the child is asked for the first one only. */
function open(at: StdioWorld, capabilities: object = {}): string {
  const isFirst = at.upstream.stats().total === 0;
  const { caught } = at.send(initialize('i', capabilities), legacy(null));
  if (isFirst) at.child.say({ jsonrpc: '2.0', id: at.child.last.id, result: RESULT });
  const session = caught.head?.sessionId;
  if (typeof session !== 'string') throw new Error('no session was opened');
  at.send(note('notifications/initialized'), legacy(session));
  return session;
}

function call(
  at: StdioWorld,
  session: string,
  id: string | number,
  params: object = {},
): Sent & { pipeId: string | number } {
  const sent = at.send(
    { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x', ...params } },
    legacy(session),
  );
  return { ...sent, pipeId: at.child.last.id };
}

function stream(at: StdioWorld, session: string): Sent {
  return at.send(null, legacy(session, { verb: 'GET' }));
}

function methods(sent: Sent): string[] {
  return sent.caught.events.map((line) => JSON.parse(line).method);
}

describe('the handshake', () => {
  test('the child hears one initialize and one initialized; each client gets the answer under its own id', () => {
    const at = world();
    const first = at.send(initialize('one', { sampling: {} }), legacy(null));
    const second = at.send(initialize(2, {}, '2024-11-05'), legacy(null));
    expect(at.children).toHaveLength(1);
    expect(at.child.got).toHaveLength(1);
    expect(at.child.last).toMatchObject({
      method: 'initialize',
      params: { capabilities: { sampling: {} } },
    });
    expect(second.caught.over).toBe(false);
    at.child.say({ jsonrpc: '2.0', id: at.child.last.id, result: RESULT });
    const third = at.send(initialize('one'), legacy(null));
    for (const [sent, id] of [
      [first, 'one'],
      [second, 2],
      [third, 'one'],
    ] as const) {
      expect(sent.caught.json).toEqual<unknown>({ jsonrpc: '2.0', id, result: RESULT });
      expect(sent.caught.head?.sessionId).toHaveLength(43);
    }
    const ids = new Set([first, second, third].map((sent) => sent.caught.head?.sessionId));
    expect(ids.size).toBe(3);
    for (const session of ids) {
      const { caught } = at.send(note('notifications/initialized'), legacy(session ?? ''));
      expect(caught.head?.status).toBe(202);
    }
    expect(at.child.got.map((message) => message.method)).toEqual([
      'initialize',
      'notifications/initialized',
    ]);
    expect(at.upstream.stats()).toMatchObject({ sessions: 3, total: 1, connects: 1 });
  });

  test('a refusal reaches all who waited, opens nothing, and the next client asks anew in its own words', () => {
    const at = world();
    const first = at.send(initialize(1), legacy(null));
    const second = at.send(initialize(2), legacy(null));
    at.child.say({ jsonrpc: '2.0', id: at.child.last.id, error: { code: -32602, message: 'no' } });
    expect([first, second].map(({ caught }) => [caught.json.id, caught.json.error.code])).toEqual([
      [1, -32602],
      [2, -32602],
    ]);
    expect(at.upstream.stats().sessions).toBe(0);
    expect(at.child.stdinClosed).toBe(true);
    at.child.exit();
    at.send(initialize(3, { roots: {} }), legacy(null));
    expect(at.children).toHaveLength(2);
    expect(at.child.last).toMatchObject({ params: { capabilities: { roots: {} } } });
  });

  test('a child that dies before it answers fails all who wait', () => {
    const at = world();
    const sent = [1, 2].map((id) => at.send(initialize(id), legacy(null)));
    at.child.exit(3);
    expect(sent.map(({ caught }) => caught.failed?.code)).toEqual(['GW_UPSTREAM_SPAWN', 'GW_UPSTREAM_SPAWN']);
    expect(at.upstream.stats().sessions).toBe(0);
  });

  test('a client that left before the answer leaves no session behind, and harms nobody', () => {
    const at = world();
    const gone = at.send(initialize(1), legacy(null));
    const stays = at.send(initialize(2), legacy(null));
    gone.call.abort();
    at.child.say({ jsonrpc: '2.0', id: at.child.last.id, result: RESULT });
    expect(stays.caught.head?.sessionId).toHaveLength(43);
    expect(at.upstream.stats().sessions).toBe(1);
  });
});

describe('calls', () => {
  test('equal ids and progress tokens of different sessions stay apart', () => {
    const at = world();
    const sessions = [open(at), open(at), open(at)];
    const calls = sessions.map((session) => call(at, session, 7, { _meta: { progressToken: 't' } }));
    const seen = at.child.got.slice(-3);
    expect(new Set(seen.map((message) => message.id)).size).toBe(3);
    expect(seen.map((message) => message.params._meta.progressToken)).toEqual(
      seen.map((message) => message.id),
    );
    for (const [n, { id }] of [...seen.entries()].reverse()) {
      at.child.say(note('notifications/progress', { progressToken: id, progress: n }));
      at.child.say({ jsonrpc: '2.0', id, result: { n } });
    }
    for (const [n, { caught }] of calls.entries())
      expect(caught.events.map((line) => JSON.parse(line))).toEqual([
        { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 't', progress: n } },
        { jsonrpc: '2.0', id: 7, result: { n } },
      ]);
  });

  test("a session cancels its own call and nobody else's, though both bear the same id", () => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    const one = call(at, a, 1);
    const other = call(at, b, 1);
    at.send(note('notifications/cancelled', { requestId: 1, reason: 'enough' }), legacy(a));
    expect(at.child.last).toMatchObject(
      note('notifications/cancelled', { requestId: one.pipeId, reason: 'enough' }),
    );
    at.clock.advance(1_100);
    expect(one.caught.ended).toBe(1);
    expect(other.caught.over).toBe(false);
    const before = at.child.lines.length;
    at.send(note('notifications/cancelled', { requestId: 1 }), legacy(a));
    expect(at.child.lines).toHaveLength(before);
  });

  test('leaving cancels nothing; the end of the session does, and only for its own calls', () => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    const left = call(at, a, 1);
    const running = call(at, a, 2);
    const other = call(at, b, 1);
    const before = at.child.lines.length;
    left.call.abort();
    expect(at.child.lines).toHaveLength(before);
    expect(at.send(null, legacy(a, { verb: 'DELETE' })).caught.head?.status).toBe(200);
    expect(at.child.got.slice(before).map((message) => message.params.requestId)).toEqual([
      left.pipeId,
      running.pipeId,
    ]);
    expect(running.caught.failed?.code).toBe('GW_SESSION_ENDED');
    expect(call(at, a, 3).caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    at.child.say({ jsonrpc: '2.0', id: other.pipeId, result: {} });
    expect(other.caught.json.id).toBe(1);
    expect(at.upstream.stats()).toMatchObject({ sessions: 1, total: 1 });
  });

  test('a batch is answered on one stream, what is answered here included', () => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    at.send({ jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'debug' } }, legacy(a));
    answer(at);
    const before = at.child.lines.length;
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'error' } },
      { jsonrpc: '2.0', id: 2, method: 'tools/list' },
    ];
    const { caught } = at.send(JSON.stringify(batch), legacy(b));
    expect(at.child.got.slice(before).map((message) => message.method)).toEqual(['tools/list']);
    answer(at, { tools: [] });
    expect(caught.events.map((line) => JSON.parse(line).id)).toEqual([1, 2]);
    expect(caught.ended).toBe(1);
  });
});

describe('what the child asks', () => {
  const ask = (id: string | number, method = 'elicitation/create'): Wire => ({
    jsonrpc: '2.0',
    id,
    method,
    params: {},
  });
  const lastError = (at: StdioWorld): number => at.child.last.error.code;

  test('goes to the only session with calls, if it declared the capability; its answer goes back, once', () => {
    const at = world();
    const [a, b] = [open(at, { elicitation: {} }), open(at)];
    const sent = call(at, a, 1);
    at.child.say(ask('q'));
    expect(methods(sent)).toEqual(['elicitation/create']);
    const before = at.child.lines.length;
    at.send({ jsonrpc: '2.0', id: 'q', result: { action: 'accept', of: 'b' } }, legacy(b));
    expect(at.child.lines).toHaveLength(before);
    at.send({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } }, legacy(a));
    expect(at.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } });
    at.send({ jsonrpc: '2.0', id: 'q', result: {} }, legacy(a));
    expect(at.child.lines).toHaveLength(before + 1);
  });

  test('is refused without a call, with calls of two sessions, without the capability, and of unknown kind', () => {
    const at = world();
    const [a, b] = [open(at, { elicitation: {}, roots: {} }), open(at, { elicitation: {} })];
    at.child.say(ask(1));
    expect(lastError(at)).toBe(-32603);
    const one = call(at, a, 1);
    at.child.say(ask(2, 'sampling/createMessage'));
    expect(lastError(at)).toBe(-32601);
    at.child.say(ask(3, 'x/y'));
    expect(lastError(at)).toBe(-32601);
    const other = call(at, b, 1);
    at.child.say(ask(4, 'roots/list'));
    expect(lastError(at)).toBe(-32603);
    expect([one.caught.head, other.caught.head]).toEqual([null, null]);
    at.child.say({ jsonrpc: '2.0', id: 5, method: 'ping' });
    expect(at.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 5, result: {} });
  });

  test('is not taken for a call that another session gave up a moment ago', () => {
    const at = world();
    const [a, b] = [open(at, { elicitation: {} }), open(at, { elicitation: {} })];
    call(at, a, 1);
    at.send(note('notifications/cancelled', { requestId: 1 }), legacy(a));
    at.clock.advance(1_100);
    const sent = call(at, b, 1);
    at.child.say(ask('q'));
    expect(lastError(at)).toBe(-32603);
    expect(sent.caught.head).toBeNull();
    at.clock.advance(31_000);
    at.child.say(ask('r'));
    expect(methods(sent)).toEqual(['elicitation/create']);
  });

  test('regression: of a client that has left a call a moment ago, unnoticed so far, goes to its next one', () => {
    const at = world();
    const a = open(at, { elicitation: {} });
    const left = call(at, a, 1);
    const next = call(at, a, 2);
    at.child.say(ask('q'));
    expect([methods(left), methods(next)]).toEqual([[], ['elicitation/create']]);
    next.call.abort();
    expect(methods(left)).toEqual(['elicitation/create']);
  });

  test('regression: on the stream of a call that turns out to be left is asked again in another, on the session stream, or refused', () => {
    const at = world();
    const a = open(at, { elicitation: {} });
    const left = call(at, a, 1, { _meta: { progressToken: 't' } });
    at.child.say(note('notifications/progress', { progressToken: left.pipeId, progress: 1 }));
    const next = call(at, a, 2);
    at.child.say(ask('q'));
    expect([methods(left).length, methods(next).length]).toEqual([2, 0]);
    left.call.abort();
    expect(methods(next)).toEqual(['elicitation/create']);
    const own = stream(at, a);
    next.call.abort();
    expect(methods(own)).toEqual(['elicitation/create']);
    at.send({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } }, legacy(a));
    expect(at.child.last).toEqual<unknown>({ jsonrpc: '2.0', id: 'q', result: { action: 'decline' } });
    own.call.abort();
    const last = call(at, a, 3);
    at.child.say(ask('r'));
    last.call.abort();
    expect(at.child.last).toMatchObject({ id: 'r', error: { code: -32603 } });
  });

  test('is withdrawn where it was heard, and given up when the session ends', () => {
    const at = world();
    const a = open(at, { elicitation: {} });
    const sent = call(at, a, 1);
    at.child.say(ask('q'));
    at.child.say(note('notifications/cancelled', { requestId: 'q' }));
    expect(methods(sent)).toEqual(['elicitation/create', 'notifications/cancelled']);
    at.child.say(ask('r'));
    at.send(null, legacy(a, { verb: 'DELETE' }));
    expect(at.child.last).toMatchObject({ id: 'r', error: { code: -32603 } });
  });
});

describe('what the child tells', () => {
  test('list_changed reaches every session, open stream or not', () => {
    const at = world();
    const [a, b, c] = [open(at), open(at), open(at)];
    const streams = [stream(at, a), stream(at, b)];
    at.child.say(note('notifications/tools/list_changed'));
    streams.push(stream(at, c));
    expect(streams.map(methods)).toEqual(streams.map(() => ['notifications/tools/list_changed']));
  });

  test('news of a resource reach those who subscribed; the child is asked once, and left when the last one leaves', () => {
    const at = world();
    const [a, b, c] = [open(at), open(at), open(at)];
    const streams = [a, b, c].map((session) => stream(at, session));
    const wish = (session: string, method: string): Sent =>
      at.send({ jsonrpc: '2.0', id: 1, method, params: { uri: 'file:///x' } }, legacy(session));
    const first = wish(a, 'resources/subscribe');
    expect(at.child.last.method).toBe('resources/subscribe');
    answer(at);
    expect(first.caught.json.result).toEqual<unknown>({});
    const before = at.child.lines.length;
    expect(wish(b, 'resources/subscribe').caught.json).toEqual<unknown>({
      jsonrpc: '2.0',
      id: 1,
      result: {},
    });
    for (const uri of ['file:///x', 'file:///x/y', 'file:///xy'])
      at.child.say(note('notifications/resources/updated', { uri }));
    expect(streams.map((sent) => sent.caught.events.length)).toEqual([2, 2, 0]);
    expect(wish(a, 'resources/unsubscribe').caught.json.result).toEqual<unknown>({});
    expect(at.child.lines).toHaveLength(before);
    at.send(null, legacy(b, { verb: 'DELETE' }));
    expect(at.child.last).toMatchObject({
      method: 'resources/unsubscribe',
      params: { uri: 'file:///x' },
    });
  });

  test.each([
    ['its prefix cut', 1, 3, ''],
    ['the whole of it replaced', 0, 'a+file:///x'.length + 2, '"file:///x"'],
  ])('regression: a session whose URI is rewritten on its way (%s) hears of it', (_how, from, to, insert) => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    const streams = [a, b].map((session) => stream(at, session));
    const message = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri: 'a+file:///x' } };
    const uriAt = JSON.stringify(message).indexOf('"a+file');
    const edits = [{ start: uriAt + from, end: uriAt + to, insert: new TextEncoder().encode(insert) }];
    at.send(message, legacy(a, { edits }));
    expect(at.child.last).toMatchObject({ method: 'resources/subscribe', params: { uri: 'file:///x' } });
    answer(at);
    at.child.say(note('notifications/resources/updated', { uri: 'file:///x' }));
    expect(streams.map((sent) => sent.caught.events.length)).toEqual([1, 0]);
    at.send(null, legacy(a, { verb: 'DELETE' }));
    expect(at.child.last).toMatchObject({ method: 'resources/unsubscribe', params: { uri: 'file:///x' } });
  });

  test('the child is told the most verbose level; each session hears from its own level on', () => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    const setLevel = (session: string, level: string): Sent =>
      at.send({ jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level } }, legacy(session));
    setLevel(a, 'warning');
    expect(at.child.last).toMatchObject({ method: 'logging/setLevel', params: { level: 'warning' } });
    answer(at);
    setLevel(b, 'debug');
    expect(at.child.last).toMatchObject({ params: { level: 'debug' } });
    answer(at);
    const before = at.child.lines.length;
    expect(setLevel(a, 'notice').caught.json.result).toEqual<unknown>({});
    expect(at.child.lines).toHaveLength(before);
    const log = (level: string): void => at.child.say(note('notifications/message', { level, data: level }));
    const one = call(at, a, 1);
    for (const level of ['debug', 'info', 'notice', 'error']) log(level);
    expect(one.caught.events.map((line) => JSON.parse(line).params.level)).toEqual(['notice', 'error']);
    const other = call(at, b, 1);
    log('error');
    at.child.say({ jsonrpc: '2.0', id: one.pipeId, result: {} });
    log('debug');
    expect(other.caught.events.map((line) => JSON.parse(line).params.level)).toEqual(['debug']);
    log('error');
    expect(one.caught.events).toHaveLength(3);
  });

  test('what names nobody reaches nobody', () => {
    const at = world();
    const session = open(at);
    const own = stream(at, session);
    for (const method of [
      'notifications/message',
      'notifications/x',
      'notifications/progress',
      'notifications/cancelled',
    ])
      at.child.say(note(method, { level: 'error', progressToken: 5, requestId: 5 }));
    expect(own.caught.events).toEqual([]);
  });
});

describe('a child that ends', () => {
  test('fails calls; the next one is initialised as the first client asked, and told what the sessions want', () => {
    const at = world();
    const a = open(at, { sampling: {} });
    const b = open(at);
    at.send({ jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'error' } }, legacy(b));
    answer(at);
    at.send({ jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params: { uri: 'u:1' } }, legacy(b));
    answer(at);
    const lost = [call(at, a, 1), call(at, b, 1)];
    at.child.exit(1);
    expect(lost.map(({ caught }) => caught.failed?.code)).toEqual([
      'GW_UPSTREAM_EXITED',
      'GW_UPSTREAM_EXITED',
    ]);
    const next = [a, b].map((session) =>
      at.send({ jsonrpc: '2.0', id: 9, method: 'tools/list' }, legacy(session)),
    );
    expect(at.children).toHaveLength(2);
    expect(at.child.got).toHaveLength(1);
    expect(at.child.last).toMatchObject({ params: { capabilities: { sampling: {} } } });
    answer(at, RESULT);
    expect(at.child.got.slice(1).map((message) => message.method)).toEqual([
      'notifications/initialized',
      'logging/setLevel',
      'resources/subscribe',
      'tools/list',
      'tools/list',
    ]);
    for (const message of at.child.got.slice(-2))
      at.child.say({ jsonrpc: '2.0', id: message.id, result: {} });
    expect(next.map(({ caught }) => caught.json.id)).toEqual([9, 9]);
    expect(at.upstream.stats()).toMatchObject({ sessions: 2, total: 1, failures: 1 });
  });

  test('and whose successor refuses to be initialised, ends all sessions', () => {
    const at = world();
    const [a, b] = [open(at), open(at)];
    at.child.exit(1);
    const sent = call(at, a, 1);
    at.child.say({ jsonrpc: '2.0', id: at.child.last.id, error: { code: -32000, message: 'not again' } });
    expect(sent.caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(call(at, b, 1).caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(at.upstream.stats().sessions).toBe(0);
  });

  test('an idle child ends, unless somebody listens; the next call starts it again', () => {
    const at = world({ idleMs: 50_000 });
    const session = open(at);
    const own = stream(at, session);
    at.clock.advance(55_000);
    expect(at.child.stdinClosed).toBe(false);
    own.call.abort();
    at.clock.advance(55_000);
    expect(at.child.stdinClosed).toBe(true);
    at.child.exit();
    const sent = call(at, session, 1);
    expect(at.children).toHaveLength(2);
    answer(at, RESULT);
    answer(at, { ok: true });
    expect(sent.caught.json.result).toEqual<unknown>({ ok: true });
    expect(at.upstream.stats().failures).toBe(0);
  });
});

describe('bounds', () => {
  test('sessions idle out one by one, whatever the others do', () => {
    const at = world();
    const a = open(at);
    at.clock.advance(40_000);
    const b = open(at);
    at.clock.advance(30_000);
    expect(call(at, a, 1).caught.failed?.code).toBe('GW_SESSION_UNKNOWN');
    expect(call(at, b, 1).caught.failed).toBeNull();
  });

  test('close fails the waiting and ends everything', async () => {
    const at = world();
    const session = open(at);
    const own = stream(at, session);
    const sent = call(at, session, 1);
    const closed = at.upstream.close(1_000);
    at.clock.turn();
    expect(own.caught.ended).toBe(1);
    for (let turn = 0; turn < 10; turn++) {
      at.clock.advance(100);
      await Promise.resolve();
    }
    expect(sent.caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(at.child.stdinClosed).toBe(true);
    at.child.exit();
    await closed;
    expect(at.upstream.stats()).toMatchObject({ sessions: 0, total: 0 });
  });

  test('a start that takes too long ends what waits for it', () => {
    const at = world({ startMs: 1_000 });
    const { caught } = at.send(initialize(1), legacy(null));
    at.clock.advance(1_100);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_SPAWN');
    expect(caught.failed?.detail).toContain('startMs');
    expect(at.child.signals).toContain('SIGKILL');
    expect(LIMITS.childStartMs).toBeGreaterThan(1_000);
  });
});
