// The tidy checks tried on small made-up texts: each must find what it is for, and must leave the honest neighbour alone.
// Called by `bun test`. Promises: a check that finds nothing any more fails here, whatever the tree looks like.
import { describe, expect, test } from 'bun:test';
import { findAsync, findDoorFaults } from './door.ts';
import { exportsOf, importsOf } from './imports.ts';
import {
  buildGraph,
  findCircles,
  findDeadExports,
  findDeadFiles,
  findOrderFaults,
  judgeArrow,
  roomOf,
} from './order.ts';
import {
  compareCodes,
  findDeadLinks,
  findDeadPaths,
  findDecisionFaults,
  findPackageFaults,
  findUndecided,
  findVersionFaults,
  markedText,
  phaseTable,
} from './papers.ts';
import { findHeaderless, findOversized, findUndocumented, hasHeader, measureFunctions } from './shape.ts';
import { readSource } from './source.ts';
import { findBannedWords, findCasts, findMarks, findNameFaults, findTypeNameFaults } from './words.ts';

const src = (text: string, path = 'src/mcp/a.ts') => readSource(path, text);

describe('source', () => {
  test('blanks comments, strings, templates and regular expressions, and keeps every offset', () => {
    const text =
      "const a = 'x//y'; // b 'c'\nconst d = /['\"]/g.test(`e ${f('g')} h`); /* i */ const j = 1 / 2 / 3;";
    const { code, comments, strings } = src(text);
    expect(code).toHaveLength(text.length);
    expect(code).toBe(
      "const a = '    ';         \nconst d = /    /g.test(`  ${f(' ')}  `);         const j = 1 / 2 / 3;",
    );
    expect(comments.map((piece) => piece.value)).toEqual([" b 'c'", ' i ']);
    expect(strings.map((piece) => piece.value)).toEqual(['x//y', 'g', "e ${f('g')} h"]);
  });

  test('an escaped quote, a class in a pattern and a nested template do not end early', () => {
    expect(src("f('it\\'s'); g()").code).toBe("f('     '); g()");
    expect(src('x = /[/"]/; y').code).toBe('x = /    /; y');
    expect(src('`${`${a}`}` + b').code).toBe('`${`${a}`}` + b');
    expect(src('return /a"b/.test(c)').code).toBe('return /   /.test(c)');
    expect(src('<b>{a}</b>; { b }', 'src/ui/a.tsx').code).toBe('<b>{a}</b>; { b }');
  });
});

describe('imports', () => {
  test('static, type-only, side-effect, namespace, dynamic and by URL', () => {
    const found = importsOf(
      src(`import a, { b as c, type D } from './1.ts';
import type { E } from './2.ts';
import { type F, type G } from './3.ts';
import './4.ts';
import * as h from './5.ts';
export { i } from './6.ts';
export type { J } from './7.ts';
const k = await import('./8.ts');
const l = new URL('./9.ts', import.meta.url);
// import m from './10.ts';
const n = "import o from './11.ts'";
import {
  p,
} from './12.ts';`),
    );
    expect(found.map((one) => [one.specifier, one.typeOnly, one.names.join(' ')])).toEqual([
      ['./1.ts', false, 'default b D'],
      ['./2.ts', true, 'E'],
      ['./3.ts', true, 'F G'],
      ['./4.ts', false, ''],
      ['./5.ts', false, '*'],
      ['./6.ts', false, 'i'],
      ['./7.ts', true, 'J'],
      ['./8.ts', false, '*'],
      ['./9.ts', false, '*'],
      ['./12.ts', false, 'p'],
    ]);
  });

  test('an exported constant whose value is a string is no import', () => {
    expect(importsOf(src("export const a = 'b';\nexport type C = 'd';"))).toEqual([]);
  });

  test('exports', () => {
    const found = exportsOf(
      src(
        'export const a = 1;\nexport async function b() {}\nexport interface C {}\nexport abstract class D {}\nexport { e as f, type G };',
      ),
    );
    expect(found.map((one) => `${one.kind} ${one.name}`)).toEqual([
      'value a',
      'value b',
      'type C',
      'value D',
      'value f',
      'type G',
    ]);
  });
});

