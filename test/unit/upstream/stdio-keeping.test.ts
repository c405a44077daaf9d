// How processes of a stdio server are kept: idle time-out, start deadline, memory bound, warm ones, crash loops, who shares one; and how
// progress extends a call.
// Run by bun test. Promises: the children are played by the test; no real time passes.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { createLog } from '../../../src/observe/log.ts';
import type { KeepSettings } from '../../../src/upstream/spec.ts';
import { showable } from '../../../src/upstream/stdio-stderr.ts';
import {
  modern,
  type PlayedChild,
  type RequestParts,
  type Sent,
  StdioWorld,
  stdioSpec,
  type Wire,
} from '../../fixtures/stdio-world.ts';

const LISTEN = modern('l', 'subscriptions/listen', { notifications: {} });

function world(keep: Partial<KeepSettings>, parts: object = {}): StdioWorld {
  return new StdioWorld({ spec: stdioSpec('played', [], {}, keep), ...parts });
}

function call(
  at: StdioWorld,
  id: string | number,
  meta: object = {},
): Sent & { readonly of: PlayedChild; readonly pipeId: string | number } {
  const sent = at.send(modern(id, 'tools/call', { name: 'x' }, meta));
  return { ...sent, of: at.child, pipeId: at.child.last.id };
}

function answer(child: PlayedChild, id: string | number = child.last.id): void {
  child.say({ jsonrpc: '2.0', id, result: {} });
}

function legacy(session: string | null, parts: RequestParts = {}): RequestParts {
  return { era: 'legacy', session, ...parts };
}

function sessionCall(at: StdioWorld, session: string): Sent {
  return at.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } }, legacy(session));
}

const INITIALIZE: Wire = { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} };

/** Lets the look at the memory, which is a promise, come to its end. */
async function look(at: StdioWorld): Promise<void> {
  at.clock.advance(LIMITS.childMemoryCheckMs);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  at.clock.turn();
}

