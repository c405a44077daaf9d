// Edits that take members out of a JSON object, give them other values and put new ones in; and the same for elements of an array.
// Called by the codecs of the era bridge. Promises: what the edits leave is valid JSON whatever was taken out; every byte that is not
// named in an edit stays; edits come in an order that splice() takes.
import { concat, type Edit, EMPTY, encode } from '../base/bytes.ts';
import { eachElement, eachMember, readString, type Span, skipBlank } from './json.ts';

const COMMA = encode(',');
const META_OPEN = encode('"_meta":{');
const CLOSE = encode('}');
const CLOSE_BRACE = 0x7d;

/** Puts a raw member (`"key":value`) before all others of the object at `at`. */
export function putFirst(bytes: Uint8Array, at: number, member: Uint8Array): Edit {
  const place = at + 1;
  const isEmpty = bytes[skipBlank(bytes, place)] === CLOSE_BRACE;
  return { start: place, end: place, insert: isEmpty ? member : concat([member, COMMA]) };
}

/** Puts a raw member into the `_meta` of an object of params or a result: into the object at `meta`, or into one that is made when that is null. */
export function putInMeta(bytes: Uint8Array, holder: Span, meta: Span | null, member: Uint8Array): Edit {
  return meta === null
    ? putFirst(bytes, holder.start, concat([META_OPEN, member, CLOSE]))
    : putFirst(bytes, meta.start, member);
}

function joined(items: readonly Uint8Array[]): Uint8Array {
  return concat(items.flatMap((item, i) => (i === 0 ? [item] : [COMMA, item])));
}

/** What becomes of a member or an element: it stays, it goes, or its value is replaced. */
export type Fate = 'keep' | 'drop' | Uint8Array;

/** Keeps the commas right while the items of one container pass by in order. */
class Items {
  kept = 0;
  readonly #edits: Edit[];
  /** End of the item before, kept or not; -1 before the first. */
  #end = -1;
  /** Start of the run of dropped items that nothing kept comes before; -1 when there is none. */
  #run = -1;

  constructor(edits: Edit[]) {
    this.#edits = edits;
  }

  keep(item: Span): void {
    if (this.#run >= 0) this.#edits.push({ start: this.#run, end: item.start, insert: EMPTY });
    this.#run = -1;
    this.#end = item.end;
    this.kept++;
  }

  /** Takes the item out with the comma before it; at the front, with the one behind it. */
  drop(item: Span): void {
    if (this.kept > 0) this.#edits.push({ start: this.#end, end: item.end, insert: EMPTY });
    else if (this.#run < 0) this.#run = item.start;
    this.#end = item.end;
  }

  /** Closes the container that opened at `at`, with these raw items behind all others. Returns how many items it has then. */
  close(at: number, added: readonly Uint8Array[]): number {
    if (this.#run >= 0) this.#edits.push({ start: this.#run, end: this.#end, insert: EMPTY });
    if (added.length === 0) return this.kept;
    const end = this.#end < 0 ? at + 1 : this.#end;
    const insert = joined(added);
    this.#edits.push({ start: end, end, insert: this.kept === 0 ? insert : concat([COMMA, insert]) });
    return this.kept + added.length;
  }
}

/**
 * Edits the object at `at`: `fate` decides on each member (it may push edits inside of the value or the name of one that it keeps), then `added` says which raw
 * members (`"key":value`) are put behind the others. Returns how many members the object has then.
 */
export function editObject(
  bytes: Uint8Array,
  at: number,
  edits: Edit[],
  how: {
    readonly fate: (key: string, value: Span, name: Span) => Fate;
    readonly added?: () => readonly Uint8Array[];
  },
): number {
  const items = new Items(edits);
  eachMember(bytes, at, (key, value) => {
    const fate = how.fate(readString(bytes, key.start, key.end) ?? '', value, key);
    const item = { start: key.start, end: value.end };
    if (fate === 'drop') return items.drop(item);
    if (fate !== 'keep') edits.push({ start: value.start, end: value.end, insert: fate });
    items.keep(item);
  });
  return items.close(at, how.added?.() ?? []);
}

/** Edits the array at `at` likewise; `added` are raw values. */
export function editArray(
  bytes: Uint8Array,
  at: number,
  edits: Edit[],
  how: { readonly fate: (value: Span) => Fate; readonly added?: () => readonly Uint8Array[] },
): number {
  const items = new Items(edits);
  eachElement(bytes, at, (start, end) => {
    const item = { start, end };
    const fate = how.fate(item);
    if (fate === 'drop') return items.drop(item);
    if (fate !== 'keep') edits.push({ start, end, insert: fate });
    items.keep(item);
  });
  return items.close(at, how.added?.() ?? []);
}

/** A raw member: the key as JSON, a colon, the bytes of its value. `key` needs no escapes. */
export function rawMember(key: string, value: Uint8Array): Uint8Array {
  return concat([encode(`"${key}":`), value]);
}

/** An object of raw members. */
export function rawObject(members: readonly Uint8Array[]): Uint8Array {
  return concat([encode('{'), joined(members), encode('}')]);
}
