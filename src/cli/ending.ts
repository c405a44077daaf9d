// The end of a gateway: asked for by signals or by an operator.
// Called by lifecycle.ts, admin.ts and stdio.ts. Promises: the first request drains, a second signal stops at once.
import { EXIT, type World } from './world.ts';

/** The part of a gateway that a signal needs. */
export interface Stoppable {
  drain(): Promise<void>;
  stop(): void;
}

/** First signal: drain, then exit code 0. Second signal: stop at once, with the signal's exit code. */
export class Ending {
  readonly #gateway: Stoppable;
  /** Resolves with the exit code once nothing is left running. */
  readonly over: Promise<number>;
  #resolve: (exitCode: number) => void = () => undefined;
  #reject: (thrown: unknown) => void = () => undefined;
  #hasBegun = false;

  constructor(gateway: Stoppable) {
    this.#gateway = gateway;
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** True once it was asked for. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** A signal came, or an operator asked (null: a second one of these changes nothing). */
  ask(exitCode: number | null): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#gateway.drain().then(() => this.#resolve(EXIT.ok), this.#reject);
    } else if (exitCode !== null) {
      this.#gateway.stop();
      this.#resolve(exitCode);
    }
  }
}

/** The same for a gateway that only signals end. */
export function untilStopped(world: World, gateway: Stoppable): Promise<number> {
  const ending = new Ending(gateway);
  world.onStopSignal((exitCode) => ending.ask(exitCode));
  return ending.over;
}
