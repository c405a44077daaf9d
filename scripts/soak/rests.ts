// Rests of a soak: clients finish what they do and wait, so that what the gateway keeps shows without what it is just doing.
// Called by run.ts. Promises: at fixed shares of the run, each as long as idle times and the collector need; short runs have none.

/** Shares of the run at which a rest begins. */
const STARTS: readonly number[] = [0.2, 0.4, 0.6, 0.8];
/** Sessions are idle after 5 s, and Bun looks for garbage some seconds after the last call; what is free goes back to the system after that. */
const REST_SECONDS = 25;
/** Of a rest, the part at its end in which memory is looked at. */
const LOOK_SECONDS = 6;
/** Shorter runs would rest more than they run. */
const RUN_SECONDS_MIN = 300;

/** When clients of one run wait. */
export class Rests {
  readonly #seconds: number;
  #open: Promise<void> | null = null;
  #resume: () => void = () => undefined;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** Tells how long the run has lasted: begins and ends rests. `settled`: the number of the rest in whose last seconds it is, from 0; null in none. */
  at(seconds: number): number | null {
    const index = STARTS.findIndex((share) => {
      const since = seconds - share * this.#seconds;
      return since >= 0 && since < REST_SECONDS;
    });
    if (index < 0 || this.#seconds < RUN_SECONDS_MIN) {
      this.end();
      return null;
    }
    this.#open ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
    const since = seconds - (STARTS[index] ?? 0) * this.#seconds;
    return since >= REST_SECONDS - LOOK_SECONDS ? index : null;
  }

  get isOn(): boolean {
    return this.#open !== null;
  }

  /** Nobody waits any more. */
  end(): void {
    this.#open = null;
    this.#resume();
  }

  /** Waits while there is a rest. */
  async over(): Promise<void> {
    while (this.#open !== null) await this.#open;
  }
}
