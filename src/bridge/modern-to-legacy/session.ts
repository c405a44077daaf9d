// One session that the gateway keeps at a legacy server: its life, its own event stream, and who hears what comes outside of calls.
// Called by pool.ts (makes it), call.ts and listen.ts (use it). Promises: one opening serves everyone who waits; a session that the server lost is had
// again at its next use; what a server asks reaches the call that it belongs to, or is answered here.
import { decode } from '../../base/bytes.ts';
import { GatewayError, RPC, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { isRecord, kindOf, type Message, raw, rawKey, text } from '../../mcp/envelope.ts';
import { LEGACY_VERSIONS, LOG_LEVELS, METHOD } from '../../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import type { Draft } from '../member.ts';
import { SessionChannel } from './channel.ts';
import type { ToolFacts } from './facts.ts';
import type { Listener, ReplyReader } from './reading.ts';
import { type Refusal, refusalOf } from './reply.ts';
import type { HeldSession, SessionWatcher } from './sessions.ts';
import { type Life, lifeOf, NAMELESS, type SessionOwner, type SessionTools, Talk } from './talk.ts';

/** A call of a session, as the session sees it. */
export interface SessionCall {
  /** What the server's progress notifications about it bear. */
  readonly token: string;
  /** True while what a server asks without saying why may be about this call. */
  readonly canBeAsked: boolean;
  /** Least level of log messages that its client wants, of LOG_LEVELS; -1: none. */
  readonly level: number;
  /** True while its client is slow to read. */
  readonly isBehind: boolean;
  /** A request or a notification of the server that is about this call. False asks for a pause. */
  hear(message: Message): boolean;
}

/** What the gateway calls itself: a session serves many clients, so it bears none of their names. */
const CLIENT_INFO = Object.freeze({ name: 'sluice', version: '0.1.0' });
const NOTHING: Readonly<Record<string, unknown>> = Object.freeze({});

/** One session; the same object before and after it was lost and had again. */
export class UpstreamSession implements HeldSession {
  readonly owner: SessionOwner;
  /** What is known of the server's tools, as this kind of client sees them. */
  readonly facts: ToolFacts;
  readonly calls = new Set<SessionCall>();
  /** The call that has the session to itself, where the server does not say which call it means (stdio). */
  alone: SessionCall | null = null;
  usedAtMs: number;
  readonly #tools: SessionTools;
  readonly #talk: Talk;
  readonly #channel: SessionChannel;
  readonly #watchers = new Set<SessionWatcher>();
  #opening: Promise<Refusal | null> | null = null;
  #wasLost = false;
  #isOver = false;
  #holds = 0;
  #level = -1;

  constructor(tools: SessionTools, owner: SessionOwner, facts: ToolFacts) {
    this.#tools = tools;
    this.owner = owner;
    this.facts = facts;
    this.usedAtMs = tools.clock.now();
    this.#talk = new Talk(tools, owner, {
      onMessage: (message) => this.take(message, null),
      onLost: (life) => this.lose(life),
    });
    this.#channel = new SessionChannel(tools, {
      connect: (lastEventId, sink) => this.#talk.listen(lastEventId, sink),
      onMessage: (message) => void this.take(message, null),
      onReturn: () => this.#tellRenewed(),
      onLost: () => this.lose(this.life),
    });
  }

  get result(): Readonly<Record<string, unknown>> {
    return this.life?.result ?? NOTHING;
  }

  get serverInfo(): Uint8Array {
    return this.life?.serverInfo ?? NAMELESS;
  }

  /** Null while it is not open. Whoever remembers it can say later which of the session's lives was lost. */
  get life(): Life | null {
    return this.#talk.life;
  }

  /** True while nobody uses it. */
  get idle(): boolean {
    return this.calls.size === 0 && this.#holds === 0 && this.#watchers.size === 0 && this.#opening === null;
  }

  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    this.usedAtMs = this.#tools.clock.now();
  }

  // ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Opens it unless it is open; resolves with what went wrong, or null. One attempt serves all who wait. */
  open(): Promise<Refusal | null> {
    if (this.#isOver) return Promise.resolve(refusalOf(new GatewayError('GW_UPSTREAM_CLOSING')));
    if (this.life !== null) return Promise.resolve(null);
    this.#opening ??= this.#initialize()
      .catch((thrown: unknown) => refusalOf(toGatewayError(thrown)))
      .finally(() => {
        this.#opening = null;
      });
    return this.#opening;
  }

  async #initialize(): Promise<Refusal | null> {
    const { capabilities } = this.owner;
    const params = { protocolVersion: LEGACY_VERSIONS[0], capabilities, clientInfo: CLIENT_INFO };
    const reply = await this.#talk.ask(METHOD.initialize, params);
    if ('error' in reply) return reply;
    const life = lifeOf(reply);
    if (life instanceof GatewayError) return refusalOf(life);
    this.#talk.life = life;
    this.#level = -1;
    await this.#talk.tell(`{"jsonrpc":"2.0","method":"${METHOD.initialized}"}`, LIMITS.memberTimeoutMs);
    // Whoever waits would only have it opened again, without an end.
    if (this.life !== life && !this.#isOver)
      return refusalOf(new GatewayError('GW_UPSTREAM_CLOSED', 'it loses every session at once'));
    if (this.#isOver) {
      await this.#talk.end();
      return refusalOf(new GatewayError('GW_UPSTREAM_CLOSING'));
    }
    if (this.#wantsChannel) this.#channel.open();
    if (this.#wasLost) this.#tellRenewed();
    this.#wasLost = false;
    return null;
  }

  /** The server does not know the session any more. `life` is the one it was used in: when another has begun meanwhile, nothing is to be done. */
  lose(life: Life | null): void {
    if (life === null || this.life !== life) return;
    this.#talk.life = null;
    this.#wasLost = true;
    this.#channel.close();
    // Who watches cannot know that anything is missing: the session is had again at once.
    if (this.#watchers.size > 0) void this.open().then((no) => no && this.#endWatchers(no.error));
  }

  #tellRenewed(): void {
    for (const watcher of [...this.#watchers]) watcher.onRenewed();
  }

  #endWatchers(error: GatewayError | null): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.onOver(error);
  }

  /** Ends it here and at the server. */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#channel.close();
    this.#endWatchers(null);
    await this.#talk.end();
  }

  /** Besides who watches: a server may ask there in the middle of a call. A process says everything on the call's own stream. */
  get #wantsChannel(): boolean {
    const canAsk = canBeAsked(this.owner.capabilities) && this.#tools.inner.isPiped?.() !== true;
    return canAsk || this.#watchers.size > 0;
  }

  // ── to the server ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A number that no other message of this session bears: id of a request, and its progress token. */
  nextId(): number {
    return this.#talk.nextId();
  }

  /** A reader of a reply in this session. `asked` is the id that the response bears. */
  reader(asked: Uint8Array, listener: Listener): ReplyReader {
    return this.#talk.reader(asked, listener);
  }

  /** Posts a client's request; `more` are headers that only this one bears. */
  post(draft: Draft, request: UpstreamRequest, more: readonly string[], reader: ReplyReader): void {
    this.#talk.post(draft, request, more, reader);
  }

  /** Takes up a call's event stream behind an event. */
  resume(lastEventId: string, reader: ReplyReader): void {
    reader.start(this.#talk.listen(lastEventId, reader));
  }

  /** Sends a notification or an answer; resolves once the server has it. False: it does not. */
  tell(message: string): Promise<boolean> {
    return this.#talk.tell(message);
  }

  async ask(method: string, params: Readonly<Record<string, unknown>>): Promise<Message | GatewayError> {
    this.hold();
    try {
      for (let attempt = 0; ; attempt++) {
        const refusal = await this.open();
        if (refusal !== null) return refusal.error;
        const reply = await this.#talk.ask(method, params);
        if (!('error' in reply)) return reply.message;
        if (reply.error.code !== 'GW_SESSION_UNKNOWN' || attempt > 0) return reply.error;
      }
    } finally {
      this.release();
    }
  }

  /** Has the server send log messages of the lowest level that a running call wants; null when it does already. */
  setLevel(): Promise<unknown> | null {
    const { capabilities } = this.result;
    if (!isRecord(capabilities) || capabilities.logging === undefined) return null;
    const wanted = [...this.calls].map((call) => call.level).filter((level) => level >= 0);
    const lowest = wanted.length === 0 ? this.#level : Math.min(...wanted);
    if (lowest === this.#level) return null;
    this.#level = lowest;
    return this.ask(METHOD.setLevel, { level: LOG_LEVELS[lowest] }).then((reply) => {
      if (reply instanceof GatewayError) this.#level = -1;
    });
  }

  // ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A request or a notification of the server; `call` is the one on whose stream it came, null for any other. False asks for a pause. */
  take(message: Message, call: SessionCall | null): boolean {
    const kind = kindOf(message.envelope);
    if (kind !== KIND.request && kind !== KIND.notification) return true;
    const method = text(message.bytes, message.envelope, ENVELOPE.method) ?? '';
    if (kind === KIND.request) return this.#asked(message, method, call);
    if (method === METHOD.toolsChanged) this.facts.forget();
    const isOfSession = method.endsWith('/list_changed') || method === METHOD.resourceUpdated;
    const concerned = isOfSession ? null : this.#concernedBy(message, method, call);
    if (call !== null && concerned === call) return call.hear(message);
    if (concerned !== null) {
      // What comes about a call by another way than its own cannot wait for its client, and nobody else waits for it.
      if (!concerned.isBehind) concerned.hear(message);
      return true;
    }
    for (const watcher of [...this.#watchers]) watcher.onNotification(message);
    return true;
  }

  #concernedBy(message: Message, method: string, call: SessionCall | null): SessionCall | null {
    if (method !== METHOD.progress) return this.alone ?? call;
    const token = rawKey(message.bytes, message.envelope, ENVELOPE.progressToken);
    if (call?.token === token) return call;
    for (const other of this.calls) if (other.token === token) return other;
    return null;
  }

  #asked(message: Message, method: string, call: SessionCall | null): boolean {
    if (method === METHOD.ping) {
      this.#answer(message, '"result":{}');
      return true;
    }
    const concerned = this.alone ?? call ?? this.#onlyOne();
    if (concerned === null) this.refuse(message, 'it belongs to no call that runs');
    else concerned.hear(message);
    return true;
  }

  /** Many servers ask on the session's own stream in the middle of a call: with one call under way it can only be that one. */
  #onlyOne(): SessionCall | null {
    const able = [...this.calls].filter((call) => call.canBeAsked);
    return able.length === 1 ? (able[0] ?? null) : null;
  }

  /** Answers a server's request; `outcome` is the raw `"result":…` or `"error":…` member. */
  #answer({ bytes, envelope }: Message, outcome: string): void {
    const id = raw(bytes, envelope, ENVELOPE.id);
    if (id !== null) void this.tell(`{"jsonrpc":"2.0","id":${decode(id)},${outcome}}`);
  }

  /** Answers a server's request that nobody can be asked. */
  refuse(message: Message, why: string): void {
    const error = { code: RPC.methodNotFound, message: `Cannot ask the client: ${why}` };
    this.#answer(message, `"error":${JSON.stringify(error)}`);
  }

  watch(watcher: SessionWatcher): () => void {
    this.#watchers.add(watcher);
    if (this.life !== null) this.#channel.open();
    return () => {
      this.#watchers.delete(watcher);
      this.usedAtMs = this.#tools.clock.now();
      if (!this.#wantsChannel) this.#channel.close();
    };
  }
}

/** True for clients that a server may ask something, by what they declare. */
export function canBeAsked({ elicitation, sampling, roots }: SessionOwner['capabilities']): boolean {
  return elicitation !== undefined || sampling !== undefined || roots !== undefined;
}
