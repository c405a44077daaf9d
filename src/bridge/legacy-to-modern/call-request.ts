// What the modern server is sent for a legacy client's call: the client's own bytes with an envelope, and headers that mirror them.
// Called by call.ts, once an attempt. Promises: pure; everything that is not named in an edit keeps its bytes.
import { encode, orderEdits, splice } from '../../base/bytes.ts';
import { type Message, raw, span } from '../../mcp/envelope.ts';
import { paramHeaders } from '../../mcp/mirrored-params.ts';
import { modernRequestEdits } from '../../mcp/to-legacy.ts';
import type { CallMarks } from '../../observe/timing.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import { postRequest } from '../member.ts';
import { metaWith } from './profile.ts';
import { mirroredName, modernHeaders, scanned } from './requests.ts';
import type { LegacySession } from './session.ts';
import type { ToolFacts } from './tool-book.ts';

/** A client's call. */
export interface CallStart {
  readonly session: LegacySession;
  /** A request. */
  readonly message: Message;
  readonly method: string;
  /** The client's headers that go along. */
  readonly carried: readonly string[];
  readonly credentials: string;
  readonly exchangeId: string;
  readonly timeoutMs: number;
  readonly marks: CallMarks | undefined;
  /** As UpstreamRequest says it; undefined: no bound of its own. */
  readonly replyBytesMax: number | undefined;
}

/** What differs between the attempts at one call. */
export interface AttemptParts {
  /** Questions answered so far. */
  readonly round: number;
  /** Raw members of params that only this attempt has. */
  readonly retry: Uint8Array;
  readonly level: string | null;
  readonly facts: ToolFacts | null;
}

/** True when the server is reached over HTTP, where each request has headers and an id of its own. */
export function isOverHttp({ parts }: LegacySession): boolean {
  return parts.inner.transport !== 'stdio';
}

/** The request of one attempt, and the raw id that its answer bears. */
export function attemptRequest(
  { session, message, method, carried, exchangeId, timeoutMs, marks }: CallStart,
  { round, retry, level, facts }: AttemptParts,
): { readonly request: UpstreamRequest; readonly asked: Uint8Array | null } {
  const { bytes, envelope } = message;
  const edits = [...modernRequestEdits(bytes, envelope, metaWith(session.profile, level), retry)];
  const at = span(envelope, ENVELOPE.id);
  let asked = raw(bytes, envelope, ENVELOPE.id);
  // Each attempt has an id of its own; the pipe to a process gives it one in any case.
  if (at !== null && round > 0 && isOverHttp(session)) {
    asked = encode(JSON.stringify(`sluice:${exchangeId}:${round}`));
    edits.push({ start: at.start, end: at.end, insert: asked });
  }
  const headers = [...modernHeaders(carried, method, mirroredName(message, method))];
  if (facts !== null) headers.push(...paramHeaders(facts.headers, bytes, span(envelope, ENVELOPE.arguments)));
  // A pipe to a process finds out by the envelope whose log messages are whose, so that has to be the edited one's.
  const draft = isOverHttp(session)
    ? { body: bytes, envelope, edits: orderEdits(edits) }
    : scanned(session.parts.scanner, splice(bytes, edits));
  const call = { era: 'modern', headers, session: null, exchangeId, client: session.client } as const;
  return { request: { ...postRequest(call, draft), timeoutMs, marks }, asked };
}
