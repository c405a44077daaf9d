// A legacy session's own event stream (GET), and what waits for it while none is open.
// Called by stdio-session.ts and stdio-together-session.ts. Promises: one stream at a time, the newest, which gets what the
// client of an older one has not taken; what waits is bounded in messages and bytes, the oldest goes first; order is kept.
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../runtime/runtime.ts';
import { eventFrame } from './lines.ts';
import { REPLY_WAITING_BYTES_MAX, type Reply } from './stdio-reply.ts';

/** The stream and its backlog. */
export class Inbox {
  readonly #clock: Clock;
  #stream: Reply | null = null;
  /** Events that wait, oldest first. */
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True while a client listens. */
  get open(): boolean {
    return this.#stream?.open === true;
  }

  /**
   * The client's stream; one that is open still is ended: a client that is back may not be known yet to have left.
   * `onLeft` when its client goes away while it is the session's.
   */
  attach(reply: Reply, onLeft: () => void): void {
    const untaken = this.#stream?.cut() ?? [];
    for (const event of untaken) this.#backlogBytes += event.length;
    if (untaken.length > 0) this.#backlog = [...untaken, ...this.#backlog];
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
    const event = eventFrame(line, []);
    this.#backlog.push(event);
    this.#backlogBytes += event.length;
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
      const event = this.#backlog.shift();
      if (event === undefined) return;
      this.#backlogBytes -= event.length;
      reply.frame(event);
    }
  }
}