describe('idle', () => {
  test('the shared child ends after idleMs without a call, and starts again without back-off', () => {
    const at = world({ idleMs: 10_000 });
    const first = call(at, 1);
    at.clock.advance(15_000);
    expect(at.child.stdinClosed).toBe(false);
    answer(at.child, first.pipeId);
    at.clock.advance(6_000);
    answer(call(at, 2).of);
    at.clock.advance(9_000);
    expect(at.child.stdinClosed).toBe(false);
    at.clock.advance(2_000);
    expect(at.child.stdinClosed).toBe(true);
    const next = call(at, 3);
    expect(at.children).toHaveLength(2);
    at.children[0]?.exit();
    answer(next.of, next.pipeId);
    expect(next.caught.json.id).toBe(3);
    expect(at.upstream.stats()).toMatchObject({ total: 1, failures: 0 });
  });

  test('a listen keeps it; 0 keeps it for ever', () => {
    const at = world({ idleMs: 10_000 });
    const { call: handle } = at.send(LISTEN);
    at.clock.advance(100_000);
    expect(at.child.stdinClosed).toBe(false);
    handle.abort();
    at.clock.advance(25_000);
    expect(at.child.stdinClosed).toBe(true);
    const ever = world({ idleMs: 0 });
    answer(call(ever, 1).of);
    ever.clock.advance(10 * LIMITS.childIdleMs);
    expect(ever.child.stdinClosed).toBe(false);
  });

  test('regression: a listen of the gateway’s own neither keeps it nor starts it, and is no use of it', () => {
    const at = world({ idleMs: 10_000 });
    const background = { isBackground: true };
    expect(at.send(LISTEN, background).caught.failed?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(at.children).toHaveLength(0);
    answer(call(at, 1).of);
    const listen = at.send(LISTEN, background);
    at.clock.advance(6_000);
    listen.call.abort();
    const again = at.send(LISTEN, background);
    at.clock.advance(3_000);
    expect(at.child.stdinClosed).toBe(false);
    at.clock.advance(1_500);
    expect(at.child.stdinClosed).toBe(true);
    expect(again.caught.over).toBe(true);
    expect(at.send(LISTEN, background).caught.failed?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(at.children).toHaveLength(1);
  });

  test('a listen of the gateway’s own does not hold up its release, a client’s does', () => {
    const at = world({});
    answer(call(at, 1).of);
    const { caught } = at.send(LISTEN, { isBackground: true });
    at.upstream.releaseShared?.();
    expect([at.child.stdinClosed, caught.over]).toEqual([true, true]);
    const other = world({});
    other.send(LISTEN);
    other.upstream.releaseShared?.();
    expect(other.child.stdinClosed).toBe(false);
  });

  test('released, it ends at once, or as soon as it has no calls', () => {
    const at = world({});
    const first = call(at, 1);
    at.upstream.releaseShared?.();
    expect(first.of.stdinClosed).toBe(false);
    answer(first.of);
    expect(first.of.stdinClosed).toBe(true);
    const second = call(at, 2);
    expect(at.children).toHaveLength(2);
    answer(second.of);
    expect(second.of.stdinClosed).toBe(false);
    at.upstream.releaseShared?.();
    expect(second.of.stdinClosed).toBe(true);
    at.upstream.releaseShared?.();
    answer(call(at, 3).of);
    expect(at.child.stdinClosed).toBe(false);
  });
});

describe('the start', () => {
  test('a session whose process does not answer initialize in time is told which option says so', () => {
    const at = world({ startMs: 1_000 });
    const { caught } = at.send(INITIALIZE, legacy(null));
    at.clock.advance(999);
    expect(caught.failed).toBeNull();
    at.clock.advance(10);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(caught.failed?.detail).toContain('raise startMs');
    expect(at.child.signals).toEqual(['SIGKILL']);
    expect(at.upstream.stats()).toMatchObject({ sessions: 0, failures: 1 });
  });

  test('so is a modern client that asked what every server answers at once; a call may take longer', () => {
    const at = world({ startMs: 1_000 });
    const slow = call(at, 1);
    at.clock.advance(5_000);
    expect(at.child.signals).toEqual([]);
    const { caught } = at.send(modern(2, 'server/discover'));
    at.clock.advance(1_100);
    expect([caught, slow.caught].map((sink) => sink.failed?.code)).toEqual([
      'GW_UPSTREAM_EXITED',
      'GW_UPSTREAM_EXITED',
    ]);
    expect(at.child.signals).toEqual(['SIGKILL']);
  });

  test('any answer, and progress, is enough; later requests have no such bound', () => {
    for (const say of [
      (child: PlayedChild, id: string | number) => answer(child, id),
      (child: PlayedChild, id: string | number) =>
        child.say({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: id, progress: 1 },
        }),
    ]) {
      const at = world({ startMs: 1_000 });
      const first = call(at, 1, { progressToken: 'p' });
      const { caught } = at.send(modern(2, 'server/discover'));
      say(at.child, first.pipeId);
      at.clock.advance(30_000);
      expect(caught.failed).toBeNull();
      expect(at.child.signals).toEqual([]);
    }
  });

  test('counts as a failed start, however long it took', () => {
    const at = world({ startMs: 2 * LIMITS.childHealthyMs });
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 12; i++) {
      const { caught } = at.send(INITIALIZE, legacy(null));
      at.clock.advance(2 * LIMITS.childHealthyMs + 2_100);
      codes.push(caught.failed?.code);
    }
    expect(codes[0]).toBe('GW_UPSTREAM_EXITED');
    expect(codes).toContain('GW_UPSTREAM_BACKOFF');
  });
});

