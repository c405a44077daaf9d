// The last good lists of an endpoint's servers: what stands in for a server that is down or slow, and what the next page of a joined list is cut from.
// Called by joined-lists.ts; the roster of a worker owns it. Promises: a list is shown to nobody whose credentials differ from those it was given to, unless its server said
// that it is public; bounded in bytes, what was used longest ago makes room; a server that was configured anew begins with nothing.
import type { Member } from '../bridge/member.ts';
import type { Message } from '../mcp/envelope.ts';
import { type MemberPages, mergedCaching } from '../mcp/merge.ts';
import type { Clock } from '../runtime/runtime.ts';

/** What a list is an answer to. */
export interface ListKey {
  /** The method, its era, and what else a server may look at besides who asks. */
  readonly asked: string;
  /** Who asks. */
  readonly partition: string;
}

/** What a server gave, so long ago. */
export interface KeptList {
  readonly pages: readonly Message[];
  readonly ageMs: number;
}

interface Entry {
  readonly member: Member;
  readonly method: string;
  readonly pages: readonly Message[];
  readonly bytes: number;
  readonly atMs: number;
  /** Its server said since that it has changed. */
  isOutdated: boolean;
}

const FAULTS_MAX = 4_096;

/** Keeps lists by server, method and who asked. */
export class ListMemory {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** Lists that could not be had of late. */
  readonly #faults = new Map<
    string,
    { readonly member: Member; readonly outcome: MemberPages; readonly atMs: number }
  >();

  constructor(clock: Clock, bytesMax: number) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** Bytes of all that is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a whole list. */
  remember(member: Member, method: string, key: ListKey, pages: readonly Message[]): void {
    const caching = mergedCaching([{ server: '', pages, fault: null }]);
    const name = nameOf(member, method, key, caching.cacheScope === 'public');
    this.#forget(name);
    this.#faults.delete(nameOf(member, method, key, false));
    const bytes = pages.reduce((sum, page) => sum + page.bytes.length, 0);
    if (bytes > this.#bytesMax) return;
    this.#entries.set(name, { member, method, pages, bytes, atMs: this.#clock.now(), isOutdated: false });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#forget(oldest);
    }
  }

  /** What a server gave last, at most so long ago; null when there is nothing. `isCurrent` wants nothing that is known to have changed since. */
  recall(
    member: Member,
    method: string,
    key: ListKey,
    want: { ageMs: number; isCurrent: boolean },
  ): KeptList | null {
    const kept = [false, true].flatMap(
      (isPublic) => this.#use(nameOf(member, method, key, isPublic), member) ?? [],
    );
    const [entry] = kept.sort((a, b) => b.atMs - a.atMs);
    if (entry === undefined || (want.isCurrent && entry.isOutdated)) return null;
    const ageMs = this.#clock.now() - entry.atMs;
    return ageMs > want.ageMs ? null : { pages: entry.pages, ageMs };
  }

  /** A list could not be had: whoever asks for its next page need not wait for it once more. */
  fail(member: Member, method: string, key: ListKey, outcome: MemberPages): void {
    // Forgetting all at once costs each of them one more wait.
    if (this.#faults.size >= FAULTS_MAX) this.#faults.clear();
    this.#faults.set(nameOf(member, method, key, false), { member, outcome, atMs: this.#clock.now() });
  }

  /** What came of asking for a list that could not be had, at most so long ago; else null. */
  failed(member: Member, method: string, key: ListKey, ageMs: number): MemberPages | null {
    const found = this.#faults.get(nameOf(member, method, key, false));
    return found?.member === member && this.#clock.now() - found.atMs <= ageMs ? found.outcome : null;
  }

  /** A server said that its answers to this method have changed: they stand in for it still, but are no longer current. */
  outdate(member: Member, method: string): void {
    for (const entry of this.#entries.values())
      if (entry.member === member && entry.method === method) entry.isOutdated = true;
  }

  /** Lets go of what is older than that. */
  sweep(ageMs: number): void {
    const sinceMs = this.#clock.now() - ageMs;
    for (const [name, { atMs }] of this.#entries) if (atMs < sinceMs) this.#forget(name);
    for (const [name, { atMs }] of this.#faults) if (atMs < sinceMs) this.#faults.delete(name);
  }

  #use(name: string, member: Member): Entry | null {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.member !== member) return null;
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    return entry;
  }

  #forget(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#bytes -= entry.bytes;
  }
}

function nameOf(member: Member, method: string, { asked, partition }: ListKey, isPublic: boolean): string {
  return JSON.stringify([member.spec.name, method, asked, ...(isPublic ? [] : [partition])]);
}
