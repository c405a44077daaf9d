// Envelopes that exchanges are done with, for the next ones: an array that has been through the scanner is dear to make and to collect.
// Called by pipeline.ts (takes) and single.ts (gives back). Promises: bounded; an envelope is given back only by who knows that nobody reads it any more.
import { ENVELOPE } from '../scan/contract.ts';

const SPARE_MAX = 256;

/** A stack of spare envelopes. */
export class Envelopes {
  readonly #spare: Int32Array[] = [];

  take(): Int32Array {
    return this.#spare.pop() ?? new Int32Array(ENVELOPE.length);
  }

  /** Bound to its stack, so that it can be handed over as it is. */
  readonly giveBack = (envelope: Int32Array): void => {
    if (this.#spare.length < SPARE_MAX) this.#spare.push(envelope);
  };
}
