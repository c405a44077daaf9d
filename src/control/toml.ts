// TOML → SourceDocument.
// Called by document.ts. The parser tells the place of a fault but not of the values, so a second, simple reading notes
// the line of every key once a message needs one. Promises: a fault with its line (TOML parsers stop at the first);
// duplicate keys are faults by TOML's own rules.
import { parse, TomlError } from 'smol-toml';
import type { KeyPath } from './problem.ts';
import type { SourceDocument } from './source.ts';
import { tomlLines } from './toml-lines.ts';

/** Parses TOML text. */
export function parseToml(text: string): SourceDocument {
  let lines: ReadonlyMap<string, number> | null = null;
  const lineOf = (path: KeyPath): number => {
    lines ??= tomlLines(text);
    for (let depth = path.length; depth > 0; depth--) {
      const line = lines.get(JSON.stringify(path.slice(0, depth)));
      if (line !== undefined) return line;
    }
    return 1;
  };
  try {
    return { faults: [], value: parse(text), lineOf };
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw thrown;
    // Its message goes on with the lines around the fault, which may hold a secret: only the first line is used, and
    // of that nothing in quotes.
    const said = (thrown.message.split('\n')[0] ?? '').replace('Invalid TOML document: ', '');
    const detail = /["'`]/.test(said) ? 'what TOML does not allow here' : said;
    return { faults: [{ line: thrown.line, path: [], detail: `found ${detail}` }], value: null, lineOf };
  }
}
