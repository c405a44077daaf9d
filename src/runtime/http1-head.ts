// Reads the head of an HTTP/1.1 request (RFC 9112).
// Called by http1-connection.ts. Promises: pure; strict: a head that two readers could take differently, above all about where its body ends, is no head.

import { kindAt, TARGET, TOKEN, UPPER, VALUE } from './http1-characters.ts';

/** One header line. */
interface Line {
  /** With its CR and LF. */
  readonly text: string;
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}

/** A request's head. Never changed: requests that repeat it byte for byte share it. */
export interface RequestHead {
  /** As it was sent, the blank line included; one character a byte. */
  readonly text: string;
  readonly method: string;
  /** Normalised as the WHATWG URL standard has it. */
  readonly path: string;
  readonly query: string;
  /** Lower case, each once; values of repeated lines are joined by ', '. */
  readonly names: readonly string[];
  readonly values: readonly string[];
  readonly lines: readonly Line[];
  /** Content-Length, -1 when there is none. */
  readonly length: number;
  readonly chunked: boolean;
  /** The connection ends with this exchange. */
  readonly close: boolean;
  /** It waits for 100 Continue before it sends its body. */
  readonly expects: boolean;
  /** The client speaks HTTP/1.0: it knows no chunks. */
  readonly old: boolean;
}

/** Ends a head. */
export const BLANK_LINE = '\r\n\r\n';

/** Header lines of a request; the front has a lower bound of its own. */
const LINES_MAX = 128;

const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const COLON = 58;
const ZERO = 48;

/**
 * Parses a head, its blank line included, of one-byte characters; null when it is none. `like` is a head that it may resemble: lines that are the
 * same at the same place are not read again, and a client's heads differ in few. Loops over characters: expressions took three times as long.
 */
export function parseRequestHead(text: string, like: RequestHead | null): RequestHead | null {
  const methodEnd = endOf(text, 0, TOKEN);
  const targetEnd = endOf(text, methodEnd + 1, TARGET);
  const minor = text.charCodeAt(targetEnd + 8) - ZERO;
  if (methodEnd === 0 || text.charCodeAt(methodEnd) !== SPACE || targetEnd === methodEnd + 1) return null;
  if (!text.startsWith(' HTTP/1.', targetEnd) || !text.startsWith('\r\n', targetEnd + 9)) return null;
  const place = placeOf(text.slice(methodEnd + 1, targetEnd));
  const lines = takeLines(text, targetEnd + 11, like?.lines ?? NO_LINES);
  if ((minor !== 0 && minor !== 1) || place === null || lines === null) return null;
  return framed(text, text.slice(0, methodEnd), place, minor === 0, lines);
}

/** Offset of the first character from `at` on that is not of the kind. */
function endOf(text: string, at: number, kind: number): number {
  let i = at;
  while ((kindAt(text, i) & kind) !== 0) i++;
  return i;
}

const NO_LINES: readonly Line[] = [];

/** The header lines from `start` on; null when one is none, or when they do not end the text. */
function takeLines(text: string, start: number, like: readonly Line[]): Line[] | null {
  const lines: Line[] = [];
  let at = start;
  while (lines.length <= LINES_MAX) {
    if (text.charCodeAt(at) === CR)
      return text.charCodeAt(at + 1) === LF && at + 2 === text.length ? lines : null;
    const same = like[lines.length];
    const line = same !== undefined && text.startsWith(same.text, at) ? same : takeLine(text, at);
    if (line === null) return null;
    lines.push(line);
    at += line.text.length;
  }
  return null;
}

