// What `sluice doctor` found about one thing, and how that is printed.
// Called by every file of doctor/. Promises: pure; whatever is not well comes with what to do about it.
import { cell } from '../operate/table.ts';
import type { Paint } from '../paint.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'broken';
  /** What is so, in words. */
  readonly found: string;
  /** How to mend it; null while it is well. */
  readonly remedy: string | null;
}

/** It is well. */
export function fine(check: string, found: string): Finding {
  return { check, state: 'ok', found, remedy: null };
}

/** A gateway serves so, and not as well as it could. */
export function warning(check: string, found: string, remedy: string): Finding {
  return { check, state: 'warning', found, remedy };
}

/** A gateway does not start so, or does not serve what it should. */
export function broken(check: string, found: string, remedy: string): Finding {
  return { check, state: 'broken', found, remedy };
}

/** The findings as lines, with a sum at the end. */
export function findingsText(findings: readonly Finding[], paint: Paint): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const marks = { ok: paint.good('ok     '), warning: paint.warn('warning'), broken: paint.bad('broken ') };
  const lines = findings.flatMap(({ check, state, found, remedy }) => [
    `${marks[state]}  ${check.padEnd(width)}  ${cell(found, 1_000)}`,
    ...(remedy === null
      ? []
      : remedy.split('\n').map((line) => `${' '.repeat(width + 11)}${cell(line, 1_000)}`)),
  ]);
  const count = (state: Finding['state']): number => findings.filter((one) => one.state === state).length;
  const [warnings, faults] = [count('warning'), count('broken')];
  const sum =
    faults > 0
      ? paint.bad(`${faults} broken, ${warnings} to look at`)
      : warnings > 0
        ? paint.warn(`nothing is broken, ${warnings} to look at`)
        : paint.good('all well');
  return `${[...lines, '', sum].join('\n')}\n`;
}
