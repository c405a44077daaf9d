// Several data workers and their deaths: who is told what, in which order, and what is given back.
// Runs gateway.ts and gateway/ with threads that the test plays, on a clock that it moves.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { freshKeyRing } from '../../../src/bridge/seal.ts';
import { type Gateway, startGateway } from '../../../src/gateway.ts';
import { PoolCell } from '../../../src/memory/cells.ts';
import { ringPlace } from '../../../src/memory/layout.ts';
import { attachMemory } from '../../../src/memory/memory.ts';
import { Ring } from '../../../src/memory/ring.ts';
import { lifeOf } from '../../../src/memory/workers.ts';
import { createLog, SILENT } from '../../../src/observe/log.ts';
import type { Runtime } from '../../../src/runtime/runtime.ts';
import { snapshotOf } from '../../fixtures/plane.ts';
import { codeOf, READY, scripted, statsOf } from '../../fixtures/threads.ts';

const snapshot = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });
const optionsOf = (runtime: Runtime) =>
  ({ runtime, snapshot, log: SILENT, scan: 'auto', logLevel: 'silent' }) as const;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A gateway of so many workers, all of them serving. */
async function serving(workers: number) {
  const world = scripted();
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', { write: (line) => lines.push(JSON.parse(line)), wall: () => 0 });
  const starting = startGateway({ ...optionsOf(world.runtime), log, workers });
  for (const life of world.lives) life.report(READY);
  const gateway = await starting;
  // The peer-ups that came after the start orders.
  for (const life of world.lives) for (const _ of life.orders.slice(1)) life.report({ kind: 'noted' });
  await settle();
  const memory = attachMemory(world.startOf(0).memory);
  return { world, gateway, lines, memory };
}

/** The states of all workers; each that serves is asked and answers. */
async function statesOf(gateway: Gateway, world: ReturnType<typeof scripted>): Promise<string[]> {
  const before = world.lives.map((life) => life.orders.length);
  const stats = gateway.stats();
  world.lives.forEach((life, at) => {
    if (life.orders.length > (before[at] ?? 0)) life.report(statsOf(0));
  });
  return (await stats).workers.map(({ state, generation, restarts }) => `${state} ${generation} ${restarts}`);
}

describe('the start of several workers', () => {
  test('all start at once, on one port that was free, each pair with a line between them', async () => {
    const { world, gateway } = await serving(3);
    const starts = world.lives.map((_, at) => world.startOf(at));
    const [first] = starts;
    expect(first?.address.port).toBeGreaterThan(0);
    for (const [index, start] of starts.entries()) {
      expect(start.place).toEqual({ index, count: 3, generation: 1 });
      expect(start.address).toEqual({ port: first?.address.port ?? 0, reusePort: true });
      expect([start.memory.buffer === first?.memory.buffer, start.routes === first?.routes]).toEqual([
        true,
        true,
      ]);
      expect(start.peers.map((peer) => peer.worker)).toEqual([0, 1, 2].slice(0, index));
    }
    expect(world.lives.map((_, at) => world.kinds(at))).toEqual([
      ['start', 'peer-up', 'peer-up'],
      ['start', 'peer-up'],
      ['start'],
    ]);
    expect(world.lives.map((life) => life.ports)).toEqual([[0, 1, 1], [1, 1], [2]]);
    expect(await statesOf(gateway, world)).toEqual(['serving 1 0', 'serving 1 0', 'serving 1 0']);
    gateway.stop();
    expect([world.terminated(), await codeOf(gateway.stats())]).toEqual([3, 'GW_RUNTIME_WORKER']);
  });

  test('a port that somebody has is refused before any worker listens', async () => {
    const world = scripted();
    const taken = world.runtime.listen(
      {
        transport: 'uwebsockets',
        ...{ host: '127.0.0.1', port: 4711, reusePort: false, bodyBytesMax: 1, idleTimeoutMs: 1000 },
        ...{ tls: null, http2: false, http3: false },
      },
      () => ({ status: 200, headers: {}, body: null }),
    );
    const options = {
      ...optionsOf(world.runtime),
      ...{ snapshot: { ...snapshot, listen: { ...snapshot.listen, port: taken.port } }, workers: 2 },
    };
    expect(await codeOf(startGateway(options))).toBe('GW_RUNTIME_LISTEN');
    expect([world.terminated(), world.life(0).orders]).toEqual([1, []]);
  });

  test('one that cannot start, or dies while others still do, ends the start and all threads', async () => {
    for (const end of ['fails', 'dies', 'dies after it was ready'] as const) {
      const world = scripted();
      const starting = codeOf(startGateway({ ...optionsOf(world.runtime), workers: 3 }));
      world.life(0).report(READY);
      if (end === 'fails') world.life(1).report({ kind: 'failed', code: 'GW_RUNTIME_LISTEN', detail: '' });
      if (end === 'dies') world.life(1).die('boom');
      if (end === 'dies after it was ready') world.life(0).die('boom');
      expect(await starting).toBe(end === 'fails' ? 'GW_RUNTIME_LISTEN' : 'GW_RUNTIME_WORKER');
      expect([world.lives.length, world.terminated()]).toEqual([3, end === 'fails' ? 3 : 2]);
    }
  });
});

