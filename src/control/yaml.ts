// YAML 1.2 (and so plain JSON too) → SourceDocument.
// Called by document.ts. Promises: every syntax fault and duplicate key with its line; anchors and aliases work, tags
// that are not of the core schema are refused.
import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { KeyPath } from './problem.ts';
import type { SourceDocument, SyntaxFault } from './source.ts';

/** Said instead of the parser's message, which may quote the file. */
const WORDS: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'an alias (*name) that names nothing; quote text that begins with *',
  BAD_DQ_ESCAPE: 'an unknown escape inside double quotes; use single quotes for a literal backslash',
  BAD_INDENT: 'an indentation that fits neither the line above nor its block',
  BAD_SCALAR_START: 'text that begins with a character YAML reserves; quote it',
  BLOCK_AS_IMPLICIT_KEY: 'a second `key: value` on one line; quote text that holds ": "',
  BLOCK_IN_FLOW: 'a block inside [] or {}',
  DUPLICATE_KEY: 'a key that is already there in the same mapping; keep one',
  MISSING_CHAR: 'a missing character: a closing quote, a comma, a colon or a blank',
  MULTILINE_IMPLICIT_KEY: 'a key that runs over more than one line, or a line without a colon',
  MULTIPLE_DOCS: 'a second document (---); a configuration is one',
  TAB_AS_INDENT: 'a tab as indentation; use spaces',
  UNEXPECTED_TOKEN:
    'a character that means something else to YAML here; put quotes around text that holds { } [ ] or, inside those, a comma or ${…}',
  TAG_RESOLVE_FAILED: 'an unknown tag (!name)',
};

/** Parses YAML text. */
export function parseYaml(text: string): SourceDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    version: '1.2',
  });
  const lineOf = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const faults = oncePerLine(
    [...document.errors, ...document.warnings].map((fault) => ({
      line: lineOf(fault.pos[0]),
      path: fault.code === 'DUPLICATE_KEY' ? pathAt(document.contents, fault.pos[0], []) : [],
      detail: `found ${WORDS[fault.code] ?? `what YAML does not allow here (${fault.code})`}`,
    })),
  );
  let value: unknown = null;
  if (faults.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch {
      // The parser throws for aliases that are unknown or that would multiply without end.
      faults.push({
        line: 1,
        path: [],
        detail: `found ${WORDS.BAD_ALIAS}, or aliases that unfold to too much`,
      });
    }
  }
  return { faults, value, lineOf: (path) => lineOf(offsetOf(document, path)) };
}

/** The parser stumbles on after a fault: of equal complaints about one line the first is enough. */
function oncePerLine(faults: readonly SyntaxFault[]): SyntaxFault[] {
  const first = new Map(
    faults.map((fault) => [`${fault.line} ${fault.detail} ${fault.path.join('.')}`, fault]),
  );
  return [...first.values()];
}

/** Offset of the deepest key or entry of the path that can be found. */
function offsetOf(document: Document, path: KeyPath): number {
  let node: unknown = document.contents;
  let offset = isScalar(node) || isMap(node) || isSeq(node) ? (node.range?.[0] ?? 0) : 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyOf(item.key) === String(part));
      if (pair === undefined) return offset;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      if (isScalar(node) || isMap(node) || isSeq(node)) offset = node.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

/** Path of the key that begins at an offset; [] when there is none. */
function pathAt(node: unknown, offset: number, path: KeyPath): KeyPath {
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const here = [...path, keyOf(key)];
      const below = isScalar(key) && key.range?.[0] === offset ? here : pathAt(value, offset, here);
      if (below.length > 0) return below;
    }
  } else if (isSeq(node)) {
    for (const [index, entry] of node.items.entries()) {
      const below = pathAt(entry, offset, [...path, index]);
      if (below.length > 0) return below;
    }
  }
  return [];
}

function keyOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : '';
}