describe('memory', () => {
  test('an idle child over the bound is replaced at once', async () => {
    const at = world({ memoryMaxBytes: 1_000 });
    const first = call(at, 1);
    answer(first.of);
    at.memory.set(first.of.pid, 1_000);
    await look(at);
    expect(first.of.stdinClosed).toBe(false);
    at.memory.set(first.of.pid, 1_001);
    await look(at);
    expect(first.of.stdinClosed).toBe(true);
    expect(call(at, 2).of).not.toBe(first.of);
    expect(at.upstream.stats().failures).toBe(1);
  });

  test('calls under way finish on it, new ones go to its successor, listens end', async () => {
    const at = world({ memoryMaxBytes: 1_000 });
    const [one, two] = [call(at, 1), call(at, 2)];
    const listen = at.send(LISTEN);
    at.memory.set(one.of.pid, 5_000);
    await look(at);
    expect(listen.caught.ended).toBe(1);
    const three = call(at, 3);
    expect(at.children).toHaveLength(2);
    answer(one.of, one.pipeId);
    expect(one.caught.json.id).toBe(1);
    expect(one.of.stdinClosed).toBe(false);
    answer(one.of, two.pipeId);
    expect(one.of.stdinClosed).toBe(true);
    answer(three.of, three.pipeId);
    expect(three.caught.json.id).toBe(3);
    expect(at.upstream.stats().busy).toBe(0);
  });

  test('a call that does not finish is failed after a moment', async () => {
    const at = world({ memoryMaxBytes: 1_000 });
    const stuck = call(at, 1);
    at.memory.set(stuck.of.pid, 5_000);
    await look(at);
    at.clock.advance(LIMITS.childRetireMs + 100);
    expect(stuck.caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(stuck.caught.failed?.detail).toContain('memoryMaxBytes');
    expect(stuck.of.stdinClosed).toBe(true);
  });

  test("a session's child is replaced when it has no calls, and initialised again", async () => {
    const at = world({ memoryMaxBytes: 1_000 });
    const session = at.openSession();
    const old = at.child;
    const running = sessionCall(at, session);
    at.memory.set(old.pid, 5_000);
    await look(at);
    expect(old.stdinClosed).toBe(false);
    answer(old);
    expect(running.caught.json.id).toBe(1);
    expect(old.stdinClosed).toBe(true);
    old.exit();
    const next = sessionCall(at, session);
    expect(at.child.last.method).toBe('initialize');
    answer(at.child);
    expect(at.child.got.map((message) => message.method)).toEqual([
      'initialize',
      'notifications/initialized',
      'tools/call',
    ]);
    answer(at.child);
    expect(next.caught.json.id).toBe(1);
  });

  test("a session's child with a call that never ends is replaced in the end", async () => {
    const at = world({ memoryMaxBytes: 1_000 });
    const session = at.openSession();
    const old = at.child;
    const stuck = sessionCall(at, session);
    at.memory.set(old.pid, 5_000);
    await look(at);
    at.clock.advance(LIMITS.childRetireMs + 100);
    expect(stuck.caught.failed?.detail).toContain('memoryMaxBytes');
    expect(old.stdinClosed).toBe(true);
    sessionCall(at, session);
    expect(at.child).not.toBe(old);
    expect(at.upstream.stats().sessions).toBe(1);
  });

  test('without a bound nobody looks', async () => {
    const at = world({});
    const first = call(at, 1);
    at.memory.set(first.of.pid, Number.MAX_SAFE_INTEGER);
    answer(first.of);
    await look(at);
    expect(first.of.stdinClosed).toBe(false);
  });
});

describe('warm processes', () => {
  test('are started with the first session, taken by those that follow, and replaced', () => {
    const at = world({ warm: 2 });
    expect(at.children).toHaveLength(0);
    at.openSession();
    expect(at.children).toHaveLength(3);
    const [, warm] = at.children;
    const { caught } = at.send(INITIALIZE, legacy(null));
    expect(warm?.got.map((message) => message.method)).toEqual(['initialize']);
    answer(warm as PlayedChild);
    expect(caught.head?.sessionId).toHaveLength(43);
    expect(at.children).toHaveLength(4);
    expect(at.children[3]?.lines).toEqual([]);
    expect(at.upstream.stats()).toMatchObject({ total: 4, sessions: 2 });
  });

  test('with `era: legacy` they are started before anybody asks', () => {
    const at = new StdioWorld({ spec: { ...stdioSpec('played', [], {}, { warm: 2 }), era: 'legacy' } });
    at.clock.turn();
    expect(at.children).toHaveLength(2);
  });

  test('one that dies while it waits is replaced, with back-off; what it says is nobody’s', () => {
    const at = new StdioWorld({ spec: { ...stdioSpec('played', [], {}, { warm: 1 }), era: 'legacy' } });
    at.clock.turn();
    at.child.say({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'early' } });
    for (let death = 0; death < 20; death++) {
      if (!at.child.exited) at.child.exit(1);
      at.clock.advance(1_000);
    }
    expect(at.children.length).toBeGreaterThan(4);
    expect(at.children.length).toBeLessThan(12);
  });

  test('they count as sessions against the bound, and give way to them', () => {
    const at = world({ warm: 5 }, { sessionsMax: 3 });
    at.openSession();
    expect(at.children).toHaveLength(3);
    at.send(INITIALIZE, legacy(null));
    at.send(INITIALIZE, legacy(null));
    expect(at.children).toHaveLength(3);
    expect(at.send(INITIALIZE, legacy(null)).caught.failed?.code).toBe('GW_SESSION_LIMIT');
  });

  test('a command that cannot be started is tried again with back-off, not in a storm', () => {
    const at = new StdioWorld({ spec: { ...stdioSpec('played', [], {}, { warm: 3 }), era: 'legacy' } });
    at.spawnFault = new GatewayError('GW_UPSTREAM_SPAWN', 'no such command');
    at.clock.advance(5_000);
    at.spawnFault = null;
    at.clock.advance(LIMITS.childBackoffLastMs);
    expect(at.children).toHaveLength(3);
  });

  test('close ends them', async () => {
    const at = world({ warm: 2 });
    at.openSession();
    const closed = at.upstream.close(1_000);
    at.clock.advance(600);
    await Promise.resolve();
    at.clock.advance(600);
    for (const child of at.children) child.exit();
    await closed;
    at.clock.advance(60_000);
    expect(at.children).toHaveLength(3);
    expect(at.upstream.stats().total).toBe(0);
  });
});

