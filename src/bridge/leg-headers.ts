// The headers that the member servers of an aggregated legacy session are shown: the session's own, and of the client's others
// those that each server's configuration names.
// Called by session.ts; proxy/aggregate-legacy.ts tells what the client showed last. Promises: a header reaches no server whose configuration does not name it.
import type { Leg } from './leg.ts';

/** Headers of one session, for all its legs. */
export class LegHeaders {
  readonly #common: readonly string[];
  /** Name, value, …, of the client's latest request: a token is renewed while its session goes on. */
  #optional: readonly string[];

  /** `common`: for every leg; `optional`: for those that are to see them. Both: name, value, … */
  constructor(common: readonly string[], optional: readonly string[]) {
    this.#common = common;
    this.#optional = optional;
  }

  /** The client has shown these with a request. */
  show(optional: readonly string[]): void {
    this.#optional = optional;
  }

  /** What a leg's server is to see, but for the version that it speaks. */
  of(leg: Leg): string[] {
    const { forwardHeaders } = leg.member.spec;
    const headers = [...this.#common];
    if (forwardHeaders.length === 0) return headers;
    for (let i = 0; i + 1 < this.#optional.length; i += 2) {
      const name = this.#optional[i] ?? '';
      if (forwardHeaders.includes(name)) headers.push(name, this.#optional[i + 1] ?? '');
    }
    return headers;
  }
}
