// The order of the rooms, circles between files, and what nobody imports.
// Called by tidy.test.ts. Promises: type imports count like any other; every finding says how to mend it.
import { exportsOf, type Import, importsOf, resolveImport } from './imports.ts';
import { place, type Source } from './source.ts';

/**
 * The rooms of src/ from the outside in: a file may import its own room and those in later rows. Rooms of one row do not
 * know each other. Same list as ARCHITECTURE.md, "The house".
 */
export const ROOM_ORDER: readonly (readonly string[])[] = [
  ['main'],
  ['cli'],
  ['gateway'],
  ['thread'],
  ['worker'],
  ['server'],
  ['proxy'],
  ['bridge'],
  ['policy'],
  ['exchange'],
  ['snapshot'],
  ['upstream', 'route'],
  ['mcp'],
  ['scan'],
  ['memory', 'observe'],
  ['runtime'],
  ['base'],
];

/** The control plane stands beside the data path: it may import `snapshot` and inwards, and only these may import it. */
const CONTROL = 'control';
const CONTROL_MAY_BE_IMPORTED_BY = ['main', 'cli', 'gateway', CONTROL];

/** The room of a file: its folder below src/, or the file's own name when it lies in src/ itself. */
export function roomOf(path: string): string | null {
  const match = /^src\/([^/]+?)(?:\.tsx?$|\/)/.exec(path);
  return match?.[1] ?? null;
}

function rankOf(room: string): number {
  return ROOM_ORDER.findIndex((row) => row.includes(room));
}

/** The dashboard stands outside: nothing imports it, and of the program it knows the types of the admin API alone. */
const DASHBOARD = 'ui';

/** What is wrong with one room importing another, or null. */
export function judgeArrow(from: string, to: string): string | null {
  if (from === to) return null;
  if (from === DASHBOARD)
    return 'the dashboard is a page for browsers: of the program it may import types of control/admin/ alone';
  if (to === DASHBOARD) return 'the dashboard is a page for browsers: the program only serves its files';
  if (to === CONTROL)
    return CONTROL_MAY_BE_IMPORTED_BY.includes(from)
      ? null
      : 'the data path never imports control/: pass what it needs in the Snapshot';
  const toRank = rankOf(to);
  if (toRank < 0)
    return `room "${to}" has no place in the order: add it to ROOM_ORDER and to ARCHITECTURE.md`;
  if (from === CONTROL)
    return toRank >= rankOf('snapshot') ? null : 'control/ may import snapshot and inwards only';
  const fromRank = rankOf(from);
  if (fromRank < 0)
    return `room "${from}" has no place in the order: add it to ROOM_ORDER and to ARCHITECTURE.md`;
  if (toRank > fromRank) return null;
  const why = toRank === fromRank ? 'rooms of one row do not know each other' : 'imports run inwards only';
  return `${why}: move the shared part into a room further in, or hand it over as an argument`;
}

/** Imports that break the order of the rooms, or that leave src/. */
export function findOrderFaults(sources: readonly Source[]): string[] {
  const faults: string[] = [];
  for (const source of sources) {
    const from = roomOf(source.path);
    if (from === null) continue;
    for (const found of importsOf(source)) {
      const target = resolveImport(source.path, found.specifier);
      if (target === null) continue;
      const to = roomOf(target);
      if (from === DASHBOARD && found.typeOnly && target.startsWith('src/control/admin/')) continue;
      const why = to === null ? judgeOutside(source.path, target) : judgeArrow(from, to);
      if (why !== null) faults.push(`${place(source, found.offset)} imports ${target}: ${why}`);
      else if (!/\.(tsx?|json|node)$/.test(target))
        faults.push(`${place(source, found.offset)} imports ${found.specifier}: write the .ts extension`);
    }
  }
  return faults;
}

/** src/ stands alone; only the version in package.json may be read from outside. */
function judgeOutside(from: string, target: string): string | null {
  if (target === 'package.json' && /^src\/(main\.ts|cli\/)/.test(from)) return null;
  return 'a file of src/ imports nothing outside src/';
}

