// The grammar of a JSON text (RFC 8259), UTF-8 included: values, keys, strings, numbers and the white space between them.
// Called by json.ts, whose reader stands on it. Promises: makes nothing per call, stops at the first fault, reads only bytes before
// the end it is given, and needs no more stack for deep texts than for flat ones.
// Longer than most files: it is the whole state machine of a JSON text, and reads best in one piece.
import { EMPTY } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { characterLength } from './utf8.ts';

/** `"`. */
export const QUOTE = 0x22;
/** `,`. */
export const COMMA = 0x2c;
/** `-`. */
export const MINUS = 0x2d;
/** `{`. */
export const OPEN_OBJECT = 0x7b;
/** `}`; two more than its opening counterpart, as with `[` and `]`. */
export const CLOSE_OBJECT = 0x7d;
/** `[`. */
export const OPEN_ARRAY = 0x5b;
/** `]`. */
export const CLOSE_ARRAY = 0x5d;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const POINT = 0x2e;
const SMALL_U = 0x75;

/** Methods answer the offset after what they read, or one of these two. */
export const SYNTAX = -1;
/** The text nests deeper than LIMITS.jsonDepthMax. */
export const DEEP = -2;

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

/** True for 0 to 9. */
export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Reads the parts of one text at a time; a reader of whole texts is built on it. */
export class JsonGrammar {
  protected bytes: Uint8Array = EMPTY;
  protected end = 0;
  /** Deepest nesting so far. */
  protected deepest = 0;
  /** Whether white space so far held an LF or CR. */
  protected hasNewline = false;
  /** Whether the string read last holds a backslash. */
  protected hadEscape = false;
  /** What unescape() wrote last. */
  protected readonly unescaped = new Uint8Array(LIMITS.jsonKnownKeyBytesMax);
  /** Kind of each open container inside value(): 1 object, 0 array. */
  private readonly isObject = new Uint8Array(LIMITS.jsonDepthMax + 1);

  /** Turns to another text, bytes[…end). */
  protected turnTo(bytes: Uint8Array, end: number): void {
    this.bytes = bytes;
    this.end = end;
    this.deepest = 0;
    this.hasNewline = false;
  }

  protected peek(at: number): number {
    return at < this.end ? (this.bytes[at] ?? 0) : 0;
  }

  /** First offset at or after `from` that is no white space; notes newlines. */
  protected blank(from: number): number {
    const { bytes, end } = this;
    let at = from;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte > 0x20) break;
      if (byte === 0x0a || byte === 0x0d) this.hasNewline = true;
      else if (byte !== 0x20 && byte !== 0x09) break;
      at++;
    }
    return at;
  }

  /** Any value that holds nothing of interest; it lies in the `level`-th container. Iterative: depth costs no stack. */
  protected value(from: number, level: number): number {
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
  protected colon(keyEnd: number): number {
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
  protected string(open: number): number {
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

  /** Writes what the string stands for into `unescaped`; its length, or -1 when it is too long or not ASCII throughout. */
  protected unescape(open: number, close: number): number {
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
}
