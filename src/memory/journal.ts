// The last exchanges of a worker, in a ring of records that any thread may read while it is being written.
// Called by server/ (writes its worker's), control (the traffic view reads all). Promises: writing allocates nothing and never waits; a reader
// never sees half a record: one that is being overwritten is read again, or left out.
//
// A record's sequence number is odd while it is written. The reader takes the number, copies the record, and takes the number again: if it was
// odd or has changed, the copy is worthless. Both sides touch the number by read-modify-write, which orders the plain loads and stores on
// either side of it on ARM as well; a plain or atomic store alone would let later stores pass it there.
import { assert } from '../base/assert.ts';
import { decode } from '../base/bytes.ts';
import { JOURNAL, JOURNAL_DOUBLE, JOURNAL_WORD, journalPlace, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** One exchange as it is written. The writer keeps one such object and fills it anew each time. */
export interface JournalEntry {
  /** When it began, ms since the epoch. */
  wallMs: number;
  durationUs: number;
  status: number;
  /** A number of the writer's choosing; the reader gets it back. */
  outcome: number;
  endpoint: number;
  method: string;
  /** Correlation id: ASCII. */
  id: string;
  /** The request; its first bytes are kept. */
  body: Uint8Array;
  /** Where the raw text of the tool, prompt or resource stands in the body; equal when there is none. */
  nameStart: number;
  nameEnd: number;
}

/** One exchange as it is read. Texts are cut to what the record has room for. */
export interface JournalRecord {
  readonly worker: number;
  readonly wallMs: number;
  readonly durationUs: number;
  readonly status: number;
  readonly outcome: number;
  readonly endpoint: number;
  readonly method: string;
  readonly name: string;
  readonly id: string;
  /** First bytes of the request. */
  readonly body: Uint8Array;
}

const RECORD_WORDS = JOURNAL.recordBytes / WORD_BYTES;
const TEXT_BYTES = JOURNAL.recordBytes - JOURNAL.numbersBytes;
/** Times that a record is read while it keeps changing under the reader's hands. */
const TRIES = 8;

/** Writers that take no name of an encoding: that is most of what Buffer.write() costs. Each returns the bytes written, whole characters only. */
interface TextBytes extends Uint8Array {
  utf8Write(text: string, at: number, bytesMax: number): number;
  latin1Write(text: string, at: number, bytesMax: number): number;
}

/** The journal of one worker. Only that worker may write it. */
export class JournalWriter {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bytes: TextBytes;
  private readonly countAt: number;
  private readonly recordsAt: number;
  private readonly indexMask: number;

  constructor(memory: PlaneMemory, worker: number) {
    const { plan, buffer, words, doubles } = memory;
    assert(worker >= 0 && worker < plan.workers, 'a journal belongs to a worker of the plan');
    this.words = words;
    this.doubles = doubles;
    // Buffers have both writers; their types leave them out.
    this.bytes = Buffer.from(buffer) as Uint8Array as TextBytes;
    this.countAt = journalPlace(plan, worker) / WORD_BYTES;
    this.recordsAt = this.countAt + JOURNAL.headBytes / WORD_BYTES;
    this.indexMask = plan.journalRecords - 1;
  }

  /** Writes one exchange over the oldest. */
  write(entry: JournalEntry): void {
    const { words, doubles } = this;
    const count = words[this.countAt] ?? 0;
    const at = this.recordsAt + (count & this.indexMask) * RECORD_WORDS;
    // A worker that died while writing left an odd number behind: its successor makes it even by adding one more.
    const torn = (words[at + JOURNAL_WORD.sequence] ?? 0) & 1;
    Atomics.add(words, at + JOURNAL_WORD.sequence, 1 + torn);
    words[at + JOURNAL_WORD.status] = entry.status;
    words[at + JOURNAL_WORD.outcome] = entry.outcome;
    words[at + JOURNAL_WORD.endpoint] = entry.endpoint;
    doubles[at / 2 + JOURNAL_DOUBLE.wallMs] = entry.wallMs;
    doubles[at / 2 + JOURNAL_DOUBLE.durationUs] = entry.durationUs;
    this.writeTexts(at, entry);
    Atomics.add(words, at + JOURNAL_WORD.sequence, 1);
    Atomics.store(words, this.countAt, (count + 1) | 0);
  }

  private writeTexts(at: number, entry: JournalEntry): void {
    const { words, bytes } = this;
    const start = at * WORD_BYTES + JOURNAL.numbersBytes;
    const methodBytes = bytes.utf8Write(entry.method, start, JOURNAL.methodBytesMax);
    const nameAt = start + methodBytes;
    const nameBytes = Math.min(entry.nameEnd - entry.nameStart, JOURNAL.nameBytesMax);
    for (let n = 0; n < nameBytes; n++) bytes[nameAt + n] = entry.body[entry.nameStart + n] ?? 0;
    const idAt = nameAt + nameBytes;
    const idBytes = bytes.latin1Write(entry.id, idAt, JOURNAL.idBytesMax);
    const bodyAt = idAt + idBytes;
    const room = start + TEXT_BYTES - bodyAt;
    const isWhole = entry.body.length <= room;
    bytes.set(isWhole ? entry.body : entry.body.subarray(0, room), bodyAt);
    words[at + JOURNAL_WORD.methodBytes] = methodBytes;
    words[at + JOURNAL_WORD.nameBytes] = nameBytes;
    words[at + JOURNAL_WORD.idBytes] = idBytes;
    words[at + JOURNAL_WORD.bodyBytes] = isWhole ? entry.body.length : room;
  }
}

/** A worker's latest exchanges, newest first, `countMax` at most. */
export function readJournal(memory: PlaneMemory, worker: number, countMax: number): JournalRecord[] {
  const { plan, words } = memory;
  const countAt = journalPlace(plan, worker) / WORD_BYTES;
  const count = Atomics.load(words, countAt) >>> 0;
  const found: JournalRecord[] = [];
  // What was never written has the sequence number 0, so the count may have wrapped.
  for (let back = 1; back <= plan.journalRecords && found.length < countMax; back++) {
    const index = (count - back) & (plan.journalRecords - 1);
    const at = countAt + (JOURNAL.headBytes + index * JOURNAL.recordBytes) / WORD_BYTES;
    const copy = copyRecord(words, at);
    if (copy !== null) found.push(recordOf(copy, worker));
  }
  return found;
}

/** The latest exchanges of all workers, newest first, `countMax` at most. */
export function readJournals(memory: PlaneMemory, countMax: number): JournalRecord[] {
  const all: JournalRecord[] = [];
  for (let worker = 0; worker < memory.plan.workers; worker++)
    all.push(...readJournal(memory, worker, countMax));
  return all.sort((a, b) => b.wallMs - a.wallMs).slice(0, countMax);
}

/** A copy of a record that was whole while it was copied; null when it never was, or never held still. */
function copyRecord(words: Int32Array, at: number): Int32Array | null {
  const sequenceAt = at + JOURNAL_WORD.sequence;
  for (let tries = 0; tries < TRIES; tries++) {
    const before = Atomics.add(words, sequenceAt, 0);
    if (before === 0) return null;
    if ((before & 1) !== 0) continue;
    const copy = words.slice(at, at + RECORD_WORDS);
    if (Atomics.add(words, sequenceAt, 0) === before) return copy;
  }
  return null;
}

function recordOf(copy: Int32Array, worker: number): JournalRecord {
  const doubles = new Float64Array(copy.buffer, copy.byteOffset, RECORD_WORDS / 2);
  const texts = new Uint8Array(copy.buffer, copy.byteOffset + JOURNAL.numbersBytes, TEXT_BYTES);
  const lengthOf = (word: number): number => copy[word] ?? 0;
  const nameAt = lengthOf(JOURNAL_WORD.methodBytes);
  const idAt = nameAt + lengthOf(JOURNAL_WORD.nameBytes);
  const bodyAt = idAt + lengthOf(JOURNAL_WORD.idBytes);
  return {
    worker,
    wallMs: doubles[JOURNAL_DOUBLE.wallMs] ?? 0,
    durationUs: doubles[JOURNAL_DOUBLE.durationUs] ?? 0,
    status: lengthOf(JOURNAL_WORD.status),
    outcome: lengthOf(JOURNAL_WORD.outcome),
    endpoint: lengthOf(JOURNAL_WORD.endpoint),
    method: decode(texts, 0, nameAt),
    name: decode(texts, nameAt, idAt),
    id: decode(texts, idAt, bodyAt),
    body: texts.slice(bodyAt, bodyAt + lengthOf(JOURNAL_WORD.bodyBytes)),
  };
}
