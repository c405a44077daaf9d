// Transfer decoding of an HTTP/1.1 body: by length, chunked (RFC 9112 §7.1), or until the connection closes.
// Called by upstream/http-reader.ts and runtime/http1-connection.ts. Promises: the same bytes come out however the input was cut; nothing is copied but where several
// chunks came in one read; whatever is not exactly chunked coding is a fault, since a lenient reader is how replies get mixed up.
// The chunk reader is one state machine over single bytes, which is why a function here is longer than others.
import { concat, EMPTY } from './bytes.ts';
import type { ErrorCode } from './errors.ts';
import { LIMITS } from './limits.ts';

/** Digits of a chunk size: 2^31-1 has 8. */
const CHUNK_DIGITS_MAX = 8;
const CHUNK_BYTES_MAX = 0x7fff_ffff;
/** Extension bytes of one chunk: nobody uses them, so anything long is an attempt to feed bytes that count as nothing. */
const CHUNK_EXTENSION_BYTES_MAX = 256;

const CR = 13;
const LF = 10;
const TAB = 9;
const SEMICOLON = 59;
const COLON = 58;

type Framing = 'length' | 'chunked' | 'close';

/** Where the chunk reader stands. */
const AT = Object.freeze({
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailerStart: 6,
  trailerName: 7,
  trailerValue: 8,
  trailerLf: 9,
  lastLf: 10,
});

/** Decodes one reply body at a time; start() makes it ready for the next. */
export class BodyDecoder {
  /** True when the body is complete. */
  done = true;
  /** What is wrong, or null; nothing more may be fed then. */
  fault: ErrorCode | null = null;
  private framing: Framing = 'close';
  private remaining = 0;
  private room = 0;
  private state = 0;
  private digits = 0;
  private size = 0;
  private extensionBytes = 0;
  private trailerBytes = 0;
  private readonly parts: Uint8Array[] = [];

  /** Begins a body. `length` counts for framing 'length'; more than `bytesMax` bytes are the fault GW_UPSTREAM_BODY_SIZE. */
  start(framing: Framing, length: number, bytesMax: number): void {
    this.framing = framing;
    this.remaining = length;
    this.room = bytesMax;
    this.state = AT.size;
    this.digits = 0;
    this.size = 0;
    this.extensionBytes = 0;
    this.trailerBytes = 0;
    this.done = framing === 'length' && length === 0;
    this.fault = framing === 'length' && length > bytesMax ? 'GW_UPSTREAM_BODY_SIZE' : null;
  }

  /** True when the end of the connection is the end of the body. */
  get endsWithConnection(): boolean {
    return this.framing === 'close';
  }

  /** Where decode() stopped: the offset after the last byte that belonged to the body. */
  consumed = 0;

  /** Takes bytes[start…), sets `consumed`, `done` and `fault`, and returns the body bytes in them (a view where possible, EMPTY when none). */
  decode(bytes: Uint8Array, start: number): Uint8Array {
    if (this.framing === 'chunked') return this.decodeChunks(bytes, start);
    const end = this.framing === 'close' ? bytes.length : Math.min(bytes.length, start + this.remaining);
    this.consumed = end;
    if (this.framing === 'length') {
      this.remaining -= end - start;
      this.done = this.remaining === 0;
    } else if (!this.admit(end - start)) return EMPTY;
    return view(bytes, start, end);
  }

  private admit(count: number): boolean {
    this.room -= count;
    if (this.room < 0) this.fault = 'GW_UPSTREAM_BODY_SIZE';
    return this.room >= 0;
  }

  private decodeChunks(bytes: Uint8Array, start: number): Uint8Array {
    const parts = this.parts;
    let at = start;
    while (at < bytes.length && !this.done && this.fault === null) {
      if (this.state !== AT.data) {
        this.step(bytes[at] ?? 0);
        at++;
        continue;
      }
      const end = Math.min(bytes.length, at + this.remaining);
      parts.push(view(bytes, at, end));
      this.remaining -= end - at;
      at = end;
      if (this.remaining === 0) this.state = AT.dataCr;
    }
    this.consumed = at;
    if (parts.length === 0) return EMPTY;
    const body = concat(parts);
    parts.length = 0;
    return body;
  }

  /** One byte that is not chunk data. */
  private step(byte: number): void {
    switch (this.state) {
      case AT.size:
        this.sizeByte(byte);
        return;
      case AT.extension:
        if (byte === CR) this.state = AT.sizeLf;
        else if (isControl(byte) || ++this.extensionBytes > CHUNK_EXTENSION_BYTES_MAX) this.refuse();
        return;
      case AT.sizeLf:
        if (byte === LF) this.sizeDone();
        else this.refuse();
        return;
      case AT.dataCr:
        this.expect(byte, CR, AT.dataLf);
        return;
      case AT.dataLf:
        this.expect(byte, LF, AT.size);
        return;
      case AT.lastLf:
        if (byte === LF) this.done = true;
        else this.refuse();
        return;
      default:
        this.trailerByte(byte);
    }
  }

  private expect(byte: number, wanted: number, next: number): void {
    if (byte === wanted) this.state = next;
    else this.refuse();
  }

  private refuse(): void {
    this.fault = 'GW_UPSTREAM_FRAMING';
  }

  private sizeByte(byte: number): void {
    const value = hexValue(byte);
    if (value >= 0) {
      this.size = this.size * 16 + value;
      if (++this.digits > CHUNK_DIGITS_MAX || this.size > CHUNK_BYTES_MAX) this.refuse();
    } else if (this.digits === 0) this.refuse();
    else if (byte === CR) this.state = AT.sizeLf;
    else if (byte === SEMICOLON) this.state = AT.extension;
    else this.refuse();
  }

  private sizeDone(): void {
    this.remaining = this.size;
    this.state = this.size === 0 ? AT.trailerStart : AT.data;
    if (!this.admit(this.size)) return;
    this.size = 0;
    this.digits = 0;
    this.extensionBytes = 0;
  }

  /** Trailer fields are read, bounded like a head, and dropped: nothing of MCP travels in them. */
  private trailerByte(byte: number): void {
    if (++this.trailerBytes > LIMITS.replyHeadBytesMax) {
      this.fault = 'GW_UPSTREAM_HEAD_SIZE';
      return;
    }
    if (this.state === AT.trailerStart) {
      if (byte === CR) this.state = AT.lastLf;
      else if (isNameByte(byte)) this.state = AT.trailerName;
      else this.refuse();
    } else if (this.state === AT.trailerName) {
      if (byte === COLON) this.state = AT.trailerValue;
      else if (!isNameByte(byte)) this.refuse();
    } else if (this.state === AT.trailerValue) {
      if (byte === CR) this.state = AT.trailerLf;
      else if (isControl(byte)) this.refuse();
    } else this.expect(byte, LF, AT.trailerStart);
  }
}

function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  if (start === end) return EMPTY;
  return start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
}

function hexValue(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  if (byte >= 97 && byte <= 102) return byte - 87;
  if (byte >= 65 && byte <= 70) return byte - 55;
  return -1;
}

function isControl(byte: number): boolean {
  return (byte < 32 && byte !== TAB) || byte === 127;
}

/** RFC 9110 token characters. */
function isNameByte(byte: number): boolean {
  if ((byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || (byte >= 48 && byte <= 57)) return true;
  return byte < 127 && byte > 32 && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte));
}
