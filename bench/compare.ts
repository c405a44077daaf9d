// What changed between two runs of the benches: rows whose medians lie further apart than both runs moved in themselves.
// Called by bench/run.ts as `compare OLD NEW` and by tests. Promises: pure; figures without a spread of their own must differ by a tenth;
// machines or sizes that differ are said before anything else.
import type { BenchResult, BenchRow } from './report.ts';
import { formatFigure, median } from './report.ts';

/** A run as bench/run.ts keeps it. */
export interface BenchRun {
  readonly at: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly results: Readonly<Record<string, BenchResult>>;
}

/** One figure that moved. */
export interface Change {
  readonly bench: string;
  readonly row: string;
  readonly figure: string;
  readonly before: number;
  readonly after: number;
  /** How far apart the medians may lie by chance, in the figure's unit. */
  readonly noise: number;
}

/** Share by which a figure without a spread must differ. */
const BLIND_SHARE = 0.1;
/** Differences below this share are never worth a line. */
const LEAST_SHARE = 0.03;

/** Every figure that changed beyond noise, greatest change first, and rows that only one run has. */
export function compareRuns(
  before: BenchRun,
  after: BenchRun,
): { readonly changes: Change[]; readonly alone: string[] } {
  const changes: Change[] = [];
  const alone: string[] = [];
  for (const [bench, result] of Object.entries(after.results)) {
    const old = before.results[bench];
    for (const row of result.rows) {
      const twin = old?.rows.find((one) => one.name === row.name);
      if (twin === undefined) alone.push(`new: ${bench}: ${row.name}`);
      else changes.push(...compareRows(bench, twin, row));
    }
  }
  for (const [bench, result] of Object.entries(before.results))
    for (const row of result.rows)
      if (after.results[bench]?.rows.some((one) => one.name === row.name) !== true)
        alone.push(`gone: ${bench}: ${row.name}`);
  return { changes: changes.sort((a, b) => shareOf(b) - shareOf(a)), alone };
}

/** Rows that are not ours: what they moved by, the machine moved by. */
const YARDSTICK = /(?:^|: )(?:direct|nginx|haproxy|mcp-proxy|supergateway|wrk, c=\d+)$/;
const YARDSTICK_FIGURES = ['CPU µs/call', 'calls/s'];
const DRIFT_SHARE = 0.05;

/** Median of new over old for a figure of the yardstick rows; NaN when there are none. */
function driftOf(before: BenchRun, after: BenchRun, figure: string): number {
  const ratios = Object.entries(after.results).flatMap(([bench, result]) =>
    result.rows.flatMap((row) => {
      const twin = before.results[bench]?.rows.find((one) => one.name === row.name);
      const [was, is] = [twin?.figures[figure], row.figures[figure]];
      return YARDSTICK.test(row.name) && typeof was === 'number' && typeof is === 'number' && was > 0
        ? [is / was]
        : [];
    }),
  );
  return median(ratios);
}

function compareRows(bench: string, old: BenchRow, row: BenchRow): Change[] {
  return Object.entries(row.figures).flatMap(([figure, after]) => {
    const before = old.figures[figure];
    if (typeof before !== 'number' || typeof after !== 'number') return [];
    const spreads = [old.spread?.[figure], row.spread?.[figure]];
    const known = spreads.filter((spread) => typeof spread === 'number');
    const own =
      known.length === 0 ? Math.abs(before) * BLIND_SHARE : known.reduce((sum, spread) => sum + spread, 0);
    const noise = Math.max(own, Math.abs(before) * LEAST_SHARE);
    return Math.abs(after - before) > noise ? [{ bench, row: row.name, figure, before, after, noise }] : [];
  });
}

function shareOf({ before, after }: Change): number {
  return before === 0 ? Number.POSITIVE_INFINITY : Math.abs(after / before - 1);
}

/** The comparison as text. */
export function renderComparison(before: BenchRun, after: BenchRun): string {
  const { changes, alone } = compareRuns(before, after);
  const unlike = ['cpu', 'cores', 'bun', 'size'].filter((key) => before.machine[key] !== after.machine[key]);
  const lines = unlike.map(
    (key) =>
      `beware: ${key} was ${before.machine[key] ?? 'unknown'} and is ${after.machine[key] ?? 'unknown'}`,
  );
  for (const figure of YARDSTICK_FIGURES) {
    const drift = driftOf(before, after, figure);
    if (Math.abs(drift - 1) > DRIFT_SHARE)
      lines.push(
        `beware: the yardsticks themselves (direct, nginx, wrk …) went to ${drift.toFixed(2)} × in ${figure}: read the columns with ×`,
      );
  }
  lines.push(`${before.at} → ${after.at}: ${changes.length} figures changed beyond noise`);
  for (const change of changes) {
    const share =
      change.before === 0
        ? ''
        : ` (${change.after > change.before ? '+' : '−'}${Math.round(100 * shareOf(change))} %)`;
    lines.push(
      `  ${change.bench}: ${change.row}: ${change.figure} ${formatFigure(change.before)} → ${formatFigure(change.after)}${share}, noise ± ${formatFigure(change.noise)}`,
    );
  }
  return `${[...lines, ...alone.map((line) => `  ${line}`)].join('\n')}\n`;
}
