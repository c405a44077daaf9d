// What a parsed reply head says: header look-up over the scanner's numbers, and the verdict on how the body is framed.
// Called by http-connection.ts and http-call.ts. Promises: pure; a head whose framing could be read in two ways is refused, never guessed.
import { equalsAscii } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { HEAD, HEAD_RESULT, MEDIA } from '../scan/contract.ts';
import type { ReplyHead } from './upstream.ts';

/** Numbers that an array for Scanner.head() must hold. */
export const HEAD_NUMBERS = HEAD.headers + 4 * LIMITS.replyHeaderCountMax;

/** The last text that was made: servers send the same values over and over. */
let lastText = '';

/** Text of bytes that stand for one character each, as header values do. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  if (equalsAscii(bytes, start, end, lastText)) return lastText;
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] ?? 0);
  lastText = text;
  return text;
}

/** Value of a header by lower-case name, repeated lines joined by ', '; null when absent. */
export function findHeader(bytes: Uint8Array, head: Int32Array, name: string): string | null {
  let found: string | null = null;
  const last = HEAD.headers + 4 * (head[HEAD.headerCount] ?? 0);
  for (let at = HEAD.headers; at < last; at += 4) {
    const start = head[at] ?? 0;
    if ((head[at + 1] ?? 0) - start !== name.length || !isName(bytes, start, name)) continue;
    const value = latin1(bytes, head[at + 2] ?? 0, head[at + 3] ?? 0);
    found = found === null ? value : `${found}, ${value}`;
  }
  return found;
}

/** The name at `start` equals the lower-case name, letters compared without case. */
function isName(bytes: Uint8Array, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[start + i] ?? 0;
    if ((byte >= 65 && byte <= 90 ? byte + 32 : byte) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** How the body that follows a head is delimited (RFC 9112 §6.3), or the code that refuses the head. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** True when framingOf() refused the head. */
export function isRefusal(framing: Framing | ErrorCode): framing is ErrorCode {
  return framing.startsWith('GW_');
}

/** Decides the framing of a final (not 1xx) reply. Only bodies that are no event stream are bounded by `bodyBytesMax`. */
export function framingOf(bytes: Uint8Array, head: Int32Array, bodyBytesMax: number): Framing | ErrorCode {
  const status = head[HEAD.status] ?? 0;
  const length = head[HEAD.contentLength] ?? -1;
  const chunked = head[HEAD.chunked] === 1;
  if (status === 101) return 'GW_UPSTREAM_FRAMING';
  if (status === 204 || status === 304) return 'none';
  const encoding = findHeader(bytes, head, 'content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') return 'GW_UPSTREAM_MEDIA';
  if (length > bodyBytesMax && head[HEAD.media] !== MEDIA.eventStream) return 'GW_UPSTREAM_BODY_SIZE';
  if (chunked) return 'chunked';
  return length < 0 ? 'close' : 'length';
}

/** What to say about a fault of the framing or size of a body. */
export function refusalDetail(code: ErrorCode): string {
  if (code === 'GW_UPSTREAM_MEDIA') return 'its body is compressed though that was not asked for';
  if (code === 'GW_UPSTREAM_BODY_SIZE') return `allowed are ${LIMITS.replyBodyBytesMax} bytes`;
  if (code === 'GW_UPSTREAM_HEAD_SIZE')
    return `its trailers are longer than ${LIMITS.replyHeadBytesMax} bytes`;
  return 'its transfer coding is broken, or it switches protocols';
}

/** The contract's word for what the body is; a reply without body bytes is 'none' whatever its head says. */
export function mediaOf(head: Int32Array, empty: boolean): ReplyHead['media'] {
  if (empty) return 'none';
  const media = head[HEAD.media];
  if (media === MEDIA.json) return 'json';
  return media === MEDIA.eventStream ? 'event-stream' : 'other';
}

/** Code and detail for a HEAD_RESULT that is neither ok nor more. */
export function headFault(result: number): readonly [ErrorCode, string] {
  if (result === HEAD_RESULT.large) {
    return [
      'GW_UPSTREAM_HEAD_SIZE',
      `allowed are ${LIMITS.replyHeaderCountMax} header lines, ${LIMITS.replyHeadBytesMax} bytes, and lengths below 2 GiB`,
    ];
  }
  if (result === HEAD_RESULT.ambiguous)
    return [
      'GW_UPSTREAM_FRAMING',
      'its head gives more than one length, or a transfer coding besides chunked',
    ];
  return ['GW_UPSTREAM_FRAMING', 'its head is not that of an HTTP/1.1 reply'];
}

/** Milliseconds that a server keeps an idle connection, from `Keep-Alive: timeout=N`; null when it does not say. */
export function keepAliveMs(value: string | null): number | null {
  const seconds = value === null ? null : /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,6})/i.exec(value);
  return seconds === null ? null : Number(seconds[1]) * 1000;
}
