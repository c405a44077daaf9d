// Tells a server that is quiet from an event stream that is dead: what drops connections without a word (NAT, load balancers) ends no stream.
// Called by sse-pipe.ts. Promises: a stream is called dead only when the server took a ping and nothing at all came for as long as it may think; one that
// answers, or sends comments, is left alone; one timer at most.
import { encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Deadline, Deadlines } from './stdio-deadline.ts';

/** Asked of a server from which nothing has come. Its answer belongs to no call, so it reaches nobody. */
export const PING: Uint8Array = encode(`{"jsonrpc":"2.0","id":"sluice:alive","method":"${METHOD.ping}"}`);

/** What a watch does. */
export interface SilenceEvents {
  /** To send a PING; pinged() when the server has taken it. */
  ping(): void;
  /** The stream is dead. */
  dead(): void;
}

/** Watches one stream. */
export class SilenceWatch {
  readonly #deadlines: Deadlines;
  readonly #events: SilenceEvents;
  #deadline: Deadline | null = null;
  #hasAsked = false;

  constructor(deadlines: Deadlines, events: SilenceEvents) {
    this.#deadlines = deadlines;
    this.#events = events;
  }

  /** The server took a message that it answers. */
  expect(): void {
    if (this.#deadline !== null || this.#hasAsked) return;
    this.#deadline = this.#deadlines.set(LIMITS.sseSilenceMs, () => {
      this.#deadline = null;
      this.#hasAsked = true;
      this.#events.ping();
    });
  }

  /** The server took the ping: from here on silence counts. A server that is too busy to take it is not dead. */
  pinged(): void {
    if (this.#hasAsked && this.#deadline === null)
      this.#deadline = this.#deadlines.set(LIMITS.sseSilenceMs, () => this.#events.dead());
  }

  /** Something came. */
  heard(): void {
    this.#deadlines.clear(this.#deadline);
    this.#deadline = null;
    this.#hasAsked = false;
  }
}
