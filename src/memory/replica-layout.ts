// Where lies what all workers know of a replica: a part of its breaker cell, and a region of layout.ts.
// Called by layout.ts (size of the region), replica-cell.ts and reclaim.ts. Promises: as layout.ts.

/** Words of an upstream's breaker cell, behind the breaker's own, in which a replica's standing is told: each has one writer at a time, changes are rare. */
export const STANDING = Object.freeze({
  /** 1 while probes find it down. */
  isDown: 12,
  /** Times that it was ejected in a row. */
  ejections: 13,
});

/** Float64 places of a replica's standing, counted from the start of the breaker cell; ms since the memory was made. */
export const STANDING_TIME = Object.freeze({
  /** It is left out until then. */
  ejectedUntilMs: 4,
  /** Since then it serves again; 0 = it never ceased to. */
  recoveredAtMs: 5,
});

/** Words in which a worker counts how the requests to a replica ended; written by that worker alone, they wrap. */
export const OUTCOME = Object.freeze({
  failed: 0,
  /** From here on those that went well, by the time to the head of the reply: bucket 0 up to 2^-1.5 ms, each further one to √2 times that. */
  firstBucket: 1,
  buckets: 31,
  words: 32,
});

/** Byte offset of the outcomes of an upstream in a worker; those of one upstream lie side by side, two lines each. */
export function outcomeCellAt(
  plan: { readonly outcomeAt: number; readonly workers: number },
  upstream: number,
  worker: number,
): number {
  return plan.outcomeAt + (upstream * plan.workers + worker) * OUTCOME.words * 4;
}
