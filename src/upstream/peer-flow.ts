// What one end of an exchange has to say to the other, in order: its opening, the bytes of a body against credit, and how it ends.
// Called by peer-calls.ts. Promises: nothing is lost or overtaken when the ring is full, nothing is copied while it waits; whatever is not bytes of a
// body is kept as state, not as frames, so that an exchange that waits for room costs the same however long it waits.
import { assert } from '../base/assert.ts';
import { concat, EMPTY } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { FRAME, packCredit, packFailure } from './peer-frames.ts';

/** A ring to one worker, as a flow sees it. */
export interface FlowRing {
  readonly frameBytesMax: number;
  /** Puts a frame; false when there is no room now. */
  push(
    kind: number,
    exchange: number,
    words: Uint8Array,
    body: Uint8Array,
    span: readonly [number, number],
  ): boolean;
}

/** How a flow begins: the words are packed when there is room for them, and again when there was none. */
export interface Opening {
  readonly kind: typeof FRAME.request | typeof FRAME.head;
  pack(): Uint8Array;
}

const NOTHING: readonly [number, number] = [0, 0];

/** One direction of one exchange, from its sender's side. */
export class Flow {
  readonly #ring: FlowRing;
  readonly #exchange: number;
  #opening: Opening | null = null;
  /** Words too long for a frame, and how much of them is on its way. */
  #words: Uint8Array | null = null;
  #wordsAt = 0;
  #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that are on their way. */
  #at = 0;
  #credit: number = LIMITS.peerWindowBytes;
  #owed = 0;
  #ending: 'none' | 'end' | 'fail' | 'abort' = 'none';
  #error: GatewayError | null = null;
  #begun = false;
  #complete = false;
  #isDropped = false;

  constructor(ring: FlowRing, exchange: number) {
    this.#ring = ring;
    this.#exchange = exchange;
  }

  /** True once any frame of it is on its way. */
  get begun(): boolean {
    return this.#begun;
  }

  /** True once the last of its body and its end are on their way; credit for the other direction may follow. */
  get complete(): boolean {
    return this.#complete;
  }

  /** True while bytes wait for credit or room. */
  get hasPieces(): boolean {
    return this.#pieces.length > 0;
  }

  open(opening: Opening): void {
    this.#opening = opening;
  }

