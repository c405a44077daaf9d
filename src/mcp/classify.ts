// Which era a message belongs to, and whether its headers agree with it: the body decides, headers cross-check.
// Called by proxy/phases. Promises: pure; verdicts come in the order that the official SDK gives them, so that a client sees the same
// error through the gateway as without it. Source: MCP 2026-07-28, versioning and Streamable HTTP; SEP-2243.
import { equalsAscii } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { ENVELOPE, FLAG, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import { has, kindOf, messageError, span, text } from './envelope.ts';
import { decodeMirrored } from './headers.ts';
import { eachElement, isObject, skipBlank } from './json.ts';
import { isModernVersion, METHOD, mirroredPlace } from './protocol.ts';

/** The headers that mirror the body; null where absent. */
export interface MirroredHeaders {
  readonly protocolVersion: string | null;
  readonly mcpMethod: string | null;
  readonly mcpName: string | null;
}

const QUOTE = 0x22;

function mismatch(header: string, why: string): GatewayError {
  return new GatewayError('GW_MCP_HEADER', `${header} ${why}`);
}

/** Era of a scanned, well-formed single message, or what is wrong with it. */
export function classify(
  bytes: Uint8Array,
  envelope: Int32Array,
  headers: MirroredHeaders,
): 'legacy' | 'modern' | GatewayError {
  const kind = kindOf(envelope);
  if (kind === KIND.result || kind === KIND.error) return 'legacy';
  if (kind === KIND.notification) return classifyNotification(bytes, envelope, headers);
  if (has(envelope, ENVELOPE.metaProtocolVersion)) return classifyModern(bytes, envelope, headers);
  const version = headers.protocolVersion;
  if (version === null || !isModernVersion(version)) return 'legacy';
  if (methodIs(bytes, envelope, METHOD.initialize))
    return mismatch('MCP-Protocol-Version', 'names a version that has no initialize');
  return new GatewayError('GW_MCP_META', 'io.modelcontextprotocol/protocolVersion is missing');
}

function methodIs(bytes: Uint8Array, envelope: Int32Array, method: string): boolean {
  return stringIs(bytes, envelope, ENVELOPE.method, method);
}

/** True when the string at a place is `wanted` once unescaped. Nearly always its bytes say so, and no text has to be made of them. */
function stringIs(bytes: Uint8Array, envelope: Int32Array, place: number, wanted: string): boolean {
  const start = envelope[place] ?? -1;
  const end = envelope[place + 1] ?? -1;
  if (start < 0) return false;
  // A backslash in `wanted` is itself; one in the bytes begins an escape.
  if (bytes[start] === QUOTE && equalsAscii(bytes, start + 1, end - 1, wanted) && !wanted.includes('\\'))
    return true;
  return text(bytes, envelope, place) === wanted;
}

function classifyNotification(
  bytes: Uint8Array,
  envelope: Int32Array,
  headers: MirroredHeaders,
): 'legacy' | 'modern' | GatewayError {
  const version = headers.protocolVersion;
  if (!has(envelope, ENVELOPE.metaProtocolVersion))
    return version !== null && isModernVersion(version) ? 'modern' : 'legacy';
  const claim = text(bytes, envelope, ENVELOPE.metaProtocolVersion);
  if (claim === null)
    return new GatewayError('GW_MCP_META', 'io.modelcontextprotocol/protocolVersion must be a string');
  if (version !== null && version !== claim)
    return mismatch('MCP-Protocol-Version', 'differs from params._meta');
  return 'modern';
}

function classifyModern(
  bytes: Uint8Array,
  envelope: Int32Array,
  headers: MirroredHeaders,
): 'modern' | GatewayError {
  const version = headers.protocolVersion;
  if (version === null || !stringIs(bytes, envelope, ENVELOPE.metaProtocolVersion, version)) {
    if (text(bytes, envelope, ENVELOPE.metaProtocolVersion) === null)
      return new GatewayError('GW_MCP_META', 'io.modelcontextprotocol/protocolVersion must be a string');
    if (version !== null) return mismatch('MCP-Protocol-Version', 'differs from params._meta');
  }
  if (headers.mcpMethod !== null && !methodIs(bytes, envelope, headers.mcpMethod))
    return mismatch('Mcp-Method', 'differs from method');
  const capabilities = span(envelope, ENVELOPE.metaClientCapabilities);
  if (capabilities === null || !isObject(bytes, capabilities.start)) {
    return new GatewayError('GW_MCP_META', 'io.modelcontextprotocol/clientCapabilities must be an object');
  }
  if (version === null) return mismatch('MCP-Protocol-Version', 'is missing');
  if (headers.mcpMethod === null) return mismatch('Mcp-Method', 'is missing');
  return checkName(bytes, envelope, headers) ?? 'modern';
}

function checkName(bytes: Uint8Array, envelope: Int32Array, headers: MirroredHeaders): GatewayError | null {
  const place = mirroredPlace(headers.mcpMethod ?? '');
  if (place < 0) return null;
  const header = headers.mcpName;
  if (!has(envelope, place)) return null; // The upstream says what it thinks of a call without a name.
  if (header === null) return mismatch('Mcp-Name', 'is missing');
  // What begins like a sentinel stands for something else.
  if (!header.startsWith('=') && stringIs(bytes, envelope, place, header)) return null;
  const decoded = decodeMirrored(header);
  if (decoded === null) return mismatch('Mcp-Name', 'holds a malformed base64 sentinel');
  return decoded === text(bytes, envelope, place) ? null : mismatch('Mcp-Name', 'differs from the body');
}

/**
 * Checks a batch (2025-03-26): every element must be a well-formed message of the legacy era. `envelope` is scratch. Returns how many of them are
 * requests, or what is wrong.
 */
export function checkBatch(
  scanner: Scanner,
  bytes: Uint8Array,
  envelope: Int32Array,
  countMax: number,
): number | GatewayError {
  let fault: GatewayError | null = null;
  let count = 0;
  let requests = 0;
  eachElement(bytes, skipBlank(bytes, 0), (start, end) => {
    count++;
    if (fault !== null || count > countMax) return;
    if (scanner.scan(bytes, start, end, envelope) !== SCAN.ok) fault = new GatewayError('GW_SCAN_SYNTAX');
    else fault = batchElementError(bytes, envelope);
    if (kindOf(envelope) === KIND.request) requests++;
  });
  if (count > countMax)
    return new GatewayError('GW_MCP_BATCH', `it holds ${count} messages, at most ${countMax} are allowed`);
  return fault ?? requests;
}

function batchElementError(bytes: Uint8Array, envelope: Int32Array): GatewayError | null {
  if (kindOf(envelope) === KIND.batch) return new GatewayError('GW_MCP_BATCH', 'it holds another batch');
  if (((envelope[ENVELOPE.flags] ?? 0) & FLAG.badMeta) === 0 && has(envelope, ENVELOPE.metaProtocolVersion)) {
    return new GatewayError('GW_MCP_BATCH', 'requests of 2026-07-28 cannot be batched');
  }
  // Its reply must bring a session id, which a batch has no place for (2025-03-26 §lifecycle).
  if (methodIs(bytes, envelope, METHOD.initialize))
    return new GatewayError('GW_MCP_BATCH', 'initialize cannot be part of it');
  return messageError(envelope);
}
