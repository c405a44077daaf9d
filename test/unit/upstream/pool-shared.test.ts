// Pools of several workers over one upstream: the bound holds for all together, turns are fair, idle connections go where they are wanted.
// Runs src/upstream/pool.ts and pool-turns.ts, one pool a worker over one memory, on one thread and clocks that the test moves.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { PoolCell, sumPool } from '../../../src/memory/cells.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearWorker } from '../../../src/memory/reclaim.ts';
import { codeOf, HttpWorld, httpSpec, reply } from './http-world.ts';

const TICK_MS = 60;

/** Pools of some workers; nudges are kept until the test delivers them, or are delivered at once. */
function makeWorlds(workers: number, connectionsMax: number, nudging: 'at once' | 'never') {
  const memory = createMemory({ workers, upstreams: 1, endpoints: 0, ringBytes: 4096, journalRecords: 1 }, 0);
  const nudges: string[] = [];
  const worlds: HttpWorld[] = [];
  for (let worker = 0; worker < workers; worker++) {
    const nudge = (to: number): void => {
      nudges.push(`${worker}>${to}`);
      if (nudging === 'at once') worlds[to]?.upstream.nudged?.();
    };
    const spec = httpSpec({ connectionsMax }, { queueDepthMax: 100 });
    worlds.push(new HttpWorld(spec, { cell: new PoolCell(memory, 0, worker), nudge }));
  }
  const held = (): number => new PoolCell(memory, 0, 0).held();
  const world = (worker: number): HttpWorld => {
    const found = worlds[worker];
    if (found === undefined) throw new Error(`no worker ${worker}`);
    return found;
  };
  return { memory, nudges, world, held };
}

describe('one bound for all', () => {
  test('a worker waits for what another has, and is told when it is given back', () => {
    const { memory, nudges, world, held } = makeWorlds(2, 2, 'at once');
    const [a, b] = [world(0), world(1)];
    a.send();
    a.send();
    const waiting = b.send();
    expect([a.attempts.length, b.attempts.length, held()]).toEqual([2, 0, 2]);
    expect(sumPool(memory, 0)).toMatchObject({ total: 2, busy: 2, idle: 0, waiting: 1 });
    a.attemptAt(0).accept().say(reply('{}'));
    // Its connection was free and nobody there needed it: it went to the other worker.
    expect([a.load, b.attempts.length, nudges]).toEqual(['total 1 busy 1 idle 0 waiting 0', 1, ['0>1']]);
    b.attemptAt(0).accept().say(reply('{"b":1}'));
    expect([waiting.sink.text, held()]).toEqual(['{"b":1}', 2]);
    expect(sumPool(memory, 0)).toMatchObject({ total: 2, busy: 1, idle: 1, waiting: 0, connects: 2 });
  });

  test('an idle connection is given up as soon as another worker asks', () => {
    const { nudges, world, held } = makeWorlds(2, 1, 'at once');
    const [a, b] = [world(0), world(1)];
    const socket = a.warm();
    expect(a.load).toBe('total 1 busy 0 idle 1 waiting 0');
    const { sink } = b.send();
    expect([socket.destroyed, nudges, held()]).toEqual([true, ['1>0', '0>1'], 1]);
    b.attemptAt(0).accept().say(reply('7'));
    expect(sink.text).toBe('7');
  });

  test('without any nudge the ticks do the same', () => {
    const { world, held } = makeWorlds(2, 1, 'never');
    const [a, b] = [world(0), world(1)];
    const socket = a.warm();
    b.send();
    expect([socket.destroyed, b.attempts.length]).toEqual([false, 0]);
    a.clock.advance(TICK_MS);
    expect([socket.destroyed, held()]).toEqual([true, 0]);
    b.clock.advance(TICK_MS);
    expect([b.attempts.length, held()]).toEqual([1, 1]);
  });

  test('what a dead worker held is there for the others', () => {
    const { memory, world, held } = makeWorlds(2, 2, 'never');
    const [a, b] = [world(0), world(1)];
    b.send();
    b.send();
    const { sink } = a.send();
    expect(clearWorker(memory, 1)).toMatchObject({ permits: 2 });
    a.clock.advance(TICK_MS);
    a.attemptAt(0).accept().say(reply('1'));
    expect([sink.text, held()]).toEqual(['1', 1]);
  });

  test('a stream that lasts gives its permit to another worker, and comes back to one only if one is free', () => {
    const { world, held } = makeWorlds(2, 1, 'at once');
    const [a, b] = [world(0), world(1)];
    a.send({ verb: 'GET' });
    const { sink } = b.send();
    const stream = a.attemptAt(0).accept();
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
    stream.say(head);
    expect([b.attempts.length, held()]).toEqual([1, 1]);
    stream.say('0\r\n\r\n');
    expect([stream.destroyed, held()]).toEqual([true, 1]);
    b.attemptAt(0).accept().say(reply('2'));
    expect([sink.text, held(), a.load]).toEqual(['2', 1, 'total 0 busy 0 idle 0 waiting 0']);
  });
});

