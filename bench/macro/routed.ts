// The macro bench: CPU per routed tools/call of the gateway beside nginx, in one run, behind the same load and before the same upstream.
// Called by bench/run.ts, and transports.ts, which compares other targets in the same way. Promises: rounds are interleaved (direct, nginx, sluice, and again), ratios are taken within a round
// and their median is given; a missing wrk or nginx is a skip by name that says how to get it.

import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, type BenchRow, checksumOf, median, rowOf, skippedBench } from '../report.ts';
import { CALL_BODY, REPLY_BODY } from './call.ts';
import { hasWorkersOption, startEcho, startGateway, startNginx } from './peers.ts';
import { cpuMs, residentMb, type Target, which } from './target.ts';
import { type Load, runWrk, wrkScript } from './wrk.ts';

/** How long to measure. */
export interface RoutedOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  /** Leaves the gateway out: the harness measured by itself. */
  readonly withoutGateway?: boolean;
}

/** Connections of the load. */
export const LOADED = 32;
/** Connections where one call waits for the next. */
export const SINGLE = 1;
const TITLE = 'routed tools/call, HTTP to HTTP';

/** A target's figures in one round. */
export interface Round extends Load {
  readonly cpuUs: number;
}

async function measure(
  target: Target,
  load: (url: string, seconds: number) => Promise<Load>,
  seconds: number,
): Promise<Round> {
  const before = cpuMs(target.pid);
  const result = await load(target.url, seconds);
  return { ...result, cpuUs: ((cpuMs(target.pid) - before) * 1000) / result.calls };
}

/** Rounds of all targets in turn: one list a target, in step. */
export async function interleave(
  targets: readonly Target[],
  wrk: string,
  script: string,
  connections: number,
  options: RoutedOptions,
): Promise<Round[][]> {
  const load = (url: string, seconds: number): Promise<Load> =>
    runWrk(wrk, script, url, connections, seconds);
  for (const target of targets) await load(target.url, options.warmUpSeconds);
  const rounds: Round[][] = targets.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, target] of targets.entries())
      rounds[index]?.push(await measure(target, load, options.secondsPerRound));
  }
  return rounds;
}

/** Median over rounds of a figure of one target divided by that of another in the same round. */
export function ratio(
  ours: readonly Round[],
  theirs: readonly Round[],
  figure: (round: Round) => number,
): number {
  return median(ours.map((round, index) => figure(round) / figure(theirs[index] ?? round)));
}

/** A target's line: medians of its rounds. */
export function row(
  target: Target,
  many: readonly Round[],
  single: readonly Round[],
  proxied: boolean,
): BenchRow {
  return rowOf(
    target.name,
    {
      'CPU µs/call': proxied ? many.map((round) => round.cpuUs) : [],
      'calls/s': many.map((round) => round.calls / round.seconds),
      'p50 µs': many.map((round) => round.p50Us),
      'p99 µs': many.map((round) => round.p99Us),
      'p50 µs, c=1': single.map((round) => round.p50Us),
      'p99 µs, c=1': single.map((round) => round.p99Us),
    },
    { 'RSS MB': residentMb(target.pid) },
  );
}

/** Runs the bench, or says why it cannot. */
export async function benchRouted(options: RoutedOptions): Promise<BenchResult> {
  const wrk = which('wrk');
  const nginx = which('nginx');
  if (wrk === null) return skippedBench(TITLE, 'wrk is not installed (Debian: apt-get install wrk)');
  if (nginx === null)
    return skippedBench(
      TITLE,
      'nginx is not installed, and ratios need it (Debian: apt-get install nginx-light)',
    );
  const script = join(tmpdir(), `sluice-bench-${process.pid}.lua`);
  writeFileSync(script, wrkScript());
  const targets: Target[] = [];
  try {
    const echo = await startEcho();
    targets.push(echo);
    targets.push(await startNginx(nginx, echo.url));
    if (options.withoutGateway !== true) targets.push(await startGateway(echo.url));
    if (options.withoutGateway !== true) targets.push(await startGateway(echo.url, 1, 'sockets'));
    if (options.withoutGateway !== true && hasWorkersOption()) targets.push(await startGateway(echo.url, 2));
    const many = await interleave(targets, wrk, script, LOADED, options);
    const single = await interleave(targets, wrk, script, SINGLE, {
      ...options,
      rounds: Math.ceil(options.rounds / 2),
    });
    return summarise(targets, many, single, options);
  } finally {
    for (const target of targets.reverse()) await target.stop();
    rmSync(script, { force: true });
  }
}

function summarise(
  targets: readonly Target[],
  many: readonly Round[][],
  single: readonly Round[][],
  options: RoutedOptions,
): BenchResult {
  const rows = targets.map((target, index) => row(target, many[index] ?? [], single[index] ?? [], index > 0));
  const [direct = [], nginx = [], ...own] = many;
  const [directSingle = [], nginxSingle = [], ...ownSingle] = single;
  for (const [index, sluice] of own.entries()) {
    const sluiceSingle = ownSingle[index] ?? [];
    const added = (rounds: readonly Round[]): number =>
      median(rounds.map((round, at) => round.p50Us - (directSingle[at]?.p50Us ?? 0)));
    rows.push({
      name: `${targets[index + 2]?.name ?? 'sluice'} / nginx`,
      figures: {
        'CPU µs/call': ratio(sluice, nginx, (round) => round.cpuUs),
        'calls/s': ratio(sluice, nginx, (round) => round.calls / round.seconds),
        'p50 µs': ratio(sluice, nginx, (round) => round.p50Us),
        'p99 µs': ratio(sluice, nginx, (round) => round.p99Us),
        'added p50 µs, c=1': added(sluiceSingle) / added(nginxSingle),
      },
    });
  }
  const calls =
    direct.length > 0 ? `${options.rounds} interleaved rounds of ${options.secondsPerRound} s` : 'no round';
  return {
    title: TITLE,
    method: `wrk -t1 -c${LOADED}, then -c${SINGLE}; ${calls}; medians; CPU of the proxy's process, all threads, from /proc; ratios within a round`,
    rows,
    checksum: checksumOf(REPLY_BODY, checksumOf(CALL_BODY)),
  };
}
