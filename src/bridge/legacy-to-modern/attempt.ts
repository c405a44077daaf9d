// One attempt of a legacy client's call at its modern server: the reply taken apart into messages.
// Called by call.ts, once a round. Promises: notifications as they come, under back-pressure, then exactly one answer, refusal or failure, and nothing after stop(); a
// response to another request is no answer; the connection is given back or closed.
import { concat, EMPTY } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { isSameId, kindOf, type Message, raw, readMessage } from '../../mcp/envelope.ts';
import { EventReader } from '../../mcp/sse.ts';
import type { Clock, TimerId } from '../../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../../scan/contract.ts';
import { ContainedSink } from '../../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall } from '../../upstream/upstream.ts';
import { type Refusal, refusalOf } from './discovery.ts';

/** Who hears of an attempt. */
export interface AttemptOwner {
  /** False asks for a pause. */
  onNotification(message: Message): boolean;
  onAnswer(message: Message): void;
  /** The server does not let the client in. */
  onRefused(refusal: Refusal): void;
  onFailed(error: GatewayError): void;
}

/** How long a stream may go on after its response before the connection is closed. */
const LINGER_MS = 1_000;

/** One attempt. */
export class Attempt extends ContainedSink {
  readonly #owner: AttemptOwner;
  readonly #tools: { readonly scanner: Scanner; readonly clock: Clock };
  /** Raw id of the request. */
  readonly #asked: Uint8Array;
  #call: UpstreamCall | null = null;
  #head: Pick<ReplyHead, 'status' | 'media'> | null = null;
  #refusal: Refusal | null = null;
  #reader: EventReader | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isAnswered = false;
  /** A longer reply is given up. */
  bytesMax: number = LIMITS.replyBodyBytesMax;
  #lingering: TimerId = 0;

  constructor(
    owner: AttemptOwner,
    tools: { readonly scanner: Scanner; readonly clock: Clock },
    asked: Uint8Array,
  ) {
    super();
    this.#owner = owner;
    this.#tools = tools;
    this.#asked = asked;
  }

  /** The call that it reads. */
  start(call: UpstreamCall): void {
    if (this.over) call.abort();
    else this.#call = call;
  }

  /** Nobody waits for it any more: the server is told by the end of the connection. */
  stop(): void {
    if (this.over || this.#isAnswered) return;
    this.leave();
    this.#call?.abort();
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#call?.resume();
  }

  protected head(head: ReplyHead): void {
    this.#head = { status: head.status, media: head.media };
    this.#refusal = refusalOf(head);
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#tools.scanner);
    else this.#admit(head.contentLength);
  }

  #admit(bytes: number): void {
    if (bytes > this.bytesMax)
      throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${this.bytesMax} bytes`);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#reader !== null) return this.#read(this.#reader, bytes, false);
    this.#bytes += bytes.length;
    this.#admit(this.#bytes);
    this.#parts.push(bytes);
    return true;
  }

  protected ended(): void {
    this.#tools.clock.cancel(this.#lingering);
    if (this.#refusal !== null) {
      this.#isAnswered = true;
      return this.#owner.onRefused(this.#refusal);
    }
    if (this.#reader !== null) this.#read(this.#reader, EMPTY, true);
    else this.#whole();
    if (!this.#isAnswered)
      throw new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response');
  }

  protected failed(error: GatewayError): void {
    this.#tools.clock.cancel(this.#lingering);
    this.#call?.abort();
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#owner.onFailed(error);
  }

  #whole(): void {
    if (this.#head?.media !== 'json' || this.#bytes === 0)
      throw new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${this.#head?.status ?? 0}`);
    const message = this.#message(concat(this.#parts));
    this.#parts = [];
    const kind = kindOf(message.envelope);
    if (kind !== KIND.result && kind !== KIND.error)
      throw new GatewayError('GW_UPSTREAM_MESSAGE', 'it is no response');
    this.#answer(message);
  }

  #read(reader: EventReader, bytes: Uint8Array, isLast: boolean): boolean {
    let hasRoom = true;
    reader.push(
      bytes,
      (event) => {
        if (event.data.length > 0 && !this.over && !this.#isAnswered)
          hasRoom = this.#event(event.data) && hasRoom;
      },
      isLast,
    );
    return hasRoom;
  }

  #event(data: Uint8Array): boolean {
    const message = this.#message(data);
    const kind = kindOf(message.envelope);
    if (kind === KIND.notification) return this.#owner.onNotification(message);
    // Modern servers send no requests; one that does gets no answer.
    if (kind === KIND.result || kind === KIND.error) {
      this.#lingering = this.#tools.clock.after(LINGER_MS, () => {
        this.leave();
        this.#call?.abort();
      });
      this.#answer(message);
    }
    return true;
  }

  #message(bytes: Uint8Array): Message {
    const message = readMessage(this.#tools.scanner, bytes);
    if (message instanceof GatewayError) throw message;
    return message;
  }

  #answer(message: Message): void {
    const given = raw(message.bytes, message.envelope, ENVELOPE.id);
    // An error may name no request when the server could not read it.
    if (given === null ? kindOf(message.envelope) !== KIND.error : !isSameId(this.#asked, given))
      throw new GatewayError('GW_UPSTREAM_MESSAGE', 'it answers another request');
    this.#isAnswered = true;
    try {
      this.#owner.onAnswer(message);
    } catch (thrown) {
      this.#owner.onFailed(toGatewayError(thrown));
    }
  }
}
