// What a log line is made of besides its text: named values, and the time as it is written.
// Called by log.ts, log-format.ts and whoever shows times of the wall clock. Promises: pure.

/** Values that a field may have. */
export type FieldValue = string | number | boolean | null | undefined | readonly string[];
/** Named values of a line. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** A time of the wall clock (ms since the epoch) as ISO 8601 text in UTC. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
