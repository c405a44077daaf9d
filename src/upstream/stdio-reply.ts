// The HTTP-shaped reply of one call to a stdio server: whole JSON when the answer comes first, an event stream when
// something comes before it.
// Called by stdio-calls.ts, stdio-session.ts and stdio.ts. Promises: the sink sees at most one head, then data, then
// exactly one end or failure, and nothing after abort(); a slow client stalls nobody but itself and holds a bounded
// number of bytes.
import { assert } from '../base/assert.ts';
import { type Edit, splice } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../runtime/runtime.ts';
import { eventFrame } from './lines.ts';
import { HttpRefusal } from './message-pipe.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from './upstream.ts';

/** Bytes of notifications kept for one client that does not read; 16 times what it may lag before it is paused. */
export const REPLY_WAITING_BYTES_MAX = 16 * LIMITS.downstreamBufferBytesMax;

/** Time that a call cancelled by its client has for a late reply before its stream ends. */
export const CANCEL_GRACE_MS = 1_000;

const CONTENT_TYPE: Readonly<Record<ReplyHead['media'], string | null>> = {
  json: 'application/json',
  'event-stream': 'text/event-stream',
  none: null,
  other: null,
};

/** How a head differs from the plain one. */
interface HeadParts {
  readonly status: number;
  readonly media: ReplyHead['media'];
  readonly contentLength: number;
  readonly whole: boolean;
  readonly sessionId: string | null;
  /** Further headers: name, value, … */
  readonly headers?: readonly string[];
}

function headOf({ headers = [], ...parts }: HeadParts, homed: boolean): ReplyHead {
  return {
    ...parts,
    homed,
    header: (name) => {
      const at = headers.indexOf(name);
      if (at >= 0 && at % 2 === 0) return headers[at + 1] ?? null;
      if (name === 'content-type') return CONTENT_TYPE[parts.media];
      return name === 'mcp-session-id' ? parts.sessionId : null;
    },
  };
}

/** What a call needs of its reply; a Reply, or one call's share of a batch's reply. */
export interface CallReply {
  readonly open: boolean;
  readonly streaming: boolean;
  /** It waits for its client: see UpstreamCall.outlast(). */
  readonly lasting: boolean;
  event(line: Uint8Array, edits: readonly Edit[]): void;
  answer(line: Uint8Array, edits: readonly Edit[], status: number, sessionId: string | null): void;
  end(): void;
  fail(error: GatewayError): void;
}

/** What the owner of a reply hears. */
export interface ReplyOwner {
  /** The client went away, or fell so far behind that its reply was failed. At most once, never after the end. */
  onLeft(): void;
}

/** One reply on its way to a client. */
export class Reply implements UpstreamCall, CallReply {
  readonly #sink: UpstreamSink;
  readonly #clock: Clock;
  readonly #homed: boolean;
  lasting = false;
  #live = false;
  #owner: ReplyOwner | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #headSent = false;
  #paused = false;
  #ending = false;
  #done = false;

  /** `homed`: a session that the reply opens lives in this worker, see ReplyHead. */
  constructor(sink: UpstreamSink, clock: Clock, homed = false) {
    this.#sink = sink;
    this.#clock = clock;
    this.#homed = homed;
  }

  /** send() is about to return: from here on the sink may be called. Before, whatever ends the reply waits for the next turn. */
  release(): void {
    this.#live = true;
  }

  /** True while something may still be said. */
  get open(): boolean {
    return !this.#done && !this.#ending;
  }

  /** True when an event stream is open. */
  get streaming(): boolean {
    return this.#headSent && this.open;
  }

  /** Names who hears that the client left. */
  ownedBy(owner: ReplyOwner | null): void {
    this.#owner = owner;
  }

