// The last minutes of the overview, as columns that a chart can draw.
// Called by live.ts and views/overview.tsx. Promises: bounded; times grow; a gap in the events is a gap in the curves.
import type { OverviewPoint } from '../api/types.ts';

/** Points that are kept: half an hour, one a second. */
const POINTS_MAX = 1800;
/** Between two points further apart than this there is nothing known. */
const GAP_MS = 3500;

/** A column of values; null is a gap. */
export type Column = (number | null)[];

/** Adds a point at the end, and forgets the oldest beyond the bound. A point that is not newer than the last is left out. */
export function addPoint(points: readonly OverviewPoint[], point: OverviewPoint): readonly OverviewPoint[] {
  const last = points.at(-1);
  if (last !== undefined && Date.parse(point.at) <= Date.parse(last.at)) return points;
  return [...points.slice(-(POINTS_MAX - 1)), point];
}

/** The x column (seconds since the epoch) and one column for each figure, for the last `windowMs` before `nowMs`. */
export function columnsOf(
  points: readonly OverviewPoint[],
  figures: readonly ((point: OverviewPoint) => number | null)[],
  span: { readonly nowMs: number; readonly windowMs: number },
): [number[], ...Column[]] {
  const times: number[] = [];
  const columns: Column[] = figures.map(() => []);
  let beforeMs = Number.NaN;
  for (const point of points) {
    const atMs = Date.parse(point.at);
    if (atMs < span.nowMs - span.windowMs) continue;
    if (atMs - beforeMs > GAP_MS) {
      times.push((beforeMs + 1000) / 1000);
      for (const column of columns) column.push(null);
    }
    times.push(atMs / 1000);
    for (const [at, figure] of figures.entries()) columns[at]?.push(figure(point));
    beforeMs = atMs;
  }
  return [times, ...columns];
}
