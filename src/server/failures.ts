// The log's lines about exchanges that failed.
// Called by http.ts. Promises: one line a second at most, which says how many there were: an upstream that is down must not fill the log as well.
import type { Exchange } from '../exchange.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';

const LINE_MS = 1_000;

/** Tells the log of failures. */
export class Failures {
  readonly #log: Log;
  readonly #clock: Clock;
  #count = 0;
  #nextAtMs = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Counts a failed exchange, and tells of it unless another line was written just now. */
  tell(exchange: Exchange): void {
    const now = this.#clock.now();
    this.#count++;
    if (now < this.#nextAtMs) return;
    this.#nextAtMs = now + LINE_MS;
    const { id, method, errorCode, status } = exchange;
    const failures = this.#count;
    this.#count = 0;
    this.#log.warn('exchanges failed', {
      id,
      endpoint: exchange.endpoint.path,
      method,
      code: errorCode,
      status,
      failures,
      ...(exchange.fault === null ? {} : { fault: faultText(exchange.fault) }),
    });
  }
}

/** What our own code threw, for the log alone. */
function faultText(fault: unknown): string {
  return fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
}
