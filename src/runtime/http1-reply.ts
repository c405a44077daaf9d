// Writes the head of an HTTP/1.1 reply (RFC 9112).
// Called by http1-connection.ts and http1-outgoing.ts. Promises: what is written holds no line but those meant, whatever the values are.
import { kindAt, TOKEN, VALUE } from './http1-characters.ts';

const CR = 13;
const LF = 10;
const SPACE = 32;
const COLON = 58;

const REASONS: Readonly<Record<number, string>> = Object.freeze({
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  411: 'Length Required',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
});

/** The reason phrase of a status, '' when it has none. */
export function reasonOf(status: number): string {
  return REASONS[status] ?? '';
}

/** Bytes of text of one byte a character. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const statusLines = new Map<number, Uint8Array>();

function statusLine(status: number): Uint8Array {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = bytesOf(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n`);
    statusLines.set(status, line);
  }
  return line;
}

/**
 * Writes status line and headers of a reply, without its framing and blank line, into `to` from its start. Returns the offset after them, or -1 when a
 * header cannot be sent or there is no room. Loops, because they check and copy at once; a string put together of so many costs more.
 */
export function writeReplyHead(
  to: Uint8Array,
  status: number,
  headers: Readonly<Record<string, string>>,
): number {
  const line = statusLine(status);
  to.set(line, 0);
  let at = line.length;
  for (const name in headers) {
    const value = headers[name] ?? '';
    if (at + name.length + value.length + 4 > to.length || name === '') return -1;
    if (!copy(to, at, name, TOKEN) || !copy(to, at + name.length + 2, value, VALUE)) return -1;
    to[at + name.length] = COLON;
    to[at + name.length + 1] = SPACE;
    at += name.length + value.length + 2;
    to[at++] = CR;
    to[at++] = LF;
  }
  return at;
}

/** Copies text whose characters are all of a kind; false when one is not. */
function copy(to: Uint8Array, at: number, text: string, kind: number): boolean {
  for (let i = 0; i < text.length; i++) {
    if ((kindAt(text, i) & kind) === 0) return false;
    to[at + i] = text.charCodeAt(i);
  }
  return true;
}

/** Copies text that is known to be ASCII; returns the offset after it. */
export function copyText(to: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) to[at + i] = text.charCodeAt(i);
  return at + text.length;
}

const LENGTH_NAME = 'content-length: ';

/** Writes the line of a body's length and the blank line; returns the offset after them. */
export function writeLength(to: Uint8Array, start: number, length: number): number {
  return copyText(to, copyText(to, copyText(to, start, LENGTH_NAME), `${length}`), '\r\n\r\n');
}
