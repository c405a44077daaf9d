// A form's fields, made from a JSON Schema: what MCP tools want as arguments and what servers ask for in an elicitation.
// Called by parts/schema-form.tsx. Promises: every schema gives fields (what no input fits is a field of raw JSON); references are followed inside the schema only, and not
// for ever.
import type { Json } from '../api/types.ts';

/** What every field has. */
interface FieldBase {
  /** Name of the property; '' for the root and for items of arrays. */
  readonly key: string;
  readonly label: string;
  readonly description: string;
  readonly isRequired: boolean;
  /** What the schema says is sent when nothing is; undefined without. */
  readonly initial: Json | undefined;
}

/** One choice of several. */
export interface Option {
  readonly value: Json;
  readonly label: string;
}

/** A field of a form. */
export type Field =
  | (FieldBase & {
      readonly kind: 'text';
      readonly format: string;
      readonly lengthMin: number | null;
      readonly lengthMax: number | null;
      readonly pattern: string;
    })
  | (FieldBase & {
      readonly kind: 'number';
      readonly isInteger: boolean;
      readonly min: number | null;
      readonly max: number | null;
    })
  | (FieldBase & { readonly kind: 'boolean' })
  | (FieldBase & { readonly kind: 'choice'; readonly options: readonly Option[] })
  | (FieldBase & { readonly kind: 'choices'; readonly options: readonly Option[] })
  | (FieldBase & { readonly kind: 'object'; readonly fields: readonly Field[] })
  | (FieldBase & { readonly kind: 'array'; readonly item: Field })
  | (FieldBase & { readonly kind: 'json' });

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

const DEPTH_MAX = 8;

/** True for an object of JSON. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: Json | undefined): number | null {
  return typeof value === 'number' ? value : null;
}

/** What a reference inside the schema leads to; null when it leads nowhere. */
function follow(root: Json, reference: string): Json | null {
  if (reference === '#') return root;
  if (!reference.startsWith('#/')) return null;
  let at: Json = root;
  for (const part of reference.slice(2).split('/')) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    const next: Json | undefined = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
    if (next === undefined) return null;
    at = next;
  }
  return at;
}

/** A schema with its reference followed, and with "or null" taken away; null when no field can be made of it. */
function plain(root: Json, schema: Json, depth: number): JsonObject | null {
  if (!isObject(schema) || depth > DEPTH_MAX) return null;
  if (typeof schema.$ref === 'string') {
    const target = follow(root, schema.$ref);
    const found = target === null ? null : plain(root, target, depth + 1);
    if (found === null) return null;
    const { $ref: _, ...own } = schema;
    return { ...found, ...own };
  }
  for (const word of ['anyOf', 'oneOf', 'allOf'] as const) {
    const parts = schema[word];
    if (!Array.isArray(parts)) continue;
    const rest: readonly Json[] = parts.filter((part) => !(isObject(part) && part.type === 'null'));
    const only = rest[0];
    if (rest.length !== 1 || only === undefined || schema.type !== undefined) continue;
    const found = plain(root, only, depth + 1);
    if (found === null) return null;
    const { [word]: _, ...own } = schema;
    return { ...found, ...own };
  }
  return schema;
}

/** The one type that a schema names, "or null" aside; null when there are several or none. */
function typeOf(schema: JsonObject): string | null {
  const { type } = schema;
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) {
    const rest: readonly Json[] = type.filter((name) => name !== 'null');
    return rest.length === 1 ? textOf(rest[0]) : null;
  }
  return isObject(schema.properties) ? 'object' : null;
}

/** The values a schema allows, when it lists them: `enum`, `const`, or a choice of constants with titles. */
function optionsOf(schema: JsonObject): Option[] | null {
  const names = Array.isArray(schema.enumNames) ? schema.enumNames : [];
  if (Array.isArray(schema.enum))
    return schema.enum.map((value, at) => ({ value, label: textOf(names[at]) || shown(value) }));
  if (schema.const !== undefined)
    return [{ value: schema.const, label: textOf(schema.title) || shown(schema.const) }];
  const parts = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(parts) || parts.length === 0) return null;
  const options: Option[] = [];
  for (const part of parts) {
    if (!isObject(part) || part.const === undefined) return null;
    options.push({ value: part.const, label: textOf(part.title) || shown(part.const) });
  }
  return options;
}

function shown(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function objectFields(root: Json, schema: JsonObject, depth: number): Field[] {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const properties = isObject(schema.properties) ? schema.properties : {};
  return Object.entries(properties).map(([key, value]) =>
    fieldAt(root, value, { key, isRequired: required.includes(key), depth: depth + 1 }),
  );
}

interface Where {
  readonly key: string;
  readonly isRequired: boolean;
  readonly depth: number;
}

function fieldAt(root: Json, raw: Json, where: Where): Field {
  const schema = plain(root, raw, where.depth);
  const base: FieldBase = {
    key: where.key,
    label: textOf(schema?.title) || where.key,
    description: textOf(schema?.description),
    isRequired: where.isRequired,
    initial: schema?.default,
  };
  if (schema === null) return { ...base, kind: 'json' };
  const options = optionsOf(schema);
  if (options !== null) return { ...base, kind: 'choice', options };
  switch (typeOf(schema)) {
    case 'string':
      return {
        ...base,
        kind: 'text',
        format: textOf(schema.format),
        lengthMin: numberOf(schema.minLength),
        lengthMax: numberOf(schema.maxLength),
        pattern: textOf(schema.pattern),
      };
    case 'number':
    case 'integer':
      return {
        ...base,
        kind: 'number',
        isInteger: typeOf(schema) === 'integer',
        min: numberOf(schema.minimum),
        max: numberOf(schema.maximum),
      };
    case 'boolean':
      return { ...base, kind: 'boolean' };
    case 'object': {
      const fields = objectFields(root, schema, where.depth);
      // An object of free keys has no inputs: but the root of a tool without arguments is just that.
      return fields.length === 0 && where.key !== ''
        ? { ...base, kind: 'json' }
        : { ...base, kind: 'object', fields };
    }
    case 'array': {
      const item = plain(root, schema.items ?? null, where.depth + 1);
      const choices = item === null ? null : optionsOf(item);
      if (choices !== null) return { ...base, kind: 'choices', options: choices };
      if (item === null) return { ...base, kind: 'json' };
      return {
        ...base,
        kind: 'array',
        item: fieldAt(root, item, { key: '', isRequired: true, depth: where.depth + 1 }),
      };
    }
    default:
      return { ...base, kind: 'json' };
  }
}

/** The form of a schema. Its root is an object field for every tool and every elicitation; else raw JSON. */
export function fieldsOf(schema: Json): Field {
  return fieldAt(schema, schema, { key: '', isRequired: true, depth: 0 });
}
