// A cursor over JSON that a scanner has already found valid: finds members, elements and ends without parsing values.
// Called by mcp/merge, mcp/rewrite and proxy. Promises: linear, no allocation but what it returns; the result over bytes
// that are not valid JSON is undefined, so every caller holds a successful scan.
import { decode, equalsAscii } from '../base/bytes.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** A half-open range of bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Offset of the first byte at or after `at` that is no white space. */
export function skipBlank(bytes: Uint8Array, at: number): number {
  let i = at;
  for (;;) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return i;
    i++;
  }
}

/** Strings are mostly shorter than this, and then looking at each byte is faster. */
const NEAR_BYTES = 32;

/** Offset after the string whose opening quote is at `at`. */
function stringEnd(bytes: Uint8Array, at: number): number {
  const near = at + NEAR_BYTES;
  let i = at + 1;
  while (i < near) {
    const byte = bytes[i];
    if (byte === QUOTE || byte === undefined) return i + 1;
    i += byte === BACKSLASH ? 2 : 1;
  }
  return farStringEnd(bytes, i);
}

/** The same from somewhere inside of it, where no escape is half read: the engine's own search is a hundred times faster than a loop of ours. */
function farStringEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) return bytes.length + 1;
    let before = quote;
    while (before > from && bytes[before - 1] === BACKSLASH) before--;
    if ((quote - before) % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** Offset after the container whose opening bracket is at `at`. */
function containerEnd(bytes: Uint8Array, at: number): number {
  let depth = 0;
  let i = at;
  for (;;) {
    const byte = bytes[i];
    if (byte === undefined) return i;
    if (byte === QUOTE) {
      i = stringEnd(bytes, i);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return i + 1;
    }
    i++;
  }
}

function isDelimiter(byte: number | undefined): boolean {
  return (
    byte === undefined || byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= 0x20
  );
}

/** Offset after the value that starts at `at`. */
export function valueEnd(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  if (first === QUOTE) return stringEnd(bytes, at);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return containerEnd(bytes, at);
  let i = at;
  while (!isDelimiter(bytes[i])) i++;
  return i;
}

/** True when the value at `at` is an object. */
export function isObject(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === OPEN_BRACE;
}

/** True when the value at `at` is an array. */
export function isArray(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === OPEN_BRACKET;
}

function isString(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === QUOTE;
}

/** Visits each element of the array at `at`. */
export function eachElement(
  bytes: Uint8Array,
  at: number,
  visit: (start: number, end: number) => void,
): void {
  let i = skipBlank(bytes, at + 1);
  if (bytes[i] === CLOSE_BRACKET) return;
  for (;;) {
    const end = valueEnd(bytes, i);
    visit(i, end);
    i = skipBlank(bytes, end);
    if (bytes[i] !== COMMA) return;
    i = skipBlank(bytes, i + 1);
  }
}

/** Visits each member of the object at `at`: the key with its quotes, and the value. */
export function eachMember(bytes: Uint8Array, at: number, visit: (key: Span, value: Span) => void): void {
  let i = skipBlank(bytes, at + 1);
  if (bytes[i] === CLOSE_BRACE) return;
  for (;;) {
    const keyEnd = stringEnd(bytes, i);
    const colon = skipBlank(bytes, keyEnd);
    const start = skipBlank(bytes, bytes[colon] === COLON ? colon + 1 : colon);
    const end = valueEnd(bytes, start);
    visit({ start: i, end: keyEnd }, { start, end });
    i = skipBlank(bytes, end);
    if (bytes[i] !== COMMA) return;
    i = skipBlank(bytes, i + 1);
  }
}

/** True when the string (quotes included) at the span is `text` once unescaped. `text` is ASCII. */
function stringIs(bytes: Uint8Array, span: Span, text: string): boolean {
  if (equalsAscii(bytes, span.start + 1, span.end - 1, text)) return true;
  return span.end - span.start - 2 > text.length && readString(bytes, span.start, span.end) === text;
}

/** Value of a member of the object at `at` (the last one on duplicates), or null. `key` is ASCII. */
export function member(bytes: Uint8Array, at: number, key: string): Span | null {
  let found: Span | null = null;
  eachMember(bytes, at, (name, value) => {
    if (stringIs(bytes, name, key)) found = value;
  });
  return found;
}

/** Text of the string (quotes included) at bytes[start…end), unescaped; null when the value is no string. */
export function readString(bytes: Uint8Array, start: number, end: number): string | null {
  if (start < 0 || bytes[start] !== QUOTE) return null;
  for (let i = start + 1; i < end - 1; i++) {
    if (bytes[i] === BACKSLASH) {
      const text: unknown = JSON.parse(decode(bytes, start, end));
      return typeof text === 'string' ? text : null;
    }
  }
  return decode(bytes, start + 1, end - 1);
}

/** Text of a string member of the object at `at`, or null. */
export function stringMember(bytes: Uint8Array, at: number, key: string): string | null {
  const span = member(bytes, at, key);
  return span === null ? null : readString(bytes, span.start, span.end);
}

/** Number member of the object at `at`, or null. */
export function numberMember(bytes: Uint8Array, at: number, key: string): number | null {
  const span = member(bytes, at, key);
  if (span === null) return null;
  const value = Number(decode(bytes, span.start, span.end));
  return Number.isFinite(value) && !isString(bytes, span.start) ? value : null;
}
