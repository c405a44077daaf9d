// Settings of servers as they may be shown, and back: what is hidden is '•••', which stands for what is stored there.
// Called by live-registry.ts. Promises: values of headers and variables, credentials and queries of URLs, and arguments that look like secrets are hidden; references
// to the environment are not, since they tell nothing; a '•••' that stands for nothing is found.
import type { KeyPath } from '../problem.ts';
import { MASK, type Mapping } from './registry.ts';
import { isMapping } from './rows.ts';

/** Mappings whose values are secrets until proven otherwise. */
const SECRET_MAPPINGS: readonly string[] = ['headers', 'env'];
const SECRET_WORD = /token|secret|key|pass|auth|cred|bearer|cookie/i;
/** A reference to the environment, alone or behind the name of an authentication scheme: tells no secret. */
const REFERENCE_ALONE = /^(?:[A-Za-z]+ )?\$\{[^{}]*\}$/;

/** A copy of settings, or of anything that an event holds, that may be shown. */
export function shown(value: unknown): unknown {
  return walk(value, []);
}

/** The same for a mapping. */
export function shownSettings(settings: Mapping): Mapping {
  return Object.fromEntries(Object.entries(settings).map(([key, below]) => [key, walk(below, [key])]));
}

function walk(value: unknown, path: KeyPath): unknown {
  if (Array.isArray(value)) {
    const isArguments = path.at(-1) === 'args';
    return value.map((entry, at) =>
      isArguments ? shownArgument(entry, value[at - 1]) : walk(entry, [...path, at]),
    );
  }
  if (isMapping(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, below]) => [key, walk(below, [...path, key])]),
    );
  if (typeof value !== 'string') return value;
  const parent = path.at(-2);
  if (typeof parent === 'string' && SECRET_MAPPINGS.includes(parent)) return hidden(value);
  return path.at(-1) === 'url' ? shownUrl(value) : value;
}

function hidden(text: string): string {
  return text === '' || REFERENCE_ALONE.test(text) ? text : MASK;
}

/** `--api-key=…` hides what is behind the sign, `--api-key …` the next argument. */
function shownArgument(entry: unknown, before: unknown): unknown {
  if (typeof entry !== 'string') return entry;
  const sign = entry.indexOf('=');
  const name = sign < 0 ? entry : entry.slice(0, sign);
  if (sign >= 0 && SECRET_WORD.test(name)) return `${name}=${hidden(entry.slice(sign + 1))}`;
  const isValue = !entry.startsWith('-') && typeof before === 'string';
  if (isValue && before.startsWith('-') && !before.includes('=') && SECRET_WORD.test(before))
    return hidden(entry);
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(entry) ? shownUrl(entry) : entry;
}

/** A URL whose credentials and query are hidden, references aside. */
function shownUrl(text: string): string {
  return text
    .replace(
      /^([a-z][a-z0-9+.-]*:\/\/)([^/?#@]*)@/i,
      (_, scheme: string, who: string) => `${scheme}${hidden(who)}@`,
    )
    .replace(/([?&][^=&#]*=)([^&#]*)/g, (_, name: string, value: string) => name + hidden(value));
}

/** Settings with every '•••' replaced by what is stored there, and the places where there is nothing to put. */
export function unmask(
  given: unknown,
  stored: unknown,
): { readonly value: unknown; readonly unknown: readonly KeyPath[] } {
  const unknown: KeyPath[] = [];
  const visit = (value: unknown, was: unknown, seen: unknown, path: KeyPath): unknown => {
    if (typeof value === 'string') {
      if (!value.includes(MASK)) return value;
      if (value === seen && typeof was === 'string') return was;
      unknown.push(path);
      return value;
    }
    if (Array.isArray(value)) {
      const former: readonly unknown[] = Array.isArray(was) ? was : [];
      const before: readonly unknown[] = Array.isArray(seen) ? seen : [];
      return value.map((entry, at) => {
        // An argument before it may have come or gone.
        const same = before[at] === entry || typeof entry !== 'string' ? at : before.indexOf(entry);
        return visit(entry, former[same], before[same], [...path, at]);
      });
    }
    if (!isMapping(value)) return value;
    const former = isMapping(was) ? was : {};
    const before = isMapping(seen) ? seen : {};
    return Object.fromEntries(
      Object.entries(value).map(([key, below]) => [
        key,
        visit(below, former[key], before[key], [...path, key]),
      ]),
    );
  };
  return { value: visit(given, stored, shown(stored), []), unknown };
}
