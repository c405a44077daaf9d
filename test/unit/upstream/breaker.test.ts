// The breaker around an upstream: what counts as failure, who is refused, how it comes back, and that it changes nothing else.
// Runs src/upstream/breaker.ts over a scripted upstream on a simulated clock.
import { describe, expect, test } from 'bun:test';
import type { ErrorCode } from '../../../src/base/errors.ts';
import { BreakerCell, type BreakerSettings } from '../../../src/memory/breaker-cell.ts';
import { forceBreaker, resetBreaker } from '../../../src/memory/breaker-control.ts';
import { createMemory, soloShape } from '../../../src/memory/memory.ts';
import { Ledger } from '../../../src/observe/ledger.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { withBreaker } from '../../../src/upstream/breaker.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { codeOf, requestOf } from './http-world.ts';

const SETTINGS: BreakerSettings = {
  failures: 3,
  sharePercent: 50,
  windowMs: 1_000,
  openMs: 100,
  trials: 1,
  trialMs: 1_000,
};
const OK: FakeReply = { headers: { 'content-type': 'application/json' }, body: '{}' };

class World {
  readonly sim = createSimRuntime({ seed: 1 });
  readonly states: string[] = [];
  reply: FakeReply = OK;
  readonly fake = createFakeUpstream({ clock: this.sim.clock, script: () => this.reply });
  readonly memory = createMemory(soloShape(1, 0), this.sim.clock.wall());
  readonly cell: BreakerCell;
  readonly upstream: Upstream;

  constructor(settings: Partial<BreakerSettings> = {}) {
    this.cell = new BreakerCell(this.memory, 0, 0, { ...SETTINGS, ...settings });
    this.upstream = withBreaker(this.fake, {
      cell: this.cell,
      clock: this.sim.clock,
      offsetMs: 5_000,
      onChange: (state) => this.states.push(state),
    });
  }

  /** Sends, and lets `ms` pass. */
  async send(reply: FakeReply, ms = 5): Promise<Caught> {
    this.reply = reply;
    const sink = new Caught();
    this.upstream.send(requestOf(), sink);
    await this.sim.advance(ms);
    return sink;
  }

  async open(): Promise<void> {
    for (let n = 0; n < SETTINGS.failures; n++) await this.send({ fail: 'GW_UPSTREAM_CONNECT' });
    expect(this.cell.state).toBe('open');
  }
}

describe('what is noted', () => {
  test('is every failure of the server, whether it counts or not, and that the breaker opened', async () => {
    const world = new World();
    const ledger = new Ledger(() => world.sim.clock.wall());
    const upstream = withBreaker(world.fake, {
      ...{ cell: world.cell, clock: world.sim.clock, offsetMs: 5_000, ledger },
      onChange: () => undefined,
    });
    const replies: readonly FakeReply[] = [
      ...[
        OK,
        { status: 404 },
        { fail: 'GW_UPSTREAM_BUSY' as const },
        { fail: 'GW_SESSION_UNKNOWN' as const },
      ],
      ...[{ fail: 'GW_UPSTREAM_CLOSING' as const }, { fail: 'GW_UPSTREAM_EXITED' as const }, { status: 503 }],
      { fail: 'GW_UPSTREAM_CONNECT' },
    ];
    for (const reply of replies) {
      world.reply = reply;
      upstream.send(requestOf(), new Caught());
      await world.sim.advance(5);
    }
    expect(world.cell.state).toBe('open');
    upstream.send(requestOf(), new Caught());
    await world.sim.advance(5);
    expect(ledger.faults.map(({ code }) => code)).toEqual([
      ...(['GW_UPSTREAM_OPEN', 'GW_UPSTREAM_CONNECT', 'HTTP_503', 'GW_UPSTREAM_BUSY'] as const),
    ]);
  });

  test('is told apart when an operator opened it', async () => {
    const world = new World();
    forceBreaker(world.memory, 0, world.sim.clock.wall());
    const refused = await world.send(OK);
    expect([codeOf(refused), world.fake.sent.length]).toEqual(['GW_UPSTREAM_OPEN', 0]);
    expect(refused.failed?.detail ?? '').toContain('an operator has opened its breaker');
    resetBreaker(world.memory, 0, world.sim.clock.wall());
    await world.send(OK);
    expect(world.fake.sent.length).toBe(1);
  });
});

