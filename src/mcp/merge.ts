// Joins the answers of several servers into one: lists element by element as bytes, capabilities as values.
// Called by proxy. Promises: elements keep their bytes but for the marked spans, members keep the config's order, and what
// could not be had is named under `_meta` instead of being left out silently.
import { concat, type Edit, encode, splice } from '../base/bytes.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { has, isRecord, type Message, span } from './envelope.ts';
import { resultMessage } from './errors.ts';
import { eachElement, isArray, isObject, member, numberMember, stringMember } from './json.ts';
import { META } from './protocol.ts';
import { elementEdits, type ListShape } from './rewrite.ts';

/** Key under which an aggregated result names the servers whose part is missing: `{server: reason}`. */
export const MISSING_META = 'sluice/missing';

/** The pages that one server gave, or why there are none. */
export interface MemberPages {
  readonly server: string;
  readonly pages: readonly Message[];
  /** Set when the list is missing or incomplete. */
  readonly fault: string | null;
}

/** What the gateway says of itself. */
export interface SelfInfo {
  readonly name: string;
  readonly version: string;
}

const COMMA = encode(',');

/** Bytes of a list's elements, each with its server's mark. */
function markedElements(page: Message, shape: ListShape, server: string): readonly Uint8Array[] {
  const result = span(page.envelope, ENVELOPE.result);
  if (result === null || !isObject(page.bytes, result.start)) return [];
  const items = member(page.bytes, result.start, shape.items);
  if (items === null || !isArray(page.bytes, items.start)) return [];
  const elements: Uint8Array[] = [];
  eachElement(page.bytes, items.start, (start, end) => {
    const edits = elementEdits(page.bytes, start, shape, server);
    elements.push(
      splice(
        page.bytes.subarray(start, end),
        edits.map((edit): Edit => shift(edit, -start)),
      ),
    );
  });
  return elements;
}

function shift(edit: Edit, by: number): Edit {
  return { start: edit.start + by, end: edit.end + by, insert: edit.insert };
}

function missing(members: readonly MemberPages[]): Record<string, string> | null {
  const faults = members.filter((one) => one.fault !== null).map((one) => [one.server, one.fault ?? '']);
  return faults.length === 0 ? null : Object.fromEntries(faults);
}

/** Smallest ttl and narrowest scope over all pages; a page that says nothing counts as 0 and private (2026-07-28, caching). */
export function mergedCaching(members: readonly MemberPages[]): {
  ttlMs: number;
  cacheScope: 'public' | 'private';
} {
  let ttlMs = Number.POSITIVE_INFINITY;
  let isPublic = true;
  for (const one of members) {
    if (one.fault !== null) ttlMs = 0;
    for (const page of one.pages) {
      const result = span(page.envelope, ENVELOPE.result);
      const at = result !== null && isObject(page.bytes, result.start) ? result.start : -1;
      ttlMs = Math.min(ttlMs, at < 0 ? 0 : (numberMember(page.bytes, at, 'ttlMs') ?? 0));
      isPublic &&= at >= 0 && stringMember(page.bytes, at, 'cacheScope') === 'public';
    }
  }
  return { ttlMs: Number.isFinite(ttlMs) ? ttlMs : 0, cacheScope: isPublic ? 'public' : 'private' };
}

/** Result value of a merged list. `self` is given for modern clients, whose results carry more; null for legacy ones. */
export function mergeLists(
  members: readonly MemberPages[],
  shape: ListShape,
  self: SelfInfo | null,
): Uint8Array {
  const parts: Uint8Array[] = [encode(`{${JSON.stringify(shape.items)}:[`)];
  let first = true;
  for (const one of members) {
    for (const page of one.pages) {
      for (const element of markedElements(page, shape, one.server)) {
        if (!first) parts.push(COMMA);
        parts.push(element);
        first = false;
      }
    }
  }
  parts.push(encode(`]${tail(members, self)}}`));
  return concat(parts);
}

function tail(members: readonly MemberPages[], self: SelfInfo | null): string {
  const faults = missing(members);
  const meta: Record<string, unknown> = {};
  if (faults !== null) meta[MISSING_META] = faults;
  if (self !== null) meta[META.serverInfo] = { name: self.name, version: self.version };
  const rest: Record<string, unknown> =
    self === null ? {} : { ...mergedCaching(members), resultType: 'complete' };
  if (Object.keys(meta).length > 0) rest._meta = meta;
  const spelled = JSON.stringify(rest);
  return spelled === '{}' ? '' : `,${spelled.slice(1, -1)}`;
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
