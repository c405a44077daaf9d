// The head of an HTTP/1.1 request, written into one reused scratch buffer.
// Called by http-connection.ts, once per request. Promises: what never changes (request line, host, configured headers) is laid down once
// and stays in the scratch; the rest is written byte by byte, which also checks it: a value that could end a header line early is never sent.
import { assert } from '../base/assert.ts';
import { encode } from '../base/bytes.ts';
import type { HttpTarget } from './spec.ts';
import type { UpstreamRequest } from './upstream.ts';

const CR = 13;
const LF = 10;
const TAB = 9;
const COLON = 58;
const SPACE = 32;
const DELETE = 127;

/** Bytes of the scratch: a head and a body of ordinary size leave in one write. */
export const SCRATCH_BYTES = 64 * 1024;

/** Names kept prepared; `mcp-param-*` names are chosen by clients, so there must be a bound. */
const PREPARED_NAMES_MAX = 256;

/** The transport writes these itself (or must never write them); a caller's are dropped. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const ACCEPT: Readonly<Record<UpstreamRequest['verb'], string>> = Object.freeze({
  POST: 'application/json, text/event-stream',
  GET: 'text/event-stream',
  DELETE: 'application/json',
});

const NO_BYTES = new Uint8Array(0);

/** `example.com`, `example.com:8080` or `[::1]:8080`: the Host header of a target. */
export function hostHeader(target: HttpTarget): string {
  const host = target.host.includes(':') && !target.host.startsWith('[') ? `[${target.host}]` : target.host;
  return target.port === (target.secure ? 443 : 80) ? host : `${host}:${target.port}`;
}

/** True when the text can stand as a header's value: no CR, LF, NUL or other control, one byte a character. */
export function valueIsSafe(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if ((char < SPACE && char !== TAB) || char === DELETE || char > 255) return false;
  }
  return true;
}

/** True when the text can stand in a request line: an absolute path with its query, visible ASCII only. */
export function pathIsSafe(path: string): boolean {
  return /^\/[\x21-\x7e]*$/.test(path);
}

/** True when the text is a header name: RFC 9110 token characters only. */
export function nameIsSafe(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

/** Names a caller may pass: neither the transport's own nor set by the configuration, which wins. */
export function createHeaderFilter(target: HttpTarget): (name: string) => boolean {
  const configured = new Set<string>();
  for (let i = 0; i < target.headers.length; i += 2) configured.add(target.headers[i] ?? '');
  return (name) => !OWN_HEADERS.has(name) && !configured.has(name);
}

/** The Accept value that a verb gets when neither caller nor configuration names one. */
export function defaultAccept(verb: UpstreamRequest['verb']): string {
  return ACCEPT[verb];
}

/** Writes request heads for one target. The scratch is good until the next write(). */
export class RequestHead {
  readonly scratch: Uint8Array = new Uint8Array(SCRATCH_BYTES);
  private readonly allowed: (name: string) => boolean;
  private readonly configuredAccept: boolean;
  private readonly templates: Readonly<Record<UpstreamRequest['verb'], Uint8Array>>;
  private readonly prepared = new Map<string, Uint8Array>();
  private loaded: UpstreamRequest['verb'] | null = null;
  private templateEnd = 0;

  constructor(target: HttpTarget) {
    this.allowed = createHeaderFilter(target);
    this.configuredAccept = target.headers.some((name, i) => i % 2 === 0 && name === 'accept');
    this.templates = {
      POST: template('POST', target),
      GET: template('GET', target),
      DELETE: template('DELETE', target),
    };
  }

  /**
   * Writes the head of a request into the scratch, from its start. Returns the offset after the blank line, or -1 when a header of the request
   * cannot be sent (a control or multi-byte character in it, a bad name, or more than the scratch holds).
   */
  write(request: UpstreamRequest, bodyBytes: number): number {
    if (request.path !== undefined) {
      if (!this.loadWith(request.verb, request.path)) return -1;
    } else if (this.loaded !== request.verb) this.load(request.verb);
    const scratch = this.scratch;
    const headers = request.headers;
    let at = this.templateEnd;
    let accepts = this.configuredAccept;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] ?? '';
      if (name === 'accept') accepts = true;
      const prefix = this.prepared.get(name) ?? this.prepare(name);
      if (prefix === null) return -1;
      if (prefix.length === 0) continue;
      at = writeLine(scratch, at, prefix, headers[i + 1] ?? '');
      if (at < 0) return -1;
    }
    if (!accepts) at = writeLine(scratch, at, ACCEPT_PREFIX, ACCEPT[request.verb]);
    if (request.session !== null && at >= 0) at = writeLine(scratch, at, SESSION_PREFIX, request.session);
    if (request.verb === 'POST' && at >= 0) at = writeLength(scratch, at, bodyBytes);
    if (at < 0 || at + 2 > scratch.length) return -1;
    scratch[at] = CR;
    scratch[at + 1] = LF;
    return at + 2;
  }

  private load(verb: UpstreamRequest['verb']): void {
    const bytes = this.templates[verb];
    this.scratch.set(bytes, 0);
    this.templateEnd = bytes.length;
    this.loaded = verb;
  }

  /** The template with another path in its first line; false when that cannot be sent. Rare enough to be laid down anew each time. */
  private loadWith(verb: UpstreamRequest['verb'], path: string): boolean {
    const bytes = this.templates[verb];
    const rest = bytes.subarray(bytes.indexOf(LF) + 1);
    if (!pathIsSafe(path) || path.length + rest.length > SCRATCH_BYTES / 2) return false;
    const line = encode(`${verb} ${path} HTTP/1.1\r\n`);
    this.scratch.set(line, 0);
    this.scratch.set(rest, line.length);
    this.templateEnd = line.length + rest.length;
    this.loaded = null;
    return true;
  }

  /** `name: ` as bytes, no bytes when the name must be dropped, null when it is no name. */
  private prepare(name: string): Uint8Array | null {
    if (!nameIsSafe(name)) return null;
    const prefix = this.allowed(name) ? encode(`${name}: `) : NO_BYTES;
    if (this.prepared.size < PREPARED_NAMES_MAX) this.prepared.set(name, prefix);
    return prefix;
  }
}

