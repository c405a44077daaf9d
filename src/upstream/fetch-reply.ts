// What fetch() gives back, in the words of the contract: heads of replies, and codes of failures.
// Called by fetch.ts. Promises: pure; Bun's error codes are mapped here and nowhere else.
import { type ErrorCode, GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { codeOf } from './fetch-protocol.ts';
import type { ReplyHead } from './upstream.ts';

/** The failure of a body beyond the limit. */
export function tooLarge(): GatewayError {
  return new GatewayError('GW_UPSTREAM_BODY_SIZE', `allowed are ${LIMITS.replyBodyBytesMax} bytes`);
}

const NOT_CONNECTED =
  /^(ECONNREFUSED|ConnectionRefused|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH|ENOENT|FailedToOpenSocket|HTTP[23]Unsupported)/;
const NOT_TRUSTED = /CERT|TLS|SSL|HTTP3HandshakeFailed|UNABLE_TO_/;
const NOT_HTTP = /^(Invalid|HPE_|Malformed|HTTP2|HTTP3|Unsupported|TooManyHeaders|ResponseHeaders)/;

/** The failure that a thrown value stands for. `name` is the server's, for the detail; `replied`: its head had come. */
export function failureOf(thrown: unknown, name: string, replied: boolean): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const code = codeOf(thrown);
  const row = failureCode(code, replied);
  if (row === null) return toGatewayError(thrown);
  return new GatewayError(row, code === '' ? '' : `"${name}": ${code}`, thrown);
}

/** The row for a code of Bun's fetch; null when it is nothing that a server does. */
function failureCode(code: string, replied: boolean): ErrorCode | null {
  if (NOT_CONNECTED.test(code)) return 'GW_UPSTREAM_CONNECT';
  if (!replied && NOT_TRUSTED.test(code)) return 'GW_UPSTREAM_TLS';
  if (NOT_HTTP.test(code)) return 'GW_UPSTREAM_FRAMING';
  return code === '' && !replied ? null : 'GW_UPSTREAM_CLOSED';
}

function mediaOf(type: string | null): ReplyHead['media'] {
  const essence = (type ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (essence === 'application/json') return 'json';
  return essence === 'text/event-stream' ? 'event-stream' : 'other';
}

/** The head of a response; `whole` only when there is no body. */
export function headOf(response: Response): ReplyHead {
  const { status, headers, body } = response;
  const announced = headers.get('content-length');
  const empty = body === null || status === 204 || status === 304 || announced === '0';
  return {
    status,
    media: empty ? 'none' : mediaOf(headers.get('content-type')),
    contentLength: empty ? 0 : announced === null ? -1 : Number(announced),
    whole: empty,
    sessionId: headers.get('mcp-session-id'),
    header: (name) => headers.get(name),
  };
}
