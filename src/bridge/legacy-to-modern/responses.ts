// Responses to a legacy client's call: the server's under the client's id, and those of the gateway's own.
// Called by call.ts. Promises: pure; the client's id is copied byte for byte.
import { concat, type Edit, EMPTY, encode, splice } from '../../base/bytes.ts';
import { type Message, raw, span } from '../../mcp/envelope.ts';
import { resultMessage } from '../../mcp/errors.ts';
import { legacyError } from '../../mcp/to-legacy.ts';
import { ENVELOPE } from '../../scan/contract.ts';

/** The server's result, with edits. */
export function resultFor(id: Uint8Array, { bytes, envelope }: Message, edits: readonly Edit[]): Uint8Array {
  const at = span(envelope, ENVELOPE.id);
  if (at === null) return splice(bytes, edits);
  return splice(bytes, [...edits, { start: at.start, end: at.end, insert: id }]);
}

/** The server's error as a legacy client knows it. */
export function errorFor(id: Uint8Array, message: Message, method: string): Uint8Array {
  const error = legacyError(message, method) ?? raw(message.bytes, message.envelope, ENVELOPE.error) ?? EMPTY;
  return concat([encode('{"jsonrpc":"2.0","id":'), id, encode(',"error":'), error, encode('}')]);
}

/** A tool's result that says what went wrong, so that the model reads it. */
export function failedToolFor(id: Uint8Array, why: string): Uint8Array {
  const result = { content: [{ type: 'text', text: why }], isError: true };
  return resultMessage(id, encode(JSON.stringify(result)));
}
