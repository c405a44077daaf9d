// Messages of 200 B from one thread to another and to ten others: our rings beside postMessage, which is what there is without them.
// Called by bench/run.ts and, at toy size, by the tests. Promises: the ways take turns in rounds; every thread adds up what it saw, and a bench whose
// sums differ fails; heap is taken after a garbage collection at both ends, sender and takers together.
import { join } from 'node:path';
import { EMPTY } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { type MemoryShape, planMemory, ringPlace } from '../../src/memory/layout.ts';
import { Ring } from '../../src/memory/ring.ts';
import { type BenchResult, type BenchRow, checksumOf, median, renderTable, rowOf } from '../report.ts';
import { measureTasks } from './measure.ts';
import type { RingBenchOrder, RingBenchReport, Way } from './ring-thread.ts';

const BODY_BYTES = 200;
const TAKERS = 10;

/** Messages a round, by way and number of takers: about a second each at full size. */
interface Size {
  readonly rounds: number;
  readonly ring: number;
  readonly post: number;
  readonly broadcast: number;
}

const SIZES: Readonly<Record<'toy' | 'short' | 'full', Size>> = {
  toy: { rounds: 1, ring: 4_000, post: 2_000, broadcast: 500 },
  short: { rounds: 3, ring: 1_000_000, post: 200_000, broadcast: 200_000 },
  full: { rounds: 5, ring: 10_000_000, post: 1_000_000, broadcast: 1_000_000 },
};

/** What one run of one way gave, in the units of the table. */
type Figures = Readonly<Record<string, number>>;

/** What every thread's sum has to be: the numbers of the messages and one byte of each. */
function sumOf(messages: number): number {
  let sum = 0;
  for (let exchange = 0; exchange < messages; exchange++) sum = (sum + exchange + 7) | 0;
  return sum;
}

/** Runs one way with threads of its own: thread 0 sends each message to all the others. */
async function runWay(way: Way, takers: number, messages: number): Promise<Figures> {
  const workers = takers + 1;
  const shape: MemoryShape = {
    workers,
    upstreams: 1,
    endpoints: 1,
    ringBytes: LIMITS.ringBytesMax,
    journalRecords: 1,
  };
  const memory = new SharedArrayBuffer(planMemory(shape).bytes);
  const channels = Array.from({ length: takers }, () => new MessageChannel());
  const warmUp = Math.ceil(messages / 10);
  const threads: Worker[] = [];
  const order = { way, memory, shape, messages, warmUp, bodyBytes: BODY_BYTES };
  try {
    // The takers first: they listen before the first message comes.
    const reports = await Promise.all(
      [...channels.keys(), -1].map((index) => {
        const channel = channels[index];
        const ports = channel === undefined ? channels.map(({ port1 }) => port1) : [channel.port2];
        const thread = new Worker(join(import.meta.dir, 'ring-thread.ts'));
        threads.push(thread);
        return report(thread, { ...order, worker: index + 1, ports });
      }),
    );
    return figuresOf(reports, takers, messages);
  } finally {
    for (const thread of threads) thread.terminate();
  }
}

function report(thread: Worker, order: RingBenchOrder): Promise<RingBenchReport> {
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<RingBenchReport>) => resolve(data);
    thread.onerror = (event) => reject(new Error(event.message));
    thread.postMessage(order, [...order.ports]);
  });
}

function figuresOf(reports: readonly RingBenchReport[], takers: number, messages: number): Figures {
  const wanted = sumOf(messages);
  for (const { worker, sum } of reports) {
    if (sum !== wanted) throw new Error(`thread ${worker} saw a sum of ${sum}, not ${wanted}`);
  }
  const taking = reports.filter(({ worker }) => worker > 0);
  const timed = messages - Math.ceil(messages / 10);
  const total = (what: 'bells' | 'drains'): number => taking.reduce((sum, one) => sum + one[what], 0);
  const startedNs = Math.min(...taking.map((one) => one.startedNs));
  const elapsedNs = Math.max(...taking.map((one) => one.endedNs)) - startedNs;
  return {
    messages,
    'messages/s': (timed * 1e9) / elapsedNs,
    'deliveries/s': (timed * takers * 1e9) / elapsedNs,
    nsPerMessage: elapsedNs / timed,
    framesPerBell: (timed * takers) / Math.max(1, total('bells')),
    framesPerDrain: total('drains') === 0 ? 1 : (timed * takers) / total('drains'),
    heapGrownKb: reports.reduce((sum, one) => sum + one.heapGrownBytes, 0) / 1000,
  };
}

const HAND_OVER = [
  'messages',
  'messages/s',
  'nsPerMessage',
  'framesPerBell',
  'framesPerDrain',
  'heapGrownKb',
];
const BROADCAST = [
  'messages',
  'deliveries/s',
  'nsPerMessage',
  'framesPerBell',
  'framesPerDrain',
  'heapGrownKb',
];

