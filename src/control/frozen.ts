// Plain data made fast for good.
// Called by compile.ts and compile-server.ts. Promises: what is frozen already is not looked into again, so that thousands of servers that stay cost next to nothing.

/** A list that is longer stays as it is, with its elements frozen: JSC makes a hash table of a frozen list, ten times as slow to read. */
const FROZEN_ELEMENTS_MAX = 1_000;

/** Freezes a value and everything in it. */
export function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    const isList = Array.isArray(value);
    for (const below of isList ? value : Object.values(value)) deepFreeze(below);
    if (!isList || value.length <= FROZEN_ELEMENTS_MAX) Object.freeze(value);
  }
  return value;
}
