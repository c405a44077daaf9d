// The cells that workers share: breaker, counters, permits, histogram, journal; on one thread and on several, beside what one would do instead.
// Called by bench/run.ts and, at toy size, by the tests. Promises: ours and its rivals take turns in rounds; threads start together; each
// operation's effect is counted, and a bench whose counts differ fails. Times are taken, cache misses are not: they are not counted on every machine.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EMPTY, encode } from '../../src/base/bytes.ts';
import { BreakerCell } from '../../src/memory/breaker-cell.ts';
import { PoolCell } from '../../src/memory/cells.ts';
import { CounterStripe } from '../../src/memory/counters.ts';
import { Histogram } from '../../src/memory/histogram.ts';
import { blankEntry, type JournalEntry, JournalWriter } from '../../src/memory/journal.ts';
import { COUNTER } from '../../src/memory/layout.ts';
import { createMemory, type PlaneMemory, sharedOf } from '../../src/memory/memory.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import { withBreaker } from '../../src/upstream/breaker.ts';
import type { Upstream, UpstreamCall, UpstreamSink } from '../../src/upstream/upstream.ts';
import { type BenchResult, type BenchRow, checksumOf, median, rowOf } from '../report.ts';
import {
  BOUND,
  BREAKER,
  type CellsBenchOrder,
  type CellsBenchReport,
  type CellsWay,
  RIVAL,
} from './cells-thread.ts';
import { measureTasks } from './measure.ts';
import { REQUEST } from './request.ts';

interface Size {
  readonly rounds: number;
  readonly operations: number;
  readonly threads: readonly number[];
}

const SIZES: Readonly<Record<'toy' | 'short' | 'full', Size>> = {
  toy: { rounds: 1, operations: 2_000, threads: [2] },
  short: { rounds: 5, operations: 2_000_000, threads: [2, 4] },
  full: { rounds: 9, operations: 10_000_000, threads: [2, 4, 8] },
};

const WAYS: readonly CellsWay[] = [
  'breaker',
  'breaker, counts shared by all threads',
  'counter',
  'counter, packed in one line',
  'counter, one for all threads',
  'permit',
  'permit, one count for all threads',
];

const CALLS = 1_000;

function memoryFor(workers: number): PlaneMemory {
  return createMemory({ workers, upstreams: 1, endpoints: 1, ringBytes: 4096, journalRecords: 256 }, 0);
}

// ── one thread ──────────────────────────────────────────────────────────────────────────────────────────────────────

const CALL: UpstreamCall = { resume: () => undefined, abort: () => undefined };
const HEAD = {
  status: 200,
  media: 'json',
  contentLength: 2,
  whole: true,
  sessionId: null,
  header: () => null,
} as const;

/** An upstream that answers at once, which the contract forbids and a bench of what stands before it wants. */
const INSTANT: Upstream = {
  name: 'instant',
  transport: 'fake',
  send: (_request, sink) => {
    sink.onHead(HEAD);
    sink.onData(EMPTY);
    sink.onEnd();
    return CALL;
  },
  stats: () => new PoolCell(memoryFor(1), 0, 0).numbers(),
  close: () => Promise.resolve(),
};

function sinkThatCounts(): UpstreamSink & { ended: number } {
  const sink = {
    ended: 0,
    onHead: () => undefined,
    onData: () => true,
    onEnd: () => {
      sink.ended++;
    },
    onFail: () => undefined,
  };
  return sink;
}

function journalEntry(): JournalEntry {
  const body = encode('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}'.padEnd(230));
  return {
    ...blankEntry(),
    ...{ wallMs: 1, durationUs: 2, status: 200 },
    method: 'tools/call',
    id: '9z7GCw5tQ2yB5Ch0PqOQ7g-123',
    body,
    nameStart: 63,
    nameEnd: 67,
  };
}

async function benchAlone(toy: boolean): Promise<{ readonly rows: BenchRow[]; readonly breakerNs: number }> {
  const memory = memoryFor(2);
  const breaker = new BreakerCell(memory, 0, 0, BREAKER);
  const stripe = new CounterStripe(memory, 0);
  const pool = new PoolCell(memory, 0, 0);
  const histogram = new Histogram();
  const journal = new JournalWriter(memory, 0);
  const entry = journalEntry();
  const plain = { state: 0, successes: 0, count: 0 };
  const logCounts = new Float64Array(2_048);
  const { clock } = createSimRuntime({ seed: 1 });
  const guarded = withBreaker(INSTANT, { cell: breaker, clock, offsetMs: 0, onChange: () => undefined });
  const [bareSink, guardedSink] = [sinkThatCounts(), sinkThatCounts()];
  let us = 0;
  const next = (): number => {
    us = us > 1e6 ? 50 : us * 1.01 + 1;
    return us;
  };
  const ns = await measureTasks(
    {
      breaker: () => breaker.succeeded(breaker.passing()),
      breakerPlain: () => {
        if (plain.state === 0) plain.successes++;
      },
      counter: () => stripe.bump(0, COUNTER.exchanges),
      counterPlain: () => {
        plain.count++;
      },
      permit: () => {
        if (pool.acquire(BOUND)) pool.release();
      },
      histogram: () => histogram.record(next()),
      histogramLog: () => {
        const bucket = Math.floor(Math.log2(next() + 1) * 32);
        logCounts[bucket] = (logCounts[bucket] ?? 0) + 1;
      },
      journal: () => journal.write(entry),
      guarded: () => guarded.send(REQUEST, guardedSink),
      bare: () => INSTANT.send(REQUEST, bareSink),
    },
    { calls: CALLS, toy },
  );
  const of = (name: string): number => ns[name] ?? Number.NaN;
  if (breaker.state !== 'closed' || pool.held() !== 0 || histogram.count === 0 || guardedSink.ended === 0)
    throw new Error('the cells do not balance');
  const rows: BenchRow[] = [
    {
      name: 'breaker check and outcome',
      figures: { ns: of('breaker'), otherNs: of('breakerPlain'), other: 'an object of one thread' },
    },
    {
      name: 'call through the breaker',
      figures: { ns: of('guarded') - of('bare'), otherNs: of('bare'), other: 'the same call without it' },
    },
    {
      name: 'counter bump',
      figures: { ns: of('counter'), otherNs: of('counterPlain'), other: 'a field of one thread' },
    },
    { name: 'permit out and back', figures: { ns: of('permit'), otherNs: '-', other: '' } },
    {
      name: 'histogram record',
      figures: { ns: of('histogram'), otherNs: of('histogramLog'), other: 'a bucket by Math.log2' },
    },
    { name: 'journal write', figures: { ns: of('journal'), otherNs: '-', other: '' } },
  ];
  return { rows, breakerNs: of('breaker') };
}

