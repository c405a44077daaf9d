// The headers that an HTTP client would have sent with a message, for a client that has none.
// Called by stdio.ts. Promises: a modern message mirrors its own body and belongs to no session; a legacy one carries its session's.
import type { Exchange } from '../exchange.ts';
import { has, text } from '../mcp/envelope.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import { METHOD, mirroredPlace } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';

/** Sets the headers of an exchange, which carries its client's session and version, from its message. */
export function mirrorHeaders(
  exchange: Exchange,
  body: Uint8Array,
  envelope: Int32Array,
  method: string | null,
): void {
  const { headers } = exchange;
  const isModern = has(envelope, ENVELOPE.metaProtocolVersion);
  // A modern request belongs to no session, though its client may have one besides.
  if (isModern || method === METHOD.initialize) headers.session = null;
  if (method === METHOD.initialize) headers.protocolVersion = null;
  if (!isModern) return;
  headers.protocolVersion = text(body, envelope, ENVELOPE.metaProtocolVersion);
  headers.mcpMethod = method;
  const place = mirroredPlace(method ?? '');
  const name = place < 0 ? null : text(body, envelope, place);
  headers.mcpName = name === null ? null : encodeMirrored(name);
}
