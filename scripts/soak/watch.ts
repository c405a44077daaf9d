// The gateway's process as /proc shows it: memory, open handles, children; and whether they grow.
// Called by run.ts. Promises: works on Linux; a figure that grows is told from one that wavers by the standard error of its slope, taken over
// means of whole stretches, and wider where neighbouring stretches still say the same: what wavers slowly has fewer independent samples.
import { readdirSync } from 'node:fs';
import { slopeOf } from '../../bench/macro/steady.ts';
import { residentMb, treeOf } from '../../bench/macro/target.ts';

/** One look. */
export interface Look {
  readonly seconds: number;
  readonly residentMb: number;
  readonly handles: number;
  readonly children: number;
}

/** Looks at a process now, so many seconds into the run. */
export function lookAt(pid: number, seconds: number): Look {
  return {
    seconds,
    residentMb: residentMb(pid),
    handles: readdirSync(`/proc/${pid}/fd`).length,
    children: treeOf(pid).length - 1,
  };
}

/** A figure over the run. */
export interface Trend {
  readonly perHour: number;
  /** Standard error of that. */
  readonly error: number;
  readonly least: number;
  readonly most: number;
  /** How much it rose over what was looked at, by the line through it. */
  readonly rise: number;
}

/** Looks before this share of the run are its warm-up. */
export const WARM_SHARE = 0.25;
const STRETCHES = 24;
/** Fewer say nothing of how they hang together. */
const STRETCHES_MIN = 4;
const RESTS_MIN = 3;
/** A correlation that is found higher is taken for this: the few samples of a run cannot tell. */
const CORRELATION_MAX = 0.9;

/** How one figure went after the warm-up. */
export function trendOf(looks: readonly Look[], figure: 'residentMb' | 'handles' | 'children'): Trend {
  const total = looks.at(-1)?.seconds ?? 0;
  const settled = looks.filter((look) => look.seconds >= total * WARM_SHARE);
  const size = Math.max(1, Math.ceil(settled.length / STRETCHES));
  const points: [number, number][] = [];
  for (let at = 0; at + size <= settled.length; at += size) {
    const part = settled.slice(at, at + size);
    const mean = (of: (look: Look) => number): number =>
      part.reduce((sum, look) => sum + of(look), 0) / part.length;
    points.push([mean((look) => look.seconds) / 3600, mean((look) => look[figure])]);
  }
  const values = settled.map((look) => look[figure]);
  const line = points.length < STRETCHES_MIN ? { slope: Number.NaN, error: Number.NaN } : wideSlopeOf(points);
  return trendAlong(line, points, values);
}

type Points = readonly (readonly [number, number])[];

/** What a line through points (hours, figure) says of the values behind them. */
function trendAlong(
  { slope, error }: { readonly slope: number; readonly error: number },
  points: Points,
  values: readonly number[],
): Trend {
  const hours = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  return {
    perHour: slope,
    error,
    least: Math.min(...values),
    most: Math.max(...values),
    rise: slope * hours,
  };
}

/**
 * The line through points at equal distances; its error holds for residuals of which each resembles the one before (first-order autoregression). Around a
 * line through n points their correlation is found too low by about (1 + 4r) / n, which is put back.
 */
function wideSlopeOf(points: Points): { slope: number; error: number } {
  const { slope, error } = slopeOf(points);
  const count = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  const rests = points.map(([x, y]) => y - meanY - slope * (x - meanX));
  const whole = rests.reduce((sum, rest) => sum + rest * rest, 0);
  const found =
    whole === 0 ? 0 : rests.reduce((sum, rest, at) => sum + rest * (rests[at - 1] ?? 0), 0) / whole;
  const correlation = Math.min(CORRELATION_MAX, Math.max(0, found + (1 + 4 * found) / count));
  return { slope, error: error * Math.sqrt((1 + correlation) / (1 - correlation)) };
}

/** How memory went from rest to rest; the first belongs to the warm-up. */
export function restTrend(rests: readonly Look[]): Trend | null {
  const points = rests.slice(1).map(({ seconds, residentMb: mb }) => [seconds / 3600, mb] as const);
  if (points.length < RESTS_MIN) return null;
  const values = points.map(([, mb]) => mb);
  return trendAlong(slopeOf(points), points, values);
}

/** True when a figure rose by more than `least` and by more than its noise explains. */
export function grows({ perHour, error, rise }: Trend, least: number): boolean {
  return rise > least && perHour > 3 * error;
}
