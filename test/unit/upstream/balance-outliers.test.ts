// Replicas that do worse than their siblings: who is left out, for how long, how many at most, and how they come back.
// Runs src/upstream/outliers.ts, replica-watch.ts and balance.ts with src/memory/replica-cell.ts on a simulated clock; the replicas are scripted and count what they execute.
import { describe, expect, test } from 'bun:test';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearUpstream } from '../../../src/memory/reclaim.ts';
import { bucketMiddleMs, OUTCOME_NUMBERS, ReplicaCell } from '../../../src/memory/replica-cell.ts';
import { createLog } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { createFakeUpstream, type FakeReply, type FakeUpstream } from '../../../src/upstream/fake.ts';
import { OutlierJudge } from '../../../src/upstream/outliers.ts';
import { withWatch } from '../../../src/upstream/replica-watch.ts';
import type { OutlierSettings } from '../../../src/upstream/spec.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { messageOf, modernRequest } from '../../fixtures/messages.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { requestOf } from './http-world.ts';

const SETTINGS: OutlierSettings = {
  ...{ windowMs: 1_000, requestsMin: 10, failurePoints: 30, latencyFactor: 3, latencyMinMs: 20 },
  ...{ ejectMs: 2_000, ejectMaxMs: 7_000 },
};
const OK: FakeReply = { headers: { 'content-type': 'application/json' }, body: '{}', delayMs: 5 };
const BROKEN: FakeReply = { fail: 'GW_UPSTREAM_CLOSED', delayMs: 5 };
const WORKERS = 3;

interface Options {
  readonly replicas: number;
  readonly weights?: readonly number[];
  readonly slowStartMs?: number;
}

class World {
  readonly sim = createSimRuntime({ seed: 11 });
  readonly replies: FakeReply[];
  readonly fakes: readonly FakeUpstream[];
  /** By worker. */
  readonly upstreams: readonly Upstream[];
  readonly cells: readonly ReplicaCell[];
  readonly lines: Record<string, unknown>[] = [];
  readonly judge: OutlierJudge;
  #next = 0;

  constructor({ replicas, weights, slowStartMs = 0 }: Options) {
    const shape = { workers: WORKERS, upstreams: replicas, endpoints: 0, ringBytes: 4096, journalRecords: 1 };
    const memory = createMemory(shape, this.sim.clock.wall());
    const { clock, random } = this.sim;
    const log = createLog('info', {
      write: (line) => this.lines.push(JSON.parse(line) as Record<string, unknown>),
      wall: () => clock.wall(),
    });
    this.replies = Array.from({ length: replicas }, () => OK);
    this.fakes = this.replies.map((_, index) =>
      createFakeUpstream({ clock, script: () => this.replies[index] ?? OK }),
    );
    const cellsOf = (worker: number) => this.fakes.map((_, index) => new ReplicaCell(memory, index, worker));
    this.upstreams = Array.from({ length: WORKERS }, (_, worker) =>
      withReplicas(
        cellsOf(worker).map((cell, index) => ({
          upstream: withWatch(this.fakes[index] as Upstream, cell, clock),
          weight: weights?.[index] ?? 100,
          load: () => 0,
          refuses: () => false,
          standing: (nowMs: number) => cell.standing(nowMs, slowStartMs),
        })),
        { clock, random, scanner: chooseScanner('portable').scanner },
      ),
    );
    this.cells = cellsOf(0);
    const suspects = this.cells.map((cell, index) => ({ name: `r${index}`, weight: weights?.[index], cell }));
    this.judge = new OutlierJudge({ suspects, settings: SETTINGS, clock, offsetMs: 0, log });
  }

