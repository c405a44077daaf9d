// The end of a soak in words, and whether it was good.
// Called by scripts/soak.ts and test/soak.test.ts. Promises: every failed call of a healthy server is listed by its kind; the verdict names each
// demand that was not met.
import { median } from '../../bench/report.ts';
import { type Failure, ratioOf } from './ledger.ts';
import { isClean, type Leftovers } from './leftovers.ts';
import { percent, type Soaked } from './run.ts';
import { grows, restTrend, type Trend, trendOf, WARM_SHARE } from './watch.ts';

/** Least share of the calls of healthy servers that must succeed. */
export const SUCCESS_MIN = 0.999_97;
/** What may come and go without being growth: handles and children follow the number of sessions; one that leaks is left over in the end. */
const RISE = { residentMb: 16, handles: 32, children: 8 };
/** Shorter runs are all warm-up: their trends are shown and not judged. */
const TREND_SECONDS_MIN = 300;
const KINDS_SHOWN = 40;

/** What a run did not hold; empty when it was good. */
export function faultsOf(run: Soaked): string[] {
  const { ledger, looks, left, exitCode, options } = run;
  const faults: string[] = [];
  const ratio = ratioOf(ledger.scores.healthy);
  if (ledger.scores.healthy.succeeded === 0) faults.push('no call of a healthy server succeeded');
  if (ratio < SUCCESS_MIN)
    faults.push(
      `${percent(ratio, 4)} of the calls of healthy servers succeeded, and not ${percent(SUCCESS_MIN, 3)}`,
    );
  if (ledger.crossed > 0) faults.push(`${ledger.crossed} replies belonged to others`);
  const lost = ledger.recoveries.filter(({ ms }) => ms === null);
  if (lost.length > 0) faults.push(`${lost.length} servers were not served again after a fault`);
  if (options.seconds >= TREND_SECONDS_MIN)
    for (const figure of ['residentMb', 'handles', 'children'] as const) {
      const atRest = figure === 'residentMb' ? restTrend(run.rests) : null;
      if (grows(atRest ?? trendOf(looks, figure), RISE[figure])) faults.push(`${figure} grows`);
    }
  if (!isClean(left)) faults.push(`left over: ${leftText(left)}`);
  if (exitCode !== 0) faults.push(`the gateway ended with ${exitCode}`);
  return faults;
}

function leftText({ sessions, calls, children, handles }: Leftovers): string {
  return `${sessions} sessions, ${calls} calls, ${children} children, ${handles} handles more than at first`;
}

function trendLine(name: string, { perHour, error, least, most }: Trend, unit: string): string {
  const slope = `${perHour.toFixed(1)} ± ${error.toFixed(1)}${unit} per hour`;
  return `  ${name.padEnd(9)} ${slope}; ${least.toFixed(0)} to ${most.toFixed(0)}${unit}`;
}

/** Memory while nobody calls: what of it grows is kept, and no garbage of what runs. */
function restLines({ rests }: Soaked): string[] {
  const trend = restTrend(rests);
  if (trend === null) return [];
  const each = rests.map(({ seconds, residentMb }) => `${residentMb.toFixed(0)} at ${seconds.toFixed(0)} s`);
  return [trendLine('at rest', trend, ' MB'), `            (${each.join(', ')}; the first is warm-up)`];
}

function failureLines(failures: ReadonlyMap<string, Failure>): string[] {
  const sorted = [...failures.values()].sort((a, b) => b.count - a.count);
  const lines = sorted
    .slice(0, KINDS_SHOWN)
    .map(({ count, kind, firstSeconds }) => `  ${count} × ${kind} (first at ${firstSeconds.toFixed(1)} s)`);
  return sorted.length > KINDS_SHOWN ? [...lines, `  and ${sorted.length - KINDS_SHOWN} kinds more`] : lines;
}

/** Times to recover, of all faults or of one sort. */
function recoveryLine(name: string, run: Soaked, fault: string | null): string {
  const all = run.ledger.recoveries.filter((one) => fault === null || one.fault === fault);
  const ms = all.flatMap((one) => (one.ms === null ? [] : [one.ms]));
  const most = Math.max(...ms, 0);
  return `  ${name.padEnd(9)} ${all.length} times; served again after ${median(ms).toFixed(0)} ms (median), ${most.toFixed(0)} ms (longest)`;
}

/** The whole report. */
export function reportOf(run: Soaked): string {
  const { ledger, looks, left, options } = run;
  const { healthy, faulty } = ledger.scores;
  const rate = (healthy.succeeded + healthy.failed + faulty.succeeded + faulty.failed) / run.seconds;
  const scenes = [...ledger.scenes].map(([name, count]) => `${name} ${count}`).join(', ');
  const faults = [...new Set(ledger.recoveries.map(({ fault }) => fault))].sort();
  const verdict = faultsOf(run);
  return [
    '',
    `soak of ${run.seconds.toFixed(0)} s, seed ${options.seed}, ${options.workers} workers, ${options.clients} clients, ${rate.toFixed(0)} calls/s`,
    `healthy servers: ${percent(ratioOf(healthy), 4)} of ${healthy.succeeded + healthy.failed} calls succeeded`,
    ...failureLines(ledger.failures.healthy),
    `faulty servers: ${percent(ratioOf(faulty), 2)} of ${faulty.succeeded + faulty.failed} calls succeeded`,
    ...(options.verbose ? failureLines(ledger.failures.faulty) : []),
    `scenes that went well: ${scenes}; left on purpose: ${ledger.left}`,
    'faults',
    recoveryLine('all', run, null),
    ...faults.map((fault) => recoveryLine(fault, run, fault)),
    `the gateway, after the first ${WARM_SHARE * 100} % of the run, its garbage collector ${options.wholeHeap ? 'looking at the whole heap each time' : 'as in production'}`,
    trendLine('RSS', trendOf(looks, 'residentMb'), ' MB'),
    ...restLines(run),
    trendLine('handles', trendOf(looks, 'handles'), ''),
    trendLine('children', trendOf(looks, 'children'), ''),
    `left over: ${leftText(left)}`,
    ...(isClean(left) ? [] : left.what.map((one) => `  ${one}`)),
    `the gateway ended with ${run.exitCode}, and wrote ${run.logged} lines of log`,
    verdict.length === 0 ? 'soak: good' : `soak: NOT good: ${verdict.join('; ')}`,
  ].join('\n');
}
