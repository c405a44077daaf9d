// Who imports whom: every import and re-export of a TypeScript file, type-only ones and dynamic ones included.
// Called by the checks beside it. Promises: strings and comments never count as imports; `Bun.Transpiler` is not used,
// because it drops type imports, and those make circles too.
import { dirname, join, normalize } from 'node:path';
import { type Source, stringAt } from './source.ts';

/** One import. `names` are the exported names asked for; `*` stands for all. */
export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly names: readonly string[];
  readonly offset: number;
  /** Offset after the statement's string. */
  readonly end: number;
}

/** One exported declaration. */
export interface Export {
  readonly name: string;
  readonly kind: 'value' | 'type';
  readonly offset: number;
  /** True for `export { name }` and `export … from`, which are documented where they are declared. */
  readonly listed: boolean;
}

const STATIC =
  /(?<![.\w$])(?:import|export)\b(\s+type\b(?!\s*(?:,|from\b)))?\s*([\w$*{},\s]*?)(?:\bfrom\s*|(?<=import\s*))(?=['"])/g;
const DYNAMIC = /(?<![.\w$])import\s*\(\s*(?=['"`])/g;
const BY_URL = /\bnew\s+URL\s*\(\s*(?=['"`])/g;

interface Clause {
  readonly names: string[];
  readonly allTypes: boolean;
}

/** The exported names of an import clause such as `a, { b as c, type D }`. */
function readClause(clause: string): Clause {
  const names: string[] = [];
  const braces = /\{([^}]*)\}/.exec(clause);
  const outside = clause
    .replace(/\{[^}]*\}/, '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  for (const part of outside) names.push(part.startsWith('*') ? '*' : 'default');
  const inside = (braces?.[1] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  for (const part of inside) names.push((part.replace(/^type\s+/, '').split(/\s+as\s+/)[0] ?? '').trim());
  return {
    names,
    allTypes: outside.length === 0 && inside.length > 0 && inside.every((part) => /^type\s/.test(part)),
  };
}

/** Every import of a file, in order of appearance. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  const add = (offset: number, at: number, typeOnly: boolean, names: readonly string[]): void => {
    const piece = stringAt(source, at);
    if (piece !== undefined) found.push({ specifier: piece.value, typeOnly, names, offset, end: piece.end });
  };
  for (const match of source.code.matchAll(STATIC)) {
    const clause = readClause(match[2] ?? '');
    add(match.index, match.index + match[0].length, match[1] !== undefined || clause.allTypes, clause.names);
  }
  for (const match of source.code.matchAll(DYNAMIC)) {
    // `typeof import('x')` and `import('x').Type` load nothing at run time only when they stand in a type; counted as run time, to be safe.
    add(match.index, match.index + match[0].length, /typeof\s*$/.test(source.code.slice(0, match.index)), [
      '*',
    ]);
  }
  for (const match of source.code.matchAll(BY_URL)) {
    const piece = stringAt(source, match.index + match[0].length);
    if (piece?.value.endsWith('.ts') === true) add(match.index, match.index + match[0].length, false, ['*']);
  }
  return found.sort((a, b) => a.offset - b.offset);
}

const DECLARED =
  /(?<![.\w$])export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(function\s*\*?|class|const\s+enum|const|let|var|interface|type|enum|namespace)\s+([A-Za-z_$][\w$]*)/g;
const LISTED = /(?<![.\w$])export\s+(type\s+)?\{([^}]*)\}/g;

/** Every exported name of a file. `export type { … }` and interfaces are types. */
export function exportsOf(source: Source): Export[] {
  const found: Export[] = [];
  for (const match of source.code.matchAll(DECLARED)) {
    const [, word = '', name = ''] = match;
    found.push({
      name,
      kind: word === 'interface' || word === 'type' ? 'type' : 'value',
      offset: match.index,
      listed: false,
    });
  }
  for (const match of source.code.matchAll(LISTED)) {
    for (const part of (match[2] ?? '').split(',')) {
      const words = part.trim();
      if (words === '') continue;
      const name =
        words
          .replace(/^type\s+/, '')
          .split(/\s+as\s+/)
          .at(-1) ?? words;
      found.push({
        name,
        kind: match[1] !== undefined || words.startsWith('type ') ? 'type' : 'value',
        offset: match.index,
        listed: true,
      });
    }
  }
  return found;
}

/** The tree's path that a relative specifier names, or null for a package. */
export function resolveImport(from: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return normalize(join(dirname(from), specifier)).replaceAll('\\', '/');
}
