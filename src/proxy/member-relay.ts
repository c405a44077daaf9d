// The reply of one member server to a routed call, on its way to the client of an aggregated endpoint.
// Called by the aggregates. Promises: each message is rewritten by splicing only; JSON stays JSON and streams stay streams; a lost session is
// reported to the caller before anything was answered, so that it can be healed.
import { concat, decode, splice } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { kindOf, type Message, readMessage } from '../mcp/envelope.ts';
import { notificationEdits, resultEdits } from '../mcp/rewrite.ts';
import { EventReader, fullEvent, joinEventId, type StreamEvent } from '../mcp/sse.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import type { ReplyHead, UpstreamSink } from '../upstream/upstream.ts';
import { breakStream } from './forward.ts';
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

/** Relays one member's reply, message by message. */
export class MemberRelay implements UpstreamSink {
  readonly #plan: RelayPlan;
  readonly #reader: EventReader;
  #head: { readonly status: number; readonly isEvents: boolean; readonly isJson: boolean } | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #stream: StreamBody | null = null;
  #isLost = false;
  #isOver = false;
  #isAnswered = false;

  constructor(plan: RelayPlan) {
    this.#plan = plan;
    this.#reader = new EventReader(plan.scanner);
  }

  onHead(head: ReplyHead): void {
    this.#head = {
      status: head.status,
      isEvents: head.media === 'event-stream',
      isJson: head.media === 'json',
    };
    if (head.status === 404 && this.#plan.onLost !== null) {
      this.#isLost = true;
      return;
    }
    if (head.media !== 'event-stream') return;
    const stream = new StreamBody();
    stream.onRoom(() => this.#plan.exchange.resume());
    this.#stream = stream;
    this.#plan.exchange.reply(head.status, EVENT_STREAM_HEADERS, stream);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#isLost || this.#isOver) return true;
    const stream = this.#stream;
    if (stream !== null) return this.#relay(stream, bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.replyBodyBytesMax) {
      this.onFail(
        new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${LIMITS.replyBodyBytesMax} bytes`),
      );
      return true;
    }
    this.#parts.push(bytes);
    return true;
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isLost) return this.#plan.onLost?.();
    const stream = this.#stream;
    if (stream === null) this.#answerWhole();
    else {
      stream.end();
      this.#plan.exchange.finish('ok');
    }
    this.#plan.onOver(this.#isAnswered);
  }

  onFail(error: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { exchange } = this.#plan;
    exchange.errorCode = error.code;
    if (this.#stream === null) exchange.refuse(error);
    else breakStream(exchange, this.#stream, error);
    this.#plan.onOver(this.#isAnswered);
  }

  #relay(stream: StreamBody, bytes: Uint8Array): boolean {
    let room = true;
    try {
      this.#reader.push(bytes, (event) => {
        room = this.#event(stream, event) && room;
      });
    } catch (thrown) {
      this.onFail(toGatewayError(thrown));
    }
    return room;
  }

  /** Relays one event. Ids lead back to this server's stream; comments keep the connection warm on the way down too. */
  #event(stream: StreamBody, event: StreamEvent): boolean {
    const { scanner, server, toClient } = this.#plan;
    const id = event.id === null || toClient === null ? null : joinEventId(server, 'call', decode(event.id));
    const retry = event.retry === null ? null : decode(event.retry);
    if (event.data.length === 0) return stream.write(fullEvent(null, id, retry));
    const message = readMessage(scanner, event.data);
    if (message instanceof GatewayError) {
      this.onFail(message);
      return true;
    }
    const out = this.#translate(message);
    return out === null || stream.write(fullEvent(out, id, retry));
  }

  #translate(message: Message): Uint8Array | null {
    const { server, toClient, methodOf } = this.#plan;
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) {
      this.#isAnswered = true;
      return splice(message.bytes, resultEdits(message.bytes, message.envelope, methodOf(message), server));
    }
    if (toClient !== null) return toClient(message);
    return splice(message.bytes, notificationEdits(message.bytes, message.envelope, server));
  }

  #answerWhole(): void {
    const { exchange, scanner } = this.#plan;
    const status = this.#head?.status ?? 502;
    if (this.#head?.isJson !== true) {
      const isAccepted = status === 202 && exchange.requestId === null;
      if (isAccepted) exchange.reply(202, {}, null);
      else exchange.refuse(new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${status}`));
      return;
    }
    const message = readMessage(scanner, concat(this.#parts));
    if (message instanceof GatewayError) exchange.refuse(message);
    else exchange.replyJson(this.#clientStatus(status), this.#translate(message) ?? message.bytes);
  }

  /** A legacy client takes 404 for a lost session and any 4xx for a broken transport: errors inside a session travel with 200. */
  #clientStatus(status: number): number {
    return this.#plan.exchange.era === 'legacy' && status >= 400 && status < 500 ? 200 : status;
  }
}
