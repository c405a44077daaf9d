// What a bench hands back, and how it is shown: aligned tables on the terminal, JSON for machines.
// Called by bench/run.ts, test/bench.test.ts and every bench. Promises: figures are medians of their rounds unless the
// row says otherwise; a bench that could not run is a row with the reason, never silence.

/** One line of a bench's result: what was measured, then named figures with their units in the names. */
export interface BenchRow {
  readonly name: string;
  readonly figures: Readonly<Record<string, number | string>>;
  /** How far a figure moved between rounds: half of what lies between the least and the greatest, in the figure's unit. */
  readonly spread?: Readonly<Record<string, number>>;
}

/** A bench's result. `checksum` shows that the work was done, and stays the same for the same input. */
export interface BenchResult {
  readonly title: string;
  readonly method: string;
  readonly rows: readonly BenchRow[];
  readonly checksum: number;
  /** Figures that others published of the like, and ours beside them. Never figures of ours. */
  readonly published?: readonly Published[];
  /** What was left out, with the reason: shown under the table. */
  readonly notes?: readonly string[];
  /** Curves of the page. */
  readonly plots?: readonly Plot[];
  /** Set when the bench could not run here: what is missing and how to get it. */
  readonly skipped?: string;
}

/** A figure of the "Rust MCP Performance Report" (version 1.0.0, 2025-06-15; Ryzen 9 5950X) beside ours. */
export interface Published {
  readonly what: string;
  readonly theirs: string;
  readonly ours: string;
  /** What one would use instead, measured beside ours in the same run. */
  readonly alternative?: string;
}

/** Curves over one scale: a null is a point that was not measured. */
export interface Plot {
  readonly title: string;
  readonly x: { readonly label: string; readonly values: readonly number[]; readonly log?: boolean };
  readonly y: { readonly label: string; readonly log?: boolean };
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

/** A figure of a row as a number, or null. */
export function figureOf(result: BenchResult | undefined, row: string, figure: string): number | null {
  const found = result?.rows.find((one) => one.name === row)?.figures[figure];
  return typeof found === 'number' && Number.isFinite(found) ? found : null;
}

/** Half of what lies between the least and the greatest; 0 for fewer than two values. */
export function spreadOf(values: readonly number[]): number {
  const known = values.filter((value) => Number.isFinite(value));
  return known.length < 2 ? 0 : (Math.max(...known) - Math.min(...known)) / 2;
}

/** A row of medians over rounds, each with its spread. */
export function rowOf(
  name: string,
  rounds: Readonly<Record<string, readonly number[]>>,
  others: Readonly<Record<string, number | string>> = {},
): BenchRow {
  const entries = Object.entries(rounds);
  return {
    name,
    figures: { ...Object.fromEntries(entries.map(([key, values]) => [key, median(values)])), ...others },
    spread: Object.fromEntries(entries.map(([key, values]) => [key, spreadOf(values)])),
  };
}

/** Middle value (mean of the two middle ones for an even count); NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return Number.NaN;
  const lower = sorted[middle - 1];
  return sorted.length % 2 === 1 || lower === undefined ? upper : (lower + upper) / 2;
}

/** A bench that did not run, with the reason. */
export function skippedBench(title: string, reason: string): BenchResult {
  return { title, method: '', rows: [], checksum: 0, skipped: reason };
}

/** FNV-1a over text, for checksums that are equal wherever they are computed. */
export function checksumOf(text: string, from = 0x811c9dc5): number {
  let hash = from;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** A number with as many decimals as its size deserves; text as it is. */
export function formatFigure(value: number | string | undefined): string {
  if (value === undefined) return '-';
  if (typeof value === 'string') return value;
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  if (size >= 1000 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** True for a column whose values are all texts. */
export function areWords(rows: readonly BenchRow[], column: string): boolean {
  return rows.every(({ figures }) => typeof figures[column] === 'string');
}

const SUMS = ['budgets', 'targets'];

/** Results with the tables that sum them up first. */
export function sumsFirst(results: Readonly<Record<string, BenchResult>>): [string, BenchResult][] {
  const sums = SUMS.flatMap((name): [string, BenchResult][] => {
    const found = results[name];
    return found === undefined ? [] : [[name, found]];
  });
  return [...sums, ...Object.entries(results).filter(([name]) => !SUMS.includes(name))];
}

/** The result as an aligned text table, ending in a newline. */
export function renderTable(result: BenchResult): string {
  if (result.skipped !== undefined) return `${result.title}\n  skipped: ${result.skipped}\n`;
  const columns: string[] = [];
  for (const row of result.rows) {
    for (const key of Object.keys(row.figures)) if (!columns.includes(key)) columns.push(key);
  }
  const lines = [
    ['', ...columns],
    ...result.rows.map((row) => [row.name, ...columns.map((key) => formatFigure(row.figures[key]))]),
  ];
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const words = ['', ...columns].map((key) => key === '' || areWords(result.rows, key));
  const text = lines.map((line) =>
    `  ${line
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return words[column] === true ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')}`.trimEnd(),
  );
  const beside = (result.published ?? []).map(
    ({ what, theirs, ours, alternative }) =>
      `  ${what}: the report says ${theirs} on other hardware; ours ${ours}${alternative === undefined ? '' : `; beside it ${alternative}`}\n`,
  );
  const notes = (result.notes ?? []).map((note) => `  ${note}\n`);
  return `${result.title}\n${result.method === '' ? '' : `  ${result.method}\n`}${text.join('\n')}\n${beside.join('')}${notes.join('')}  checksum ${result.checksum}\n`;
}