/** A row of medians; by postMessage every message is a wake-up, so the two columns about that are left out. */
function rowOfRuns(name: string, runs: readonly Figures[], columns: readonly string[]): BenchRow {
  const shown = name.includes('postMessage')
    ? columns.filter((column) => !column.startsWith('frames'))
    : columns;
  return rowOf(
    name,
    Object.fromEntries(shown.map((column) => [column, runs.map((run) => run[column] ?? Number.NaN)])),
  );
}

/** One thread that is both ends of ten rings: what the rings cost without threads, doorbells and the scheduler. */
async function broadcastAlone(toy: boolean): Promise<number> {
  const shape: MemoryShape = {
    workers: TAKERS + 1,
    upstreams: 1,
    endpoints: 1,
    ringBytes: 65_536,
    journalRecords: 1,
  };
  const plan = planMemory(shape);
  const memory = new SharedArrayBuffer(plan.bytes);
  const rings = Array.from(
    { length: TAKERS },
    (_, n) => new Ring(memory, ringPlace(plan, 0, n + 1), plan.ringBytes),
  );
  const body = new Uint8Array(BODY_BYTES).fill(7);
  const visit = (): void => undefined;
  let due = 0;
  const broadcast = (): void => {
    for (const ring of rings) ring.push(3, 1, EMPTY, body);
    if (++due < 100) return;
    due = 0;
    for (const ring of rings) ring.drain(visit, 100);
  };
  const { broadcast: ns = Number.NaN } = await measureTasks({ broadcast }, { calls: 200, toy });
  return ns;
}

/** Measures hand-over and broadcast, by ring and by postMessage. */
export async function benchRing(options: { readonly size: 'toy' | 'short' | 'full' }): Promise<BenchResult> {
  const size = SIZES[options.size];
  const ways: readonly [string, Way, number, number][] = [
    ['ring, 1 to 1', 'ring', 1, size.ring],
    ['postMessage, cloned, 1 to 1', 'clone', 1, size.post],
    ['postMessage, cloned in hundreds, 1 to 1', 'bundle', 1, size.post],
    ['postMessage, transferred, 1 to 1', 'transfer', 1, size.post],
    ['rings, 1 to 10 threads', 'ring', TAKERS, size.broadcast],
    ['postMessage, cloned, 1 to 10 threads', 'clone', TAKERS, Math.ceil(size.broadcast / 16)],
  ];
  const runs = new Map<string, Figures[]>();
  for (let round = 0; round < size.rounds; round++) {
    for (const [name, way, takers, messages] of ways) {
      const figures = await runWay(way, takers, messages);
      runs.set(name, [...(runs.get(name) ?? []), figures]);
    }
  }
  const rows = ways.map(([name, , takers]) =>
    rowOfRuns(name, runs.get(name) ?? [], takers === 1 ? HAND_OVER : BROADCAST),
  );
  const aloneNs = await broadcastAlone(options.size === 'toy');
  rows.push({
    name: 'rings, 1 to 10, one thread puts and takes',
    figures: { 'deliveries/s': (TAKERS * 1e9) / aloneNs, nsPerMessage: aloneNs },
  });
  return {
    title: `ring: a message of ${BODY_BYTES} B to another thread, and to ten`,
    method: `kind, exchange number and body; rings of ${LIMITS.ringBytesMax / 1024} KiB, batches of up to 1000, doorbells by postMessage; after a warm-up of a tenth; medians of ${size.rounds} rounds; heap = of all its threads, after a collection at both ends`,
    rows,
    checksum: ways.reduce(
      (sum, [name, , , messages]) => checksumOf(`${name} ${sumOf(messages)}`, sum),
      checksumOf('ring'),
    ),
    published: publishedOf(runs, size, aloneNs),
  };
}

function publishedOf(runs: ReadonlyMap<string, readonly Figures[]>, size: Size, aloneNs: number) {
  const middle = (name: string, column: string): number =>
    median((runs.get(name) ?? []).map((run) => run[column] ?? Number.NaN));
  const millions = (value: number): string => `${(value / 1e6).toFixed(2)} M`;
  return [
    {
      what: 'zero-copy messages',
      theirs: '1.2 M messages/s, zero allocations',
      ours: `${millions(middle('ring, 1 to 1', 'messages/s'))} messages/s between two threads (one copy in, none out); heap grown by ${middle('ring, 1 to 1', 'heapGrownKb').toFixed(0)} KB over ${millions(size.ring)} messages`,
    },
    {
      what: 'message routing, broadcast to 10',
      theirs: '3.45 µs; 2.9 M deliveries/s',
      ours: `${(aloneNs / 1000).toFixed(2)} µs and ${millions((TAKERS * 1e9) / aloneNs)} deliveries/s on one thread, ${millions(middle('rings, 1 to 10 threads', 'deliveries/s'))} deliveries/s to ten threads`,
    },
    {
      what: 'batching',
      theirs: '100–1000 operations a batch',
      ours: `${middle('ring, 1 to 1', 'framesPerDrain').toFixed(0)} frames a batch, ${middle('ring, 1 to 1', 'framesPerBell').toFixed(0)} a wake-up`,
    },
  ];
}

if (import.meta.main)
  console.log(renderTable(await benchRing({ size: process.argv.includes('--toy') ? 'toy' : 'short' })));
