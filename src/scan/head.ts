// Parses the head of an HTTP/1.1 response (RFC 9112) into offsets, strictly: what two parsers could read in two ways is refused.
// Called by portable.ts. Promises: left to right, the first fault decides; a head that is cut short is `more` or already
// faulty, never ok; makes nothing per call. native/http/head.cc is its twin.
import { EMPTY } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import { HEAD, HEAD_RESULT, MEDIA } from './contract.ts';

const NOTHING = new Int32Array(0);
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const DELETE = 0x7f;
const LENGTH_MAX = 0x7fff_ffff;

/** Steps answer an offset, or minus one minus a HEAD_RESULT code. */
const MORE = -1 - HEAD_RESULT.more;
const BAD = -1 - HEAD_RESULT.bad;
const AMBIGUOUS = -1 - HEAD_RESULT.ambiguous;
const LARGE = -1 - HEAD_RESULT.large;

/** RFC 9110 §5.6.2: 1 for the bytes of a token. */
const TOKEN = new Uint8Array(128);
for (let byte = 0x21; byte < DELETE; byte++)
  if (!'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte))) TOKEN[byte] = 1;

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const CONTENT_LENGTH = ascii('content-length');
const TRANSFER_ENCODING = ascii('transfer-encoding');
const CONNECTION = ascii('connection');
const CONTENT_TYPE = ascii('content-type');
const SESSION_ID = ascii('mcp-session-id');
const CHUNKED = ascii('chunked');
const CLOSE = ascii('close');
const KEEP_ALIVE = ascii('keep-alive');
const JSON_TYPE = ascii('application/json');
const EVENT_TYPE = ascii('text/event-stream');
const VERSION = ascii('HTTP/1.');

/** True when bytes[start…end) spell the lower-case word in any case of letters. */
function spells(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = bytes[start + i] ?? 0;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== word[i]) return false;
  }
  return true;
}

/** Reads heads, one at a time; one instance serves a thread. */
export class HeadReader {
  private bytes: Uint8Array = EMPTY;
  private end = 0;
  private head: Int32Array = NOTHING;
  private closes = false;
  private keeps = false;

  /** Fills `head` from bytes[start…end) and returns a HEAD_RESULT code, exactly as contract.ts words it. */
  read(bytes: Uint8Array, start: number, end: number, head: Int32Array): number {
    const limit = start + LIMITS.replyHeadBytesMax;
    this.bytes = bytes;
    this.end = Math.min(end, limit);
    this.head = head;
    const code = this.parse(start);
    // What was received must not live on because it was the last head to be parsed.
    this.bytes = EMPTY;
    this.head = NOTHING;
    return code === HEAD_RESULT.more && end >= limit ? HEAD_RESULT.large : code;
  }

  private parse(start: number): number {
    const { bytes, head } = this;
    this.closes = false;
    this.keeps = false;
    head.fill(0, 0, HEAD.headers);
    head[HEAD.contentLength] = -1;
    head.fill(-1, HEAD.sessionId, HEAD.headers);
    let at = this.statusLine(start);
    while (at >= 0) {
      const byte = at < this.end ? bytes[at] : -1;
      if (byte === -1) at = MORE;
      else if (byte === CR) {
        at = this.lineEnd(at);
        if (at >= 0) return this.finish(at);
      } else at = this.headerLine(at);
    }
    return -1 - at;
  }

  private finish(bodyStart: number): number {
    const { head } = this;
    head[HEAD.bodyStart] = bodyStart;
    head[HEAD.keepAlive] = !this.closes && (head[HEAD.minor] === 1 || this.keeps) ? 1 : 0;
    return HEAD_RESULT.ok;
  }

  /** From a CR to after its LF. */
  private lineEnd(at: number): number {
    if (at + 1 >= this.end) return MORE;
    return this.bytes[at + 1] === LF ? at + 2 : BAD;
  }

  /** RFC 9112 §4. The blank behind the code may be missing, as some servers leave it out together with the reason. */
  private statusLine(start: number): number {
    const { bytes, end, head } = this;
    let at = start;
    for (const expected of VERSION) {
      if (at >= end) return MORE;
      if (bytes[at++] !== expected) return BAD;
    }
    if (at >= end) return MORE;
    const minor = (bytes[at++] ?? 0) - 0x30;
    if (minor !== 0 && minor !== 1) return BAD;
    head[HEAD.minor] = minor;
    if (at >= end) return MORE;
    if (bytes[at++] !== SPACE) return BAD;
    let status = 0;
    for (let digits = 0; digits < 3; digits++) {
      if (at >= end) return MORE;
      const digit = (bytes[at++] ?? 0) - 0x30;
      if (digit < 0 || digit > 9 || (digits === 0 && (digit < 1 || digit > 5))) return BAD;
      status = status * 10 + digit;
    }
    head[HEAD.status] = status;
    if (at >= end) return MORE;
    if (bytes[at] !== SPACE && bytes[at] !== CR) return BAD;
    at = this.textEnd(at);
    return at < 0 ? at : this.lineEnd(at);
  }

