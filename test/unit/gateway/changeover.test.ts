// From one snapshot to the next over several workers: who is told what and when, what one of them refuses, and whose cells are free at last.
// Runs gateway.ts and gateway/ with threads that the test plays.
import { describe, expect, test } from 'bun:test';
import { type Gateway, startGateway } from '../../../src/gateway.ts';
import { PoolCell, sumPool } from '../../../src/memory/cells.ts';
import { attachMemory } from '../../../src/memory/memory.ts';
import { createLog } from '../../../src/observe/log.ts';
import type { Snapshot } from '../../../src/snapshot.ts';
import type { Order, Report } from '../../../src/thread.ts';
import { changed } from '../../../src/worker/snapshot-change.ts';
import { snapshotOf } from '../../fixtures/plane.ts';
import { codeOf, type Life, READY, scripted } from '../../fixtures/threads.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const NOTED: Report = { kind: 'noted' };

/** A snapshot of these servers; the number is the port of each. */
function of(servers: Readonly<Record<string, number>>, epoch: number): Snapshot {
  const urls = Object.entries(servers).map(([name, port]) => [name, { url: `http://127.0.0.1:${port}/mcp` }]);
  return { ...snapshotOf({ servers: Object.fromEntries(urls) as Record<string, { url: string }> }), epoch };
}

/** A gateway whose workers answer when they are told to. */
async function serving(workers: number, first: Snapshot) {
  const world = scripted();
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', { write: (line) => lines.push(JSON.parse(line)), wall: () => 0 });
  const options = {
    runtime: world.runtime,
    snapshot: first,
    log,
    scan: 'auto',
    logLevel: 'silent',
    workers,
  } as const;
  const starting = startGateway(options);
  const heard = new Map<Life, number>();
  /** Lives answer all that they have not answered; `by` says how. */
  const answer = async (
    lives: readonly number[] = world.lives.map((_, at) => at),
    by: (order: Order, at: number) => Report = ({ kind }) => (kind === 'start' ? READY : NOTED),
  ): Promise<void> => {
    for (const at of lives) {
      const life = world.life(at);
      for (const order of life.orders.slice(heard.get(life) ?? 0)) life.report(by(order, at));
      heard.set(life, life.orders.length);
    }
    await settle();
  };
  await answer();
  await answer();
  const gateway: Gateway = await starting;
  const memory = attachMemory(world.startOf(0).memory);
  const notice = async (at: number, kind: 'settled' | 'retired', epoch: number): Promise<void> => {
    // A thread tells more than reports.
    world.life(at).report({ kind, epoch } as unknown as Report);
    await settle();
  };
  const last = (at: number): string => world.kinds(at).at(-1) ?? '';
  return { world, gateway, lines, memory, answer, notice, last };
}

/** Cells of the snapshot that a life was told to prepare last, as it would come to it. */
function cellsOf({ orders }: Life): unknown {
  let snapshot: Snapshot | null = null;
  let prepared: Snapshot | null = null;
  for (const order of orders) {
    if (order.kind === 'start') snapshot = order.snapshot;
    else if (order.kind === 'prepare' && snapshot !== null) prepared = changed(snapshot, order.change);
    else if (order.kind === 'commit') snapshot = prepared;
  }
  return prepared?.places?.servers;
}

