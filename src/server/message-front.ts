// The front for one connected client, whatever carries its messages: each becomes an exchange of the same pipeline that HTTP requests take, and what comes of it
// goes back as messages.
// Called by stdio.ts and sse-connection.ts. Promises: every request is answered, also when its reply breaks off; a client's cancellation reaches the server;
// a session that its server has lost is begun anew, and what that server refused for it is sent again. Source: MCP, stdio and custom transports, both eras.
import { EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { ClientHeaders } from '../exchange/client-headers.ts';
import type { Exchange, ExchangeOwner } from '../exchange.ts';
import { isSameId, kindOf, raw } from '../mcp/envelope.ts';
import { errorMessage } from '../mcp/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Reply } from '../runtime/runtime.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import {
  type Asked,
  exchangeOf,
  idOf,
  isAnswered,
  isBeginning,
  isClaimed,
  type MessageFrontOptions,
  newAsked,
  readTold,
  type Told,
} from './message-asked.ts';
import { ConnectionEra } from './message-era.ts';
import { mirrorHeaders } from './message-mirror.ts';
import { isEventStream, MessageRelay, type RelayEnd } from './message-relay.ts';
import { FrontSession, REOPEN_MS, type SessionRelay } from './message-session.ts';

/** A legacy call that its client cancelled is let go of after this long: many servers leave its stream open. */
const CANCEL_GRACE_MS = 1_000;
/** A stream that is taken up again this often without one new event is given up. */
const BARREN_MAX = 3;

/** Serves one client. */
export class MessageFront implements ExchangeOwner {
  readonly #options: MessageFrontOptions;
  readonly #session: FrontSession;
  readonly #waiting = new Set<Asked>();
  /** Messages under way that nobody waits for. */
  readonly #told = new Set<Exchange>();
  readonly #relays = new Set<MessageRelay>();
  readonly #era = new ConnectionEra();
  /** An initialize that is not answered yet, and what was said behind it. */
  #beginning: { readonly asked: Asked; readonly held: Told[] } | null = null;
  /** No new requests are taken. */
  #isClosing = false;
  #isOver = false;
  #onIdle: (() => void) | null = null;

  constructor(options: MessageFrontOptions) {
    this.#options = options;
    this.#session = new FrontSession({
      scanner: options.scanner,
      clock: options.clock,
      log: options.log,
      exchange: (verb, answer) => this.#exchange(verb, answer),
      serve: options.serve,
      relay: (reply, body, to) => this.#relay(reply, body, to, null),
    });
  }

  /** Messages of the client under way. */
  get underWay(): number {
    return this.#waiting.size + this.#told.size + (this.#beginning?.held.length ?? 0);
  }

  /** Takes one message, the front's to keep; returns what is wrong with bytes that are none. `from`: headers that came with it, if any did. */
  take(body: Uint8Array, from: ClientHeaders = this.#options.headers): GatewayError | null {
    const told = readTold(this.#options.scanner, body, from);
    if (told instanceof GatewayError) return told;
    if (told.method === METHOD.cancelled && this.#cancel(told)) return null;
    this.#era.hear(told);
    if (this.#isClosing && isAnswered(told)) {
      this.#options.send(errorMessage(idOf(told), new GatewayError('GW_SERVER_DRAINING')));
    } else this.#enter(told);
    return null;
  }

  /** The client, which was behind, has caught up. */
  roomAgain(): void {
    for (const relay of [...this.#relays]) relay.resume();
  }

  /** Takes no new requests, and calls back, once, when everything is answered. A subscription has no end of its own to wait for, and what was cancelled needs none: they end now. */
  whenIdle(callback: () => void): void {
    this.#isClosing = true;
    for (const asked of this.#waiting)
      if (asked.method === METHOD.listen || asked.isCancelled) this.#letGo(asked);
    if (this.#waiting.size === 0) callback();
    else this.#onIdle = callback;
  }

  /** Ends everything at once, the session too; resolves when its server has heard so, or when that took too long. */
  end(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    this.#isClosing = true;
    this.#beginning = null;
    this.#onIdle = null;
    for (const asked of this.#waiting) this.#letGo(asked);
    return this.#session.end();
  }

  onFinish(exchange: Exchange): void {
    this.#told.delete(exchange);
    this.#options.owner.onFinish(exchange);
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A modern request is cancelled by letting go of it; the server hears of it there. True when that is all there is to do. */
  #cancel({ body, envelope }: Told): boolean {
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

  /** What follows an initialize belongs to the session that it begins, and waits for its answer. */
  #enter(told: Told): void {
    if (this.#beginning === null || isClaimed(told)) this.#post(told);
    else this.#beginning.held.push(told);
  }

  #release(answered: Asked): void {
    if (this.#beginning?.asked !== answered) return;
    const { held } = this.#beginning;
    this.#beginning = null;
    for (const told of held) this.#enter(told);
  }

  #post(told: Told): void {
    const isModern = this.#era.version !== null;
    if (!isAnswered(told)) {
      // Nothing modern is answered by a client.
      if (kindOf(told.envelope) === KIND.notification || !isModern) this.#tell(told);
      return;
    }
    const refusal = this.#era.refusal(told);
    if (refusal !== null) return void this.#options.send(refusal);
    const asked = newAsked(told);
    if (isBeginning(told)) this.#beginning = { asked, held: [] };
    else if (!isModern && !isClaimed(told)) this.#session.note(told);
    this.#waiting.add(asked);
    this.#ask(asked);
  }

  #ask(asked: Asked): void {
    const exchange = this.#exchange('POST', (reply) => this.#reply(reply, asked, exchange), asked.from);
    mirrorHeaders(exchange, asked, this.#era.version);
    asked.exchange = exchange;
    this.#options.serve(exchange, asked.body);
  }

  #tell(told: Told): void {
    const exchange = this.#exchange('POST', (reply) => this.#taken(reply, told, exchange), told.from);
    mirrorHeaders(exchange, told, this.#era.version);
    this.#told.add(exchange);
    this.#options.serve(exchange, told.body);
  }

  #exchange(
    verb: 'POST' | 'GET' | 'DELETE',
    answer: (reply: Reply) => void,
    from: ClientHeaders = this.#options.headers,
  ): Exchange {
    const { id: session, version } = this.#session;
    return exchangeOf(this.#options, { verb, from, session, version, owner: this, answer });
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The reply to what asks for none. A notification gets no answer, not even a refusal. */
  #taken(reply: Reply, told: Told, exchange: Exchange): void {
    if (exchange.gone || this.#isOver) return;
    const { method } = told;
    if (reply.body === null && method === METHOD.initialized && reply.status < 300)
      return this.#session.initialized(told.body);
    const refused = (): void => {
      if (reply.body === null) return;
      this.#options.log.warn('a notification was refused', {
        method: method ?? '',
        code: exchange.errorCode,
      });
      exchange.abandon();
    };
    // What is about a request of the lost session means nothing to the next.
    const isOfRequest = method === null || method === METHOD.cancelled || method === METHOD.progress;
    const again = (): void => this.#tell(told);
    if (isOfRequest || !this.#session.heals(reply, told, exchange, { again, otherwise: refused })) refused();
  }

  #reply(reply: Reply, asked: Asked, exchange: Exchange): void {
    if (exchange.gone || !this.#waiting.has(asked)) return;
    const again = (): void => {
      if (!this.#waiting.has(asked)) return;
      if (asked.isCancelled) this.#settle(asked);
      else this.#ask(asked);
    };
    const otherwise = (): void => this.#answer(reply, asked);
    if (!this.#session.heals(reply, asked, exchange, { again, otherwise })) otherwise();
  }

  #answer(reply: Reply, asked: Asked): void {
    if (!this.#waiting.has(asked)) return;
    const isFirst = isBeginning(asked);
    if (isFirst) this.#session.begin(asked.body, reply.headers['mcp-session-id'] ?? null);
    if (reply.body === null) {
      const error = new GatewayError('GW_UPSTREAM_MESSAGE', `it answered ${reply.status} without a message`);
      return this.#ended(asked, {
        isAnswered: false,
        error,
        lastEventId: asked.lastEventId,
        retryMs: null,
      });
    }
    const to: SessionRelay = {
      onMessage: (message) => {
        if (!this.#waiting.has(asked)) return true;
        if (isFirst && this.#session.agree(message)) this.#options.clock.soon(() => this.#release(asked));
        return false;
      },
      onEnd: (end) => this.#ended(asked, end),
    };
    this.#relay(reply, reply.body, to, asked.id);
  }

  #relay(reply: Reply, body: NonNullable<Reply['body']>, to: SessionRelay, id: Uint8Array | null): void {
    const relay: MessageRelay = new MessageRelay({
      scanner: this.#options.scanner,
      isEvents: isEventStream(reply),
      id,
      onMessage: (message) => to.onMessage(message) || this.#options.send(message),
      onEnd: (end) => {
        this.#relays.delete(relay);
        to.onEnd(end);
      },
    });
    this.#relays.add(relay);
    relay.take(body);
  }

  /** The reply is over. Without an answer it is taken up again where its server allows that (2025-11-25 §transports); else it failed. */
  #ended(asked: Asked, end: RelayEnd): void {
    if (!this.#waiting.has(asked)) return;
    if (end.isAnswered || asked.isCancelled) return this.#settle(asked);
    const from = end.lastEventId ?? asked.lastEventId;
    asked.barren = from === asked.lastEventId ? asked.barren + 1 : 0;
    asked.lastEventId = from;
    const mayResume = this.#session.id !== null && asked.exchange?.era === 'legacy' && !this.#isOver;
    if (from !== null && mayResume && asked.barren < BARREN_MAX) {
      this.#options.clock.after(end.retryMs ?? REOPEN_MS, () => this.#takeUp(asked));
      return;
    }
    const error = end.error ?? new GatewayError('GW_UPSTREAM_CLOSED', 'its event stream ended too early');
    this.#options.send(errorMessage(asked.id, error));
    this.#settle(asked);
  }

  #takeUp(asked: Asked): void {
    if (!this.#waiting.has(asked) || this.#isOver) return;
    const exchange = this.#exchange('GET', (reply) => {
      if (exchange.gone) return;
      if (reply.status === 200 && isEventStream(reply)) return this.#answer(reply, asked);
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
    if (!this.#waiting.delete(asked)) return;
    this.#release(asked);
    if (this.#waiting.size > 0) return;
    const onIdle = this.#onIdle;
    this.#onIdle = null;
    onIdle?.();
  }
}
