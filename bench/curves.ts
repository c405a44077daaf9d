// Curves of a page: places for them, their data, and the script that draws them with uPlot.
// Called by page.ts. Promises: pure; data cannot end the script that holds it; without scripts the tables say the same.
import type { ChartLibrary } from './charts.ts';
import type { Plot } from './report.ts';

/** Colours that tell apart on light and dark; the gateway's own is the first. */
const OWN = '#c2571a';
const OTHERS = [
  '#3b6fb6',
  '#4c9a5b',
  '#8a5fb0',
  '#b89b2c',
  '#2d9d9d',
  '#b0517a',
  '#7a7a7a',
  '#6b4b2a',
  '#9fb63b',
];

/** The place of one plot; `index` counts through the page. */
export function plotPlace(index: number): string {
  return `<div class="plot" id="plot-${index}"></div>`;
}

function colours(plot: Plot): string[] {
  let other = 0;
  return plot.series.map(({ name }) =>
    /^sluice(?:,|$)/.test(name) ? OWN : (OTHERS[other++ % OTHERS.length] ?? OWN),
  );
}

/** Everything that draws the plots, in the order of their places. */
export function plotScripts(plots: readonly Plot[], library: ChartLibrary): string {
  const data = plots.map((plot) => ({ ...plot, colours: colours(plot) }));
  const text = JSON.stringify(data).replaceAll('<', '\\u003c');
  return `<style>${library.style}</style><script>${library.script}</script><script type="application/json" id="plots">${text}</script><script>${DRAW}</script>`;
}

/** Runs in the page. */
const DRAW = `(() => {
  const short = (value) => value >= 1e6 ? value / 1e6 + ' M' : value >= 1e4 ? value / 1e3 + ' k' : String(value);
  const ink = getComputedStyle(document.body).color;
  const grid = { stroke: '#8883', width: 1 };
  const axis = (label, more) => ({ label, stroke: ink, grid, ticks: grid, ...more });
  const plots = JSON.parse(document.getElementById('plots').textContent);
  plots.forEach((plot, index) => {
    const place = document.getElementById('plot-' + index);
    if (place === null) return;
    const xs = plot.x.values;
    const scale = (log) => log ? { distr: 3, log: 10 } : { distr: 1 };
    const range = plot.x.log ? [xs[0] / 1.3, xs[xs.length - 1] * 1.3] : [xs[0], xs[xs.length - 1]];
    new uPlot({
      title: plot.title, width: Math.min(860, place.clientWidth || 860), height: 340,
      scales: { x: { time: false, range, ...scale(plot.x.log) }, y: scale(plot.y.log) },
      axes: [
        axis(plot.x.label, { splits: () => xs, values: (_, splits) => splits.map(short) }),
        axis(plot.y.label, { size: 70, values: (_, splits) => splits.map((value) => value === null ? '' : short(value)) }),
      ],
      series: [{ label: plot.x.label, value: (_, value) => value === null ? '' : short(value) }, ...plot.series.map(({ name }, at) => ({
        label: name, stroke: plot.colours[at], width: name.startsWith('sluice') ? 3 : 1.5, dash: /workers/.test(name) ? [6, 4] : undefined,
        spanGaps: true, points: { show: true, size: 6 }, value: (_, value) => value === null ? '-' : String(Math.round(value * 10) / 10),
      }))],
    }, [xs, ...plot.series.map(({ values }) => values)], place);
  });
})();`;
