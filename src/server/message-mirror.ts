// The headers that an HTTP client would have sent with a message, for a client that has none.
// Called by message-front.ts and message-session.ts. Promises: a modern message mirrors its own body and belongs to no session; a legacy one carries
// its session's; what comes without a claim on a modern connection is judged as if its header named that version.
import type { Exchange } from '../exchange.ts';
import { text } from '../mcp/envelope.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import { METHOD, mirroredPlace } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { isClaimed, type Told } from './message-asked.ts';

/** Sets the headers of an exchange, which carries its client's session and version, from its message. `pinned` is a modern connection's version, else null. */
export function mirrorHeaders(exchange: Exchange, told: Told, pinned: string | null): void {
  const { headers } = exchange;
  const { body, envelope, method } = told;
  const isModern = isClaimed(told) || pinned !== null;
  // A modern request belongs to no session, though its client may have one besides.
  if (isModern || method === METHOD.initialize) headers.session = null;
  if (method === METHOD.initialize) headers.protocolVersion = null;
  if (!isModern) return;
  headers.protocolVersion = isClaimed(told) ? text(body, envelope, ENVELOPE.metaProtocolVersion) : pinned;
  headers.mcpMethod = method;
  const place = mirroredPlace(method ?? '');
  const name = place < 0 ? null : text(body, envelope, place);
  headers.mcpName = name === null ? null : encodeMirrored(name);
}