  /** First CR at or after `from`, if only tabs, blanks, visible and non-ASCII bytes come before it. */
  private textEnd(from: number): number {
    const { bytes, end } = this;
    for (let at = from; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === CR) return at;
      if ((byte < SPACE && byte !== TAB) || byte === DELETE) return BAD;
    }
    return MORE;
  }

  private headerLine(nameStart: number): number {
    const { bytes, end, head } = this;
    const count = head[HEAD.headerCount] ?? 0;
    if (count === LIMITS.replyHeaderCountMax) return LARGE;
    let nameEnd = nameStart;
    while (nameEnd < end && TOKEN[bytes[nameEnd] ?? 0] === 1) nameEnd++;
    if (nameEnd === end) return MORE;
    if (nameEnd === nameStart || bytes[nameEnd] !== COLON) return BAD;
    const lineStop = this.textEnd(nameEnd + 1);
    if (lineStop < 0) return lineStop;
    const next = this.lineEnd(lineStop);
    if (next < 0) return next;
    const valueStart = this.trimStart(nameEnd + 1, lineStop);
    const valueEnd = this.trimEnd(valueStart, lineStop);
    const place = HEAD.headers + 4 * count;
    head[place] = nameStart;
    head[place + 1] = nameEnd;
    head[place + 2] = valueStart;
    head[place + 3] = valueEnd;
    head[HEAD.headerCount] = count + 1;
    const fault = this.note(nameStart, nameEnd, valueStart, valueEnd);
    return fault < 0 ? fault : next;
  }

  private trimStart(from: number, end: number): number {
    let at = from;
    while (at < end && (this.bytes[at] === SPACE || this.bytes[at] === TAB)) at++;
    return at;
  }

  private trimEnd(start: number, from: number): number {
    let at = from;
    while (at > start && (this.bytes[at - 1] === SPACE || this.bytes[at - 1] === TAB)) at--;
    return at;
  }

  /** Takes what the framing, the reuse of the connection and the session need from one header. 0 or a fault. */
  private note(nameStart: number, nameEnd: number, start: number, end: number): number {
    const { bytes, head } = this;
    switch (nameEnd - nameStart) {
      case CONNECTION.length:
        if (spells(bytes, nameStart, nameEnd, CONNECTION)) this.noteConnection(start, end);
        return 0;
      case CONTENT_TYPE.length:
        if (!spells(bytes, nameStart, nameEnd, CONTENT_TYPE)) return 0;
        head[HEAD.contentType] = start;
        head[HEAD.contentType + 1] = end;
        head[HEAD.media] = this.media(start, end);
        return 0;
      case CONTENT_LENGTH.length:
        if (spells(bytes, nameStart, nameEnd, CONTENT_LENGTH)) return this.noteLength(start, end);
        if (!spells(bytes, nameStart, nameEnd, SESSION_ID)) return 0;
        head[HEAD.sessionId] = start;
        head[HEAD.sessionId + 1] = end;
        return 0;
      case TRANSFER_ENCODING.length:
        return spells(bytes, nameStart, nameEnd, TRANSFER_ENCODING) ? this.noteEncoding(start, end) : 0;
      default:
        return 0;
    }
  }

  private noteLength(start: number, end: number): number {
    const { bytes, head } = this;
    if (head[HEAD.contentLength] !== -1 || head[HEAD.chunked] === 1 || start === end) return AMBIGUOUS;
    let length = 0;
    for (let at = start; at < end; at++) {
      const digit = (bytes[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) return AMBIGUOUS;
      length = Math.min(length * 10 + digit, LENGTH_MAX + 1);
    }
    if (length > LENGTH_MAX) return LARGE;
    head[HEAD.contentLength] = length;
    return 0;
  }

  /** RFC 9112 §6.1: never in an HTTP/1.0 reply, never beside a length. */
  private noteEncoding(start: number, end: number): number {
    const { bytes, head } = this;
    const alone = head[HEAD.contentLength] === -1 && head[HEAD.chunked] === 0 && head[HEAD.minor] === 1;
    if (!alone || !spells(bytes, start, end, CHUNKED)) return AMBIGUOUS;
    head[HEAD.chunked] = 1;
    return 0;
  }

  private noteConnection(start: number, end: number): void {
    let at = start;
    while (at <= end) {
      let stop = at;
      while (stop < end && this.bytes[stop] !== COMMA) stop++;
      const from = this.trimStart(at, stop);
      const to = this.trimEnd(from, stop);
      if (spells(this.bytes, from, to, CLOSE)) this.closes = true;
      else if (spells(this.bytes, from, to, KEEP_ALIVE)) this.keeps = true;
      at = stop + 1;
    }
  }

  private media(start: number, end: number): number {
    let stop = start;
    while (stop < end && this.bytes[stop] !== SEMICOLON) stop++;
    const to = this.trimEnd(start, stop);
    if (spells(this.bytes, start, to, JSON_TYPE)) return MEDIA.json;
    return spells(this.bytes, start, to, EVENT_TYPE) ? MEDIA.eventStream : MEDIA.other;
  }
}
