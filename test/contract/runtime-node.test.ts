// Runs the runtime's contract inside Node: bundles the suites, with node:test in the place of bun:test, and runs them there.
// Called by bun test. Promises: a suite that fails, or does not run, fails here with what Node said; without a Node the tests are skipped with a word.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BunPlugin } from 'bun';
import { ON_NODE, ROOT } from '../fixtures/harness.ts';
import { NODE } from '../fixtures/node-build.ts';

/** In the tree, so that Node finds its packages. */
const FOLDER = join(ROOT, 'dist', `test-node-${process.pid}`);
const SUITE_MS_MAX = 240_000;
const ENTRIES = ['runtime-node.ts', 'runtime-thread.ts', 'runtime-process.ts'];
/** Fewer mean that the suites have lost their tests. */
const TESTS_MIN = 120;

const twin: BunPlugin = {
  name: 'bun:test on node:test',
  setup(build) {
    build.onResolve({ filter: /^bun:test$/ }, () => ({ path: join(ROOT, 'test/fixtures/node-test.ts') }));
  },
};

/** It takes a minute: a part of `SLUICE_RUNTIME=node npm test`, and thereby of CI. */
const SKIPPED = !ON_NODE ? 'SLUICE_RUNTIME=node asks for it' : NODE === null ? 'no node in the PATH' : null;

if (SKIPPED !== null) console.warn(`the contract on Node is skipped: ${SKIPPED}`);

// As printed above.
describe.skipIf(SKIPPED !== null)('runtime contract on Node', () => {
  beforeAll(async () => {
    await Bun.build({
      entrypoints: ENTRIES.map((name) => join(import.meta.dir, name)),
      outdir: FOLDER,
      target: 'node',
      format: 'esm',
      // What only Bun can load stays in a chunk that nobody asks for.
      splitting: true,
      plugins: [twin],
    });
  });
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

  test(
    'every test of the suites passes',
    async () => {
      const child = Bun.spawn(
        [NODE ?? '', '--test', '--test-reporter=tap', join(FOLDER, 'runtime-node.js')],
        {
          stdout: 'pipe',
          stderr: 'pipe',
          timeout: SUITE_MS_MAX,
        },
      );
      const [out, err] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      const count = (word: string): number =>
        Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(out)?.[1] ?? -1);
      const faults = out.match(/^ *not ok [^\n]*\n(?: +[^\n]*\n)*/gm) ?? [];
      expect(faults.join('\n').slice(0, 20_000)).toBe('');
      expect([count('fail'), count('cancelled'), child.exitCode], `${err}\n${out.slice(-2_000)}`).toEqual([
        0, 0, 0,
      ]);
      console.log(`the contract on Node: ${count('pass')} tests passed`);
      expect(count('pass')).toBeGreaterThanOrEqual(TESTS_MIN);
    },
    SUITE_MS_MAX,
  );
});
