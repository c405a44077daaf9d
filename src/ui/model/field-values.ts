// What stands in a form, and the arguments that it makes.
// Called by parts/schema-form.tsx and views/try-it.tsx. Promises: what was left empty and may be is not sent; every fault names the path of its field; a value that
// came from arguments goes back into the same arguments.
import type { Json } from '../api/types.ts';
import { type Field, isObject } from './schema-fields.ts';

/** What stands in a field: text as typed, a switch, chosen indexes, or the drafts of what it holds. '' and null are "not set". */
export type Draft = string | boolean | null | readonly Draft[] | { readonly [key: string]: Draft };

/** Something that must be mended before the form can be sent. `path` as in a.b.0; '' for the whole. */
export interface Fault {
  readonly path: string;
  readonly words: string;
}

/** What a form makes: no value when it holds nothing that is to be sent. */
export interface Made {
  readonly value: Json | undefined;
  readonly faults: readonly Fault[];
}

/** The path of something inside a path. */
export function below(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

const same = (one: Json, other: Json): boolean => JSON.stringify(one) === JSON.stringify(other);

/** What stands in a field at first, or for a value that there is already. */
export function draftOf(field: Field, value: Json | undefined = field.initial): Draft {
  switch (field.kind) {
    case 'text':
      return typeof value === 'string' ? value : '';
    case 'number':
      return typeof value === 'number' ? String(value) : '';
    case 'boolean':
      return typeof value === 'boolean' ? value : field.isRequired ? false : null;
    case 'choice': {
      const at = value === undefined ? -1 : field.options.findIndex((option) => same(option.value, value));
      return at < 0 ? '' : String(at);
    }
    case 'choices': {
      const chosen: readonly Json[] = Array.isArray(value) ? value : [];
      return field.options.flatMap((option, at) =>
        chosen.some((one) => same(one, option.value)) ? [String(at)] : [],
      );
    }
    case 'object': {
      const given = isObject(value) ? value : {};
      return Object.fromEntries(
        field.fields.map((one) => [
          one.key,
          draftOf(one, Object.hasOwn(given, one.key) ? given[one.key] : one.initial),
        ]),
      );
    }
    case 'array':
      return Array.isArray(value) ? value.map((one: Json) => draftOf(field.item, one)) : [];
    case 'json':
      return value === undefined ? '' : JSON.stringify(value, null, 2);
  }
}

const fine = (value: Json | undefined): Made => ({ value, faults: [] });
const wrong = (path: string, words: string): Made => ({ value: undefined, faults: [{ path, words }] });
const empty = (field: Field, path: string): Made =>
  field.isRequired ? wrong(path, 'Needed') : fine(undefined);

function makeText(field: Field & { kind: 'text' }, text: string, path: string): Made {
  if (text === '') return empty(field, path);
  const length = [...text].length;
  if (field.lengthMin !== null && length < field.lengthMin)
    return wrong(path, `At least ${field.lengthMin} characters`);
  if (field.lengthMax !== null && length > field.lengthMax)
    return wrong(path, `At most ${field.lengthMax} characters`);
  if (field.pattern !== '' && !matches(field.pattern, text))
    return wrong(path, `Must match ${field.pattern}`);
  return fine(text);
}

/** A pattern that this engine cannot read is the server's to check. */
function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

function makeNumber(field: Field & { kind: 'number' }, text: string, path: string): Made {
  if (text.trim() === '') return empty(field, path);
  const value = Number(text);
  if (!Number.isFinite(value)) return wrong(path, 'Must be a number');
  if (field.isInteger && !Number.isInteger(value)) return wrong(path, 'Must be a whole number');
  if (field.min !== null && value < field.min) return wrong(path, `Must be ${field.min} or more`);
  if (field.max !== null && value > field.max) return wrong(path, `Must be ${field.max} or less`);
  return fine(value);
}

function makeObject(field: Field & { kind: 'object' }, draft: Draft, path: string): Made {
  const drafts = typeof draft === 'object' && draft !== null && !isList(draft) ? draft : {};
  const value: Record<string, Json> = {};
  const faults: Fault[] = [];
  for (const one of field.fields) {
    const made = madeOf(one, drafts[one.key] ?? draftOf(one), below(path, one.key));
    faults.push(...made.faults);
    if (made.value !== undefined)
      Object.defineProperty(value, one.key, { value: made.value, enumerable: true });
  }
  if (!field.isRequired && isUntouched(field, draft)) return fine(undefined);
  return { value, faults };
}

/** True while nothing was filled in: then an object that may be left out is, whatever it would need. */
function isUntouched(field: Field, draft: Draft): boolean {
  return JSON.stringify(draft) === JSON.stringify(draftOf(field, undefined)) && field.initial === undefined;
}

function isList(draft: Draft): draft is readonly Draft[] {
  return Array.isArray(draft);
}

function makeArray(field: Field & { kind: 'array' }, drafts: readonly Draft[], path: string): Made {
  if (drafts.length === 0 && !field.isRequired) return fine(undefined);
  const made = drafts.map((one, at) => madeOf(field.item, one, below(path, String(at))));
  return { value: made.map((one) => one.value ?? null), faults: made.flatMap((one) => one.faults) };
}

function makeJson(field: Field, text: string, path: string): Made {
  if (text.trim() === '') return empty(field, path);
  try {
    // whatever JSON.parse gives is JSON
    return fine(JSON.parse(text) as Json);
  } catch (thrown) {
    return wrong(path, `Is no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** The value that a field makes of what stands in it. */
export function madeOf(field: Field, draft: Draft, path = ''): Made {
  const text = typeof draft === 'string' ? draft : '';
  switch (field.kind) {
    case 'text':
      return makeText(field, text, path);
    case 'number':
      return makeNumber(field, text, path);
    case 'boolean':
      return typeof draft === 'boolean' ? fine(draft) : empty(field, path);
    case 'choice': {
      const option = text === '' ? undefined : field.options[Number(text)];
      return option === undefined ? empty(field, path) : fine(option.value);
    }
    case 'choices': {
      const chosen = isList(draft) ? draft : [];
      const values = field.options
        .filter((_, at) => chosen.includes(String(at)))
        .map((option) => option.value);
      return values.length === 0 && !field.isRequired ? fine(undefined) : fine(values);
    }
    case 'object':
      return makeObject(field, draft, path);
    case 'array':
      return makeArray(field, isList(draft) ? draft : [], path);
    case 'json':
      return makeJson(field, text, path);
  }
}