describe('a changeover', () => {
  test('is prepared by all, then in force in all; what it left out ends once nobody needs it, and its cells are free then', async () => {
    const { gateway, world, memory, answer, notice, last } = await serving(2, of({ a: 1, b: 2 }, 1));
    new PoolCell(memory, 0, 1).bumpConnects();
    let isDone = false;
    const done = gateway.reload(of({ b: 2, c: 3 }, 2)).then(() => {
      isDone = true;
    });
    await settle();
    expect([last(0), last(1)]).toEqual(['prepare', 'prepare']);
    expect(cellsOf(world.life(0))).toEqual([[1], [2]]);
    await answer([0]);
    expect(last(0)).toBe('prepare');
    await answer([1]);
    expect([last(0), last(1), isDone]).toEqual(['commit', 'commit', false]);
    await answer();
    await done;

    await notice(0, 'settled', 2);
    expect([last(0), last(1)]).toEqual(['commit', 'commit']);
    await notice(1, 'settled', 2);
    expect([last(0), last(1)]).toEqual(['retire', 'retire']);
    await notice(1, 'retired', 2);
    expect(sumPool(memory, 0).connects).toBe(1);
    await answer();
    await notice(0, 'retired', 2);
    expect(sumPool(memory, 0).connects).toBe(0);

    const next = gateway.reload(of({ b: 2, c: 3, d: 4 }, 3));
    await settle();
    expect(cellsOf(world.life(1))).toEqual([[1], [2], [0]]);
    await answer();
    await answer();
    await next;
    gateway.stop();
  });

  test('that one worker cannot prepare is none: all let go of it, and the cells that it would have had are free', async () => {
    const { gateway, world, answer, last } = await serving(2, of({ a: 1 }, 1));
    const code = codeOf(gateway.reload(of({ a: 1, b: 2 }, 2)));
    await settle();
    await answer([0, 1], (_, at) =>
      at === 0 ? NOTED : { kind: 'failed', code: 'GW_BASE_INTERNAL', detail: 'no' },
    );
    expect([last(0), last(1)]).toEqual(['discard', 'discard']);
    await answer();
    expect(await code).toBe('GW_BASE_INTERNAL');
    // A worker that starts anew is given what is in force.
    world.life(1).die('boom');
    await settle();
    await answer([0]);
    await settle();
    expect(world.startOf(2).snapshot.epoch).toBe(1);
    await answer();
    const next = gateway.reload(of({ a: 1, c: 3 }, 2));
    await settle();
    expect(cellsOf(world.life(0))).toEqual([[0], [1]]);
    await answer();
    await answer();
    await next;
    gateway.stop();
  });

  test('is not held up by a worker that dies, whose next life begins with it', async () => {
    const { gateway, world, memory, answer, notice, last } = await serving(2, of({ a: 1, b: 2 }, 1));
    new PoolCell(memory, 0, 0).bumpConnects();
    const done = gateway.reload(of({ b: 2 }, 2));
    await settle();
    world.life(1).die('boom');
    await settle();
    // Not before all have what is new: it would miss that.
    await answer([0]);
    expect(last(0)).toBe('commit');
    expect(world.lives.length).toBe(2);
    await answer([0]);
    await done;
    await settle();
    expect([world.lives.length, world.startOf(2).snapshot.epoch]).toEqual([3, 2]);
    await notice(0, 'settled', 2);
    await answer([0]);
    await notice(0, 'retired', 2);
    expect(sumPool(memory, 0).connects).toBe(0);
    gateway.stop();
  });

  test('whose end is awaited by one that dies goes on without it; one that cannot take it up is ended', async () => {
    const { gateway, world, lines, answer, notice, last } = await serving(2, of({ a: 1, b: 2 }, 1));
    const done = gateway.reload(of({ b: 2 }, 2));
    await settle();
    await answer();
    await answer([0, 1], (_, at) =>
      at === 0 ? NOTED : { kind: 'failed', code: 'GW_BASE_INTERNAL', detail: 'odd' },
    );
    await done;
    expect(world.life(1).isTerminated).toBe(true);
    world.life(1).die(null);
    await settle();
    expect(lines.at(-1)?.reason).toBe('it could not take up the configuration');
    await notice(0, 'settled', 2);
    expect(world.kinds(0)).toContain('retire');
    expect(last(0)).toBe('retire');
    gateway.stop();
  });

  test('that wants more cells than there are waits for those that are just being freed, or says so', async () => {
    const many = (count: number): Record<string, number> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`s${n}`, n + 1]));
    const { gateway, answer, notice, last } = await serving(1, of({ a: 1 }, 1));
    expect(await codeOf(gateway.reload(of(many(64), 2)))).toBe('GW_CONFIG_ROOM');
    expect(last(0)).toBe('start');
    const full = gateway.reload(of({ a: 1, ...many(62) }, 2));
    await settle();
    await answer();
    await answer();
    await full;
    const gone = gateway.reload(of({ a: 1 }, 3));
    await settle();
    await answer();
    await answer();
    await gone;
    await notice(0, 'settled', 2);
    await notice(0, 'retired', 2);
    const again = gateway.reload(of({ a: 1, ...many(62) }, 4));
    await settle();
    expect(last(0)).not.toBe('prepare');
    await notice(0, 'settled', 3);
    await answer();
    await notice(0, 'retired', 3);
    expect(last(0)).toBe('prepare');
    await answer();
    await answer();
    await again;
    const drained = gateway.drain();
    expect(await codeOf(gateway.reload(of({ a: 1 }, 5)))).toBe('GW_SERVER_DRAINING');
    gateway.stop();
    await drained;
  });
});
