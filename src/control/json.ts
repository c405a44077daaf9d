// JSON, with comments and trailing commas as clients write it (VS Code's files end with .json and have both) → SourceDocument.
// Called by document.ts. Promises: every syntax fault and duplicate key with its line.
import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import type { KeyPath } from './problem.ts';
import { lineAt, type SourceDocument, type SyntaxFault } from './source.ts';

const WORDS: Readonly<Record<string, string>> = {
  InvalidSymbol: 'a word that is neither quoted nor true, false or null',
  InvalidNumberFormat: 'a number that is not written as JSON wants it',
  PropertyNameExpected: 'no key where one must come; keys are quoted',
  ValueExpected: 'no value where one must come',
  ColonExpected: 'no colon after a key',
  CommaExpected: 'no comma between two entries',
  CloseBraceExpected: 'no closing }',
  CloseBracketExpected: 'no closing ]',
  EndOfFileExpected: 'more text after the end of the value',
  UnexpectedEndOfComment: 'a comment that does not end',
  UnexpectedEndOfString: 'a string that does not end on its line',
  UnexpectedEndOfNumber: 'a number that is not complete',
  InvalidUnicode: 'a \\u escape without four hexadecimal digits',
  InvalidEscapeCharacter: 'an unknown escape',
  InvalidCharacter: 'a control character inside a string; escape it',
};

/** Parses JSON text. */
export function parseJson(text: string): SourceDocument {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, {
    allowTrailingComma: true,
    disallowComments: false,
    allowEmptyContent: false,
  });
  const faults: SyntaxFault[] = errors.map((error) => {
    const code = printParseErrorCode(error.error);
    return {
      line: lineAt(text, error.offset),
      path: [],
      detail: `found ${WORDS[code] ?? `what JSON does not allow here (${code})`}`,
    };
  });
  const value =
    root === undefined
      ? null
      : plain(root, [], (path, offset) => {
          faults.push({
            line: lineAt(text, offset),
            path,
            detail: 'found a key that is already there in the same object; keep one',
          });
        });
  return {
    faults,
    value,
    lineOf: (path) => (root === undefined ? 1 : lineAt(text, offsetOf(root, path))),
  };
}

/** Plain data of a node. `__proto__` becomes a key like any other. */
function plain(node: Node, path: KeyPath, duplicate: (path: KeyPath, offset: number) => void): unknown {
  if (node.type === 'array')
    return (node.children ?? []).map((child, index) => plain(child, [...path, index], duplicate));
  if (node.type !== 'object') return node.value;
  const entries = new Map<string, unknown>();
  for (const property of node.children ?? []) {
    const [key, child] = property.children ?? [];
    if (key === undefined) continue;
    const name = String(key.value);
    const below = [...path, name];
    if (entries.has(name)) duplicate(below, key.offset);
    entries.set(name, child === undefined ? null : plain(child, below, duplicate));
  }
  return Object.fromEntries(entries);
}

/** Offset of the deepest key or entry of the path that can be found. */
function offsetOf(root: Node, path: KeyPath): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = findNodeAtLocation(root, [...path.slice(0, depth)]);
    if (node !== undefined) return node.parent?.type === 'property' ? node.parent.offset : node.offset;
  }
  return root.offset;
}
