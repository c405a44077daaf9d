// JSON-RPC replies that the gateway writes itself: errors and small results.
// Called by proxy, server and bridge. Promises: the caller's id is copied byte for byte; an id that could not be read is left out, never null.
import { concat, encode } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';

const HEAD = encode('{"jsonrpc":"2.0","id":');
const HEAD_NO_ID = encode('{"jsonrpc":"2.0"');
const ERROR = encode(',"error":');
const RESULT = encode(',"result":');
const CLOSE = encode('}');
/** Of what a peer says, as much is shown. */
const SHOWN_CHARS_MAX = 200;

/** `{"jsonrpc","id","error":{code,message,data}}`. `data.gw` is the stable code of the table; `extra` joins it. */
export function errorMessage(
  id: Uint8Array | null,
  error: GatewayError,
  extra: Readonly<Record<string, unknown>> = {},
): Uint8Array {
  const body = encode(
    JSON.stringify({
      code: error.row.jsonrpc,
      message: error.message,
      data: { gw: error.code, retry: error.row.retry, ...extra },
    }),
  );
  return id === null ? concat([HEAD_NO_ID, ERROR, body, CLOSE]) : concat([HEAD, id, ERROR, body, CLOSE]);
}

/** An error object of a peer in a few words for people, whatever its members are: they may be of any type. */
export function describeError({ code, message }: Readonly<Record<string, unknown>>): string {
  const why = typeof message === 'string' ? ` (${message.slice(0, SHOWN_CHARS_MAX)})` : '';
  return `error ${typeof code === 'number' ? code : 'without a code'}${why}`;
}

/** `{"jsonrpc","id","result":…}` around the bytes of a JSON value. */
export function resultMessage(id: Uint8Array, result: Uint8Array): Uint8Array {
  return concat([HEAD, id, RESULT, result, CLOSE]);
}
