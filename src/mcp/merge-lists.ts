// Joins the lists of several servers into one, element by element as bytes, and cuts it into pages.
// Called by proxy/lists.ts. Promises: pure; elements keep their bytes but for the marked spans; servers keep the config's order and their own; the pages of a list
// hold each of its elements once; what is missing, old or called otherwise than by the rule is said in `_meta`.
import { concat, decode, type Edit, encode, orderEdits, splice } from '../base/bytes.ts';
import { isRecord } from './envelope.ts';
import { eachMember, isObject, readString } from './json.ts';
import { type ListPlace, mark } from './list-cursor.ts';
import { elementsOf, type ListElement } from './list-elements.ts';
import { type MemberPages, MISSING_META, mergedCaching, type SelfInfo, STALE_META } from './merge.ts';
import { joinName } from './names.ts';
import { editObject, rawMember } from './object-edits.ts';
import { NameGiver, PREFIXED } from './outward.ts';
import { META } from './protocol.ts';
import { elementEdits, type ListShape } from './rewrite.ts';
import { type Choice, type ElementOverride, NamedChoice } from './view.ts';

/** Key under which a merged list tells which names were shortened or gave way to others: `{name: "server__own"}`. */
export const RENAMED_META = 'sluice/renamed';

/** How a list is to be joined. */
export interface ListPlan {
  readonly shape: ListShape;
  /** Given for modern clients, whose results carry more; null for legacy ones. */
  readonly self: SelfInfo | null;
  /** Which elements are shown; null: all. */
  readonly choice: Choice | null;
  /** Elements on a page; 0: all. */
  readonly pageSize: number;
  /** Where the page begins; null: at the front. */
  readonly from: ListPlace | null;
  /** The cursor of a place of this list. */
  readonly cursorOf: (place: ListPlace) => string;
}

/** A joined list, or a page of it. */
export interface MergedList {
  readonly result: Uint8Array;
  /** The names that all servers' elements have, those of other pages included; null where elements are known by their URIs. */
  readonly names: NameGiver | null;
}

const COMMA = encode(',');

/** An element as clients see it: its server, and the name that it has there. */
interface Shown {
  readonly element: ListElement;
  readonly server: string;
  readonly outward: string | null;
}

/** The names that all these servers' elements have; the lists of later servers change nothing about them. */
export function namesOf(lists: readonly MemberPages[], shape: ListShape, choice: Choice | null): NameGiver {
  const names = new NameGiver(choice instanceof NamedChoice ? choice : PREFIXED);
  for (const { server, pages } of lists) {
    for (const { key } of elementsOf(pages, shape))
      if (key !== null && (choice === null || choice.shows(server, key))) names.give(server, key);
  }
  return names;
}

/** One page of the list that these servers' lists make together. */
export function mergeLists(lists: readonly MemberPages[], plan: ListPlan): MergedList {
  const { shape, choice, pageSize, from } = plan;
  const names = shape.isUri ? null : new NameGiver(choice instanceof NamedChoice ? choice : PREFIXED);
  const page: Shown[] = [];
  let next: ListPlace | null = null;
  let isBefore = from !== null && lists.some(({ server }) => server === from.server);
  for (const { server, pages } of lists) {
    const elements = elementsOf(pages, shape);
    const begins = from !== null && server === from.server ? beginOf(elements, from) : 0;
    if (begins > 0 || server === from?.server) isBefore = false;
    for (const [index, element] of elements.entries()) {
      const { key } = element;
      if (choice !== null && (key === null || !choice.shows(server, key))) continue;
      // Those on other pages have their names as well.
      const outward = names === null || key === null ? null : names.give(server, key);
      if (isBefore || index < begins || next !== null) continue;
      if (pageSize > 0 && page.length === pageSize)
        next = { server, offset: index, last: lastOf(elements, index) };
      else page.push({ element, server, outward });
    }
  }
  return { result: resultOf(page, next, lists, { ...plan, names }), names };
}

/** Index of the first element behind a place: behind the element that was last, wherever that is now. */
function beginOf(elements: readonly ListElement[], { offset, last }: ListPlace): number {
  if (last === 0 || lastOf(elements, offset) === last) return offset;
  const found = elements.findIndex(({ key }) => mark(key ?? '') === last);
  return found < 0 ? offset : found + 1;
}

function lastOf(elements: readonly ListElement[], offset: number): number {
  const element = offset === 0 ? undefined : elements[offset - 1];
  return element === undefined ? 0 : mark(element.key ?? '');
}

