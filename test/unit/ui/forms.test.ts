// Schema → form → arguments: fields, drafts, faults, and the way back.
// Run by bun test. Promises: property tests print their seed when they fail.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Json } from '../../../src/ui/api/types.ts';
import { type Draft, draftOf, madeOf } from '../../../src/ui/model/field-values.ts';
import { type Field, fieldsOf } from '../../../src/ui/model/schema-fields.ts';

const object = (properties: Record<string, Json>, required: string[] = []): Json => ({
  type: 'object',
  properties,
  required,
});

function inner(schema: Json): readonly Field[] {
  const field = fieldsOf(schema);
  return field.kind === 'object' ? field.fields : [];
}

const kinds = (schema: Json): string[] => inner(schema).map((field) => field.kind);
const faultsOf = (schema: Json, draft: Draft): string[] =>
  madeOf(fieldsOf(schema), draft).faults.map(({ path, words }) => `${path}: ${words}`);

describe('fields', () => {
  test('each kind of schema has its input', () => {
    const schema = object({
      text: { type: 'string' },
      number: { type: 'number' },
      whole: { type: 'integer' },
      flag: { type: 'boolean' },
      one: { enum: ['a', 'b'] },
      titled: { oneOf: [{ const: 1, title: 'first' }] },
      fixed: { const: 'only' },
      many: { type: 'array', items: { enum: ['x', 'y'] } },
      list: { type: 'array', items: { type: 'string' } },
      nested: object({ city: { type: 'string' } }),
      free: { type: 'object' },
      mixed: { type: ['string', 'number'] },
      nothing: {},
      yes: true,
    });
    expect(kinds(schema)).toEqual([
      ...['text', 'number', 'number', 'boolean', 'choice', 'choice', 'choice', 'choices', 'array', 'object'],
      ...['json', 'json', 'json', 'json'],
    ]);
  });

  test('null beside a type changes nothing, in either spelling', () => {
    expect(
      kinds(
        object({ a: { type: ['string', 'null'] }, b: { anyOf: [{ type: 'number' }, { type: 'null' }] } }),
      ),
    ).toEqual(['text', 'number']);
  });

  test('references are followed inside the schema, not for ever and not elsewhere', () => {
    const schema: Json = {
      type: 'object',
      $defs: { address: object({ street: { type: 'string' } }), loop: { $ref: '#/$defs/loop' } },
      properties: {
        home: { $ref: '#/$defs/address', title: 'Home' },
        loop: { $ref: '#/$defs/loop' },
        away: { $ref: 'https://elsewhere.example/schema.json' },
        gone: { $ref: '#/$defs/none' },
        tree: { $ref: '#' },
      },
    };
    const fields = inner(schema);
    expect(fields.map((field) => field.kind)).toEqual(['object', 'json', 'json', 'json', 'object']);
    expect(fields[0]?.label).toBe('Home');
  });

  test('titles, descriptions and enumNames are what the reader sees', () => {
    const [field] = inner(
      object({ a: { title: 'A', description: 'About a', enum: ['x'], enumNames: ['Ex'] } }),
    );
    expect(field).toMatchObject({
      label: 'A',
      description: 'About a',
      options: [{ value: 'x', label: 'Ex' }],
    });
  });
});

