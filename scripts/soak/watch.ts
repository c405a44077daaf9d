// The gateway's process as /proc shows it: memory, open handles, children; and whether they grow.
// Called by run.ts. Promises: works on Linux; a figure that grows is told from one that wavers by the standard error of its slope, taken over
// means of whole stretches, since neighbouring samples say the same.
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
  const { slope, error } = points.length < 3 ? { slope: Number.NaN, error: Number.NaN } : slopeOf(points);
  const hours = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  return {
    perHour: slope,
    error,
    least: Math.min(...values),
    most: Math.max(...values),
    rise: slope * hours,
  };
}

/** True when a figure rose by more than `least` and by more than its noise explains. */
export function grows({ perHour, error, rise }: Trend, least: number): boolean {
  return rise > least && perHour > 3 * error;
}
