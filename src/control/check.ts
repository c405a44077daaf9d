// A parsed value against the schema: the validated configuration, or everything that is wrong with it in words.
// Called by load.ts. Promises: all problems are listed, each with its path, what was found and what is allowed; an unknown
// key names the nearest known one; text that came from one ${NAME} may stand for a number or a boolean.
import type * as z from 'zod/mini';
import { found, type KeyPath, type Problem } from './problem.ts';
import { type Config, configSchema } from './schema.ts';
import { formOf, SERVER_KEYS, serverSchema } from './server-schema.ts';
import { nearest } from './suggest.ts';

/** A problem before its place in a file is known. */
export interface Flaw {
  readonly code: Problem['code'];
  readonly path: KeyPath;
  readonly detail: string;
}

/** The verdict on a value. */
export type Checked =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly flaws: readonly Flaw[] };

type Issue = z.core.$ZodIssue;

/**
 * Validates. `raw` is the value as the file has it (references unresolved): messages quote it rather than the environment's text.
 * `whole` holds the JSON of paths whose text was one reference.
 */
export function check(value: unknown, raw: unknown, whole: ReadonlySet<string>): Checked {
  let result = configSchema.safeParse(value);
  if (!result.success && whole.size > 0) {
    const converted = convert(value, result.error.issues, whole);
    if (converted !== value) result = configSchema.safeParse(converted);
  }
  const flaws: Flaw[] = [];
  refuseProto(raw, [], flaws);
  if (result.success && flaws.length === 0) return { ok: true, config: result.data };
  for (const issue of result.error?.issues ?? []) collect(issue, [], raw, flaws);
  return { ok: false, flaws };
}

/** The validator passes over keys named __proto__ in silence; here they are refused like any unknown key. */
function refuseProto(node: unknown, path: KeyPath, flaws: Flaw[]): void {
  if (node === null || typeof node !== 'object') return;
  for (const [key, below] of Object.entries(node)) {
    const here = [...path, Array.isArray(node) ? Number(key) : key];
    if (key === '__proto__')
      flaws.push({ code: 'GW_CONFIG_KEY', path: here, detail: 'found a name that JavaScript reserves' });
    else refuseProto(below, here, flaws);
  }
}

/** `value` with the text of whole references turned into the number or boolean that the schema wants there. */
function convert(value: unknown, issues: readonly Issue[], whole: ReadonlySet<string>): unknown {
  let changed = value;
  const visit = (issue: Issue, base: KeyPath): void => {
    const path = [...base, ...partsOf(issue.path)];
    if (issue.code === 'invalid_union')
      for (const branch of issue.errors) for (const inner of branch) visit(inner, path);
    if (issue.code !== 'invalid_type' || !whole.has(JSON.stringify(path))) return;
    const text = valueAt(value, path);
    if (typeof text !== 'string') return;
    if (issue.expected === 'boolean' && /^(?:true|false)$/.test(text))
      changed = withValue(changed, path, text === 'true');
    if (/^(?:number|int)$/.test(issue.expected) && /^-?[0-9]+$/.test(text))
      changed = withValue(changed, path, Number(text));
  };
  for (const issue of issues) visit(issue, []);
  return changed;
}

function withValue(node: unknown, path: KeyPath, leaf: unknown): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return leaf;
  if (Array.isArray(node))
    return node.map((entry, index) => (index === part ? withValue(entry, rest, leaf) : entry));
  if (node === null || typeof node !== 'object') return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, entry]) => [key, key === part ? withValue(entry, rest, leaf) : entry]),
  );
}

/** What is at a path, or undefined. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let node = value;
  for (const part of path) {
    if (node === null || typeof node !== 'object' || !Object.hasOwn(node, part)) return undefined;
    node = Reflect.get(node, part);
  }
  return node;
}

function partsOf(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

/** Turns one issue of the validator into flaws. */
function collect(issue: Issue, base: KeyPath, raw: unknown, flaws: Flaw[]): void {
  const path = [...base, ...partsOf(issue.path)];
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path, raw);
    for (const key of issue.keys)
      flaws.push({ code: 'GW_CONFIG_KEY', path: [...path, key], detail: unknownKey(key, known) });
    return;
  }
  if (issue.code === 'invalid_union' && path[0] === 'servers') {
    collectUnion(issue, path, raw, flaws);
    return;
  }
  if (issue.code === 'invalid_key') {
    const allowed = issue.issues.map((inner) => inner.message).join('; ');
    flaws.push({ code: 'GW_CONFIG_VALUE', path, detail: `the name itself is refused; allowed: ${allowed}` });
    if (path.length === 2 && path[0] === 'servers') {
      // The validator does not look below a refused name, but all problems are to be listed.
      const below = serverSchema.safeParse(valueAt(raw, path));
      for (const inner of below.error?.issues ?? []) collect(inner, path, raw, flaws);
    }
    return;
  }
  const value = valueAt(raw, path);
  const allowed = allowedFor(issue, schemaAt(path, raw));
  const what = value === undefined ? 'found nothing; required' : `found ${found(value, path)}; allowed`;
  flaws.push({ code: 'GW_CONFIG_VALUE', path, detail: `${what}: ${allowed}` });
}

