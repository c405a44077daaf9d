// A number for each code of the error table, for places where a text has no room.
// Called by server/record.ts (numbers), memory/ and control/ (codes). Promises: 0 is no error; numbers hold as long as a process lives, and are shown to nobody.
import { ERRORS, type ErrorCode } from './errors.ts';

// keys() forgets what the keys are.
const CODES = Object.keys(ERRORS) as readonly ErrorCode[];
const NUMBERS: ReadonlyMap<ErrorCode, number> = new Map(CODES.map((code, at) => [code, at + 1]));

/** How many numbers there are, 0 included. */
export const ERROR_NUMBERS = CODES.length + 1;

/** The number of a code; 0 for null. */
export function numberOfError(code: ErrorCode | null): number {
  return code === null ? 0 : (NUMBERS.get(code) ?? 0);
}

/** The code of a number; null for 0, and for what is none. */
export function errorOfNumber(number: number): ErrorCode | null {
  return CODES[number - 1] ?? null;
}
