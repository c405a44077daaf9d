// Sinks of a session's legs: the event stream that a member server opened, and replies that nobody needs.
// Called by session-stream.ts and session.ts. Promises: a stream that cannot be used is dropped; its end is told exactly once, with what is known about it.
import { decode, EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { type Message, readMessage } from '../mcp/envelope.ts';
import { mayStreamLater } from '../mcp/lost-session.ts';
import { EventReader, type StreamEvent } from '../mcp/sse.ts';
import type { Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../upstream/upstream.ts';
import type { Leg } from './leg.ts';

/** How a leg's event stream ended. */
export interface StreamEnd {
  /** True when it was one: false after 405, which is how a server says that it offers none. */
  readonly wasOpen: boolean;
  /** True when it was refused for now: the server has not seen yet that an older one was let go of, has too much to do, or is ill. */
  readonly isEarly: boolean;
  /** What broke it, or null when the server ended it. */
  readonly error: GatewayError | null;
  /** Where it was: id of the last event, or the one that it was to go on from; null without any. */
  readonly place: string | null;
  /** Wait that the server asked for before the next attempt, or null. */
  readonly retryMs: number | null;
}

/** Who hears of a leg's stream: one for all the legs of a session, since streams that wait are many. */
export interface LegStreamOwner {
  onLegMessage(leg: Leg, message: Message, event: StreamEvent): void;
  onLegOver(sink: LegStreamSink, end: StreamEnd): void;
}

/** How a leg's stream was opened. */
export interface LegStreamStart {
  /** Id of the event after which it goes on, or null. */
  readonly lastEventId: string | null;
  /** Wait before the next attempt, should this one reach nobody. */
  readonly waitMs: number;
}

/** Reads a leg's event stream. */
export class LegStreamSink extends ContainedSink {
  readonly leg: Leg;
  readonly began: LegStreamStart;
  readonly #owner: LegStreamOwner;
  readonly #scanner: Scanner;
  readonly #reader: EventReader;
  #call: UpstreamCall | null = null;
  #wasOpen = false;
  #isEarly = false;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;

  constructor(owner: LegStreamOwner, scanner: Scanner, leg: Leg, began: LegStreamStart) {
    super();
    this.#owner = owner;
    this.#scanner = scanner;
    this.#reader = new EventReader(scanner);
    this.leg = leg;
    this.began = began;
  }

  get place(): string | null {
    return this.#lastEventId ?? this.began.lastEventId;
  }

  /** The call that this sink reads. */
  start(call: UpstreamCall): void {
    this.#call = call;
  }

  /** Nobody wants the stream any more; its end is not told. */
  stop(): void {
    this.leave();
    this.#call?.abort();
  }

  protected head(head: ReplyHead): void {
    this.#wasOpen = head.status === 200 && head.media === 'event-stream';
    this.#isEarly = mayStreamLater(head.status);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#wasOpen) this.#reader.push(bytes, (event) => this.#event(event));
    return true;
  }

  #event(event: StreamEvent): void {
    if (this.over) return;
    if (event.id !== null) this.#lastEventId = decode(event.id);
    if (event.retry !== null) this.#retryMs = Number(decode(event.retry));
    if (event.data.length === 0) return;
    const message = readMessage(this.#scanner, event.data);
    if (!(message instanceof GatewayError)) this.#owner.onLegMessage(this.leg, message, event);
  }

  protected ended(): void {
    this.#reader.push(EMPTY, (event) => this.#event(event), true);
    this.#tell(null);
  }

  protected failed(error: GatewayError): void {
    this.#call?.abort();
    this.#tell(error);
  }

  #tell(error: GatewayError | null): void {
    this.#owner.onLegOver(this, {
      wasOpen: this.#wasOpen,
      isEarly: this.#isEarly,
      error,
      place: this.place,
      retryMs: this.#retryMs,
    });
  }
}

/** For requests whose reply nobody needs. */
export class IgnoreSink implements UpstreamSink {
  onHead(): void {}
  onData(): boolean {
    return true;
  }
  onEnd(): void {}
  onFail(): void {}
}
