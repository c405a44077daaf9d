// Sinks that look at what a server's replies say about its eras, on their way to whom they are for.
// Called by era.ts. Promises: what passes arrives as it came; only a reply to `initialize` that may be a refusal is held back, until it is judged.
import { concat } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamSink } from '../upstream/upstream.ts';
import { type InitializeVerdict, judgeInitialize } from './era-verdict.ts';
import { type HeldReply, heldReply, keptHead, parsed } from './held-reply.ts';

/** What becomes of a reply to `initialize`. */
export interface InitializeEvents {
  /** It opens a stream: nobody does so for a method that is not known. */
  onAccepted(): void;
  /** The whole reply, or why there is none. True: the listener sees to the client from here. */
  onJudged(verdict: InitializeVerdict, reply: HeldReply | GatewayError): boolean;
  /** True when the client wants no more. */
  isOver(): boolean;
}

/** Passes a reply to `initialize` on, unless it is a refusal that the listener takes over. */
export class InitializeSink extends ContainedSink {
  readonly #client: UpstreamSink;
  readonly #isProcess: boolean;
  readonly #events: InitializeEvents;
  /** Held back; null once it is passed on. */
  #head: ReplyHead | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(client: UpstreamSink, isProcess: boolean, events: InitializeEvents) {
    super();
    this.#client = client;
    this.#isProcess = isProcess;
    this.#events = events;
  }

  protected head(head: ReplyHead): void {
    const isStream = head.status === 200 && head.media === 'event-stream';
    if (!isStream) {
      this.#head = keptHead(head);
      return;
    }
    this.#events.onAccepted();
    this.#client.onHead(head);
  }

  protected data(bytes: Uint8Array): boolean {
    const head = this.#head;
    if (head === null) return this.#client.onData(bytes);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    return this.#bytes <= LIMITS.eraReplyBytesMax || this.#release(head);
  }

  protected ended(): void {
    const head = this.#head;
    if (head !== null) {
      const reply = heldReply(head, this.#parts);
      const message = head.media === 'json' ? parsed(reply.body) : null;
      if (this.#events.onJudged(judgeInitialize(head.status, message), reply)) return;
      this.#client.onHead(reply.head);
      if (reply.body.length > 0 && !this.#events.isOver()) this.#client.onData(reply.body);
    }
    if (!this.#events.isOver()) this.#client.onEnd();
  }

  protected failed(error: GatewayError): void {
    // A process that ends when it is asked may be one that takes the question for a fault.
    const verdict = this.#isProcess && error.code === 'GW_UPSTREAM_EXITED' ? 'doubtful' : 'other';
    if (!this.#events.onJudged(verdict, error)) this.#client.onFail(error);
  }

  /** It is too large for a refusal: it goes on as it came. */
  #release(head: ReplyHead): boolean {
    const parts = this.#parts;
    this.#head = null;
    this.#parts = [];
    this.#client.onHead({ ...head, whole: false });
    let room = true;
    for (const part of parts) room = this.#client.onData(part);
    return room;
  }
}

/** A refusal is small; what is larger is not looked at. */
const SMALL_BYTES = 4_096;

/** Passes a reply on and calls back when `isSuspect` says that a server of that era would hardly have given it. */
export class WatchSink implements UpstreamSink {
  readonly #client: UpstreamSink;
  readonly #isSuspect: (status: number, message: unknown) => boolean;
  readonly #onSuspect: () => void;
  /** Of a JSON reply that is looked at; 0: this one is not. */
  #status = 0;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(
    client: UpstreamSink,
    isSuspect: (status: number, message: unknown) => boolean,
    onSuspect: () => void,
  ) {
    this.#client = client;
    this.#isSuspect = isSuspect;
    this.#onSuspect = onSuspect;
  }

  onHead(head: ReplyHead): void {
    const { status, media } = head;
    if (media === 'json') this.#status = status;
    else if (this.#isSuspect(status, null)) this.#onSuspect();
    this.#client.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#status !== 0) this.#gather(bytes);
    return this.#client.onData(bytes);
  }

  onEnd(): void {
    if (this.#status !== 0 && this.#isSuspect(this.#status, parsed(concat(this.#parts)))) this.#onSuspect();
    this.#client.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#client.onFail(error);
  }

  #gather(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes <= SMALL_BYTES) {
      this.#parts.push(bytes);
      return;
    }
    this.#status = 0;
    this.#parts = [];
  }
}
