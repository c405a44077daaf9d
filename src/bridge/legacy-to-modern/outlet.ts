// The client's end of one event source of a session: of a call, or of the session itself. It outlives the HTTP replies that carry it.
// Called by call.ts and session-stream.ts. Promises: one JSON message when nothing came before it, else an event stream; what goes out is kept, so that a client whose
// connection broke takes it up where it was; what cannot reach the client any more is dropped.
import { encode } from '../../base/bytes.ts';
import { fullEvent, KEEP_ALIVE } from '../../mcp/sse.ts';
import type { Clock } from '../../runtime/runtime.ts';
import { type EventLog, type EventPlace, eventId, SESSION_STREAM } from './events.ts';
import type { ClientProfile } from './profile.ts';
import type { LegacyReply, ReplyOwner } from './reply.ts';

/** What an outlet is made of. */
export interface OutletParts {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly profile: ClientProfile;
  readonly owner: ReplyOwner;
}

const NO_STREAM = -1;

/** The client's end. */
export class Outlet implements ReplyOwner {
  readonly #parts: OutletParts;
  #reply: LegacyReply | null = null;
  #stream: number;
  /** Sequence of the last event that was handed to a client. */
  #sentLast = 0;

  /** `stream` is the session's own; left out: a call's, which gets a number when it becomes one. */
  constructor(parts: OutletParts, stream: typeof SESSION_STREAM | null = null) {
    this.#parts = parts;
    this.#stream = stream ?? NO_STREAM;
  }

  /** Number of its stream, negative before it is one. */
  get stream(): number {
    return this.#stream;
  }

  /** True while a client listens. */
  get attached(): boolean {
    return this.#reply !== null;
  }

  /** True when an event can reach the client, now or when it takes the stream up again. */
  get reachable(): boolean {
    if (this.#reply !== null) return this.#reply.takesEvents;
    return this.#stream !== NO_STREAM && this.#parts.profile.resumes;
  }

  /** The reply that carries it from now on; another one that did is ended, and what its client has not taken is dropped. */
  attach(reply: LegacyReply): void {
    this.#detach();
    this.#reply = reply;
    reply.ownedBy(this);
  }

  /** Ends the reply that carries it, whose client is not heard any more; returns the events that this has not taken. */
  #detach(): readonly Uint8Array[] {
    const before = this.#reply;
    this.#reply = null;
    before?.ownedBy(null);
    if (before?.streaming === false) before.stream();
    return before?.cut() ?? [];
  }

  /** The same for a client that takes the stream up: it gets what is kept behind a place first. */
  takeUp(reply: LegacyReply, place: EventPlace, events: readonly Uint8Array[]): void {
    this.attach(reply);
    reply.stream(this.#greeting(place.sequence));
    for (const event of events) reply.event(event);
    this.#sentLast = this.#parts.log.lastOf(place.stream);
  }

  /** The session's stream to a client that starts afresh: what no client has taken goes first. */
  begin(reply: LegacyReply): void {
    const untaken = this.#detach();
    const stream = this.#stream;
    const unsent = this.#parts.log.remains({ stream, sequence: this.#sentLast });
    this.takeUp(reply, { stream, sequence: this.#sentLast - untaken.length }, [...untaken, ...unsent]);
  }

  /** What is kept and was not sent is for nobody any more, and a client that listens is the last to hear what was. */
  skip(): void {
    this.end();
    this.#sentLast = this.#parts.log.lastOf(this.#stream);
  }

  /** Makes it an event stream, without an event yet. */
  open(): void {
    const reply = this.#reply;
    if (this.#stream === NO_STREAM) this.#stream = this.#parts.log.newStream();
    if (reply !== null && !reply.streaming) reply.stream(this.#greeting(this.#sentLast));
  }

  #greeting(sequence: number): Uint8Array {
    if (!this.#parts.profile.primes) return KEEP_ALIVE;
    return fullEvent(null, eventId({ stream: this.#stream, sequence }), null);
  }

  /** Sends an event; false when the client is slow, and the writer shall pause until onRoom. */
  event(message: Uint8Array): boolean {
    const { log, clock, profile } = this.#parts;
    if (!this.reachable && this.#stream !== SESSION_STREAM) return true;
    this.open();
    const place = log.next(this.#stream);
    const bytes = fullEvent(message, profile.resumes ? eventId(place) : null, null);
    if (profile.resumes || this.#stream === SESSION_STREAM) log.keep(place, bytes, clock.now());
    if (this.#reply === null) return true;
    this.#sentLast = place.sequence;
    return this.#reply.event(bytes);
  }

  /** The call's response, after which nothing follows. */
  answer(message: Uint8Array): void {
    if (this.#stream === NO_STREAM) {
      this.#reply?.json(200, message);
    } else {
      this.event(message);
      this.#reply?.end();
    }
    this.#reply = null;
  }

  /** Ends the stream without a response. */
  end(): void {
    const reply = this.#reply;
    this.#reply = null;
    reply?.ownedBy(null);
    if (reply === null) return;
    if (!reply.streaming) reply.stream();
    reply.end();
  }

  /** The reply that nothing was said in yet, for whoever wants to refuse it as a whole; null when it is an event stream, or gone. */
  takeUntouched(): LegacyReply | null {
    const reply = this.#stream === NO_STREAM ? this.#reply : null;
    if (reply !== null) this.#reply = null;
    return reply;
  }

  onLeft(): void {
    this.#reply = null;
    this.#parts.owner.onLeft();
  }

  onRoom(): void {
    this.#parts.owner.onRoom();
  }
}

/** A JSON-RPC notification of the gateway's own. */
export function notification(method: string, params: Readonly<Record<string, unknown>> | null): Uint8Array {
  return encode(JSON.stringify({ jsonrpc: '2.0', method, ...(params === null ? {} : { params }) }));
}
