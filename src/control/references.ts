// ${NAME} references to the environment inside the strings of a configuration.
// Called by load.ts between parsing and validating. Promises: one pass (a value from the environment is never read for
// references again); what is missing or malformed is reported, all of it; values never get into a message.
import type { KeyPath } from './problem.ts';

/** The gateway's environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A reference that could not be resolved. */
export interface ReferenceFault {
  readonly path: KeyPath;
  readonly detail: string;
}

/** A value with its references resolved. */
export interface Resolved {
  readonly value: unknown;
  readonly faults: readonly ReferenceFault[];
  /** JSON of the paths whose whole text is one reference: those may stand for a number or a boolean. */
  readonly whole: ReadonlySet<string>;
}

/** What may stand in ${…} besides names of variables, in files written for other clients. */
export type Extra = Readonly<Record<string, string>>;

const REFERENCE = /\$\$\{|\$\{([^{}]*)(\}?)/g;
const NAME = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/** Resolves `${NAME}`, `${NAME:-default}` and `${env:NAME}` in every string of a value; `$${` stands for a literal `${`. */
export function resolveReferences(value: unknown, env: Environment, extra: Extra = {}): Resolved {
  const faults: ReferenceFault[] = [];
  const whole = new Set<string>();
  const walk = (node: unknown, path: KeyPath): unknown => {
    if (typeof node === 'string') {
      if (!node.includes('${')) return node;
      if (/^\$\{[^{}]*\}$/.test(node)) whole.add(JSON.stringify(path));
      return node.replace(
        REFERENCE,
        (match: string, inside: string | undefined, close: string | undefined) => {
          if (inside === undefined) return '${';
          const outcome = lookUp(inside, close === '}', env, extra);
          if (outcome.found) return outcome.text;
          faults.push({ path, detail: outcome.detail });
          return match;
        },
      );
    }
    if (Array.isArray(node)) return node.map((entry, index) => walk(entry, [...path, index]));
    if (node === null || typeof node !== 'object' || node instanceof Date) return node;
    return Object.fromEntries(Object.entries(node).map(([key, entry]) => [key, walk(entry, [...path, key])]));
  };
  return { value: walk(value, []), faults, whole };
}

type Outcome =
  | { readonly found: true; readonly text: string }
  | { readonly found: false; readonly detail: string };

function lookUp(inside: string, closed: boolean, env: Environment, extra: Extra): Outcome {
  const known = Object.hasOwn(extra, inside) ? extra[inside] : undefined;
  if (closed && known !== undefined) return { found: true, text: known };
  const name = closed ? NAME.exec(inside) : null;
  if (name?.[1] === undefined) return { found: false, detail: malformed(inside, closed) };
  const value = Object.hasOwn(env, name[1]) ? env[name[1]] : undefined;
  const fallback = name[2];
  if (fallback !== undefined)
    return { found: true, text: value === undefined || value === '' ? fallback : value };
  if (value !== undefined) return { found: true, text: value };
  const missing = `found \${${name[1]}}, which is not set in the environment; set it, or write \${${name[1]}:-default}`;
  return { found: false, detail: CLIENT_ONLY.test(inside) ? malformed(inside, closed) : missing };
}

/** Variables of clients that mean nothing outside of them. */
const CLIENT_ONLY = /^(?:(?:input|command|config):|workspaceFolder|userHome$)/;

function malformed(inside: string, closed: boolean): string {
  if (CLIENT_ONLY.test(inside)) {
    return `found a reference that only the client it was written for can resolve (\${${inside.split(':', 1)[0]}…); write the value, or \${NAME} and set NAME in the environment`;
  }
  const what = closed ? 'found ${…} around what is no variable name' : 'found ${ without its }';
  return `${what}; allowed: \${NAME} or \${NAME:-default}, and $\${ for a literal \${`;
}
