// A run as Markdown, and its place in docs/benchmark.md: what stands between the two marks is a run as it was, not written by hand.
// Called by run.ts as `paste RESULT` and by tests. Promises: pure; tables in the order of the run, budgets and targets first; what was left out is
// said below each.
import type { BenchRun } from './compare.ts';
import { type BenchResult, formatFigure, sumsFirst } from './report.ts';

const BEGIN = '<!-- figures of one run, put here by `npm run bench -- paste RESULT` -->';
const END = '<!-- end of the figures -->';

/** Text for a cell: no bars, which would part it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function table(result: BenchResult): string {
  const columns = [...new Set(result.rows.flatMap((row) => Object.keys(row.figures)))];
  const rows = result.rows.map(
    (row) =>
      `| ${[row.name, ...columns.map((key) => formatFigure(row.figures[key]))].map(cell).join(' | ')} |`,
  );
  return [`| | ${columns.map(cell).join(' | ')} |`, `|${'---|'.repeat(columns.length + 1)}`, ...rows].join(
    '\n',
  );
}

function section(name: string, result: BenchResult): string {
  const head = `**${result.title}** (bench \`${name}\`)`;
  if (result.skipped !== undefined) return `${head}: skipped: ${result.skipped}`;
  const beside = (result.published ?? []).map(
    ({ what, theirs, ours }) => `- ${what}: the report says ${theirs}, on other hardware; ours ${ours}`,
  );
  const notes = (result.notes ?? []).map((note) => `- ${note}`);
  const lines = [...beside, ...notes].join('\n');
  return `${head}: ${result.method}\n\n${table(result)}${lines === '' ? '' : `\n\n${lines}`}`;
}

/** The whole run. */
export function renderMarkdown(run: BenchRun): string {
  const machine = Object.entries(run.machine).map(([key, value]) => `${key} ${value}`);
  const sorted = sumsFirst(run.results);
  return [
    `Run of ${run.at}: ${machine.join(', ')}. Medians of interleaved rounds.`,
    ...sorted.map(([name, result]) => section(name, result)),
  ].join('\n\n');
}

/** The paper with the run between its marks; null when it has no marks. */
export function pasted(paper: string, run: BenchRun): string | null {
  const begin = paper.indexOf(BEGIN);
  const end = paper.indexOf(END);
  if (begin < 0 || end < begin) return null;
  return `${paper.slice(0, begin + BEGIN.length)}\n\n${renderMarkdown(run)}\n\n${paper.slice(end)}`;
}
