// What comes out of a database or a file of ours, taken for what it is meant to be.
// Called by the files of this folder. Promises: never throws; what is not as it is meant to be becomes the emptiest value of its kind.
import type { Row } from './database.ts';
import type { Mapping } from './registry.ts';

/** A JSON value; null for what is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** True for a JSON object. */
export function isMapping(value: unknown): value is Mapping {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** A number of a row; 0 where there is none. */
export function numberOf(row: Row | undefined, column: string): number {
  const value = row?.[column];
  return typeof value === 'number' ? value : 0;
}

/** A text of a row; '' where there is none. */
export function textOf(row: Row | undefined, column: string): string {
  const value = row?.[column];
  return typeof value === 'string' ? value : '';
}
