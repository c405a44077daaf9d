// What a configuration text becomes once it is parsed: its value, its faults, and the line of every key.
// Called by yaml.ts, json.ts, toml.ts (make it) and document.ts, load.ts (use it). Promises: types and one small function.
import type { KeyPath } from './problem.ts';

/** One complaint about the syntax; lines count from 1. */
export interface SyntaxFault {
  readonly line: number;
  /** Where in the value, as far as known. */
  readonly path: KeyPath;
  readonly detail: string;
}

/** A parsed text. When there are faults the value is not to be used. */
export interface SourceDocument {
  readonly faults: readonly SyntaxFault[];
  /** Plain data: objects, arrays, strings, numbers, booleans, null (and dates, from TOML). */
  readonly value: unknown;
  /** Line of the key or list entry at this path, or of the nearest one above it that is there. */
  lineOf(path: KeyPath): number;
}

/** Line (from 1) of an offset in a text. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
