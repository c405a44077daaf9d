// A cache of what a server answers to modern clients: discovery, lists, resources and, where the configuration asks for it, results of tools.
// Called by worker/members.ts, which puts it around everything else that belongs to a server. Promises: the contract of upstream.ts; an answer is served only for as
// long as its server said, to whom it said, unless the server is down; what its server tells of changes counts at once; any other request costs one comparison.
// Source: MCP 2026-07-28, caching.
import { RPC } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { kindOf, type Message, readMessage } from '../mcp/envelope.ts';
import { errorCode } from '../mcp/error-edits.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Caching } from '../mcp/to-modern.ts';
import type { Ledger } from '../observe/ledger.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import type { CacheSettings, ServerSpec } from '../upstream/spec.ts';
import type {
  CacheStats,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from '../upstream/upstream.ts';
import { isContinued } from './asked.ts';
import { Flight, type FlightOwner, idOf } from './cache-flight.ts';
import { ASKS, type Asks, asksOf, type CacheKey, flightId, keyOf, settledOf } from './cache-key.ts';
import { WatchedListen } from './cache-listen-stream.ts';
import { CacheListens } from './cache-listens.ts';
import { type Cacheable, cacheableCall, cacheableResult } from './cache-reply.ts';
import { CacheStore } from './cache-store.ts';
import { CachedTools } from './cache-tools.ts';
import { Answers } from './cache-waiter.ts';
import { Layer } from './layer.ts';

/** What a cache takes. */
export interface CacheParts {
  readonly spec: Pick<ServerSpec, 'cache'> & Partial<Pick<ServerSpec, 'target'>>;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly random: Random;
  /** What the endpoint of a path says of the cache, null for nothing; left out: no endpoint says anything. */
  readonly cachingOf?: (path: string) => boolean | null;
  /** Knows how to have it forget everything; left out: nobody can. */
  readonly ledger?: Ledger | undefined;
}

/** Puts a cache around an upstream, if its configuration wants one. */
export function withCache(inner: Upstream, parts: CacheParts): Upstream {
  const settings = parts.spec.cache ?? null;
  return settings === null ? inner : new CacheLayer(inner, parts, settings);
}

const BAD_REQUEST = 400;

class CacheLayer extends Layer implements FlightOwner {
  readonly #parts: CacheParts;
  readonly #isOptIn: boolean;
  readonly #staleOnErrorMs: number;
  readonly #unsaid: Caching;
  readonly #store: CacheStore;
  readonly #tools: CachedTools;
  readonly #listens: CacheListens;
  readonly #answers: Answers;
  /** Calls under way that others may join. */
  readonly #flights = new Map<string, Flight>();
  /** Until when nobody waits for another's answer to a question, since it is for one alone. */
  readonly #unshared = new Map<string, number>();
  /** A longer reply is not looked at. */
  readonly #replyBytesMax: number;
  #isClosed = false;
  #hits = 0;
  #misses = 0;
  #shared = 0;
  #stale = 0;

  constructor(inner: Upstream, parts: CacheParts, settings: CacheSettings) {
    super(inner);
    const { scanner, clock, random, spec } = parts;
    const { target } = spec;
    this.#parts = parts;
    this.#isOptIn = settings.isOptIn === true;
    this.#staleOnErrorMs = settings.staleOnErrorMs;
    this.#unsaid = { ttlMs: settings.defaultTtlMs, cacheScope: settings.defaultScope };
    this.#store = new CacheStore(settings.bytesMax);
    this.#tools = new CachedTools(settings.tools);
    this.#answers = new Answers(clock);
    this.#replyBytesMax = Math.min(settings.bytesMax, LIMITS.messageBytesMax);
    parts.ledger?.add({ purge: () => this.#purge() });
    this.#listens = new CacheListens({
      ...{ inner, scanner, clock, random },
      store: this.#store,
      idleMs: target?.kind === 'stdio' ? target.keep.idleMs : 0,
      onOutdated: (isConcerned, method) => {
        if (method === METHOD.toolsChanged) this.#tools.forget();
        this.#outdate(isConcerned);
      },
    });
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { envelope } = request;
    if (request.era === 'legacy' || envelope === null) return this.#pass(request, sink);
    const asks = asksOf(request.body, envelope);
    if (asks === ASKS.nothing || (asks === ASKS.call && this.#tools.isEmpty))
      return this.#pass(request, sink);
    const isWanted = this.#parts.cachingOf?.(request.client.endpoint) ?? !this.#isOptIn;
    return isWanted ? this.#serve(asks, request, sink) : this.#pass(request, sink);
  }

  #serve(asks: Asks, request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { envelope } = request;
    const isRequest = request.verb === 'POST' && envelope !== null && kindOf(envelope) === KIND.request;
    if (!isRequest || this.#isClosed) return this.#pass(request, sink);
    if (asks === ASKS.listen)
      return this.#pass(request, new WatchedListen(sink, this.#parts.scanner, this.#onChanged));
    const settled = isContinued(request) ? null : settledOf(this.#parts.scanner, request);
    const key = settled === null ? null : keyOf(asks, settled);
    if (settled === null || key === null || !this.#isCacheable(key)) return this.#pass(request, sink);
    const nowMs = this.#parts.clock.now();
    const entry = this.#store.fresh(key, nowMs);
    if (entry === null) return this.#fetch(key, settled, sink, nowMs);
    this.#hits++;
    if (request.marks !== undefined) request.marks.isCached = true;
    return this.#answers.give(settled, sink, entry.reply.render(idOf(settled), entry.expiresAtMs - nowMs));
  }

  #pass(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    this.#listens.used();
    return this.inner.send(request, sink);
  }

  #isCacheable({ asks, subject, partition }: CacheKey): boolean {
    return asks !== ASKS.call || this.#tools.ttlMs(subject ?? '', partition) > 0;
  }

  /** Nothing is kept: the server is asked, unless it is being asked this very thing for the same client. */
  #fetch(key: CacheKey, request: UpstreamRequest, sink: UpstreamSink, nowMs: number): UpstreamCall {
    const id = flightId(key);
    const flight = this.#flights.get(id);
    // Who wants an answer sooner than others does not wait for theirs.
    const isImpatient = request.timeoutMs > 0;
    if (flight !== undefined && !isImpatient) {
      this.#shared++;
      request.marks?.sent(nowMs);
      return flight.join(request, sink);
    }
    this.#misses++;
    if (isImpatient || this.#isUnshared(id, nowMs)) return this.#pass(request, sink);
    this.#listens.used();
    const listen = this.#listens.of(key.partition);
    const made = new Flight(
      {
        ...{ inner: this.inner, scanner: this.#parts.scanner, owner: this, key },
        guard: listen?.covers(key) === true ? listen : null,
        epoch: listen?.epoch ?? 0,
        bytesMax: this.#replyBytesMax,
      },
      request,
      sink,
    );
    this.#flights.set(id, made);
    return made.start();
  }

  #isUnshared(id: string, nowMs: number): boolean {
    const untilMs = this.#unshared.get(id);
    if (untilMs === undefined) return false;
    if (untilMs > nowMs) return true;
    this.#unshared.delete(id);
    return false;
  }

  // ── from the flights ─────────────────────────────────────────────────────────────────────────────────────────────────

  onAnswer(flight: Flight, message: Message): Cacheable | null {
    const { key } = flight.plan;
    if (kindOf(message.envelope) === KIND.error) {
      // A cursor that the server does not know (any more): the list has changed since its pages were kept.
      if (key.isPage && errorCode(message) === RPC.invalidParams) this.#dropPages(key);
      return null;
    }
    const found = this.#judge(key, message);
    if (key.asks === ASKS.tools) this.#tools.learn(message, found?.scope === 'public' ? null : key.partition);
    if (found === null) this.#unshare(key);
    else if (!flight.isOutdated) this.#keep(flight, found);
    return found;
  }

  onRefused({ plan }: Flight, status: number): void {
    if (status === BAD_REQUEST && plan.key.isPage) this.#dropPages(plan.key);
  }

  staleFor({ plan }: Flight, id: Uint8Array): Uint8Array | null {
    const entry = this.#store.stale(plan.key, this.#parts.clock.now());
    if (entry === null) return null;
    this.#stale++;
    return entry.reply.renderStale(id);
  }

  onClosed(flight: Flight): void {
    const id = flightId(flight.plan.key);
    if (this.#flights.get(id) === flight) this.#flights.delete(id);
  }

  #judge({ asks, subject, partition }: CacheKey, message: Message): Cacheable | null {
    if (asks === ASKS.call) {
      const ttlMs = this.#tools.ttlMs(subject ?? '', partition);
      return ttlMs > 0 ? cacheableCall(message, ttlMs) : null;
    }
    return cacheableResult(message, this.#unsaid, (bytes) => {
      const whole = readMessage(this.#parts.scanner, bytes);
      return 'bytes' in whole ? whole : null;
    });
  }

  #keep({ plan, request }: Flight, { reply, ttlMs, scope }: Cacheable): void {
    const { key } = plan;
    const nowMs = this.#parts.clock.now();
    const expiresAtMs = nowMs + ttlMs;
    const listen = this.#listens.of(key.partition);
    const isCovered = listen?.covers(key) === true;
    const isGuarded = isCovered && listen === plan.guard && listen.epoch === plan.epoch;
    // It was asked before the server began to tell of changes, and may have changed since.
    if (isCovered && !isGuarded) return;
    // What a tool said is no answer for another time.
    const staleMs = key.asks === ASKS.call ? 0 : this.#staleOnErrorMs;
    const isPublic = scope === 'public';
    const staleUntilMs = expiresAtMs + staleMs;
    this.#store.put({ key, isPublic, reply, expiresAtMs, staleUntilMs, isGuarded }, nowMs);
    this.#listens.need(key, request);
  }

  #unshare(key: CacheKey): void {
    // Forgetting all at once costs each of them one wait for another's answer.
    if (this.#unshared.size >= LIMITS.cacheUnsharedMax) this.#unshared.clear();
    this.#unshared.set(flightId(key), this.#parts.clock.now() + LIMITS.cacheUnsharedMs);
  }

  #dropPages({ asks, partition }: CacheKey): void {
    this.#store.dropList(asks, partition);
    this.#outdate((key) => key.asks === asks && key.partition === partition);
  }

  // ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onChanged = (method: string, uri: string | null): void => this.#listens.onChanged(method, uri);

  /** Nothing that was answered before is an answer any more. */
  #purge(): number {
    const { count } = this.#store;
    this.#store.clear();
    this.#tools.forget();
    this.#outdate(() => true);
    return count;
  }

  /** Whoever asks from now on does not join a call that was made before. */
  #outdate(isConcerned: (key: CacheKey) => boolean): void {
    for (const [id, flight] of this.#flights) {
      if (!isConcerned(flight.plan.key)) continue;
      flight.isOutdated = true;
      this.#flights.delete(id);
    }
  }

  // ── the layer ────────────────────────────────────────────────────────────────────────────────────────────────────────

  override stats(): UpstreamStats {
    const cache: CacheStats = {
      hits: this.#hits,
      misses: this.#misses,
      shared: this.#shared,
      stale: this.#stale,
      evictions: this.#store.evictions,
      entries: this.#store.count,
      bytes: this.#store.bytes,
    };
    return { ...this.inner.stats(), cache };
  }

  override sweep(): void {
    const nowMs = this.#parts.clock.now();
    this.#store.sweep(nowMs);
    this.#listens.sweep(nowMs);
    for (const [id, untilMs] of this.#unshared) if (untilMs <= nowMs) this.#unshared.delete(id);
    super.sweep();
  }

  override close(withinMs: number): Promise<void> {
    this.#isClosed = true;
    this.#listens.close();
    this.#store.clear();
    return super.close(withinMs);
  }
}
