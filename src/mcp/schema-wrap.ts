// Output schemas of any root, as legacy clients know them: objects. `S` becomes {type:object, properties:{result:S}, required:[result]}.
// Called by to-legacy. Promises: every keyword keeps its bytes but references into the document itself, which get the new way down; names
// of properties are never taken for keywords, nor are examples, defaults and constants taken for schemas.
import { concat, type Edit, encode } from '../base/bytes.ts';
import {
  eachElement,
  eachMember,
  isArray,
  isObject,
  member,
  readString,
  type Span,
  stringMember,
} from './json.ts';
import { editObject } from './object-edits.ts';

const DOWN = '/properties/result';
const TAIL = encode('},"required":["result"]}');

/** Keywords whose value is data, whatever it looks like. */
const DATA: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);

/** Keywords whose value maps names to schemas. */
const MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]);

/** The object that says what a boolean schema says (JSON Schema 2020-12 §4.3.2); null for any other value. */
function asObject(bytes: Uint8Array, schema: Span): Uint8Array | null {
  const first = bytes[schema.start];
  if (first === 0x74) return encode('{}');
  return first === 0x66 ? encode('{"not":{}}') : null;
}

/** True when a legacy client cannot take the value of `outputSchema` as it is: its root does not say `"type":"object"`. */
export function needsWrap(bytes: Uint8Array, schema: Span): boolean {
  if (asObject(bytes, schema) !== null) return true;
  return isObject(bytes, schema.start) && stringMember(bytes, schema.start, 'type') !== 'object';
}

/** Pushes edits that make objects of the boolean schemas among a root's properties: legacy clients read nothing else there, and refuse the whole list. */
export function plainProperties(bytes: Uint8Array, schema: Span, edits: Edit[]): void {
  const properties = isObject(bytes, schema.start) ? member(bytes, schema.start, 'properties') : null;
  if (properties === null || !isObject(bytes, properties.start)) return;
  editObject(bytes, properties.start, edits, { fate: (_key, value) => asObject(bytes, value) ?? 'keep' });
}

/** Pushes the edits that wrap the schema. */
export function wrapSchema(bytes: Uint8Array, schema: Span, edits: Edit[]): void {
  const dialect = isObject(bytes, schema.start) ? stringMember(bytes, schema.start, '$schema') : null;
  // The dialect is that of a whole document, whose root is the wrapper now.
  const head = dialect === null ? '' : `"$schema":${JSON.stringify(dialect)},`;
  const open = encode(`{${head}"type":"object","properties":{"result":`);
  const plain = asObject(bytes, schema);
  if (plain !== null) {
    edits.push({ start: schema.start, end: schema.end, insert: concat([open, plain, TAIL]) });
    return;
  }
  edits.push({ start: schema.start, end: schema.start, insert: open });
  new RefMove(bytes, edits, dialect?.includes('2019-09') === true).node(schema.start);
  edits.push({ start: schema.end, end: schema.end, insert: TAIL });
}

/** True when references below are resolved against another document. An `$id` that is a fragment only is an anchor (drafts 4 to 7). */
function isOwnDocument(bytes: Uint8Array, at: number): boolean {
  const id = stringMember(bytes, at, '$id');
  return id !== null && !id.startsWith('#');
}

/** Walks one schema and moves its references. A node with an `$id` is left alone: what points into it from within stays right. */
class RefMove {
  readonly #bytes: Uint8Array;
  readonly #edits: Edit[];
  /** `$recursiveRef` is a keyword of 2019-09 only. Whatever wraps a schema gives it no outer scope, so that it is a plain reference to the root. */
  readonly #hasRecursion: boolean;

  constructor(bytes: Uint8Array, edits: Edit[], hasRecursion: boolean) {
    this.#bytes = bytes;
    this.#edits = edits;
    this.#hasRecursion = hasRecursion;
  }

  node(at: number): void {
    if (isArray(this.#bytes, at)) return eachElement(this.#bytes, at, (start) => this.node(start));
    if (!isObject(this.#bytes, at) || isOwnDocument(this.#bytes, at)) return;
    const recursion = this.#hasRecursion && member(this.#bytes, at, '$ref') === null ? '$recursiveRef' : null;
    editObject(this.#bytes, at, this.#edits, {
      fate: (key, value, name) => {
        if (key === '$ref' || key === '$dynamicRef') return moved(this.#bytes, value);
        if (key === recursion) {
          this.#edits.push({ start: name.start, end: name.end, insert: encode('"$ref"') });
          return moved(this.#bytes, value);
        }
        if (MAPS.has(key)) this.#map(value.start);
        else if (!DATA.has(key)) this.node(value.start);
        return 'keep';
      },
    });
  }

  #map(at: number): void {
    if (isObject(this.#bytes, at)) eachMember(this.#bytes, at, (_name, schema) => this.node(schema.start));
  }
}

/** `#` and `#/…` are ways from the root, which has moved down; `#name` and other documents are found where they were. */
function moved(bytes: Uint8Array, value: Span): Uint8Array | 'keep' {
  const ref = readString(bytes, value.start, value.end);
  if (ref === null || (ref !== '#' && !ref.startsWith('#/'))) return 'keep';
  return encode(JSON.stringify(`#${DOWN}${ref.slice(1)}`));
}