  /** Bytes of the body; kept as they are until they are sent. */
  add(bytes: Uint8Array): void {
    if (bytes.length > 0 && this.#ending === 'none') this.#pieces.push(bytes);
  }

  end(): void {
    if (this.#ending === 'none') this.#ending = 'end';
  }

  /** The failure follows what was added before. */
  fail(error: GatewayError): void {
    if (this.#ending !== 'none') return;
    this.#ending = 'fail';
    this.#error = error;
    // A head that nothing was sent of is not worth sending.
    if (!this.#begun && this.#pieces.length === 0) this.#opening = null;
  }

  /** Nobody wants the rest: what waits is dropped, and the other end is told if it knows of the exchange. */
  abort(): void {
    if (this.#isDropped) return;
    this.#forgetBody();
    this.#ending = 'abort';
    this.#isDropped = !this.#begun;
  }

  /** Sends nothing any more: the other end is gone or has said its last. */
  drop(): void {
    this.#isDropped = true;
    this.#forgetBody();
  }

  #forgetBody(): void {
    this.#pieces = [];
    this.#opening = null;
    this.#words = null;
  }

  /** The other end lets more bytes come. */
  credit(bytes: number): void {
    this.#credit += bytes;
  }

  /** So many bytes of the other direction were used up; told in lots, since each telling is a frame. */
  owe(bytes: number): void {
    this.#owed += bytes;
  }

  /** True when something could be sent if the ring had room. */
  get hasWork(): boolean {
    if (this.#isDropped) return false;
    if (this.#owed >= OWED_BYTES_MIN || this.#ending === 'abort') return true;
    if (this.#complete) return false;
    if (this.#opening !== null) return true;
    return this.#pieces.length > 0 ? this.#credit > 0 : this.#ending !== 'none';
  }

  /** Sends what it can; false when the ring was full. */
  pump(): boolean {
    if (this.#isDropped) return true;
    if (this.#ending === 'abort') {
      this.#isDropped = this.#put(FRAME.abort, EMPTY, EMPTY, NOTHING);
      return this.#isDropped;
    }
    if (this.#owed >= OWED_BYTES_MIN) {
      if (!this.#put(FRAME.credit, packCredit(this.#owed), EMPTY, NOTHING)) return false;
      this.#owed = 0;
    }
    return this.#complete || this.#pumpBody();
  }

  #pumpBody(): boolean {
    if (this.#opening !== null && !this.#pumpOpening(this.#opening)) return false;
    if (this.#complete) return true;
    if (!this.#pumpPieces()) return false;
    if (this.#pieces.length > 0 || this.#ending === 'none') return true;
    const words = this.#error === null ? EMPTY : packFailure(this.#error);
    this.#complete = this.#put(FRAME.end, words, EMPTY, NOTHING);
    return this.#complete;
  }

  #put(kind: number, words: Uint8Array, body: Uint8Array, span: readonly [number, number]): boolean {
    if (!this.#ring.push(kind, this.#exchange, words, body, span)) return false;
    this.#begun = true;
    return true;
  }

  #pumpOpening({ kind, pack }: Opening): boolean {
    const max = this.#ring.frameBytesMax;
    let words = this.#words ?? pack();
    // The buffer that words are packed into is the next packer's as well: what must wait is copied. (slice() of a Buffer would be a view.)
    if (words.length > max) this.#words ??= new Uint8Array(words);
    for (words = this.#words ?? words; words.length - this.#wordsAt > max; this.#wordsAt += max) {
      const span = [this.#wordsAt, this.#wordsAt + max] as const;
      if (!this.#put(FRAME.words, EMPTY, words, span)) return false;
    }
    if (this.#wordsAt > 0) words = words.subarray(this.#wordsAt);
    const body = this.#wholeBody(max - words.length);
    const kindNow = body !== null && kind === FRAME.head ? FRAME.whole : kind;
    if (!this.#put(kindNow, words, body ?? EMPTY, [0, body?.length ?? 0])) return false;
    this.#opening = null;
    this.#words = null;
    if (body === null) return true;
    this.#pieces = [];
    this.#complete = true;
    return true;
  }

  /** The body when all of it is there and fits into the frame of the opening, else null. */
  #wholeBody(room: number): Uint8Array | null {
    if (this.#ending !== 'end') return null;
    let bytes = 0;
    for (const piece of this.#pieces) bytes += piece.length;
    return bytes > room ? null : concat(this.#pieces);
  }

  /** False when the ring was full. */
  #pumpPieces(): boolean {
    const max = Math.min(this.#ring.frameBytesMax, CHUNK_BYTES_MAX);
    for (let piece = this.#pieces[0]; piece !== undefined && this.#credit > 0; piece = this.#pieces[0]) {
      const count = Math.min(piece.length - this.#at, this.#credit, max);
      assert(count > 0, 'no piece is empty');
      if (!this.#put(FRAME.chunk, EMPTY, piece, [this.#at, this.#at + count])) return false;
      this.#credit -= count;
      this.#at += count;
      if (this.#at < piece.length) continue;
      this.#pieces.shift();
      this.#at = 0;
    }
    return true;
  }
}

/** Credit is given back once a quarter of the window is used up: at most 4 credit frames a window, and the sender never runs dry meanwhile. */
const OWED_BYTES_MIN = LIMITS.peerWindowBytes / 4;
/** A chunk is a quarter of the window at most, so that the bytes flow while the first are being used. */
const CHUNK_BYTES_MAX = LIMITS.peerWindowBytes / 4;
