// Arguments that a tool's schema wants mirrored in headers (`x-mcp-header`): what a schema asks for, and whether request and headers agree.
// Called by bridge (sends the headers, checks them for servers that do not) and to-legacy. Promises: pure; values are compared after
// decoding; a value that has no header spelling is neither sent nor expected. Source: MCP 2026-07-28, Streamable HTTP; SEP-2243.
import { decode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { isRecord } from './envelope.ts';
import { decodeMirrored, encodeMirrored } from './headers.ts';
import { eachMember, isArray, isObject, member, readString, type Span } from './json.ts';

/** One argument with a header. */
export interface HeaderParam {
  /** Lower-case header name, `mcp-param-…`. */
  readonly header: string;
  /** Keys that lead to it from the arguments' root. */
  readonly path: readonly string[];
  readonly type: 'string' | 'integer' | 'boolean';
}

/** What a tool's schema says about headers. */
export interface HeaderParams {
  /** Empty when the tool wants none, or breaks the rules. */
  readonly params: readonly HeaderParam[];
  /** Why an HTTP client must not offer the tool; null when it may. */
  readonly fault: string | null;
}

const KEYWORD = 'x-mcp-header';
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DECIMAL = /^-?\d+(?:\.\d+)?$/;

/** Keywords that hold one schema or a list of them, out of which no argument can be told without evaluating it. */
const BRANCHES: readonly string[] = [
  'items',
  'prefixItems',
  'contains',
  'additionalItems',
  'additionalProperties',
  'unevaluatedItems',
  'unevaluatedProperties',
  'propertyNames',
  'contentSchema',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
];

/** Keywords that map names to schemas, likewise. */
const BRANCH_MAPS: readonly string[] = [
  'patternProperties',
  'dependentSchemas',
  'dependencies',
  '$defs',
  'definitions',
];

/** Reads the inputSchema of a tool, given as the bytes of one element of `tools`. */
export function headerParamsOf(tool: Uint8Array): HeaderParams {
  const value: unknown = JSON.parse(decode(tool));
  const walk = new SchemaWalk();
  if (isRecord(value)) walk.visit(value.inputSchema, [], true);
  return walk.fault === null
    ? { params: walk.params, fault: null }
    : { params: [], fault: `${KEYWORD} ${walk.fault}` };
}

/** Gathers the annotations of one schema and remembers the first that breaks a rule. */
class SchemaWalk {
  readonly params: HeaderParam[] = [];
  fault: string | null = null;
  readonly #names = new Set<string>();

  visit(schema: unknown, path: readonly string[], isReachable: boolean): void {
    if (!isRecord(schema) || this.fault !== null) return;
    if (Object.hasOwn(schema, KEYWORD)) this.#take(schema, path, isReachable && path.length > 0);
    if (isRecord(schema.properties)) {
      for (const [key, below] of Object.entries(schema.properties))
        this.visit(below, [...path, key], isReachable);
    }
    for (const keyword of BRANCHES) {
      const below = schema[keyword];
      for (const one of Array.isArray(below) ? below : [below]) this.visit(one, path, false);
    }
    for (const keyword of BRANCH_MAPS) {
      const below = schema[keyword];
      if (isRecord(below)) for (const one of Object.values(below)) this.visit(one, path, false);
    }
  }

  #take(schema: Readonly<Record<string, unknown>>, path: readonly string[], isProperty: boolean): void {
    const name = schema[KEYWORD];
    const { type } = schema;
    const where = `at "${path.join('.')}"`;
    if (!isProperty) this.fault = `${where} must be on a property that "properties" alone lead to`;
    else if (typeof name !== 'string' || !TOKEN.test(name)) this.fault = `${where} must be an HTTP token`;
    else if (type !== 'string' && type !== 'integer' && type !== 'boolean')
      this.fault = `${where} must be on a string, an integer or a boolean`;
    else if (this.#names.has(name.toLowerCase())) this.fault = `${where} must differ from all others`;
    else {
      this.#names.add(name.toLowerCase());
      this.params.push({ header: `mcp-param-${name.toLowerCase()}`, path, type });
    }
  }
}

/** Headers of a request: name, value, name, value …, encoded. `args` is the span of `params.arguments` in `body`, null when there are none. */
export function paramHeaders(wanted: HeaderParams, body: Uint8Array, args: Span | null): string[] {
  const headers: string[] = [];
  for (const param of wanted.params) {
    const value = spelling(body, argumentAt(body, args, param.path));
    if (value !== null) headers.push(param.header, encodeMirrored(String(value)));
  }
  return headers;
}

/** What is wrong with the headers (name, value, …; lower-case names) of a request, or null. A header without a value in the body is not looked at. */
export function checkParams(
  wanted: HeaderParams,
  body: Uint8Array,
  args: Span | null,
  headers: readonly string[],
): GatewayError | null {
  for (const param of wanted.params) {
    const value = spelling(body, argumentAt(body, args, param.path));
    if (value === null) continue;
    const header = headerValue(headers, param.header);
    if (header === null) return mismatch(param, 'is missing');
    const decoded = decodeMirrored(header);
    if (decoded === null) return mismatch(param, 'holds a malformed base64 sentinel');
    if (!isSame(param, decoded, value)) return mismatch(param, 'differs from the body');
  }
  return null;
}

function mismatch(param: HeaderParam, why: string): GatewayError {
  return new GatewayError('GW_MCP_HEADER', `${param.header} ${why}`);
}

function isSame(param: HeaderParam, header: string, value: string | number | boolean): boolean {
  if (param.type === 'integer' && typeof value === 'number' && DECIMAL.test(header))
    return Number(header) === value;
  return header === String(value);
}

/** The header's value; lines of one name are one value (RFC 9110 §5.3), which then agrees with nothing. */
function headerValue(headers: readonly string[], name: string): string | null {
  const lines: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i] === name) lines.push(headers[i + 1] ?? '');
  return lines.length === 0 ? null : lines.join(', ');
}

const ASCII = /^[\x20-\x7e]*$/;

function argumentAt(body: Uint8Array, args: Span | null, path: readonly string[]): Span | null {
  let at = args;
  for (const key of path) {
    if (at === null || !isObject(body, at.start)) return null;
    at = ASCII.test(key) ? member(body, at.start, key) : spelledMember(body, at.start, key);
  }
  return at;
}

/** As member(), for keys that are not ASCII. */
function spelledMember(body: Uint8Array, at: number, key: string): Span | null {
  let found: Span | null = null;
  eachMember(body, at, (name, value) => {
    if (readString(body, name.start, name.end) === key) found = value;
  });
  return found;
}

/** The value a header can mirror; null for null, absent ones, objects, lists, and integers that not every reader holds exactly. */
function spelling(body: Uint8Array, at: Span | null): string | number | boolean | null {
  if (at === null) return null;
  const text = readString(body, at.start, at.end);
  if (text !== null) return text;
  if (isObject(body, at.start) || isArray(body, at.start)) return null;
  const value: unknown = JSON.parse(decode(body, at.start, at.end));
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'number' || !Number.isFinite(value)) return null;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : value;
}
