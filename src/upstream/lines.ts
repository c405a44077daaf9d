// The framing of stdio servers: one message a line, both ways, and the event-stream frame that a line becomes for HTTP.
// Called by stdio-child.ts (reading), stdio-calls.ts and stdio-reply.ts (writing). Promises: pure and synchronous;
// a line never holds a raw CR or LF; reading costs time linear in the bytes however they were cut; bounded by bytesMax.
import { assert } from '../base/assert.ts';
import { type Edit, EMPTY, encode, splicedLength, spliceInto } from '../base/bytes.ts';

const LF = 10;
const CR = 13;
const SPACE = 32;
const QUOTE = 34;
const BACKSLASH = 92;
/** First size of the buffer for a message that spans chunks; it doubles from there. */
const PENDING_BYTES_FIRST = 4_096;

/** What a reader reports. */
export interface LineSink {
  /** One line without its line end, never empty. A view: keep it freely, do not write to it. */
  onLine(line: Uint8Array): void;
  /** A line outgrew the limit. Nothing more is reported. */
  onTooLong(): void;
}

/** Cuts a byte stream into lines at LF; a CR before it is dropped, empty lines are skipped. */
export class LineReader {
  readonly #bytesMax: number;
  readonly #sink: LineSink;
  #pending: Uint8Array = EMPTY;
  #pendingBytes = 0;
  #closed = false;

  constructor(bytesMax: number, sink: LineSink) {
    assert(bytesMax > 0, 'a line may have bytes');
    this.#bytesMax = bytesMax;
    this.#sink = sink;
  }

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    let from = 0;
    while (!this.#closed) {
      const at = chunk.indexOf(LF, from);
      const end = at < 0 ? chunk.length : at;
      if (this.#pendingBytes + end - from > this.#bytesMax) {
        this.#tooLong();
        return;
      }
      if (at < 0) {
        if (end > from) this.#keep(chunk.subarray(from, end));
        return;
      }
      this.#report(chunk.subarray(from, at));
      from = at + 1;
    }
  }

  /** The stream ended: what follows the last LF is a line too. */
  finish(): void {
    if (!this.#closed && this.#pendingBytes > 0) this.#report(EMPTY);
    this.close();
  }

  /** Reports nothing from here on and lets its memory go. */
  close(): void {
    this.#closed = true;
    this.#pending = EMPTY;
    this.#pendingBytes = 0;
  }

  #report(piece: Uint8Array): void {
    let line = piece;
    if (this.#pendingBytes > 0) {
      this.#keep(piece);
      line = this.#pending.subarray(0, this.#pendingBytes);
      this.#pending = EMPTY;
      this.#pendingBytes = 0;
    }
    let length = line.length;
    while (length > 0 && line[length - 1] === CR) length--;
    if (length > 0) this.#sink.onLine(length === line.length ? line : line.subarray(0, length));
  }

  #keep(piece: Uint8Array): void {
    const bytes = this.#pendingBytes + piece.length;
    if (bytes > this.#pending.length) {
      const grown = new Uint8Array(Math.max(PENDING_BYTES_FIRST, bytes, Math.min(bytes * 2, this.#bytesMax)));
      grown.set(this.#pending.subarray(0, this.#pendingBytes));
      this.#pending = grown;
    }
    this.#pending.set(piece, this.#pendingBytes);
    this.#pendingBytes = bytes;
  }

  #tooLong(): void {
    this.close();
    this.#sink.onTooLong();
  }
}

function holds(bytes: Uint8Array, byte: number): boolean {
  return bytes.indexOf(byte) >= 0;
}

/**
 * The JSON text with every raw CR and LF between tokens made a space, on a copy of equal length, so that spans stay
 * true; the text itself when it holds none; null when one lies inside a string, where a space would change the value.
 */
export function flatten(json: Uint8Array): Uint8Array | null {
  if (!holds(json, LF) && !holds(json, CR)) return json;
  const flat = json.slice();
  let inString = false;
  for (let i = 0; i < flat.length; i++) {
    const byte = flat[i];
    if (byte === QUOTE) inString = !inString;
    else if (byte === BACKSLASH && inString) i++;
    else if (byte === LF || byte === CR) {
      if (inString) return null;
      flat[i] = SPACE;
    }
  }
  return flat;
}

/** True when no replacement would put a raw CR or LF into a line. */
export function editsKeepLine(edits: readonly Edit[]): boolean {
  for (const edit of edits) if (holds(edit.insert, LF) || holds(edit.insert, CR)) return false;
  return true;
}

const FRAME_HEAD = encode('event: message\ndata: ');

/**
 * The message with ordered edits applied, as one event of an event stream (WHATWG HTML §9.2). A CR would end the data
 * line there, so it becomes a space; a line off a child holds no LF.
 */
export function eventFrame(line: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const flat = holds(line, CR) ? (flatten(line) ?? line) : line;
  const frame = new Uint8Array(FRAME_HEAD.length + splicedLength(flat.length, edits) + 2);
  frame.set(FRAME_HEAD);
  const end = spliceInto(frame, FRAME_HEAD.length, flat, edits);
  frame[end] = LF;
  frame[end + 1] = LF;
  return frame;
}
