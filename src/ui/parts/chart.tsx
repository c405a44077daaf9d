// A curve over the last minutes, drawn by uPlot.
// Called by views/overview.tsx. Promises: colours follow the theme; the figures of now stand beside it as text; nothing moves but the data.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { useStore } from '../store.ts';
import { theme } from '../theme.ts';

/** One curve. */
export interface Curve {
  readonly label: string;
  /** Name of a colour of the style sheet, without the dashes. */
  readonly colour: 'accent' | 'bad' | 'warn' | 'violet';
  readonly isFilled?: boolean;
}

/** What a chart draws. */
export interface ChartProps {
  readonly title: string;
  readonly curves: readonly Curve[];
  /** Seconds since the epoch, then one column for each curve. */
  readonly data: [number[], ...(number | null)[][]];
  readonly show: (value: number | null) => string;
  readonly windowMs: number;
  readonly nowMs: number;
}

const HEIGHT = 160;

function timeOf(seconds: number): string {
  const { 0: time } = new Date(seconds * 1000).toTimeString().split(' ');
  return time?.endsWith(':00') === true ? time.slice(0, 5) : (time ?? '');
}

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function optionsFor(props: ChartProps, width: number): uPlot.Options {
  const font = '11px system-ui, sans-serif';
  const axis = {
    stroke: colourOf('muted'),
    font,
    grid: { stroke: colourOf('line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    padding: [10, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, Math.max(max ?? 0, 0.001) * 1.15] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 28, values: (_, ticks) => ticks.map(timeOf) },
      { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map((tick) => props.show(tick)) },
    ],
    series: [
      {},
      ...props.curves.map((curve) => {
        const stroke = colourOf(curve.colour);
        const fill = curve.isFilled === true ? { fill: `${stroke}22` } : {};
        return { label: curve.label, stroke, width: 1.5, points: { show: false }, ...fill };
      }),
    ],
  };
}

function draw(plot: uPlot, { data, nowMs, windowMs }: ChartProps): void {
  plot.batch(() => {
    plot.setData(data, false);
    plot.setScale('x', { min: (nowMs - windowMs) / 1000, max: nowMs / 1000 });
  });
}

/** A chart with its title and the latest figures. */
export function Chart(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shownTheme = useStore(theme);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const made = new uPlot(optionsFor(latest.current, element.clientWidth), latest.current.data, element);
    plot.current = made;
    draw(made, latest.current);
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shownTheme]);
  useEffect(() => {
    if (plot.current !== null) draw(plot.current, props);
  }, [props.data, props.nowMs, props.windowMs]);
  return (
    <figure class="card chart">
      <figcaption>
        <h3>{props.title}</h3>
        <span class="legend">
          {props.curves.map((curve, at) => (
            <span key={curve.label}>
              <span class={`swatch swatch-${curve.colour}`} aria-hidden="true" />
              {curve.label} <b>{props.show(props.data[at + 1]?.at(-1) ?? null)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} class="chart-place" aria-hidden="true" />
    </figure>
  );
}
