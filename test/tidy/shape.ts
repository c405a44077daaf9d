// The shape of files: headers, doc comments, sizes of files and functions.
// Called by tidy.test.ts. Promises: a file or function above its ceiling needs an entry with a reason, and an entry that is no
// longer needed is a finding too.
import { exportsOf } from './imports.ts';
import { lineOf, place, type Source } from './source.ts';

const LINE_COMMENT: Readonly<Record<string, string>> = {
  ts: '//',
  tsx: '//',
  css: '/*',
  mjs: '//',
  js: '//',
  cc: '//',
  h: '//',
  lua: '--',
  sh: '#',
  yaml: '#',
  yml: '#',
  '': '#',
};

/** True when a text begins (behind a #! line) with a comment of at least two lines, or one block of at least two. */
export function hasHeader(path: string, text: string): boolean {
  const mark = LINE_COMMENT[/\.(\w+)$/.exec(path)?.[1] ?? ''];
  if (mark === undefined) return true;
  const lines = text.split('\n');
  if (lines[0]?.startsWith('#!') === true) lines.shift();
  while (lines[0] !== undefined && /^(#pragma once|)\s*$/.test(lines[0])) lines.shift();
  if (lines[0]?.startsWith('/*') === true) return lines.findIndex((line) => line.includes('*/')) >= 1;
  return [lines[0], lines[1]].every(
    (line) => line?.startsWith(mark) === true && line.length > mark.length + 8,
  );
}

/** True when a .cc file begins with one line and leaves the rest to the .h file of its name. */
function leavesToHeader(path: string, text: string, paths: ReadonlySet<string>): boolean {
  return path.endsWith('.cc') && paths.has(path.replace(/cc$/, 'h')) && /^\/\/ .{40,}/.test(text);
}

/** Files whose first lines do not say what they are. */
export function findHeaderless(files: readonly { readonly path: string; readonly text: string }[]): string[] {
  const paths = new Set(files.map((file) => file.path));
  return files
    .filter((file) => !hasHeader(file.path, file.text) && !leavesToHeader(file.path, file.text, paths))
    .map((file) => `${file.path}: begin with 2–6 comment lines: what it is, who calls it, what it promises`);
}

/** Exported declarations of src/ without a doc comment right above. A repeated name (an overload) needs none. */
export function findUndocumented(sources: readonly Source[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    let before = '';
    for (const found of exportsOf(source)) {
      if (found.listed || found.name === before) continue;
      before = found.name;
      const documented = source.comments.some(
        (comment) =>
          source.text.startsWith('/**', comment.start) &&
          comment.end <= found.offset &&
          /^\s*$/.test(source.text.slice(comment.end, found.offset)),
      );
      if (!documented)
        faults.push(
          `${place(source, found.offset)} exports ${found.name} without a doc comment: say what it is, its units and its errors in a /** … */`,
        );
    }
  }
  return faults;
}

/** A function's own lines: from its first to its last, less those of functions inside it. */
export interface FunctionSize {
  readonly path: string;
  readonly line: number;
  readonly name: string;
  readonly lines: number;
}

interface Open {
  readonly offset: number;
  readonly isFunction: boolean;
  inner: number;
}

const NO_FUNCTION = /(?:^|[^.\w$])(?:if|for|while|switch|catch|with)\s*$/;

/** True when the brace at an offset opens a function's body. */
function opensFunction(code: string, brace: number): boolean {
  const before = code.slice(Math.max(0, brace - 600), brace).trimEnd();
  if (before.endsWith('=>')) return true;
  const untyped = before.endsWith(')')
    ? before
    : before.replace(/\)\s*:\s*(?:asserts\s+)?[\w$.<>[\]|&\s,'"]+$/, ')');
  if (!untyped.endsWith(')')) return false;
  let depth = 0;
  for (let at = untyped.length - 1; at >= 0; at--) {
    if (untyped[at] === ')') depth++;
    if (untyped[at] === '(' && --depth === 0) return !NO_FUNCTION.test(untyped.slice(0, at));
  }
  return false;
}

/** The nearest name before a function's brace. */
function nameBefore(code: string, brace: number): string {
  const head = code.slice(Math.max(0, brace - 300), brace);
  const named = [
    ...head.matchAll(
      /\bfunction\s*\*?\s*([\w$]+)|(?:const|let)\s+([\w$]+)\s*=|([\w$#]+)\s*(?:<[^()]*>)?\([^;{}]*$/g,
    ),
  ].at(-1);
  return named?.[1] ?? named?.[2] ?? named?.[3] ?? 'anonymous';
}

/** Own sizes of all functions of a file, in lines. */
export function measureFunctions(source: Source): FunctionSize[] {
  const sizes: FunctionSize[] = [];
  const open: Open[] = [];
  for (let at = 0; at < source.code.length; at++) {
    const char = source.code[at];
    if (char === '{') open.push({ offset: at, isFunction: opensFunction(source.code, at), inner: 0 });
    if (char !== '}') continue;
    const closed = open.pop();
    if (closed === undefined) continue;
    const outer = open.at(-1);
    const first = lineOf(source, closed.offset);
    const lines = lineOf(source, at) - first + 1;
    if (!closed.isFunction) {
      if (outer !== undefined) outer.inner += closed.inner;
      continue;
    }
    sizes.push({
      path: source.path,
      line: first,
      name: nameBefore(source.code, closed.offset),
      lines: lines - closed.inner,
    });
    if (outer !== undefined && lines > 1) outer.inner += lines - 1;
  }
  return sizes;
}

/** Names what is longer than its ceiling and not excepted, and exceptions that nothing needs. Keys are paths, or `path#name`. */
export function findOversized(
  sizes: ReadonlyMap<string, number>,
  ceiling: number,
  exceptions: Readonly<Record<string, string>>,
): string[] {
  const faults: string[] = [];
  for (const [key, lines] of sizes) {
    if (lines > ceiling && exceptions[key] === undefined)
      faults.push(
        `${key} has ${lines} lines, more than ${ceiling}: split it, or name it in the list of exceptions with the reason`,
      );
  }
  for (const key of Object.keys(exceptions)) {
    if ((sizes.get(key) ?? 0) <= ceiling)
      faults.push(
        `${key} is excepted from the ceiling of ${ceiling} lines and does not need it: take it off the list`,
      );
  }
  return faults;
}

/** Median, 90th percentile and largest of some sizes, as one line of text. */
export function describeSizes(sizes: ReadonlyMap<string, number>): string {
  const sorted = [...sizes].sort((a, b) => a[1] - b[1]);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.[1] ?? 0;
  const last = sorted.at(-1);
  return `${sorted.length}, median ${at(0.5)}, p90 ${at(0.9)}, longest ${last?.[1] ?? 0} (${last?.[0] ?? 'none'})`;
}
