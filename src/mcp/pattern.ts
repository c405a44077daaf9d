// Patterns that choose tools, prompts and resources by name: exact text, `*` and `?`, or a regular expression between slashes.
// Called by view.ts (matches) and control/endpoint-schema.ts (checks). Promises: pure; a match costs a bounded number of steps whatever a server calls its tools:
// an expression has at most two repetitions, none of a group, and longer names fit no expression.
import { fits } from './glob.ts';

/** Longest pattern. */
export const PATTERN_CHARS_MAX = 256;
/** Repetitions (`*`, `+`, `{n,m}`) of one expression. With names of at most SUBJECT_CHARS_MAX, two cost some ten thousand steps. */
const REPEATS_MAX = 2;
const SUBJECT_CHARS_MAX = 256;

/** What makes an expression unfit, in words; null when it is fine or no expression. */
export function patternFault(pattern: string): string | null {
  if (pattern === '' || pattern.length > PATTERN_CHARS_MAX) return `1 to ${PATTERN_CHARS_MAX} characters`;
  const source = sourceOf(pattern);
  if (source === null) return null;
  const bare = source.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x');
  if (/\\[1-9k]|\(\?/.test(source)) return 'an expression without look-around, named or numbered groups';
  if (/\)[*+{]/.test(bare)) return 'an expression that repeats no group';
  if ((bare.match(/[*+]|\{\d/g) ?? []).length > REPEATS_MAX)
    return `an expression with at most ${REPEATS_MAX} of *, + and {n,m}`;
  try {
    compiled(source);
    return null;
  } catch {
    return 'a regular expression of JavaScript';
  }
}

/** Text between the slashes of an expression, or null for other patterns. */
function sourceOf(pattern: string): string | null {
  return pattern.length > 2 && pattern.startsWith('/') && pattern.endsWith('/') ? pattern.slice(1, -1) : null;
}

function compiled(source: string): RegExp {
  return new RegExp(`^(?:${source})$`, 'u');
}

/** Tells whether one of some names fits. `isTooLong` is set when an expression could not be asked. */
type Fits = (name: string) => boolean;

/** Patterns of one list, made ready. */
export class Patterns {
  readonly #exact = new Set<string>();
  readonly #others: Fits[] = [];
  /** What an expression is taken to say of a name that is too long for it. */
  readonly #whenTooLong: boolean;

  /** Patterns that patternFault() finds nothing wrong with. A name that is too long for an expression fits it when `whenTooLong` says so. */
  constructor(patterns: readonly string[], whenTooLong: boolean) {
    this.#whenTooLong = whenTooLong;
    for (const pattern of patterns) {
      const source = sourceOf(pattern);
      if (source !== null) this.#others.push(this.#expression(compiled(source)));
      else if (/[*?]/.test(pattern)) this.#others.push((name) => fits(pattern, name));
      else this.#exact.add(pattern);
    }
  }

  /** True when a name fits one of them. */
  fit(name: string): boolean {
    return this.#exact.has(name) || this.#others.some((one) => one(name));
  }

  #expression(expression: RegExp): Fits {
    return (name) => (name.length > SUBJECT_CHARS_MAX ? this.#whenTooLong : expression.test(name));
  }
}
