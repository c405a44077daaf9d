// What a child prints on stderr, as log lines.
// Called by stdio-child.ts. Promises: a line is cut at 4 KiB, a chatty child fills no log: beyond a number of lines a
// second they are counted, and the count is logged.
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

/** One child's stderr on its way to the log. */
export class StderrLog {
  readonly #clock: Clock;
  readonly #log: Log;
  #reader: LineReader;
  #windowEndsAt = 0;
  #lines = 0;
  #dropped = 0;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
    this.#reader = this.#newReader();
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