describe('the death of a worker', () => {
  test('the others let go first, then its cells and rings are cleared, then its next life begins', async () => {
    const { world, gateway, lines, memory } = await serving(3);
    const cell = new PoolCell(memory, 0, 1);
    expect([cell.acquire(10), cell.acquire(10)]).toEqual([true, true]);
    cell.setSessions(4);
    const rings = [
      [1, 0],
      [2, 1],
      [0, 2],
    ].map(
      ([from = 0, to = 0]) =>
        new Ring(memory.buffer, ringPlace(memory.plan, from, to), memory.plan.ringBytes),
    );
    for (const ring of rings) ring.push(1, 1, new Uint8Array(8), new Uint8Array(8));
    world.life(1).die('boom');
    await settle();
    expect(lines.at(-1)).toMatchObject({
      level: 'error',
      ...{ worker: 1, generation: 1, deaths: 1, reason: 'boom', restartInMs: 0 },
    });
    expect(lifeOf(memory, 1)).toEqual({ generation: 1, state: 'down' });
    expect([world.life(0).orders.at(-1), world.life(2).orders.at(-1)]).toEqual(
      Array(2).fill({ kind: 'peer-down', worker: 1, generation: 1 }),
    );
    world.life(0).report({ kind: 'noted' });
    await settle();
    // One of the two has not let go: nothing is touched yet.
    expect([world.lives.length, cell.held()]).toEqual([3, 2]);
    world.life(2).report({ kind: 'noted' });
    await settle();
    expect([world.lives.length, cell.held(), cell.numbers().sessions]).toEqual([4, 0, 0]);
    expect(rings.map((ring) => ring.isEmpty)).toEqual([true, true, false]);
    expect(lifeOf(memory, 1)).toEqual({ generation: 2, state: 'starting' });
    const start = world.startOf(3);
    expect([start.place, start.peers]).toEqual([
      { index: 1, count: 3, generation: 2 },
      [
        { worker: 0, generation: 1 },
        { worker: 2, generation: 1 },
      ],
    ]);
    // It returns to the port that clients know, which the first report told.
    expect(start.address).toEqual({ port: 5, reusePort: true });
    expect([world.life(3).ports, world.life(0).orders.at(-1), world.life(0).ports.at(-1)]).toEqual([
      [2],
      { kind: 'peer-up', worker: 1, generation: 2 },
      1,
    ]);
    world.life(3).report(READY);
    for (const at of [0, 2]) world.life(at).report({ kind: 'noted' });
    await settle();
    expect(lifeOf(memory, 1)).toEqual({ generation: 2, state: 'serving' });
    expect(lines.at(-1)).toMatchObject({
      ...{ worker: 1, generation: 2, lostSessions: 4, reclaimedPermits: 2 },
    });
    expect(await statesOf(gateway, world)).toEqual(['serving 1 0', 'serving 2 1', 'serving 1 0']);
    gateway.stop();
  });

  test('one that does not let go in time holds nobody up', async () => {
    const { world, gateway } = await serving(2);
    world.life(1).die('boom');
    await world.advance(LIMITS.workerFarewellMs - 1);
    expect(world.lives.length).toBe(2);
    await world.advance(2);
    expect(world.kinds(2)).toEqual(['start']);
    gateway.stop();
  });

  test('two at once: each meets the other in its next life', async () => {
    const { world, gateway } = await serving(2);
    world.life(0).die('boom');
    world.life(1).die('boom');
    await settle();
    expect([world.kinds(2), world.kinds(3)].map((kinds) => kinds.join())).toEqual(['start,peer-up', 'start']);
    // Worker 1 had nobody left to take leave of, so it is first.
    expect(world.startOf(3).peers).toEqual([{ worker: 1, generation: 2 }]);
    expect(await statesOf(gateway, world)).toEqual(['starting 2 1', 'starting 2 1']);
    gateway.stop();
    world.life(2).die(null);
    await world.advance(10_000);
    expect(world.lives.length).toBe(4);
  });

  test('dying young again and again: later and later, and serving in between is enough to go on', async () => {
    const { world, gateway, lines } = await serving(1);
    for (const delayMs of [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
      const lives = world.lives.length;
      world.life(lives - 1).die('boom');
      await settle();
      if (delayMs > 0) {
        await world.advance(delayMs - 1);
        expect([world.lives.length, lines.at(-1)?.restartInMs]).toEqual([lives, delayMs]);
        await world.advance(2);
      }
      expect(world.lives.length).toBe(lives + 1);
      world.life(lives).report(READY);
      await settle();
    }
    await world.advance(LIMITS.workerHealthyMs);
    world.life(world.lives.length - 1).die('boom');
    await settle();
    expect(lines.at(-1)?.restartInMs).toBe(0);
    gateway.stop();
  });

  test('one that never serves again ends the gateway, whether it dies or cannot listen', async () => {
    const { world, gateway, lines } = await serving(2);
    let died: string | null = null;
    void gateway.died.then((error) => {
      died = error.detail;
    });
    world.life(1).die('boom');
    for (let start = 1; start <= LIMITS.workerStartsMax; start++) {
      expect(died).toBeNull();
      await world.advance(6_000);
      const life = world.life(world.lives.length - 1);
      if (start % 2 === 0) life.die('bad machine');
      else life.report({ kind: 'failed', code: 'GW_RUNTIME_LISTEN', detail: 'taken' });
      await settle();
    }
    await world.advance(6_000);
    expect(died ?? '').toBe('taken');
    expect(world.lives.length).toBe(2 + LIMITS.workerStartsMax);
    expect(lines.at(-1)?.msg).toBe('a data worker cannot be brought back: the gateway ends');
    expect(world.life(0).isTerminated).toBe(true);
  });

  test('endWorker ends one as a crash would; one that is down cannot be ended', async () => {
    const { world, gateway, lines } = await serving(2);
    expect([gateway.endWorker(1), gateway.endWorker(2), world.life(1).isTerminated]).toEqual([
      true,
      false,
      true,
    ]);
    world.life(1).die(null);
    await settle();
    expect([gateway.endWorker(1), lines.at(-1)?.reason]).toEqual([false, 'it was ended on request']);
    world.life(0).report({ kind: 'noted' });
    await settle();
    // The line to the next life.
    world.life(0).report({ kind: 'noted' });
    expect(await statesOf(gateway, world)).toEqual(['serving 1 0', 'starting 2 1']);
    gateway.stop();
  });
});

describe('the end of several workers', () => {
  test('they drain at the same time; one that dies then stays dead', async () => {
    const { world, gateway, lines } = await serving(3);
    let isDrained = false;
    void gateway.drain().then(() => {
      isDrained = true;
    });
    expect(world.lives.map((_, at) => world.kinds(at).at(-1))).toEqual(['drain', 'drain', 'drain']);
    world.life(0).report({ kind: 'drained' });
    world.life(1).die('boom');
    await settle();
    expect([isDrained, lines.at(-1)?.msg]).toEqual([false, 'a data worker died while it drained']);
    expect(world.kinds(0).at(-1)).toBe('drain');
    world.life(2).report({ kind: 'drained' });
    await settle();
    // No listener goes before all have drained.
    expect([isDrained, world.kinds(0).at(-1), world.kinds(2).at(-1)]).toEqual([false, 'close', 'close']);
    for (const at of [0, 2]) world.life(at).report({ kind: 'drained' });
    await settle();
    expect([isDrained, world.lives.length, world.terminated()]).toEqual([true, 3, 2]);
  });

  test('a worker that waits for its next life does not get it once the drain has begun', async () => {
    const { world, gateway } = await serving(2);
    world.life(1).die('boom');
    await settle();
    const drained = gateway.drain();
    world.life(0).report({ kind: 'noted' });
    await world.advance(1_000);
    world.life(0).report({ kind: 'drained' });
    await settle();
    world.life(0).report({ kind: 'drained' });
    await drained;
    expect(world.lives.length).toBe(2);
  });

  test('changed keys go to every worker, and to those that start later', async () => {
    const { world, gateway } = await serving(2);
    const keys = freshKeyRing(world.runtime.random);
    gateway.renewKeys(keys);
    expect(world.lives.map((_, at) => world.kinds(at).at(-1))).toEqual(['keys', 'keys']);
    for (const life of world.lives) life.report({ kind: 'noted' });
    world.life(0).die('boom');
    await settle();
    world.life(1).report({ kind: 'noted' });
    await settle();
    expect(world.startOf(2).keys).toBe(keys);
    gateway.stop();
  });
});
