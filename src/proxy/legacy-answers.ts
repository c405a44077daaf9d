// What the gateway itself says to a legacy client of an aggregated endpoint.
// Called by aggregate-legacy.ts. Promises: an initialize result that speaks for every leg that is up and names those that are not.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { declares, type Leg, type ListCapability } from '../bridge/leg.ts';
import type { Session } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import { isRecord, text } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import { joinInstructions, MISSING_META, mergeCapabilities, type SelfInfo } from '../mcp/merge.ts';
import { isModernVersion, LEGACY_VERSIONS } from '../mcp/protocol.ts';
import type { ListShape } from '../mcp/rewrite.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { ACCEPT_BOTH } from './headers.ts';

/** Capability that a server declares when it has such lists. */
const CAPABILITY: Readonly<Record<string, ListCapability>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  resourceTemplates: 'resources',
  tasks: 'tasks',
};

const EMPTY_RESULT = encode('{}');

/** Headers of a session whose client has sent none to pass on. */
const BARE_HEADERS: readonly string[] = Object.freeze(['accept', ACCEPT_BOTH]);

/** Answers a request with an empty result. */
export function answerEmpty(exchange: Exchange): void {
  const id = exchange.requestId;
  if (id === null) exchange.refuse(new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
  else exchange.replyJson(200, resultMessage(id, EMPTY_RESULT));
}

/** Result of initialize over the legs of a session; `lately` is what legs that are down declared when they were up. */
export function initializeResult(
  exchange: Exchange,
  session: Session,
  self: SelfInfo,
  lately: readonly Readonly<Record<string, unknown>>[],
): Record<string, unknown> {
  const asked =
    exchange.envelope === null ? null : text(exchange.body, exchange.envelope, ENVELOPE.protocolVersion);
  const ready = session.legs.filter((leg) => leg.ready);
  const missing = session.legs
    .filter((leg) => !leg.ready)
    .map((leg) => [leg.member.spec.name, leg.fault?.message ?? '']);
  const instructions = joinInstructions(
    ready.map((leg) => ({ server: leg.member.spec.name, result: leg.result })),
  );
  const capabilities = ready.map((leg) => (isRecord(leg.result.capabilities) ? leg.result.capabilities : {}));
  return {
    protocolVersion: asked !== null && LEGACY_VERSIONS.includes(asked) ? asked : LEGACY_VERSIONS[0],
    capabilities: mergeCapabilities([...capabilities, ...lately]),
    serverInfo: self,
    ...(instructions === null ? {} : { instructions }),
    ...(missing.length === 0 ? {} : { _meta: { [MISSING_META]: Object.fromEntries(missing) } }),
  };
}

/** True when a leg said at its initialize that it has such lists. */
export function offers(leg: Leg, shape: ListShape): boolean {
  const capability = CAPABILITY[shape.items];
  return capability !== undefined && declares(leg, capability);
}

/** A modern client has no session, no such stream and nothing to end: it learns that the method is not for it. */
export function bareFault(
  exchange: Exchange,
  code: 'GW_SESSION_MISSING' | 'GW_SESSION_UNKNOWN',
): GatewayError {
  const isModern = isModernVersion(exchange.headers.protocolVersion ?? '');
  return new GatewayError(code === 'GW_SESSION_MISSING' && isModern ? 'GW_SERVER_METHOD' : code);
}

/** Headers that a session's requests carry to every leg; the version is each leg's own, Mcp-Param-* belong to single calls. */
export function legHeaders(exchange: Exchange): readonly string[] {
  const { passed } = exchange.headers;
  if (passed.length === 0) return BARE_HEADERS;
  const headers = [...BARE_HEADERS];
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const name = passed[i] ?? '';
    if (!name.startsWith('mcp-param-')) headers.push(name, passed[i + 1] ?? '');
  }
  return headers;
}

/** A refusal when no server could be initialized: what kept the first of them. */
export function nobodyReady(faults: readonly (GatewayError | null)[]): GatewayError {
  return (
    faults.find((one) => one !== null) ??
    new GatewayError('GW_UPSTREAM_CONNECT', 'no server could be initialized')
  );
}
