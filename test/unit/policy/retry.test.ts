// What is sent again and what is not, rule by rule, each with the number of times that the server was asked.
// Runs the policies over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { ERRORS, type ErrorCode } from '../../../src/base/errors.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { createFakeUpstream, type FakeScript, type FakeUpstream } from '../../../src/upstream/fake.ts';
import { requestOf } from '../../fixtures/stdio-world.ts';
import { answer, outcomeOf, POLICY, PolicyWorld, REPLICA, result, stream } from './policy-world.ts';

const UNEXECUTED: readonly ErrorCode[] = [
  'GW_UPSTREAM_CONNECT',
  'GW_UPSTREAM_SEND',
  'GW_UPSTREAM_BUSY',
  'GW_UPSTREAM_STREAM',
  'GW_UPSTREAM_SPAWN',
  'GW_UPSTREAM_BACKOFF',
];
const BREAKS: readonly ErrorCode[] = [
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_TIMEOUT',
  'GW_UPSTREAM_FRAMING',
  'GW_UPSTREAM_EXITED',
  'GW_PEER_LOST',
];
/** Refusals and faults that another try does not mend, or that another try would make worse. */
const MEANT: readonly ErrorCode[] = [
  'GW_UPSTREAM_OPEN',
  'GW_UPSTREAM_CLOSING',
  'GW_UPSTREAM_TLS',
  'GW_UPSTREAM_MEDIA',
  'GW_UPSTREAM_MESSAGE',
  'GW_UPSTREAM_BODY_SIZE',
  'GW_SESSION_LIMIT',
  'GW_SESSION_UNKNOWN',
  'GW_MCP_HEADER',
  'GW_BASE_INTERNAL',
];

async function asked(fail: ErrorCode, tool: string, isListed = true): Promise<readonly [number, unknown]> {
  const world = new PolicyWorld();
  if (isListed) await world.list();
  world.failing(1, fail);
  const caught = await world.call(tool);
  return [world.sent.length, outcomeOf(caught)];
}