// ── several threads ─────────────────────────────────────────────────────────────────────────────────────────────────

function start(order: CellsBenchOrder): {
  readonly thread: Worker;
  readonly report: Promise<CellsBenchReport>;
} {
  const thread = new Worker(join(import.meta.dir, 'cells-thread.ts'));
  const report = new Promise<CellsBenchReport>((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<CellsBenchReport>) => resolve(data);
    thread.onerror = (event) => reject(new Error(event.message));
  });
  thread.postMessage(order);
  return { thread, report };
}

/** What one race gave. */
interface Race {
  /** CPU time of one operation: does not grow when others take the cores, and does when threads fight for a line. */
  readonly cpuNs: number;
  /** Least share of a core that a thread had while it ran. Threads that take turns on a core do not contend. */
  readonly coreShare: number;
}

async function race(way: CellsWay, threads: number, operations: number): Promise<Race> {
  const shared = sharedOf(memoryFor(threads));
  const rival = new SharedArrayBuffer(RIVAL.words * 4);
  const started = Array.from({ length: threads }, (_, worker) =>
    start({ way, shared, rival, worker, threads, operations }),
  );
  try {
    const reports = await Promise.all(started.map(({ report }) => report));
    const done = reports.reduce((sum, one) => sum + one.done, 0);
    if (done !== threads * operations)
      throw new Error(`${way}: ${done} of ${threads * operations} were done`);
    const cpuNs = reports.reduce((sum, one) => sum + one.cpuNs, 0) / done;
    return { cpuNs, coreShare: Math.min(...reports.map((one) => one.cpuNs / one.ns)) };
  } finally {
    for (const { thread } of started) thread.terminate();
  }
}

interface Races {
  readonly rows: BenchRow[];
  /** By number of threads and way, in CPU ns of one operation. */
  readonly cpuNs: ReadonlyMap<string, number>;
  /** Of the races with the fewest threads, which have the best chance of a core each. */
  readonly coreShare: number;
}

async function benchThreads(size: Size): Promise<Races> {
  const rows: BenchRow[] = [];
  const cpuNs = new Map<string, number>();
  const shares: number[] = [];
  for (const threads of size.threads) {
    const rounds = new Map<CellsWay, Race[]>(WAYS.map((way) => [way, []]));
    for (let round = 0; round < size.rounds; round++)
      for (const way of WAYS) rounds.get(way)?.push(await race(way, threads, size.operations));
    for (const [way, races] of rounds) {
      const ns = races.map((one) => one.cpuNs);
      const share = races.map((one) => one.coreShare);
      rows.push(rowOf(`${threads} threads: ${way}`, { 'CPU ns': ns, 'core share': share }));
      cpuNs.set(`${threads} ${way}`, median(ns));
      if (threads === size.threads[0]) shares.push(median(share));
    }
  }
  return { rows, cpuNs, coreShare: median(shares) };
}

/** Below this share of a core the threads of a race seldom ran at the same time. */
const SHARE_WANTED = 0.8;

/** Measures all of it. */
export async function benchCells(options: { readonly size: keyof typeof SIZES }): Promise<BenchResult> {
  const size = SIZES[options.size];
  const alone = await benchAlone(options.size === 'toy');
  const many = await benchThreads(size);
  const [threads = 2] = size.threads;
  const cost = (way: CellsWay): string =>
    `${(many.cpuNs.get(`${threads} ${way}`) ?? Number.NaN).toFixed(1)} ns`;
  const share = `the threads had ${(many.coreShare * 100).toFixed(0)} % of a core each`;
  return {
    title: 'cells: what workers share',
    method: `one thread: best median of the rounds; several: CPU time of one operation, median of the rounds, on ${availableParallelism()} cores`,
    rows: [...alone.rows, ...many.rows],
    checksum: checksumOf(`${WAYS.length} ${size.operations}`, checksumOf('cells')),
    published: [
      {
        what: 'circuit breaker, permit and outcome',
        theirs: '3.2 M operations/s',
        ours: `${(1e3 / alone.breakerNs).toFixed(0)} M/s on 1 thread; ${cost('breaker')} of CPU each on ${threads} (${share})`,
        alternative: `${cost('breaker, counts shared by all threads')} when the threads share the counts`,
      },
      {
        what: 'cache-line layout: striped counters',
        theirs: '40 % fewer misses',
        ours: `${cost('counter')} of CPU a bump on ${threads} threads (time: misses are not counted here; ${share})`,
        alternative: `${cost('counter, packed in one line')} packed in one line, ${cost('counter, one for all threads')} one for all`,
      },
    ],
    notes:
      many.coreShare >= SHARE_WANTED
        ? []
        : [
            `${share}: they seldom ran at the same time, so their rows say little of contention; run it on an idle machine`,
          ],
  };
}
