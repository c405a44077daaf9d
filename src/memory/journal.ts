// The last exchanges of a worker, in a ring of records that any thread may read while it is being written.
// Called by server/ (writes its worker's), control (the traffic view reads all). Promises: writing allocates nothing and never waits; a reader
// never sees half a record: one that is being overwritten is read again, or left out.
//
// A record's sequence number is odd while it is written. The reader takes the number, copies the record, and takes the number again: if it was
// odd or has changed, the copy is worthless. Both sides touch the number by read-modify-write, which orders the plain loads and stores on
// either side of it on ARM as well; a plain or atomic store alone would let later stores pass it there.
import { assert } from '../base/assert.ts';
import { decode, EMPTY } from '../base/bytes.ts';
import { errorOfNumber } from '../base/error-numbers.ts';
import type { ErrorCode } from '../base/errors.ts';
import { JOURNAL, JOURNAL_DOUBLE, JOURNAL_WORD } from './journal-layout.ts';
import { journalPlace, WORD_BYTES } from './layout.ts';
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
  /** The server's cell, -1 for none; which of its places; how often it was sent. */
  server: number;
  replica: number;
  sends: number;
  isCached: boolean;
  /** As base/error-numbers.ts counts, 0 for none. */
  errorNumber: number;
  /** Where its time went. */
  gatewayUs: number;
  queueUs: number;
  connectUs: number;
  upstreamUs: number;
  replyBytes: number;
  method: string;
  /** Id of the trace that it is part of, 32 hex digits; '' for none. */
  trace: string;
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
  /** Counts its worker's records, from 0: with the worker it names the exchange. */
  readonly ordinal: number;
  readonly wallMs: number;
  readonly durationUs: number;
  readonly status: number;
  readonly outcome: number;
  readonly endpoint: number;
  /** The server's cell, -1 when it went to none. */
  readonly server: number;
  readonly replica: number;
  /** How often it was sent; 2 and more when it was sent again. */
  readonly sends: number;
  readonly isCached: boolean;
  readonly errorCode: ErrorCode | null;
  /** Where its time went; together the duration. */
  readonly gatewayUs: number;
  readonly queueUs: number;
  readonly connectUs: number;
  readonly upstreamUs: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly method: string;
  readonly name: string;
  readonly id: string;
  /** '' when it was not traced. */
  readonly trace: string;
  /** First bytes of the request. */
  readonly body: Uint8Array;
}

