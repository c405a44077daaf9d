// The route table: which names and URIs of which endpoint go to which upstream, in memory that all threads read while it is published anew.
// Called by the control plane (makes and publishes it) and worker.ts (makes one where none is handed over); scan/lookup.ts and native/route/ read it.
// Promises: one thread publishes; readers see a whole publication or the next one; one that does not fit changes nothing.
import { assert } from '../base/assert.ts';
import { LIMITS } from '../base/limits.ts';
import {
  halfHeadAt,
  halfRecordsAt,
  halfSlotsAt,
  planFound,
  planRoutes,
  ROUTE_HALF,
  ROUTE_HEAD,
  ROUTE_MAGIC,
  ROUTE_RECORD,
  ROUTE_SLOT,
  type RoutePlan,
  recordWordsFor,
  slotsFor,
} from '../memory/route-layout.ts';
import { ROUTE_KIND } from '../scan/contract.ts';
import { hashText, MARK, ownerOf, packedWord } from '../scan/lookup.ts';

const encoder = new TextEncoder();

/** One way to an upstream. */
export interface RouteEntry {
  /** Index of the endpoint. */
  readonly endpoint: number;
  readonly kind: keyof typeof ROUTE_KIND;
  /** `exact`: the whole text; `prefix`: its beginning, up to and with a mark (`server__`, `server+`). */
  readonly match: 'exact' | 'prefix';
  readonly text: string;
  /** What a look-up answers, from 0: for the gateway's own endpoints, the place among the endpoint's members. */
  readonly upstream: number;
  /** Of an exact text: bytes at its front that are not part of the upstream's own name (0 when left out). A prefix goes as a whole. */
  readonly strip?: number;
}

/** What a snapshot tells of its routes. */
export interface RoutedSnapshot {
  readonly servers: readonly { readonly name: string }[];
  readonly endpoints: readonly {
    readonly members: readonly number[];
    readonly prefixed: boolean;
    readonly view?: unknown;
  }[];
}

/** The publishing end of a route table. */
export class RouteTable {
  /** What other threads are handed. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #plan: RoutePlan;
  #scratch = new Uint8Array(1024);

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#plan = planFound(this.#words);
  }

  /** An empty table with room for so many entries, whose texts have so many bytes together. */
  static create(entriesMax: number, textBytesMax: number): RouteTable {
    const plan = planRoutes(entriesMax, textBytesMax);
    const memory = new SharedArrayBuffer(plan.words * Int32Array.BYTES_PER_ELEMENT);
    const words = new Int32Array(memory);
    words[ROUTE_HEAD.slotsMax] = plan.slotsMax;
    words[ROUTE_HEAD.recordWordsMax] = plan.recordWordsMax;
    words[ROUTE_HEAD.magic] = ROUTE_MAGIC;
    return new RouteTable(memory);
  }

  /** A table that holds these entries, with room for twice as much. */
  static of(entries: readonly RouteEntry[]): RouteTable {
    const textBytes = entries.reduce((sum, entry) => sum + bytesWithin(entry.text), 0);
    const table = RouteTable.create(entries.length * 2, textBytes * 2);
    assert(table.publish(entries), 'a table that was made for its entries has room for them');
    return table;
  }

