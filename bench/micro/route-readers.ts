// Readers of the route table while control publishes 10 000 names again and again: ours in shared memory beside a Map posted to each thread.
// Called by bench/run.ts and, at toy size, by the tests. Promises: readers and publisher run at the same time, the publisher as fast as it can; a reader
// that misses a name fails the bench; with more threads than cores the rates are what is left of the cores.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, type BenchRow, checksumOf, rowOf } from '../report.ts';
import { toolEntries, toolName, toolTable } from './route.ts';
import type { ReadOrder, ReadReport, ReadWay } from './route-reader.ts';

const WAYS: Readonly<Record<ReadWay, string>> = {
  table: 'look-up',
  message: 'scan and look-up of a message',
  map: 'Map posted to every thread',
};

interface Size {
  readonly names: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly readers: readonly number[];
}

const SIZES: Readonly<Record<'toy' | 'short' | 'full', Size>> = {
  toy: { names: 100, rounds: 1, roundMs: 20, readers: [1] },
  short: { names: 10_000, rounds: 3, roundMs: 400, readers: [1, 2] },
  full: { names: 10_000, rounds: 5, roundMs: 1_000, readers: [1, 2, 4, 8] },
};

interface Figures {
  readonly 'reads/s': number;
  readonly 'publications/s': number;
  readonly 'reads and writes/s': number;
}

interface Race extends Size {
  readonly way: ReadWay;
  readonly threads: number;
  readonly publishes: boolean;
}

function start(): { thread: Worker; report: Promise<ReadReport> } {
  const thread = new Worker(join(import.meta.dir, 'route-reader.ts'));
  const report = new Promise<ReadReport>((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<ReadReport>) => resolve(data);
    thread.onerror = (event) => reject(new Error(event.message));
  });
  return { thread, report };
}

async function race({ way, threads, names, roundMs, publishes }: Race): Promise<Figures> {
  const table = toolTable(names);
  const signals = new Int32Array(new SharedArrayBuffer(12));
  const order: ReadOrder = { way, table: table.memory, signals: signals.buffer, names };
  const entries = toolEntries(names);
  const readers = Array.from({ length: threads }, start);
  const map = new Map(entries.map(({ upstream }) => [toolName(upstream), upstream]));
  const publish = (): void => {
    if (way === 'map') for (const { thread } of readers) thread.postMessage(map);
    else table.publish(entries);
  };
  try {
    if (way === 'map') publish();
    for (const { thread } of readers) thread.postMessage(order);
    while (Atomics.load(signals, 0) < threads) await Bun.sleep(1);
    Atomics.store(signals, 1, 1);
    const endMs = performance.now() + roundMs;
    let publications = 0;
    while (performance.now() < endMs) {
      // A Map that waits in a queue is published to nobody: the next one goes when every thread has taken the last.
      if (publishes && (way !== 'map' || Atomics.load(signals, 2) >= (publications + 1) * threads)) {
        publish();
        publications++;
      }
      // Lets a posted Map go out; without publications it is the readers' time alone.
      await Bun.sleep(publishes ? 0 : 10);
    }
    Atomics.store(signals, 1, 2);
    const reports = await Promise.all(readers.map(({ report }) => report));
    if (reports.some(({ missed }) => missed > 0)) throw new Error(`a name was missed (${way})`);
    const reads = reports.reduce((sum, one) => sum + (one.reads * 1000) / one.ms, 0);
    const writes = (publications * 1000) / roundMs;
    return { 'reads/s': reads, 'publications/s': writes, 'reads and writes/s': reads + writes * names };
  } finally {
    for (const { thread } of readers) thread.terminate();
  }
}

/** Measures every way with every number of readers, in rounds where the ways take turns. */
export async function benchRouteReaders(options: {
  readonly size: 'toy' | 'short' | 'full';
}): Promise<BenchResult> {
  const size = SIZES[options.size];
  const rounds = new Map<string, Record<string, number[]>>();
  for (let round = 0; round < size.rounds; round++) {
    for (const threads of size.readers) {
      // The keys of WAYS are its ways: that is how it is typed.
      for (const way of Object.keys(WAYS) as ReadWay[]) {
        for (const publishes of way === 'map' ? [true] : [true, false]) {
          const figures = await race({ ...size, way, threads, publishes });
          const name = `${WAYS[way]}, ${threads} reader${threads > 1 ? 's' : ''}${publishes ? '' : ', nothing published'}`;
          const known = rounds.get(name) ?? {};
          for (const [key, value] of Object.entries(figures)) known[key] = [...(known[key] ?? []), value];
          rounds.set(name, known);
        }
      }
    }
  }
  const rows: BenchRow[] = [...rounds].map(([name, figures]) => rowOf(name, figures));
  const rateOf = (words: RegExp): number =>
    Math.max(
      0,
      ...rows.filter((row) => words.test(row.name)).map((row) => Number(row.figures['reads and writes/s'])),
    );
  const millions = (perSecond: number): string => `${(perSecond / 1e6).toFixed(1)} M/s`;
  return {
    title: 'route readers: look-ups while control publishes',
    method: `${size.names} names published without a pause by the main thread, readers in threads of their own, ${availableParallelism()} cores; medians of ${size.rounds} rounds; a write is one name of a publication`,
    rows,
    checksum: checksumOf([...rounds.keys()].join(), checksumOf('route-readers')),
    published: [
      {
        what: 'registry reads under writes',
        theirs: '3.2 M reads and writes/s',
        ours: `${millions(rateOf(/^look-up(?!.*nothing)/))} look-ups; ${millions(rateOf(/^scan(?!.*nothing)/))} with the scan of a message`,
        alternative: `${millions(rateOf(/^Map/))} (${WAYS.map})`,
      },
    ],
  };
}
