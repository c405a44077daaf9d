// How often changes of the registry become a reload.
// Called by live-registry.ts. Promises: the first change after a quiet time is taken up at once; of many in a row, all that come meanwhile are one reload, and reloads take
// no more than about half of the control plane's time, so that registrations do not wait for them.
import { LIMITS } from '../../base/limits.ts';
import type { Clock } from '../../runtime/runtime.ts';

/** The reloads of one registry. */
export class Pace {
  readonly #clock: Clock;
  readonly #reload: () => Promise<void>;
  #work: Promise<void> = Promise.resolve();
  /** A reload is to begin that will take up whatever has changed by then. */
  #isDue = false;
  #restsUntilMs = 0;

  constructor(clock: Clock, reload: () => Promise<void>) {
    this.#clock = clock;
    this.#reload = reload;
  }

  /** Something has changed. */
  request(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#work = this.#work.then(() => this.#run());
  }

  /** Resolves once everything that has changed so far is taken up. */
  settled(): Promise<void> {
    return this.#work;
  }

  async #run(): Promise<void> {
    const restMs = this.#restsUntilMs - this.#clock.now();
    if (restMs > 0) await new Promise<void>((resolve) => this.#clock.after(restMs, resolve));
    this.#isDue = false;
    const beganAtMs = this.#clock.now();
    await this.#reload();
    const endedAtMs = this.#clock.now();
    const pauseMs = Math.max(LIMITS.registryPauseMinMs, endedAtMs - beganAtMs);
    this.#restsUntilMs = endedAtMs + Math.min(LIMITS.registryPauseMaxMs, pauseMs);
  }
}
