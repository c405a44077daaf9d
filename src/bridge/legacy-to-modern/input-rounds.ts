// What a modern server asks for in the middle of a call (`input_required`), as requests that a legacy client can be asked.
// Called by call.ts. Promises: pure; parameters keep their bytes; a round is judged as a whole, so that nobody is asked for an answer that cannot be used. Source: MCP
// 2026-07-28, multi-round-trip requests.
import { concat, decode, type Edit, encode, splice } from '../../base/bytes.ts';
import { type Message, raw, span } from '../../mcp/envelope.ts';
import {
  eachMember,
  isArray,
  isObject,
  member,
  readString,
  skipBlank,
  stringMember,
} from '../../mcp/json.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { Abilities } from './profile.ts';

/** One thing that a server asks for. */
export interface InputRequest {
  /** Its name in the round, as JSON. */
  readonly key: string;
  readonly method: string;
  /** Raw object, or null. */
  readonly params: Uint8Array | null;
}

/** A round of them. */
export interface InputRound {
  readonly requests: readonly InputRequest[];
  /** What the server wants back, as JSON with its quotes; null when there is nothing. */
  readonly state: Uint8Array | null;
}

/** Questions of one round at most: beyond that nobody could answer them. */
const QUESTIONS_MAX = 64;

/** Reads the result that asks; a text says why it makes no sense. */
export function readRound({ bytes, envelope }: Message): InputRound | string {
  const result = span(envelope, ENVELOPE.result);
  if (result === null || !isObject(bytes, result.start)) return 'its result is no object';
  const stateAt = member(bytes, result.start, 'requestState');
  const state = stateAt === null ? null : bytes.slice(stateAt.start, stateAt.end);
  const list = member(bytes, result.start, 'inputRequests');
  const requests: InputRequest[] = [];
  const names = new Set<string | null>();
  let isSound = true;
  if (list !== null && isObject(bytes, list.start)) {
    eachMember(bytes, list.start, (key, value) => {
      const method = isObject(bytes, value.start) ? stringMember(bytes, value.start, 'method') : null;
      const params = method === null ? null : member(bytes, value.start, 'params');
      names.add(readString(bytes, key.start, key.end));
      if (method === null) isSound = false;
      else
        requests.push({
          key: decode(bytes, key.start, key.end),
          method,
          params: params === null ? null : bytes.slice(params.start, params.end),
        });
    });
  }
  if (requests.length > QUESTIONS_MAX) return `it asks ${requests.length} questions at once`;
  if (!isSound) return 'one of its questions has no method';
  if (names.size < requests.length) return 'two of its questions bear the same name';
  if (requests.length === 0 && state === null) return 'it names neither a question nor a state';
  return { requests, state };
}

/** Why a client cannot be asked for one of these, or null when it can be asked for all. */
export function unaskable(requests: readonly InputRequest[], can: Abilities): string | null {
  for (const request of requests) {
    const need = needOf(request);
    if (need === null)
      return `the server asks for ${request.method}, which no client of this revision answers`;
    if (!can[need.ability]) return `the client has not declared ${need.name}, which the server asks for`;
  }
  return null;
}

function needOf({ method, params }: InputRequest): { ability: keyof Abilities; name: string } | null {
  if (method === METHOD.rootsList) return { ability: 'roots', name: 'roots' };
  const isUsable = params !== null && isObject(params, 0);
  if (method === METHOD.sample) {
    const tools = isUsable ? member(params, 0, 'tools') : null;
    const hasTools = tools !== null && isUsable && isArray(params, tools.start);
    if (hasTools) return { ability: 'samplingTools', name: 'sampling with tools' };
    return { ability: 'sampling', name: 'sampling' };
  }
  if (method !== METHOD.elicit) return null;
  return isUsable && stringMember(params, 0, 'mode') === 'url'
    ? { ability: 'url', name: 'elicitation by URL' }
    : { ability: 'form', name: 'elicitation by forms' };
}

/** The request that the client gets: `id` is ours. An elicitation by URL needs an id of its own, which modern servers have no use for. */
export function questionMessage(id: string, { method, params }: InputRequest): Uint8Array {
  const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)}`;
  if (params === null) return encode(`${head}}`);
  return concat([encode(`${head},"params":`), withElicitationId(id, method, params), encode('}')]);
}

function withElicitationId(id: string, method: string, params: Uint8Array): Uint8Array {
  const isUrl = method === METHOD.elicit && isObject(params, 0) && stringMember(params, 0, 'mode') === 'url';
  if (!isUrl || member(params, 0, 'elicitationId') !== null) return params;
  const rest = params[skipBlank(params, 1)] === 0x7d ? '' : ',';
  const edit: Edit = { start: 1, end: 1, insert: encode(`"elicitationId":${JSON.stringify(id)}${rest}`) };
  return splice(params, [edit]);
}

const CANCELLED = encode('{"action":"cancel"}');

/** What the server gets for a client's reply: the bare result, a cancel for an elicitation that the client failed, or null when there is nothing to go on with. */
export function answerOf({ method }: InputRequest, { bytes, envelope }: Message): Uint8Array | null {
  const result = raw(bytes, envelope, ENVELOPE.result);
  if (result !== null && isObject(result, 0)) return result.slice();
  return method === METHOD.elicit ? CANCELLED : null;
}

/** Raw members of the params of the next attempt. */
export function retryMembers(
  { requests, state }: InputRound,
  answers: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const parts: Uint8Array[] = [];
  if (requests.length > 0) {
    parts.push(encode('"inputResponses":{'));
    requests.forEach(({ key }, i) => {
      const answer = answers.get(key);
      if (answer !== undefined) parts.push(encode(`${i === 0 ? '' : ','}${key}:`), answer);
    });
    parts.push(encode('}'));
  }
  if (state !== null) parts.push(encode(`${parts.length === 0 ? '' : ','}"requestState":`), state);
  return concat(parts);
}
