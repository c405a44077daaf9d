// One member's list for a joined endpoint: every page of it is followed, whatever the member's era.
// Called by joined-lists.ts, aggregate-modern.ts and aggregate-legacy.ts. Promises: bounded in time, size and pages, whatever the member does; what came before a fault is kept;
// a fault says whether the member was out of order or refused.
import { type Edit, orderEdits } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Collected } from '../bridge/collect.ts';
import { cursorEdit, type Draft, idEdit, ownId } from '../bridge/member.ts';
import { CursorCircle } from '../mcp/cursor-circle.ts';
import { has, isSameId, kindOf, type Message, objectAt, rawKey, span } from '../mcp/envelope.ts';
import { isObject, readString } from '../mcp/json.ts';
import { type MemberPages, nextCursor } from '../mcp/merge.ts';
import { editObject } from '../mcp/object-edits.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';

/** Asks one member for one page, within a time: the message with these edits. */
export type AskPage = (edits: readonly Edit[], timeoutMs: number) => Promise<Collected | GatewayError>;

/** What every page is asked with. */
export interface PageAsk {
  readonly draft: Draft;
  /** Of the exchange that it is asked for. */
  readonly exchangeId: string;
  readonly server: string;
  readonly clock: Clock;
  /** For all pages together. */
  readonly timeoutMs: number;
}

/** JSON-RPC's "method not found", as a server spells it. */
const NO_SUCH_METHOD = '-32601';

/** The message of a reply, or what is wrong with a reply that holds none. */
function messageIn(reply: Collected | GatewayError): Message | GatewayError {
  if (reply instanceof GatewayError) return reply;
  return (
    reply.message ?? new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${reply.status} without a message`)
  );
}

/** True when a reply says nothing of what was asked because its server is down, too slow, or not understood. One that refuses does say something. */
function isOutage(reply: Collected | GatewayError): boolean {
  return reply instanceof GatewayError || reply.status >= 500;
}

/** Resolves as `work` does, or with `late` when that takes longer. `work` does not reject. */
export function within<T>(clock: Clock, work: Promise<T>, ms: number, late: () => T): Promise<T> {
  return new Promise((resolve) => {
    const timer = clock.after(ms, () => resolve(late()));
    void work.then((value) => {
      clock.cancel(timer);
      resolve(value);
    });
  });
}

/** Follows every page of one member's list. */
export async function followPages(plan: PageAsk, ask: AskPage): Promise<MemberPages> {
  const { server, clock, timeoutMs } = plan;
  const pages: Message[] = [];
  const circle = new CursorCircle();
  const endMs = clock.now() + timeoutMs;
  const broken = (fault: string | null, isOut = false): MemberPages => ({
    server,
    pages,
    fault,
    isOutage: isOut,
  });
  const late = (): GatewayError => new GatewayError('GW_UPSTREAM_TIMEOUT', `no list within ${timeoutMs} ms`);
  let cursor: Uint8Array | null = null;
  let bytes = 0;
  while (pages.length < LIMITS.listPagesMax) {
    const leftMs = endMs - clock.now();
    if (leftMs <= 0) {
      const error = new GatewayError('GW_UPSTREAM_TIMEOUT', `its pages took longer than ${timeoutMs} ms`);
      return { ...broken(error.message, true), error };
    }
    const edits = pageEdits(plan, cursor, pages.length);
    const reply: Collected | GatewayError = await within(clock, ask(edits, leftMs), leftMs, late);
    const answer = messageIn(reply);
    if (answer instanceof GatewayError) return { ...broken(answer.message, isOutage(reply)), error: answer };
    if (kindOf(answer.envelope) !== KIND.result) return broken(refusalOf(answer), isOutage(reply));
    pages.push(answer);
    bytes += answer.bytes.length;
    if (bytes > LIMITS.listBytesMax) return broken(`its pages are larger than ${LIMITS.listBytesMax} bytes`);
    const next = nextCursor(answer);
    if (next === null) return broken(null);
    if (cursor !== null && isSameId(cursor, next)) return broken('its next page is the page before');
    if (circle.closes(readString(next, 0, next.length) ?? '')) return broken('its pages go in a circle');
    cursor = next;
  }
  return broken(`it has more than ${LIMITS.listPagesMax} pages`);
}

/** What makes the message ask for one page of the member's: an id of ours, and the member's cursor in the place of the client's. */
function pageEdits(
  { draft, exchangeId }: PageAsk,
  cursor: Uint8Array | null,
  index: number,
): readonly Edit[] {
  const { body, envelope } = draft;
  if (envelope === null) return [];
  const id = idEdit(envelope, ownId(exchangeId, index));
  return orderEdits([...(id === null ? [] : [id]), ...cursorEdits(body, envelope, cursor)]);
}

function cursorEdits(body: Uint8Array, envelope: Int32Array, cursor: Uint8Array | null): readonly Edit[] {
  const params = span(envelope, ENVELOPE.params);
  if (!has(envelope, ENVELOPE.cursor) || params === null || !isObject(body, params.start)) {
    const edit = cursor === null ? null : cursorEdit(body, envelope, cursor);
    return edit === null ? [] : [edit];
  }
  const edits: Edit[] = [];
  editObject(body, params.start, edits, { fate: (key) => (key === 'cursor' ? (cursor ?? 'drop') : 'keep') });
  return edits;
}

/** Why a server refused its list; a server that has no such thing says so with -32601, which is no fault. */
function refusalOf(answer: Message): string | null {
  const code = rawKey(answer.bytes, answer.envelope, ENVELOPE.errorCode);
  if (code === NO_SUCH_METHOD) return null;
  const { message } = objectAt(answer.bytes, answer.envelope, ENVELOPE.error);
  return typeof message === 'string' ? message.slice(0, 200) : `error ${code ?? ''}`;
}
