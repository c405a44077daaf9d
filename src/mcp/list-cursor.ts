// Cursors of merged lists: the place where the next page begins, as text that clients hand back.
// Called by proxy/lists.ts. Promises: pure; a cursor of another list, another endpoint or nobody's does not open. It grants nothing and holds nothing secret,
// so that it is spelled and checked, not sealed, and any worker opens it.
import { decode, encode } from '../base/bytes.ts';

/** Where a page of a merged list begins. */
export interface ListPlace {
  /** The server whose elements come next. */
  readonly server: string;
  /** How many of its own elements are behind it. */
  readonly offset: number;
  /** The last of those, as mark() says it: its place is looked for when the server's list has changed. 0: there is none. */
  readonly last: number;
}

/** A list's first page. */
const VERSION = 's1';
const BYTES_MAX = 512;

/** A number of 32 bits for a text, never 0 (FNV-1a). */
export function mark(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0 || 1;
}

function spelled({ server, offset, last }: ListPlace): string {
  return `${VERSION}.${server}.${offset}.${last}`;
}

/** The cursor of a place; `list` says of which list, of which endpoint. */
export function writeCursor(place: ListPlace, list: string): string {
  const text = spelled(place);
  return encode(`${text}.${mark(`${list}\n${text}`)}`).toBase64({ alphabet: 'base64url', omitPadding: true });
}

/** The place that a cursor stands for; null when it is none of this list's. */
export function readCursor(cursor: string, list: string): ListPlace | null {
  if (cursor.length > BYTES_MAX || !/^[\w-]+$/.test(cursor)) return null;
  const found = /^s1\.(.+)\.(\d{1,9})\.(\d{1,10})\.(\d{1,10})$/.exec(textOf(cursor) ?? '');
  if (found === null) return null;
  const [, server = '', offset, last, check] = found;
  const place = { server, offset: Number(offset), last: Number(last) };
  return Number(check) === mark(`${list}\n${spelled(place)}`) ? place : null;
}

function textOf(cursor: string): string | null {
  try {
    return decode(Uint8Array.fromBase64(cursor, { alphabet: 'base64url' }));
  } catch {
    return null;
  }
}
