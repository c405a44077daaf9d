// One reply of the pipeline on its way to a client that reads messages: JSON in one piece, event streams message by message.
// Called by message-front.ts and message-session.ts. Promises: hands out JSON-RPC messages and nothing else; an error that came without the request's id gets it; tells
// exactly once how the reply ended, with what is needed to take a broken stream up again.
import { concat, decode, encode } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { has, isRecord, kindOf, raw, readMessage } from '../mcp/envelope.ts';
import { EventReader, type StreamEvent } from '../mcp/sse.ts';
import type { Reply, ReplyStream } from '../runtime/runtime.ts';
import { ENVELOPE, FLAG, KIND, type Scanner } from '../scan/contract.ts';

/** How a reply ended. */
export interface RelayEnd {
  /** The answer was among its messages. */
  readonly isAnswered: boolean;
  /** What was wrong with it, or null when it ended as it should. */
  readonly error: GatewayError | null;
  /** Id of the last event that had one, or null. */
  readonly lastEventId: string | null;
  /** Wait before the stream is taken up again as its server wants it, or null. */
  readonly retryMs: number | null;
}

/** What a relay needs to know of its reply, and who hears it. */
export interface RelayPlan {
  readonly scanner: Scanner;
  readonly isEvents: boolean;
  /** Raw id of the request that is answered; null for batches and for a session's own stream. */
  readonly id: Uint8Array | null;
  /** False when the client is behind: a reply that comes as a stream is paused until resume(). */
  onMessage(message: Uint8Array): boolean;
  onEnd(end: RelayEnd): void;
}

/** True when the reply is an event stream. */
export function isEventStream(reply: Reply): boolean {
  return reply.headers['content-type']?.startsWith('text/event-stream') ?? false;
}

/** The protocol version in a result of initialize, or null. */
export function versionIn(message: Uint8Array): string | null {
  const parsed: unknown = JSON.parse(decode(message));
  const result = isRecord(parsed) && isRecord(parsed.result) ? parsed.result : {};
  return typeof result.protocolVersion === 'string' ? result.protocolVersion : null;
}

const RETRY_DIGITS = /^\d{1,6}$/;

/** Relays one reply. */
export class MessageRelay {
  readonly #plan: RelayPlan;
  readonly #reader: EventReader;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isAnswered = false;
  #isOver = false;
  #hasRoom = true;
  #onRoom: (() => void) | null = null;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;

  constructor(plan: RelayPlan) {
    this.#plan = plan;
    this.#reader = new EventReader(plan.scanner);
  }

  /** Takes the reply's body: whole, or as it comes. */
  take(body: Uint8Array | ReplyStream): void {
    if (body instanceof Uint8Array) {
      this.#push(body, true);
      this.#end();
      return;
    }
    body.open({
      write: (bytes) => {
        this.#push(bytes, false);
        return this.#hasRoom;
      },
      end: () => this.#end(),
      fail: () => this.#over(new GatewayError('GW_UPSTREAM_CLOSED', 'the reply broke off')),
      onDrain: (callback) => {
        this.#onRoom = callback;
      },
    });
  }

  /** The client has caught up. */
  resume(): void {
    if (this.#hasRoom) return;
    this.#hasRoom = true;
    this.#onRoom?.();
  }

  #push(bytes: Uint8Array, last: boolean): void {
    if (this.#isOver) return;
    if (this.#plan.isEvents) {
      try {
        this.#reader.push(bytes, (event) => this.#event(event), last);
      } catch (thrown) {
        this.#over(toGatewayError(thrown));
      }
      return;
    }
    this.#bytes += bytes.length;
    if (this.#bytes <= LIMITS.replyBodyBytesMax) this.#parts.push(bytes);
    else this.#over(new GatewayError('GW_UPSTREAM_BODY_SIZE', `more than ${LIMITS.replyBodyBytesMax} bytes`));
  }

  #event(event: StreamEvent): void {
    if (event.id !== null) this.#lastEventId = decode(event.id);
    const retry = event.retry === null ? '' : decode(event.retry);
    if (RETRY_DIGITS.test(retry)) this.#retryMs = Number(retry);
    // What is no message is left out: a line that a client cannot read would cost it the connection.
    if (event.data.length > 0) this.#message(event.data);
  }

  #end(): void {
    if (this.#plan.isEvents || this.#isOver) return this.#over(null);
    const fault = this.#message(concat(this.#parts));
    this.#parts = [];
    this.#over(fault);
  }

  /** Hands a message out, or says why it is none. */
  #message(bytes: Uint8Array): GatewayError | null {
    const { scanner, id, onMessage } = this.#plan;
    const adopted = id === null ? null : adoptError(scanner, bytes, id);
    if (adopted !== null) {
      this.#isAnswered = true;
      this.#hasRoom = onMessage(adopted);
      return null;
    }
    const message = readMessage(scanner, bytes);
    if (message instanceof GatewayError) return message;
    const kind = kindOf(message.envelope);
    if (kind !== KIND.request && kind !== KIND.notification) this.#isAnswered = true;
    this.#hasRoom = onMessage(bytes);
    return null;
  }

  #over(error: GatewayError | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts = [];
    this.#plan.onEnd({
      isAnswered: this.#isAnswered,
      error,
      lastEventId: this.#lastEventId,
      retryMs: this.#retryMs,
    });
  }
}

/**
 * An HTTP status tells whose request an error without an id (or with null) answers; a line has nothing but its id. Gives the error under the
 * request's id, or null when the message is something else.
 */
function adoptError(scanner: Scanner, bytes: Uint8Array, id: Uint8Array): Uint8Array | null {
  const envelope = new Int32Array(ENVELOPE.length);
  scanner.scan(bytes, 0, bytes.length, envelope);
  if (kindOf(envelope) !== KIND.error) return null;
  const isNamed =
    has(envelope, ENVELOPE.id) && ((envelope[ENVELOPE.flags] ?? 0) & (FLAG.badId | FLAG.notVersion2)) === 0;
  const error = raw(bytes, envelope, ENVELOPE.error);
  if (isNamed || error === null || error[0] !== 0x7b) return null;
  return concat([encode('{"jsonrpc":"2.0","id":'), id, encode(',"error":'), error, encode('}')]);
}