/** An entry that says nothing yet. */
export function blankEntry(): JournalEntry {
  return {
    wallMs: 0,
    durationUs: 0,
    status: 0,
    outcome: 0,
    endpoint: 0,
    server: -1,
    replica: 0,
    sends: 0,
    isCached: false,
    errorNumber: 0,
    gatewayUs: 0,
    queueUs: 0,
    connectUs: 0,
    upstreamUs: 0,
    replyBytes: 0,
    method: '',
    trace: '',
    id: '',
    body: EMPTY,
    nameStart: 0,
    nameEnd: 0,
  };
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
    const { words } = this;
    const count = words[this.countAt] ?? 0;
    const at = this.recordsAt + (count & this.indexMask) * RECORD_WORDS;
    // A worker that died while writing left an odd number behind: its successor makes it even by adding one more.
    const torn = (words[at + JOURNAL_WORD.sequence] ?? 0) & 1;
    Atomics.add(words, at + JOURNAL_WORD.sequence, 1 + torn);
    this.writeNumbers(at, entry);
    this.writeTexts(at, entry);
    Atomics.add(words, at + JOURNAL_WORD.sequence, 1);
    Atomics.store(words, this.countAt, (count + 1) | 0);
  }

  private writeNumbers(at: number, entry: JournalEntry): void {
    const { words, doubles } = this;
    words[at + JOURNAL_WORD.status] = entry.status;
    words[at + JOURNAL_WORD.outcome] = entry.outcome;
    words[at + JOURNAL_WORD.endpoint] = entry.endpoint;
    words[at + JOURNAL_WORD.server] = entry.server;
    words[at + JOURNAL_WORD.replica] = entry.replica;
    words[at + JOURNAL_WORD.sends] = entry.sends;
    words[at + JOURNAL_WORD.cached] = entry.isCached ? 1 : 0;
    words[at + JOURNAL_WORD.error] = entry.errorNumber;
    const first = at / 2;
    doubles[first + JOURNAL_DOUBLE.wallMs] = entry.wallMs;
    doubles[first + JOURNAL_DOUBLE.durationUs] = entry.durationUs;
    doubles[first + JOURNAL_DOUBLE.gatewayUs] = entry.gatewayUs;
    doubles[first + JOURNAL_DOUBLE.queueUs] = entry.queueUs;
    doubles[first + JOURNAL_DOUBLE.connectUs] = entry.connectUs;
    doubles[first + JOURNAL_DOUBLE.upstreamUs] = entry.upstreamUs;
    doubles[first + JOURNAL_DOUBLE.requestBytes] = entry.body.length;
    doubles[first + JOURNAL_DOUBLE.replyBytes] = entry.replyBytes;
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
    const traceAt = idAt + idBytes;
    const { trace } = entry;
    const traceBytes = trace === '' ? 0 : bytes.latin1Write(trace, traceAt, JOURNAL.traceBytesMax);
    const bodyAt = traceAt + traceBytes;
    const room = start + TEXT_BYTES - bodyAt;
    const isWhole = entry.body.length <= room;
    bytes.set(isWhole ? entry.body : entry.body.subarray(0, room), bodyAt);
    words[at + JOURNAL_WORD.methodBytes] = methodBytes;
    words[at + JOURNAL_WORD.nameBytes] = nameBytes;
    words[at + JOURNAL_WORD.idBytes] = idBytes;
    words[at + JOURNAL_WORD.traceBytes] = traceBytes;
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
    if (copy !== null) found.push(recordOf(copy, worker, ordinalOf(copy, index, plan.journalRecords)));
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

/** How many records its worker had written before it, as its place and the writes to that place say. */
function ordinalOf(copy: Int32Array, index: number, records: number): number {
  const writes = (copy[JOURNAL_WORD.sequence] ?? 0) >>> 1;
  return (writes - 1) * records + index;
}

function recordOf(copy: Int32Array, worker: number, ordinal: number): JournalRecord {
  const doubles = new Float64Array(copy.buffer, copy.byteOffset, RECORD_WORDS / 2);
  const texts = new Uint8Array(copy.buffer, copy.byteOffset + JOURNAL.numbersBytes, TEXT_BYTES);
  const word = (place: number): number => copy[place] ?? 0;
  const double = (place: number): number => doubles[place] ?? 0;
  const nameAt = word(JOURNAL_WORD.methodBytes);
  const idAt = nameAt + word(JOURNAL_WORD.nameBytes);
  const traceAt = idAt + word(JOURNAL_WORD.idBytes);
  const bodyAt = traceAt + word(JOURNAL_WORD.traceBytes);
  return {
    worker,
    ordinal,
    wallMs: double(JOURNAL_DOUBLE.wallMs),
    durationUs: double(JOURNAL_DOUBLE.durationUs),
    status: word(JOURNAL_WORD.status),
    outcome: word(JOURNAL_WORD.outcome),
    endpoint: word(JOURNAL_WORD.endpoint),
    server: word(JOURNAL_WORD.server),
    replica: word(JOURNAL_WORD.replica),
    sends: word(JOURNAL_WORD.sends),
    isCached: word(JOURNAL_WORD.cached) !== 0,
    errorCode: errorOfNumber(word(JOURNAL_WORD.error)),
    gatewayUs: double(JOURNAL_DOUBLE.gatewayUs),
    queueUs: double(JOURNAL_DOUBLE.queueUs),
    connectUs: double(JOURNAL_DOUBLE.connectUs),
    upstreamUs: double(JOURNAL_DOUBLE.upstreamUs),
    requestBytes: double(JOURNAL_DOUBLE.requestBytes),
    replyBytes: double(JOURNAL_DOUBLE.replyBytes),
    method: decode(texts, 0, nameAt),
    name: decode(texts, nameAt, idAt),
    id: decode(texts, idAt, traceAt),
    trace: decode(texts, traceAt, bodyAt),
    body: texts.slice(bodyAt, bodyAt + word(JOURNAL_WORD.bodyBytes)),
  };
}