describe('rooms', () => {
  test('rooms and arrows', () => {
    expect(roomOf('src/snapshot.ts')).toBe('snapshot');
    expect(roomOf('src/mcp/a.ts')).toBe('mcp');
    expect(roomOf('test/a.ts')).toBeNull();
    expect(judgeArrow('proxy', 'mcp')).toBeNull();
    expect(judgeArrow('control', 'snapshot')).toBeNull();
    expect(judgeArrow('gateway', 'control')).toBeNull();
    expect(judgeArrow('mcp', 'proxy')).toContain('inwards');
    expect(judgeArrow('upstream', 'route')).toContain('one row');
    expect(judgeArrow('worker', 'control')).toContain('never imports control/');
    expect(judgeArrow('control', 'proxy')).toContain('control/ may import');
    expect(judgeArrow('proxy', 'cellar')).toContain('no place');
    expect(judgeArrow('cellar', 'base')).toContain('no place');
    expect(roomOf('src/ui/app.tsx')).toBe('ui');
    expect(judgeArrow('control', 'ui')).toContain('only serves its files');
    expect(judgeArrow('ui', 'base')).toContain('types of control/admin/');
  });

  test('a type import against the order is found', () => {
    const faults = findOrderFaults([
      src("import type { A } from '../proxy/a.ts';\nimport { b } from '../base/b.ts';"),
    ]);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain('src/mcp/a.ts:1');
  });

  test('the dashboard may import types of the admin API, and nothing else', () => {
    const page = (text: string) => findOrderFaults([src(text, 'src/ui/app.tsx')]);
    expect(
      page("import type { A } from '../control/admin/schemas.ts';\nimport { b } from './b.tsx';"),
    ).toEqual([]);
    expect(page("import { A } from '../control/admin/schemas.ts';")).toHaveLength(1);
    expect(page("import type { A } from '../control/plan.ts';")).toHaveLength(1);
  });

  test('a file of src/ that imports a test, and an import without extension', () => {
    expect(findOrderFaults([src("import { a } from '../../test/a.ts';")])[0]).toContain(
      'nothing outside src/',
    );
    expect(findOrderFaults([src("import { a } from './b';")])[0]).toContain('.ts extension');
  });

  test('circles: a type-only arrow counts only when asked for', () => {
    const files = [
      src("import { b } from './b.ts';"),
      src("import type { A } from './a.ts';", 'src/mcp/b.ts'),
    ];
    expect(findCircles(buildGraph(files, false))).toEqual([]);
    expect(findCircles(buildGraph(files, true))).toEqual(['src/mcp/a.ts → src/mcp/b.ts → src/mcp/a.ts']);
  });

  test('dead files, and files kept for tests', () => {
    const files = [
      src("import './used.ts';", 'src/main.ts'),
      src('', 'src/used.ts'),
      src('', 'src/dead.ts'),
      src("import './fake-part.ts';", 'src/fake.ts'),
      src('', 'src/fake-part.ts'),
      src("import '../src/fake.ts';", 'test/a.test.ts'),
    ];
    const graph = buildGraph(files, true);
    expect(findDeadFiles(graph, ['src/main.ts'], { 'src/fake.ts': 'for tests' })).toEqual([
      expect.stringContaining('src/dead.ts'),
    ]);
    expect(
      findDeadFiles(graph, ['src/main.ts'], {
        'src/fake.ts': '',
        'src/dead.ts': '',
        'src/used.ts': '',
        'src/gone.ts': '',
      }),
    ).toEqual([
      expect.stringContaining('src/dead.ts is said to be for tests'),
      expect.stringContaining('src/used.ts is named as test-only and the program'),
      expect.stringContaining('src/gone.ts is named as test-only and does not exist'),
    ]);
  });

  test('dead exports, stale exceptions', () => {
    const files = [
      src(
        'export const used = 1;\nexport const dead = 2;\nexport interface Shape {}\nexport interface Lone {}\nexport const made: Shape = {};',
      ),
      src("import { used, made } from './a.ts';", 'src/mcp/b.ts'),
    ];
    expect(findDeadExports(files, {}).map((fault) => fault.split(',')[0])).toEqual([
      'src/mcp/a.ts:2 exports dead',
      'src/mcp/a.ts:4 exports Lone',
    ]);
    const stale = findDeadExports(files, {
      'src/mcp/a.ts#dead': 'x',
      'src/mcp/a.ts#Lone': 'x',
      'src/mcp/a.ts#used': 'x',
    });
    expect(stale).toEqual([expect.stringContaining('src/mcp/a.ts#used is excepted')]);
  });
});

