// One Streamable-HTTP reply of the gateway's own to a legacy client: a JSON message, nothing, or an event stream.
// Called by face.ts (makes it) and outlet.ts, initialize.ts (write it). Promises: the sink hears nothing before send() has returned, then one head, data, and exactly
// one end or failure; nothing after abort(); what a slow client has not taken waits in order, and its writer is told to pause.
import type { GatewayError } from '../../base/errors.ts';
import { KEEP_ALIVE } from '../../mcp/sse.ts';
import type { Clock } from '../../runtime/runtime.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../../upstream/upstream.ts';

/** Who writes a reply. */
export interface ReplyOwner {
  /** The client went away. At most once, never after the end. */
  onLeft(): void;
  /** A client that was slow has taken everything. */
  onRoom(): void;
}

/** What the head of a whole reply says besides its status. */
export interface WholeHead {
  readonly sessionId?: string;
  /** Further headers, lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
}

const JSON_HEADERS: Readonly<Record<string, string>> = { 'content-type': 'application/json' };
const EVENT_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** One reply on its way to a client. */
export class LegacyReply implements UpstreamCall {
  /** False for a client that takes no event stream in reply. */
  readonly takesEvents: boolean;
  readonly #sink: UpstreamSink;
  readonly #clock: Clock;
  #owner: ReplyOwner | null = null;
  /** What is said before send() has returned waits for the next turn, and what is said until then waits behind it; null from then on. */
  #held: (() => void)[] | null = [];
  #isStreaming = false;
  #isPaused = false;
  #isEnding = false;
  #isOver = false;
  #waiting: Uint8Array[] = [];

  constructor(sink: UpstreamSink, clock: Clock, takesEvents: boolean) {
    this.#sink = sink;
    this.#clock = clock;
    this.takesEvents = takesEvents;
  }

  /** True while something may still be said. */
  get open(): boolean {
    return !this.#isOver && !this.#isEnding;
  }

  /** True once it is an event stream. */
  get streaming(): boolean {
    return this.#isStreaming;
  }

  /** send() is about to return. */
  release(): void {
    if (this.#held?.length === 0) this.#held = null;
    else this.#clock.soon(() => this.#flush());
  }

  #flush(): void {
    for (let say = this.#held?.shift(); say !== undefined; say = this.#held?.shift()) say();
    this.#held = null;
  }

  /** Names who hears of the client. */
  ownedBy(owner: ReplyOwner | null): void {
    this.#owner = owner;
  }

  /** The whole reply is one JSON message. */
  json(status: number, body: Uint8Array, { sessionId, headers }: WholeHead = {}): void {
    this.#soon(() => {
      if (!this.open) return;
      const all = headers === undefined ? JSON_HEADERS : { ...JSON_HEADERS, ...headers };
      this.#sink.onHead(headOf(status, { media: 'json', bytes: body.length, sessionId, headers: all }));
      if (!this.#isOver) this.#sink.onData(body);
      this.#finish();
    });
  }

  /** The whole reply is its status. */
  empty(status: number): void {
    this.#soon(() => {
      if (!this.open) return;
      this.#sink.onHead(headOf(status, { media: 'none', bytes: 0, headers: {} }));
      this.#finish();
    });
  }

  /** Opens the event stream; a comment, or the given bytes, take the head to the client at once. */
  stream(first: Uint8Array = KEEP_ALIVE): void {
    if (this.#isStreaming) return;
    this.#isStreaming = true;
    this.#soon(() => {
      if (this.#isOver) return;
      this.#sink.onHead(headOf(200, { media: 'event-stream', bytes: -1, headers: EVENT_HEADERS }));
      this.#give(first);
    });
  }

  /** One event of the stream, which is open; false when the client is slow, and the writer shall pause until onRoom. */
  event(bytes: Uint8Array): boolean {
    if (!this.open) return true;
    this.#soon(() => this.#give(bytes));
    return !this.#isPaused;
  }

  /** Ends the event stream, once the client has taken what waits. */
  end(): void {
    if (!this.open) return;
    this.#isEnding = true;
    this.#soon(() => {
      if (this.#waiting.length === 0) this.#finish();
    });
  }

  /** Ends the event stream now; returns the events that its client has not taken. */
  cut(): readonly Uint8Array[] {
    if (!this.open) return [];
    const untaken = this.#waiting;
    this.#waiting = [];
    this.end();
    return untaken;
  }

  /** Fails the reply, whatever was said before. */
  fail(error: GatewayError): void {
    this.#soon(() => {
      if (this.#isOver) return;
      this.#close();
      this.#sink.onFail(error);
    });
  }

  resume(): void {
    if (this.#isOver) return;
    this.#isPaused = false;
    while (!this.#isPaused && !this.#isOver) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      this.#isPaused = !this.#sink.onData(bytes);
    }
    if (this.#isPaused || this.#isOver) return;
    if (this.#isEnding) this.#finish();
    else this.#owner?.onRoom();
  }

  abort(): void {
    if (this.#isOver) return;
    const owner = this.#isEnding ? null : this.#owner;
    this.#close();
    owner?.onLeft();
  }

  #soon(say: () => void): void {
    if (this.#held === null) say();
    else this.#held.push(say);
  }

  #give(bytes: Uint8Array): void {
    if (this.#isOver || bytes.length === 0) return;
    if (this.#isPaused) this.#waiting.push(bytes);
    else this.#isPaused = !this.#sink.onData(bytes);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#close();
    this.#sink.onEnd();
  }

  #close(): void {
    this.#isOver = true;
    this.#owner = null;
    this.#waiting = [];
  }
}

function headOf(
  status: number,
  parts: {
    readonly media: ReplyHead['media'];
    readonly bytes: number;
    readonly sessionId?: string | undefined;
    readonly headers: Readonly<Record<string, string>>;
  },
): ReplyHead {
  const { media, bytes, sessionId = null, headers } = parts;
  return {
    status,
    media,
    contentLength: bytes,
    whole: bytes >= 0,
    sessionId,
    homed: true,
    header: (name) => (name === 'mcp-session-id' ? sessionId : (headers[name] ?? null)),
  };
}
