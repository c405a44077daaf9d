// A legacy server's response as a modern client reads it.
// Called by call.ts. Promises: pure but for sealing; the client's own id; bytes stay as they are but for what the eras say differently.
import { concat, decode, type Edit, encode, splice } from '../../base/bytes.ts';
import { GatewayError, RPC } from '../../base/errors.ts';
import { kindOf, type Message, raw, span } from '../../mcp/envelope.ts';
import { errorMessage, resultMessage } from '../../mcp/errors.ts';
import { isObject, member } from '../../mcp/json.ts';
import { META } from '../../mcp/protocol.ts';
import { type Caching, modernError, modernResultEdits, urlElicitationsOf } from '../../mcp/to-modern.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import { idEdit } from '../member.ts';
import { hasMode } from './questions.ts';
import { type StateSealer, sealAgain } from './state.ts';

/** What a response answers. */
export interface Answered {
  readonly request: UpstreamRequest;
  /** Raw id of the client. */
  readonly id: Uint8Array;
  readonly method: string;
  /** Raw JSON. */
  readonly serverInfo: Uint8Array;
  /** Legacy servers do not say for how long a result holds, or for whom. */
  readonly caching: Caching;
}

/** A message with the status of a reply that is nothing else. */
export interface Answer {
  readonly message: Uint8Array;
  readonly status: number;
}

/** The response in the client's era. */
export function respond(response: Message, about: Answered): Answer {
  const { bytes, envelope } = response;
  const named = idEdit(envelope, about.id);
  const edits: Edit[] = named === null ? [] : [named];
  if (kindOf(envelope) === KIND.result) {
    edits.push(...modernResultEdits(response, about.method, about.serverInfo, about.caching));
    return { message: splice(bytes, edits), status: 200 };
  }
  const uri =
    about.request.envelope === null ? null : raw(about.request.body, about.request.envelope, ENVELOPE.uri);
  const error = modernError(response, uri);
  const at = span(envelope, ENVELOPE.error);
  if (error !== null && at !== null) edits.push({ ...at, insert: error });
  const message = splice(bytes, edits);
  return { message, status: statusOf(error ?? raw(bytes, envelope, ENVELOPE.error)) };
}

/** HTTP status of an error that is the whole reply (2026-07-28 §errors): what a handler says travels with 200. */
function statusOf(error: Uint8Array | null): number {
  const value: unknown = error === null ? null : JSON.parse(decode(error));
  const code = typeof value === 'object' && value !== null && 'code' in value ? value.code : 0;
  if (code === RPC.methodNotFound) return 404;
  return code === RPC.missingCapability ? 400 : 200;
}

/** For an error that wants the user to visit pages first (-32042): the question in the client's era, if it can be asked; null for anything else. */
export function askUrls(
  response: Message,
  about: Answered,
  capabilities: Readonly<Record<string, unknown>>,
  tools: { readonly sealer: StateSealer; readonly parking: { readonly lifeMs: number } },
): Answer | null {
  const urls = kindOf(response.envelope) === KIND.error ? urlElicitationsOf(response) : null;
  if (urls === null || !hasMode(capabilities.elicitation, 'url')) return null;
  const requests = urls.map((params, i) => [
    `elicitation-${i + 1}`,
    { method: 'elicitation/create', params },
  ]);
  const state = sealAgain(tools.sealer, about.request, tools.parking.lifeMs);
  const input = encode(JSON.stringify(Object.fromEntries(requests)));
  return { message: resultMessage(about.id, inputRequired(input, state, about.serverInfo)), status: 200 };
}

/**
 * For the failure of a call in which the server asked for what the client does not declare: the modern word for it, which says what would help; null for
 * anything else. Many tools can do without an answer, so that nothing is said before one has failed.
 */
export function lackOf(
  response: Message,
  id: Uint8Array,
  lacking: Readonly<Record<string, unknown>> | null,
): Answer | null {
  if (lacking === null || !isFailure(response)) return null;
  const error = new GatewayError('GW_BRIDGE_CAPABILITY', `it needs ${JSON.stringify(lacking)}`);
  return { message: errorMessage(id, error, { requiredCapabilities: lacking }), status: error.row.http };
}

/** An error, or a tool's result that says that it is one. */
function isFailure({ bytes, envelope }: Message): boolean {
  if (kindOf(envelope) === KIND.error) return true;
  const result = span(envelope, ENVELOPE.result);
  const at =
    result === null || !isObject(bytes, result.start) ? null : member(bytes, result.start, 'isError');
  return at !== null && decode(bytes, at.start, at.end) === 'true';
}

/** A result that asks for input; `requests` and `serverInfo` are raw JSON. */
export function inputRequired(requests: Uint8Array, state: string, serverInfo: Uint8Array): Uint8Array {
  return concat([
    encode('{"resultType":"input_required","inputRequests":'),
    requests,
    encode(`,"requestState":"${state}","_meta":{"${META.serverInfo}":`),
    serverInfo,
    encode('}}'),
  ]);
}
