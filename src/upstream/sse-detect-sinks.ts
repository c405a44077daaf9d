// The sinks and the call of an initialize that may change its transport, for sse-detect.ts.
// Called by sse-detect.ts. Promises: a reply that is held back reaches the client as it came, or not at all; each client hears one head and one end.
import { concat } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { ENVELOPE, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import { place } from './stdio-message.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from './upstream.ts';

/** What servers without Streamable HTTP say to a POST: some of these, or success without a message. */
function isDoubtful({ status, media }: ReplyHead): boolean {
  if (status === 400 || status === 404 || status === 405 || status === 406) return true;
  return status >= 200 && status < 300 && media !== 'json' && media !== 'event-stream';
}

/** Larger bodies are not kept: they are no refusals of the kind that is looked for. */
const HELD_BYTES_MAX = 64 * 1024;

/** Headers of a refusal that can matter to a client. */
const HELD_HEADERS: readonly string[] = [
  'content-type',
  'cache-control',
  'www-authenticate',
  'retry-after',
  'allow',
];

/** A reply that waits until it is known whether it is the client's. */
export class Held {
  readonly #head: ReplyHead;
  readonly #parts: Uint8Array[] = [];
  bytes = 0;

  constructor(head: ReplyHead) {
    const values = new Map(HELD_HEADERS.map((name) => [name, head.header(name)]));
    const { status, media, contentLength, sessionId } = head;
    const header = (name: string): string | null => values.get(name) ?? null;
    this.#head = { status, media, contentLength, whole: false, sessionId, header };
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.bytes += bytes.length;
  }

  /** True when the server spoke JSON-RPC: then it is this transport that refused. */
  isMessage(scanner: Scanner): boolean {
    if (this.#head.media !== 'json' || this.bytes === 0) return false;
    const body = concat(this.#parts);
    const envelope = new Int32Array(ENVELOPE.length);
    const kind =
      scanner.scan(body, 0, body.length, envelope) === SCAN.ok ? place(envelope, ENVELOPE.kind) : KIND.none;
    return kind === KIND.error || kind === KIND.result;
  }

  /** Gives what has come so far to the client; false when it wants a pause. */
  give(sink: UpstreamSink): boolean {
    sink.onHead(this.#head);
    return this.bytes === 0 || sink.onData(concat(this.#parts));
  }

  /** Gives all of it to the client, unless it has left. */
  replay(sink: UpstreamSink, call: SwitchedCall): void {
    if (call.isOver) return;
    this.give(sink);
    if (!call.isOver) sink.onEnd();
  }
}

/** Hears what Streamable HTTP says to an initialize. */
export class JudgingSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #scanner: Scanner;
  readonly #events: { onAccepted(): void; onRefused(held: Held): void };
  #held: Held | null = null;

  constructor(
    sink: UpstreamSink,
    scanner: Scanner,
    events: { onAccepted(): void; onRefused(held: Held): void },
  ) {
    this.#sink = sink;
    this.#scanner = scanner;
    this.#events = events;
  }

  onHead(head: ReplyHead): void {
    if (isDoubtful(head)) {
      this.#held = new Held(head);
      return;
    }
    if (head.status < 300) this.#events.onAccepted();
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    const held = this.#held;
    if (held === null) return this.#sink.onData(bytes);
    held.add(bytes);
    if (held.bytes <= HELD_BYTES_MAX) return true;
    this.#held = null;
    return held.give(this.#sink);
  }

  onEnd(): void {
    const held = this.#held;
    if (held === null) this.#sink.onEnd();
    else if (held.isMessage(this.#scanner)) {
      held.give(this.#sink);
      this.#sink.onEnd();
    } else this.#events.onRefused(held);
  }

  onFail(error: GatewayError): void {
    this.#sink.onFail(error);
  }
}

/** Passes a reply through, or replaces it when its first event shows that it is none of the server's. */
export class AttemptSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #isSpoken: () => boolean;
  readonly #instead: () => void;
  #mode: 'first' | 'passing' | 'replaced' = 'first';

  constructor(sink: UpstreamSink, isSpoken: () => boolean, instead: () => void) {
    this.#sink = sink;
    this.#isSpoken = isSpoken;
    this.#instead = instead;
  }

  /** True when the reply is the client's. */
  #passes(): boolean {
    if (this.#mode === 'first') {
      this.#mode = this.#isSpoken() ? 'passing' : 'replaced';
      if (this.#mode === 'replaced') this.#instead();
    }
    return this.#mode === 'passing';
  }

  onHead(head: ReplyHead): void {
    if (this.#passes()) this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#mode === 'passing' ? this.#sink.onData(bytes) : true;
  }

  onEnd(): void {
    if (this.#mode === 'passing') this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.#passes()) this.#sink.onFail(error);
  }
}

/** Passes a reply through, and tells when it is the failure of an event stream. */
export class WatchSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #onNoStream: () => void;

  constructor(sink: UpstreamSink, onNoStream: () => void) {
    this.#sink = sink;
    this.#onNoStream = onNoStream;
  }

  onHead(head: ReplyHead): void {
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (error.code === 'GW_UPSTREAM_STREAM') this.#onNoStream();
    this.#sink.onFail(error);
  }
}

/** The client's hold on an exchange that may change its transport. */
export class SwitchedCall implements UpstreamCall {
  isOver = false;
  #inner: UpstreamCall | null = null;

  follow(inner: UpstreamCall): void {
    this.#inner = inner;
  }

  resume(): void {
    this.#inner?.resume();
  }

  abort(): void {
    this.isOver = true;
    this.#inner?.abort();
  }

  outlast(): void {
    this.#inner?.outlast?.();
  }
}
