// One exchange on its way through the HTTP upstream: the handle that the proxy holds and the head that its sink reads.
// Called by http.ts, pool.ts and http-connection.ts. Promises: exactly one onEnd or onFail unless aborted, nothing after it; a handle that
// is used late touches nobody else's exchange, since it lets go of whoever held it the moment it is done.

import { must } from '../base/assert.ts';
import { EMPTY } from '../base/bytes.ts';
import { ERRORS, type GatewayError, toGatewayError } from '../base/errors.ts';
import { HEAD } from '../scan/contract.ts';
import { isEndless } from './deadline.ts';
import { findHeader, latin1, mediaOf } from './reply-head.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from './upstream.ts';
import { NO_CLIENT } from './upstream.ts';

/** Whoever has the call now: the queue of the pool, or a connection. */
export interface CallHolder {
  resumeCall(call: HttpCall): void;
  /** The call's reply is a stream that will wait: its place may be given to others. */
  outlastCall?(call: HttpCall): void;
  /** The call is over by the client's wish; let go of it. */
  abandonCall(call: HttpCall): void;
}

/** What is left of a request whose reply has begun. */
const TAKEN: Readonly<Record<UpstreamRequest['verb'], UpstreamRequest>> = Object.freeze({
  POST: taken('POST'),
  GET: taken('GET'),
  DELETE: taken('DELETE'),
});

function taken(verb: UpstreamRequest['verb']): UpstreamRequest {
  const nothing = { body: EMPTY, envelope: null, edits: [], headers: [], session: null };
  return Object.freeze({ verb, era: 'legacy', ...nothing, exchangeId: '', client: NO_CLIENT, timeoutMs: 0 });
}

/** One exchange. It doubles as its own ReplyHead, so that a call costs one object. */
export class HttpCall implements UpstreamCall, ReplyHead {
  /** What to send; once its reply has begun, only the verb is left of it. */
  request: UpstreamRequest;
  readonly sink: UpstreamSink;
  /** Where resume() and abort() go; null before send() returns a running call and after its end. */
  holder: CallHolder | null = null;
  done = false;
  /** The whole is not bounded in time. */
  endless: boolean;
  /** It was moved to a fresh connection once; it will not be again. */
  retried = false;
  /** Time of the first sweep that saw it; 0 until then. Deadlines count from here, so that starting a call reads no clock. */
  startedMs = 0;
  /** When it began to wait for a connection. */
  queuedAtMs = 0;
  /** Its place in the gateway-wide queue while it waits for a connection. */
  ticket = 0;
  /** Neighbours in the queue of the pool. */
  previous: HttpCall | null = null;
  next: HttpCall | null = null;

  status = 0;
  media: ReplyHead['media'] = 'none';
  contentLength = -1;
  whole = false;
  sessionId: string | null = null;
  private readonly report: (thrown: unknown) => void;
  private headBytes: Uint8Array | null = null;
  private headNumbers: Int32Array | null = null;

  /** `report` hears of exceptions that the sink threw, which are faults of ours. */
  constructor(request: UpstreamRequest, sink: UpstreamSink, report: (thrown: unknown) => void) {
    this.request = request;
    this.endless = isEndless(request);
    this.sink = sink;
    this.report = report;
  }

  header(name: string): string | null {
    return findHeader(
      must(this.headBytes, 'a reply head: header() is for onHead only'),
      must(this.headNumbers, 'head numbers'),
      name,
    );
  }

  resume(): void {
    this.holder?.resumeCall(this);
  }

  outlast(): void {
    this.endless = true;
    this.holder?.outlastCall?.(this);
  }

  abort(): void {
    if (this.done) return;
    this.done = true;
    const holder = this.holder;
    this.holder = null;
    holder?.abandonCall(this);
  }

