// A modern client's request as a legacy server gets it, and the server's notifications as the client gets them.
// Called by call.ts. Promises: pure; bytes stay as they are but for ids, tokens and what one era alone knows.
import { type Edit, orderEdits, splice } from '../../base/bytes.ts';
import { type Message, raw, span, text } from '../../mcp/envelope.ts';
import { isObject, stringMember } from '../../mcp/json.ts';
import { LOG_LEVELS, METHOD } from '../../mcp/protocol.ts';
import { legacyRequestEdits } from '../../mcp/to-modern.ts';
import { ENVELOPE, type Scanner } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import { type Draft, idEdit } from '../member.ts';

/** Notifications that 2026-07-28 has no place for in a call. */
const GONE: readonly string[] = [METHOD.cancelled, METHOD.elicitationComplete, METHOD.taskStatus];

/** A request under an id of the session, which is its progress token as well. `isRescanned`: the draft is to be told by its own bytes, without edits. */
export function legacyDraft(
  request: UpstreamRequest,
  id: Uint8Array,
  how: { readonly isRescanned: boolean; readonly scanner: Scanner },
): Draft {
  const { body, envelope, edits } = settled(request, how.scanner);
  if (envelope === null) return { body, envelope, edits };
  const own: Edit[] = [...edits, ...legacyRequestEdits(body, envelope)];
  const named = idEdit(envelope, id);
  if (named !== null) own.push(named);
  const token = span(envelope, ENVELOPE.metaProgressToken);
  if (token !== null) own.push({ ...token, insert: id });
  if (!how.isRescanned) return { body, envelope, edits: orderEdits(own) };
  return rescanned(splice(body, own), how.scanner);
}

/** The request without edits that could get into the way of ours: those of its id, and those that put something new in. */
function settled({ body, envelope, edits }: UpstreamRequest, scanner: Scanner): Draft {
  if (edits.length === 0 || envelope === null) return { body, envelope, edits };
  const asked = edits.filter((edit) => edit.start !== envelope[ENVELOPE.id]);
  const isNew = asked.some((edit) => edit.start === edit.end);
  return isNew ? rescanned(splice(body, asked), scanner) : { body, envelope, edits: asked };
}

function rescanned(body: Uint8Array, scanner: Scanner): Draft {
  const envelope = new Int32Array(ENVELOPE.length);
  scanner.scan(body, 0, body.length, envelope);
  return { body, envelope, edits: [] };
}

/** What a client wants to hear of its call. */
export interface Wishes {
  readonly request: UpstreamRequest;
  /** Least level of log messages, of LOG_LEVELS; -1: none. */
  readonly level: number;
}

/** A server's notification as the client gets it; null when it does not. */
export function clientNotification(message: Message, wishes: Wishes): Uint8Array | null {
  const { bytes, envelope } = message;
  const method = text(bytes, envelope, ENVELOPE.method) ?? '';
  if (GONE.includes(method)) return null;
  if (method === METHOD.logMessage)
    return levelOf(message) >= wishes.level && wishes.level >= 0 ? bytes : null;
  if (method !== METHOD.progress) return bytes;
  const at = span(envelope, ENVELOPE.progressToken);
  const { request } = wishes;
  const token =
    request.envelope === null ? null : raw(request.body, request.envelope, ENVELOPE.metaProgressToken);
  return at === null || token === null ? null : splice(bytes, [{ ...at, insert: token }]);
}

function levelOf({ bytes, envelope }: Message): number {
  const params = span(envelope, ENVELOPE.params);
  const level =
    params !== null && isObject(bytes, params.start) ? stringMember(bytes, params.start, 'level') : null;
  return LOG_LEVELS.indexOf(level ?? '');
}
