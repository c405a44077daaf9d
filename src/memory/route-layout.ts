// Where everything lies in a route table: a memory of its own beside the one that layout.ts plans, because it grows by being made anew.
// Called by scan/lookup.ts (reads) and route/table.ts (fills); native/route/layout.h holds the same numbers and a test keeps them equal.
// Promises: no other file knows an offset; what one half's writer touches never shares a 64-byte line with what readers of the other half read.
//
//   line 0      magic, room of a half: slots, words of records          written once
//   line 1      epoch: which publication is in force                    hot: read twice by every look-up, written once by a publication
//   line 2, 3   head of half 0, of half 1
//   then        slots of half 0, slots of half 1, records of half 0, records of half 1
import { assert } from '../base/assert.ts';
import { LINE_BYTES, WORD_BYTES } from './layout.ts';

/** Words of the table's head. */
export const ROUTE_HEAD = Object.freeze({
  magic: 0,
  /** Room of each half: slots (a power of two), and words of records. */
  slotsMax: 1,
  recordWordsMax: 2,
  /** Publications so far, wraps; the lowest bit says which half is in force. 0: none yet. */
  epoch: 16,
  /** ROUTE_HALF twice. */
  halves: 32,
  words: 64,
});

/** Words of one half's head. */
export const ROUTE_HALF = Object.freeze({
  /** Slots in use: a power of two, twice as many as entries or more, so that a search always ends at an empty one; 0: no entries. */
  slots: 0,
  /** Entries that match a whole text, and entries that match its beginning. */
  exacts: 1,
  prefixes: 2,
  recordWords: 3,
  words: 16,
});

/** Words of one slot. Eight slots to a line: a search seldom leaves the line it starts on. */
export const ROUTE_SLOT = Object.freeze({
  /** Hash of the key; 0: empty, and the search ends. */
  hash: 0,
  /** Its record, in words from the start of the half's records. */
  record: 1,
  words: 2,
});

/** Words of one record. Its text follows: four bytes a word, the first one lowest, the last word filled up with zeros. */
export const ROUTE_RECORD = Object.freeze({
  /** Whose it is: ((endpoint × 2) + kind) × 2 + (1 for a prefix). */
  owner: 0,
  /** Length of the text in bytes. */
  bytes: 1,
  /** The answer: which upstream, and how many bytes at the front of a matching text are not part of its own name. */
  upstream: 2,
  strip: 3,
  words: 4,
});

/** ROUTE_HEAD.magic's value: 'SLR1' in ASCII. */
export const ROUTE_MAGIC = 0x534c_5231;

/** Word offsets of everything in one route table. */
export interface RoutePlan {
  readonly slotsMax: number;
  readonly recordWordsMax: number;
  /** Words of the whole table. */
  readonly words: number;
}

/** Fewest slots of a half: one line of them. */
const SLOTS_MIN = LINE_BYTES / WORD_BYTES / ROUTE_SLOT.words;
/** A table is one array of words whose length fits an Int32, and its bytes fit what an engine allocates. */
const TABLE_WORDS_MAX = 0x3fff_ffff;

/** Slots for so many entries: half of them stay empty at least. */
export function slotsFor(entries: number): number {
  let slots = SLOTS_MIN;
  while (slots < entries * 2) slots *= 2;
  return slots;
}

/** Words of the record of a text of so many bytes. */
export function recordWordsFor(textBytes: number): number {
  return ROUTE_RECORD.words + Math.ceil(textBytes / WORD_BYTES);
}

/** Lays a table out that has room, in each half, for `entriesMax` entries whose texts have `textBytesMax` bytes together. */
export function planRoutes(entriesMax: number, textBytesMax: number): RoutePlan {
  // Each record has its fixed words, its text, and up to 3 bytes to fill up the last word: one word more covers that.
  const recordWords = entriesMax * (ROUTE_RECORD.words + 1) + Math.ceil(textBytesMax / WORD_BYTES);
  const line = LINE_BYTES / WORD_BYTES;
  return planOf(slotsFor(entriesMax), Math.ceil(recordWords / line) * line);
}

/** The plan that a table's head tells; a head that tells none fails the assertion (GW_BASE_INTERNAL). */
export function planFound(words: Int32Array): RoutePlan {
  assert(
    words.length >= ROUTE_HEAD.words && words[ROUTE_HEAD.magic] === ROUTE_MAGIC,
    'a route table was laid out by this version',
  );
  const plan = planOf(words[ROUTE_HEAD.slotsMax] ?? 0, words[ROUTE_HEAD.recordWordsMax] ?? 0);
  assert(plan.words === words.length, 'a route table has the size that its head tells');
  return plan;
}

function planOf(slotsMax: number, recordWordsMax: number): RoutePlan {
  const words = ROUTE_HEAD.words + 2 * slotsMax * ROUTE_SLOT.words + 2 * recordWordsMax;
  assert(slotsMax >= SLOTS_MIN && (slotsMax & (slotsMax - 1)) === 0, 'a half has a power of two of slots');
  assert(recordWordsMax >= 0 && words <= TABLE_WORDS_MAX, 'a route table fits in one memory');
  return { slotsMax, recordWordsMax, words };
}

/** Word offset of a half's head; `half` is 0 or 1. */
export function halfHeadAt(half: number): number {
  return ROUTE_HEAD.halves + half * ROUTE_HALF.words;
}

/** Word offset of a half's slots. */
export function halfSlotsAt(plan: RoutePlan, half: number): number {
  return ROUTE_HEAD.words + half * plan.slotsMax * ROUTE_SLOT.words;
}

/** Word offset of a half's records. */
export function halfRecordsAt(plan: RoutePlan, half: number): number {
  return ROUTE_HEAD.words + 2 * plan.slotsMax * ROUTE_SLOT.words + half * plan.recordWordsMax;
}
