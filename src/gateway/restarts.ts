// When a data worker that died is started again, and when that is given up.
// Called by fleet.ts, one for each worker. Promises: pure; at once the first time, then after delays that double, until one life has been a healthy one.
import { LIMITS } from '../base/limits.ts';

/** The history of one worker's deaths. */
export class Restarts {
  /** Deaths in a row of lives that were not healthy, and those of lives that never served. */
  #early = 0;
  #unready = 0;

  /** Delay in ms until the next life after one that served for `servedMs` (null: it never did); null = give up. */
  after(servedMs: number | null): number | null {
    if (servedMs !== null && servedMs >= LIMITS.workerHealthyMs) this.#early = 0;
    this.#unready = servedMs === null ? this.#unready + 1 : 0;
    if (this.#unready >= LIMITS.workerStartsMax) return null;
    const delayMs = this.#early === 0 ? 0 : LIMITS.workerBackoffFirstMs * 2 ** (this.#early - 1);
    this.#early++;
    return Math.min(delayMs, LIMITS.workerBackoffLastMs);
  }
}
