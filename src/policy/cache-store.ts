// The answers that are kept of one server in one worker: found by what was asked and by whom, bounded in bytes, forgotten when they no longer hold.
// Called by cache.ts. Promises: an answer of one partition is never found by another; never more than the bytes allowed, what was used longest ago goes first; finding
// one allocates nothing.
import { ASKS, type Asks, type CacheKey } from './cache-key.ts';
import type { StoredReply } from './cache-reply.ts';

/** An answer as it is put in. Times are the clock's, in ms. */
export interface NewEntry {
  readonly key: CacheKey;
  /** True when it is everyone's. */
  readonly isPublic: boolean;
  readonly reply: StoredReply;
  readonly expiresAtMs: number;
  /** Until when it may stand in for a server that cannot be asked. */
  readonly staleUntilMs: number;
  /** True when its server tells of every change since before it was asked. */
  readonly isGuarded: boolean;
}

/** An answer that is kept. */
export class Entry {
  readonly key: CacheKey;
  readonly isPublic: boolean;
  readonly reply: StoredReply;
  readonly bytes: number;
  readonly isGuarded: boolean;
  expiresAtMs: number;
  staleUntilMs: number;
  usedAtMs: number;
  /** Neighbours in the order of their use. */
  older: Entry | null = null;
  newer: Entry | null = null;

  constructor(from: NewEntry, nowMs: number) {
    this.key = from.key;
    this.isPublic = from.isPublic;
    this.reply = from.reply;
    this.bytes = entryBytes(from);
    this.isGuarded = from.isGuarded;
    this.expiresAtMs = from.expiresAtMs;
    this.staleUntilMs = from.staleUntilMs;
    this.usedAtMs = nowMs;
  }
}

/** What an entry takes beside its text: the objects and the places in maps, generously. */
const ENTRY_BYTES = 1_024;

function entryBytes({ key, reply }: NewEntry): number {
  // Engines keep two bytes of most characters.
  return reply.bytes.length + 2 * (key.text.length + key.partition.length) + ENTRY_BYTES;
}

/** Answers to one question. */
interface Slot {
  everyones: Entry | null;
  readonly own: Map<string, Entry>;
}

/** All answers. */
export class CacheStore {
  readonly #bytesMax: number;
  readonly #slots = new Map<string, Slot>();
  #oldest: Entry | null = null;
  #newest: Entry | null = null;
  #bytes = 0;
  #count = 0;
  #evictions = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Answers that made room for others. */
  get evictions(): number {
    return this.#evictions;
  }

  /** The answer that still holds: the client's own, else everyone's; null when there is none. */
  fresh({ text, partition }: CacheKey, nowMs: number): Entry | null {
    const slot = this.#slots.get(text);
    if (slot === undefined) return null;
    const own = slot.own.size === 0 ? undefined : slot.own.get(partition);
    const found = own !== undefined && own.expiresAtMs > nowMs ? own : slot.everyones;
    if (found === null || found.expiresAtMs <= nowMs) return null;
    this.#use(found, nowMs);
    return found;
  }

  /** The answer that may stand in for the server, likewise. */
  stale({ text, partition }: CacheKey, nowMs: number): Entry | null {
    const slot = this.#slots.get(text);
    const own = slot?.own.get(partition);
    if (own !== undefined && own.staleUntilMs > nowMs) return own;
    const found = slot?.everyones ?? null;
    return found !== null && found.staleUntilMs > nowMs ? found : null;
  }

  /** Keeps an answer in place of the one before; one that is larger than all that may be kept is not. */
  put(from: NewEntry, nowMs: number): void {
    const slot = this.#slots.get(from.key.text) ?? { everyones: null, own: new Map<string, Entry>() };
    const { partition } = from.key;
    const own = slot.own.get(partition);
    // The server has changed its mind about whose it is: its last word counts, for this client.
    if (own !== undefined) this.#drop(own);
    if (slot.everyones !== null && (from.isPublic || slot.everyones.key.partition === partition))
      this.#drop(slot.everyones);
    const entry = new Entry(from, nowMs);
    if (entry.bytes > this.#bytesMax) return;
    this.#slots.set(from.key.text, slot);
    if (entry.isPublic) slot.everyones = entry;
    else slot.own.set(partition, entry);
    this.#bytes += entry.bytes;
    this.#count++;
    this.#append(entry);
    while (this.#bytes > this.#bytesMax && this.#oldest !== null) {
      this.#evictions++;
      this.#drop(this.#oldest);
    }
  }

  /** Forgets every answer that `isOut` says. */
  dropIf(isOut: (entry: Entry) => boolean): void {
    this.each((entry) => {
      if (isOut(entry)) this.#drop(entry);
    });
  }

  /** Forgets all answers to this kind of question, for everyone. */
  dropAll(asks: Asks): void {
    this.dropIf((entry) => entry.key.asks === asks);
  }

  /** Forgets the pages of a list as one partition sees it. */
  dropList(asks: Asks, partition: string): void {
    this.dropIf(({ key, isPublic }) => key.asks === asks && (isPublic || key.partition === partition));
  }

  /** Forgets what stands for nothing any more. */
  sweep(nowMs: number): void {
    this.dropIf((entry) => entry.expiresAtMs <= nowMs && entry.staleUntilMs <= nowMs);
  }

  clear(): void {
    this.dropIf(() => true);
  }

  /** Visits every answer, those used longest ago first; it may be dropped on the way. */
  each(visit: (entry: Entry) => void): void {
    let next = this.#oldest;
    while (next !== null) {
      const entry = next;
      next = entry.newer;
      visit(entry);
    }
  }

  #use(entry: Entry, nowMs: number): void {
    entry.usedAtMs = nowMs;
    if (entry.newer === null) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  #append(entry: Entry): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry): void {
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
  }

  #drop(entry: Entry): void {
    this.#unlink(entry);
    this.#bytes -= entry.bytes;
    this.#count--;
    const slot = this.#slots.get(entry.key.text);
    if (slot === undefined) return;
    if (slot.everyones === entry) slot.everyones = null;
    else slot.own.delete(entry.key.partition);
    if (slot.everyones === null && slot.own.size === 0) this.#slots.delete(entry.key.text);
  }
}

/** True for what a server tells the changes of. */
export function isInvalidatable(asks: Asks): boolean {
  return asks !== ASKS.discover && asks !== ASKS.call;
}
