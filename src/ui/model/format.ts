// Figures and times in words: short, with their units, the same everywhere on the page.
// Called by views and parts. Promises: pure; what is not known is shown as a dash.

/** What stands for a figure that is not known. */
export const UNKNOWN = '–';

function trimmed(value: number, unit: string): string {
  const text = value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
  const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  return `${short}${unit}`;
}

/** A count: 950, 1.2k, 3.4M. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  if (Math.abs(value) < 1000) return Number.isInteger(value) ? String(value) : trimmed(value, '');
  if (Math.abs(value) < 1e6) return trimmed(value / 1e3, 'k');
  return trimmed(value / 1e6, 'M');
}

/** Bytes: 512 B, 1.5 kB, 20.3 MB (powers of ten). */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return trimmed(value / 1e3, ' kB');
  if (value < 1e9) return trimmed(value / 1e6, ' MB');
  return trimmed(value / 1e9, ' GB');
}

/** A time that passed: 0.08 ms, 12.3 ms, 1.5 s, 3 min, 2 h, 5 d. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN;
  if (ms < 1000) return trimmed(ms, ' ms');
  if (ms < 60_000) return trimmed(ms / 1000, ' s');
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 86_400_000) return trimmed(Math.floor(ms / 360_000) / 10, ' h');
  return trimmed(Math.floor(ms / 8_640_000) / 10, ' d');
}

/** A share as percent. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? UNKNOWN : `${trimmed((100 * part) / whole, '')} %`;
}

/** Time of the day, to the second, where the reader is. */
export function clockTime(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? UNKNOWN : date.toLocaleTimeString(undefined, { hour12: false });
}

/** Day and time, where the reader is. */
export function dayTime(iso: string | null): string {
  const date = new Date(iso ?? '');
  if (Number.isNaN(date.getTime())) return UNKNOWN;
  return date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
}

/** How long ago: now, 5 s ago, 3 min ago. */
export function ago(iso: string | null, nowMs: number): string {
  const at = Date.parse(iso ?? '');
  if (Number.isNaN(at)) return UNKNOWN;
  const passedMs = Math.max(0, nowMs - at);
  return passedMs < 1500 ? 'now' : `${duration(Math.floor(passedMs / 1000) * 1000)} ago`;
}

/** One or many. */
export function plural(many: number, one: string, more = `${one}s`): string {
  return `${many} ${many === 1 ? one : more}`;
}
