// One client on HTTP+SSE: its event stream, and the messages that it posts beside it.
// Called by sse.ts. Promises: the stream's first event says where to post; whatever the client is told goes out on it, one event a message; a client that does
// not read it loses it; when it ends, however that comes about, so does what runs for the client, and its session. Source: MCP 2024-11-05, transports.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { ClientHeaders } from '../exchange/client-headers.ts';
import type { Exchange } from '../exchange.ts';
import { messageEvent } from '../mcp/sse.ts';
import { EVENT_STREAM_HEADERS } from '../proxy/headers.ts';
import { StreamBody } from '../proxy/relay.ts';
import type { EndpointSpec } from '../snapshot.ts';
import type { MessageFrontOptions } from './message-asked.ts';
import { MessageFront } from './message-front.ts';

/** What a connection is made of, besides what its messages need. */
export type ConnectionParts = Omit<MessageFrontOptions, 'principal' | 'headers' | 'send'>;

const HEAD = encode('event: endpoint\ndata: ');
const TAIL = encode('\n\n');

/** A client that is connected. */
export class SseConnection {
  readonly id: string;
  /** What its messages are for. */
  readonly endpoint: EndpointSpec;
  /** The GET that opened it. */
  readonly #exchange: Exchange;
  readonly #messages: MessageFront;
  readonly #body = new StreamBody();
  /** Bytes sent since the client fell behind. */
  #unread = 0;

  constructor(id: string, exchange: Exchange, parts: ConnectionParts) {
    const { principal, headers } = exchange;
    this.id = id;
    this.endpoint = parts.endpoint;
    this.#exchange = exchange;
    this.#messages = new MessageFront({
      ...parts,
      principal,
      headers,
      send: (message) => this.#send(message),
    });
  }

  /** Opens the stream; messages are to be posted to `where`. `onGone` is called once when it is over. */
  open(where: string, onGone: () => void): void {
    this.#exchange.whenGone(() => {
      onGone();
      void this.#messages.end();
    });
    this.#body.onRoom(() => {
      this.#unread = 0;
      this.#messages.roomAgain();
    });
    this.#exchange.reply(200, EVENT_STREAM_HEADERS, this.#body);
    this.#body.write(concat([HEAD, encode(where), TAIL]));
  }

  /** Takes a message of the client; returns why it cannot, or null. */
  take(body: Uint8Array, from: ClientHeaders): GatewayError | null {
    if (this.#messages.underWay >= LIMITS.connectionMessagesMax)
      return new GatewayError('GW_SERVER_BUSY', `${this.#messages.underWay} messages of this connection are`);
    // It outlives the request that brought it.
    return this.#messages.take(body.slice(), from);
  }

  /** When it was opened, on the clock. */
  get startedAtMs(): number {
    return this.#exchange.startedAtMs;
  }

  /** Messages of the client that run. */
  get underWay(): number {
    return this.#messages.underWay;
  }

  /** Ends it at once, and what runs for it. */
  end(): void {
    this.#exchange.close(null);
  }

  /** The gateway is shutting down: what runs is answered, then the stream ends. */
  drain(): void {
    this.#messages.whenIdle(() => this.#exchange.close(null));
  }

  #send(message: Uint8Array): boolean {
    if (this.#unread > LIMITS.connectionUnreadBytesMax) {
      this.#exchange.refuse(
        new GatewayError('GW_UPSTREAM_OVERRUN', `more than ${LIMITS.connectionUnreadBytesMax} bytes wait`),
      );
      return true;
    }
    const event = messageEvent(message);
    const hasRoom = this.#body.write(event);
    if (!hasRoom) this.#unread += event.length;
    return hasRoom;
  }
}
