// The mirrored headers of 2026-07-28: encoding of Mcp-Name and Mcp-Param-* values and their agreement with the body.
// Called by proxy (checks, re-encodes). Promises: pure; values are compared after decoding, exactly and case-sensitively.
// Source: MCP 2026-07-28, Streamable HTTP, and SEP-2243.
import { decode, encode } from '../base/bytes.ts';

const PREFIX = '=?base64?';
const SUFFIX = '?=';
// Printable ASCII and inner tabs; no leading or trailing blank.
const PLAIN = /^(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function looksEncoded(value: string): boolean {
  return value.startsWith(PREFIX) && value.endsWith(SUFFIX) && value.length >= PREFIX.length + SUFFIX.length;
}

/** Header spelling of a text: verbatim where HTTP allows it, else the base64 sentinel. The empty text is encoded. */
export function encodeMirrored(text: string): string {
  if (PLAIN.test(text) && !looksEncoded(text)) return text;
  return `${PREFIX}${toBase64(encode(text))}${SUFFIX}`;
}

/** Text of a header value (blanks around it stripped), or null when it is a sentinel with bad base64 or bad UTF-8. */
export function decodeMirrored(value: string): string | null {
  const trimmed = value.trim();
  if (!looksEncoded(trimmed)) return trimmed;
  const payload = trimmed.slice(PREFIX.length, -SUFFIX.length);
  if (!BASE64.test(payload)) return null;
  const bytes = fromBase64(payload);
  const text = decode(bytes);
  // A replacement character that was not there means that the bytes were no UTF-8.
  return toBase64(encode(text)) === payload ? text : null;
}

function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

function fromBase64(payload: string): Uint8Array {
  return Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
}

/** True when a value may stand in an HTTP header: no CR, LF or NUL, and no character beyond Latin-1. */
export function isHeaderSafe(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0 || code === 10 || code === 13 || code > 255) return false;
  }
  return true;
}

/** True for a short text of visible ASCII only, such as a protocol version: it may stand in a header as it is. */
export function isSafeToken(value: string): boolean {
  return /^[\x21-\x7e]{1,64}$/.test(value);
}
