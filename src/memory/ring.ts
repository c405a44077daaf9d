// One ring of frames in shared memory: one thread puts, one other takes; neither waits, neither locks.
// Called by the link between workers, a ring a direction. Promises: frames come out whole, once, in the order they went in; a push that does not
// fit changes nothing and returns false; a thread that dies in the middle of a push leaves no trace; nothing is allocated but views: of
// what a reader asks for, and of a body that is a piece of its array.
//
//   head (consumer's) ──► records ◄── tail (producer's)       a record, 8-byte aligned, never cut by the end of the ring:
//   both count bytes since ever, modulo 2^32                  │ body bytes │ meta bytes │ kind │ exchange │ meta … │ body … │ gap │
//   place in the ring = counter modulo its size               a record that does not fit before the end leaves WRAP there
import { assert } from '../base/assert.ts';
import { EMPTY } from '../base/bytes.ts';
import { RING, WORD_BYTES } from './layout.ts';

/** Words of a record's head: lengths of body and meta, kind, exchange. */
const HEAD_WORDS = 4;
const HEAD_BYTES = HEAD_WORDS * WORD_BYTES;
const ALIGN_BYTES = 8;
/** In place of a body's length: the rest up to the end of the ring is empty. No body is that long. */
const WRAP = 0xffff_ffff;
/** The largest frame is this part of a ring: with its wrap it takes less than half, so that it always fits into a ring half empty. */
const FRAME_PART = 4;
/** Room is given back at least after this part of the ring, so that a long batch does not starve the producer. */
const FREE_PART = 8;

/** One frame as its reader sees it; valid until the visit returns. The same object is reused. */
export interface Frame {
  /** What it is; the link's own numbers, 32 bits without sign. */
  readonly kind: number;
  /** Whose it is, 32 bits without sign. */
  readonly exchange: number;
  /** View of the ring, made when first asked for. */
  readonly meta: Uint8Array;
  /** View of the ring, made when first asked for. */
  readonly body: Uint8Array;
  /** The whole ring, and where meta and body lie in it: for readers that want no view made. */
  readonly bytes: Uint8Array;
  readonly metaStart: number;
  /** End of meta, start of body. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

class FrameView implements Frame {
  kind = 0;
  exchange = 0;
  metaStart = 0;
  bodyStart = 0;
  bodyEnd = 0;
  readonly bytes: Uint8Array;
  #meta: Uint8Array | null = null;
  #body: Uint8Array | null = null;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  place(metaStart: number, bodyStart: number, bodyEnd: number): void {
    this.metaStart = metaStart;
    this.bodyStart = bodyStart;
    this.bodyEnd = bodyEnd;
    this.#meta = null;
    this.#body = null;
  }

  get meta(): Uint8Array {
    this.#meta ??= this.#view(this.metaStart, this.bodyStart);
    return this.#meta;
  }

  get body(): Uint8Array {
    this.#body ??= this.#view(this.bodyStart, this.bodyEnd);
    return this.#body;
  }

  #view(start: number, end: number): Uint8Array {
    return start === end ? EMPTY : this.bytes.subarray(start, end);
  }
}

/**
 * One end of a ring, or an onlooker; each thread makes its own. Bytes lie at `at` of the memory: RING.words words of head part, then `dataBytes`.
 * Why no frame and no word of the starved flag is lost: every counter and flag is written and read with Atomics, which are in one order for all
 * threads, and a record is written before the counter that shows it.
 */
export class Ring {
  /** Most bytes of meta and body together that one push takes: a quarter of the ring less the record's head. */
  readonly frameBytesMax: number;
  readonly #cells: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #mask: number;
  readonly #frame: FrameView;
  /** Producer: the head when it last looked. Never ahead of the head, so that it can only see less room than there is. */
  #headSeen: number;
  #draining = false;

  constructor(memory: SharedArrayBuffer, at: number, dataBytes: number) {
    assert((dataBytes & (dataBytes - 1)) === 0 && dataBytes >= 4096, 'a ring has a power of two of bytes');
    const dataAt = at + RING.words * WORD_BYTES;
    this.#cells = new Int32Array(memory, at, RING.words);
    this.#bytes = new Uint8Array(memory, dataAt, dataBytes);
    this.#words = new Uint32Array(memory, dataAt, dataBytes / WORD_BYTES);
    this.#mask = dataBytes - 1;
    this.#frame = new FrameView(this.#bytes);
    this.#headSeen = Atomics.load(this.#cells, RING.head);
    this.frameBytesMax = dataBytes / FRAME_PART - HEAD_BYTES;
  }

