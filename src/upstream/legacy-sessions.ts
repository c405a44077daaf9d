// The legacy sessions of one server that knows sessions by its connections, with a Streamable-HTTP face: POST, GET and DELETE by session id.
// Called by sse.ts and stdio.ts. Promises: ids cannot be guessed; sessions are bounded in number, and end when nothing has used them for long enough.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { SessionKind } from '../observe/inspection.ts';
import type { LiveSession } from '../observe/ledger.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { ClientSession, SessionEvents } from './client-session.ts';
import { firstByteBoundMs } from './deadline.ts';
import type { SessionCore } from './message-pipe.ts';
import { isMethod, type Message, place, response, spanOf, splitBatch } from './stdio-message.ts';
import type { Reply } from './stdio-reply.ts';
import { LegacySession } from './stdio-session.ts';
import type { UpstreamRequest } from './upstream.ts';

const SESSION_ID_BYTES = 32;

/** Bounds of the sessions. */
export interface SessionBounds {
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
}

/** How a session began; on the clock. */
interface Birth {
  readonly endpoint: string;
  readonly atMs: number;
}

/** All sessions of one server in one worker. */
export class LegacySessions {
  readonly #core: SessionCore;
  readonly #bounds: SessionBounds;
  /** Sessions by id, and all of them, those that are not open yet included. */
  readonly #byId = new Map<string, ClientSession>();
  readonly #all = new Map<ClientSession, Birth>();
  readonly #begin: (events: SessionEvents) => ClientSession;
  #closing: GatewayError | null = null;

  /** `begin` makes a session; left out: each has a process or connection of its own. */
  constructor(
    core: SessionCore,
    bounds: SessionBounds,
    begin: ((events: SessionEvents) => ClientSession) | null = null,
  ) {
    const births = core.newBackoff();
    this.#core = core;
    this.#bounds = bounds;
    this.#begin = begin ?? ((events) => new LegacySession(core, births, events));
  }

  /** Sessions, those that are not open yet included. */
  get count(): number {
    return this.#all.size;
  }

  /** Sessions that are open. */
  get size(): number {
    return this.#byId.size;
  }