  /** Publications so far; what look-ups report as theirs. */
  get epoch(): number {
    return Atomics.load(this.#words, ROUTE_HEAD.epoch);
  }

  /**
   * Puts these entries, no two alike, in the place of all before. False when there is no room for them: then the old ones stay, and a larger
   * table must be made and handed over.
   */
  publish(entries: readonly RouteEntry[]): boolean {
    const slots = slotsFor(entries.length);
    if (slots > this.#plan.slotsMax) return false;
    const epoch = this.epoch + 1;
    if (!this.#fill(epoch & 1, slots, entries)) return false;
    Atomics.store(this.#words, ROUTE_HEAD.epoch, epoch);
    return true;
  }

  /**
   * Fills the half that no reader of the present publication looks at. Readers that were overtaken may still look: every word is written in order
   * with the last flip, so whoever reads one of them reads the new epoch as well, and looks again. Makes nothing per entry: there may be a million.
   */
  #fill(half: number, slots: number, entries: readonly RouteEntry[]): boolean {
    const headAt = halfHeadAt(half);
    const slotsAt = halfSlotsAt(this.#plan, half);
    const recordsAt = halfRecordsAt(this.#plan, half);
    for (let slot = 0; slot < slots; slot++)
      this.#put(slotsAt + slot * ROUTE_SLOT.words + ROUTE_SLOT.hash, 0);
    let record = 0;
    let prefixes = 0;
    for (const entry of entries) {
      const bytes = this.#encode(entry.text);
      const words = recordWordsFor(bytes);
      if (record + words > this.#plan.recordWordsMax) return false;
      const key = keyOf(entry, bytes);
      this.#putSlot({ slotsAt, mask: slots - 1, recordsAt }, key, bytes, record);
      this.#putRecord(recordsAt + record, key, bytes, entry);
      record += words;
      prefixes += key & 1;
    }
    this.#put(headAt + ROUTE_HALF.slots, entries.length === 0 ? 0 : slots);
    this.#put(headAt + ROUTE_HALF.exacts, entries.length - prefixes);
    this.#put(headAt + ROUTE_HALF.prefixes, prefixes);
    this.#put(headAt + ROUTE_HALF.recordWords, record);
    return true;
  }

  /** UTF-8 of a text in the scratch; its length. */
  #encode(text: string): number {
    // A UTF-16 unit takes three bytes at most.
    if (this.#scratch.length < text.length * 3) this.#scratch = new Uint8Array(text.length * 6);
    return encoder.encodeInto(text, this.#scratch).written;
  }

  /** Writes the record of the text in the scratch. */
  #putRecord(at: number, key: number, bytes: number, { upstream, strip = 0 }: RouteEntry): void {
    this.#put(at + ROUTE_RECORD.owner, key);
    this.#put(at + ROUTE_RECORD.bytes, bytes);
    this.#put(at + ROUTE_RECORD.upstream, upstream);
    this.#put(at + ROUTE_RECORD.strip, (key & 1) === 1 ? bytes : strip);
    let to = at + ROUTE_RECORD.words;
    for (let from = 0; from < bytes; from += 4) this.#put(to++, packedWord(this.#scratch, from, bytes));
  }

  /** Takes the first empty slot from where the hash of the text in the scratch points. */
  #putSlot({ slotsAt, mask, recordsAt }: Place, key: number, bytes: number, record: number): void {
    const hash = hashText(key >> 1, this.#scratch, 0, bytes);
    for (let turn = 0; turn <= mask; turn++) {
      const at = slotsAt + ((hash + turn) & mask) * ROUTE_SLOT.words;
      const found = this.#words[at + ROUTE_SLOT.hash];
      if (found === 0) {
        this.#put(at + ROUTE_SLOT.record, record);
        this.#put(at + ROUTE_SLOT.hash, hash);
        return;
      }
      const other = recordsAt + (this.#words[at + ROUTE_SLOT.record] ?? 0);
      assert(found !== hash || !this.#isRecord(other, key, bytes), 'no two routes are alike');
    }
  }

  /** Whether a record is of the text in the scratch. */
  #isRecord(at: number, key: number, bytes: number): boolean {
    const words = this.#words;
    if (words[at + ROUTE_RECORD.owner] !== key || words[at + ROUTE_RECORD.bytes] !== bytes) return false;
    for (let from = 0; from < bytes; from += 4)
      if (words[at + ROUTE_RECORD.words + from / 4] !== packedWord(this.#scratch, from, bytes)) return false;
    return true;
  }

  #put(at: number, value: number): void {
    Atomics.store(this.#words, at, value);
  }
}

/** Where a half that is being filled lies. */
interface Place {
  readonly slotsAt: number;
  readonly mask: number;
  readonly recordsAt: number;
}

/** Bytes that a text takes in UTF-8 at most, without making them. */
function bytesWithin(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
  }
  return bytes;
}

/** Owner of an entry and the bit that tells prefixes; an entry that cannot be meant fails the assertion. */
function keyOf({ endpoint, kind, match, text, upstream, strip = 0 }: RouteEntry, bytes: number): number {
  const isPrefix = match === 'prefix';
  const mark = MARK[kind];
  assert(endpoint >= 0 && upstream >= 0, 'a route has an endpoint and an upstream');
  assert(
    isPrefix
      ? text.endsWith(mark) && bytes - mark.length <= LIMITS.serverNameBytesMax
      : strip >= 0 && strip <= bytes,
    'a prefix ends in its mark, not too far behind; an exact text is longer than what is taken off it',
  );
  return ownerOf(endpoint, ROUTE_KIND[kind]) * 2 + (isPrefix ? 1 : 0);
}

/** The routes of a snapshot's joined endpoints: both marks of every member's name. */
export function routesOf(snapshot: RoutedSnapshot): RouteEntry[] {
  return snapshot.endpoints.flatMap(({ members, prefixed, view }, endpoint) =>
    !prefixed && view === undefined
      ? []
      : members.flatMap((server, upstream): RouteEntry[] => {
          const name = snapshot.servers[server]?.name ?? '';
          const entry = { endpoint, upstream, match: 'prefix' } as const;
          return [
            { ...entry, kind: 'name', text: name + MARK.name },
            { ...entry, kind: 'uri', text: name + MARK.uri },
          ];
        }),
  );
}
