// Asks a server something on the gateway's own behalf and waits for the one reply, be it JSON or an event stream.
// Called by bridge/session.ts and the aggregates of proxy/. Promises: resolves exactly once, never rejects; bounded in time and size; the
// connection is given back or closed.
import { concat } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { kindOf, type Message, readMessage } from '../mcp/envelope.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';

/** What came back: the HTTP face of it, and the message unless there was none (202, 405 …). */
export interface Collected {
  readonly status: number;
  readonly sessionId: string | null;
  readonly message: Message | null;
}

/** What collecting needs. */
export interface CollectTools {
  readonly scanner: Scanner;
  readonly clock: Clock;
}

/** How long a stream may go on after its response before the connection is closed. */
const LINGER_MS = 1_000;

class CollectSink implements UpstreamSink {
  readonly #tools: CollectTools;
  readonly #resolve: (result: Collected | GatewayError) => void;
  readonly #timer: TimerId;
  #call: UpstreamCall | null = null;
  #reader: EventReader | null = null;
  #status = 0;
  #sessionId: string | null = null;
  #media: ReplyHead['media'] = 'none';
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #settled = false;
  #over = false;

  constructor(tools: CollectTools, timeoutMs: number, resolve: (result: Collected | GatewayError) => void) {
    this.#tools = tools;
    this.#resolve = resolve;
    this.#timer = tools.clock.after(timeoutMs, () => {
      this.#settle(new GatewayError('GW_UPSTREAM_TIMEOUT', `no reply within ${timeoutMs} ms`));
      this.#drop();
    });
  }

  start(call: UpstreamCall): void {
    this.#call = call;
    if (this.#settled) this.#drop();
  }

  onHead(head: ReplyHead): void {
    this.#status = head.status;
    this.#sessionId = head.sessionId;
    this.#media = head.media;
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#tools.scanner);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#settled) return true;
    if (this.#reader !== null) {
      this.#feed(this.#reader, bytes, false);
      return true;
    }
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.replyBodyBytesMax) {
      this.#settle(
        new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${LIMITS.replyBodyBytesMax} bytes`),
      );
      this.#drop();
      return true;
    }
    this.#parts.push(bytes);
    return true;
  }

  onEnd(): void {
    this.#over = true;
    if (this.#settled) return;
    if (this.#reader !== null)
      this.#settle(new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response'));
    else if (this.#media === 'json' && this.#bytes > 0)
      this.#settleMessage(readMessage(this.#tools.scanner, concat(this.#parts)));
    else if (this.#status < 300 && this.#bytes > 0)
      this.#settle(new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${this.#status}`));
    else this.#settle({ status: this.#status, sessionId: this.#sessionId, message: null });
  }

  onFail(error: GatewayError): void {
    this.#over = true;
    this.#settle(error);
  }

  #feed(reader: EventReader, bytes: Uint8Array, last: boolean): void {
    try {
      reader.push(bytes, (event) => this.#event(event.data), last);
    } catch (thrown) {
      this.#settle(toGatewayError(thrown));
      this.#drop();
    }
  }

  #event(data: Uint8Array): void {
    if (this.#settled || data.length === 0) return;
    const message = readMessage(this.#tools.scanner, data);
    if (message instanceof GatewayError) return this.#settle(message);
    const kind = kindOf(message.envelope);
    if (kind !== KIND.result && kind !== KIND.error) return;
    this.#settleMessage(message);
    this.#tools.clock.after(LINGER_MS, () => this.#drop());
  }

  #settleMessage(message: Message | GatewayError): void {
    if (message instanceof GatewayError) this.#settle(message);
    else this.#settle({ status: this.#status, sessionId: this.#sessionId, message });
  }

  #settle(result: Collected | GatewayError): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#tools.clock.cancel(this.#timer);
    this.#resolve(result);
  }

  #drop(): void {
    if (!this.#over) this.#call?.abort();
    this.#over = true;
  }
}

/** Sends a request and resolves with its reply, or with what went wrong; never rejects. */
export function collect(
  tools: CollectTools,
  upstream: Upstream,
  request: UpstreamRequest,
  timeoutMs: number,
): Promise<Collected | GatewayError> {
  return new Promise((resolve) => {
    const sink = new CollectSink(tools, timeoutMs, resolve);
    sink.start(upstream.send(request, sink));
  });
}