  /** Traffic of all workers for a while: a request every 5 ms. Counts what each replica executed meanwhile. */
  async run(ms: number): Promise<number[]> {
    const before = this.fakes.map(({ sent }) => sent.length);
    for (let spent = 0; spent < ms; spent += 5) {
      this.#next = (this.#next + 1) % WORKERS;
      this.upstreams[this.#next]?.send({ ...requestOf(), era: 'modern' }, new Caught());
      await this.sim.advance(5);
    }
    return this.fakes.map(({ sent }, index) => sent.length - (before[index] ?? 0));
  }

  get told(): unknown[] {
    return this.lines.map(({ msg, replica, reason }) => [replica, reason ?? String(msg).includes('again')]);
  }
}

describe('left out', () => {
  test('is one that fails more often than the others, as seen over all workers, then for twice as long', async () => {
    const world = new World({ replicas: 3 });
    world.replies[1] = BROKEN;
    await world.run(1_005);
    expect(world.told).toEqual([['r1', 'failures']]);
    expect((await world.run(1_980))[1]).toBe(0);
    // Back after 2 s, and out again with the next judgement, for 4 s.
    expect((await world.run(1_100))[1]).toBeGreaterThan(20);
    expect(world.cells[1]?.ejections).toBe(2);
    expect((await world.run(3_700))[1]).toBe(0);
    await world.run(1_500);
    expect(world.cells[1]?.ejections).toBe(3);
    // 7 s at most.
    expect((world.cells[1]?.ejectedUntilMs ?? 0) - world.sim.clock.now()).toBeLessThanOrEqual(7_000);
  });

  test('is one that says 503', async () => {
    const world = new World({ replicas: 2 });
    world.replies[1] = { ...OK, status: 503 };
    await world.run(1_100);
    expect(world.told).toEqual([['r1', 'failures']]);
  });

  test('is one that answers late', async () => {
    const world = new World({ replicas: 3 });
    world.replies[2] = { ...OK, delayMs: 120 };
    await world.run(1_200);
    expect(world.told).toEqual([['r2', 'latency']]);
    expect((await world.run(1_500))[2]).toBe(0);
  });

  test('is told of once each way, and forgotten once it did well for long enough', async () => {
    const world = new World({ replicas: 2 });
    world.replies[0] = BROKEN;
    await world.run(1_100);
    world.replies[0] = OK;
    await world.run(4_000);
    expect(world.told).toEqual([
      ['r0', 'failures'],
      ['r0', true],
    ]);
    expect(world.cells[0]?.ejections).toBe(1);
    await world.run(7_000);
    expect(world.cells[0]?.ejections).toBe(0);
    expect(world.lines.length).toBe(2);
  });
});

describe('not left out', () => {
  test('are more than half of them', async () => {
    for (const [replicas, most] of [
      [2, 1],
      [3, 1],
      [5, 2],
    ] as const) {
      const world = new World({ replicas });
      world.replies.fill(BROKEN, 1);
      await world.run(6_000);
      const out = world.cells.filter((cell) => world.sim.clock.now() < cell.ejectedUntilMs);
      expect(out.length).toBeLessThanOrEqual(most);
    }
  });

  test('is one when all fail alike, or all are slow', async () => {
    const world = new World({ replicas: 3 });
    world.replies.fill(BROKEN);
    await world.run(3_000);
    world.replies.fill({ ...OK, delayMs: 200 });
    await world.run(3_000);
    expect(world.told).toEqual([]);
  });

  test('is one for a few requests, for errors of tools or for refusals of our own', async () => {
    const world = new World({ replicas: 2, weights: [100, 2] });
    world.replies[1] = BROKEN;
    await world.run(1_005);
    const few = world.cells.map((cell) => cell.ejections);
    expect([few, world.fakes[1]?.sent.length]).toEqual([[0, 0], expect.any(Number)]);
    for (const reply of [
      { ...OK, body: '{"result":{"isError":true}}' },
      { ...OK, status: 404 },
      { fail: 'GW_UPSTREAM_BUSY' as const },
      { fail: 'GW_UPSTREAM_OPEN' as const },
    ]) {
      const other = new World({ replicas: 2 });
      other.replies[1] = reply;
      await other.run(2_100);
      expect(other.told).toEqual([]);
    }
  });

  test('is one that is a little slower, or slower by few ms only', async () => {
    const world = new World({ replicas: 2 });
    world.replies[1] = { ...OK, delayMs: 12 };
    await world.run(2_100);
    world.replies.splice(0, 2, { ...OK, delayMs: 100 }, { ...OK, delayMs: 180 });
    await world.run(3_000);
    expect(world.told).toEqual([]);
  });
});

test('streams that last are not measured', async () => {
  const world = new World({ replicas: 2 });
  const { bytes, envelope } = messageOf(modernRequest(1, 'subscriptions/listen', { notifications: {} }));
  for (let n = 0; n < 50; n++)
    world.upstreams[0]?.send({ ...requestOf(), era: 'modern', body: bytes, envelope }, new Caught());
  await world.sim.advance(50);
  const counts = new Int32Array(OUTCOME_NUMBERS);
  for (const cell of world.cells) {
    cell.readOutcomes(counts);
    expect([...counts].every((count) => count === 0)).toBe(true);
  }
});

test('what one gets that is back grows from little to its part', async () => {
  const world = new World({ replicas: 2, slowStartMs: 4_000 });
  world.replies[1] = BROKEN;
  await world.run(1_005);
  world.replies[1] = OK;
  await world.run(2_000);
  const shares: number[] = [];
  for (let n = 0; n < 5; n++) {
    const [a = 0, b = 0] = await world.run(1_000);
    shares.push(b / (a + b));
  }
  const [first = 1, second = 0, , fourth = 0, last = 0] = shares;
  expect(first).toBeLessThan(0.25);
  expect(second).toBeGreaterThan(first);
  expect(fourth).toBeGreaterThan(0.35);
  expect(last).toBeGreaterThan(0.38);
});

test('after stop() nobody is judged', async () => {
  const world = new World({ replicas: 2 });
  world.replies[1] = BROKEN;
  world.judge.stop();
  await world.run(2_500);
  expect(world.lines).toEqual([]);
});

describe('a cell', () => {
  const shape = { workers: 2, upstreams: 2, endpoints: 0, ringBytes: 4096, journalRecords: 1 };

  test('counts over all workers, each time in the bucket whose middle is near', () => {
    const memory = createMemory(shape, 0);
    for (const ms of [0, 0.1, 0.3, 1, 7, 40, 333, 5_000, 1e9]) {
      clearUpstream(memory, 1);
      new ReplicaCell(memory, 1, 0).succeeded(ms);
      new ReplicaCell(memory, 1, 1).succeeded(ms);
      new ReplicaCell(memory, 1, 1).failed();
      const counts = new Int32Array(OUTCOME_NUMBERS);
      new ReplicaCell(memory, 1, 0).readOutcomes(counts);
      const bucket = counts.lastIndexOf(2) - 1;
      expect([counts[0], bucket >= 0]).toEqual([1, true]);
      const ratio = bucketMiddleMs(bucket) / Math.min(Math.max(ms, 0.3), 9_000);
      expect(ratio).toBeGreaterThan(0.8);
      expect(ratio).toBeLessThan(1.25);
    }
  });

  test('tells standing to all workers, nothing to its neighbour, and is as new once cleared', () => {
    const memory = createMemory(shape, 0);
    const [one, other, neighbour] = [
      new ReplicaCell(memory, 0, 0),
      new ReplicaCell(memory, 0, 1),
      new ReplicaCell(memory, 1, 1),
    ];
    one.eject(500, 1);
    one.setDown(true, 100);
    expect([other.standing(499, 0), other.isDown, other.ejections, neighbour.standing(499, 9)]).toEqual([
      ...[0, true, 1, 1],
    ]);
    other.setDown(false, 450);
    expect([
      one.standing(499, 0),
      one.standing(500, 100),
      one.standing(550, 100),
      one.standing(600, 100),
    ]).toEqual([...[0, 0.1, 0.5, 1]]);
    one.eject(9_000, 2);
    clearUpstream(memory, 0);
    expect([one.standing(1, 1_000), one.ejections, one.ejectedUntilMs]).toEqual([1, 0, 0]);
  });
});
