// What the papers say, held against the tree: links, paths, error codes, phases, scripts and dependencies.
// Called by tidy.test.ts. Promises: texts come in as arguments, so that every check can be tried on made-up ones.
import { dirname, join, normalize } from 'node:path';
import { place, type Source, stringAt } from './source.ts';

/** A Markdown file. */
export interface Paper {
  readonly path: string;
  readonly text: string;
}

/** The part of package.json that the checks read. */
export interface PackageFile {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, (fence) => fence.replace(/[^\n]/g, ' '));
}

/** The anchor that a heading gets. */
function slug(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

/** Links of a paper to files or headings that are not there. */
export function findDeadLinks(paper: Paper, exists: (path: string) => boolean): string[] {
  const text = withoutFences(paper.text);
  const headings = new Set(
    [...text.matchAll(/^#{1,6}\s+(.+)$/gm)].map((match) => slug((match[1] ?? '').replaceAll('`', ''))),
  );
  const faults: string[] = [];
  for (const match of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    const target = match[1] ?? '';
    if (/^[a-z]+:/.test(target)) continue;
    const [file = '', anchor = ''] = target.split('#');
    if (file !== '' && !exists(normalize(join(dirname(paper.path), decodeURI(file)))))
      faults.push(`${paper.path} links to ${target}, which does not exist: mend or take away the link`);
    if (file === '' && !headings.has(anchor))
      faults.push(`${paper.path} links to ${target}, and no heading of it is called that`);
  }
  return faults;
}

/** Paths in back-quotes that are not there. A path that ends in `/` is a folder; one with * or <> is a pattern and is left alone. */
export function findDeadPaths(paper: Paper, exists: (path: string) => boolean): string[] {
  const faults: string[] = [];
  for (const match of withoutFences(paper.text).matchAll(
    /`((?:src|test|bench|scripts|native|docs|examples|bin)\/[\w./-]*)`/g,
  )) {
    const path = (match[1] ?? '').replace(/\/$/, '');
    if (!exists(path))
      faults.push(
        `${paper.path} names ${match[1]}, which does not exist: mend the path, or write it without back-quotes if it is to come`,
      );
  }
  return faults;
}

/** Codes that a paper names and the table lacks, and codes of the table that the paper leaves out. */
export function compareCodes(paper: Paper, codes: readonly string[]): string[] {
  const named = new Set(
    [...paper.text.matchAll(/\bGW_[A-Z0-9]+(?:_[A-Z0-9]+)+\b/g)].map((match) => match[0]),
  );
  const faults = [...named]
    .filter((code) => !codes.includes(code))
    .map((code) => `${paper.path} names ${code}, which base/errors.ts does not have`);
  for (const code of codes)
    if (!named.has(code))
      faults.push(
        `${paper.path} does not say where an exchange ends with ${code}: add it to the table of exits`,
      );
  return faults;
}

/** One phase, as src/proxy/phases.ts lists it. */
export interface PhaseRow {
  readonly name: string;
  readonly where: string;
  readonly what: string;
  readonly exits: readonly string[];
}

/** The table of phases as ARCHITECTURE.md must show it between its marks. */
export function phaseTable(phases: readonly PhaseRow[]): string {
  const rows = phases.map(({ name, where, what, exits }, index) => {
    const places = where.split(', ').map((path) => `\`src/${path}\``);
    const ends = exits.map((code) => `\`${code}\``);
    return `| ${index + 1} | \`${name}\` | ${what} | ${places.join(', ')} | ${ends.length === 0 ? 'none' : ends.join(', ')} |`;
  });
  return ['| # | phase | what | where | exits |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** The text between `<!-- NAME -->` and `<!-- /NAME -->`, trimmed; null when the marks are missing. */
export function markedText(paper: Paper, mark: string): string | null {
  return new RegExp(`<!-- ${mark} -->([\\s\\S]*?)<!-- /${mark} -->`).exec(paper.text)?.[1]?.trim() ?? null;
}

/** What package.json and the tree disagree about: scripts that are missing or start what does not exist, loose versions. */
export function findPackageFaults(
  file: PackageFile,
  wanted: readonly string[],
  exists: (path: string) => boolean,
): string[] {
  const faults: string[] = [];
  for (const name of wanted)
    if (file.scripts[name] === undefined) faults.push(`package.json lacks the script "${name}"`);
  for (const [name, command] of Object.entries(file.scripts)) {
    for (const match of command.matchAll(/(?:^|\s)((?:scripts|bench|src|bin|examples|test)\/[\w./-]+)/g)) {
      if (!exists(match[1] ?? ''))
        faults.push(`package.json script "${name}" names ${match[1]}, which does not exist`);
    }
  }
  for (const [name, version] of dependenciesOf(file)) {
    if (!/^(?:npm:[\w.@/-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
      faults.push(`package.json asks for ${name} ${version}: pin one version`);
  }
  return faults;
}

function dependenciesOf(file: PackageFile): [string, string][] {
  return Object.entries({ ...file.dependencies, ...file.devDependencies, ...file.optionalDependencies });
}

/** Dependencies that no decision record names. */
export function findUndecided(file: PackageFile, decisions: readonly Paper[]): string[] {
  return dependenciesOf(file)
    .map(([name]) => name)
    .filter((name) => !decisions.some((paper) => paper.text.includes(`\`${name}\``)))
    .map(
      (name) =>
        `${name} is a dependency, and no file of docs/decisions/ names it in back-quotes: write down why it is here`,
    );
}

/** Parts that a decision record must have, and its length. */
export function findDecisionFaults(paper: Paper): string[] {
  const faults: string[] = [];
  for (const part of ['## Context', '## Choice', '## Consequences', '## What would change our mind']) {
    if (!paper.text.includes(`${part}\n`)) faults.push(`${paper.path} lacks "${part}"`);
  }
  if (paper.text.split('\n').length > 60)
    faults.push(`${paper.path} is longer than a page (60 lines): say less`);
  return faults;
}

/** Versions of ours written into the source that are not package.json's. */
export function findVersionFaults(sources: readonly Source[], version: string): string[] {
  return sources.flatMap((source) =>
    [...source.code.matchAll(/\bversion:\s*(?=')/g)].flatMap((match) => {
      const written = stringAt(source, match.index + match[0].length)?.value ?? version;
      if (written === version || !/^\d+\.\d+\.\d+$/.test(written)) return [];
      return [
        `${place(source, match.index)} says version ${written}, package.json says ${version}: make them equal`,
      ];
    }),
  );
}