describe('the door', () => {
  const door = (text: string) => findDoorFaults([src(text)], []);

  test.each([
    'Bun.serve({})',
    'let s: Bun.Server',
    'setTimeout(f, 1)',
    'queueMicrotask(f)',
    'Date.now()',
    'new Date()',
    'performance.now()',
    'Math.random()',
    'crypto.randomUUID()',
    'process.env.A',
    'await fetch(url)',
    'new Worker(url)',
    "import { join } from 'node:path'",
    "import type { Server } from 'bun'",
  ])('%s is found', (text) => {
    expect(door(text)).toHaveLength(1);
  });

  test.each([
    '// Bun.serve',
    "f('Date.now()')",
    'clock.setTimeout(f)',
    'const o = { process: 1 };',
    'this.fetch(a)',
    'upstream.process.x',
    'interface A { Bun: string }',
    'kind.Date',
    'value instanceof Date',
  ])('%s is left alone', (text) => {
    expect(door(text)).toEqual([]);
  });

  test('an exception covers its place and its kind only, and must be needed', () => {
    const files = [src('fetch(a); Date.now()', 'src/upstream/fetch.ts')];
    const faults = findDoorFaults(files, [
      { path: 'src/upstream/fetch.ts', what: 'network', reason: 'x' },
      { path: 'src/cli/', what: '*', reason: 'x' },
    ]);
    expect(faults).toEqual([
      expect.stringContaining('Date'),
      expect.stringContaining('src/cli/ (*) is not needed'),
    ]);
  });

  test('async in a synchronous room', () => {
    expect(findAsync([src('async function a() { await b(); }')], ['mcp'])).toHaveLength(2);
    expect(findAsync([src('x.then(y)')], ['mcp'])).toHaveLength(1);
    expect(findAsync([src('async function a() {}', 'src/proxy/a.ts')], ['mcp'])).toEqual([]);
    expect(findAsync([src('// await\nconst a = { async: 1 }.async;')], ['route'])).toEqual([]);
  });
});

