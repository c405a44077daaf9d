// The reply of one member server to a routed call, on its way to the client of an aggregated endpoint.
// Called by the aggregates. Promises: each message is rewritten by splicing only; JSON stays JSON and streams stay streams; a lost session is
// reported to the caller before anything was answered, so that it can be healed.
import { concat, decode, EMPTY, splice } from '../base/bytes.ts';
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { isSameId, kindOf, type Message, raw, readMessage } from '../mcp/envelope.ts';
import { isLostSession, mayBeLost } from '../mcp/lost-session.ts';
import { notificationEdits, resultEdits } from '../mcp/rewrite.ts';
import { EventReader, fullEvent, joinEventId, type StreamEvent } from '../mcp/sse.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead } from '../upstream/upstream.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { StreamBody } from './relay.ts';

/** What a relay needs to know of its call. */
export interface RelayPlan {
  readonly exchange: Exchange;
  readonly scanner: Scanner;
  readonly server: string;
  /** Turns a server's request or notification into what the client sees; null drops it. Absent on modern exchanges. */
  readonly toClient: ((message: Message) => Uint8Array | null) | null;
  /** Method of the request that a response answers. */
  readonly methodOf: (response: Message) => string;
  /** Called once when everything is over; `isAnswered` when the response was among it. */
  readonly onOver: (isAnswered: boolean) => void;
  /** Called instead of answering when the server does not know the session. Absent when there is none to lose. */
  readonly onLost: (() => void) | null;
}

/** What says that a session is over. */
const OVER: readonly ErrorCode[] = ['GW_SESSION_UNKNOWN', 'GW_SESSION_ENDED'];

/** Relays one member's reply, message by message. */
export class MemberRelay extends ContainedSink {
  readonly #plan: RelayPlan;
  readonly #reader: EventReader;
  #head: { readonly status: number; readonly isJson: boolean } | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #stream: StreamBody | null = null;
  /** The reply may say that the session is lost: what it says is read first. */
  #isSuspect = false;
  #isAnswered = false;

  constructor(plan: RelayPlan) {
    super();
    this.#plan = plan;
    this.#reader = new EventReader(plan.scanner);
  }

  protected head(head: ReplyHead): void {
    this.#head = { status: head.status, isJson: head.media === 'json' };
    this.#isSuspect = this.#plan.onLost !== null && mayBeLost(head.status, head.media);
    if (this.#isSuspect || head.media !== 'event-stream') return;
    const stream = new StreamBody();
    stream.onRoom(() => this.#plan.exchange.resume());
    this.#stream = stream;
    this.#plan.exchange.reply(head.status, EVENT_STREAM_HEADERS, stream);
  }

  protected data(bytes: Uint8Array): boolean {
    const stream = this.#stream;
    if (stream !== null) return this.#relay(stream, bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.replyBodyBytesMax)
      throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${LIMITS.replyBodyBytesMax} bytes`);
    this.#parts.push(bytes);
    return true;
  }

  protected ended(): void {
    if (this.#isSuspect && isLostSession(this.#head?.status ?? 0, concat(this.#parts))) return this.#lost();
    const stream = this.#stream;
    if (stream === null) this.#answerWhole();
    else {
      this.#relay(stream, EMPTY, true);
      // A legacy server may end a stream on purpose, for its client to take it up again later; a modern one cannot (2026-07-28 §transports).
      if (!this.#isAnswered && this.#plan.toClient === null)
        throw new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response');
      stream.end();
      this.#plan.exchange.finish('ok');
    }
    this.#plan.onOver(this.#isAnswered);
  }

  protected failed(error: GatewayError): void {
    const { exchange, onLost, onOver } = this.#plan;
    if (onLost !== null && error.code === 'GW_SESSION_UNKNOWN' && !exchange.answered) return this.#lost();
    // A member's session is not the client's: that one goes on.
    const isMembers = this.#plan.toClient !== null && OVER.includes(error.code);
    exchange.refuse(isMembers ? new GatewayError('GW_UPSTREAM_CLOSED', 'its session is over') : error);
    onOver(this.#isAnswered);
  }

  #lost(): void {
    this.#plan.onOver(false);
    this.#plan.onLost?.();
  }

  #relay(stream: StreamBody, bytes: Uint8Array, isLast = false): boolean {
    let hasRoom = true;
    const visit = (event: StreamEvent): void => {
      hasRoom = this.#event(stream, event) && hasRoom;
    };
    this.#reader.push(bytes, visit, isLast);
    return hasRoom;
  }

  /** Relays one event. Ids lead back to this server's stream; comments keep the connection warm on the way down too. */
  #event(stream: StreamBody, event: StreamEvent): boolean {
    const { scanner, server, toClient } = this.#plan;
    const isLegacy = toClient !== null;
    const id = event.id === null || !isLegacy ? null : joinEventId(server, 'call', decode(event.id));
    const retry = event.retry === null || !isLegacy ? null : decode(event.retry);
    if (event.data.length === 0) return stream.write(fullEvent(null, id, retry));
    const message = readMessage(scanner, event.data);
    if (message instanceof GatewayError) throw message;
    const out = this.#translate(message);
    return out === null || stream.write(fullEvent(out, id, retry));
  }

  /** The message as the client is to see it; null when it is not for this client. */
  #translate(message: Message): Uint8Array | null {
    const { server, toClient, methodOf } = this.#plan;
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) {
      if (this.#isAnswered || !this.#isOurs(message)) return null;
      this.#isAnswered = true;
      this.#plan.exchange.isRpcError = kind === KIND.error;
      return splice(message.bytes, resultEdits(message.bytes, message.envelope, methodOf(message), server));
    }
    if (toClient !== null) return toClient(message);
    return splice(message.bytes, notificationEdits(message.bytes, message.envelope, server));
  }

  /** False for the answer to another request. A stream that is taken up again answers a request of before. */
  #isOurs(response: Message): boolean {
    const asked = this.#plan.exchange.requestId;
    const given = raw(response.bytes, response.envelope, ENVELOPE.id);
    return asked === null || (given !== null && isSameId(asked, given));
  }

  #answerWhole(): void {
    const { exchange, scanner } = this.#plan;
    const status = this.#head?.status ?? 502;
    if (this.#head?.isJson !== true) {
      // 405 says that such a stream cannot be taken up: the client may know what to do about it.
      const kept = exchange.verb === 'GET' && status === 405 ? status : undefined;
      return exchange.refuse(new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${status}`), {}, kept);
    }
    const message = readMessage(scanner, concat(this.#parts));
    if (message instanceof GatewayError) throw message;
    const out = this.#translate(message);
    if (out !== null) return exchange.replyJson(this.#clientStatus(status), out);
    const id = raw(message.bytes, message.envelope, ENVELOPE.id);
    const why =
      id === null
        ? `it answered ${status} with an error that names no request`
        : 'it answers another request';
    throw new GatewayError('GW_UPSTREAM_MESSAGE', why);
  }

  /** A legacy client takes 404 for a lost session and any 4xx for a broken transport: errors inside a session travel with 200. */
  #clientStatus(status: number): number {
    const { exchange } = this.#plan;
    if (exchange.verb === 'GET') return status === 404 ? 502 : status;
    return exchange.era === 'legacy' && status >= 400 && status < 500 ? 200 : status;
  }
}