describe('what is sent again', () => {
  test('anything of which nothing was executed: a tool that nobody spoke of too', async () => {
    for (const code of UNEXECUTED) {
      expect([code, ERRORS[code].retry === 'never']).toEqual([code, false]);
      expect([code, ...(await asked(code, 'unheard', false))]).toEqual([code, 2, 200]);
    }
  });

  test('what may have been executed: only tools that the list calls read-only or idempotent', async () => {
    for (const code of BREAKS) {
      for (const tool of ['reader', 'setter'])
        expect([code, tool, ...(await asked(code, tool))]).toEqual([code, tool, 2, 200]);
      for (const tool of ['sender', 'silent', 'unheard'])
        expect([code, tool, ...(await asked(code, tool))]).toEqual([code, tool, 1, code]);
      expect(await asked(code, 'reader', false)).toEqual([1, code]);
    }
  });

  test('no refusal that is meant', async () => {
    for (const code of MEANT) expect([code, ...(await asked(code, 'reader'))]).toEqual([code, 1, code]);
  });

  test('methods that read, and no others', async () => {
    const reads = ['ping', 'server/discover', 'prompts/list', 'prompts/get', 'resources/list'];
    const more = ['resources/templates/list', 'resources/read', 'completion/complete'];
    const not = ['initialize', 'logging/setLevel', 'resources/subscribe', 'tasks/cancel', 'made/up'];
    for (const method of [...reads, ...more, ...not]) {
      const world = new PolicyWorld();
      world.failing(1, 'GW_UPSTREAM_CLOSED');
      const { caught } = world.send(world.request(method, { name: 'x', uri: 'x:y' }));
      await world.sim.advance(200);
      const isRead = !not.includes(method);
      expect([method, world.sent.length]).toEqual([method, isRead ? 2 : 1]);
      expect(outcomeOf(caught)).toBe(isRead ? 200 : 'GW_UPSTREAM_CLOSED');
    }
  });

  test('the list itself', async () => {
    const world = new PolicyWorld();
    world.isListed = false;
    world.failing(1, 'GW_UPSTREAM_CLOSED');
    const { caught } = world.send(world.request('tools/list', {}));
    await world.sim.advance(200);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([2, 200]);
  });

  test('what the configuration says of a tool counts before what the server says', async () => {
    const tools = [
      { pattern: 'setter', idempotent: false },
      { pattern: 's*', idempotent: true },
    ];
    const world = new PolicyWorld({ policy: { tools } });
    await world.list();
    world.script = () => ({ fail: 'GW_UPSTREAM_CLOSED' });
    await world.call('setter');
    expect(world.sent.length).toBe(1);
    await world.call('sender');
    expect(world.sent.length).toBe(1 + 3);
  });

  test('the name counts that the server knows, not the one on an aggregate', async () => {
    const world = new PolicyWorld({ policy: { tools: [{ pattern: 'wipe', idempotent: true }] } });
    world.failing(1, 'GW_UPSTREAM_CLOSED');
    const request = world.request('tools/call', { name: 'files__wipe' });
    const start = new TextDecoder().decode(request.body).indexOf('files__');
    const edits = [{ start, end: start + 'files__'.length, insert: new Uint8Array(0) }];
    const { caught } = world.send({ ...request, edits });
    await world.sim.advance(200);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([2, 200]);
    expect(world.sent.map(({ message }) => message.params)).toMatchObject([
      { name: 'wipe' },
      { name: 'wipe' },
    ]);
  });

  test('nothing that goes on with an earlier request, whose state may be good for one use; no call that makes a task', async () => {
    for (const params of [{ requestState: 's' }, { inputResponses: {} }, { task: {} }]) {
      const world = new PolicyWorld();
      await world.list();
      world.failing(1, 'GW_UPSTREAM_CLOSED');
      world.send(world.request('tools/call', { name: 'reader', ...params }));
      await world.sim.advance(200);
      expect([params, world.sent.length]).toEqual([params, 1]);
    }
    const world = new PolicyWorld();
    world.failing(1, 'GW_UPSTREAM_CONNECT');
    world.send(world.request('tools/call', { name: 'reader', requestState: 's' }));
    await world.sim.advance(200);
    expect(world.sent.length).toBe(1);
  });

  test('event streams of sessions and their ends are sent once', async () => {
    const world = new PolicyWorld();
    world.failing(9, 'GW_UPSTREAM_CONNECT');
    for (const verb of ['GET', 'DELETE'] as const) world.send(requestOf('{"method":"x"}', { verb }));
    await world.sim.advance(500);
    expect(world.sent.map(({ record }) => record.verb)).toEqual(['GET', 'DELETE']);
  });
});

