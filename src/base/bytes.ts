// Bytes: the few helpers that every room needs to make, compare and splice them.
// Called by every room. Promises: pure, synchronous, never copies what it can view.
import { assert } from './assert.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** No bytes. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** UTF-8 of a string. */
export function encode(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Names of tools and ids: a loop takes a third of the decoder's time for them (0.03 and 0.1 µs). */
const SHORT_BYTES = 32;
const BEYOND_ASCII = 0x80;

/** Text of UTF-8 bytes; bad sequences become U+FFFD. */
export function decode(bytes: Uint8Array, start = 0, end = bytes.length): string {
  if (end - start <= SHORT_BYTES) {
    let text = '';
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at] ?? BEYOND_ASCII;
      if (byte >= BEYOND_ASCII) break;
      text += String.fromCharCode(byte);
    }
    if (at >= end) return text;
  }
  return decoder.decode(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
}

/** The same text with memory of its own: a part that was cut out of a string keeps all of that string alive for as long as it is kept itself. */
export function ownCopy(text: string): string {
  return decoder.decode(encoder.encode(text));
}

/** Two lower-case hexadecimal digits for each byte. */
export function hexOf(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return hex;
}

/** One array holding all parts in order; a single part is returned as it is. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** True when bytes[start…end) equal the ASCII text. */
export function equalsAscii(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** One replacement inside a body: bytes[start…end) become `insert`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly insert: Uint8Array;
}

/** Sorts edits by place and asserts that none overlaps another. */
export function orderEdits(edits: readonly Edit[]): readonly Edit[] {
  if (edits.length < 2) return edits;
  const sorted = [...edits].sort((a, b) => a.start - b.start);
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1];
    const here = sorted[i];
    assert(before !== undefined && here !== undefined && before.end <= here.start, 'edits do not overlap');
  }
  return sorted;
}

/** Bytes that a body has once ordered edits are applied. */
export function splicedLength(bodyLength: number, edits: readonly Edit[]): number {
  let length = bodyLength;
  for (const edit of edits) length += edit.insert.length - (edit.end - edit.start);
  return length;
}

/** Writes body with ordered edits applied into target at `at`; returns the offset after the last byte. */
export function spliceInto(target: Uint8Array, at: number, body: Uint8Array, edits: readonly Edit[]): number {
  let from = 0;
  let to = at;
  for (const edit of edits) {
    target.set(body.subarray(from, edit.start), to);
    to += edit.start - from;
    target.set(edit.insert, to);
    to += edit.insert.length;
    from = edit.end;
  }
  target.set(body.subarray(from), to);
  return to + body.length - from;
}

/** The body with edits (any order) applied; the body itself when there are none. */
export function splice(body: Uint8Array, edits: readonly Edit[]): Uint8Array {
  if (edits.length === 0) return body;
  const ordered = orderEdits(edits);
  const whole = new Uint8Array(splicedLength(body.length, ordered));
  spliceInto(whole, 0, body, ordered);
  return whole;
}
