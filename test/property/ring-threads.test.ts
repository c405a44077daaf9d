// Rings and bells between real threads: pairs and meshes, flooded, starved, one frame at a time; and threads that die.
// Run by `bun test` with some 3 × 10^5 frames; SLUICE_STRESS=full makes it more than 10^7. Promises: nothing lost, twice, out of order or torn,
// nobody left asleep: a lost wake-up shows as a thread that never reports.
import { afterEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { Bell } from '../../src/memory/bell.ts';
import { type MemoryShape, planMemory, RING, ringPlace } from '../../src/memory/layout.ts';
import { Ring } from '../../src/memory/ring.ts';
import { Made, type Manner, noise, type RingOrder, type RingReport, ROOM } from './ring-thread.ts';

const FULL = Bun.env.SLUICE_STRESS === 'full';
const TIMEOUT_MS = FULL ? 600_000 : 60_000;

const threads: Worker[] = [];

afterEach(() => {
  for (const thread of threads.splice(0)) thread.terminate();
});

/** `arrows`: [from, to] of every ring in use. */
interface Net {
  readonly workers: number;
  readonly arrows: readonly (readonly [number, number])[];
  readonly framesPerRing: number;
  readonly ringBytes: number;
  readonly manner?: Partial<Manner>;
}

function mesh(workers: number): [number, number][] {
  const all = Array.from({ length: workers }, (_, n) => n);
  return all.flatMap((from) => all.filter((to) => to !== from).map((to): [number, number] => [from, to]));
}

function pairs(workers: number): [number, number][] {
  return mesh(workers).filter(([from, to]) => from >> 1 === to >> 1);
}

/** Lets the counters of every ring wrap soon. */
function presetCounters(memory: SharedArrayBuffer, shape: MemoryShape): void {
  const plan = planMemory(shape);
  for (const [from, to] of mesh(shape.workers)) {
    const cells = new Int32Array(memory, ringPlace(plan, from, to), RING.words);
    cells[RING.head] = -8 * shape.ringBytes;
    cells[RING.tail] = -8 * shape.ringBytes;
  }
}

async function run(net: Net): Promise<RingReport[]> {
  const { workers, arrows, framesPerRing, ringBytes } = net;
  const shape: MemoryShape = { workers, upstreams: 1, endpoints: 1, ringBytes, journalRecords: 1 };
  const plan = planMemory(shape);
  const memory = new SharedArrayBuffer(plan.bytes);
  presetCounters(memory, shape);
  const goes = (from: number, to: number) => arrows.some(([a, b]) => a === from && b === to);
  const peers = Array.from({ length: workers }, (): RingOrder['peers'][number][] => []);
  for (const [one, other] of mesh(workers)) {
    if (one > other || !(goes(one, other) || goes(other, one))) continue;
    const { port1, port2 } = new MessageChannel();
    peers[one]?.push({ worker: other, port: port1, sends: goes(one, other), takes: goes(other, one) });
    peers[other]?.push({ worker: one, port: port2, sends: goes(other, one), takes: goes(one, other) });
  }
  const manner: Manner = { putMax: 1000, takeMax: 1000, echo: false, ...net.manner };
  const reports = await Promise.all(
    peers.map((mine, worker) => {
      const thread = new Worker(join(import.meta.dir, 'ring-thread.ts'));
      threads.push(thread);
      const order: RingOrder = { memory, shape, worker, peers: mine, framesPerRing, manner };
      return new Promise<RingReport>((resolve, reject) => {
        thread.onmessage = ({ data }: MessageEvent<RingReport>) => resolve(data);
        thread.onerror = (event) => reject(new Error(event.message));
        thread.postMessage(
          order,
          mine.map(({ port }) => port),
        );
      });
    }),
  );
  expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
  expect(reports.map(({ sent }) => sent)).toEqual(
    peers.map((mine) => mine.filter(({ sends }) => sends).length * framesPerRing),
  );
  expect(reports.map(({ taken }) => taken)).toEqual(
    peers.map((mine) => mine.filter(({ takes }) => takes).length * framesPerRing),
  );
  for (const [from, to] of mesh(workers)) {
    expect(new Ring(memory, ringPlace(plan, from, to), ringBytes).usedBytes).toBe(0);
  }
  return reports;
}

function total(reports: readonly RingReport[], what: 'bells' | 'told' | 'sent'): number {
  return reports.reduce((sum, report) => sum + report[what], 0);
}

const count = (short: number, full: number): number => (FULL ? full : short);

describe('rings between threads', () => {
  test(
    'a pair floods both ways',
    async () => {
      const reports = await run({
        workers: 2,
        arrows: mesh(2),
        framesPerRing: count(60_000, 2_000_000),
        ringBytes: 65_536,
      });
      expect(total(reports, 'told')).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    'four pairs at once',
    async () => {
      await run({ workers: 8, arrows: pairs(8), framesPerRing: count(8_000, 300_000), ringBytes: 32_768 });
    },
    TIMEOUT_MS,
  );

  test(
    'four threads, each with each',
    async () => {
      await run({ workers: 4, arrows: mesh(4), framesPerRing: count(5_000, 160_000), ringBytes: 16_384 });
    },
    TIMEOUT_MS,
  );

  test(
    'eight threads, each with each',
    async () => {
      await run({ workers: 8, arrows: mesh(8), framesPerRing: count(1_000, 40_000), ringBytes: 8192 });
    },
    TIMEOUT_MS,
  );

  test(
    'slow consumers starve their producers, which go on when told',
    async () => {
      const manner = { takeMax: 3 };
      const reports = await run({
        workers: 3,
        arrows: mesh(3),
        framesPerRing: count(4_000, 150_000),
        ringBytes: 4096,
        manner,
      });
      expect(total(reports, 'told')).toBeGreaterThan(100);
      expect(Math.max(...reports.map(({ batchMax }) => batchMax))).toBe(3);
    },
    TIMEOUT_MS,
  );

  test(
    'one frame a turn: the consumer falls asleep again and again',
    async () => {
      const manner = { putMax: 1 };
      const reports = await run({
        workers: 2,
        arrows: [[0, 1]],
        framesPerRing: count(10_000, 300_000),
        ringBytes: 4096,
        manner,
      });
      expect(total(reports, 'bells')).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    'an answer for each frame: every frame needs a bell or finds its reader awake',
    async () => {
      const manner = { echo: true };
      const reports = await run({
        workers: 6,
        arrows: pairs(6),
        framesPerRing: count(3_000, 100_000),
        ringBytes: 4096,
        manner,
      });
      expect(total(reports, 'bells')).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

/** This thread is worker 1 of two; worker 0 is a thread that gets ended at any moment and started again. */
class Survivor {
  readonly shape: MemoryShape = {
    workers: 2,
    upstreams: 1,
    endpoints: 1,
    ringBytes: 4096,
    journalRecords: 1,
  };
  readonly plan = planMemory(this.shape);
  readonly memory = new SharedArrayBuffer(this.plan.bytes);
  readonly bell = new Bell(this.memory, this.plan, 0);
  thread: Worker | null = null;
  port: MessagePort | null = null;
  starved = false;
  report: Promise<RingReport> | null = null;

  ring(from: number, to: number): Ring {
    return new Ring(this.memory, ringPlace(this.plan, from, to), this.shape.ringBytes);
  }

  start(direction: { readonly sends: boolean; readonly takes: boolean }, framesPerRing: number): void {
    const { port1, port2 } = new MessageChannel();
    const thread = new Worker(join(import.meta.dir, 'ring-thread.ts'));
    threads.push(thread);
    this.report = new Promise((resolve) => {
      thread.onmessage = ({ data }: MessageEvent<RingReport>) => resolve(data);
    });
    port1.onmessage = ({ data }: MessageEvent<number>) => {
      if (data === ROOM) this.starved = false;
    };
    const order: RingOrder = {
      memory: this.memory,
      shape: this.shape,
      worker: 0,
      peers: [{ worker: 1, port: port2, ...direction }],
      framesPerRing,
      manner: { putMax: 1000, takeMax: 5, echo: false },
    };
    thread.postMessage(order, [port2]);
    this.thread = thread;
    this.port = port1;
  }

  /** Ends the thread wherever it is; resolves when it is gone. */
  async kill(): Promise<void> {
    const { thread } = this;
    const gone = new Promise((resolve) => thread?.addEventListener('close', resolve));
    thread?.terminate();
    await gone;
    this.port?.close();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a thread that dies', () => {
  const bytes = noise();
  const made = new Made();

  test(
    'while it puts leaves whole frames in order, and its follower goes on behind them',
    async () => {
      const survivor = new Survivor();
      const ring = survivor.ring(0, 1);
      for (let life = 0; life < count(8, 60); life++) {
        let next = 0;
        const faults: string[] = [];
        const take = (): void => {
          ring.drain((frame) => {
            const fault = made.of(1, next, ring.frameBytesMax).fault(frame, next, bytes);
            if (fault !== null) faults.push(fault);
            next++;
          }, 1000);
          if (ring.takeStarved()) survivor.port?.postMessage(ROOM);
        };
        survivor.start({ sends: true, takes: false }, 1e9);
        const enough = 1 + life * 131;
        while (next < enough) {
          take();
          await turn();
        }
        await survivor.kill();
        while (!ring.isEmpty) take();
        expect(faults).toEqual([]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    'while it takes leaves a ring that reset() empties; the producer never stops and its follower sees only what is new',
    async () => {
      const survivor = new Survivor();
      const ring = survivor.ring(1, 0);
      let next = 0;
      const put = (limit: number): void => {
        while (next < limit && !survivor.starved) {
          const { kind, metaStart, metaBytes, bodyStart, bodyBytes } = made.of(64, next, ring.frameBytesMax);
          const meta = bytes.subarray(metaStart, metaStart + metaBytes);
          if (ring.push(kind, next, meta, bytes, bodyStart, bodyStart + bodyBytes)) next++;
          else survivor.starved = true;
        }
        if (survivor.bell.mustRing()) survivor.port?.postMessage(0);
      };
      for (let life = 0; life < count(8, 60); life++) {
        const frames = 200 + life * 37;
        for (const dies of [true, false]) {
          next = 0;
          survivor.starved = false;
          survivor.start({ sends: false, takes: true }, frames);
          while (next < (dies ? frames - 100 : frames)) {
            put(frames);
            await turn();
          }
          if (!dies) expect(await survivor.report).toMatchObject({ taken: frames, faults: [] });
          await survivor.kill();
          if (dies) survivor.ring(1, 0).reset();
          expect(ring.isEmpty).toBe(true);
        }
      }
    },
    TIMEOUT_MS,
  );
});
