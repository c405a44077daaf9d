// What it costs that a session lives in another worker: calls over the link between two threads, and whole exchanges at home and handed over.
// Called by bench/run.ts and, at toy size, by the tests. Promises: link, planes and listeners are the real ones; CPU is that of the whole process, both
// workers (and the client, which is the same for both ways) included; every reply is counted.
import { createMemory, sharedOf } from '../../src/memory/memory.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Port, Runtime, WorkerHandle } from '../../src/runtime/runtime.ts';
import { PeerLink } from '../../src/upstream/peer-link.ts';
import { type BenchResult, type BenchRow, checksumOf, rowOf } from '../report.ts';
import { startHandoverPair } from './handover-planes.ts';
import type { HandoverBenchOrder } from './handover-thread.ts';

/** Calls a round. */
const SIZES = {
  toy: { rounds: 1, calls: 200 },
  short: { rounds: 3, calls: 20_000 },
  full: { rounds: 7, calls: 60_000 },
} as const;

/** What a round took: microseconds of time and of CPU, a call. */
interface Spent {
  readonly wallUs: number;
  readonly cpuUs: number;
}

async function timed(calls: number, work: () => Promise<void>): Promise<Spent> {
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  await work();
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wallUs: (wallMs * 1000) / calls, cpuUs: (user + system) / calls };
}

/** Words like those of a client's session call. */
const TEXTS = [
  '0123456789abcdef012345-7',
  'POST',
  '/mcp',
  '',
  'A'.repeat(32),
  'A'.repeat(110),
  'application/json, text/event-stream',
  '2025-11-25',
  null,
  null,
  null,
  '0',
];

/** Asks `calls` times, `atOnce` at a time. */
function askAll(link: PeerLink, calls: number, atOnce: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const body = new Uint8Array(200).fill(66);
  let started = 0;
  let ended = 0;
  const next = (): void => {
    if (started++ >= calls) return;
    link.send(1, { subject: 'exchange', generation: 1, texts: TEXTS }, body, {
      onHead: () => undefined,
      onData: () => true,
      onEnd: () => {
        if (++ended === calls) resolve();
        else next();
      },
      onFail: reject,
    });
  };
  for (let i = 0; i < atOnce; i++) next();
  return promise;
}

/** A link of this thread to one in a thread of its own. */
async function startThread(runtime: Runtime): Promise<{ link: PeerLink; thread: WorkerHandle; port: Port }> {
  const shape = { workers: 2, upstreams: 1, endpoints: 1, ringBytes: 256 * 1024, journalRecords: 16 };
  const memory = createMemory(shape, Date.now());
  const place = { index: 0, count: 2, generation: 1 };
  const link = new PeerLink({
    memory,
    place,
    clock: runtime.clock,
    log: SILENT,
    bodyBytesMax: 1024 * 1024,
    onNudge: () => undefined,
  });
  const [near, far] = runtime.channel();
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const thread = runtime.startWorker(new URL('./handover-thread.ts', import.meta.url).href, {
    onMessage: resolve,
    onExit: (error) => reject(new Error(error ?? 'the thread ended')),
  });
  const order: HandoverBenchOrder = { memory: sharedOf(memory) };
  thread.post(order, [far]);
  await promise;
  link.peerUp(1, 1, near);
  return { link, thread, port: near };
}

async function linkRows(size: keyof typeof SIZES): Promise<BenchRow[]> {
  const { rounds, calls } = SIZES[size];
  const { link, thread } = await startThread(createBunRuntime());
  const rows: BenchRow[] = [];
  try {
    await askAll(link, calls, 64);
    for (const atOnce of [1, 16, 256]) {
      const spent: Spent[] = [];
      const before = { ...link.tally };
      for (let round = 0; round < rounds; round++)
        spent.push(await timed(calls, () => askAll(link, calls, atOnce)));
      const wakes = Math.max(1, link.tally.wakes - before.wakes);
      rows.push(
        rowOf(
          `link, ${atOnce} at once`,
          { wallUs: spent.map((one) => one.wallUs), cpuUs: spent.map((one) => one.cpuUs) },
          { framesPerWake: (link.tally.frames - before.frames) / wakes },
        ),
      );
    }
  } finally {
    link.stop();
    thread.terminate();
  }
  return rows;
}

async function exchangeRows(size: keyof typeof SIZES): Promise<{ rows: BenchRow[]; replies: number }> {
  const { rounds, calls } = SIZES[size];
  const pair = await startHandoverPair();
  const spent: Record<'home' | 'away', Spent[]> = { home: [], away: [] };
  let replies = 0;
  try {
    for (const way of ['home', 'away'] as const) await pair.ping(way, Math.ceil(calls / 5));
    for (let round = 0; round < rounds; round++)
      for (const way of ['home', 'away'] as const)
        spent[way].push(
          await timed(calls, async () => {
            replies += await pair.ping(way, calls);
          }),
        );
  } finally {
    await pair.stop();
  }
  const rows = (['home', 'away'] as const).map((way) =>
    rowOf(way === 'home' ? 'exchange at home' : 'exchange handed over', {
      wallUs: spent[way].map((one) => one.wallUs),
      cpuUs: spent[way].map((one) => one.cpuUs),
    }),
  );
  return { rows, replies: replies / rounds };
}

/** Measures link and exchanges. */
export async function benchHandover(options: { readonly size: keyof typeof SIZES }): Promise<BenchResult> {
  const { calls } = SIZES[options.size];
  const links = await linkRows(options.size);
  const { rows, replies } = await exchangeRows(options.size);
  return {
    title: 'hand-over: what lives in one worker, reached from another',
    method: `${calls} calls a round of 200 B each way; "link" between two threads; "exchange" is a ping of a session over HTTP, both workers in one thread: what is more is the hand-over, wake-ups aside`,
    rows: [...links, ...rows],
    checksum: checksumOf(`handover ${replies}`),
  };
}