describe('words', () => {
  test.each([
    'throw new Error("a")',
    'throw new TypeError("a")',
    'throw new Odd("a")',
    'console.log(a)',
    'let a: any;',
    'f<any>(x)',
    'const a = b!.c;',
    'f(a!);',
    'a![0]',
    'export default a',
    'eval("1")',
    'test.only("a", f)',
    'test.skip("a", f)',
  ])('%s is found', (text) => {
    expect(findBannedWords([src(text)])).toHaveLength(1);
  });

  test.each([
    'throw new GatewayError("GW_A_B")',
    'throw error;',
    '// the parser asks for it\nthrow new Odd("a")',
    'Promise.any(a)',
    'z.any()',
    'if (!a) b();',
    'a !== b',
    'a != b',
    '// any',
    '"console.log"',
    'many(a)',
  ])('%s is left alone', (text) => {
    expect(findBannedWords([src(text)])).toEqual([]);
  });

  test('a skipped test with its reason is left alone', () => {
    expect(
      findBannedWords([
        src('// needs a compiler, which this machine lacks\ntest.skipIf(!has)("a", f)', 'test/a.test.ts'),
      ]),
    ).toEqual([]);
  });

  test('casts', () => {
    expect(findCasts([src('const a = b as C;')])).toHaveLength(1);
    expect(findCasts([src('const a = (b) as unknown as C;')])).toHaveLength(2);
    expect(findCasts([src('// the parser has checked it\nconst a = b as C;')])).toEqual([]);
    expect(findCasts([src('const a = b as C; // the parser has checked it')])).toEqual([]);
    expect(
      findCasts([
        src(
          "const a = [1] as const;\nimport { b as c } from './d.ts';\nexport { e as f };\nimport * as g from './h.ts';",
        ),
      ]),
    ).toEqual([]);
  });

  test('marks', () => {
    expect(findMarks([src('// @ts-ignore\n')])).toHaveLength(1);
    expect(findMarks([src('// @ts-expect-error\n')])).toHaveLength(1);
    expect(findMarks([src('// biome-ignore lint/a/b: x\n')])).toHaveLength(1);
    expect(findMarks([src(`// ${'TO'}DO later\n`)])).toHaveLength(1);
    expect(
      findMarks([
        src(
          '// biome-ignore lint/a/b: the loop is the point here\n// @ts-expect-error the wrong type is what is tested\n',
        ),
      ]),
    ).toEqual([]);
  });

  test('names', () => {
    expect(
      findNameFaults([
        'src/fooBar.ts',
        'src/utils.ts',
        'src/common/a.ts',
        'src/pool-manager.ts',
        'native/Scan.cc',
      ]),
    ).toHaveLength(5);
    expect(
      findNameFaults([
        'src/foo-bar.ts',
        'native/sse_split.cc',
        'docs/README.md',
        'test/a.test.ts',
        'src/commonality.ts',
      ]),
    ).toEqual([]);
    expect(findTypeNameFaults([src('interface IThing {}\nclass PoolManager {}')])).toHaveLength(2);
    expect(findTypeNameFaults([src('interface Identity {}\nclass Pool {}\ntype IO = 1;')])).toEqual([]);
  });
});

describe('shape', () => {
  test('headers', () => {
    expect(hasHeader('a.ts', '// What it is, who calls it.\n// What it promises to them.\n')).toBe(true);
    expect(
      hasHeader('a.ts', '#!/usr/bin/env bun\n// What it is, who calls it.\n// What it promises to them.\n'),
    ).toBe(true);
    expect(
      hasHeader('a.h', '#pragma once\n\n// What it is, who calls it.\n// What it promises to them.\n'),
    ).toBe(true);
    expect(hasHeader('a.ts', '/* What it is.\n   What it promises. */\n')).toBe(true);
    expect(hasHeader('a.ts', '// What it is, who calls it.\nimport a;')).toBe(false);
    expect(hasHeader('a.ts', "import a from 'b';\n// c\n// d\n")).toBe(false);
    expect(hasHeader('a.yaml', '// What it is, who calls it.\n// What it promises to them.\n')).toBe(false);
  });

  test('a .cc file may leave the telling to its .h file', () => {
    const line = '// The inner loop of the scan. Called by walk.cc. Promises: see skip.h.\n#include "skip.h"';
    const header = {
      path: 'native/skip.h',
      text: '// What it is, who calls it.\n// What it promises to them.',
    };
    expect(findHeaderless([{ path: 'native/skip.cc', text: line }, header])).toEqual([]);
    expect(findHeaderless([{ path: 'native/skip.cc', text: line }])).toHaveLength(1);
    expect(findHeaderless([{ path: 'native/skip.cc', text: '// short\n' }, header])).toHaveLength(1);
  });

  test('doc comments', () => {
    expect(findUndocumented([src('/** A. */\nexport const a = 1;\n\nexport const b = 2;')])).toEqual([
      expect.stringContaining(':4 exports b'),
    ]);
    expect(findUndocumented([src('// A.\nexport const a = 1;')])).toHaveLength(1);
    expect(
      findUndocumented([
        src('/** A. */\nexport function a(): void;\nexport function a(b?: string): void {}'),
      ]),
    ).toEqual([]);
  });

  test('a function is as long as its own lines, and an if is no function', () => {
    const sizes = measureFunctions(
      src(
        'function outer(a: { b: string }): Map<string, number> {\n  if (a) {\n    x;\n  }\n  const inner = (c) => {\n    y;\n    z;\n  };\n}',
      ),
    );
    expect(sizes.map((size) => [size.name, size.lines])).toEqual([
      ['inner', 4],
      ['outer', 6],
    ]);
    expect(
      measureFunctions(src('class A {\n  run(a): void {\n    for (;;) {\n    }\n  }\n}')).map((size) => [
        size.name,
        size.lines,
      ]),
    ).toEqual([['run', 4]]);
  });

  test('ceilings and their exceptions', () => {
    const sizes = new Map([
      ['a', 10],
      ['b', 20],
      ['c', 30],
    ]);
    expect(findOversized(sizes, 15, { c: 'a parser', a: 'no more' })).toEqual([
      expect.stringContaining('b has 20'),
      expect.stringContaining('a is excepted'),
    ]);
  });
});

