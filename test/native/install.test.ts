// The install script where there is nothing to build with, or nothing to build: run on a copy, so that the addon in use stays.
// Promises: no compilation takes place here; every ending that is not a build is seen. The copy has no program to bundle: test/e2e/bundle.test.ts has.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dir, '../..');
let copy = '';

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'sluice-install-'));
  for (const part of ['scripts/install.mjs', 'binding.gyp', 'native'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});

afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** Puts an addon of an older build in place, then runs the script. */
function install(
  env: Record<string, string>,
  ...args: string[]
): { code: number; out: string; err: string; stale: boolean } {
  mkdirSync(join(copy, 'build/Release'), { recursive: true });
  writeFileSync(join(copy, 'build/Release/sluice.node'), 'of an older build');
  writeFileSync(join(copy, 'build/sluice.stamp'), 'x');
  const done = Bun.spawnSync(['node', 'scripts/install.mjs', ...args], {
    cwd: copy,
    env: { ...process.env, ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const stale =
    existsSync(join(copy, 'build/Release/sluice.node')) || existsSync(join(copy, 'build/sluice.stamp'));
  return { code: done.exitCode, out: String(done.stdout), err: String(done.stderr), stale };
}

const NO_ADDON =
  /^sluice: no native scanner \([^\n]+\); the portable one serves\. Run `npm run build:native` after installing g\+\+ and make\.\n/;
const NO_BUNDLE = /\nsluice: no bundle \([^\n]+\); it starts from its sources, which takes longer\.\n$/;

/** One line for each of the two that this copy cannot have. */
function expectTwoLines(out: string): void {
  expect(out).toMatch(NO_ADDON);
  expect(out).toMatch(NO_BUNDLE);
  expect(out.split('\n')).toHaveLength(3);
}

test('without a compiler it says so in one line, goes on, and leaves no addon of an older build', () => {
  const { code, out, err, stale } = install({ CXX: 'false', CC: 'false' });
  expectTwoLines(out);
  expect([code, err, stale]).toEqual([0, '', false]);
});

test('without make it does the same', () => {
  // A compiler that answers, also where the tests themselves run with none.
  const { code, out, stale } = install({ MAKE: 'no-such-make', CXX: 'true', CC: 'true' });
  expectTwoLines(out);
  expect(out).toContain('no-such-make');
  expect([code, stale]).toEqual([0, false]);
});

test('a processor that is none is refused before anything is built', () => {
  const { code, out } = install({ SLUICE_MARCH: 'x; rm -rf /' });
  expectTwoLines(out);
  expect(code).toBe(0);
});

test('--require makes any of it a failure', () => {
  const { code, out, err, stale } = install({ CXX: 'false', CC: 'false' }, '--require');
  expect([code, out, stale]).toEqual([1, '', false]);
  expect(err).toContain('Cannot build the native scanner'.toLowerCase());
});
