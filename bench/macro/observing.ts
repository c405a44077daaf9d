// What looking costs: CPU per routed tools/call of gateways that differ in nothing but what they note of it.
// Called by bench/run.ts. Promises: several processes of each kind, because two of one kind differ as well; short rounds of all of them in turn, each time in
// another order; ratios within a round, their median is given, and how far apart two of the same kind are, which is what the others are to be judged by.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, checksumOf, median, rowOf, skippedBench } from '../report.ts';
import { CALL_BODY, REPLY_BODY } from './call.ts';
import { startEcho, startGatewayWith } from './peers.ts';
import { type Target, which } from './target.ts';
import { runWrk, wrkScript } from './wrk.ts';

/** How long to measure. */
export interface ObservingOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  /** Processes of each kind. */
  readonly copies: number;
}

/** A way to run the gateway: what of its configuration says what is noted. */
export interface Kind {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Nothing but the counters and the journal, without which there is no dashboard: what the others are compared with. */
const OFF: Kind = { name: 'off', config: { metrics: { series: false }, log: { access: 'off' } } };

/** `collector` takes the spans. */
export function kindsOf(collector: string): readonly Kind[] {
  const all = { access: 'all' };
  return [
    OFF,
    { name: 'metrics only', config: { log: { access: 'off' } } },
    { name: 'default', config: {} },
    { name: 'a line for each', config: { log: all } },
    { name: 'Server-Timing', config: { log: { access: 'off' }, listen: { serverTiming: true } } },
    {
      name: 'everything, 1 % traced',
      config: { log: all, listen: { serverTiming: true }, tracing: { url: collector, share: 0.01 } },
    },
  ];
}

const TITLE = 'observing: what metrics, logs and traces cost a routed tools/call';
const CONNECTIONS = 32;

/** One process under load, and what it took a call in each round, in µs. */
interface Measured {
  readonly kind: Kind;
  readonly target: Target;
  readonly cpuUs: number[];
  readonly p50Us: number[];
}

/** Runs the bench, or says why it cannot. */
export async function benchObserving(options: ObservingOptions): Promise<BenchResult> {
  const wrk = which('wrk');
  if (wrk === null) return skippedBench(TITLE, 'wrk is not installed (Debian: apt-get install wrk)');
  const script = join(tmpdir(), `sluice-observing-${process.pid}.lua`);
  writeFileSync(script, wrkScript());
  const started: Target[] = [];
  const collector = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => Response.json({}) });
  try {
    const echo = await startEcho();
    started.push(echo);
    const kinds = kindsOf(collector.url.href);
    const measured: Measured[] = [];
    for (let copy = 0; copy < options.copies; copy++)
      for (const kind of kinds) {
        const target = await startGatewayWith({ echo: { url: echo.url } }, 1, 'uwebsockets', kind.config);
        started.push(target);
        measured.push({ kind, target, cpuUs: [], p50Us: [] });
      }
    await load(measured, { wrk, script }, options);
    return resultOf(kinds, measured, options);
  } finally {
    for (const target of started.reverse()) await target.stop();
    await collector.stop(true);
    rmSync(script, { force: true });
  }
}

async function load(
  measured: readonly Measured[],
  { wrk, script }: { readonly wrk: string; readonly script: string },
  { rounds, secondsPerRound, warmUpSeconds }: ObservingOptions,
): Promise<void> {
  if (warmUpSeconds > 0)
    for (const { target } of measured) await runWrk(wrk, script, target.url, CONNECTIONS, warmUpSeconds);
  for (let round = 0; round < rounds; round++) {
    const first = round % measured.length;
    for (const { target, cpuUs, p50Us } of [...measured.slice(first), ...measured.slice(0, first)]) {
      const before = cpuNs(target.pid);
      const { calls, p50Us: p50 } = await runWrk(wrk, script, target.url, CONNECTIONS, secondsPerRound);
      cpuUs.push((cpuNs(target.pid) - before) / 1000 / calls);
      p50Us.push(p50);
    }
  }
}

/** CPU time of all threads of a process, to the nanosecond; the clock ticks of /proc/PID/stat are a hundredth of a round. */
function cpuNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadNs(pid, thread), 0);
}

function threadNs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}

/** In each round: what a kind took, over what the first kind took; of its processes together. */
function ratios(ofKind: readonly Measured[], base: readonly Measured[], rounds: number): number[] {
  const inRound = (all: readonly Measured[], round: number): number =>
    all.reduce((sum, { cpuUs }) => sum + (cpuUs[round] ?? 0), 0) / all.length;
  return Array.from({ length: rounds }, (_, round) => inRound(ofKind, round) / inRound(base, round));
}

function resultOf(
  kinds: readonly Kind[],
  measured: readonly Measured[],
  options: ObservingOptions,
): BenchResult {
  const of = (kind: Kind): readonly Measured[] => measured.filter((one) => one.kind === kind);
  const base = of(OFF);
  const rows = kinds.map((kind) => {
    const own = of(kind);
    const medians = own.map(({ cpuUs }) => median(cpuUs));
    return rowOf(
      kind.name,
      { 'CPU µs/call': own.flatMap(({ cpuUs }) => cpuUs), 'p50 µs': own.flatMap(({ p50Us }) => p50Us) },
      {
        '× off': median(ratios(own, base, options.rounds)),
        'apart %': (Math.max(...medians) / Math.min(...medians) - 1) * 100,
      },
    );
  });
  const { rounds, secondsPerRound, copies } = options;
  return {
    title: TITLE,
    method: `wrk -t1 -c${CONNECTIONS}; ${rounds} interleaved rounds of ${secondsPerRound} s, ${copies} processes a kind; medians; CPU of all threads from schedstat; 'apart': how much two processes of one kind differ`,
    rows,
    checksum: checksumOf(REPLY_BODY, checksumOf(CALL_BODY)),
  };
}
