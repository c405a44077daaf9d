// The event stream of a session at a legacy server (GET): opened while it is wanted, and again where it was when it broke off.
// Called by session.ts. Promises: one stream at a time; a server that offers none (405) is not asked again in this life of the session.
import { decode, EMPTY } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { type Message, readMessage } from '../../mcp/envelope.ts';
import { isLostStream, mayStreamLater } from '../../mcp/lost-session.ts';
import { EventReader, type StreamEvent } from '../../mcp/sse.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { ContainedSink } from '../../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../../upstream/upstream.ts';
import type { ReadingTools } from './reading.ts';
import { waitOf } from './repeat.ts';

/** Whose stream it is. */
export interface ChannelOwner {
  /** Sends the GET. */
  connect(lastEventId: string | null, sink: UpstreamSink): UpstreamCall;
  onMessage(message: Message): void;
  /** It is open again after a gap in which something may have been said. */
  onReturn(): void;
  /** The server does not know the session any more. */
  onLost(): void;
}

/** First wait before a stream is opened again; it doubles up to the last while the server cannot be reached. */
const REOPEN_FIRST_MS = 1_000;
const REOPEN_LAST_MS = 30_000;

/** A session's stream, open or not. */
export class SessionChannel {
  readonly #tools: ReadingTools;
  readonly #owner: ChannelOwner;
  #sink: ChannelSink | null = null;
  #timer: TimerId = 0;
  #waitMs = REOPEN_FIRST_MS;
  #lastEventId: string | null = null;
  /** It was open in this life of the session. */
  #wasOpen = false;
  #hasGap = false;

  constructor(tools: ReadingTools, owner: ChannelOwner) {
    this.#tools = tools;
    this.#owner = owner;
  }

  /** Opens it unless it is open, or about to be. */
  open(): void {
    if (this.#sink !== null || this.#timer !== 0) return;
    const sink = new ChannelSink(this.#tools, {
      onOpen: () => this.#opened(),
      onEvent: (message, eventId) => {
        this.#waitMs = REOPEN_FIRST_MS;
        if (eventId !== null) this.#lastEventId = eventId;
        if (message !== null) this.#owner.onMessage(message);
      },
      onOver: (end) => this.#over(sink, end),
    });
    this.#sink = sink;
    sink.start(this.#owner.connect(this.#lastEventId, sink));
  }

  /** Ends it, and forgets where it was: the next one is another session's. */
  close(): void {
    this.#tools.clock.cancel(this.#timer);
    this.#timer = 0;
    this.#lastEventId = null;
    this.#wasOpen = false;
    this.#hasGap = false;
    this.#waitMs = REOPEN_FIRST_MS;
    const sink = this.#sink;
    this.#sink = null;
    sink?.stop();
  }

  #opened(): void {
    const hadGap = this.#hasGap;
    this.#wasOpen = true;
    this.#hasGap = false;
    if (hadGap) this.#owner.onReturn();
  }

  #over(sink: ChannelSink, { status, wasOpen, retryMs, error }: ChannelEnd): void {
    if (this.#sink !== sink) return;
    // Only a server that had such a stream means the session by this, and not the stream.
    if (this.#wasOpen && isLostStream(status)) return this.#owner.onLost();
    // With an event to go on from there is no gap.
    if (wasOpen) this.#hasGap = this.#lastEventId === null;
    // 405, a lost session or a fault of ours: trying again would bring the same. It stays taken, so that nobody does.
    if (!wasOpen && !mayStreamLater(status) && error?.row.source !== 'upstream') return;
    this.#sink = null;
    const waitMs = waitOf(wasOpen ? (retryMs ?? this.#waitMs) : this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, REOPEN_LAST_MS);
    this.#timer = this.#tools.clock.after(waitMs, () => {
      this.#timer = 0;
      this.open();
    });
  }
}

interface ChannelEnd {
  /** 0 without a reply. */
  readonly status: number;
  readonly wasOpen: boolean;
  readonly retryMs: number | null;
  readonly error: GatewayError | null;
}

interface ChannelEvents {
  onOpen(): void;
  /** An event; `message` is null when it only carries an id. */
  onEvent(message: Message | null, eventId: string | null): void;
  onOver(end: ChannelEnd): void;
}

/** Reads one stream. */
class ChannelSink extends ContainedSink {
  readonly #tools: ReadingTools;
  readonly #reader: EventReader;
  readonly #events: ChannelEvents;
  #call: UpstreamCall | null = null;
  #status = 0;
  #wasOpen = false;
  #retryMs: number | null = null;

  constructor(tools: ReadingTools, events: ChannelEvents) {
    super();
    this.#tools = tools;
    this.#reader = new EventReader(tools.scanner);
    this.#events = events;
  }

  start(call: UpstreamCall): void {
    this.#call = call;
  }

  stop(): void {
    this.leave();
    this.#call?.abort();
  }

  protected head(head: ReplyHead): void {
    this.#status = head.status;
    this.#wasOpen = head.status === 200 && head.media === 'event-stream';
    if (this.#wasOpen) this.#events.onOpen();
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#wasOpen) this.#reader.push(bytes, this.#onEvent);
    return true;
  }

  protected ended(): void {
    this.#reader.push(EMPTY, this.#onEvent, true);
    if (!this.over) this.#events.onOver(this.#end(null));
  }

  protected failed(error: GatewayError): void {
    this.#call?.abort();
    this.#events.onOver(this.#end(error));
  }

  #end(error: GatewayError | null): ChannelEnd {
    return { status: this.#status, wasOpen: this.#wasOpen, retryMs: this.#retryMs, error };
  }

  readonly #onEvent = (event: StreamEvent): void => {
    if (this.over) return;
    if (event.retry !== null) this.#retryMs = Number(decode(event.retry));
    const id = event.id === null ? null : decode(event.id);
    const message = event.data.length === 0 ? null : readMessage(this.#tools.scanner, event.data);
    if (message instanceof GatewayError || (message === null && id === null)) return;
    this.#events.onEvent(message, id);
  };
}
