// The difference of two values, line by line, as people read it.
// Called by parts/diff-view.tsx. Promises: the lines marked `same` and `gone` are the one text, `same` and `new` the other; texts beyond the bound are shown as gone and new
// without being compared.
import type { Json } from '../api/types.ts';

/** One line, and whether it is in both. */
export interface DiffLine {
  readonly kind: 'same' | 'gone' | 'new';
  readonly text: string;
}

/** Lines times lines that are compared: 4 MB of table. */
const CELLS_MAX = 1_000_000;

/** A value as lines: keys in order, so that only what differs does. */
export function linesOf(value: Json | null): string[] {
  if (value === null) return [];
  return (typeof value === 'string' ? value : JSON.stringify(sorted(value), null, 2)).split('\n');
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** Lengths of the longest common rest for every pair of beginnings. */
function commonRests(before: readonly string[], after: readonly string[]): Uint32Array {
  const width = after.length + 1;
  const table = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--) {
      const down = table[(i + 1) * width + j] ?? 0;
      const right = table[i * width + j + 1] ?? 0;
      const both = table[(i + 1) * width + j + 1] ?? 0;
      table[i * width + j] = before[i] === after[j] ? both + 1 : Math.max(down, right);
    }
  return table;
}

/** The lines of both texts, in order, what is gone before what is new. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  const gone = (text: string): DiffLine => ({ kind: 'gone', text });
  const fresh = (text: string): DiffLine => ({ kind: 'new', text });
  if (before.length * after.length > CELLS_MAX) return [...before.map(gone), ...after.map(fresh)];
  const table = commonRests(before, after);
  const width = after.length + 1;
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length && j < after.length) {
    const one = before[i] ?? '';
    const other = after[j] ?? '';
    if (one === other) {
      lines.push({ kind: 'same', text: one });
      i++;
      j++;
    } else if ((table[(i + 1) * width + j] ?? 0) >= (table[i * width + j + 1] ?? 0)) {
      lines.push(gone(one));
      i++;
    } else {
      lines.push(fresh(other));
      j++;
    }
  }
  return [...lines, ...before.slice(i).map(gone), ...after.slice(j).map(fresh)];
}
