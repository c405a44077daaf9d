// A legacy batch (2025-03-26) at a target that takes single messages: split, run side by side, and joined again.
// Called by pipeline.ts. Promises: each element is an exchange of its own; every request gets exactly one response, notifications get none; the joined array
// keeps the order of the requests; when a server speaks before its answer, the whole reply is an event stream instead.
import { concat, EMPTY, encode } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { Exchange } from '../exchange.ts';
import { isSameId, kindOf, raw, readMessage } from '../mcp/envelope.ts';
import { errorMessage } from '../mcp/errors.ts';
import { eachElement, skipBlank } from '../mcp/json.ts';
import { EventReader, messageEvent } from '../mcp/sse.ts';
import type { Reply, ReplyStream } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { StreamBody } from './relay.ts';

/** Runs one element through the pipeline. */
export type RunOne = (exchange: Exchange, body: Uint8Array) => void;

/** Splits the exchange's body, runs every element, answers with the array of responses. */
export function runBatch(exchange: Exchange, scanner: Scanner, run: RunOne): void {
  const bodies: Uint8Array[] = [];
  eachElement(exchange.body, skipBlank(exchange.body, 0), (start, end) =>
    bodies.push(exchange.body.subarray(start, end)),
  );
  new Batch(exchange, scanner, bodies.length).run(bodies, run);
}

/** The reply of one element: what it was, and what is known of its end. */
interface Part {
  readonly exchange: Exchange;
  status: number;
  /** The response, or of a refused notification the error that its client never sees alone. */
  message: Uint8Array | null;
  isOver: boolean;
}

class Batch {
  readonly #exchange: Exchange;
  readonly #scanner: Scanner;
  readonly #parts: readonly Part[];
  #open: number;
  #isOver = false;
  #stream: StreamBody | null = null;
  readonly #onRoom = new Set<() => void>();

  constructor(exchange: Exchange, scanner: Scanner, count: number) {
    this.#exchange = exchange;
    this.#scanner = scanner;
    this.#open = count;
    this.#parts = Array.from({ length: count }, (_, index) => this.#part(index));
  }

