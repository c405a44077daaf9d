// A legacy session's own event stream (GET), and what waits for it while none is open.
// Called by stdio-session.ts. Promises: one stream at a time; what waits is bounded in messages and bytes, the oldest
// goes first; order is kept.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../runtime/runtime.ts';
import { REPLY_WAITING_BYTES_MAX, type Reply } from './stdio-reply.ts';

/** The stream and its backlog. */
export class Inbox {
  readonly #clock: Clock;
  #stream: Reply | null = null;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True while a client listens. */
  get open(): boolean {
    return this.#stream?.open === true;
  }

  /** The client's stream; refused while another is open. `onLeft` when its client goes away. */
  attach(reply: Reply, onLeft: () => void): void {
    if (this.open) {
      reply.fail(new GatewayError('GW_SESSION_STREAM'));
      return;
    }
    this.#stream = reply;
    reply.ownedBy({ onLeft });
    this.#clock.soon(() => {
      reply.stream();
      this.#drain(reply);
    });
  }

  /** Delivers a message, or keeps it until a stream opens. */
  put(line: Uint8Array): void {
    if (this.#stream?.streaming === true) {
      this.#stream.event(line, []);
      return;
    }
    this.#backlog.push(line.slice());
    this.#backlogBytes += line.length;
    while (this.#backlog.length > LIMITS.sessionBacklogMax || this.#backlogBytes > REPLY_WAITING_BYTES_MAX) {
      this.#backlogBytes -= this.#backlog.shift()?.length ?? 0;
    }
  }

  /** Ends the stream and forgets what waits. */
  close(): void {
    this.#stream?.end();
    this.#stream = null;
    this.#backlog = [];
    this.#backlogBytes = 0;
  }

  #drain(reply: Reply): void {
    while (reply.streaming) {
      const line = this.#backlog.shift();
      if (line === undefined) return;
      this.#backlogBytes -= line.length;
      reply.event(line, []);
    }
  }
}
