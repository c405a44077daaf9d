// Settings of a server as the command line gives them → a JSON merge patch (RFC 7396), which is an object of settings where there were none.
// Called by servers.ts. Promises: pure; a value is JSON where it reads as that, else text; headers and variables of the environment are always text; what cannot be
// read is refused with what is allowed, without showing values, which may be secrets.
import { misuse, type Refusal } from './refusal.ts';

/** What the command line says of a server's settings. */
export interface GivenSettings {
  readonly url?: string;
  /** The program of a stdio server and its arguments; empty: it is none. */
  readonly command?: readonly string[];
  /** `Name=value` or `Name: value`. */
  readonly header?: readonly string[];
  /** `NAME=value`. */
  readonly env?: readonly string[];
  /** `key=value`. */
  readonly set?: readonly string[];
  /** Keys. */
  readonly unset?: readonly string[];
}

/** Nested objects of a patch. */
export type Patch = { [key: string]: unknown };

/** The patch; empty when nothing was given. */
export function settingsPatch(given: GivenSettings): Patch | Refusal {
  const patch: Patch = {};
  if (given.url !== undefined) patch.url = given.url;
  const [command, ...args] = given.command ?? [];
  if (command !== undefined) {
    patch.command = command;
    if (args.length > 0) patch.args = args;
  }
  return (
    putAll(given.header, (text) =>
      putPair(patch, 'headers', HEADER.exec(text), ['--header', 'Name=value']),
    ) ??
    putAll(given.env, (text) => putPair(patch, 'env', VARIABLE.exec(text), ['--env', 'NAME=value'])) ??
    putAll(given.set, (text) => putValue(patch, text)) ??
    putAll(given.unset, (text) => put(patch, pathOf(text), null) ?? null) ??
    patch
  );
}

const HEADER = /^([\w!#$%&'*+.^`|~-]+)[=:][ \t]*([\s\S]*?)[ \t]*$/;
const VARIABLE = /^([^=\0]+)=([^\0]*)$/;
const PAIR = /^((?:[^="]|"(?:[^"\\]|\\.)*")+)=([\s\S]*)$/;

function putAll(texts: readonly string[] = [], each: (text: string) => Refusal | null): Refusal | null {
  for (const text of texts) {
    const refusal = each(text);
    if (refusal !== null) return refusal;
  }
  return null;
}

function putPair(
  patch: Patch,
  key: string,
  found: RegExpExecArray | null,
  [option, form]: readonly [string, string],
): Refusal | null {
  const [, name, value] = found ?? [];
  if (name === undefined) return misuse(`cannot use a ${option}: allowed: ${form}`);
  return put(patch, [key, name], value);
}

function putValue(patch: Patch, text: string): Refusal | null {
  const [, key, value] = PAIR.exec(text) ?? [];
  if (key === undefined || value === undefined)
    return misuse('cannot use a --set: allowed: key=value, such as queueDepthMax=100 or breaker.failures=5');
  const path = pathOf(key);
  const isText = path?.[0] === 'headers' || path?.[0] === 'env';
  return put(patch, path, isText ? value : jsonOrText(value));
}

/** JSON where it is that, else text. */
function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function put(patch: Patch, path: readonly string[] | null, value: unknown): Refusal | null {
  if (path === null)
    return misuse(
      'cannot use a key: allowed: names with dots between them (breaker.failures); other names as ["…"] (tools["report.v1"].timeoutMs); a list is set as a whole (args=["-y"])',
    );
  let at = patch;
  for (const name of path.slice(0, -1)) {
    const below = at[name];
    const next: Patch = isMapping(below) ? below : {};
    at[name] = next;
    at = next;
  }
  const [last] = path.slice(-1);
  if (last !== undefined) at[last] = value;
  return null;
}

function isMapping(value: unknown): value is Patch {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

const PART = /\.?([\w$*?/-]+)|\[("(?:[^"\\]|\\.)*")\]/y;

/** `a.b["c.d"]` → its names; null when it is no such key. */
function pathOf(key: string): string[] | null {
  const path: string[] = [];
  PART.lastIndex = 0;
  for (let end = 0; end < key.length; end = PART.lastIndex) {
    PART.lastIndex = end;
    const [whole = '', name, quoted] = PART.exec(key) ?? [];
    if (whole === '' || whole.startsWith('.') === (end === 0)) {
      // A bracket needs no dot before it, a name behind something does.
      if (quoted === undefined) return null;
    }
    const part: unknown = quoted === undefined ? name : jsonOrText(quoted);
    if (typeof part !== 'string') return null;
    path.push(part);
  }
  // These would reach into the object's own making.
  return path.length === 0 || path.includes('__proto__') ? null : path;
}