/** The tree's import graph: path → paths. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** Builds the graph of some files. With `types` false, type-only imports are left out. */
export function buildGraph(sources: readonly Source[], types: boolean): Graph {
  const known = new Set(sources.map((source) => source.path));
  const graph = new Map<string, string[]>();
  for (const source of sources) {
    const targets = importsOf(source)
      .filter((found) => types || !found.typeOnly)
      .map((found) => resolveImport(source.path, found.specifier))
      .filter((target): target is string => target !== null && known.has(target));
    graph.set(source.path, [...new Set(targets)]);
  }
  return graph;
}

/** One path of each circle, as `a → b → a`. */
export function findCircles(graph: Graph): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const walk = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) circles.push([...trail.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const next of graph.get(path) ?? []) walk(next);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) walk(path);
  return circles;
}

/** Every path that can be reached from some roots. */
export function reach(graph: Graph, roots: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    waiting.push(...(graph.get(path) ?? []));
  }
  return seen;
}

/**
 * Files of src/ that the program does not reach from its roots. `testOnly` names those that exist for tests, with the reason;
 * such a file, and what only it imports, must be reached from a test, and the program must not reach it.
 */
export function findDeadFiles(
  graph: Graph,
  roots: readonly string[],
  testOnly: Readonly<Record<string, string>>,
): string[] {
  const live = reach(graph, roots);
  const tested = reach(
    graph,
    [...graph.keys()].filter((path) => path.endsWith('.test.ts')),
  );
  const faults: string[] = [];
  const forTests = reach(graph, Object.keys(testOnly));
  for (const path of graph.keys()) {
    if (!path.startsWith('src/') || live.has(path)) continue;
    if (!forTests.has(path))
      faults.push(`${path} is reached neither from src/main.ts nor from scripts/: delete it, or use it`);
    else if (!tested.has(path))
      faults.push(`${path} is said to be for tests, and no test reaches it: delete it`);
  }
  for (const path of Object.keys(testOnly)) {
    if (!graph.has(path))
      faults.push(`${path} is named as test-only and does not exist: take it off the list`);
    else if (live.has(path))
      faults.push(`${path} is named as test-only and the program reaches it: take it off the list`);
  }
  return faults;
}

/** Exported names of src/ that no other file imports. A type may also serve by standing in another declaration of its own file. */
export function findDeadExports(
  sources: readonly Source[],
  exceptions: Readonly<Record<string, string>>,
): string[] {
  const wanted = collectWanted(sources);
  const faults: string[] = [];
  const used = new Set<string>();
  for (const source of sources) {
    if (!source.path.startsWith('src/')) continue;
    for (const found of exportsOf(source)) {
      const names = wanted.get(source.path);
      if (names?.has(found.name) === true || names?.has('*') === true) continue;
      if (found.kind === 'type' && countWord(source.code, found.name) > 1) continue;
      const key = `${source.path}#${found.name}`;
      if (exceptions[key] === undefined)
        faults.push(
          `${place(source, found.offset)} exports ${found.name}, which nobody imports: delete it, or drop the export`,
        );
      used.add(key);
    }
  }
  for (const key of Object.keys(exceptions))
    if (!used.has(key)) faults.push(`${key} is excepted, and is imported or gone: take it off the list`);
  return faults;
}

/** path → names that other files import from it. */
function collectWanted(sources: readonly Source[]): Map<string, Set<string>> {
  const wanted = new Map<string, Set<string>>();
  const note = (path: string, found: Import): void => {
    const target = resolveImport(path, found.specifier);
    if (target === null) return;
    const names = wanted.get(target) ?? new Set<string>();
    for (const name of found.names) names.add(name);
    wanted.set(target, names);
  };
  for (const source of sources) for (const found of importsOf(source)) note(source.path, found);
  return wanted;
}

function countWord(code: string, word: string): number {
  return code.split(new RegExp(`(?<![\\w$])${word.replaceAll('$', '\\$')}(?![\\w$])`)).length - 1;
}
