// The tree checks itself: order of the rooms, circles, the door to the world, headers, words, names, sizes, dead code, papers.
// Called by `bun test`. Promises: every finding names file and line and says how to mend it; every list of exceptions carries
// reasons and fails when an entry is no longer needed. The checks themselves are tried in test/tidy/checkers.test.ts.
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '../src/base/errors.ts';
import { PHASES } from '../src/proxy/phases.ts';
import { type DoorException, findAsync, findDoorFaults } from './tidy/door.ts';
import { buildGraph, findCircles, findDeadExports, findDeadFiles, findOrderFaults } from './tidy/order.ts';
import {
  compareCodes,
  findDeadLinks,
  findDeadPaths,
  findDecisionFaults,
  findPackageFaults,
  findUndecided,
  findVersionFaults,
  markedText,
  type PackageFile,
  type Paper,
  phaseTable,
} from './tidy/papers.ts';
import {
  describeSizes,
  findHeaderless,
  findOversized,
  findUndocumented,
  measureFunctions,
} from './tidy/shape.ts';
import { listFiles, ROOT, readSources, readText } from './tidy/tree.ts';
import { findBannedWords, findCasts, findMarks, findNameFaults, findTypeNameFaults } from './tidy/words.ts';

/** Who may reach into the world besides src/runtime/. */
const DOOR_EXCEPTIONS: readonly DoorException[] = [
  { path: 'src/runtime/', what: '*', reason: 'this is the door' },
  { path: 'src/cli/', what: '*', reason: 'commands talk to a person, a terminal and the process' },
  { path: 'src/main.ts', what: '*', reason: 'reads argv and env, traps signals, sets the exit code' },
  {
    path: 'src/upstream/fetch.ts',
    what: 'network',
    reason: 'fetch() is its transport, for servers that want HTTP/2 or 3',
  },
  { path: 'src/scan/addon.ts', what: '*', reason: 'loads the .node file' },
  { path: 'src/control/registry/bun-database.ts', what: '*', reason: 'SQLite is part of Bun' },
  { path: 'src/control/registry/node-database.ts', what: '*', reason: 'SQLite is part of Node' },
  { path: 'src/ui/', what: '*', reason: 'runs in a browser: its world is the page' },
  {
    path: 'src/observe/fields.ts',
    what: 'clock',
    reason: 'new Date(ms) only formats a time that the clock gave',
  },
];

/** Files of src/ that only tests need. */
const TEST_ONLY: Readonly<Record<string, string>> = {
  'src/upstream/fake.ts': 'an upstream that tests steer',
};

/** Exports that nobody imports and that stay. Key: path#name. */
const DEAD_EXPORT_EXCEPTIONS: Readonly<Record<string, string>> = {};

const FILE_LINES_MAX = 300;
/** Files of src/ above the ceiling. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'src/base/errors.ts': 'the one table of everything that can go wrong',
  'src/base/limits.ts': 'the one table of every bound',
  'src/runtime/http1-connection.ts': 'one state machine: head, body, reply, and what waits for its turn',
  'src/upstream/http-connection.ts': 'one state machine: request out, head in, body in, idle',
};

/** Tests, benches, scripts and examples: tables of cases are long. */
const TEST_FILE_LINES_MAX = 800;

const FUNCTION_LINES_MAX = 70;
/** Functions of src/ above the ceiling. Key: path#name. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {};

const WANTED_SCRIPTS = [
  'start',
  'test',
  'ok',
  'dev',
  'build:native',
  'conformance',
  'bench',
  'fuzz',
  'docs',
  'install',
];

const paths = listFiles();
const sources = readSources(paths, /^(src|test|bench|scripts|examples)\/.*\.tsx?$/);
const src = sources.filter((source) => source.path.startsWith('src/'));
const papers: Paper[] = paths
  .filter((path) => path.endsWith('.md'))
  .map((path) => ({ path, text: readText(path) }));
/** What is started: the program, the dashboard's page, and the scripts that make files from its code. */
const roots = ['src/main.ts', 'src/ui/main.tsx', ...paths.filter((path) => /^scripts\/.*\.ts$/.test(path))];
const decisions = papers.filter((paper) => paper.path.startsWith('docs/decisions/'));
// package.json is ours; its shape is checked by npm long before this runs
const packageFile = JSON.parse(readText('package.json')) as PackageFile;

function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** Shows the findings themselves, one a line, when there are any. */
function expectNone(faults: readonly string[]): void {
  expect(faults.join('\n')).toBe('');
}

describe('rooms', () => {
  test('imports run inwards, in the order of ARCHITECTURE.md', () => expectNone(findOrderFaults(src)));
  test('no circle of files at run time', () => expectNone(findCircles(buildGraph(sources, false))));
  test('no circle of files, type imports included', () => expectNone(findCircles(buildGraph(sources, true))));
  test('every file of src/ is reached from the program', () =>
    expectNone(findDeadFiles(buildGraph(sources, true), roots, TEST_ONLY)));
  test('every export of src/ is imported somewhere', () =>
    expectNone(findDeadExports(sources, DEAD_EXPORT_EXCEPTIONS)));
});