function takeLine(text: string, start: number): Line | null {
  let i = start;
  let seen = 0;
  for (let kind = kindAt(text, i); (kind & TOKEN) !== 0; kind = kindAt(text, i)) {
    seen |= kind;
    i++;
  }
  if (i === start || text.charCodeAt(i) !== COLON) return null;
  const written = text.slice(start, i);
  i++;
  while (isBlank(text.charCodeAt(i))) i++;
  const end = endOf(text, i, VALUE);
  if (text.charCodeAt(end) !== CR || text.charCodeAt(end + 1) !== LF) return null;
  let last = end;
  while (last > i && isBlank(text.charCodeAt(last - 1))) last--;
  return {
    text: text.slice(start, end + 2),
    name: (seen & UPPER) === 0 ? written : written.toLowerCase(),
    value: text.slice(i, last),
  };
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

interface Place {
  /** '' when the target has none. */
  readonly authority: string;
  readonly path: string;
  readonly query: string;
}

function framed(
  text: string,
  method: string,
  place: Place,
  old: boolean,
  lines: readonly Line[],
): RequestHead | null {
  const names: string[] = [];
  const values: string[] = [];
  for (const { name, value } of lines) {
    const at = names.indexOf(name);
    if (at >= 0 && name === 'host') return null;
    if (at >= 0) values[at] = `${values[at]}, ${value}`;
    else {
      names.push(name);
      values.push(value);
    }
  }
  let length = -1;
  let chunked = false;
  let close = old;
  let expects = false;
  // Old clients may leave it out.
  let host: string | null = old ? '' : null;
  for (let i = 0; i < names.length; i++) {
    const value = values[i] ?? '';
    switch (names[i]) {
      case 'content-length':
        // Two lengths are a list, which is no number.
        if (!/^\d{1,15}$/.test(value)) return null;
        length = Number(value);
        break;
      case 'transfer-encoding':
        if (old || value.toLowerCase() !== 'chunked') return null;
        chunked = true;
        break;
      case 'connection':
        close ||= value !== 'keep-alive' && /(?:^|[ \t,])close(?:$|[ \t,])/i.test(value);
        break;
      case 'expect':
        expects = !old && value.toLowerCase() === '100-continue';
        break;
      case 'host':
        host = value;
        break;
      default:
    }
  }
  // A coding beside a length is how requests are smuggled.
  if (chunked && length >= 0) return null;
  if (host === null || !isAddressedTo(place, host)) return null;
  return {
    text,
    method,
    lines,
    path: place.path,
    query: place.query,
    names,
    values,
    length,
    chunked,
    close,
    expects,
    old,
  };
}

/** Path and query of a request's target, beside the value of its Host line; null when it has none, or is for another host. */
export function targetOf(
  target: string,
  host: string,
): { readonly path: string; readonly query: string } | null {
  const place = placeOf(target);
  return place !== null && isAddressedTo(place, host) ? place : null;
}

/** A target that names a host must name the one that the Host line does. */
function isAddressedTo(place: Place, host: string): boolean {
  return place.authority === '' || place.authority.toLowerCase() === host.toLowerCase();
}

/** What the URL standard would change about a path. */
const UNUSUAL_PATH = /[\\"<>^`{}|]|\/\.|%2e/i;
const ORIGIN = /^https?:\/\/([^/?]+)/i;

/** A path as the WHATWG URL standard has it: `.` and `..` resolved, odd characters escaped. */
export function pathOf(path: string): string {
  return UNUSUAL_PATH.test(path) ? new URL(`http://a${path}`).pathname : path;
}

/** Path and query of a request's target; null when it has none. */
function placeOf(target: string): Place | null {
  if (target === '*') return { authority: '', path: '*', query: '' };
  // Fragments are not sent; whoever sends one may mean anything.
  if (target.includes('#')) return null;
  let local = target;
  let authority = '';
  if (!target.startsWith('/')) {
    const found = ORIGIN.exec(target);
    if (found === null) return null;
    authority = found[1] ?? '';
    local = target.slice(found[0].length);
    if (!local.startsWith('/')) local = `/${local}`;
  }
  const mark = local.indexOf('?');
  const path = mark < 0 ? local : local.slice(0, mark);
  return {
    authority,
    path: pathOf(path),
    query: mark < 0 ? '' : local.slice(mark + 1),
  };
}