  run(bodies: readonly Uint8Array[], run: RunOne): void {
    this.#exchange.whenGone(() => {
      this.#isOver = true;
      for (const part of this.#parts) part.exchange.abandon();
    });
    this.#parts.forEach((part, index) => {
      run(part.exchange, bodies[index] ?? EMPTY);
    });
  }

  #part(index: number): Part {
    const { id, snapshot, endpoint, headers, startedAtMs } = this.#exchange;
    const part: Part = {
      exchange: new Exchange({
        // Ids of our own requests to servers are made of it: elements run at the same time.
        id: `${id}.${index}`,
        verb: 'POST',
        snapshot,
        endpoint,
        headers,
        startedAtMs,
        owner: { onFinish: () => undefined },
        replyHeaders: {},
        answer: (reply) => this.#take(part, reply),
      }),
      status: 0,
      message: null,
      isOver: false,
    };
    part.exchange.admitAs(this.#exchange);
    return part;
  }

  #take(part: Part, reply: Reply): void {
    if (this.#isOver) return;
    part.status = reply.status;
    const { body } = reply;
    const isEvents = reply.headers['content-type']?.startsWith('text/event-stream') ?? false;
    if (body === null) this.#settle(part, null);
    else if (!(body instanceof Uint8Array)) this.#read(part, body, isEvents);
    else if (isEvents) {
      const reader = new EventReader(this.#scanner);
      this.#feed(part, reader, body, true);
      this.#settle(part, null);
    } else this.#settle(part, body);
  }

  /** Reads a reply that comes over time. */
  #read(part: Part, body: ReplyStream, isEvents: boolean): void {
    const reader = new EventReader(this.#scanner);
    const pieces: Uint8Array[] = [];
    body.open({
      write: (bytes) => {
        if (isEvents) return this.#feed(part, reader, bytes, false);
        pieces.push(bytes);
        return true;
      },
      end: () => {
        if (isEvents) this.#feed(part, reader, EMPTY, true);
        this.#settle(part, isEvents ? null : concat(pieces));
      },
      fail: () => this.#settle(part, null),
      onDrain: (callback) => this.#onRoom.add(callback),
    });
  }

  /** Hands events on; false when the client is slower than they come. */
  #feed(part: Part, reader: EventReader, bytes: Uint8Array, isLast: boolean): boolean {
    let hasRoom = true;
    try {
      reader.push(
        bytes,
        (event) => {
          if (event.data.length > 0 && !part.isOver) hasRoom = this.#message(part, event.data) && hasRoom;
        },
        isLast,
      );
    } catch (thrown) {
      part.exchange.errorCode = toGatewayError(thrown).code;
      this.#settle(part, null);
      part.exchange.abandon();
    }
    return hasRoom;
  }

  #message(part: Part, bytes: Uint8Array): boolean {
    const message = readMessage(this.#scanner, bytes);
    if (message instanceof GatewayError) throw message;
    const kind = kindOf(message.envelope);
    if (kind !== KIND.result && kind !== KIND.error) return this.#say(bytes);
    this.#settle(part, bytes);
    return true;
  }

  /** A server speaks before its answer: from here on the reply is an event stream. */
  #say(message: Uint8Array): boolean {
    if (this.#isOver) return true;
    if (this.#stream === null) {
      const stream = new StreamBody();
      this.#stream = stream;
      stream.onRoom(() => {
        for (const callback of this.#onRoom) callback();
      });
      this.#exchange.reply(200, EVENT_STREAM_HEADERS, stream);
      for (const part of this.#parts)
        if (part.isOver && part.message !== null && isRequest(part)) stream.write(messageEvent(part.message));
    }
    return this.#stream.write(messageEvent(message));
  }

  /** An element is over. A request without a response gets an error; a notification gets nothing. */
  #settle(part: Part, message: Uint8Array | null): void {
    if (part.isOver || this.#isOver) return;
    part.isOver = true;
    const asked = part.exchange.requestId;
    part.message = asked === null ? message : (this.#answerTo(asked, message) ?? lost(part, asked));
    if (this.#stream !== null && part.message !== null && isRequest(part))
      this.#stream.write(messageEvent(part.message));
    this.#open--;
    if (this.#open === 0) this.#finish();
  }

  /** The message, if it is a response to that request. */
  #answerTo(asked: Uint8Array, bytes: Uint8Array | null): Uint8Array | null {
    const message = bytes === null ? null : readMessage(this.#scanner, bytes);
    if (message === null || message instanceof GatewayError) return null;
    const given = raw(message.bytes, message.envelope, ENVELOPE.id);
    return given !== null && isSameId(asked, given) ? bytes : null;
  }

  #finish(): void {
    const exchange = this.#exchange;
    if (this.#stream !== null) {
      this.#stream.end();
      return exchange.finish('ok');
    }
    const isRefused = this.#parts.every(
      (part) => part.status >= 400 && part.status === this.#parts[0]?.status,
    );
    const status = isRefused ? (this.#parts[0]?.status ?? 200) : 200;
    const messages = this.#parts.flatMap((part) =>
      part.message !== null && isRequest(part) ? [part.message] : [],
    );
    const [first] = messages;
    if (first === undefined && isRefused) return this.#refuseAll(status);
    if (first === undefined) return exchange.reply(202, {}, null);
    const pieces = messages.flatMap((message, i) => [encode(i === 0 ? '[' : ','), message]);
    exchange.replyJson(status, concat([...pieces, encode(']')]));
  }

  /** Nothing was asked and nothing was taken: the HTTP status is all that tells, with the first refusal as its reason. */
  #refuseAll(status: number): void {
    const reason = this.#parts.find((part) => part.message !== null)?.message;
    if (reason === undefined || reason === null) this.#exchange.reply(status, {}, null);
    else this.#exchange.replyJson(status, reason);
  }
}

function isRequest(part: Part): boolean {
  return part.exchange.kind === KIND.request;
}

/** The error of a request whose reply was none. */
function lost(part: Part, asked: Uint8Array): Uint8Array {
  const code = part.exchange.errorCode ?? 'GW_UPSTREAM_CLOSED';
  return errorMessage(asked, new GatewayError(code, 'the reply held no response to this request'));
}
