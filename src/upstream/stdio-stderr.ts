// What a child prints on stderr, as log lines; the last ones are kept, to be told when it has died of them.
// Called by stdio-child.ts. Promises: a line is cut at 4 KiB, a chatty child fills no log: beyond a number of lines a
// second they are counted, and the count is logged; what clients may see holds no value of the child's environment.
import { decode } from '../base/bytes.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import { LineReader } from './lines.ts';

/** Bytes of one line that reach the log. */
const LINE_BYTES_MAX = 4 * 1024;
/** Bytes of one line that are kept at all; a child that never ends its line is cut there. */
const PENDING_BYTES_MAX = 64 * 1024;
/** Lines of one child that reach the log in one window. */
const LINES_MAX = 50;
const WINDOW_MS = 1_000;
/** Lines kept, and characters of each. */
const KEPT_LINES = 5;
const KEPT_CHARS = 200;
/** Values of the environment that are shorter are too common to be taken for secrets: `1`, `info`, `/root`. */
const SECRET_CHARS_MIN = 8;
/** Variables that say nothing that a stack trace does not. */
const OPEN_VARIABLES = /^(?:PATH|HOME|USER|LOGNAME|SHELL|PWD|TMPDIR|TERM|TZ|LANG|LANGUAGE|LC_[A-Z]+)$/;
/** What follows such a word is not for everybody. */
const NAMED_SECRET =
  /((?:key|token|secret|password|passwd|authorization|bearer|cookie)["']?\s*[=: ]\s*["']?)(?:(?:bearer|basic)\s+)?[^\s"',;]+/gi;
const HIDDEN = '***';

/** A line as clients may see it: cut, on one line, without values of the environment and what looks like a credential. */
export function showable(line: string, env: Readonly<Record<string, string>>): string {
  let shown = line;
  for (const [name, value] of Object.entries(env)) {
    if (value.length >= SECRET_CHARS_MIN && !OPEN_VARIABLES.test(name))
      shown = shown.replaceAll(value, HIDDEN);
  }
  return shown
    .replace(NAMED_SECRET, `$1${HIDDEN}`)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, KEPT_CHARS);
}

/** One child's stderr on its way to the log. */
export class StderrLog {
  readonly #clock: Clock;
  readonly #log: Log;
  #reader: LineReader;
  #windowEndsAt = 0;
  #lines = 0;
  #dropped = 0;
  readonly #last: Uint8Array[] = [];

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
    this.#reader = this.#newReader();
  }

  /** The last lines, oldest first. */
  get last(): readonly string[] {
    return this.#last.map((line) => decode(line));
  }

  /** Takes a chunk. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** The child ended: logs an unfinished line and what was dropped. */
  finish(): void {
    this.#reader.finish();
    this.#tellDropped();
  }

  #newReader(): LineReader {
    return new LineReader(PENDING_BYTES_MAX, {
      onLine: (line) => this.#line(line),
      onTooLong: () => {
        this.#dropped++;
        this.#reader = this.#newReader();
      },
    });
  }

  #line(line: Uint8Array): void {
    this.#last.push(line.subarray(0, LINE_BYTES_MAX));
    if (this.#last.length > KEPT_LINES) this.#last.shift();
    const now = this.#clock.now();
    if (now >= this.#windowEndsAt) {
      this.#tellDropped();
      this.#windowEndsAt = now + WINDOW_MS;
      this.#lines = 0;
    }
    if (++this.#lines > LINES_MAX) this.#dropped++;
    else this.#log.info('stderr', { line: decode(line.subarray(0, LINE_BYTES_MAX)) });
  }

  #tellDropped(): void {
    if (this.#dropped > 0) this.#log.info('stderr lines not logged', { count: this.#dropped });
    this.#dropped = 0;
  }
}
