// Joins the answers of several servers into one: capabilities and instructions as values, how long they hold, what is missing.
// Called by proxy and merge-lists.ts. Promises: pure; what could not be had is named under `_meta` instead of being left out silently.
import { concat, encode, equalsAscii } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { has, isRecord, type Message, span } from './envelope.ts';
import { resultMessage } from './errors.ts';
import { isObject, member, numberMember, stringMember } from './json.ts';
import { META } from './protocol.ts';

/** Key under which an aggregated result names the servers whose part is missing: `{server: reason}`. */
export const MISSING_META = 'sluice/missing';
/** Key under which it names those whose part is an earlier answer of theirs: `{server: ageMs}`. */
export const STALE_META = 'sluice/stale';

/** The pages that one server gave, or why there are none. */
export interface MemberPages {
  readonly server: string;
  readonly pages: readonly Message[];
  /** Set when the list is missing or incomplete. */
  readonly fault: string | null;
  /** The fault is that the server is down, too slow, or not understood; it did not refuse. */
  readonly isOutage?: boolean;
  /** What went wrong on the way, when nothing came back. */
  readonly error?: GatewayError;
  /** Set when this is what it gave so long ago. */
  readonly staleMs?: number;
}

/** What the gateway says of itself. */
export interface SelfInfo {
  readonly name: string;
  readonly version: string;
}

/** True for a page that a cache gave although it had ceased to hold (policy/cache.ts marks it). */
export function isMarkedStale({ bytes, envelope }: Message): boolean {
  const meta = span(envelope, ENVELOPE.resultMeta);
  const mark = meta === null || !isObject(bytes, meta.start) ? null : member(bytes, meta.start, STALE_META);
  return mark !== null && equalsAscii(bytes, mark.start, mark.end, 'true');
}

/** Smallest ttl and narrowest scope over all pages; a page that says nothing counts as 0 and private (2026-07-28, caching). */
export function mergedCaching(members: readonly MemberPages[]): {
  ttlMs: number;
  cacheScope: 'public' | 'private';
} {
  let ttlMs = Number.POSITIVE_INFINITY;
  let isPublic = true;
  for (const one of members) {
    if (one.fault !== null || one.staleMs !== undefined) ttlMs = 0;
    for (const page of one.pages) {
      const result = span(page.envelope, ENVELOPE.result);
      const at = result !== null && isObject(page.bytes, result.start) ? result.start : -1;
      ttlMs = Math.min(ttlMs, at < 0 ? 0 : (numberMember(page.bytes, at, 'ttlMs') ?? 0));
      isPublic &&= at >= 0 && stringMember(page.bytes, at, 'cacheScope') === 'public';
    }
  }
  return { ttlMs: Number.isFinite(ttlMs) ? ttlMs : 0, cacheScope: isPublic ? 'public' : 'private' };
}

/** Union of capability objects: objects are joined key by key, a flag is true when any server says so. */
export function mergeCapabilities(
  all: readonly Readonly<Record<string, unknown>>[],
): Record<string, unknown> {
  const union: Record<string, unknown> = {};
  for (const one of all) {
    for (const [key, value] of Object.entries(one)) union[key] = join(union[key], value);
  }
  return union;
}

function join(a: unknown, b: unknown): unknown {
  if (isRecord(a) && isRecord(b)) return mergeCapabilities([a, b]);
  if (typeof a === 'boolean' && typeof b === 'boolean') return a || b;
  return a === undefined ? b : a;
}

/** True when a page says that another follows: its cursor's text, "" included; null at the end. */
export function nextCursor(page: Message): Uint8Array | null {
  if (!has(page.envelope, ENVELOPE.nextCursor)) return null;
  const at = span(page.envelope, ENVELOPE.nextCursor);
  // A null cursor is how some servers spell "no more".
  return at === null || page.bytes[at.start] !== 0x22 ? null : page.bytes.subarray(at.start, at.end);
}

/** Instructions of several servers, each under its name; null when there are none. */
export function joinInstructions(
  parts: readonly { readonly server: string; readonly result: Readonly<Record<string, unknown>> }[],
): string | null {
  const texts = parts.flatMap(({ server, result }) =>
    typeof result.instructions === 'string' ? [`${server}: ${result.instructions}`] : [],
  );
  return texts.length === 0 ? null : texts.join('\n\n');
}

/** Value of `_meta` on every message of a listen stream; `id` is the raw id of the listen. */
export function subscriptionTag(id: Uint8Array): Uint8Array {
  return concat([encode(`{${JSON.stringify(META.subscriptionId)}:`), id, encode('}')]);
}

/** The response that ends a listen properly. */
export function listenResult(id: Uint8Array): Uint8Array {
  return resultMessage(
    id,
    concat([encode('{"resultType":"complete","_meta":'), subscriptionTag(id), encode('}')]),
  );
}
