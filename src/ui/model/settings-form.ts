// The settings of a server as the form shows them, and back.
// Called by views/server-form.tsx. Promises: what the form does not show stays as it was; faults are words for the reader.
import type { Json } from '../api/types.ts';
import { isObject, type JsonObject } from './schema-fields.ts';

/** How the form reaches the server. */
export type Kind = 'http' | 'stdio' | 'json';

/** What stands in the form. */
export interface SettingsDraft {
  readonly name: string;
  readonly kind: Kind;
  readonly url: string;
  /** Program and arguments, as in a shell. */
  readonly command: string;
  /** `NAME: value` lines. */
  readonly headers: string;
  /** `NAME=value` lines. */
  readonly env: string;
  /** All settings as JSON, for what the form has no input for. */
  readonly json: string;
}

/** Settings, or why there are none. */
export type MadeSettings = { readonly settings: JsonObject } | { readonly fault: string };

/** Keys that the inputs show; others are only in the JSON. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  http: ['url', 'headers'],
  stdio: ['command', 'args', 'env'],
};

function isTexts(value: Json | undefined): boolean {
  return value === undefined || (Array.isArray(value) && value.every((one: Json) => typeof one === 'string'));
}

function isTextMap(value: Json | undefined): boolean {
  return (
    value === undefined || (isObject(value) && Object.values(value).every((one) => typeof one === 'string'))
  );
}

/** The form that fits some settings. */
export function kindOf(settings: JsonObject): Kind {
  const fits = (kind: 'http' | 'stdio'): boolean =>
    Object.keys(settings).every((key) => SHOWN[kind]?.includes(key) === true);
  if (typeof settings.url === 'string' && fits('http') && isTextMap(settings.headers)) return 'http';
  if (
    typeof settings.command === 'string' &&
    fits('stdio') &&
    isTexts(settings.args) &&
    isTextMap(settings.env)
  )
    return 'stdio';
  return 'json';
}

function pairs(value: Json | undefined, mark: string): string {
  return isObject(value)
    ? Object.entries(value)
        .map(([key, one]) => `${key}${mark}${String(one)}`)
        .join('\n')
    : '';
}

/** What stands in the form for some settings; null: a fresh one. */
export function draftFor(name: string, settings: unknown): SettingsDraft {
  const given = isObject(settings) ? settings : {};
  const args: readonly Json[] = Array.isArray(given.args) ? given.args : [];
  const command = typeof given.command === 'string' ? [given.command, ...args].map(String) : [];
  return {
    name,
    kind: settings === null ? 'http' : kindOf(given),
    url: typeof given.url === 'string' ? given.url : '',
    command: command.map(asWord).join(' '),
    headers: pairs(given.headers, ': '),
    env: pairs(given.env, '='),
    json: JSON.stringify(given, null, 2),
  };
}

/** A word of a command line, in quotes where it needs them. */
function asWord(text: string): string {
  return /^[^\s'"\\]+$/.test(text) ? text : `"${text.replaceAll(/(["\\])/g, '\\$1')}"`;
}

/** The words of a command line: quotes of both kinds and backslashes as in a shell, nothing is replaced. */
export function wordsIn(line: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '\\' && quote !== "'" && at + 1 < line.length) {
      at += 1;
      word = (word ?? '') + line.charAt(at);
    } else if (quote === '' && (char === "'" || char === '"')) {
      quote = char;
      word ??= '';
    } else if (char === quote) quote = '';
    else if (quote === '' && /\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') return null;
  return word === null ? words : [...words, word];
}

function readPairs(text: string, mark: ':' | '='): Record<string, string> | string {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const at = line.indexOf(mark);
    if (at < 1) return line;
    found[line.slice(0, at).trim()] = mark === ':' ? line.slice(at + 1).trim() : line.slice(at + 1);
  }
  return found;
}

/** The settings that a form makes. */
export function settingsOf(draft: SettingsDraft): MadeSettings {
  if (draft.kind === 'json') {
    try {
      const value: unknown = JSON.parse(draft.json);
      return isObject(value) ? { settings: value } : { fault: 'The settings must be a JSON object' };
    } catch (thrown) {
      return {
        fault: `The settings are no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      };
    }
  }
  if (draft.kind === 'http') {
    const headers = readPairs(draft.headers, ':');
    if (typeof headers === 'string')
      return { fault: `Write headers as "Name: value"; this one is not: ${headers}` };
    const settings: Record<string, Json> = { url: draft.url.trim() };
    if (Object.keys(headers).length > 0) settings.headers = headers;
    return { settings };
  }
  const words = wordsIn(draft.command);
  if (words === null) return { fault: 'A quote in the command is not closed' };
  const [command, ...args] = words;
  if (command === undefined) return { fault: 'Write the command that starts the server' };
  const env = readPairs(draft.env, '=');
  if (typeof env === 'string') return { fault: `Write variables as NAME=value; this one is not: ${env}` };
  const settings: Record<string, Json> = { command, args };
  if (Object.keys(env).length > 0) settings.env = env;
  return { settings };
}
