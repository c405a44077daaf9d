// What happened in one run, in a few words each: the last of it for people, a hash of all of it for the test of determinism.
// Called by the other files of test/sim. Promises: cheap; the same events at the same times give the same hash.

/** The part of a correlation id that is random for real: it decides nothing. */
const CORRELATION_ID = /[A-Za-z0-9+/_-]{22}\/(?=\d)/g;
/** Events kept for a report. */
const KEPT_MAX = 400;

/** The events of one run. */
export class Trace {
  readonly #clock: { now(): number };
  readonly #lines: string[] = [];
  #count = 0;
  /** FNV-1a over all lines, 32 bits. */
  #hash = 0x811c9dc5;

  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  note(what: string): void {
    const line = `${this.#clock.now().toFixed(3)} ${what.replace(CORRELATION_ID, 'ID/')}`;
    this.#count++;
    for (let i = 0; i < line.length; i++)
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193) >>> 0;
    this.#lines.push(line);
    if (this.#lines.length > 2 * KEPT_MAX) this.#lines.splice(0, KEPT_MAX);
  }

  /** Of all events that there were. */
  get hash(): string {
    return `${this.#count}:${this.#hash.toString(16).padStart(8, '0')}`;
  }

  /** The last events, the latest last; only those that name `about` if it is given. */
  tail(count: number, about = ''): readonly string[] {
    return this.#lines.filter((line) => line.includes(about)).slice(-count);
  }
}
