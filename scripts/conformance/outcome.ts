// What one run of one set came to, and the table of all runs.
// Called by scripts/conformance.ts and the files beside it. Promises: an outcome without faults is a run in which everything held.
import type { Report } from './reports.ts';

/** What one run of one set through one leg came to. */
export interface Outcome {
  readonly leg: string;
  readonly set: string;
  readonly seconds: number;
  /** `passed/required`. */
  readonly scored: string;
  /** Scenarios that failed as their list expects. */
  readonly excused: readonly string[];
  readonly report: Report | null;
  readonly faults: string[];
}

/** Prints one row an outcome, then each fault of each on stderr. */
export function printOutcomes(outcomes: readonly Outcome[]): void {
  const rows = outcomes.map((one) => [
    one.leg,
    one.set,
    one.scored,
    String(one.report?.size ?? 0),
    String(one.excused.length),
    `${one.seconds.toFixed(1)} s`,
    one.faults.length === 0 ? 'ok' : `${one.faults.length} FAULTS`,
  ]);
  const table = [['leg', 'set', 'scored', 'keys', 'expected', 'time', 'verdict'], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  console.log('');
  for (const row of table)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  for (const outcome of outcomes)
    for (const fault of outcome.faults) console.error(`conformance: ${outcome.leg} ${outcome.set}: ${fault}`);
}
