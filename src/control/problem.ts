// What is wrong with a configuration, in words: where, what was found, what is allowed.
// Called by every file of control/ that refuses something, and by cli/ to print it. Promises: a secret never gets
// into the text: values of headers, env, args and of keys that sound like a secret are described, not shown.
import { ERRORS, type ErrorCode } from '../base/errors.ts';

/** Keys from the root to a value: names in mappings, indexes in lists. */
export type KeyPath = readonly (string | number)[];

/** One refusal. `line` counts from 1; 0 when the file has no lines to speak of (it could not be read). */
export interface Problem {
  readonly code: Extract<ErrorCode, `GW_CONFIG_${string}`>;
  readonly file: string;
  readonly line: number;
  /** `servers.docs.url`, or '' for the document itself. */
  readonly key: string;
  /** Found and allowed, without place. */
  readonly detail: string;
}

/** Something that was tolerated, worth one line: same place as a Problem. */
export interface Note {
  readonly file: string;
  readonly line: number;
  readonly key: string;
  readonly detail: string;
}

/** One line for people: `sluice.yaml:4: listen.port: Cannot accept …: found 0.5; allowed: … [GW_CONFIG_VALUE]`. */
export function problemLine(problem: Problem): string {
  return `${placeOf(problem)}${ERRORS[problem.code].message}: ${problem.detail} [${problem.code}]`;
}

/** One line for people about something tolerated. */
export function noteLine(note: Note): string {
  return `${placeOf(note)}${note.detail}`;
}

function placeOf(at: Note | Problem): string {
  const line = at.line > 0 ? `:${at.line}` : '';
  return `${at.file}${line}: ${at.key === '' ? '' : `${at.key}: `}`;
}

const PLAIN_KEY = /^[A-Za-z0-9_$-]+$/;
const SECRET_KEY = /token|secret|key|pass|auth|cred|bearer|cookie/i;

/** A path as people write it: `servers.docs.args[0]`. Keys under headers and env that are no names are not shown. */
export function keyText(path: KeyPath): string {
  let text = '';
  path.forEach((part, index) => {
    if (typeof part === 'number') text += `[${part}]`;
    else if (PLAIN_KEY.test(part)) text += text === '' ? part : `.${part}`;
    else if (holdsSecrets(path.slice(0, index))) text += '[a key that is not shown]';
    else text += `[${JSON.stringify(part.length > 64 ? `${part.slice(0, 64)}…` : part)}]`;
  });
  return text;
}

function holdsSecrets(parent: KeyPath): boolean {
  const last = parent.at(-1);
  return last === 'headers' || last === 'env';
}

/** True when the value at this path must not be printed. */
export function isSecret(path: KeyPath): boolean {
  return path.some((part, index) => {
    if (typeof part !== 'string') return false;
    const below = index < path.length - 1;
    if (below && (part === 'headers' || part === 'env' || part === 'args')) return true;
    // A server's name is the operator's word, not a key: `servers.keycloak.url` is no secret.
    const name = index === 1 && path[0] === 'servers';
    return !name && SECRET_KEY.test(part);
  });
}

/** What was found at a path, for a message: the value when it may be shown, else its kind. */
export function found(value: unknown, path: KeyPath): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return value instanceof Date ? 'a date' : 'a mapping';
  const hidden =
    isSecret(path) || path.at(-1) === 'args' || path.at(-1) === 'headers' || path.at(-1) === 'env';
  if (hidden) return `a ${typeof value} (not shown)`;
  if (typeof value !== 'string') return String(value);
  const text = shownUrl(value);
  const from = text.includes('${') ? ', as the environment resolves it' : '';
  return `'${text.length > 80 ? `${text.slice(0, 80)}…` : text}'${from}`;
}

/** A URL (or what looks like one) without its credentials, query and fragment; other text unchanged. */
function shownUrl(text: string): string {
  if (!text.includes('://') && !text.includes('@')) return text;
  return text.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/\/|\/\/)?[^/?#]*@/, '$1').replace(/[?#].*$/s, '?…');
}
