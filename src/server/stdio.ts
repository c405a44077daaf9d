// The front over stdio: one client, one JSON-RPC message a line, for hosts that start their servers as child processes.
// Called by gateway.ts for `sluice stdio`. Promises: each line becomes an exchange of the same pipeline that HTTP requests take; messages go out one a
// line; a client's cancellation reaches the server. Source: MCP, stdio transport, both eras.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { Exchange, type ExchangeStart } from '../exchange.ts';
import { has, kindOf, rawKey, scanError, text } from '../mcp/envelope.ts';
import { errorMessage } from '../mcp/errors.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import { METHOD, mirroredPlace } from '../mcp/protocol.ts';
import { EventReader, flatten } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Pipeline } from '../proxy/pipeline.ts';
import type { Clock, Reply, ReplyStream } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import { emptyHeaders } from './headers.ts';

/** What the stdio front needs. */
export interface StdioFrontOptions {
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  readonly pipeline: Pipeline;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: () => string;
  /** Writes bytes to the client. */
  readonly write: (bytes: Uint8Array) => void;
}

const NEWLINE = encode('\n');
/** Wait before a session's event stream is opened again after its server ended it. */
const REOPEN_MS = 1_000;

/** Serves one client that writes lines. */
export class StdioFront {
  readonly #options: StdioFrontOptions;
  readonly #running = new Map<string, Exchange>();
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #session: string | null = null;
  #version: string | null = null;
  #stream: Exchange | null = null;
  #isOver = false;
  #onIdle: (() => void) | null = null;

  constructor(options: StdioFrontOptions) {
    this.#options = options;
  }

