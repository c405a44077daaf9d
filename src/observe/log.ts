// Structured log lines: one JSON object a line on stderr.
// Called by gateway, worker, upstream, cli. Promises: never throws, never logs a header's or argument's value unless a caller puts it in a field
// on purpose; levels are compared once per call.

/** Least severe line that is written. */
export type Level = 'debug' | 'info' | 'warn' | 'error' | 'silent';
const RANK: Readonly<Record<Level, number>> = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 };

/** Values that a field may have. */
export type FieldValue = string | number | boolean | null | undefined | readonly string[];
/** Named values of a line. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** Writes lines; `msg` is a fixed text, what varies goes into fields. */
export interface Log {
  debug(msg: string, fields?: Fields): void;
  info(msg: string, fields?: Fields): void;
  warn(msg: string, fields?: Fields): void;
  error(msg: string, fields?: Fields): void;
  /** A log whose lines carry these fields too. */
  with(fields: Fields): Log;
  enabled(level: Level): boolean;
}

/** Where a finished line goes, and the clock that stamps it (ms since the epoch). */
export interface LogOutput {
  write(line: string): void;
  wall(): number;
}

/** Makes a log that writes lines at or above `level`. */
export function createLog(level: Level, output: LogOutput, base: Fields = {}): Log {
  const floor = RANK[level];
  const line = (name: Level, msg: string, fields: Fields | undefined): void => {
    if (RANK[name] < floor) return;
    output.write(
      `${JSON.stringify({ time: new Date(output.wall()).toISOString(), level: name, msg, ...base, ...fields })}\n`,
    );
  };
  return {
    debug: (msg, fields) => line('debug', msg, fields),
    info: (msg, fields) => line('info', msg, fields),
    warn: (msg, fields) => line('warn', msg, fields),
    error: (msg, fields) => line('error', msg, fields),
    with: (fields) => createLog(level, output, { ...base, ...fields }),
    enabled: (asked) => RANK[asked] >= floor,
  };
}

/** A log that says nothing, for tests. */
export const SILENT: Log = createLog('silent', { write: () => undefined, wall: () => 0 });
