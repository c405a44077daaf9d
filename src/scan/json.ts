// One pass over a JSON text: the whole grammar of RFC 8259, UTF-8 included, and the spans of an MCP envelope.
// Called by portable.ts. Promises: makes nothing per call, stops at the first fault, reads only bytes[start…end).
// Longer than most files: it is the whole state machine of a JSON text, and reads best in one piece.
import { EMPTY } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { ENVELOPE, FLAG, KIND, SCAN } from './contract.ts';
import { type KeyLevel, type KnownKey, TOP } from './keys.ts';
import { characterLength, isUtf8 } from './utf8.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const POINT = 0x2e;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const SMALL_U = 0x75;

/** Methods answer the offset after what they read, or one of these two. */
const SYNTAX = -1;
const DEEP = -2;

/** What a byte means inside a string: 0 plain, 1 closing quote, 2 backslash, 3 control character, 4 start of more bytes. */
const IN_STRING = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte < 0x20) IN_STRING[byte] = 3;
  else if (byte >= 0x80) IN_STRING[byte] = 4;
}
IN_STRING[QUOTE] = 1;
IN_STRING[BACKSLASH] = 2;

/** Character that follows a backslash → character that it stands for; 0 when the pair is no escape (`u` apart). */
const ESCAPED = new Uint8Array(256);
for (const [letter, meaning] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'].map((pair) => [
  ...pair,
])) {
  ESCAPED[(letter ?? '').charCodeAt(0)] = (meaning ?? '').charCodeAt(0);
}

/** Hexadecimal digit → its value; 255 for every other byte. */
const HEX = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit;
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const TRUE = ascii('true');
const FALSE = ascii('false');
const NULL = ascii('null');
const VERSION = ascii('2.0');

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Reads JSON texts, one at a time. One instance serves a thread: it holds only scratch space. */
export class EnvelopeReader {
  private bytes: Uint8Array = EMPTY;
  private end = 0;
  private envelope: Int32Array = new Int32Array(0);
  private flags = 0;
  private deepest = 0;
  private batchCount = 0;
  /** Whether the string read last holds a backslash. */
  private hadEscape = false;
  /** Kind of each open container inside value(): 1 object, 0 array. */
  private readonly isObject = new Uint8Array(LIMITS.jsonDepthMax + 1);
  private readonly unescaped = new Uint8Array(LIMITS.jsonKnownKeyBytesMax);

  /** Fills `envelope` from bytes[start…end) and returns a SCAN code, exactly as contract.ts words it. */
  read(bytes: Uint8Array, start: number, end: number, envelope: Int32Array): number {
    this.bytes = bytes;
    this.end = end;
    this.envelope = envelope;
    this.flags = 0;
    this.deepest = 0;
    this.batchCount = 0;
    envelope.fill(-1, ENVELOPE.jsonrpc, ENVELOPE.length);
    const after = this.text(this.blank(start));
    if (after < 0) {
      envelope.fill(0, 0, ENVELOPE.jsonrpc);
      envelope.fill(-1, ENVELOPE.jsonrpc, ENVELOPE.length);
      return this.verdict(start, after);
    }
    envelope[ENVELOPE.flags] = this.flags;
    envelope[ENVELOPE.depth] = this.deepest;
    envelope[ENVELOPE.batchCount] = this.batchCount;
    return SCAN.ok;
  }

  private verdict(start: number, fault: number): number {
    if (!isUtf8(this.bytes, start, this.end)) return SCAN.utf8;
    if (this.blank(start) === this.end) return SCAN.empty;
    return fault === DEEP ? SCAN.depth : SCAN.syntax;
  }

  private peek(at: number): number {
    return at < this.end ? (this.bytes[at] ?? 0) : 0;
  }