describe('how much of a reply there may be', () => {
  test('none that went out: a reply that breaks off behind its head is not asked for again', async () => {
    const world = new PolicyWorld();
    await world.list();
    world.script = () => ({ body: ['{"jsonrpc"'], fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    const caught = await world.call('reader');
    expect([world.sent.length, caught.head?.status, outcomeOf(caught)]).toEqual([
      1,
      200,
      'GW_UPSTREAM_CLOSED',
    ]);
  });

  test('an event stream of which nothing came: it is asked for again, and the client sees one head', async () => {
    const world = new PolicyWorld();
    await world.list();
    const empty = { headers: { 'content-type': 'text/event-stream' }, body: [] };
    world.script = (_sent, index) => {
      if (index === 0) return { ...empty, fail: 'GW_UPSTREAM_CLOSED', failLate: true };
      return index === 1 ? empty : stream(result(1));
    };
    const caught = await world.call('reader');
    expect([world.sent.length, caught.answer, outcomeOf(caught)]).toEqual([
      3,
      { id: 1, jsonrpc: '2.0', result: { content: [] } },
      200,
    ]);
  });

  test('one of which something came is the client’s, come what may', async () => {
    const world = new PolicyWorld();
    await world.list();
    const progress = {
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 1, progress: 1 },
    };
    world.script = () => ({ ...stream(progress), fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    const caught = await world.call('reader');
    expect([world.sent.length, outcomeOf(caught)]).toEqual([1, 'GW_UPSTREAM_CLOSED']);
  });

  test('its head waits a while, then it goes out, and nothing is sent again', async () => {
    const world = new PolicyWorld({ spec: { totalTimeoutMs: 60_000 } });
    await world.list();
    world.script = () => ({
      headers: { 'content-type': 'text/event-stream' },
      body: ['data: {}\n\n'],
      gapMs: 8_000,
      fail: 'GW_UPSTREAM_CLOSED',
      failLate: true,
    });
    const { caught } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(4_000);
    expect(caught.head).toBeNull();
    await world.sim.advance(2_000);
    expect([caught.head?.media, caught.head?.header('content-type')]).toEqual([
      'event-stream',
      'text/event-stream',
    ]);
    await world.sim.advance(20_000);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([1, 'GW_UPSTREAM_CLOSED']);
  });

  test('the head of a call that may not be repeated goes out at once', async () => {
    const world = new PolicyWorld();
    world.script = () => ({
      headers: { 'content-type': 'text/event-stream' },
      body: ['data: {}\n\n'],
      gapMs: 8_000,
    });
    const caught = await world.call('silent', 10);
    expect(caught.head?.media).toBe('event-stream');
  });

  test('a 5xx without JSON is as good as no reply; one with JSON is the server’s answer', async () => {
    for (const headers of [{ 'content-type': 'text/html' }, {}]) {
      const world = new PolicyWorld();
      await world.list();
      world.script = (sent, index) => (index < 1 ? { status: 502, headers, body: '<html>' } : answer(sent));
      expect(outcomeOf(await world.call('reader'))).toBe(200);
      expect(world.sent.length).toBe(2);
      expect(outcomeOf(await world.call('silent'))).toBe(200);
    }
    const world = new PolicyWorld();
    await world.list();
    world.script = () => ({
      status: 500,
      body: '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}',
    });
    expect(outcomeOf(await world.call('reader'))).toBe(500);
    expect(world.sent.length).toBe(1);
  });

  test('a 5xx of a call that may not be repeated, and the last one of those that may, pass as they came', async () => {
    const world = new PolicyWorld();
    await world.list();
    world.script = () => ({ status: 503, headers: { 'content-type': 'text/html' }, body: '<html>' });
    const silent = await world.call('silent');
    expect([world.sent.length, silent.head?.status, silent.text]).toEqual([1, 503, '<html>']);
    const reader = await world.call('reader');
    expect([world.sent.length, reader.head?.status, reader.text]).toEqual([1 + 3, 503, '<html>']);
  });

  test('a server that says when to come again is not asked before', async () => {
    const busy = (after: string) => ({ status: 503, headers: { 'retry-after': after }, body: '' });
    const world = new PolicyWorld({ policy: { retries: { ...POLICY.retries, backoffMaxMs: 2_000 } } });
    await world.list();
    world.script = (sent, index) => (index === 0 ? busy('1') : answer(sent));
    const { caught } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(900);
    expect(world.sent.length).toBe(1);
    await world.sim.advance(300);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([2, 200]);
    for (const after of ['60', 'Fri, 31 Dec 1999 23:59:59 GMT']) {
      const other = new PolicyWorld();
      await other.list();
      other.script = () => busy(after);
      expect([after, outcomeOf(await other.call('reader', 9_000)), other.sent.length]).toEqual([
        after,
        503,
        1,
      ]);
    }
  });
});

describe('how often, and for how long', () => {
  test('so many times, with a wait that doubles', async () => {
    const world = new PolicyWorld({ policy: { retries: { ...POLICY.retries, max: 3 } } });
    const atMs: number[] = [];
    world.script = () => {
      atMs.push(world.sim.clock.now());
      return { fail: 'GW_UPSTREAM_CONNECT' };
    };
    expect(outcomeOf(await world.call('any'))).toBe('GW_UPSTREAM_CONNECT');
    const waits = atMs.slice(1).map((at, i) => at - (atMs[i] ?? 0));
    expect(waits.length).toBe(3);
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(10 * 2 ** i);
      expect(wait).toBeLessThan(30 * 2 ** i + 1);
    }
  });

  test('a tool may have its own number', async () => {
    const tools = [
      { pattern: 'never', retries: 0 },
      { pattern: 'often', retries: 4 },
    ];
    for (const [name, times] of [
      ['never', 1],
      ['often', 5],
      ['other', 3],
    ] as const) {
      const world = new PolicyWorld({ policy: { tools } });
      world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
      await world.call(name);
      expect([name, world.sent.length]).toEqual([name, times]);
    }
  });

  test('never beyond the deadline, which counts from when the client asked; the last attempt gets what is left', async () => {
    const world = new PolicyWorld({ spec: { totalTimeoutMs: 4_000, firstByteTimeoutMs: 3_000 } });
    await world.list();
    world.script = () => ({ hang: true });
    const startedAtMs = world.sim.clock.now();
    const request = { ...world.request('tools/call', { name: 'reader' }, { timeoutMs: 3_000 }), startedAtMs };
    const { caught } = world.send(request);
    await world.sim.advance(3_100);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([2, 'pending']);
    await world.sim.advance(950);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([2, 'GW_UPSTREAM_TIMEOUT']);
  });

  test('at most so many per hundred requests, and a few a second besides', async () => {
    const retries = { ...POLICY.retries, max: 1, budgetPercent: 10, perSecondMin: 0 };
    const world = new PolicyWorld({ policy: { retries } });
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    for (let n = 0; n < 200; n++) await world.call('any', 40);
    expect(world.sent.length).toBe(200 + 20);
    const few = new PolicyWorld({ policy: { retries: { ...retries, budgetPercent: 0, perSecondMin: 3 } } });
    few.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    for (let n = 0; n < 20; n++) await few.call('any', 100);
    // Three at once, and three in each of the two seconds.
    expect(few.sent.length - 20).toBeGreaterThanOrEqual(8);
    expect(few.sent.length - 20).toBeLessThanOrEqual(9);
  });

  test('what quiet times save up is bounded', async () => {
    const retries = { ...POLICY.retries, max: 1, budgetPercent: 100, perSecondMin: 0 };
    const world = new PolicyWorld({ policy: { retries } });
    for (let n = 0; n < 150; n++) world.send(world.request('tools/call', { name: 'any' }));
    await world.sim.advance(10);
    world.script = () => ({ fail: 'GW_UPSTREAM_CONNECT' });
    for (let n = 0; n < 300; n++) world.send(world.request('resources/subscribe', { uri: 'x:y' }));
    await world.sim.advance(1_000);
    // The hundred that are saved up at most; every one of the 300 adds one while there is room.
    expect(world.sent.length - 450).toBeGreaterThanOrEqual(100);
    expect(world.sent.length - 450).toBeLessThanOrEqual(101);
  });
});

describe('who has left', () => {
  test('for a client that left, nothing is sent again', async () => {
    const world = new PolicyWorld();
    world.failing(1, 'GW_UPSTREAM_CONNECT');
    const { caught, call } = world.send(world.request('tools/call', { name: 'any' }));
    await world.sim.advance(5);
    call.abort();
    await world.sim.advance(500);
    expect([world.sent.length, outcomeOf(caught)]).toEqual([1, 'pending']);
  });

  test('a repeat that runs is cancelled with its call', async () => {
    const world = new PolicyWorld();
    world.script = (_sent, index) => (index === 0 ? { fail: 'GW_UPSTREAM_CONNECT' } : { hang: true });
    const { call } = world.send(world.request('tools/call', { name: 'any' }));
    await world.sim.advance(200);
    call.resume();
    call.abort();
    expect(world.sent.map(({ record }) => record.aborted)).toEqual([false, true]);
  });

  test('a head that waits is nobody’s any more', async () => {
    const world = new PolicyWorld();
    await world.list();
    world.script = () => ({
      headers: { 'content-type': 'text/event-stream' },
      body: ['data: {}\n\n'],
      gapMs: 100,
    });
    const { caught, call } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(10);
    call.abort();
    await world.sim.advance(9_000);
    expect([caught.head, world.sent[0]?.record.aborted]).toEqual([null, true]);
  });

  test('a server that is let go of: what waits fails as it last did', async () => {
    const world = new PolicyWorld({ policy: { retries: { ...POLICY.retries, backoffMs: 100 } } });
    world.failing(9, 'GW_UPSTREAM_CONNECT');
    const { caught } = world.send(world.request('tools/call', { name: 'any' }));
    await world.sim.advance(5);
    await world.upstream.close(10);
    expect(outcomeOf(caught)).toBe('GW_UPSTREAM_CONNECT');
    await world.sim.advance(500);
    expect(world.sent.length).toBe(1);
  });
});

describe('replicas', () => {
  /** Three of them, of which the last one works. */
  function threeOf(code: ErrorCode) {
    const made: FakeUpstream[] = [];
    const world = new PolicyWorld({
      spec: { replicas: [REPLICA, REPLICA] },
      server: ({ sim, scanner }) => {
        for (const name of ['a', 'b', 'c']) {
          const script: FakeScript = (sent) => (name === 'c' ? answer(sent) : { fail: code });
          made.push(createFakeUpstream({ clock: sim.clock, name, script }));
        }
        const all = made.map((upstream) => ({ upstream, load: () => 0, refuses: () => false }));
        return withReplicas(all, { clock: sim.clock, random: sim.random, scanner });
      },
    });
    return { made, world };
  }

  test('each is tried before any is tried twice; that the breaker of one is open is no reason to refuse', async () => {
    for (const code of ['GW_UPSTREAM_CONNECT', 'GW_UPSTREAM_OPEN'] as const) {
      const { made, world } = threeOf(code);
      for (let n = 0; n < 30; n++) expect(outcomeOf(await world.call('any', 200))).toBe(200);
      const [a = 0, b = 0, c = 0] = made.map(({ sent }) => sent.length);
      expect([c, a <= 30, b <= 30, a + b > 30]).toEqual([30, true, true, true]);
    }
  });

  test('the first repeat goes out at once', async () => {
    const { made, world } = threeOf('GW_UPSTREAM_CONNECT');
    let slowest = 0;
    for (let n = 0; n < 30; n++) {
      const before = made.reduce((sum, { sent }) => sum + sent.length, 0);
      const { caught } = world.send(world.request('tools/call', { name: 'any' }));
      await world.sim.advance(1);
      const times = made.reduce((sum, { sent }) => sum + sent.length, 0) - before;
      if (!caught.over) slowest = Math.max(slowest, times);
      await world.sim.advance(200);
    }
    // Whoever is not done by then waits for its second repeat.
    expect(slowest).toBe(2);
  });

  test('what is bound to a session is not moved', async () => {
    const { made, world } = threeOf('GW_UPSTREAM_OPEN');
    const { caught } = world.send(
      world.request('tools/call', { name: 'any' }, { era: 'legacy', session: '0.s' }),
    );
    await world.sim.advance(500);
    expect([outcomeOf(caught), made.map(({ sent }) => sent.length)]).toEqual(['GW_UPSTREAM_OPEN', [1, 0, 0]]);
  });
});

test('what is not about requests passes by', async () => {
  const world = new PolicyWorld();
  const told: string[] = [];
  const server = {
    ...world.fake,
    name: 'inside',
    transport: 'fake' as const,
    send: world.fake.send.bind(world.fake),
    stats: () => world.fake.stats(),
    isPiped: () => true,
    sweep: () => void told.push('sweep'),
    nudged: () => void told.push('nudged'),
    releaseShared: () => void told.push('release'),
    close: () => Promise.resolve(void told.push('close')),
  };
  const { upstream } = new PolicyWorld({ server: () => server });
  upstream.sweep?.();
  upstream.nudged?.();
  upstream.releaseShared?.();
  await upstream.close(0);
  expect(told).toEqual(['sweep', 'nudged', 'release', 'close']);
  expect([upstream.name, upstream.transport, upstream.isPiped?.()]).toEqual(['inside', 'fake', true]);
  expect(upstream.stats()).toEqual(world.fake.stats());
});
