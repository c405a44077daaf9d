// Arguments mirrored in headers: what schemas ask for, what is sent, and what is refused (SEP-2243).
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { span } from '../../../src/mcp/envelope.ts';
import {
  checkParams,
  type HeaderParams,
  headerParamsOf,
  paramHeaders,
} from '../../../src/mcp/mirrored-params.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import { messageOf } from '../../fixtures/messages.ts';

const tool = (inputSchema: unknown) => headerParamsOf(encode(JSON.stringify({ name: 't', inputSchema })));
const props = (properties: Record<string, unknown>) => tool({ type: 'object', properties });
const named = (name: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': name });

/** A scanned tools/call with these raw arguments; '' for none. */
function call(args: string) {
  const params = args === '' ? '{"name":"t"}' : `{"name":"t","arguments":${args}}`;
  const { bytes, envelope } = messageOf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`);
  return { bytes, args: span(envelope, ENVELOPE.arguments) };
}

function headersOf(wanted: HeaderParams, args: string): string[] {
  const made = call(args);
  return paramHeaders(wanted, made.bytes, made.args);
}

function verdict(wanted: HeaderParams, args: string, headers: readonly string[]): string | null {
  const made = call(args);
  const error = checkParams(wanted, made.bytes, made.args, headers);
  expect(error === null || error.code === 'GW_MCP_HEADER').toBe(true);
  return error?.detail ?? null;
}

describe('headerParamsOf', () => {
  test('finds annotations at any depth of properties', () => {
    const wanted = props({
      region: named('Region'),
      deep: {
        type: 'object',
        properties: { 'a.b': named('X-Y', 'integer'), c: { properties: { d: named('z', 'boolean') } } },
      },
      plain: { type: 'string' },
    });
    expect(wanted).toEqual({
      fault: null,
      params: [
        { header: 'mcp-param-region', path: ['region'], type: 'string' },
        { header: 'mcp-param-x-y', path: ['deep', 'a.b'], type: 'integer' },
        { header: 'mcp-param-z', path: ['deep', 'c', 'd'], type: 'boolean' },
      ],
    });
  });

  test('a property may be called like a keyword, and data may look like one', () => {
    const wanted = tool({
      type: 'object',
      properties: {
        'x-mcp-header': { type: 'string' },
        items: named('I'),
        not: { type: 'object', properties: { properties: named('P') } },
      },
      default: { 'x-mcp-header': 'no' },
      examples: [{ 'x-mcp-header': 'no' }],
    });
    expect(wanted.fault).toBeNull();
    expect(wanted.params.map((param) => param.path)).toEqual([['items'], ['not', 'properties']]);
  });

  test.each([
    ['text', '"x"'],
    ['no tool', 'null'],
    ['no schema', '{}'],
    ['a list', '{"inputSchema":[]}'],
    ['properties that are none', '{"inputSchema":{"properties":[{"x-mcp-header":"a"}]}}'],
  ])('%s wants nothing', (_what, bytes) => {
    expect(headerParamsOf(encode(bytes))).toEqual({ params: [], fault: null });
  });

  const list = [
    'items',
    'prefixItems',
    'contains',
    'additionalProperties',
    'unevaluatedItems',
    'allOf',
    'anyOf',
    'oneOf',
    'not',
    'if',
    'then',
    'else',
    'propertyNames',
    'unevaluatedProperties',
  ];
  test.each(list)('an annotation below %s is a fault', (keyword) => {
    for (const below of [
      { properties: { a: named('A') } },
      [{ properties: { a: named('A') } }],
      named('A'),
    ]) {
      expect(tool({ type: 'object', [keyword]: below }).fault).toContain('properties');
      expect(props({ p: { [keyword]: below }, q: named('Q') })).toMatchObject({ params: [] });
    }
  });

  test.each(['$defs', 'definitions', 'patternProperties', 'dependentSchemas'])(
    '… and below %s',
    (keyword) => {
      expect(
        tool({ type: 'object', [keyword]: { x: { properties: { a: named('A') } } } }).fault,
      ).not.toBeNull();
    },
  );

  test.each([
    ['at the root', { type: 'object', 'x-mcp-header': 'A' }],
    ['at a root that is text', { type: 'string', 'x-mcp-header': 'A' }],
    ['empty', { properties: { a: named('') } }],
    ['no text', { properties: { a: named(7) } }],
    ['null', { properties: { a: named(null) } }],
    ['with a blank', { properties: { a: named('a b') } }],
    ['with a colon', { properties: { a: named('a:b') } }],
    ['with a line end', { properties: { a: named('a\r\nb') } }],
    ['not ASCII', { properties: { a: named('é') } }],
    ['twice', { properties: { a: named('A'), b: { properties: { c: named('a') } } } }],
    ['on a number', { properties: { a: named('A', 'number') } }],
    ['on an object', { properties: { a: named('A', 'object') } }],
    ['on a list', { properties: { a: named('A', 'array') } }],
    ['on no type', { properties: { a: { 'x-mcp-header': 'A' } } }],
    ['on several types', { properties: { a: named('A', ['string', 'null']) } }],
  ])('an annotation %s is a fault', (_what, schema) => {
    const wanted = tool(schema);
    expect(wanted.params).toEqual([]);
    expect(wanted.fault).toMatch(/^x-mcp-header at ".*" must /);
  });
});

describe('paramHeaders', () => {
  const wanted = props({
    s: named('S'),
    i: named('I', 'integer'),
    b: named('B', 'boolean'),
    o: { type: 'object', properties: { é: named('E') } },
  });

  test.each<[string, string[]]>([
    ['{"s":"eu","i":7,"b":true}', ['mcp-param-s', 'eu', 'mcp-param-i', '7', 'mcp-param-b', 'true']],
    ['{"s":"\\u0065u","i":1.0,"b":false}', ['mcp-param-s', 'eu', 'mcp-param-i', '1', 'mcp-param-b', 'false']],
    ['{"i":1e2}', ['mcp-param-i', '100']],
    ['{"s":""}', ['mcp-param-s', '=?base64??=']],
    ['{"s":" x"}', ['mcp-param-s', '=?base64?IHg=?=']],
    ['{"s":"=?base64?eA==?="}', ['mcp-param-s', '=?base64?PT9iYXNlNjQ/ZUE9PT89?=']],
    ['{"s":"ü\\r\\nX: y"}', ['mcp-param-s', '=?base64?w7wNClg6IHk=?=']],
    ['{"o":{"\\u00e9":"x"}}', ['mcp-param-e', 'x']],
    ['{"o":{"é":"x"}}', ['mcp-param-e', 'x']],
    ['{"o":{"Ã©":"x"}}', []],
    ['{"s":null,"i":null}', []],
    ['{"s":{"s":1},"i":[1]}', []],
    ['{"i":12345678901234567890}', []],
    ['{"i":1e400}', []],
    ['{"o":7}', []],
    ['{"s":"first","s":"last"}', ['mcp-param-s', 'last']],
    ['[1]', []],
    ['{}', []],
    ['', []],
  ])('%s', (args, headers) => {
    expect(headersOf(wanted, args)).toEqual(headers);
    expect(verdict(wanted, args, headers)).toBeNull();
  });
});

describe('checkParams', () => {
  const wanted = props({ s: named('S'), i: named('I', 'integer'), b: named('B', 'boolean') });

  test.each<[string, string[], string | null]>([
    ['{"s":"a"}', ['mcp-param-s', 'a'], null],
    ['{"s":"a"}', ['mcp-param-s', ' a\t'], null],
    ['{"s":"a"}', ['mcp-param-s', '=?base64?YQ==?='], null],
    ['{"s":"a"}', ['x', 'y', 'mcp-param-s', 'a', 'mcp-param-other', 'b'], null],
    ['{"s":"a"}', [], 'mcp-param-s is missing'],
    ['{"s":"a"}', ['mcp-param-s', 'A'], 'mcp-param-s differs from the body'],
    ['{"s":"a"}', ['mcp-param-s', 'a', 'mcp-param-s', 'a'], 'mcp-param-s differs from the body'],
    ['{"s":"a"}', ['mcp-param-s', '=?base64?YQ=?='], 'mcp-param-s holds a malformed base64 sentinel'],
    ['{"s":"a"}', ['mcp-param-s', '=?base64?/w==?='], 'mcp-param-s holds a malformed base64 sentinel'],
    ['{"s":"a"}', ['mcp-param-s', '=?BASE64?YQ==?='], 'mcp-param-s differs from the body'],
    ['{"s":"7"}', ['mcp-param-s', '7.0'], 'mcp-param-s differs from the body'],
    ['{"i":7}', ['mcp-param-i', '7.0'], null],
    ['{"i":7.0}', ['mcp-param-i', '7'], null],
    ['{"i":70e-1}', ['mcp-param-i', '007'], null],
    ['{"i":-0}', ['mcp-param-i', '0'], null],
    ['{"i":7}', ['mcp-param-i', '8'], 'mcp-param-i differs from the body'],
    ['{"i":7}', ['mcp-param-i', '0x7'], 'mcp-param-i differs from the body'],
    ['{"i":7}', ['mcp-param-i', '7e0'], 'mcp-param-i differs from the body'],
    ['{"i":0}', ['mcp-param-i', ''], 'mcp-param-i differs from the body'],
    ['{"i":"7"}', ['mcp-param-i', '7'], null],
    ['{"i":"7"}', ['mcp-param-i', '7.0'], 'mcp-param-i differs from the body'],
    ['{"b":true}', ['mcp-param-b', 'true'], null],
    ['{"b":true}', ['mcp-param-b', 'True'], 'mcp-param-b differs from the body'],
    ['{"b":true}', ['mcp-param-b', '1'], 'mcp-param-b differs from the body'],
    ['{"s":null}', ['mcp-param-s', 'a'], null],
    ['{}', ['mcp-param-s', 'a'], null],
    ['', ['mcp-param-s', '=?base64?!?='], null],
  ])('%s with %p', (args, headers, fault) => {
    expect(verdict(wanted, args, headers)).toBe(fault);
  });

  test('a faulty tool asks for nothing', () => {
    expect(verdict(props({ a: named('A'), b: named('a') }), '{"a":"x"}', [])).toBeNull();
  });
});