describe('a crash loop', () => {
  test('is logged once with what the process said last; clients are told, without secrets, until it works again', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line), wall: () => 0 });
    const env = { API_KEY: 'sk-very-secret', HOME: '/home/ada' };
    const at = new StdioWorld({ spec: stdioSpec('played', [], env), log });
    const loops = (): string[] => lines.filter((line) => line.includes('crash loop'));
    const dies = (): void => {
      const { caught } = at.send(modern(1, 'tools/call'));
      for (let wait = 0; wait < 100 && at.children.every((child) => child.exited) && !caught.over; wait++)
        at.clock.advance(100);
      if (at.child.exited) return;
      at.child.complain('starting in /home/ada\nbad key sk-very-secret of /home/ada\n');
      at.child.exit(7);
    };
    for (let death = 0; death < LIMITS.childCrashLoopDeaths; death++) dies();
    expect(loops()).toHaveLength(1);
    expect(loops()[0]).toContain('"deaths":5');
    expect(loops()[0]).toContain('it exited with code 7');
    expect(loops()[0]).toContain('starting in /home/ada');
    for (let death = 0; death < 6; death++) dies();
    expect(loops()).toHaveLength(1);
    const { caught } = at.send(modern(1, 'tools/call'));
    expect(caught.failed?.code).toBe('GW_UPSTREAM_BACKOFF');
    expect(caught.failed?.detail).toMatch(
      /^it failed \d+ times in a row; it will be tried again in \d+ ms; it exited with code 7; its last words: "bad key \*\*\* of \/home\/ada"$/,
    );
    at.clock.advance(LIMITS.childBackoffLastMs);
    const well = call(at, 1);
    answer(well.of);
    expect(lines.some((line) => line.includes('works again'))).toBe(true);
    well.of.exit(1);
    const again = at.send(modern(1, 'tools/call'));
    at.clock.advance(LIMITS.childBackoffFirstMs);
    expect(again.caught.over).toBe(false);
  });

  test.each([
    ['token=abc next', 'token=*** next'],
    ['Authorization: Bearer abc.def', 'Authorization: ***'],
    [' \t two\u0007words \u001b[31mred ', 'two words [31mred'],
    ['of the value-of-x and the 12345', 'of the *** and the 12345'],
    ['x'.repeat(500), 'x'.repeat(200)],
    ['', ''],
  ])('%p is shown as %p', (line, shown) => {
    expect(showable(line, { X: 'value-of-x', SHORT: '12345' })).toBe(shown);
  });
});

