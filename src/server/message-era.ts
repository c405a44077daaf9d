// Which era a connection of messages is of: its first message says so.
// Called by message-front.ts. Promises: a discover is a question about that, and says nothing yet; a modern connection stays one, and an initialize on it is refused
// with the versions that it may have; on a legacy one every message is still judged by its own claim. Source: MCP 2026-07-28, versioning and stdio.
import { GatewayError } from '../base/errors.ts';
import { kindOf, messageError, objectAt, text } from '../mcp/envelope.ts';
import { errorMessage } from '../mcp/errors.ts';
import { METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { idOf, isBeginning, isClaimed, type Told } from './message-asked.ts';

/** The era of one connection. */
export class ConnectionEra {
  #isSettled = false;
  #version: string | null = null;

  /** The version of a modern connection, else null. */
  get version(): string | null {
    return this.#version;
  }

  /** Looks at a scanned message; the first that says anything settles it. */
  hear(told: Told): void {
    const { body, envelope, method } = told;
    if (this.#isSettled || method === METHOD.discover || messageError(envelope) !== null) return;
    const kind = kindOf(envelope);
    if (kind === KIND.result || kind === KIND.error) return;
    if (!isClaimed(told)) {
      this.#isSettled = true;
      return;
    }
    const claim = text(body, envelope, ENVELOPE.metaProtocolVersion);
    if (claim === null || !MODERN_VERSIONS.includes(claim)) return;
    this.#isSettled = true;
    this.#version = claim;
  }

  /** The answer to a message that this connection cannot take: an initialize after it began without one. Null when it may go on. */
  refusal(told: Told): Uint8Array | null {
    if (this.#version === null || !isBeginning(told)) return null;
    const { body, envelope } = told;
    const { protocolVersion } = objectAt(body, envelope, ENVELOPE.params);
    const requested = typeof protocolVersion === 'string' ? protocolVersion.slice(0, 40) : 'none';
    const error = new GatewayError(
      'GW_MCP_VERSION',
      'this connection began without initialize: open another for a version that has it',
    );
    return errorMessage(idOf(told), error, { supported: MODERN_VERSIONS, requested });
  }
}