const ACCEPT_PREFIX = encode('accept: ');
const SESSION_PREFIX = encode('mcp-session-id: ');
const LENGTH_PREFIX = encode('content-length: ');
/** Ten digits, CR and LF. */
const LENGTH_ROOM_BYTES = 12;

function template(verb: UpstreamRequest['verb'], target: HttpTarget): Uint8Array {
  const hostAt = target.headers.findIndex((name, i) => i % 2 === 0 && name === 'host');
  const host = hostAt < 0 ? hostHeader(target) : (target.headers[hostAt + 1] ?? '');
  let text = `${verb} ${target.path} HTTP/1.1\r\nhost: ${host}\r\n`;
  if (verb === 'POST') text += 'content-type: application/json\r\n';
  text += 'accept-encoding: identity\r\n';
  for (let i = 0; i + 1 < target.headers.length; i += 2) {
    const name = target.headers[i] ?? '';
    const value = target.headers[i + 1] ?? '';
    assert(
      nameIsSafe(name) && valueIsSafe(value),
      'configured headers were checked when the configuration was read',
    );
    if (!OWN_HEADERS.has(name)) text += `${name}: ${value}\r\n`;
  }
  assert(
    valueIsSafe(target.path) && !target.path.includes(' '),
    'the path was checked when the configuration was read',
  );
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  assert(bytes.length <= SCRATCH_BYTES / 2, 'configured headers leave room for the headers of a request');
  return bytes;
}

/** One header line; -1 when the value is unsafe or the scratch is full. A loop, because it checks and copies at once (and beats latin1 writes of short strings). */
function writeLine(scratch: Uint8Array, start: number, prefix: Uint8Array, value: string): number {
  if (start + prefix.length + value.length + 2 > scratch.length) return -1;
  let at = start;
  for (let i = 0; i < prefix.length; i++) scratch[at++] = prefix[i] ?? COLON;
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if ((char < SPACE && char !== TAB) || char === DELETE || char > 255) return -1;
    scratch[at++] = char;
  }
  scratch[at++] = CR;
  scratch[at++] = LF;
  return at;
}

/** The Content-Length line; `bytes` below 2^32. Whole-number arithmetic and no string, since this is in every call. */
function writeLength(scratch: Uint8Array, start: number, bytes: number): number {
  if (start + LENGTH_PREFIX.length + LENGTH_ROOM_BYTES > scratch.length) return -1;
  let at = start;
  for (let i = 0; i < LENGTH_PREFIX.length; i++) scratch[at++] = LENGTH_PREFIX[i] ?? COLON;
  let rest = bytes >>> 0;
  at += rest < 10 ? 1 : rest < 100 ? 2 : rest < 1_000 ? 3 : rest < 10_000 ? 4 : `${rest}`.length;
  for (let digit = at - 1; digit >= start + LENGTH_PREFIX.length; digit--) {
    const tenth = (rest / 10) >>> 0;
    scratch[digit] = 48 + rest - 10 * tenth;
    rest = tenth;
  }
  scratch[at] = CR;
  scratch[at + 1] = LF;
  return at + 2;
}
