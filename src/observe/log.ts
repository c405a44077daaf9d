// Structured log lines on stderr: what happened, to whom, in the shape that whoever collects them reads.
// Called by gateway, worker, upstream, cli. Promises: never throws, never logs a header's or argument's value unless a caller puts it in a field
// on purpose, and what looks like a secret not even then; levels are compared once per call.
import type { Fields, FieldValue } from './fields.ts';
import { type LogFormat, shapeOf } from './log-format.ts';
import { redactText } from './redact.ts';

/** Least severe line that is written. */
export type Level = 'debug' | 'info' | 'warn' | 'error' | 'silent';
const RANK: Readonly<Record<Level, number>> = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 };

/** Parts of the gateway that can have a level of their own: the folders of src/ that write, and the lines of exchanges. */
export const ROOMS = ['access', 'gateway', 'control', 'server', 'bridge', 'policy', 'upstream'] as const;
/** A part of the gateway. */
export type Room = (typeof ROOMS)[number];

/** Writes lines; `msg` is a fixed text, what varies goes into fields. */
export interface Log {
  debug(msg: string, fields?: Fields): void;
  info(msg: string, fields?: Fields): void;
  warn(msg: string, fields?: Fields): void;
  error(msg: string, fields?: Fields): void;
  /** A log whose lines carry these fields too. */
  with(fields: Fields): Log;
  /** A log whose lines say which part of the gateway they are from, at the level which that part has. */
  room(name: Room): Log;
  enabled(level: Level): boolean;
}

/** Where a finished line goes, and the clock that stamps it (ms since the epoch). */
export interface LogOutput {
  write(line: string): void;
  wall(): number;
}

/** What is written, and how. */
export interface LogSettings {
  readonly level: Level;
  /** Left out: json. */
  readonly format?: LogFormat;
  /** Parts whose level is another one. */
  readonly rooms?: Readonly<Partial<Record<Room, Level>>>;
}

/** Makes a log that writes lines at or above a level. */
export function createLog(wanted: Level | LogSettings, output: LogOutput, base: Fields = {}): Log {
  const settings = typeof wanted === 'string' ? { level: wanted } : wanted;
  const floor = RANK[settings.level];
  const shape = shapeOf(settings.format ?? 'json');
  const line = (name: Exclude<Level, 'silent'>, msg: string, fields: Fields | undefined): void => {
    if (RANK[name] < floor) return;
    output.write(shape(output.wall(), name, msg, cleaned({ ...base, ...fields })));
  };
  return {
    debug: (msg, fields) => line('debug', msg, fields),
    info: (msg, fields) => line('info', msg, fields),
    warn: (msg, fields) => line('warn', msg, fields),
    error: (msg, fields) => line('error', msg, fields),
    with: (fields) => createLog(settings, output, { ...base, ...fields }),
    room: (name) =>
      createLog({ ...settings, level: levelOf(settings, name) }, output, { ...base, room: name }),
    enabled: (asked) => RANK[asked] >= floor,
  };
}

/** The level of one part. A log that says nothing says nothing of any part either. */
export function levelOf({ level, rooms }: LogSettings, room: Room): Level {
  return level === 'silent' ? level : (rooms?.[room] ?? level);
}

/** True when lines of a level are written at a least level. */
export function isWritten(level: Level, least: Level): boolean {
  return RANK[level] >= RANK[least];
}

/** Texts without what looks like a secret. */
function cleaned(fields: Record<string, FieldValue>): Fields {
  for (const name in fields) {
    const value = fields[name];
    if (typeof value === 'string') fields[name] = redactText(value);
  }
  return fields;
}

/** A log that says nothing, for tests. */
export const SILENT: Log = createLog('silent', { write: () => undefined, wall: () => 0 });
