// Merged lists of an aggregate: every member is asked for every page, whatever its era, and the answers are joined.
// Called by aggregate-modern.ts and aggregate-legacy.ts. Promises: one member's failure is named in the result and costs no other its place.
import type { Edit } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Collected } from '../bridge/collect.ts';
import { cursorEdit, idEdit, ownId } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { has, isSameId, kindOf, type Message, objectAt, rawKey } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import { type MemberPages, mergeLists, nextCursor, type SelfInfo } from '../mcp/merge.ts';
import type { ListShape } from '../mcp/rewrite.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';

/** Asks one member for one page, within a time: the client's message with these edits. */
export type AskPage = (edits: readonly Edit[], timeoutMs: number) => Promise<Message | GatewayError>;

/** Bounds of one member's list. */
export interface ListBounds {
  readonly clock: Clock;
  /** For all pages together. */
  readonly timeoutMs: number;
}

/** JSON-RPC's "method not found", as a server spells it. */
const NO_SUCH_METHOD = '-32601';

/** The message of a reply, or what is wrong with a reply that holds none. */
export function messageIn(reply: Collected | GatewayError): Message | GatewayError {
  if (reply instanceof GatewayError) return reply;
  return (
    reply.message ?? new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${reply.status} without a message`)
  );
}

/** A client's own cursor cannot be ours: whole lists are answered. */
export function cursorFault(exchange: Exchange): GatewayError | null {
  if (exchange.envelope === null || !has(exchange.envelope, ENVELOPE.cursor)) return null;
  return new GatewayError(
    'GW_MCP_PARAMS',
    'the cursor is not one of ours: this endpoint answers whole lists',
  );
}

/** Follows every page of one member's list, within the time and size of one reply. What came before a fault is kept. */
export async function followPages(
  exchange: Exchange,
  server: string,
  ask: AskPage,
  { clock, timeoutMs }: ListBounds,
): Promise<MemberPages> {
  const pages: Message[] = [];
  const endMs = clock.now() + timeoutMs;
  let cursor: Uint8Array | null = null;
  let bytes = 0;
  while (pages.length < LIMITS.listPagesMax) {
    const leftMs = endMs - clock.now();
    if (leftMs <= 0) return { server, pages, fault: `its pages took longer than ${timeoutMs} ms` };
    const answer: Message | GatewayError = await ask(pageEdits(exchange, cursor, pages.length), leftMs);
    if (answer instanceof GatewayError) return { server, pages, fault: answer.message };
    if (kindOf(answer.envelope) !== KIND.result) return { server, pages, fault: refusalOf(answer) };
    pages.push(answer);
    bytes += answer.bytes.length;
    if (bytes > LIMITS.replyBodyBytesMax)
      return { server, pages, fault: `its pages are larger than ${LIMITS.replyBodyBytesMax} bytes` };
    const next = nextCursor(answer);
    if (next === null) return { server, pages, fault: null };
    if (cursor !== null && isSameId(cursor, next))
      return { server, pages, fault: 'its next page is the page before' };
    cursor = next;
  }
  return { server, pages, fault: `it has more than ${LIMITS.listPagesMax} pages` };
}

/** Answers with the merged list; refuses when nobody could list. */
export function answerList(
  exchange: Exchange,
  lists: readonly MemberPages[],
  shape: ListShape,
  self: SelfInfo | null,
): void {
  const id = exchange.requestId;
  const failed = lists.find((one) => one.fault !== null);
  if (id === null) exchange.refuse(new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
  else if (failed !== undefined && lists.every((one) => one.pages.length === 0)) {
    exchange.refuse(
      new GatewayError(
        'GW_UPSTREAM_MESSAGE',
        `no server could list; ${failed.server}: ${failed.fault ?? ''}`,
      ),
    );
  } else exchange.replyJson(200, resultMessage(id, mergeLists(lists, shape, self)));
}

function pageEdits(exchange: Exchange, cursor: Uint8Array | null, index: number): readonly Edit[] {
  const { envelope } = exchange;
  if (envelope === null) return [];
  const id = idEdit(envelope, ownId(exchange.id, index));
  const page = cursor === null ? null : cursorEdit(exchange.body, envelope, cursor);
  return [id, page].filter((edit) => edit !== null).sort((a, b) => a.start - b.start);
}

/** Why a server refused its list; a server that has no such thing says so with -32601, which is no fault. */
function refusalOf(answer: Message): string | null {
  const code = rawKey(answer.bytes, answer.envelope, ENVELOPE.errorCode);
  if (code === NO_SUCH_METHOD) return null;
  const { message } = objectAt(answer.bytes, answer.envelope, ENVELOPE.error);
  return typeof message === 'string' ? message.slice(0, 200) : `error ${code ?? ''}`;
}