  /** Reads the fields of the contract off a parsed head; `length` is the body's when known, else -1. */
  takeHead(bytes: Uint8Array, numbers: Int32Array, length: number): void {
    this.status = numbers[HEAD.status] ?? 0;
    this.media = mediaOf(numbers, length === 0);
    this.contentLength = length;
    const start = numbers[HEAD.sessionId] ?? -1;
    this.sessionId = start < 0 ? null : latin1(bytes, start, numbers[HEAD.sessionId + 1] ?? 0);
  }

  /** The reply has begun and goes on: the request is not sent again, and a stream that waits need not hold it. */
  requestTaken(): void {
    this.request = TAKEN[this.request.verb];
  }

  /** Hands the head over, after takeHead(). `numbers` are the scanner's over `bytes`. */
  head(bytes: Uint8Array, numbers: Int32Array): void {
    if (this.done) return;
    this.headBytes = bytes;
    this.headNumbers = numbers;
    try {
      this.sink.onHead(this);
    } catch (thrown) {
      this.sinkThrew(thrown);
    }
    this.headBytes = null;
    this.headNumbers = null;
  }

  /** Hands body bytes over; false when the sink wants a pause. */
  data(bytes: Uint8Array): boolean {
    if (this.done) return true;
    try {
      return this.sink.onData(bytes);
    } catch (thrown) {
      this.sinkThrew(thrown);
      return true;
    }
  }

  /** The reply is complete. */
  end(): void {
    if (this.done) return;
    this.done = true;
    this.holder = null;
    try {
      this.sink.onEnd();
    } catch (thrown) {
      this.report(thrown);
    }
  }

  /** The reply failed. Callers have let go of the call before. */
  fail(error: GatewayError): void {
    if (this.done) return;
    this.done = true;
    this.holder = null;
    this.tellFailure(error);
  }

  private tellFailure(error: GatewayError): void {
    try {
      this.sink.onFail(error);
    } catch (thrown) {
      this.report(thrown);
    }
  }

  /** A sink's fault ends the exchange like an abort, and is told to the sink. */
  private sinkThrew(thrown: unknown): void {
    this.report(thrown);
    if (this.done) return;
    this.abort();
    this.tellFailure(toGatewayError(thrown));
  }

  /** True when a server may run the request twice without harm: it opens the event stream or ends a session. */
  get repeatable(): boolean {
    return this.request.verb !== 'POST';
  }
}

/** Whether an error counts against the server (stats), as opposed to a fault of ours. */
export function isUpstreamFailure(error: GatewayError): boolean {
  return ERRORS[error.code].source === 'upstream';
}

/** Calls that wait for a connection, first come first served; any of them can leave at once. */
export class CallQueue {
  length = 0;

  /** Ticket of the call that is next, 0 when none waits. */
  get ticket(): number {
    return this.first?.ticket ?? 0;
  }

  private first: HttpCall | null = null;
  private last: HttpCall | null = null;

  push(call: HttpCall): void {
    call.previous = this.last;
    call.next = null;
    if (this.last === null) this.first = call;
    else this.last.next = call;
    this.last = call;
    this.length++;
  }

  /** Puts a call before all others. */
  unshift(call: HttpCall): void {
    call.previous = null;
    call.next = this.first;
    if (this.first === null) this.last = call;
    else this.first.previous = call;
    this.first = call;
    this.length++;
  }

  shift(): HttpCall | null {
    const call = this.first;
    if (call !== null) this.remove(call);
    return call;
  }

  /** `call` must be in this queue. */
  remove(call: HttpCall): void {
    if (call.previous === null) this.first = call.next;
    else call.previous.next = call.next;
    if (call.next === null) this.last = call.previous;
    else call.next.previous = call.previous;
    call.previous = null;
    call.next = null;
    this.length--;
  }

  /** Visits all in order; the visitor may remove the call that it is given. */
  each(visit: (call: HttpCall) => void): void {
    for (let call = this.first; call !== null; ) {
      const next = call.next;
      visit(call);
      call = next;
    }
  }
}