function resultOf(
  page: readonly Shown[],
  next: ListPlace | null,
  lists: readonly MemberPages[],
  plan: ListPlan & { readonly names: NameGiver | null },
): Uint8Array {
  const { shape, choice, cursorOf } = plan;
  const parts: Uint8Array[] = [encode(`{${JSON.stringify(shape.items)}:[`)];
  const renamed: Record<string, string> = {};
  for (const [index, shown] of page.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(shownBytes(shown, shape, choice instanceof NamedChoice ? choice : null));
    const owner = shown.outward === null ? undefined : plan.names?.changed.get(shown.outward);
    if (owner !== undefined && shown.outward !== null)
      renamed[shown.outward] = joinName(owner.server, owner.own);
  }
  const cursor = next === null ? '' : `,"nextCursor":${JSON.stringify(cursorOf(next))}`;
  parts.push(encode(`]${cursor}${tail(lists, renamed, plan.self)}}`));
  return concat(parts);
}

/** One element with its server's mark, under its name, with what the configuration says of it. */
function shownBytes(
  { element, server, outward }: Shown,
  shape: ListShape,
  choice: NamedChoice | null,
): Uint8Array {
  const { bytes, start, end, key } = element;
  const override = choice === null || key === null ? null : choice.overrideOf(server, key);
  const edits = [
    ...elementEdits(bytes, start, shape, { server, outward }),
    ...(override === null ? [] : overrideEdits(bytes, start, override)),
  ];
  const own = bytes.subarray(start, end);
  return edits.length === 0 ? own : splice(own, orderEdits(edits.map((edit) => shift(edit, -start))));
}

function shift(edit: Edit, by: number): Edit {
  return { start: edit.start + by, end: edit.end + by, insert: edit.insert };
}

/** Edits that give members of the element at `at` other values. */
function overrideEdits(bytes: Uint8Array, at: number, override: ElementOverride): readonly Edit[] {
  const { annotations } = override;
  const values = new Map<string, Uint8Array>();
  for (const key of ['title', 'description'] as const) {
    const value = override[key];
    if (value !== undefined) values.set(key, encode(JSON.stringify(value)));
  }
  if (annotations !== undefined)
    values.set('annotations', encode(JSON.stringify({ ...ownAnnotations(bytes, at), ...annotations })));
  const edits: Edit[] = [];
  const met = new Set<string>();
  editObject(bytes, at, edits, {
    fate: (key) => {
      met.add(key);
      return values.get(key) ?? 'keep';
    },
    added: () => [...values].flatMap(([key, value]) => (met.has(key) ? [] : [rawMember(key, value)])),
  });
  return edits;
}

/** The server's own annotations: a few flags and a title, so that nothing is lost when they are spelled anew. */
function ownAnnotations(bytes: Uint8Array, at: number): Readonly<Record<string, unknown>> {
  let found: Record<string, unknown> = {};
  eachMember(bytes, at, (key, value) => {
    if (readString(bytes, key.start, key.end) !== 'annotations' || !isObject(bytes, value.start)) return;
    const parsed: unknown = JSON.parse(decode(bytes, value.start, value.end));
    if (isRecord(parsed)) found = parsed;
  });
  return found;
}

/** Members of the result behind its elements. */
function tail(
  lists: readonly MemberPages[],
  renamed: Readonly<Record<string, string>>,
  self: SelfInfo | null,
): string {
  const meta: Record<string, unknown> = { ...outcomesOf(lists) };
  if (Object.keys(renamed).length > 0) meta[RENAMED_META] = renamed;
  if (self !== null) meta[META.serverInfo] = { name: self.name, version: self.version };
  const rest: Record<string, unknown> =
    self === null ? {} : { ...mergedCaching(lists), resultType: 'complete' };
  if (Object.keys(meta).length > 0) rest._meta = meta;
  const spelled = JSON.stringify(rest);
  return spelled === '{}' ? '' : `,${spelled.slice(1, -1)}`;
}

/** What `_meta` says of the servers whose answers are not what they should be; {} when all are. */
export function outcomesOf(
  lists: readonly Pick<MemberPages, 'server' | 'fault' | 'staleMs'>[],
): Record<string, unknown> {
  const faults = lists.filter((one) => one.fault !== null).map((one) => [one.server, one.fault]);
  const old = lists.filter((one) => one.staleMs !== undefined).map((one) => [one.server, one.staleMs]);
  return {
    ...(faults.length > 0 && { [MISSING_META]: Object.fromEntries(faults) }),
    ...(old.length > 0 && { [STALE_META]: Object.fromEntries(old) }),
  };
}