describe('arguments', () => {
  test('what is left empty and may be is not sent', () => {
    const schema = object({
      a: { type: 'string' },
      b: { type: 'integer' },
      c: { type: 'boolean' },
      d: { enum: [1] },
      e: { type: 'array', items: { type: 'string' } },
      f: object({ must: { type: 'string' } }, ['must']),
      g: {},
    });
    const field = fieldsOf(schema);
    expect(madeOf(field, draftOf(field))).toEqual({ value: {}, faults: [] });
  });

  test('defaults stand in the form and are sent', () => {
    const field = fieldsOf(
      object({ limit: { type: 'integer', default: 10 }, deep: { type: 'boolean', default: true } }),
    );
    expect(madeOf(field, draftOf(field)).value).toEqual({ limit: 10, deep: true });
  });

  test('faults name their field and what is wanted', () => {
    const schema = object(
      {
        name: { type: 'string', minLength: 2 },
        age: { type: 'integer', minimum: 0, maximum: 150 },
        zip: { type: 'string', pattern: '^[0-9]+$' },
        extra: {},
        tags: { type: 'array', items: { type: 'number' } },
        at: object({ city: { type: 'string' } }, ['city']),
      },
      ['name', 'at'],
    );
    const draft = { name: 'x', age: '1.5', zip: 'a', extra: '{', tags: ['1', 'b'], at: { city: '' } };
    expect(faultsOf(schema, draft).map((fault) => fault.replace(/(JSON): .*/, '$1'))).toEqual([
      'name: At least 2 characters',
      'age: Must be a whole number',
      'zip: Must match ^[0-9]+$',
      'extra: Is no JSON',
      'tags.1: Must be a number',
      'at.city: Needed',
    ]);
    expect(faultsOf(schema, { ...draft, name: '', age: '151' }).slice(0, 2)).toEqual([
      'name: Needed',
      'age: Must be 150 or less',
    ]);
  });

  test('a pattern that this engine cannot read is left to the server', () => {
    expect(faultsOf(object({ a: { type: 'string', pattern: '(?<' } }), { a: 'x' })).toEqual([]);
  });

  test('a key that means something to JavaScript is a key like any other', () => {
    const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}') as Json;
    const draft = JSON.parse('{"__proto__":"x"}') as Draft;
    expect(JSON.stringify(madeOf(fieldsOf(schema), draft).value)).toBe('{"__proto__":"x"}');
  });

  test('arguments that a form was filled with come out of it again', () => {
    const leaf = fc.oneof(
      fc
        .string({ minLength: 1 })
        .map((value) => ({ schema: { type: 'string' } as Json, value: value as Json })),
      fc.integer().map((value) => ({ schema: { type: 'integer' } as Json, value: value as Json })),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => ({
        schema: { type: 'number' } as Json,
        // there is no minus zero in JSON
        value: (Object.is(value, -0) ? 0 : value) as Json,
      })),
      fc.boolean().map((value) => ({ schema: { type: 'boolean' } as Json, value: value as Json })),
      fc
        .constantFrom('a', 'b')
        .map((value) => ({ schema: { enum: ['a', 'b', 7] } as Json, value: value as Json })),
      fc.json().map((text) => ({ schema: {} as Json, value: JSON.parse(text) as Json })),
    );
    const { tree } = fc.letrec<{ tree: { schema: Json; value: Json } }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', maxDepth: 3 },
        leaf,
        fc.array(fc.string({ minLength: 1 }), { minLength: 1 }).map((value) => ({
          schema: { type: 'array', items: { type: 'string' } } as Json,
          value: value as Json,
        })),
        fc
          .dictionary(fc.constantFrom('a', 'b', 'c', 'two words'), tie('tree'), { minKeys: 1 })
          .map((parts) => ({
            schema: object(
              Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, part.schema])),
              Object.keys(parts),
            ),
            value: Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, part.value])) as Json,
          })),
      ),
    }));
    fc.assert(
      fc.property(tree, ({ schema, value }) => {
        const field = fieldsOf(object({ it: schema }, ['it']));
        const made = madeOf(field, draftOf(field, { it: value }));
        expect(made.faults).toEqual([]);
        expect(JSON.stringify(made.value)).toBe(JSON.stringify({ it: value }));
      }),
      { numRuns: 200 },
    );
  });

  test('whatever a schema is, there is a form, and what it makes can be sent', () => {
    const words = fc.constantFrom(
      'type',
      'properties',
      'items',
      'enum',
      'oneOf',
      'anyOf',
      'allOf',
      '$ref',
      'required',
      'default',
      'const',
    );
    const { schema } = fc.letrec<{ schema: Json }>((tie) => ({
      schema: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<Json>('object', 'string', 'array', '#', '#/properties/a', null, true, 3),
        fc.array(tie('schema'), { maxLength: 3 }) as fc.Arbitrary<Json>,
        fc.dictionary(fc.oneof(words, fc.constantFrom('a', 'b')), tie('schema'), {
          maxKeys: 4,
        }) as fc.Arbitrary<Json>,
      ),
    }));
    fc.assert(
      fc.property(schema, (whatever) => {
        const field = fieldsOf(whatever);
        const made = madeOf(field, draftOf(field));
        expect(JSON.stringify(made.faults)).toBeString();
      }),
      { numRuns: 300 },
    );
  });
});
