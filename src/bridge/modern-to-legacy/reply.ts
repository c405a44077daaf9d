// The reply to one modern request, written by the gateway: one JSON message, or an event stream once something comes before the response.
// Called by face.ts, call.ts and listen.ts. Promises: the sink hears one head at most, then data, then exactly one end or failure, nothing before the
// face's send() has returned and nothing after abort().
import { GatewayError } from '../../base/errors.ts';
import { errorMessage } from '../../mcp/errors.ts';
import { messageEvent } from '../../mcp/sse.ts';
import type { Clock } from '../../runtime/runtime.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../../upstream/upstream.ts';

/** Who works for a reply. */
export interface ReplyOwner {
  /** The client is gone: nothing that is written reaches it. At most once, never after the end. */
  onLeft(): void;
  /** A client that was slow reads again. */
  onRoom(): void;
}

/** A server's refusal on the level of HTTP: the client is to see its status, and what it may do about it. */
export interface Refusal {
  readonly error: GatewayError;
  /** Status for the client. */
  readonly status: number;
  /** Headers of the refusal that concern the client (`www-authenticate`, `retry-after`); lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The refusal of a failure that no server decided about. */
export function refusalOf(error: GatewayError): Refusal {
  return { error, status: error.row.http, headers: {} };
}

const JSON_HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'application/json' });
const STREAM_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
});

/** Headers of a refusal that pass to the client. */
const PASSED = ['www-authenticate', 'retry-after'] as const;

/** Reads a refusal's headers off its head. */
export function refusalHeaders(head: ReplyHead): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name of PASSED) {
    const value = head.header(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

/** One reply; also its client's hold on it. */
export class ModernReply implements UpstreamCall {
  readonly #sink: UpstreamSink;
  /** While set, send() has not returned: what ends the reply at once waits for the next turn. */
  #held: Clock | null;
  #owner: ReplyOwner | null = null;
  #state: 'waiting' | 'streaming' | 'over' = 'waiting';
  #isBehind = false;

  /** With a clock nothing comes to the sink before release(). */
  constructor(sink: UpstreamSink, clock: Clock | null = null) {
    this.#sink = sink;
    this.#held = clock;
  }

  /** send() is about to return. */
  release(): void {
    this.#held = null;
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  /** True while the client is slow to read. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Names who works for it; null: nobody, it waits. */
  ownedBy(owner: ReplyOwner | null): void {
    this.#owner = owner;
  }

  /** Opens the event stream without a message yet. */
  stream(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'streaming';
    this.#head(200, 'event-stream', -1, STREAM_HEADERS);
  }

  /** A message before the response. False when the client reads slower than messages come. */
  event(message: Uint8Array): boolean {
    return this.bytes(messageEvent(message));
  }

  /** Bytes of whole events or comments, likewise. */
  bytes(events: Uint8Array): boolean {
    if (this.over) return true;
    this.stream();
    this.#isBehind = !this.#sink.onData(events);
    return !this.#isBehind;
  }

  /** The response, which ends the reply. `status` is for a reply that is nothing else. */
  answer(message: Uint8Array, status = 200, headers: Refusal['headers'] = {}): void {
    if (this.over) return;
    if (this.#held !== null) return this.#held.soon(() => this.answer(message, status, headers));
    if (this.#state === 'streaming') {
      this.bytes(messageEvent(message));
      return this.end();
    }
    this.#head(status, 'json', message.length, { ...headers, ...JSON_HEADERS });
    if (!this.over) this.#sink.onData(message);
    this.end();
  }

  /** A reply without a body: to a notification. */
  empty(status: number): void {
    if (this.#state !== 'waiting') return;
    if (this.#held !== null) return this.#held.soon(() => this.empty(status));
    this.#head(status, 'none', 0, {});
    this.end();
  }

  /** Ends the event stream. */
  end(): void {
    if (!this.#leave()) return;
    this.#sink.onEnd();
  }

  /** An error response with the request's id; `id` null: whoever sends the request knows it. */
  refuse({ error, status, headers }: Refusal, id: Uint8Array | null): void {
    const isPlain = id === null || (status === error.row.http && Object.keys(headers).length === 0);
    if (isPlain) this.fail(error);
    else this.answer(errorMessage(id, error), status, headers);
  }

  /** Ends it with a failure; whoever sent the request makes an error response of it. */
  fail(error: GatewayError): void {
    if (this.#held !== null) return this.#held.soon(() => this.fail(error));
    if (!this.#leave()) return;
    this.#sink.onFail(error);
  }

  resume(): void {
    if (this.over || !this.#isBehind) return;
    this.#isBehind = false;
    this.#owner?.onRoom();
  }

  abort(): void {
    const owner = this.#owner;
    if (this.#leave()) owner?.onLeft();
  }

  #leave(): boolean {
    if (this.over) return false;
    this.#state = 'over';
    this.#owner = null;
    return true;
  }

  #head(
    status: number,
    media: ReplyHead['media'],
    contentLength: number,
    headers: Readonly<Record<string, string>>,
  ): void {
    const whole = media !== 'event-stream';
    const header = (name: string): string | null => headers[name] ?? null;
    this.#sink.onHead({ status, media, contentLength, whole, sessionId: null, header });
  }
}

/** The refusal of a request whose server answered in a way that cannot be used. */
export function unusable(status: number, what: string): GatewayError {
  return new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${status}${what === '' ? '' : ` (${what})`}`);
}
