// Looks texts up in a route table while control may be publishing another one: no lock, no answer that is torn or out of force.
// Called by routed.ts (the portable scan) and route/match.ts (decoded texts); route/table.ts shares its hash; native/route/ is its twin.
// Promises: makes nothing per call; never reads outside of the table, whatever is being written there; the answer is wholly of the publication
// that `epoch` names, which was in force when the look-up ended.
import { LIMITS } from '../base/limits.ts';
import {
  halfHeadAt,
  halfRecordsAt,
  halfSlotsAt,
  planFound,
  ROUTE_HALF,
  ROUTE_HEAD,
  ROUTE_RECORD,
  ROUTE_SLOT,
  type RoutePlan,
} from '../memory/route-layout.ts';
import { ROUTE_KIND } from './contract.ts';

/** What stands between a server's name and its own name of a thing: `server__tool`, `server+uri`. */
export const MARK = Object.freeze({ name: '__', uri: '+' });

const NAME_MARK = MARK.name.charCodeAt(0);
const URI_MARK = MARK.uri.charCodeAt(0);
// Odd numbers whose bits look random: the golden ratio, and two that spread differences well when multiplied with.
const SPREAD = 0x9e37_79b1;
const MIX_1 = 0x85eb_ca6b;
const MIX_2 = 0xc2b2_ae35;

/** Owner of an endpoint's entries of a ROUTE_KIND, as look-ups want it. */
export function ownerOf(endpoint: number, kind: number): number {
  return endpoint * 2 + kind;
}

/** Four bytes as one word, the first one lowest; bytes from `end` on count as zeros. */
export function packedWord(bytes: Uint8Array, at: number, end: number): number {
  let word = bytes[at] ?? 0;
  if (at + 1 < end) word |= (bytes[at + 1] ?? 0) << 8;
  if (at + 2 < end) word |= (bytes[at + 2] ?? 0) << 16;
  if (at + 3 < end) word |= (bytes[at + 3] ?? 0) << 24;
  return word;
}

/** Hash of bytes[start…end) for an owner: an int32, never 0. */
export function hashText(owner: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = Math.imul(owner + 1, SPREAD) ^ (end - start);
  for (let at = start; at < end; at += 4)
    hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ packedWord(bytes, at, end), SPREAD);
  hash = Math.imul(hash ^ (hash >>> 16), MIX_1);
  hash = Math.imul(hash ^ (hash >>> 13), MIX_2);
  hash ^= hash >>> 16;
  return hash === 0 ? 1 : hash;
}

/** Looks up in one table. One instance serves a thread. */
export class RouteLookup {
  /** The last answer: upstream (-1: none), bytes to strip, and the publication that it is of. */
  upstream = -1;
  strip = 0;
  epoch = 0;
  readonly #words: Int32Array;
  readonly #plan: RoutePlan;
  // Of the half that is looked up in:
  #slots = 0;
  #slotsAt = 0;
  #recordsAt = 0;

  /** A memory that holds no route table is a fault of ours (GW_BASE_INTERNAL). */
  constructor(table: SharedArrayBuffer) {
    this.#words = new Int32Array(table);
    this.#plan = planFound(this.#words);
  }

  /** True when bytes[start…end) is an entry of the owner, or begins with one: then upstream and strip say which. */
  find(owner: number, bytes: Uint8Array, start: number, end: number): boolean {
    for (;;) {
      const epoch = Atomics.load(this.#words, ROUTE_HEAD.epoch);
      const isFound = this.#findIn(epoch & 1, owner, bytes, start, end);
      // Each further turn means that a whole publication came between.
      if (Atomics.load(this.#words, ROUTE_HEAD.epoch) !== epoch) continue;
      this.epoch = epoch;
      if (!isFound) this.upstream = -1;
      return isFound;
    }
  }

  /** An exact entry first; then the longest prefix that ends in a mark. */
  #findIn(half: number, owner: number, bytes: Uint8Array, start: number, end: number): boolean {
    const headAt = halfHeadAt(half);
    const slots = this.#word(headAt + ROUTE_HALF.slots);
    if (slots === 0) return false;
    this.#slots = slots;
    this.#slotsAt = halfSlotsAt(this.#plan, half);
    this.#recordsAt = halfRecordsAt(this.#plan, half);
    if (this.#word(headAt + ROUTE_HALF.exacts) > 0 && this.#probe(owner * 2, bytes, start, end)) return true;
    if (this.#word(headAt + ROUTE_HALF.prefixes) === 0) return false;
    return (owner & 1) === ROUTE_KIND.uri
      ? this.#findUri(owner, bytes, start, end)
      : this.#findName(owner, bytes, start, end);
  }

  #findName(owner: number, bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = Math.min(start + LIMITS.serverNameBytesMax, end - 2); at >= start; at--) {
      if (bytes[at] !== NAME_MARK || bytes[at + 1] !== NAME_MARK) continue;
      if (this.#probe(owner * 2 + 1, bytes, start, at + 2)) return true;
    }
    return false;
  }

  #findUri(owner: number, bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = Math.min(start + LIMITS.serverNameBytesMax, end - 1); at >= start; at--) {
      if (bytes[at] === URI_MARK && this.#probe(owner * 2 + 1, bytes, start, at + 1)) return true;
    }
    return false;
  }

  /** `key`: owner and the bit that tells prefixes. */
  #probe(key: number, bytes: Uint8Array, start: number, end: number): boolean {
    const hash = hashText(key >> 1, bytes, start, end);
    const mask = this.#slots - 1;
    // Half of the slots are empty; the count bounds the search in a half that is being filled, whose answer is thrown away.
    for (let turn = 0; turn <= mask; turn++) {
      const at = this.#slotsAt + ((hash + turn) & mask) * ROUTE_SLOT.words;
      const found = this.#word(at + ROUTE_SLOT.hash);
      if (found === 0) return false;
      if (found === hash && this.#isRecord(this.#word(at + ROUTE_SLOT.record), key, bytes, start, end))
        return true;
    }
    return false;
  }

  /** Whether the record has this key and text; then it is taken as the answer. */
  #isRecord(record: number, key: number, bytes: Uint8Array, start: number, end: number): boolean {
    const room = this.#plan.recordWordsMax - ROUTE_RECORD.words - ((end - start + 3) >> 2);
    // In a half that is being filled any number may stand anywhere.
    if (record < 0 || record > room) return false;
    const at = this.#recordsAt + record;
    if (this.#word(at + ROUTE_RECORD.owner) !== key) return false;
    if (this.#word(at + ROUTE_RECORD.bytes) !== end - start) return false;
    let textAt = at + ROUTE_RECORD.words;
    for (let from = start; from < end; from += 4, textAt++)
      if (this.#word(textAt) !== packedWord(bytes, from, end)) return false;
    this.upstream = this.#word(at + ROUTE_RECORD.upstream);
    this.strip = this.#word(at + ROUTE_RECORD.strip);
    return true;
  }

  /** Every word is read in order with the reads around it: only so does an epoch that did not move say that nothing else did. */
  #word(at: number): number {
    return Atomics.load(this.#words, at);
  }
}
