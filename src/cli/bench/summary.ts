// What a load showed: lines for people, one JSON object for machines.
// Called by bench.ts. Promises: pure; units stand with every figure; says so when the load itself was what was slow.
import { columns, printable } from '../paint.ts';
import type { Tally } from './load.ts';

/** What was run, for the summary. */
export interface Run {
  readonly url: string;
  /** For example `tools/call echo`. */
  readonly what: string;
  readonly era: string;
  readonly version: string;
  readonly connections: number;
  readonly ratePerSecond: number | null;
  readonly warmUpSeconds: number;
  readonly requestBytes: number;
  /** True when it was broken off. */
  readonly interrupted: boolean;
}

const PERCENTILES = [
  ['p50', 50],
  ['p90', 90],
  ['p99', 99],
  ['p99.9', 99.9],
] as const;

/** Above this share of a core the load is likely to measure itself. */
const BUSY_SHARE = 0.9;

function rounded(us: number): number | null {
  return Number.isFinite(us) ? Math.round(us * 10) / 10 : null;
}

/** The summary as one JSON object. Latencies in µs, null when nothing was measured. */
export function summaryJson(run: Run, tally: Tally): Record<string, unknown> {
  const { latency, lateness, seconds } = tally;
  const failed = [...tally.errors.values()].reduce((sum, count) => sum + count, 0);
  return {
    ...run,
    model: run.ratePerSecond === null ? 'closed' : 'open',
    seconds,
    calls: latency.count,
    failed,
    callsPerSecond: seconds > 0 ? latency.count / seconds : 0,
    latencyUs: {
      min: rounded(latency.minUs),
      mean: rounded(latency.meanUs),
      ...Object.fromEntries(
        PERCENTILES.map(([name, percent]) => [name, rounded(latency.percentileUs(percent))]),
      ),
      max: rounded(latency.maxUs),
    },
    ...(run.ratePerSecond !== null && {
      latenessUs: { p50: rounded(lateness.percentileUs(50)), p99: rounded(lateness.percentileUs(99)) },
      unsent: tally.unsent,
    }),
    errors: Object.fromEntries(tally.errors),
    unanswered: tally.unanswered,
    bytesSent: tally.bytesSent,
    bytesReceived: tally.bytesReceived,
    ownCpuShare: Math.round(tally.ownCpuShare * 1000) / 1000,
  };
}

/** The summary for people. */
export function summaryText(run: Run, tally: Tally): string {
  const { latency, seconds } = tally;
  const model =
    run.ratePerSecond === null
      ? 'each calls again when it is answered'
      : `${grouped(run.ratePerSecond)} calls/s due, latency from the moment each was due`;
  const rows: string[][] = [
    [
      'calls',
      `${grouped(latency.count)} in ${seconds.toFixed(2)} s: ${grouped(latency.count / (seconds || 1))} /s`,
    ],
    ['latency', latency.count === 0 ? 'no call was answered' : latencyText(tally)],
    ['bytes', `${grouped(tally.bytesSent)} out, ${grouped(tally.bytesReceived)} in`],
    ['errors', errorText(tally)],
    ['load', `used ${Math.round(tally.ownCpuShare * 100)} % of a core itself`],
  ];
  if (run.ratePerSecond !== null) {
    const late = tally.lateness.percentileUs(99);
    rows.push(['', `${shown(late)} late itself at p99; ${grouped(tally.unsent)} calls due and never sent`]);
  }
  const notes = notesOf(run, tally).map((note) => `note: ${note}\n`);
  return `${run.what}, ${run.era} (${run.version}), ${grouped(run.requestBytes)} bytes a request
${printable(run.url)}: ${run.connections} connection${run.connections === 1 ? '' : 's'}, ${model}; ${run.warmUpSeconds} s of warm-up not counted

${columns(rows)}${notes.length > 0 ? '\n' : ''}${notes.join('')}`;
}

function latencyText({ latency }: Tally): string {
  const parts = PERCENTILES.map(([name, percent]) => `${name} ${shown(latency.percentileUs(percent))}`);
  return [...parts, `max ${shown(latency.maxUs)}`].join('   ');
}

function errorText(tally: Tally): string {
  const kinds = [...tally.errors]
    .sort((a, b) => b[1] - a[1])
    .map(([kind, count]) => `${grouped(count)} × ${printable(kind)}`);
  return kinds.length === 0 ? 'none' : kinds.join(', ');
}

function notesOf(run: Run, tally: Tally): string[] {
  const notes: string[] = [];
  if (run.interrupted) notes.push('broken off: these are the figures so far');
  if (run.ratePerSecond === null && tally.ownCpuShare > BUSY_SHARE)
    notes.push('the load was busy itself: the server may be faster than these figures');
  const { connections, ratePerSecond } = run;
  if (tally.unanswered === connections && ratePerSecond === null && tally.latency.count < connections)
    notes.push(`${grouped(tally.unanswered)} calls had no answer when the time was over`);
  if (tally.unsent > 0)
    notes.push('the server did not keep up with the rate: latencies grow with the length of the run');
  return notes;
}

function shown(us: number): string {
  if (!Number.isFinite(us)) return '-';
  if (us < 1000) return `${us.toFixed(us < 100 ? 1 : 0)} µs`;
  return us < 1e6 ? `${(us / 1000).toFixed(us < 1e5 ? 2 : 0)} ms` : `${(us / 1e6).toFixed(2)} s`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