describe('the door to the world', () => {
  test('only src/runtime/ touches Bun, node modules, timers, clocks, randomness, process, network', () =>
    expectNone(findDoorFaults(src, DOOR_EXCEPTIONS)));
  test('mcp/, route/, scan/ and memory/ are synchronous', () =>
    expectNone(findAsync(src, ['mcp', 'route', 'scan', 'memory'])));
});

describe('shape', () => {
  test('every file says what it is in its first lines', () => {
    const headed = paths.filter((path) =>
      /^(src|native|bench|scripts|test|examples|bin|\.ci)\/.*(\.(ts|tsx|css|mjs|js|cc|h|lua|sh|yaml|yml)|\/[\w-]+)$/.test(
        path,
      ),
    );
    const checked = headed.filter((path) => !path.startsWith('test/fixtures/') || path.endsWith('.ts'));
    expectNone(findHeaderless(checked.map((path) => ({ path, text: readText(path) }))));
  });

  test('every export of src/ has a doc comment', () => expectNone(findUndocumented(src)));

  test('files stay below their ceilings', () => {
    const linesOf = (files: readonly { path: string; text: string }[]): Map<string, number> =>
      new Map(files.map(({ path, text }) => [path, text.split('\n').length - 1]));
    const own = linesOf(src);
    const native = linesOf(readSources(paths, /^native\/.*\.(cc|h)$/));
    const rest = linesOf(sources.filter((source) => !source.path.startsWith('src/')));
    console.log(`tidy: files of src: ${describeSizes(own)}`);
    console.log(`tidy: files of native: ${describeSizes(native)}`);
    expectNone([
      ...findOversized(own, FILE_LINES_MAX, LONG_FILES),
      ...findOversized(native, FILE_LINES_MAX, {}),
      ...findOversized(rest, TEST_FILE_LINES_MAX, {}),
    ]);
  });

  test('functions of src/ stay below their ceiling', () => {
    const all = src.flatMap(measureFunctions);
    const long = new Map(all.map((size) => [`${size.path}#${size.name}`, size.lines]));
    console.log(
      `tidy: functions of src: ${describeSizes(new Map(all.map((size) => [`${size.path}:${size.line} ${size.name}`, size.lines])))}`,
    );
    expectNone(findOversized(long, FUNCTION_LINES_MAX, LONG_FUNCTIONS));
  });
});

describe('words', () => {
  test('no banned call or type', () => expectNone(findBannedWords(sources)));
  test('every cast says why', () =>
    expectNone(findCasts(sources.filter((source) => !source.path.startsWith('test/')))));
  test('no suppression without a reason, no leftover note', () => {
    expectNone(findMarks([...sources, ...readSources(paths, /^native\/.*\.(cc|h)$/)]));
  });
  test('files are named in kebab case, after what they hold', () => {
    expectNone(
      findNameFaults(
        paths.filter((path) => /^(src|test|bench|scripts|examples|native|docs|bin)\//.test(path)),
      ),
    );
  });
  test('types are named after what they are', () => expectNone(findTypeNameFaults(sources)));
});

describe('native', () => {
  test('only addon.cc and bind/ see node_api.h', () => {
    const native = paths.filter((path) => /^native\/.*\.(cc|h)$/.test(path));
    const faults = native
      .filter(
        (path) =>
          !/^native\/(addon\.cc|bind\/)/.test(path) &&
          /#include\s*[<"](node_api|napi|js_native_api)/.test(readText(path)),
      )
      .map(
        (path) =>
          `${path} includes node_api.h: keep algorithms free of it, and do the conversion in native/bind/`,
      );
    expectNone(faults);
  });
});

describe('papers', () => {
  test('links lead to files and headings that exist', () =>
    expectNone(papers.flatMap((paper) => findDeadLinks(paper, exists))));
  test('paths in the papers exist', () =>
    expectNone(
      papers
        .filter((paper) => paper.path !== 'CHANGELOG.md')
        .flatMap((paper) => findDeadPaths(paper, exists)),
    ));
  test('ARCHITECTURE.md names every error code and no other', () => {
    const architecture = papers.find((paper) => paper.path === 'ARCHITECTURE.md') ?? {
      path: 'ARCHITECTURE.md',
      text: '',
    };
    expectNone(compareCodes(architecture, Object.keys(ERRORS)));
  });
  test('ARCHITECTURE.md shows the phases of proxy/phases.ts', () => {
    const architecture = { path: 'ARCHITECTURE.md', text: readText('ARCHITECTURE.md') };
    // on a difference: put the expected table between the marks
    expect(markedText(architecture, 'phases')).toBe(phaseTable(PHASES));
  });
  test('package.json: scripts lead somewhere, versions are pinned', () =>
    expectNone(findPackageFaults(packageFile, WANTED_SCRIPTS, exists)));
  test('every dependency has its reason in docs/decisions/', () =>
    expectNone(findUndecided(packageFile, decisions)));
  test('decision records have their four parts and fit a page', () =>
    expectNone(decisions.flatMap(findDecisionFaults)));
  test('every version of ours is the one of package.json', () =>
    expectNone(findVersionFaults(src, packageFile.version)));
  test('CHANGELOG.md knows the version', () =>
    expect(readText('CHANGELOG.md')).toContain(`[${packageFile.version}]`));
});