describe('what counts', () => {
  const outages: readonly ErrorCode[] = [
    'GW_UPSTREAM_CONNECT',
    'GW_UPSTREAM_TLS',
    'GW_UPSTREAM_SEND',
    'GW_UPSTREAM_CLOSED',
    'GW_UPSTREAM_TIMEOUT',
    'GW_UPSTREAM_IDLE',
    'GW_UPSTREAM_FRAMING',
    'GW_UPSTREAM_SPAWN',
    'GW_UPSTREAM_EXITED',
  ];
  const neutral: readonly ErrorCode[] = [
    'GW_UPSTREAM_BUSY',
    'GW_UPSTREAM_BACKOFF',
    'GW_UPSTREAM_CLOSING',
    'GW_UPSTREAM_BODY_SIZE',
    'GW_SESSION_UNKNOWN',
    'GW_BASE_INTERNAL',
  ];

  test('an outage, however it shows, opens it', async () => {
    for (const fail of outages) {
      const world = new World();
      for (let n = 0; n < 3; n++) expect(codeOf(await world.send({ fail }))).toBe(fail);
      expect([fail, world.cell.state]).toEqual([fail, 'open']);
    }
  });

  test('a reply that breaks off counts as well, and once', async () => {
    const world = new World();
    for (let n = 0; n < 2; n++) await world.send({ ...OK, fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    await world.send({ ...OK, status: 502, fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    expect(world.cell.state).toBe('open');
    const twice = new World();
    for (let n = 0; n < 2; n++)
      await twice.send({ ...OK, status: 502, fail: 'GW_UPSTREAM_CLOSED', failLate: true });
    expect(twice.cell.state).toBe('closed');
  });

  test('a 5xx is a failure, and is passed on as it came', async () => {
    const world = new World();
    for (const status of [500, 503, 599]) {
      const sink = await world.send({ ...OK, status });
      expect([sink.head?.status, sink.ended, sink.text]).toEqual([status, 1, '{}']);
    }
    expect([world.cell.state, world.states]).toEqual(['open', ['open']]);
  });

  test('answers of a working server, refusals of our own and faults of ours do not', async () => {
    const world = new World();
    const toolError = { ...OK, body: '{"jsonrpc":"2.0","id":1,"result":{"isError":true}}' };
    const rpcError = { ...OK, body: '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}' };
    const badParams = {
      ...OK,
      body: '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such tool"}}',
    };
    const refusals = [{ status: 400 }, { status: 404 }, { status: 429 }, { ...badParams, status: 400 }];
    for (const reply of [toolError, rpcError, badParams, ...refusals])
      for (let n = 0; n < 4; n++) await world.send(reply);
    for (const fail of neutral) for (let n = 0; n < 4; n++) await world.send({ fail });
    expect([world.cell.state, world.states]).toEqual(['closed', []]);
  });
});

describe('open', () => {
  test('refuses without asking the server, after send() has returned, and says when to come back', async () => {
    const world = new World();
    await world.open();
    const asked = world.fake.sent.length;
    const sink = new Caught();
    world.upstream.send(requestOf(), sink);
    expect(sink.over).toBe(false);
    await world.sim.advance(1);
    expect([codeOf(sink), sink.failed?.row.http, sink.failed?.row.retry, sink.failed?.row.source]).toEqual([
      'GW_UPSTREAM_OPEN',
      503,
      'safe',
      'gateway',
    ]);
    expect(world.fake.sent.length).toBe(asked);
  });

  test('who leaves at once hears nothing', async () => {
    const world = new World();
    await world.open();
    const sink = new Caught();
    const call = world.upstream.send(requestOf(), sink);
    call.resume();
    call.abort();
    await world.sim.advance(5);
    expect(sink.over).toBe(false);
  });

  test('one is tried after a while, the others are refused until it has ended well', async () => {
    const world = new World();
    await world.open();
    await world.sim.advance(SETTINGS.openMs);
    world.reply = { ...OK, delayMs: 20 };
    const [trial, other] = [new Caught(), new Caught()];
    world.upstream.send(requestOf(), trial);
    world.upstream.send(requestOf(), other);
    await world.sim.advance(30);
    expect([trial.ended, codeOf(other), world.cell.state]).toEqual([1, 'GW_UPSTREAM_OPEN', 'closed']);
    expect((await world.send(OK)).ended).toBe(1);
    expect(world.states).toEqual(['open', 'half-open', 'closed']);
  });

  test('a trial that fails opens it again', async () => {
    const world = new World();
    await world.open();
    await world.sim.advance(SETTINGS.openMs);
    expect(codeOf(await world.send({ fail: 'GW_UPSTREAM_TIMEOUT' }))).toBe('GW_UPSTREAM_TIMEOUT');
    expect(codeOf(await world.send(OK))).toBe('GW_UPSTREAM_OPEN');
  });

  test('a trial whose client leaves, or that says nothing, makes room for another', async () => {
    const world = new World();
    await world.open();
    await world.sim.advance(SETTINGS.openMs);
    world.reply = { hang: true };
    const left = world.upstream.send(requestOf(), new Caught());
    await world.sim.advance(5);
    expect(codeOf(await world.send(OK))).toBe('GW_UPSTREAM_OPEN');
    left.abort();
    expect(codeOf(await world.send({ fail: 'GW_UPSTREAM_BUSY' }))).toBe('GW_UPSTREAM_BUSY');
    expect(world.cell.state).toBe('half-open');
    expect((await world.send(OK)).ended).toBe(1);
    expect(world.cell.state).toBe('closed');
  });

  test('a trial on an event stream is decided by its head: the stream may last for hours', async () => {
    const world = new World();
    await world.open();
    await world.sim.advance(SETTINGS.openMs);
    const stream = { headers: { 'content-type': 'text/event-stream' }, body: [': hi\n\n'], hang: true };
    const sink = await world.send(stream, 20);
    expect([sink.over, sink.text, world.cell.state]).toEqual([false, ': hi\n\n', 'closed']);
  });
});

test('half open, as many are tried as are allowed, and no more', async () => {
  const world = new World({ trials: 2 });
  await world.open();
  await world.sim.advance(SETTINGS.openMs);
  const asked = world.fake.sent.length;
  world.reply = { hang: true };
  const sinks = [1, 2, 3, 4].map(() => {
    const sink = new Caught();
    world.upstream.send(requestOf(), sink);
    return sink;
  });
  await world.sim.advance(5);
  expect(sinks.map((sink) => (sink.over ? codeOf(sink) : 'tried'))).toEqual([
    'tried',
    'tried',
    'GW_UPSTREAM_OPEN',
    'GW_UPSTREAM_OPEN',
  ]);
  expect([world.fake.sent.length - asked, world.cell.state]).toEqual([2, 'half-open']);
});

test('each replica has its own: one that is down is left alone, the other serves everyone', async () => {
  const sim = createSimRuntime({ seed: 3 });
  const memory = createMemory(soloShape(2, 0), sim.clock.wall());
  const fakes = ['down', 'up'].map((name) =>
    createFakeUpstream({
      clock: sim.clock,
      name,
      script: () => (name === 'up' ? OK : { fail: 'GW_UPSTREAM_CONNECT' }),
    }),
  );
  const cells = fakes.map((_, index) => new BreakerCell(memory, index, 0, SETTINGS));
  const replicas = fakes.map((fake, index) => {
    const cell = cells[index] ?? new BreakerCell(memory, 0, 0, SETTINGS);
    const guard = { cell, clock: sim.clock, offsetMs: 0, onChange: () => undefined };
    return {
      upstream: withBreaker(fake, guard),
      load: () => 0,
      refuses: () => cell.refuses(sim.clock.now()),
    };
  });
  const upstream = withReplicas(replicas, {
    clock: sim.clock,
    random: sim.random,
    scanner: portableScanner(),
  });
  const outcomes: unknown[] = [];
  for (let n = 0; n < 60; n++) {
    const sink = new Caught();
    upstream.send({ ...requestOf(), era: 'modern' }, sink);
    await sim.advance(1);
    outcomes.push(sink.failed?.code ?? 200);
  }
  expect(cells.map(({ state }) => state)).toEqual(['open', 'closed']);
  expect(fakes[0]?.sent.length).toBe(SETTINGS.failures);
  expect(outcomes.filter((one) => one === 200).length).toBe(60 - SETTINGS.failures);
});

test('name, transport, numbers, nudges and closing are those of the upstream inside', async () => {
  const world = new World();
  let nudged = 0;
  const inner = { ...world.fake, stats: () => world.fake.stats(), nudged: () => nudged++ };
  const wrapped = withBreaker(
    {
      ...inner,
      name: 'n',
      transport: 'fake',
      send: (r, s) => world.fake.send(r, s),
      close: () => world.fake.close(0),
    },
    { cell: world.cell, clock: world.sim.clock, offsetMs: 0, onChange: () => undefined },
  );
  wrapped.nudged?.();
  world.upstream.nudged?.();
  expect([wrapped.name, wrapped.transport, nudged]).toEqual(['n', 'fake', 1]);
  expect(wrapped.stats()).toEqual(world.fake.stats());
  await wrapped.close(0);
});
