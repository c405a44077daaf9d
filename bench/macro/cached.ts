// What a cache of answers saves: tools/list and resources/read through a gateway that keeps answers, and through one that does not, before one server.
// Called by bench/run.ts as `cache` and, at toy size, by the tests. Promises: rounds are interleaved; every reply is judged by the load; the hit ratio is taken from what
// the server has counted, not from what the gateway says of itself.
import { join } from 'node:path';
import { Caller } from '../../src/cli/bench/caller.ts';
import { Load, type Tally } from '../../src/cli/bench/load.ts';
import { type Message, requestBytes, type Speech } from '../../src/cli/bench/message.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { type BenchResult, type BenchRow, checksumOf, median, rowOf } from '../report.ts';
import { startGatewayWith } from './peers.ts';
import { startTarget, type Target, treeUse } from './target.ts';

/** How long to measure. */
export interface CachedOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  /** Most calls of a round; left out: as many as fit in its time. */
  readonly callsMax?: number;
}

interface Round {
  readonly tally: Tally;
  readonly cpuUs: number;
  /** Share of the requests that did not reach the server. */
  readonly hitRatio: number;
}

const TITLE = 'answers from the cache';
const NAME = 'echo';
const SPEECH: Speech = { era: 'modern', version: '2026-07-28', headers: [], client: '1' };
const ASKED: readonly Message[] = [
  { method: 'tools/list', params: {} },
  { method: 'resources/read', params: { uri: 'file:///text' }, name: 'file:///text' },
];
const TIMEOUT_MS = 10_000;

function startServer(): Promise<Target> {
  return startTarget('direct', [process.execPath, join(import.meta.dir, 'cacheable-server.ts')], {
    stream: 'stdout',
    read(line) {
      const found = /"port":(\d+)/.exec(line);
      return found === null ? null : `http://127.0.0.1:${found[1]}/mcp`;
    },
  });
}

async function servedBy(server: Target): Promise<number> {
  const reply = await fetch(new URL('/count', server.url));
  return Number(await reply.text());
}

/** Measures both gateways with each request, or throws when a call fails. */
export async function benchCached(options: CachedOptions): Promise<BenchResult> {
  const open: Target[] = [];
  try {
    const server = await startServer();
    open.push(server);
    const gateways: Target[] = [];
    for (const enabled of [true, false]) {
      const gateway = await startGatewayWith({ [NAME]: { url: server.url, cache: { enabled } } });
      open.push(gateway);
      gateways.push(gateway);
    }
    const rounds = ASKED.map(() => gateways.map((): Round[] => []));
    for (let round = 0; round < options.rounds; round++)
      for (const [at, message] of ASKED.entries())
        for (const [which, gateway] of gateways.entries())
          rounds[at]?.[which]?.push(await measure(gateway, server, message, options));
    return summarise(rounds, options);
  } finally {
    for (const target of open.reverse()) await target.stop();
  }
}

async function measure(
  gateway: Target,
  server: Target,
  message: Message,
  { secondsPerRound, warmUpSeconds, connections, callsMax }: CachedOptions,
): Promise<Round> {
  const url = new URL(gateway.url);
  const address = { host: url.hostname, port: Number(url.port) };
  const runtime = createBunRuntime();
  const now = (): number => performance.now();
  const place = { host: url.host, path: url.pathname };
  const callers = Array.from({ length: connections }, () => new Caller({ runtime, address, tls: null }, now));
  for (const caller of callers) caller.request = requestBytes(place, SPEECH, message, null);
  let beforeMs = treeUse(gateway.pid, () => false).cpuMs;
  let usedMs = 0;
  const servedBefore = await servedBy(server);
  const load = new Load(
    {
      warmUpMs: warmUpSeconds * 1000,
      durationMs: secondsPerRound * 1000,
      countMax: callsMax ?? Number.POSITIVE_INFINITY,
      ratePerSecond: null,
      timeoutMs: TIMEOUT_MS,
      afterEach: null,
      onPhase: (phase) => {
        const { cpuMs } = treeUse(gateway.pid, () => false);
        if (phase === 'counting') beforeMs = cpuMs;
        else usedMs = cpuMs - beforeMs;
      },
    },
    callers,
    now,
  );
  const tally = await load.run();
  for (const caller of callers) {
    if (caller.busy) caller.abort('the load is over');
    caller.close();
  }
  if (tally.errors.size > 0)
    throw new Error(`${message.method}: ${[...tally.errors.keys()].join(', ')} through ${gateway.url}`);
  const served = (await servedBy(server)) - servedBefore;
  const calls = tally.latency.count;
  // What was sent during the warm-up is in the server's count as well, so that the ratio is never shown too high.
  return { tally, cpuUs: (usedMs * 1000) / calls, hitRatio: Math.max(0, 1 - served / calls) };
}

function summarise(rounds: readonly (readonly (readonly Round[])[])[], options: CachedOptions): BenchResult {
  const rows = ASKED.flatMap(({ method }, at): BenchRow[] => {
    const [cached = [], uncached = []] = rounds[at] ?? [];
    const over = (read: (round: Round) => number): number =>
      median(cached.map((round, index) => read(round) / read(uncached[index] ?? round)));
    return [rowFor(`${method}, not cached`, uncached), rowFor(`${method}, cached`, cached)].concat({
      name: `${method}, cached / not cached`,
      figures: {
        'calls/s': over(({ tally }) => tally.latency.count / tally.seconds),
        'p50 µs': over(({ tally }) => tally.latency.percentileUs(50)),
        'p99 µs': over(({ tally }) => tally.latency.percentileUs(99)),
        'CPU µs/call': over(({ cpuUs }) => cpuUs),
      },
    });
  });
  return {
    title: TITLE,
    method: `the load of sluice bench, ${options.connections} connections; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s; medians; a list of 50 tools, a resource of 12 KiB, both good for a minute; the server is Bun.serve on the same machine, so that what a cache saves elsewhere is more`,
    rows,
    checksum: checksumOf(rows.map(({ name }) => name).join()),
  };
}

function rowFor(name: string, rounds: readonly Round[]): BenchRow {
  return rowOf(name, {
    'hit ratio': rounds.map(({ hitRatio }) => hitRatio),
    'calls/s': rounds.map(({ tally }) => tally.latency.count / tally.seconds),
    'p50 µs': rounds.map(({ tally }) => tally.latency.percentileUs(50)),
    'p99 µs': rounds.map(({ tally }) => tally.latency.percentileUs(99)),
    'CPU µs/call': rounds.map(({ cpuUs }) => cpuUs),
  });
}