describe('papers', () => {
  const paper = (text: string, path = 'docs/a.md') => ({ path, text });

  test('links', () => {
    const exists = (path: string): boolean => path === 'README.md';
    expect(
      findDeadLinks(
        paper('# The One\n[a](../README.md) [b](https://c.d) [e](#the-one) [f](gone.md) [g](#two)'),
        exists,
      ),
    ).toHaveLength(2);
    expect(findDeadLinks(paper('```\n[a](gone.md)\n```\n'), exists)).toEqual([]);
  });

  test('paths', () => {
    expect(
      findDeadPaths(
        paper('`src/a.ts` `src/gone.ts` `src/b/`'),
        (path) => path === 'src/a.ts' || path === 'src/b',
      ),
    ).toEqual([expect.stringContaining('src/gone.ts')]);
  });

  test('codes, both ways', () => {
    expect(compareCodes(paper('GW_A_ONE and GW_B_TWO'), ['GW_A_ONE', 'GW_C_THREE'])).toEqual([
      expect.stringContaining('GW_B_TWO'),
      expect.stringContaining('GW_C_THREE'),
    ]);
  });

  test('marked text and the table of phases', () => {
    expect(markedText(paper('a\n<!-- x -->\n\nb\n\n<!-- /x -->\nc'), 'x')).toBe('b');
    expect(markedText(paper('none'), 'x')).toBeNull();
    const table = phaseTable([{ name: 'scan', where: 'a/b.ts, c/', what: 'reads', exits: ['GW_A_B'] }]);
    expect(table.split('\n').at(-1)).toBe('| 1 | `scan` | reads | `src/a/b.ts`, `src/c/` | `GW_A_B` |');
  });

  test('versions', () => {
    const files = [
      src("const a = { version: '0.1.0' };"),
      src("const b = { version: '2.0' }; // version: '0.1.0'"),
    ];
    expect(findVersionFaults(files, '0.1.0')).toEqual([]);
    expect(findVersionFaults(files, '0.2.0')).toEqual([expect.stringContaining('src/mcp/a.ts:1')]);
  });

  test('package.json and decisions', () => {
    const file = {
      version: '1.0.0',
      scripts: { ok: 'bun scripts/ok.ts' },
      dependencies: { a: '1.0.0', '@b/c': '^1.0.0' },
    };
    expect(findPackageFaults(file, ['ok', 'test'], () => false)).toHaveLength(3);
    expect(findPackageFaults({ ...file, dependencies: {} }, ['ok'], () => true)).toEqual([]);
    expect(findUndecided(file, [paper('we use `a`')])).toEqual([expect.stringContaining('@b/c')]);
    expect(findDecisionFaults(paper('## Context\n'))).toHaveLength(3);
    expect(
      findDecisionFaults(
        paper(`## Context\n## Choice\n## Consequences\n## What would change our mind\n${'\n'.repeat(60)}`),
      ),
    ).toHaveLength(1);
  });
});
