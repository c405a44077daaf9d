// The subscriptions of one server's cache, one for each partition of it that keeps something.
// Called by cache.ts. Promises: bounded in number; none stays open for what nobody asks for any more; what was asked before a server told of changes is forgotten
// when it begins to, and ceases to hold when it stops.
import { LIMITS } from '../base/limits.ts';
import { METHOD } from '../mcp/protocol.ts';
import { covers } from '../mcp/subscriptions.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { ASKS, type CacheKey } from './cache-key.ts';
import { CacheListen, type ListenOwner, type ListenPlan } from './cache-listen.ts';
import { type CacheStore, type Entry, isInvalidatable } from './cache-store.ts';

/** What they are made of. */
export type ListensParts = Pick<ListenPlan, 'inner' | 'scanner' | 'clock' | 'random'> & {
  readonly store: CacheStore;
  /** Of a process that is ended when nothing has been asked of it for so long: then nothing is listened to there either; 0 = there is none. */
  readonly idleMs: number;
  /** A notification has come: calls that are under way for what `isConcerned` says bring what is out of date. */
  onOutdated(isConcerned: (key: CacheKey) => boolean, method: string): void;
};

/** All of one server. */
export class CacheListens implements ListenOwner {
  readonly #parts: ListensParts;
  readonly #byPartition = new Map<string, CacheListen>();
  #ids = 0;
  #usedAtMs = 0;

  constructor(parts: ListensParts) {
    this.#parts = parts;
  }

  /** The subscription of a partition; undefined when it has none. */
  of(partition: string): CacheListen | undefined {
    return this.#byPartition.get(partition);
  }

  /** The server is asked something for a client. */
  used(): void {
    if (this.#byPartition.size > 0) this.#usedAtMs = this.#parts.clock.now();
  }

  /** An answer to this request is kept: its partition has a subscription from now on, if there is room. */
  need(key: CacheKey, request: UpstreamRequest): void {
    if (!isInvalidatable(key.asks)) return;
    let listen = this.#byPartition.get(key.partition);
    if (listen === undefined) {
      if (this.#byPartition.size >= LIMITS.cacheListensMax) return;
      const { inner, scanner, clock, random } = this.#parts;
      const { partition } = key;
      listen = new CacheListen({ inner, scanner, clock, random, owner: this, partition }, request);
      this.#byPartition.set(partition, listen);
      this.used();
    }
    listen.need(key);
  }

  /** Ends those that are kept open for nothing, and forgets what only they vouch for. */
  sweep(nowMs: number): void {
    const used = new Set<string>();
    const { idleMs } = this.#parts;
    const isQuiet = idleMs > 0 && this.#usedAtMs <= nowMs - idleMs;
    this.#parts.store.each((entry) => {
      if (!isQuiet && isHeld(entry, nowMs) && entry.usedAtMs > nowMs - LIMITS.cacheIdleMs)
        used.add(entry.key.partition);
    });
    for (const [partition, listen] of this.#byPartition) {
      if (used.has(partition)) continue;
      listen.stop();
      this.#byPartition.delete(partition);
      this.#parts.store.dropIf((entry) => entry.isGuarded && entry.key.partition === partition);
    }
  }

  close(): void {
    for (const listen of this.#byPartition.values()) listen.stop();
    this.#byPartition.clear();
  }

  // ── from the subscriptions ───────────────────────────────────────────────────────────────────────────────────────────

  isNeeded(partition: string): boolean {
    const nowMs = this.#parts.clock.now();
    let isNeeded = false;
    this.#parts.store.each((entry) => {
      isNeeded ||= entry.key.partition === partition && isHeld(entry, nowMs);
    });
    return isNeeded;
  }

  urisOf(partition: string, countMax: number): readonly string[] {
    const uris: string[] = [];
    this.#parts.store.each(({ key }) => {
      if (key.partition === partition && key.asks === ASKS.read && key.subject !== null)
        uris.push(key.subject);
    });
    // Those used last are the ones to hear of.
    return uris.slice(-countMax);
  }

  nextId(): number {
    return ++this.#ids;
  }

  onCovered(listen: CacheListen): void {
    const { store } = this.#parts;
    store.dropIf(
      ({ key, isGuarded }) => !isGuarded && key.partition === listen.partition && listen.covers(key),
    );
  }

  onChanged(method: string, uri: string | null): void {
    const isConcerned = concernOf(method, uri);
    if (isConcerned === null) return;
    this.#parts.store.dropIf(({ key }) => isConcerned(key));
    this.#parts.onOutdated(isConcerned, method);
  }

  onGap(listen: CacheListen): void {
    const nowMs = this.#parts.clock.now();
    // What it vouched for ceases to hold, and may still stand in should the server be down.
    this.#parts.store.each((entry) => {
      if (entry.key.partition !== listen.partition) return;
      const aheadMs = entry.expiresAtMs - nowMs;
      if (aheadMs <= 0) return;
      entry.expiresAtMs -= aheadMs;
      entry.staleUntilMs -= aheadMs;
    });
  }
}

/** True for an answer that holds, and that its server may tell the changes of. */
function isHeld({ key, expiresAtMs }: Entry, nowMs: number): boolean {
  return expiresAtMs > nowMs && isInvalidatable(key.asks);
}

/** Which answers a notification makes void, whoever was told; null: none. */
function concernOf(method: string, uri: string | null): ((key: CacheKey) => boolean) | null {
  switch (method) {
    case METHOD.toolsChanged:
      return ({ asks }) => asks === ASKS.tools || asks === ASKS.call;
    case METHOD.promptsChanged:
      return ({ asks }) => asks === ASKS.prompts;
    case METHOD.resourcesChanged:
      return ({ asks }) => asks === ASKS.resources || asks === ASKS.templates;
    case METHOD.resourceUpdated:
      if (uri === null) return ({ asks }) => asks === ASKS.read;
      return ({ asks, subject }) =>
        asks === ASKS.read && subject !== null && (covers(subject, uri) || covers(uri, subject));
    default:
      return null;
  }
}