describe('who shares a process', () => {
  const as = (principal: string): RequestParts => ({ client: { principal, endpoint: '/mcp' } });

  test('`session`: a process per principal; one for all where nobody is asked', () => {
    const at = world({ sharing: 'session' });
    for (const principal of ['ada', 'bob', 'ada', '', '']) at.send(modern(1, 'tools/call'), as(principal));
    expect(at.children.map((child) => child.lines.length)).toEqual([2, 1, 2]);
    at.openSession();
    at.openSession();
    expect(at.children).toHaveLength(5);
  });

  test('`session`: principals are bounded, and those whose process has ended make room', () => {
    const at = world({ sharing: 'session', idleMs: 1_000 }, { sessionsMax: 1 });
    at.send(modern(1, 'tools/call'), as('ada'));
    expect(at.send(modern(1, 'tools/call'), as('bob')).caught.failed?.code).toBe('GW_SESSION_LIMIT');
    answer(at.child);
    at.clock.advance(1_100);
    at.child.exit();
    expect(at.send(modern(1, 'tools/call'), as('bob')).caught.failed).toBeNull();
    expect(at.children).toHaveLength(2);
  });

  test('`auto`: one process for all principals', () => {
    const at = world({});
    for (const principal of ['ada', 'bob']) at.send(modern(1, 'tools/call'), as(principal));
    expect(at.children).toHaveLength(1);
  });
});

describe('how long a call may take', () => {
  const spec = { ...stdioSpec('played', [], {}), firstByteTimeoutMs: 1_000, totalTimeoutMs: 5_000 };
  const progress = (sent: { readonly of: PlayedChild; readonly pipeId: string | number }): void =>
    sent.of.say({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: sent.pipeId, progress: 1 },
    });

  test('without a sign of life until firstByteMs; with progress until totalMs, then it is cancelled', () => {
    const at = new StdioWorld({ spec });
    const silent = call(at, 1);
    const busy = call(at, 2, { progressToken: 'p' });
    at.clock.advance(900);
    progress(busy);
    at.clock.advance(200);
    expect(silent.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    for (let i = 0; i < 3; i++) {
      at.clock.advance(1_200);
      progress(busy);
    }
    expect(busy.caught.over).toBe(false);
    at.clock.advance(400);
    expect(busy.caught.failed?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(busy.caught.failed?.detail).toContain('timeouts.totalMs');
    expect(at.child.last).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: busy.pipeId },
    });
    expect(at.upstream.stats().busy).toBe(0);
  });

  test('an answer within totalMs arrives, however long after the last progress', () => {
    const at = new StdioWorld({ spec });
    const sent = call(at, 1, { progressToken: 'p' });
    progress(sent);
    at.clock.advance(4_900);
    answer(sent.of, sent.pipeId);
    expect(sent.caught.events).toHaveLength(2);
    expect(sent.caught.ended).toBe(1);
    at.clock.advance(10_000);
  });

  test('a listen and a call that waits for its client are exempt', () => {
    const at = new StdioWorld({ spec });
    const listen = at.send(LISTEN);
    at.child.say({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { _meta: { 'io.modelcontextprotocol/subscriptionId': at.child.last.id } },
    });
    const parked = call(at, 2, { progressToken: 'p' });
    progress(parked);
    parked.call.outlast?.();
    at.clock.advance(60_000);
    expect(listen.caught.over).toBe(false);
    expect(parked.caught.over).toBe(false);
  });

  test('holds in legacy sessions as well', () => {
    const at = new StdioWorld({ spec });
    const session = at.openSession();
    const params = { name: 'x', _meta: { progressToken: 't' } };
    const { caught } = at.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }, legacy(session));
    at.child.say({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 't', progress: 1 },
    });
    at.clock.advance(4_000);
    expect(caught.over).toBe(false);
    at.clock.advance(1_100);
    expect(caught.failed?.detail).toContain('timeouts.totalMs');
    expect(at.child.last.method).toBe('notifications/cancelled');
  });
});
