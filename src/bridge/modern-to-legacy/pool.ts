// All sessions at one legacy server: who may share which, how many there are, and who waits for one.
// Called by face.ts. Promises: sessions are shared only under the same principal, credentials and capabilities; where a server cannot say which call it
// means (stdio), a call that it may ask about has a session to itself; bounded in number, idle ones end; nobody waits longer than asked for.
import { decode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { objectAt, raw } from '../../mcp/envelope.ts';
import { legacyCapabilities } from '../../mcp/to-modern.ts';
import type { LiveSession } from '../../observe/ledger.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { ServerSpec } from '../../upstream/spec.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import type { FaceBounds } from '../face.ts';
import { credentialsOf } from './client-headers.ts';
import { ToolFacts } from './facts.ts';
import { type Refusal, refusalOf } from './reply.ts';
import { canBeAsked, UpstreamSession } from './session.ts';
import type { HeldSession, SessionSource } from './sessions.ts';
import type { SessionTools } from './talk.ts';

/** Who wants a session for a call. */
export interface Taker {
  /** True for calls in which a server may ask something. */
  readonly mayBeAsked: boolean;
  /** True when the server is to send log messages about the call. */
  readonly wantsLog: boolean;
  /** A session, not necessarily open, shared or not; it is given back through SessionPool.giveBack(). */
  onSession(session: UpstreamSession, isAlone: boolean): void;
  onNone(refusal: Refusal): void;
}

interface Waiting {
  readonly taker: Taker;
  readonly timer: TimerId;
}

/** Sessions that may stand for one another. */
interface Group {
  readonly key: string;
  readonly sessions: UpstreamSession[];
  readonly waiting: Waiting[];
  readonly facts: ToolFacts;
}

/** Where a session belongs, and since when, on the clock. */
interface Home {
  readonly group: Group;
  readonly sinceMs: number;
}

/** Spellings of capability sets that are remembered; clients have one each. */
const SPELLINGS_MAX = 256;
const SPELLING_CHARS_MAX = 4_096;

/** The sessions of one worker at one server. */
export class SessionPool implements SessionSource {
  readonly #tools: SessionTools;
  readonly #spec: ServerSpec;
  readonly #bounds: FaceBounds;
  readonly #groups = new Map<string, Group>();
  readonly #homes = new Map<UpstreamSession, Home>();
  /** Raw capabilities → what `initialize` declares, in one spelling. */
  readonly #declared = new Map<
    string,
    { readonly key: string; readonly capabilities: Record<string, unknown> }
  >();
  #isClosing = false;
  /** Sessions that end once their calls have, and who waits for that. */
  readonly #leaving = new Map<UpstreamSession, () => void>();

  constructor(tools: SessionTools, spec: ServerSpec, bounds: FaceBounds) {
    this.#tools = tools;
    this.#spec = spec;
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#homes.size;
  }

  /** Finds a session for a call, now or within the request's deadline. Returns what withdraws the wish while nothing has come of it. */
  lease(request: UpstreamRequest, taker: Taker): () => void {
    const group = this.#groupOf(request);
    const isAlone = this.#isForOne(request, taker);
    const session = this.#find(group, request, isAlone);
    if (session instanceof UpstreamSession) taker.onSession(session, isAlone);
    else if (session === null) return this.#wait(group, request, taker);
    else this.#tools.clock.soon(() => taker.onNone(refusalOf(session)));
    return () => undefined;
  }

  async hold(request: UpstreamRequest): Promise<HeldSession | GatewayError> {
    const session = await this.open(request);
    return 'result' in session ? session : session.error;
  }

  /** As hold(), with all that a server said in refusing. */
  async open(request: UpstreamRequest): Promise<HeldSession | Refusal> {
    const session = this.#find(this.#groupOf(request), request, false);
    if (session === null) return refusalOf(new GatewayError('GW_UPSTREAM_BUSY'));
    if (session instanceof GatewayError) return refusalOf(session);
    session.hold();
    const refusal = await session.open();
    if (refusal !== null) session.release();
    return refusal ?? session;
  }

  /** A call is over: its session serves the next that waits. */
  giveBack(session: UpstreamSession): void {
    session.usedAtMs = this.#tools.clock.now();
    const group = this.#homes.get(session)?.group;
    if (group === undefined || session.calls.size > 0) return;
    this.#leaving.get(session)?.();
    const next = group.waiting.shift();
    if (next === undefined) return;
    this.#tools.clock.cancel(next.timer);
    next.taker.onSession(session, true);
  }

  // ── which session ────────────────────────────────────────────────────────────────────────────────────────────────

  #groupOf(request: UpstreamRequest): Group {
    const { principal } = request.client;
    // A header's value holds no line end, and the length tells where the principal ends.
    const parts = [principal.length, principal, ...credentialsOf(request), this.#declaredBy(request).key];
    const key = parts.join('\n');
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: Group = { key, sessions: [], waiting: [], facts: new ToolFacts(this.#spec.policy) };
    this.#groups.set(key, group);
    return group;
  }

  #declaredBy({ body, envelope }: UpstreamRequest): {
    readonly key: string;
    readonly capabilities: Record<string, unknown>;
  } {
    const at = envelope === null ? null : raw(body, envelope, ENVELOPE.metaClientCapabilities);
    if (at !== null && at.length > LIMITS.initializeBytesMax)
      throw new GatewayError(
        'GW_MCP_META',
        `clientCapabilities has ${at.length} bytes, at most ${LIMITS.initializeBytesMax} are taken`,
      );
    const spelling = at === null ? '{}' : decode(at);
    const known = this.#declared.get(spelling);
    if (known !== undefined) return known;
    const modern = envelope === null ? {} : objectAt(body, envelope, ENVELOPE.metaClientCapabilities);
    const capabilities = legacyCapabilities(modern);
    const declared = { key: JSON.stringify(sorted(capabilities)), capabilities };
    // Longer ones are rare, and would be kept for long.
    if (spelling.length > SPELLING_CHARS_MAX) return declared;
    if (this.#declared.size >= SPELLINGS_MAX) this.#declared.clear();
    this.#declared.set(spelling, declared);
    return declared;
  }

  /** A pipe (stdio, HTTP+SSE) does not say which call it means: a call that it may say something about has it to itself. */
  #isForOne(request: UpstreamRequest, { mayBeAsked, wantsLog }: Taker): boolean {
    if (this.#tools.inner.isPiped?.() !== true || !mayBeAsked) return false;
    return wantsLog || canBeAsked(this.#declaredBy(request).capabilities);
  }

  /** A session to use at once; null: all are taken, and one more would be too many. */
  #find(group: Group, request: UpstreamRequest, isAlone: boolean): UpstreamSession | GatewayError | null {
    if (this.#isClosing) return new GatewayError('GW_UPSTREAM_CLOSING');
    const found = isAlone
      ? group.sessions.find((session) => session.calls.size === 0)
      : (group.sessions.find((session) => session.alone === null) ?? group.sessions[0]);
    if (found !== undefined) return found;
    if (group.sessions.length >= LIMITS.bridgeChildrenMax) return null;
    return this.#makeRoom(request.client.principal) ?? this.#add(group, request);
  }

  #add(group: Group, request: UpstreamRequest): UpstreamSession {
    const { capabilities } = this.#declaredBy(request);
    const credentials = credentialsOf(request);
    const session = new UpstreamSession(
      this.#tools,
      { client: request.client, credentials, capabilities },
      group.facts,
    );
    // Making room may have taken the group's last session, and the group with it.
    this.#groups.set(group.key, group);
    group.sessions.push(session);
    this.#homes.set(session, { group, sinceMs: session.usedAtMs });
    return session;
  }

  /** Ends the idlest session of a full house; what is wrong when all are in use. */
  #makeRoom(principal: string): GatewayError | null {
    const all = [...this.#homes.keys()];
    const own = principal === '' ? [] : all.filter((session) => session.owner.client.principal === principal);
    const isFull = all.length >= this.#bounds.sessionsMax;
    if (!isFull && own.length < LIMITS.bridgeSessionsMax) return null;
    const idle = (isFull ? all : own).filter((session) => session.idle);
    const [oldest] = idle.sort((one, other) => one.usedAtMs - other.usedAtMs);
    if (oldest === undefined) {
      const count = isFull ? `${all.length} sessions` : `${own.length} sessions of this client`;
      return new GatewayError('GW_SESSION_LIMIT', `${count} at "${this.#spec.name}" are in use`);
    }
    void this.#end(oldest);
    return null;
  }

  #wait(group: Group, request: UpstreamRequest, taker: Taker): () => void {
    const { clock } = this.#tools;
    const { queueDepthMax, firstByteTimeoutMs } = this.#spec;
    const busy = (): Refusal =>
      refusalOf(
        new GatewayError(
          'GW_UPSTREAM_BUSY',
          `all ${group.sessions.length} processes that may ask this client run a call`,
        ),
      );
    if (group.waiting.length >= queueDepthMax) {
      clock.soon(() => taker.onNone(busy()));
      return () => undefined;
    }
    const withdraw = (): boolean => {
      const at = group.waiting.indexOf(waiting);
      if (at >= 0) group.waiting.splice(at, 1);
      clock.cancel(waiting.timer);
      return at >= 0;
    };
    const timer = clock.after(request.timeoutMs > 0 ? request.timeoutMs : firstByteTimeoutMs, () => {
      if (withdraw()) taker.onNone(busy());
    });
    const waiting: Waiting = { taker, timer };
    group.waiting.push(waiting);
    return () => void withdraw();
  }

  /** Every session, for somebody who looks. */
  live(): LiveSession[] {
    const servers = [this.#spec.name];
    return [...this.#homes].map(([session, { sinceMs }]) => ({
      ...{ self: session, kind: 'bridged', servers },
      endpoint: session.owner.client.endpoint,
      startedAtMs: sinceMs,
      lastUsedAtMs: session.usedAtMs,
      running: session.calls.size,
      end: () => void this.#end(session),
    }));
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #end(session: UpstreamSession): Promise<void> {
    const group = this.#homes.get(session)?.group;
    this.#homes.delete(session);
    this.#leaving.delete(session);
    if (group !== undefined) {
      group.sessions.splice(group.sessions.indexOf(session), 1);
      if (group.sessions.length === 0 && group.waiting.length === 0) this.#groups.delete(group.key);
    }
    return session.close();
  }

  /** Ends what has been idle for too long. */
  sweep(): void {
    const oldest = this.#tools.clock.now() - this.#bounds.sessionIdleMs;
    for (const group of [...this.#groups.values()]) {
      for (const session of [...group.sessions])
        if (session.idle && session.usedAtMs < oldest) void this.#end(session);
      if (group.sessions.length === 0 && group.waiting.length === 0) this.#groups.delete(group.key);
    }
  }

  /** Takes no more calls, and ends every session here and at the server: as soon as it has no calls, and at the latest after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    this.#isClosing = true;
    for (const { timer, taker } of [...this.#groups.values()].flatMap(({ waiting }) => waiting.splice(0))) {
      this.#tools.clock.cancel(timer);
      taker.onNone(refusalOf(new GatewayError('GW_UPSTREAM_CLOSING')));
    }
    await Promise.all([...this.#homes.keys()].map((session) => this.#leave(session, withinMs)));
  }

  async #leave(session: UpstreamSession, withinMs: number): Promise<void> {
    if (session.calls.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#tools.clock.after(withinMs, resolve);
      this.#leaving.set(session, resolve);
      await promise;
      this.#tools.clock.cancel(timer);
    }
    await this.#end(session);
  }
}

/** The same value with keys in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
