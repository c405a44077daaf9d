// A run as one HTML page: every table, bars where rows can be held against each other, curves where a figure runs over a scale.
// Called by bench/run.ts and tests. Promises: pure; one file without any request to elsewhere; every text is escaped; readable without scripts,
// in light and dark.
import type { ChartLibrary } from './charts.ts';
import type { BenchRun } from './compare.ts';
import { plotPlace, plotScripts } from './curves.ts';
import { areWords, type BenchResult, type BenchRow, formatFigure, sumsFirst } from './report.ts';

/** Figures that get bars, most telling first; a table shows the first two that it has. */
const DRAWN = [
  'CPU µs/call',
  'calls/s',
  'p50 µs',
  'routeNs',
  'getAndReturnNs',
  'parseOverAddon',
  'RSS loaded MB',
];
const CHARTS_MAX = 2;
const ROW_PX = 20;
const LABEL_PX = 280;
const BAR_PX = 460;
const WIDTH_PX = LABEL_PX + BAR_PX + 90;

const STYLE = `:root{color-scheme:light dark;--bar:#3b6fb6;--own:#c2571a;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;display:block;overflow-x:auto}
th,td{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,.words{text-align:left}td.words{white-space:normal}
td.verdict-met,td.verdict-not{color:#3a8a4a;white-space:nowrap}td.verdict-not{color:#c0392b;font-weight:600}.plot{margin:1rem 0}.u-legend{font-size:12px}
.how{color:#888}svg{max-width:100%;height:auto;display:block;margin:.5rem 0 1rem}
svg text{font:12px system-ui,sans-serif;fill:currentColor}rect{fill:var(--bar)}rect.own{fill:var(--own)}`;

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** The page, complete; without a chart library it has no curves. */
export function renderPage(run: BenchRun, charts: ChartLibrary | null = null): string {
  const machine = Object.entries(run.machine).map(([key, value]) => `${key} ${value}`);
  const sorted = sumsFirst(run.results);
  let drawn = 0;
  const parts = sorted.map(([name, result]) => {
    const places = charts === null ? [] : (result.plots ?? []).map(() => plotPlace(drawn++));
    return section(name, result, places.join('\n'));
  });
  const plots = sorted.flatMap(([, result]) => result.plots ?? []);
  const drawing =
    charts === null || plots.length === 0
      ? ''
      : `<p class="how">${escaped(charts.notice)}</p>${plotScripts(plots, charts)}`;
  const links = sorted.map(([name]) => `<a href="#${escaped(name)}">${escaped(name)}</a>`).join(' · ');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sluice benchmark, ${escaped(run.at)}</title><style>${STYLE}</style></head><body>
<h1>Sluice benchmark</h1>
<p class="how">${escaped(run.at)}; ${escaped(machine.join(', '))}. Medians of interleaved rounds; ± is half of what lies between the least and the greatest round.</p>
<p>${links}</p>
${parts.join('\n')}
${drawing}
</body></html>
`;
}

function section(name: string, result: BenchResult, places: string): string {
  const head = `<section id="${escaped(name)}"><h2>${escaped(result.title)}</h2>`;
  if (result.skipped !== undefined) return `${head}<p>Skipped: ${escaped(result.skipped)}</p></section>`;
  const columns = [...new Set(result.rows.flatMap((row) => Object.keys(row.figures)))];
  const charts = DRAWN.filter((figure) => columns.includes(figure)).slice(0, CHARTS_MAX);
  const beside = (result.published ?? []).map(
    ({ what, theirs, ours }) =>
      `<li>${escaped(what)}: the Rust MCP Performance Report says ${escaped(theirs)} on other hardware; ours ${escaped(ours)}</li>`,
  );
  const notes = (result.notes ?? []).map((note) => `<li>${escaped(note)}</li>`);
  return `${head}<p class="how">${escaped(result.method)}</p>
${places}
${charts.map((figure) => chart(figure, result.rows)).join('\n')}
${table(columns, result.rows)}
<ul>${[...beside, ...notes].join('')}</ul></section>`;
}

function table(columns: readonly string[], rows: readonly BenchRow[]): string {
  const words = new Set(columns.filter((column) => areWords(rows, column)));
  const classOf = (row: BenchRow, column: string): string => {
    const verdict = VERDICTS[String(row.figures[column])];
    return verdict !== undefined ? ` class="words ${verdict}"` : words.has(column) ? ' class="words"' : '';
  };
  const head = columns
    .map((column) => `<th${words.has(column) ? ' class="words"' : ''}>${escaped(column)}</th>`)
    .join('');
  const body = rows.map((row) => {
    const cells = columns.map((column) => `<td${classOf(row, column)}>${cell(row, column)}</td>`).join('');
    return `<tr><td>${escaped(row.name)}</td>${cells}</tr>`;
  });
  return `<table><thead><tr><th></th>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}

/** Verdicts are coloured. */
const VERDICTS: Readonly<Record<string, string>> = { met: 'verdict-met', 'not met': 'verdict-not' };

function cell(row: BenchRow, column: string): string {
  const spread = row.spread?.[column] ?? 0;
  const shown = escaped(formatFigure(row.figures[column] ?? undefined));
  return spread > 0 ? `${shown} <small>± ${escaped(formatFigure(spread))}</small>` : shown;
}

/** Bars of one figure, one a row; each group of rows (`what: who`) to its own scale. */
function chart(figure: string, rows: readonly BenchRow[]): string {
  const drawn = rows.flatMap((row) => {
    const value = row.figures[figure];
    return typeof value === 'number' && Number.isFinite(value) ? [{ name: row.name, value }] : [];
  });
  if (drawn.length < 2) return '';
  const groupOf = (name: string): string =>
    name.includes(': ') ? name.slice(0, name.lastIndexOf(': ')) : '';
  const largest = new Map<string, number>();
  for (const { name, value } of drawn)
    largest.set(groupOf(name), Math.max(value, largest.get(groupOf(name)) ?? 0));
  const bars = drawn.map(({ name, value }, index) => {
    const y = index * ROW_PX;
    const width = Math.max(1, (value / (largest.get(groupOf(name)) || 1)) * BAR_PX);
    const own = name.includes('sluice') ? ' class="own"' : '';
    return `<text x="${LABEL_PX - 8}" y="${y + 14}" text-anchor="end">${escaped(name)}</text><rect${own} x="${LABEL_PX}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW_PX - 6}"/><text x="${(LABEL_PX + width + 6).toFixed(1)}" y="${y + 14}">${escaped(formatFigure(value))}</text>`;
  });
  const height = drawn.length * ROW_PX;
  return `<figure><figcaption>${escaped(figure)}</figcaption><svg viewBox="0 0 ${WIDTH_PX} ${height}" width="${WIDTH_PX}" height="${height}" role="img" aria-label="${escaped(figure)}">${bars.join('')}</svg></figure>`;
}