  /** Opens an event stream without a message yet. */
  stream(): void {
    if (!this.open || this.#headSent) return;
    this.#head({ status: 200, media: 'event-stream', contentLength: -1, whole: false, sessionId: null });
  }

  /** One message of a call that goes on. */
  event(line: Uint8Array, edits: readonly Edit[]): void {
    if (this.open) this.frame(eventFrame(line, edits));
  }

  /** The same for a message that is an event already. */
  frame(event: Uint8Array): void {
    if (!this.open) return;
    this.stream();
    this.#give(event);
    if (this.#waitingBytes <= REPLY_WAITING_BYTES_MAX) return;
    const owner = this.#owner;
    this.fail(
      new GatewayError('GW_UPSTREAM_OVERRUN', `${this.#waitingBytes} bytes wait: read the stream faster`),
    );
    owner?.onLeft();
  }

  /** The answer: the whole body when nothing came before it, else the last event. `status` is for the former. */
  answer(line: Uint8Array, edits: readonly Edit[], status: number, sessionId: string | null): void {
    if (!this.open) return;
    if (!this.#live) {
      this.#clock.soon(() => this.answer(line, edits, status, sessionId));
      return;
    }
    if (this.#headSent) {
      this.#give(eventFrame(line, edits));
      this.end();
      return;
    }
    const body = splice(line, edits);
    this.#head({ status, media: 'json', contentLength: body.length, whole: true, sessionId });
    if (!this.#done) this.#sink.onData(body);
    this.#finish();
  }

  /** A reply without a body. */
  empty(status: number): void {
    if (!this.open) return;
    if (!this.#live) {
      this.#clock.soon(() => this.empty(status));
      return;
    }
    assert(!this.#headSent, 'an empty reply has one head');
    this.#head({ status, media: 'none', contentLength: 0, whole: true, sessionId: null });
    this.#finish();
  }

  /** Ends the event stream. */
  end(): void {
    if (!this.open) return;
    if (!this.#live) {
      this.#clock.soon(() => this.end());
      return;
    }
    this.stream();
    if (this.#done) return;
    this.#ending = true;
    if (this.#waiting.length === 0) this.#finish();
  }

  /** Ends the event stream now, and its owner hears nothing more; returns the events that its client has not taken. */
  cut(): readonly Uint8Array[] {
    if (!this.open) return [];
    const untaken = this.#waiting;
    this.#owner = null;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.end();
    return untaken;
  }

  /** Fails the reply, whatever was said before. */
  fail(error: GatewayError): void {
    if (this.#done) return;
    if (!this.#live) {
      this.#clock.soon(() => this.fail(error));
      return;
    }
    if (error instanceof HttpRefusal && !this.#headSent) {
      const { status, headers } = error;
      this.#head({ status, media: 'none', contentLength: 0, whole: true, sessionId: null, headers });
      this.#finish();
      return;
    }
    this.#close();
    this.#sink.onFail(error);
  }

  outlast(): void {
    this.lasting = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused && !this.#done) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      this.#waitingBytes -= bytes.length;
      this.#paused = !this.#sink.onData(bytes);
    }
    if (this.#ending && this.#waiting.length === 0) this.#finish();
  }

  abort(): void {
    if (this.#done) return;
    const owner = this.#ending ? null : this.#owner;
    this.#close();
    owner?.onLeft();
  }

  #head(parts: HeadParts): void {
    this.#headSent = true;
    this.#sink.onHead(headOf(parts, this.#homed));
  }

  #give(bytes: Uint8Array): void {
    if (this.#done) return;
    if (this.#paused) {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    } else {
      this.#paused = !this.#sink.onData(bytes);
    }
  }

  #finish(): void {
    if (this.#done) return;
    this.#close();
    this.#sink.onEnd();
  }

  #close(): void {
    this.#done = true;
    this.#owner = null;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

/** One reply for all requests of a batch (revision 2025-03-26): each answer is an event, the last one ends the stream. */
export class BatchReply {
  readonly #reply: Reply;
  #left: number;

  constructor(reply: Reply, requests: number) {
    assert(requests > 0, 'a batch reply answers requests');
    this.#reply = reply;
    this.#left = requests;
  }

  /** The share of one request; to be taken once for each. */
  share(): CallReply {
    const reply = this.#reply;
    let answered = false;
    const last = (): void => {
      if (answered) return;
      answered = true;
      if (--this.#left === 0) reply.end();
    };
    return {
      get open() {
        return reply.open && !answered;
      },
      get streaming() {
        return reply.streaming && !answered;
      },
      get lasting() {
        return reply.lasting;
      },
      event: (line, edits) => reply.event(line, edits),
      answer: (line, edits) => {
        reply.event(line, edits);
        last();
      },
      end: last,
      fail: (error) => reply.fail(error),
    };
  }
}