  /**
   * Producer: puts a frame whose body is `body` from `bodyStart` to `bodyEnd`. False when there is no room now: nothing was put, and the starved
   * flag is set, so that the consumer tells when there is. `kind` and `exchange` are 32 bits without sign. Six parameters, since an object for
   * them would be an allocation a frame.
   */
  push(
    kind: number,
    exchange: number,
    meta: Uint8Array,
    body: Uint8Array,
    bodyStart = 0,
    bodyEnd = body.length,
  ): boolean {
    const bodyBytes = bodyEnd - bodyStart;
    assert(
      bodyStart >= 0 &&
        bodyBytes >= 0 &&
        bodyEnd <= body.length &&
        meta.length + bodyBytes <= this.frameBytesMax,
      'a frame is a quarter of the ring at most, and its body lies within the array',
    );
    const record = alignedBytes(meta.length + bodyBytes);
    const tail = Atomics.load(this.#cells, RING.tail);
    const place = tail & this.#mask;
    const rest = this.#bytes.length - place;
    const skipped = record > rest ? rest : 0;
    if (!this.#hasRoom(tail, skipped + record)) return false;
    if (skipped > 0) this.#words[place / WORD_BYTES] = WRAP;
    const start = skipped > 0 ? 0 : place;
    const word = start / WORD_BYTES;
    this.#words[word] = bodyBytes;
    this.#words[word + 1] = meta.length;
    this.#words[word + 2] = kind;
    this.#words[word + 3] = exchange;
    const metaStart = start + HEAD_BYTES;
    copy(meta, 0, meta.length, this.#bytes, metaStart);
    copy(body, bodyStart, bodyEnd, this.#bytes, metaStart + meta.length);
    Atomics.store(this.#cells, RING.tail, (tail + skipped + record) | 0);
    return true;
  }

  /**
   * Consumer: visits at most `max` frames, returns how many. Their room is given back in steps and at the end, also when a visit throws; the frame
   * whose visit threw counts as taken. A drain within a visit visits nothing.
   */
  drain(visit: (frame: Frame) => void, max: number): number {
    if (this.#draining) return 0;
    const tail = Atomics.load(this.#cells, RING.tail);
    let head = Atomics.load(this.#cells, RING.head);
    if (head === tail) return 0;
    let visited = 0;
    let freed = head;
    this.#draining = true;
    try {
      while (head !== tail && visited < max) {
        head = this.#take(head, (tail - head) >>> 0);
        visited++;
        visit(this.#frame);
        if ((head - freed) >>> 0 >= this.#bytes.length / FREE_PART) {
          Atomics.store(this.#cells, RING.head, head);
          freed = head;
        }
      }
    } finally {
      Atomics.store(this.#cells, RING.head, head);
      this.#draining = false;
    }
    return visited;
  }

  /** Nothing in it. The consumer's answer stays true until something is put; anybody else's may be old at once. */
  get isEmpty(): boolean {
    return Atomics.load(this.#cells, RING.head) === Atomics.load(this.#cells, RING.tail);
  }

  /**
   * Consumer, after each drain: true once when the producer found no room and now half of the ring is free, which is room for any frame; clears the
   * flag. The producer looks again after it has set the flag, so either it sees the room or this sees the flag.
   */
  takeStarved(): boolean {
    if (Atomics.load(this.#cells, RING.starved) === 0) return false;
    if (this.usedBytes * 2 > this.#bytes.length) return false;
    return Atomics.exchange(this.#cells, RING.starved, 0) === 1;
  }

  /** Bytes in it, records' heads and gaps included, seen from any thread; 0 to the ring's size. */
  get usedBytes(): number {
    // The head first: the tail seen later is never behind it.
    const head = Atomics.load(this.#cells, RING.head);
    return Math.min((Atomics.load(this.#cells, RING.tail) - head) >>> 0, this.#bytes.length);
  }

  /**
   * Empties it by letting the head catch up, while its consumer is not at work (its thread has ended); the producer may be: it only sees room. The
   * starved flag stays, so that the next consumer tells a producer that waits.
   */
  reset(): void {
    Atomics.store(this.#cells, RING.head, Atomics.load(this.#cells, RING.tail));
  }

  /** Sets the frame to the record at `head`; returns the head after it. `used` bytes lie before the tail. */
  #take(head: number, used: number): number {
    let place = head & this.#mask;
    let bodyBytes = this.#wordAt(place);
    let skipped = 0;
    if (bodyBytes === WRAP) {
      skipped = this.#bytes.length - place;
      place = 0;
      bodyBytes = this.#wordAt(0);
    }
    const metaBytes = this.#wordAt(place + WORD_BYTES);
    // Also keeps the sum below within 32 bits, whatever somebody wrote here.
    assert(metaBytes + bodyBytes <= this.frameBytesMax, 'a record is a quarter of its ring at most');
    const record = alignedBytes(metaBytes + bodyBytes);
    assert(skipped + record <= used && place + record <= this.#bytes.length, 'a record lies within its ring');
    const frame = this.#frame;
    frame.kind = this.#wordAt(place + 2 * WORD_BYTES);
    frame.exchange = this.#wordAt(place + 3 * WORD_BYTES);
    const bodyStart = place + HEAD_BYTES + metaBytes;
    frame.place(place + HEAD_BYTES, bodyStart, bodyStart + bodyBytes);
    return (head + skipped + record) | 0;
  }

  #wordAt(place: number): number {
    return this.#words[place / WORD_BYTES] ?? 0;
  }

  #hasRoom(tail: number, bytes: number): boolean {
    if (this.#free(tail) >= bytes) return true;
    this.#headSeen = Atomics.load(this.#cells, RING.head);
    if (this.#free(tail) >= bytes) return true;
    Atomics.store(this.#cells, RING.starved, 1);
    // The consumer may have made room between the look and the flag, and not have seen the flag. It stays up even so: a push that was refused
    // before may still be waiting, and a consumer that tells once too often does no harm.
    this.#headSeen = Atomics.load(this.#cells, RING.head);
    return this.#free(tail) >= bytes;
  }

  #free(tail: number): number {
    return this.#bytes.length - ((tail - this.#headSeen) >>> 0);
  }
}

function alignedBytes(payload: number): number {
  return (HEAD_BYTES + payload + ALIGN_BYTES - 1) & -ALIGN_BYTES;
}

/** Copies a piece of an array; only a piece that is not all of it needs a view made (a loop over the bytes costs more, however few they are). */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (start === end) return;
  to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at);
}
