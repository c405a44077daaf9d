// Calls, casts, marks and names that this tree does without, each with what to write instead.
// Called by tidy.test.ts. Promises: patterns are looked for in code only (marks such as suppressions: in comments only).
import { importsOf } from './imports.ts';
import { hasReasonNear, place, type Source } from './source.ts';

/** A pattern in code, where it is banned, and the replacement. */
interface Ban {
  readonly pattern: RegExp;
  readonly where: RegExp;
  readonly instead: string;
  /** True when a comment on the same line or the one before makes it right. */
  readonly reasonAllows?: boolean;
}

const SRC = /^src\//;
const ALL = /./;

const BANS: readonly Ban[] = [
  {
    pattern: /\bthrow\s+new\s+(?:Type|Range|Syntax|Eval|URI|Reference|Aggregate)?Error\b/g,
    where: SRC,
    instead: 'throw a GatewayError with a row of base/errors.ts, or return the outcome as a value',
  },
  {
    pattern:
      /\bthrow\s+new\s+(?!GatewayError\b|(?:Type|Range|Syntax|Eval|URI|Reference|Aggregate)?Error\b)\w+/g,
    where: SRC,
    instead: 'throw a GatewayError; if a library asks for this class, say so on the line or the one before',
    reasonAllows: true,
  },
  {
    pattern: /(?<![.\w$])console\s*\./g,
    where: /^src\/(?!cli\/)/,
    instead: 'log through observe/log.ts, or say on the line or the one before why not',
    reasonAllows: true,
  },
  { pattern: /(?<![.\w$])any(?![\w$(:])/g, where: ALL, instead: 'write the type, or unknown and narrow it' },
  {
    pattern: /(?<=[\w$)\]])!(?=\s*[.;:,)\]}[]|\s*$)(?!=)/gm,
    where: ALL,
    instead: 'use must() from base/assert.ts, or handle the absence',
  },
  { pattern: /(?<![.\w$])export\s+default\b/g, where: ALL, instead: 'export it by name' },
  { pattern: /\b(?:test|it|describe)\s*\.\s*only\b/g, where: ALL, instead: 'take .only away' },
  {
    pattern: /\b(?:test|it|describe)\s*\.\s*(?:skip|skipIf|todo|todoIf|if)\b/g,
    where: ALL,
    instead: 'write the reason in a comment on the line before, and print it',
    reasonAllows: true,
  },
  { pattern: /(?<![.\w$])debugger\b/g, where: ALL, instead: 'take it away' },
  { pattern: /(?<![.\w$])eval\s*\(|\bnew\s+Function\s*\(/g, where: SRC, instead: 'write the code' },
];

const CAST = /(?<=[\w$)\]}>'"`]\s+)as\s+(?!const\b)(?=[\w${[(<"'`])/g;
const EXPORT_LIST = /\bexport\s+(?:type\s+)?\{[^}]*\}/g;

/** Banned calls and types. */
export function findBannedWords(sources: readonly Source[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    for (const ban of BANS) {
      if (!ban.where.test(source.path)) continue;
      for (const match of source.code.matchAll(ban.pattern)) {
        if (ban.reasonAllows === true && hasReasonNear(source, match.index)) continue;
        faults.push(`${place(source, match.index)} holds "${match[0].trim()}": ${ban.instead}`);
      }
    }
  }
  return faults;
}

/** `as` casts without a comment that says why, on the same line or the one before. `as const` is none. */
export function findCasts(sources: readonly Source[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    const renames = [...importsOf(source).map((found) => [found.offset, found.end] as const)];
    for (const match of source.code.matchAll(EXPORT_LIST))
      renames.push([match.index, match.index + match[0].length]);
    for (const match of source.code.matchAll(CAST)) {
      if (renames.some(([start, end]) => match.index >= start && match.index < end)) continue;
      if (hasReasonNear(source, match.index)) continue;
      faults.push(
        `${place(source, match.index)} casts without a reason: narrow the type, or say why on this line or the one before`,
      );
    }
  }
  return faults;
}

const LEFTOVER = new RegExp(`\\b(?:${['FIX' + 'ME', 'TO' + 'DO', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`);

/** Suppressions without a reason, and notes of unfinished work. */
export function findMarks(sources: readonly Source[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    for (const comment of source.comments) {
      const at = place(source, comment.start);
      if (/@ts-(?:ignore|nocheck)/.test(comment.value))
        faults.push(`${at} silences the compiler: mend the type, or use @ts-expect-error with the reason`);
      if (/@ts-expect-error\s*$/.test(comment.value))
        faults.push(`${at} expects a type error: say why behind it`);
      const ignore = /biome-ignore[^:]*(:?)\s*(.*)/.exec(comment.value);
      if (ignore !== null && (ignore[2] ?? '').length < 10)
        faults.push(`${at} silences the linter: say why behind the colon`);
      const left = LEFTOVER.exec(comment.value);
      if (left !== null)
        faults.push(`${at} says ${left[0]}: do it now, or file an issue and take the note away`);
    }
  }
  return faults;
}

const FILE_NAME = /^\.?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*$/;
const EMPTY_NAME = /(?:^|[-/.])(?:utils?|helpers?|common|managers?|misc|stuff)(?=[-/.]|$)/;
/** Names that tools or customs fix. */
const CUSTOMARY =
  /^(?:README|ARCHITECTURE|CHANGELOG|CONTRIBUTING|REVIEW|LICENSE|NOTICE|Dockerfile)(?:\.md)?$/;

/** File names that are not kebab case, or that say nothing. Native sources may use `_` as C++ does. */
export function findNameFaults(paths: readonly string[]): string[] {
  const faults: string[] = [];
  for (const path of paths) {
    const name = path.split('/').at(-1) ?? path;
    if (CUSTOMARY.test(name)) continue;
    const shown = path.startsWith('native/') ? name.replaceAll('_', '-') : name;
    if (!FILE_NAME.test(shown)) faults.push(`${path}: name the file in kebab case, one noun if you can`);
    if (EMPTY_NAME.test(path)) faults.push(`${path}: name the file after what it holds, not after a drawer`);
  }
  return faults;
}

const TYPE_NAME =
  /\b(?:class|interface|type|enum)\s+((?:I[A-Z][a-z]\w*)|(?:\w*(?:Manager|Helper|Utils?)))\b(?=\s*[<={]|\s+extends|\s+implements)/g;

/** Types called I…, …Manager, …Helper, …Util. */
export function findTypeNameFaults(sources: readonly Source[]): string[] {
  return sources.flatMap((source) =>
    [...source.code.matchAll(TYPE_NAME)].map(
      (match) => `${place(source, match.index)} names a type ${match[1]}: name it after what it is`,
    ),
  );
}
