// Reads what a scanner wrote: spans of one JSON-RPC message as text, bytes and verdicts.
// Called by mcp, proxy, bridge and upstream. Promises: pure; absent values are null.
import { decode } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { GatewayError } from '../base/errors.ts';
import { ENVELOPE, FLAG, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import { readString, type Span } from './json.ts';

/** True when the envelope has a value at the place. */
export function has(envelope: Int32Array, place: number): boolean {
  return (envelope[place] ?? -1) >= 0;
}

/** Span of the value at a place, or null. */
export function span(envelope: Int32Array, place: number): Span | null {
  const start = envelope[place] ?? -1;
  return start < 0 ? null : { start, end: envelope[place + 1] ?? start };
}

/** Raw bytes of the value at a place (a view), or null. */
export function raw(bytes: Uint8Array, envelope: Int32Array, place: number): Uint8Array | null {
  const start = envelope[place] ?? -1;
  return start < 0 ? null : bytes.subarray(start, envelope[place + 1]);
}

/** Unescaped text of a string value at a place; null when absent or no string. */
export function text(bytes: Uint8Array, envelope: Int32Array, place: number): string | null {
  return readString(bytes, envelope[place] ?? -1, envelope[place + 1] ?? -1);
}

/** Raw spelling of the value at a place, a key for tables of ids and tokens ("1" and 1 differ); null when absent. */
export function rawKey(bytes: Uint8Array, envelope: Int32Array, place: number): string | null {
  const start = envelope[place] ?? -1;
  if (start < 0) return null;
  let key = '';
  const end = envelope[place + 1] ?? start;
  for (let i = start; i < end; i++) key += String.fromCharCode(bytes[i] ?? 0);
  return key;
}

/** True when two raw ids are the same JSON value: a string's escapes may be spelled differently. */
export function isSameId(asked: Uint8Array, given: Uint8Array): boolean {
  if (asked.length === given.length && asked.every((byte, i) => byte === given[i])) return true;
  const wanted = readString(asked, 0, asked.length);
  return wanted !== null && wanted === readString(given, 0, given.length);
}

/** True for a JSON object as JSON.parse gives it. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object at a place, parsed; {} when it is absent or no object. For control messages only: parsing forgets spelling. */
export function objectAt(bytes: Uint8Array, envelope: Int32Array, place: number): Record<string, unknown> {
  const at = raw(bytes, envelope, place);
  const value: unknown = at === null ? null : JSON.parse(decode(at));
  return isRecord(value) ? value : {};
}

/** Kind of the message: a KIND. */
export function kindOf(envelope: Int32Array): number {
  return envelope[ENVELOPE.kind] ?? KIND.none;
}

const SCAN_CODES: readonly (ErrorCode | null)[] = [
  null,
  'GW_SCAN_EMPTY',
  'GW_SCAN_SYNTAX',
  'GW_SCAN_UTF8',
  'GW_SCAN_DEPTH',
];

/** The error for a scan result code, or null when it is ok. */
export function scanError(code: number): GatewayError | null {
  if (code === SCAN.ok) return null;
  return new GatewayError(SCAN_CODES[code] ?? 'GW_SCAN_SYNTAX');
}

const DUPLICATE = FLAG.duplicateTop | FLAG.duplicateParams | FLAG.duplicateMeta | FLAG.duplicateRef;
const MALFORMED = FLAG.notVersion2 | FLAG.badId | FLAG.badMethod | FLAG.badParams | FLAG.mixed;

/**
 * What is wrong with a scanned message as JSON-RPC 2.0, or null. Duplicate keys are refused because two readers could
 * act on different values of one message.
 */
export function messageError(envelope: Int32Array): GatewayError | null {
  const flags = envelope[ENVELOPE.flags] ?? 0;
  if (flags & DUPLICATE) return new GatewayError('GW_SCAN_DUPLICATE', duplicateWhere(flags));
  const kind = kindOf(envelope);
  if (kind === KIND.batch) {
    return flags & FLAG.emptyBatch ? new GatewayError('GW_MCP_BATCH', 'it is empty') : null;
  }
  if (flags & MALFORMED || kind === KIND.none) return new GatewayError('GW_MCP_MESSAGE', malformedWhy(flags));
  return null;
}

function duplicateWhere(flags: number): string {
  if (flags & FLAG.duplicateTop) return 'at the top level';
  if (flags & FLAG.duplicateParams) return 'in params';
  return flags & FLAG.duplicateMeta ? 'in params._meta' : 'in params.ref';
}

function malformedWhy(flags: number): string {
  if (flags & FLAG.notVersion2) return 'jsonrpc must be "2.0"';
  if (flags & FLAG.badId) return 'id must be a string or an integer';
  if (flags & FLAG.badMethod) return 'method must be a string';
  if (flags & FLAG.badParams) return 'params must be an object or an array';
  if (flags & FLAG.mixed) return 'it mixes a request with a response';
  return 'it has neither method nor result nor error';
}

/** A message with its envelope, as read from an upstream. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly envelope: Int32Array;
}

/** Scans bytes into a fresh envelope; a message that is not one JSON-RPC message (batches aside) gives GW_UPSTREAM_MESSAGE. */
export function readMessage(scanner: Scanner, bytes: Uint8Array): Message | GatewayError {
  const envelope = new Int32Array(ENVELOPE.length);
  const code = scanner.scan(bytes, 0, bytes.length, envelope);
  const fault = scanError(code) ?? messageError(envelope);
  return fault === null ? { bytes, envelope } : new GatewayError('GW_UPSTREAM_MESSAGE', fault.message);
}
