// One server as a member of an aggregated endpoint: its upstream, its name, and requests made in the client's name.
// Called by the aggregates of proxy/ and bridge/session.ts. Promises: a member sees only the headers it may see; requests of the gateway's own carry ids that no
// client can collide with.
import { concat, type Edit, EMPTY, encode } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { has, span } from '../mcp/envelope.ts';
import { isObject } from '../mcp/json.ts';
import { putFirst } from '../mcp/object-edits.ts';
import type { CallMarks } from '../observe/timing.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import type { ClientKey, Era, Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import { type CollectBounds, type Collected, type CollectTools, collect } from './collect.ts';

/** A server with the upstream that reaches it. */
export interface Member {
  readonly spec: ServerSpec;
  readonly upstream: Upstream;
  /** The server's own cell in the shared memory, by which all workers know it; absent where nothing is recorded. */
  readonly cell?: number;
}

/** What is common to the requests that one exchange or session makes to its members. */
export interface MemberCall {
  readonly era: Era;
  readonly headers: readonly string[];
  readonly session: string | null;
  readonly exchangeId: string;
  readonly client: ClientKey;
  /** As UpstreamRequest says it. */
  readonly isUnmirrored?: boolean;
  /** As UpstreamRequest has them: for the one request that is an exchange's own. */
  readonly marks?: CallMarks;
}

/** A message to send to a member: the client's bytes, their envelope, and what changes. */
export interface Draft {
  readonly body: Uint8Array;
  readonly envelope: Int32Array | null;
  readonly edits: readonly Edit[];
}

/** The UpstreamRequest that posts a draft. */
export function postRequest(call: MemberCall, draft: Draft): UpstreamRequest {
  return {
    verb: 'POST',
    era: call.era,
    body: draft.body,
    envelope: draft.envelope,
    edits: draft.edits,
    headers: call.headers,
    session: call.session,
    exchangeId: call.exchangeId,
    client: call.client,
    isUnmirrored: call.isUnmirrored === true,
    marks: call.marks,
    timeoutMs: 0,
  };
}

/** The UpstreamRequest without a body: opens the session's stream, or ends the session. */
export function bareRequest(verb: 'GET' | 'DELETE', call: MemberCall): UpstreamRequest {
  return {
    verb,
    era: call.era,
    body: EMPTY,
    envelope: null,
    edits: [],
    headers: call.headers,
    session: call.session,
    exchangeId: call.exchangeId,
    client: call.client,
    timeoutMs: 0,
  };
}

/** Posts a draft and waits for the reply. */
export function ask(
  tools: CollectTools,
  member: Member,
  request: { readonly call: MemberCall; readonly draft: Draft },
  bounds: CollectBounds,
): Promise<Collected | GatewayError> {
  const { bytesMax } = bounds;
  const post = postRequest(request.call, request.draft);
  const bounded = bytesMax === undefined ? post : { ...post, replyBytesMax: bytesMax };
  return collect(tools, member.upstream, bounded, bounds);
}

/** Edit that replaces the message's id. */
export function idEdit(envelope: Int32Array, id: Uint8Array): Edit | null {
  const at = span(envelope, ENVELOPE.id);
  return at === null ? null : { start: at.start, end: at.end, insert: id };
}

/** Edit that puts `"cursor":…` into the message's params, which need not exist. */
export function cursorEdit(body: Uint8Array, envelope: Int32Array, cursor: Uint8Array): Edit | null {
  const params = span(envelope, ENVELOPE.params);
  if (params === null) {
    const method = span(envelope, ENVELOPE.method);
    if (method === null) return null;
    return { start: method.end, end: method.end, insert: around(',"params":{"cursor":', cursor, '}') };
  }
  if (!isObject(body, params.start) || has(envelope, ENVELOPE.cursor)) return null;
  return putFirst(body, params.start, around('"cursor":', cursor, ''));
}

function around(before: string, value: Uint8Array, after: string): Uint8Array {
  return concat([encode(before), value, encode(after)]);
}

/** Id of a request of the gateway's own, as JSON. */
export function ownId(exchangeId: string, index: number): Uint8Array {
  return encode(JSON.stringify(`sluice:${exchangeId}:${index}`));
}
