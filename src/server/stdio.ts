// The front over stdio: one client, one JSON-RPC message a line, for hosts that start their servers as child processes.
// Called by gateway.ts for `sluice stdio`. Promises: each line becomes an exchange of the same pipeline that HTTP requests take; messages go out one a
// line; every request is answered, also when its reply breaks off; a client's cancellation reaches the server. Source: MCP, stdio
// transport, both eras.
import { concat, EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { emptyHeaders } from '../exchange/client-headers.ts';
import { Exchange, type ExchangeStart } from '../exchange.ts';
import { isSameId, kindOf, raw, scanError, text } from '../mcp/envelope.ts';
import { errorMessage } from '../mcp/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { flatten } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Reply } from '../runtime/runtime.ts';
import { ENVELOPE, FLAG, KIND, type Scanner } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import type { Recorder } from './record.ts';
import { ClientLines } from './stdio-lines.ts';
import { mirrorHeaders } from './stdio-mirror.ts';
import { isEventStream, LineRelay, type RelayEnd, versionIn } from './stdio-relay.ts';

/** What the stdio front needs. */
export interface StdioFrontOptions {
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  /** Admits an exchange whose headers are complete, and runs it. */
  readonly serve: (exchange: Exchange, body: Uint8Array) => void;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: () => string;
  /** Where exchanges that are over are recorded; left out: nowhere. */
  readonly recorder?: Recorder;
  /** Writes bytes to the client. */
  readonly write: (bytes: Uint8Array) => void;
}

const NEWLINE = encode('\n');
/** Wait before an event stream that ended is opened again, unless its server wants another. */
const REOPEN_MS = 1_000;
/** A legacy call that its client cancelled is let go of after this long: many servers leave its stream open. */
const CANCEL_GRACE_MS = 1_000;
/** A stream that is taken up again this often without one new event is given up. */
const BARREN_MAX = 3;

/** A message of the client that waits for its answer. */
interface Asked {
  /** Raw id, null for what has none. */
  readonly id: Uint8Array | null;
  readonly method: string | null;
  /** What runs for it now. */
  exchange: Exchange | null;
  /** The client took it back: nothing more needs to be said. */
  isCancelled: boolean;
  lastEventId: string | null;
  barren: number;
}

/** Serves one client that writes lines. */
export class StdioFront {
  readonly #options: StdioFrontOptions;
  readonly #lines: ClientLines;
  readonly #waiting = new Set<Asked>();
  #session: string | null = null;
  #version: string | null = null;
  #stream: Exchange | null = null;
  #isOver = false;
  #onIdle: (() => void) | null = null;

  constructor(options: StdioFrontOptions) {
    this.#options = options;
    const { bodyBytesMax } = options.snapshot.front;
    this.#lines = new ClientLines(bodyBytesMax, {
      onLine: (line) => this.#line(line),
      onTooLong: () => {
        const error = new GatewayError('GW_SERVER_BODY_SIZE', `a line may have ${bodyBytesMax} bytes`);
        this.#send(errorMessage(null, error));
      },
    });
  }

  /** Takes bytes of the client as they come. */
  push(bytes: Uint8Array): void {
    this.#lines.push(bytes);
  }

  /** The client closed its end: running calls finish within the bound, then the session ends. */
  async close(withinMs: number): Promise<void> {
    const { clock } = this.#options;
    // A subscription has no end of its own to wait for, and what was cancelled needs none.
    for (const asked of this.#waiting)
      if (asked.method === METHOD.listen || asked.isCancelled) this.#letGo(asked);
    if (this.#waiting.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = clock.after(withinMs, resolve);
        this.#onIdle = () => {
          clock.cancel(timer);
          resolve();
        };
      });
    }
    this.#isOver = true;
    this.#stream?.abandon();
    if (this.#session === null) return;
    await new Promise<void>((resolve) => {
      const timer = clock.after(LIMITS.childStopGraceMs, resolve);
      const exchange = this.#exchange('DELETE', () => {
        clock.cancel(timer);
        resolve();
      });
      this.#options.serve(exchange, EMPTY);
    });
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  #line(body: Uint8Array): void {
    const envelope = new Int32Array(ENVELOPE.length);
    const fault = scanError(this.#options.scanner.scan(body, 0, body.length, envelope));
    if (fault !== null) return this.#send(errorMessage(null, fault));
    const method = text(body, envelope, ENVELOPE.method);
    if (method === METHOD.cancelled && this.#cancel(body, envelope)) return;
    this.#post(body, envelope, method);
  }

  /** A modern request is cancelled by letting go of it; the server hears of it there. True when that is all there is to do. */
  #cancel(body: Uint8Array, envelope: Int32Array): boolean {
    const id = raw(body, envelope, ENVELOPE.requestId);
    for (const asked of this.#waiting) {
      if (id === null || asked.id === null || !isSameId(asked.id, id)) continue;
      if (asked.exchange?.era === 'modern') {
        this.#letGo(asked);
        return true;
      }
      asked.isCancelled = true;
      this.#options.clock.after(CANCEL_GRACE_MS, () => this.#letGo(asked));
      return false;
    }
    return false;
  }

  #post(body: Uint8Array, envelope: Int32Array, method: string | null): void {
    const kind = kindOf(envelope);
    // An id that is no id, or of which there are two, is not repeated.
    const isSure = ((envelope[ENVELOPE.flags] ?? 0) & (FLAG.badId | FLAG.duplicateTop)) === 0;
    const id = kind === KIND.request && isSure ? raw(body, envelope, ENVELOPE.id) : null;
    // What is no message at all is told so; notifications and responses are not answered.
    const asked: Asked | null =
      kind === KIND.request || kind === KIND.batch || kind === KIND.none
        ? { id, method, exchange: null, isCancelled: false, lastEventId: null, barren: 0 }
        : null;
    const exchange = this.#exchange('POST', (reply) => {
      if (asked === null) this.#taken(reply, method, exchange);
      else this.#reply(reply, asked);
    });
    mirrorHeaders(exchange, body, envelope, method);
    if (asked !== null) {
      asked.exchange = exchange;
      this.#waiting.add(asked);
    }
    this.#options.serve(exchange, body);
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
      // Replies tell all that matters here: exchanges are let go of when their answer is out.
      owner: { onFinish: (exchange) => this.#options.recorder?.record(exchange) },
      replyHeaders: {},
      answer,
    };
    return new Exchange(start);
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The reply to what asks for none. A notification gets no answer, not even a refusal. */
  #taken(reply: Reply, method: string | null, exchange: Exchange): void {
    if (reply.body === null && method === METHOD.initialized && this.#stream === null) this.#openStream(null);
    if (reply.body === null) return;
    this.#options.log.warn('a notification was refused', { method: method ?? '', code: exchange.errorCode });
    exchange.abandon();
  }

  #reply(reply: Reply, asked: Asked): void {
    if (asked.exchange?.gone !== false) return;
    if (asked.method === METHOD.initialize) this.#begin(reply.headers['mcp-session-id'] ?? null);
    if (reply.body !== null) return this.#relay(reply, asked, reply.body);
    const error = new GatewayError('GW_UPSTREAM_MESSAGE', `it answered ${reply.status} without a message`);
    this.#ended(asked, { isAnswered: false, error, lastEventId: asked.lastEventId, retryMs: null });
  }

  /** A session begins: the stream of one before it is let go of, so that the next `initialized` opens its own. */
  #begin(session: string | null): void {
    if (session === null) return;
    this.#session = session;
    const stream = this.#stream;
    this.#stream = null;
    stream?.abandon();
  }

  #relay(reply: Reply, asked: Asked, body: NonNullable<Reply['body']>): void {
    new LineRelay({
      scanner: this.#options.scanner,
      isEvents: isEventStream(reply),
      id: asked.id,
      onMessage: (message) => {
        if (!this.#waiting.has(asked)) return;
        if (asked.method === METHOD.initialize) this.#version = versionIn(message) ?? this.#version;
        this.#send(message);
      },
      onEnd: (end) => this.#ended(asked, end),
    }).take(body);
  }

  /** The reply is over. Without an answer it is taken up again where its server allows that (2025-11-25 §transports); else it failed. */
  #ended(asked: Asked, end: RelayEnd): void {
    if (!this.#waiting.has(asked)) return;
    if (end.isAnswered || asked.isCancelled) return this.#settle(asked);
    const from = end.lastEventId ?? asked.lastEventId;
    asked.barren = from === asked.lastEventId ? asked.barren + 1 : 0;
    asked.lastEventId = from;
    const mayResume = this.#session !== null && asked.exchange?.era === 'legacy' && !this.#isOver;
    if (from !== null && mayResume && asked.barren < BARREN_MAX) {
      this.#options.clock.after(end.retryMs ?? REOPEN_MS, () => this.#takeUp(asked));
      return;
    }
    const error = end.error ?? new GatewayError('GW_UPSTREAM_CLOSED', 'its event stream ended too early');
    this.#send(errorMessage(asked.id, error));
    this.#settle(asked);
  }

  #takeUp(asked: Asked): void {
    if (!this.#waiting.has(asked) || this.#isOver) return;
    const exchange = this.#exchange('GET', (reply) => {
      if (reply.status === 200 && isEventStream(reply)) return this.#reply(reply, asked);
      const error = new GatewayError('GW_UPSTREAM_CLOSED', 'its event stream cannot be taken up again');
      this.#ended(asked, { isAnswered: false, error, lastEventId: null, retryMs: null });
    });
    exchange.headers.lastEventId = asked.lastEventId;
    asked.exchange = exchange;
    this.#options.serve(exchange, EMPTY);
  }

  /** Nobody waits for it any more. */
  #letGo(asked: Asked): void {
    asked.isCancelled = true;
    if (this.#waiting.has(asked)) asked.exchange?.abandon();
    this.#settle(asked);
  }

  #settle(asked: Asked): void {
    if (this.#waiting.delete(asked) && this.#waiting.size === 0) this.#onIdle?.();
  }

  /** A legacy session's own stream: what servers say outside any call. */
  #openStream(lastEventId: string | null): void {
    const session = this.#session;
    if (this.#isOver || session === null || this.#stream !== null) return;
    const reopen = (end: Pick<RelayEnd, 'lastEventId' | 'retryMs'>): void => {
      if (this.#session === session) this.#stream = null;
      const from = end.lastEventId ?? lastEventId;
      this.#options.clock.after(end.retryMs ?? REOPEN_MS, () => {
        if (this.#session === session) this.#openStream(from);
      });
    };
    const exchange = this.#exchange('GET', (reply) => {
      const { body, status } = reply;
      // A server that is away for a while comes back; one that refuses (405: it has no such stream) means it.
      if (status >= 500) return reopen({ lastEventId, retryMs: null });
      if (status !== 200 || body === null || !isEventStream(reply)) return;
      const onMessage = (message: Uint8Array): void => this.#send(message);
      new LineRelay({
        scanner: this.#options.scanner,
        isEvents: true,
        id: null,
        onMessage,
        onEnd: reopen,
      }).take(body);
    });
    exchange.headers.lastEventId = lastEventId;
    this.#stream = exchange;
    this.#options.serve(exchange, EMPTY);
  }

  #send(message: Uint8Array): void {
    this.#options.write(concat([flatten(message), NEWLINE]));
  }
}