  /** First offset at or after `from` that is no white space; notes newlines. */
  private blank(from: number): number {
    const { bytes, end } = this;
    let at = from;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte > 0x20) break;
      if (byte === 0x0a || byte === 0x0d) this.flags |= FLAG.newline;
      else if (byte !== 0x20 && byte !== 0x09) break;
      at++;
    }
    return at;
  }

  /** The one value of the text and the white space behind it. */
  private text(at: number): number {
    const first = this.peek(at);
    let after: number;
    if (first === OPEN_OBJECT) {
      after = this.object(at, TOP, 1);
      if (after >= 0) this.judge();
    } else if (first === OPEN_ARRAY) {
      after = this.batch(at);
      this.envelope[ENVELOPE.kind] = KIND.batch;
    } else {
      after = this.value(at, 0);
      this.envelope[ENVELOPE.kind] = KIND.none;
    }
    if (after < 0) return after;
    after = this.blank(after);
    return after === this.end ? after : SYNTAX;
  }

  private batch(open: number): number {
    this.deepest = 1;
    let at = this.blank(open + 1);
    if (this.peek(at) === CLOSE_ARRAY) {
      this.flags |= FLAG.emptyBatch;
      return at + 1;
    }
    for (;;) {
      at = this.value(at, 1);
      if (at < 0) return at;
      this.batchCount++;
      at = this.blank(at);
      const byte = this.peek(at);
      if (byte === CLOSE_ARRAY) return at + 1;
      if (byte !== COMMA) return SYNTAX;
      at = this.blank(at + 1);
    }
  }

  /** An object some of whose keys are known. It is the `depth`-th container from outside; at most four deep. */
  private object(open: number, level: KeyLevel, depth: number): number {
    if (depth > this.deepest) this.deepest = depth;
    let seen = 0;
    let at = this.blank(open + 1);
    if (this.peek(at) === CLOSE_OBJECT) return at + 1;
    for (;;) {
      if (this.peek(at) !== QUOTE) return SYNTAX;
      const keyEnd = this.string(at);
      if (keyEnd < 0) return keyEnd;
      const known = this.find(level, at, keyEnd);
      at = this.colon(keyEnd);
      if (at < 0) return at;
      const valueStart = at;
      let child: KeyLevel | null = null;
      if (known !== null) {
        if ((seen & known.bit) !== 0) this.flags |= level.duplicate;
        seen |= known.bit;
        child = known.child;
        if (child !== null) this.empty(child);
      }
      at =
        child !== null && this.peek(at) === OPEN_OBJECT
          ? this.object(at, child, depth + 1)
          : this.value(at, depth);
      if (at < 0) return at;
      if (known !== null) {
        this.envelope[known.slot] = valueStart;
        this.envelope[known.slot + 1] = at;
      }
      at = this.blank(at);
      const byte = this.peek(at);
      if (byte === CLOSE_OBJECT) return at + 1;
      if (byte !== COMMA) return SYNTAX;
      at = this.blank(at + 1);
    }
  }

  private empty(level: KeyLevel): void {
    for (const slot of level.slots) {
      this.envelope[slot] = -1;
      this.envelope[slot + 1] = -1;
    }
  }

  /** Any value that holds nothing of interest; it lies in the `level`-th container. Iterative: depth costs no stack. */
  private value(from: number, level: number): number {
    const { isObject } = this;
    let at = from;
    let depth = level;
    for (;;) {
      const first = this.peek(at);
      if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
        if (depth === LIMITS.jsonDepthMax) return DEEP;
        depth++;
        if (depth > this.deepest) this.deepest = depth;
        isObject[depth] = first === OPEN_OBJECT ? 1 : 0;
        at = this.blank(at + 1);
        if (this.peek(at) !== first + 2) {
          if (first === OPEN_OBJECT) at = this.key(at);
          if (at < 0) return at;
          continue;
        }
        depth--;
        at++;
      } else {
        at = this.scalar(at, first);
        if (at < 0) return at;
      }
      for (;;) {
        if (depth === level) return at;
        at = this.blank(at);
        const byte = this.peek(at);
        if (byte === COMMA) {
          at = this.blank(at + 1);
          if (isObject[depth] === 1) at = this.key(at);
          if (at < 0) return at;
          break;
        }
        if (byte !== (isObject[depth] === 1 ? CLOSE_OBJECT : CLOSE_ARRAY)) return SYNTAX;
        depth--;
        at++;
      }
    }
  }

  private scalar(at: number, first: number): number {
    if (first === QUOTE) return this.string(at);
    if (first === MINUS || isDigit(first)) return this.number(at);
    if (first === 0x74) return this.literal(at, TRUE);
    if (first === 0x66) return this.literal(at, FALSE);
    if (first === 0x6e) return this.literal(at, NULL);
    return SYNTAX;
  }

  private key(at: number): number {
    if (this.peek(at) !== QUOTE) return SYNTAX;
    const end = this.string(at);
    return end < 0 ? end : this.colon(end);
  }

  /** From the end of a key to the start of its value. */
  private colon(keyEnd: number): number {
    const at = this.blank(keyEnd);
    return this.peek(at) === COLON ? this.blank(at + 1) : SYNTAX;
  }

  private literal(at: number, word: Uint8Array): number {
    for (let i = 1; i < word.length; i++) if (this.peek(at + i) !== word[i]) return SYNTAX;
    return at + word.length;
  }

  private number(from: number): number {
    let at = this.peek(from) === MINUS ? from + 1 : from;
    if (this.peek(at) === 0x30) at++;
    else at = this.digits(at);
    if (at < 0) return at;
    if (this.peek(at) === POINT) at = this.digits(at + 1);
    if (at < 0) return at;
    if ((this.peek(at) | 0x20) !== 0x65) return at;
    const sign = this.peek(at + 1);
    return this.digits(sign === MINUS || sign === 0x2b ? at + 2 : at + 1);
  }

  private digits(from: number): number {
    let at = from;
    while (isDigit(this.peek(at))) at++;
    return at === from ? SYNTAX : at;
  }

  /** From an opening quote to after the closing one. */
  private string(open: number): number {
    const { bytes, end } = this;
    this.hadEscape = false;
    let at = open + 1;
    while (at < end) {
      const meaning = IN_STRING[bytes[at] ?? 0];
      if (meaning === 0) at++;
      else if (meaning === 1) return at + 1;
      else if (meaning === 2) {
        this.hadEscape = true;
        at = this.escape(at);
        if (at < 0) return at;
      } else {
        const length = meaning === 4 ? characterLength(bytes, at, end) : 0;
        if (length === 0) return SYNTAX;
        at += length;
      }
    }
    return SYNTAX;
  }

  /** From a backslash to after its escape. Lone surrogates are let through, as JSON.parse does. */
  private escape(at: number): number {
    const letter = this.peek(at + 1);
    if (letter !== SMALL_U) return ESCAPED[letter] === 0 ? SYNTAX : at + 2;
    for (let i = 2; i < 6; i++) if (HEX[this.peek(at + i)] === 255) return SYNTAX;
    return at + 6;
  }

  /** The known key written as the string bytes[open…close), quotes included. */
  private find(level: KeyLevel, open: number, close: number): KnownKey | null {
    if (this.hadEscape) {
      const length = this.unescape(open, close);
      return length < 0 ? null : match(level, this.unescaped, 0, length);
    }
    return match(level, this.bytes, open + 1, close - open - 2);
  }

  /** Writes what the string stands for into `unescaped`; its length, or -1 when it is too long or not ASCII throughout. */
  private unescape(open: number, close: number): number {
    const { bytes, unescaped } = this;
    let length = 0;
    let at = open + 1;
    while (at < close - 1) {
      let code = bytes[at] ?? 0;
      if (code !== BACKSLASH) at++;
      else if (bytes[at + 1] !== SMALL_U) {
        code = ESCAPED[bytes[at + 1] ?? 0] ?? 0;
        at += 2;
      } else {
        code = 0;
        for (let i = 2; i < 6; i++) code = code * 16 + (HEX[bytes[at + i] ?? 0] ?? 0);
        at += 6;
      }
      if (code >= 0x80 || length === unescaped.length) return -1;
      unescaped[length++] = code;
    }
    return length;
  }

  /** Sets kind and the flags that speak of values, once the spans of an object are known. */
  private judge(): void {
    const { envelope } = this;
    const hasMethod = this.has(ENVELOPE.method);
    const hasResult = this.has(ENVELOPE.result);
    const hasError = this.has(ENVELOPE.error);
    if (hasMethod) envelope[ENVELOPE.kind] = this.has(ENVELOPE.id) ? KIND.request : KIND.notification;
    else if (hasError) envelope[ENVELOPE.kind] = KIND.error;
    else envelope[ENVELOPE.kind] = hasResult ? KIND.result : KIND.none;
    if (hasResult ? hasError || hasMethod : hasError && hasMethod) this.flags |= FLAG.mixed;
    if (!this.isVersion2()) this.flags |= FLAG.notVersion2;
    if (this.has(ENVELOPE.id) && !this.isId()) this.flags |= FLAG.badId;
    if (hasMethod && this.first(ENVELOPE.method) !== QUOTE) this.flags |= FLAG.badMethod;
    const params = this.first(ENVELOPE.params);
    if (this.has(ENVELOPE.params) && params !== OPEN_OBJECT && params !== OPEN_ARRAY)
      this.flags |= FLAG.badParams;
    if (this.has(ENVELOPE.meta) && this.first(ENVELOPE.meta) !== OPEN_OBJECT) this.flags |= FLAG.badMeta;
  }

  private has(slot: number): boolean {
    return (this.envelope[slot] ?? -1) >= 0;
  }

  private first(slot: number): number {
    return this.peek(this.envelope[slot] ?? 0);
  }

  private isVersion2(): boolean {
    if (!this.has(ENVELOPE.jsonrpc) || this.first(ENVELOPE.jsonrpc) !== QUOTE) return false;
    const length = this.unescape(
      this.envelope[ENVELOPE.jsonrpc] ?? 0,
      this.envelope[ENVELOPE.jsonrpc + 1] ?? 0,
    );
    if (length !== VERSION.length) return false;
    for (let i = 0; i < length; i++) if (this.unescaped[i] !== VERSION[i]) return false;
    return true;
  }

  private isId(): boolean {
    const first = this.first(ENVELOPE.id);
    if (first === QUOTE) return true;
    if (first !== MINUS && !isDigit(first)) return false;
    const end = this.envelope[ENVELOPE.id + 1] ?? 0;
    for (let at = this.envelope[ENVELOPE.id] ?? 0; at < end; at++) {
      const byte = this.bytes[at] ?? 0;
      if (byte !== MINUS && !isDigit(byte)) return false;
    }
    return true;
  }
}

function match(level: KeyLevel, bytes: Uint8Array, start: number, length: number): KnownKey | null {
  const candidates = level.byLength[length];
  if (candidates === undefined) return null;
  next: for (const candidate of candidates) {
    for (let i = 0; i < length; i++) if (bytes[start + i] !== candidate.text[i]) continue next;
    return candidate;
  }
  return null;
}