  /** Sessions with calls in flight. */
  get busy(): number {
    let count = 0;
    for (const session of this.#all.keys()) if (session.busy) count++;
    return count;
  }

  /** Calls that wait for a connection. */
  get waiting(): number {
    let count = 0;
    for (const session of this.#all.keys()) count += session.waiting;
    return count;
  }

  /** Calls that clients wait for. */
  get awaited(): number {
    let count = 0;
    for (const session of this.#all.keys()) count += session.awaited + session.waiting;
    return count;
  }

  /** True when the id is that of a session here. */
  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Starts the exchange, or says why it is refused; so do the three that follow. */
  take(request: UpstreamRequest, reply: Reply): GatewayError | null {
    return request.verb === 'POST' ? this.#post(request, reply) : this.#onSession(request, reply);
  }

  #post(request: UpstreamRequest, reply: Reply): GatewayError | null {
    const messages = this.#messagesOf(request);
    if (messages instanceof GatewayError) return messages;
    const asks = messages.some((message) => place(message.envelope, ENVELOPE.kind) === KIND.request);
    // While draining, answers to the server's questions still pass: calls under way may need them to end.
    if (asks && this.#closing !== null) return this.#closing;
    const firstByteMs = firstByteBoundMs(this.#core.spec, request);
    const [first] = messages;
    if (request.session !== null) {
      const session = this.#byId.get(request.session);
      session?.post(messages, reply, firstByteMs);
      return session === undefined ? new GatewayError('GW_SESSION_UNKNOWN') : null;
    }
    if (!asks || first === undefined || messages.length > 1) return new GatewayError('GW_SESSION_MISSING');
    const { endpoint } = request.client;
    if (isMethod(first, METHOD.initialize)) return this.#open(first, reply, { firstByteMs, endpoint });
    return isMethod(first, METHOD.ping) ? this.#pong(first, reply) : new GatewayError('GW_SESSION_MISSING');
  }

  /** Whoever sent the request may reuse its envelope once its client has left; a message may wait here for longer. */
  #messagesOf(request: UpstreamRequest): readonly Message[] | GatewayError {
    const { envelope, body, edits, headers } = request;
    if (envelope !== null) return [{ body, envelope: envelope.slice(), edits, headers }];
    const messages = splitBatch(this.#core.scanner, body);
    return messages instanceof GatewayError ? messages : messages.map((message) => ({ ...message, headers }));
  }

  /** GET and DELETE. */
  #onSession(request: UpstreamRequest, reply: Reply): GatewayError | null {
    if (request.session === null) return new GatewayError('GW_SESSION_MISSING');
    const session = this.#byId.get(request.session);
    if (session === undefined) return new GatewayError('GW_SESSION_UNKNOWN');
    if (request.verb === 'DELETE') {
      session.end(new GatewayError('GW_SESSION_ENDED'));
      reply.empty(200);
      return null;
    }
    if (this.#closing === null) session.listen(reply);
    return this.#closing;
  }

  /** A ping outside any session asks about the gateway, not about a connection that would have to be opened for it. */
  #pong(ping: Message, reply: Reply): null {
    const id = spanOf(ping.body, ping.envelope, ENVELOPE.id);
    if (id !== null) reply.answer(response(id, '"result":{}'), [], 200, null);
    return null;
  }

  #open(
    initialize: Message,
    reply: Reply,
    { firstByteMs, endpoint }: { readonly firstByteMs: number; readonly endpoint: string },
  ): GatewayError | null {
    const { sessionsMax, sessionIdleMs } = this.#bounds;
    if (this.#all.size >= sessionsMax) return new GatewayError('GW_SESSION_LIMIT', `${sessionsMax} are open`);
    const { length } = initialize.body;
    if (length > LIMITS.initializeBytesMax) {
      const detail = `an initialize that is kept may have ${LIMITS.initializeBytesMax} bytes, this one has ${length}`;
      return new GatewayError('GW_SERVER_BODY_SIZE', detail);
    }
    const { random, clock } = this.#core.runtime;
    let id = '';
    const session = this.#begin({
      onOpen: (opened) => {
        id = random.bytes(SESSION_ID_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true });
        this.#byId.set(id, opened);
        this.#watchIdle(opened, sessionIdleMs);
        this.#core.changed();
        return id;
      },
      onEnd: (ended) => {
        this.#byId.delete(id);
        this.#all.delete(ended);
      },
    });
    this.#all.set(session, { endpoint, atMs: clock.now() });
    session.initialize(initialize, reply, firstByteMs);
    return null;
  }

  #watchIdle(session: ClientSession, afterMs: number): void {
    this.#core.deadlines.set(afterMs, () => {
      if (!this.#all.has(session)) return;
      const leftMs = this.#bounds.sessionIdleMs - session.idleMs();
      if (leftMs > 0) return this.#watchIdle(session, leftMs);
      this.#core.log.info('ended an idle session');
      session.end(new GatewayError('GW_SESSION_UNKNOWN', 'it was idle for too long'));
    });
  }

  /** Every session, for somebody who looks. */
  live(kind: SessionKind): LiveSession[] {
    const nowMs = this.#core.runtime.clock.now();
    const servers = [this.#core.spec.name];
    return [...this.#all].map(([session, { endpoint, atMs }]) => ({
      ...{ self: session, kind, endpoint, servers, startedAtMs: atMs },
      lastUsedAtMs: nowMs - session.idleMs(),
      running: session.awaited + session.waiting,
      end: () => session.end(new GatewayError('GW_SESSION_ENDED')),
    }));
  }

  /** Takes no new calls; streams end, which never end by themselves. */
  drain(error: GatewayError): void {
    this.#closing ??= error;
    for (const session of this.#all.keys()) session.endStream();
  }

  /** Ends every session; connections get a grace in ms. */
  end(error: GatewayError, graceMs: number): void {
    for (const session of [...this.#all.keys()]) session.end(error, graceMs, graceMs);
  }
}