/** A server is a process or a URL: what it says decides which of the two complaints is to the point. */
function collectUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: KeyPath,
  raw: unknown,
  flaws: Flaw[],
): void {
  const value = valueAt(raw, path);
  const command = valueAt(value, ['command']) !== undefined;
  const url = valueAt(value, ['url']) !== undefined || valueAt(value, ['replicas']) !== undefined;
  const branch = issue.errors[formOf((key) => valueAt(value, [key]) !== undefined)] ?? [];
  if (command && url) {
    flaws.push({
      code: 'GW_CONFIG_VALUE',
      path,
      detail: 'found both command and url; allowed: command (a process) or url (a server over HTTP)',
    });
  } else if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    flaws.push({
      code: 'GW_CONFIG_VALUE',
      path,
      detail: `found ${found(value, path)}; allowed: a mapping with command (a process) or url (a server over HTTP)`,
    });
  } else if (!command && !url) {
    flaws.push({
      code: 'GW_CONFIG_VALUE',
      path,
      detail: 'found neither command nor url; required: command (a process) or url (a server over HTTP)',
    });
    for (const inner of branch)
      if (inner.code === 'unrecognized_keys') collectNeither(inner.keys, path, flaws);
  } else for (const inner of branch) collect(inner, path, raw, flaws);
}

/** Keys of a server that is neither kind: unknown only when neither kind knows them. */
function collectNeither(keys: readonly string[], path: KeyPath, flaws: Flaw[]): void {
  for (const key of keys) {
    if (!SERVER_KEYS.includes(key))
      flaws.push({ code: 'GW_CONFIG_KEY', path: [...path, key], detail: unknownKey(key, SERVER_KEYS) });
  }
}

/** Keys that people bring from elsewhere, where the nearest name would not help. */
const HINTS: Readonly<Record<string, string>> = {
  type: 'leave it out: `command` makes a process, `url` a server over HTTP',
  transport: 'leave it out: `command` makes a process, `url` a server over HTTP',
  timeout: 'write `timeouts: { totalMs: … }`',
  replicas: 'write either url or replicas, a list of mappings with a url each',
  enabled: 'write `disabled: true` to leave a server out',
};

function unknownKey(key: string, known: readonly string[]): string {
  const hint = Object.hasOwn(HINTS, key) && !known.includes(key) ? HINTS[key] : undefined;
  const near = nearest(key, known);
  const advice = hint ?? (near === null ? null : `did you mean '${near}'?`);
  return `${advice === null ? '' : `${advice} `}allowed: ${known.join(', ')}`;
}

/** Keys that the schema knows at a path, or none when there is no mapping there. */
function knownKeys(path: KeyPath, raw: unknown): readonly string[] {
  const { def } = schemaAt(path, raw)._zod;
  return def.type === 'object' ? Object.keys(def.shape) : [];
}

function schemaAt(path: KeyPath, raw: unknown): z.core.$ZodTypes {
  let schema = bare(configSchema, raw);
  path.forEach((part, index) => {
    const { def } = schema._zod;
    const below = valueAt(raw, path.slice(0, index + 1));
    if (def.type === 'object') schema = bare(def.shape[part], below);
    else if (def.type === 'record') schema = bare(def.valueType, below);
    else if (def.type === 'array') schema = bare(def.element, below);
  });
  return schema;
}

/** The schema inside defaults and options; of a server's two forms the one that the value chose. */
function bare(schema: z.core.$ZodType | undefined, value: unknown): z.core.$ZodTypes {
  // Every schema of zod is one of $ZodTypes; its own signatures only say $ZodType.
  const known = (schema ?? configSchema) as z.core.$ZodTypes;
  const { def } = known._zod;
  if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault')
    return bare(def.innerType, value);
  if (def.type === 'union')
    return bare(def.options[formOf((key) => valueAt(value, [key]) !== undefined)], value);
  return known;
}

/** What the schema allows where an issue arose, in words. */
function allowedFor(issue: Issue, schema: z.core.$ZodTypes): string {
  const range = rangeOf(schema);
  if (range !== null && issue.code !== 'custom' && issue.code !== 'invalid_union') return range;
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return bound(issue.origin, 'at least', Number(issue.minimum));
    case 'too_big':
      return bound(issue.origin, 'at most', Number(issue.maximum));
    case 'invalid_value':
      return issue.values.map(String).join(', ');
    default:
      return issue.message;
  }
}

/** Bounds of a number, in words; null for other schemas. */
function rangeOf(schema: z.core.$ZodTypes): string | null {
  const { def } = schema._zod;
  if (def.type !== 'number') return null;
  const bound = (kind: string): unknown => {
    const check = def.checks?.find((one) => one._zod.def.check === kind);
    return valueAt(check?._zod.def, ['value']);
  };
  return `a whole number from ${bound('greater_than')} to ${bound('less_than')}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text (in quotes when it looks like a number)',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

function bound(origin: string, side: string, limit: number): string {
  if (origin === 'string')
    return limit === 1 && side === 'at least'
      ? 'text that is not empty'
      : `text of ${side} ${limit} characters`;
  return `a list of ${side} ${limit} entr${limit === 1 ? 'y' : 'ies'}`;
}