  /** Takes bytes of the client as they come. */
  push(bytes: Uint8Array): void {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, start);
      if (end < 0) break;
      this.#rest.push(bytes.subarray(start, end));
      const line = concat(this.#rest);
      this.#rest = [];
      this.#restBytes = 0;
      start = end + 1;
      this.#line(line);
    }
    if (start === bytes.length) return;
    this.#rest.push(bytes.subarray(start));
    this.#restBytes += bytes.length - start;
    if (this.#restBytes > this.#options.snapshot.front.bodyBytesMax) {
      this.#rest = [];
      this.#restBytes = 0;
      this.#send(
        errorMessage(
          null,
          new GatewayError(
            'GW_SERVER_BODY_SIZE',
            `a line may have ${this.#options.snapshot.front.bodyBytesMax} bytes`,
          ),
        ),
      );
    }
  }

  /** The client closed its end: running calls finish within the bound, then the session ends. */
  async close(withinMs: number): Promise<void> {
    if (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        this.#options.clock.after(withinMs, resolve);
      });
    }
    this.#isOver = true;
    this.#stream?.abandon();
    if (this.#session === null) return;
    await new Promise<void>((resolve) => {
      this.#options.clock.after(LIMITS.childStopGraceMs, resolve);
      const exchange = this.#exchange('DELETE', () => resolve());
      this.#options.pipeline.end(exchange);
    });
  }

  #line(line: Uint8Array): void {
    const end = line.at(-1) === 0x0d ? line.length - 1 : line.length;
    if (end === 0) return;
    const body = line.subarray(0, end);
    const envelope = new Int32Array(ENVELOPE.length);
    const fault = scanError(this.#options.scanner.scan(body, 0, body.length, envelope));
    if (fault !== null) return this.#send(errorMessage(null, fault));
    const method = text(body, envelope, ENVELOPE.method);
    if (method === METHOD.cancelled && this.#cancelModern(body, envelope)) return;
    this.#post(body, envelope, method);
  }

  /** A modern request is cancelled by letting go of its exchange; the server hears of it there. */
  #cancelModern(body: Uint8Array, envelope: Int32Array): boolean {
    const exchange = this.#running.get(rawKey(body, envelope, ENVELOPE.requestId) ?? '');
    if (exchange === undefined || exchange.era !== 'modern') return false;
    exchange.abandon();
    return true;
  }

  #post(body: Uint8Array, envelope: Int32Array, method: string | null): void {
    const isRequest = kindOf(envelope) === KIND.request;
    const id = isRequest ? rawKey(body, envelope, ENVELOPE.id) : null;
    const kind = kindOf(envelope);
    const wantsReply = kind === KIND.request || kind === KIND.batch;
    const exchange = this.#exchange('POST', (reply) => this.#reply(reply, method, exchange, wantsReply));
    this.#mirror(exchange, body, envelope, method);
    if (id !== null) this.#running.set(id, exchange);
    this.#options.pipeline.post(exchange, body);
  }

  /** Headers that an HTTP client would have sent, made from the body. */
  #mirror(exchange: Exchange, body: Uint8Array, envelope: Int32Array, method: string | null): void {
    const { headers } = exchange;
    if (!has(envelope, ENVELOPE.metaProtocolVersion)) {
      headers.session = method === METHOD.initialize ? null : this.#session;
      headers.protocolVersion = method === METHOD.initialize ? null : this.#version;
      return;
    }
    headers.protocolVersion = text(body, envelope, ENVELOPE.metaProtocolVersion);
    headers.mcpMethod = method;
    const place = mirroredPlace(method ?? '');
    const name = place < 0 ? null : text(body, envelope, place);
    headers.mcpName = name === null ? null : encodeMirrored(name);
  }

  #exchange(verb: 'POST' | 'GET' | 'DELETE', answer: (reply: Reply) => void): Exchange {
    const { snapshot, endpoint, clock, newId } = this.#options;
    const headers = emptyHeaders();
    headers.accept = verb === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream';
    headers.session = this.#session;
    headers.protocolVersion = this.#version;
    const start: ExchangeStart = {
      id: newId(),
      verb,
      snapshot,
      endpoint,
      headers,
      startedAtMs: clock.now(),
      owner: { onFinish: (exchange) => this.#onFinish(exchange) },
      replyHeaders: {},
      answer,
    };
    return new Exchange(start);
  }

  #onFinish(exchange: Exchange): void {
    if (exchange.envelope === null) return;
    const id = rawKey(exchange.body, exchange.envelope, ENVELOPE.id);
    if (id !== null && this.#running.get(id) === exchange) this.#running.delete(id);
    if (this.#running.size === 0) this.#onIdle?.();
  }

  #reply(reply: Reply, method: string | null, exchange: Exchange, wantsReply: boolean): void {
    if (exchange.gone) return;
    const { body } = reply;
    if (method === METHOD.initialize) this.#session = reply.headers['mcp-session-id'] ?? this.#session;
    const isEvents = reply.headers['content-type']?.startsWith('text/event-stream') ?? false;
    if (body === null) {
      if (method === METHOD.initialized && this.#stream === null) this.#openStream();
    } else if (!wantsReply) {
      // A notification gets no answer, not even a refusal.
      this.#options.log.warn('a notification was refused', {
        method: method ?? '',
        code: exchange.errorCode,
      });
    } else if (body instanceof Uint8Array) {
      if (isEvents) this.#events(method).push(body, true);
      else this.#message(body, method);
    } else {
      this.#relay(body, isEvents, method);
    }
  }

  #events(method: string | null): { push(bytes: Uint8Array, last: boolean): void } {
    const reader = new EventReader(this.#options.scanner);
    return {
      push: (bytes, last) =>
        reader.push(
          bytes,
          (event) => {
            if (event.data.length > 0) this.#message(event.data, method);
          },
          last,
        ),
    };
  }

  #relay(body: ReplyStream, isEvents: boolean, method: string | null): void {
    const events = this.#events(method);
    const parts: Uint8Array[] = [];
    body.open({
      write: (bytes) => {
        if (isEvents) events.push(bytes, false);
        else parts.push(bytes);
        return true;
      },
      end: () => {
        if (!isEvents) this.#message(concat(parts), method);
      },
      fail: () => undefined,
      onDrain: () => undefined,
    });
  }

  #message(message: Uint8Array, method: string | null): void {
    if (method === METHOD.initialize) this.#takeVersion(message);
    this.#send(message);
  }

  #takeVersion(message: Uint8Array): void {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(message));
    // Narrowed: only this one optional field is read.
    const version = (parsed as { result?: { protocolVersion?: unknown } }).result?.protocolVersion;
    if (typeof version === 'string') this.#version = version;
  }

  /** A legacy session's own stream: what servers say outside any call. */
  #openStream(): void {
    if (this.#isOver || this.#session === null) return;
    const exchange = this.#exchange('GET', (reply) => {
      const { body } = reply;
      if (reply.status !== 200 || body === null || body instanceof Uint8Array) return;
      const events = this.#events(null);
      body.open({
        write: (bytes) => {
          events.push(bytes, false);
          return true;
        },
        end: () => this.#reopenStream(),
        fail: () => this.#reopenStream(),
        onDrain: () => undefined,
      });
    });
    this.#stream = exchange;
    this.#options.pipeline.stream(exchange);
  }

  #reopenStream(): void {
    this.#stream = null;
    this.#options.clock.after(REOPEN_MS, () => this.#openStream());
  }

  #send(message: Uint8Array): void {
    this.#options.write(concat([flatten(message), NEWLINE]));
  }
}