describe('turns', () => {
  test('a free permit goes to the call that has waited longest, in whichever worker', () => {
    const { world } = makeWorlds(3, 1, 'at once');
    const [a, b, c] = [world(0), world(1), world(2)];
    a.send();
    const calls = [b.send(), c.send(), b.send()];
    a.attemptAt(0).refuse();
    expect([a.attempts.length, b.attempts.length, c.attempts.length]).toEqual([1, 1, 0]);
    b.attemptAt(0).refuse();
    expect([b.attempts.length, c.attempts.length]).toEqual([1, 1]);
    c.attemptAt(0).refuse();
    expect([b.attempts.length, c.attempts.length]).toEqual([2, 1]);
    b.attemptAt(1).accept().say(reply('3'));
    expect(calls.map(({ sink }) => codeOf(sink) ?? sink.text)).toEqual([
      'GW_UPSTREAM_CONNECT',
      'GW_UPSTREAM_CONNECT',
      '3',
    ]);
  });

  test('a newcomer gives way to who waits elsewhere, but not for ever', () => {
    const { memory, world, held } = makeWorlds(2, 1, 'never');
    const [a, b] = [world(0), world(1)];
    // A worker that holds a ticket and does nothing with it: it is stuck.
    const stuck = new PoolCell(memory, 0, 1);
    stuck.setWaiting(1);
    stuck.setOldest(stuck.drawTicket());
    a.send();
    expect([a.attempts.length, a.load]).toEqual([0, 'total 0 busy 0 idle 0 waiting 1']);
    a.clock.advance(4 * TICK_MS);
    expect([a.attempts.length, held(), b.attempts.length]).toEqual([1, 1, 0]);
  });

  test('a busy worker lets go of what others lack of their share, and no more', () => {
    const { world, held } = makeWorlds(2, 4, 'at once');
    const [a, b] = [world(0), world(1)];
    for (let n = 0; n < 6; n++) a.send();
    const sockets = a.attempts.map((attempt) => attempt.accept());
    const answers = b.send().sink;
    for (let n = 0; n < 8; n++) b.send();
    for (let n = 0; n < 60; n++) a.send();
    // Two of a's calls are older than b's: they come first, on connections that stay.
    for (const socket of sockets.slice(0, 2)) socket.say(reply('{}'));
    a.clock.advance(TICK_MS);
    expect([sockets.filter((socket) => socket.destroyed).length, b.attempts.length]).toEqual([0, 0]);
    for (let round = 0; round < 6; round++) {
      for (const socket of sockets) if (!socket.destroyed) socket.say(reply('{}'));
      a.clock.advance(TICK_MS);
      b.clock.advance(TICK_MS);
    }
    expect([sockets.filter((socket) => socket.destroyed).length, b.attempts.length, held()]).toEqual([
      2, 2, 4,
    ]);
    b.attemptAt(0).accept().say(reply('9'));
    expect(answers.text).toBe('9');
  });
});

test('a random walk of three workers: never more than the bound, and all is given back', () => {
  const step = fc.record({
    worker: fc.nat(2),
    what: fc.constantFrom(
      'send',
      'send',
      'send',
      'accept',
      'accept',
      'reply',
      'reply',
      'snap',
      'abort',
      'tick',
      'refuse',
    ),
    which: fc.nat(40),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('at once', 'never'),
      fc.array(step, { maxLength: 120 }),
      (bound, nudging, steps) => {
        const { memory, world, held } = makeWorlds(3, bound, nudging as 'at once' | 'never');
        const calls: ReturnType<HttpWorld['send']>[][] = [[], [], []];
        const open = [new Set<number>(), new Set<number>(), new Set<number>()];
        for (const { worker, what, which } of steps) {
          const here = world(worker);
          const tried = open[worker] ?? new Set();
          const attempts = here.attempts.map((_, index) => index).filter((index) => !tried.has(index));
          const attempt = attempts[which % Math.max(1, attempts.length)];
          const busy = here.sockets.filter(
            (socket) => !socket.destroyed && !socket.closed && socket.requests > 0,
          );
          const socket = busy[which % Math.max(1, busy.length)];
          if (what === 'send') calls[worker]?.push(here.send());
          else if (what === 'accept' && attempt !== undefined) {
            tried.add(attempt);
            here.attemptAt(attempt).accept();
          } else if (what === 'refuse' && attempt !== undefined) {
            tried.add(attempt);
            here.attemptAt(attempt).refuse();
          } else if (what === 'reply') socket?.say(reply('{}'));
          else if (what === 'snap') socket?.snap();
          else if (what === 'abort') {
            const sent = calls[worker] ?? [];
            const [left] = sent.splice(which % Math.max(1, sent.length), 1);
            left?.call.abort();
          } else if (what === 'tick') here.clock.advance(TICK_MS);
          expect(held()).toBeLessThanOrEqual(bound);
          expect(held()).toBe(sumPool(memory, 0).total);
        }
        // The gateway lets go: whatever is left is broken off within the time.
        for (let worker = 0; worker < 3; worker++) void world(worker).upstream.close(100);
        for (let worker = 0; worker < 3; worker++) {
          world(worker).clock.advance(200);
          world(worker).clock.turn();
        }
        expect(sumPool(memory, 0)).toMatchObject({ total: 0, busy: 0, idle: 0, waiting: 0 });
        expect(held()).toBe(0);
        expect(new PoolCell(memory, 0, 0).othersWait).toBe(false);
        expect(calls.flat().every(({ sink }) => sink.over)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});
