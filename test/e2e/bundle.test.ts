// The bundle that an installation makes, and when bin/sluice starts it: in a copy of the package, installed where no compiler is to be had.
// Run by bun test. Promises: every process has ended when the file has; the sources and the build of the tree are only read.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer } from '../../examples/demo-http.ts';
import { ROOT } from '../fixtures/harness.ts';

const PATIENCE_MS = 60_000;
const ADDON = 'build/Release/sluice.node';

let copy = '';
let installed: Outcome;
const at = (path: string): string => join(copy, path);

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(command: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: copy,
    env: { PATH: process.env.PATH ?? '', HOME: copy, NO_COLOR: '1', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: PATIENCE_MS,
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

const install = (): Promise<Outcome> => run(['node', 'scripts/install.mjs'], { CXX: 'false', CC: 'false' });
const version = (env: Record<string, string> = {}): Promise<Outcome> =>
  run([at('bin/sluice'), '--version'], env);

/** Does something to a file or folder and lets it look as it was before. */
function unnoticed(path: string, change: () => void): void {
  const { atime, mtime } = statSync(at(path));
  change();
  utimesSync(at(path), atime, mtime);
}

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
  for (const part of ['bin', 'src', 'scripts', 'native', 'binding.gyp', 'package.json', 'tsconfig.json'])
    cpSync(join(ROOT, part), at(part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), at('node_modules'));
  installed = await install();
  // From here on the sources tell when they are what runs.
  for (const path of ['src/main.ts', 'src/thread.ts'])
    unnoticed(path, () => writeFileSync(at(path), "console.log('sources');\n"));
  // The addon of the tree, if there is one: the installation of the copy has made none.
  if (existsSync(join(ROOT, ADDON))) cpSync(join(ROOT, ADDON), at(ADDON), { recursive: true });
}, PATIENCE_MS);

afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe('the installation', () => {
  test('makes it, says nothing of it, and leaves nothing else', () => {
    expect(installed).toMatchObject({ code: 0, err: '' });
    expect(installed.out).toMatch(/^sluice: no native scanner [^\n]+\n$/);
    expect(existsSync(at('build/app/stamp'))).toBe(true);
    expect(readdirSync(at('build')).filter((name) => name !== 'Release')).toEqual(['app']);
    const page = readdirSync(at('build/app/ui')).map((name) => name.replace(/-\w+\./, '.'));
    expect(page.sort()).toEqual(['index.css', 'index.html', 'index.js']);
  });

  test(
    'what cannot be bundled is said in one line, and the sources serve',
    async () => {
      const other = copy;
      copy = mkdtempSync(join(tmpdir(), 'sluice-broken-'));
      try {
        for (const part of ['bin', 'scripts', 'native', 'binding.gyp', 'package.json'])
          cpSync(join(other, part), at(part), { recursive: true });
        cpSync(join(other, 'src/main.ts'), at('src/main.ts'), { recursive: true });
        writeFileSync(at('src/thread.ts'), 'const = 1;\n');
        symlinkSync(join(ROOT, 'node_modules'), at('node_modules'));
        const { code, out, err } = await install();
        expect([code, err]).toEqual([0, '']);
        expect(out).toMatch(
          /^sluice: no native[^\n]+\nsluice: no bundle \([^\n]+\); it starts from its sources[^\n]+\n$/,
        );
        expect(readdirSync(at('build'))).toEqual([]);
        expect((await version()).out).toBe('sources\n');
      } finally {
        rmSync(copy, { recursive: true, force: true });
        copy = other;
      }
    },
    PATIENCE_MS,
  );
});

describe('bin/sluice', () => {
  test('starts the bundle while no source is newer, through links too', async () => {
    const { out } = await version();
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
    symlinkSync(at('bin/sluice'), at('link'));
    expect((await run([at('link'), '--version'])).out).toBe(out);
  });

  test('starts the sources when asked to', async () => {
    expect((await version({ SLUICE_SOURCES: '1' })).out).toBe('sources\n');
  });

  test('starts the sources when one of them, or package.json, is newer', async () => {
    for (const path of ['src/gateway.ts', 'src/base/limits.ts', 'src/cli/bench/load.ts', 'package.json']) {
      const { atime, mtime } = statSync(at(path));
      const now = new Date();
      utimesSync(at(path), now, now);
      expect([path, (await version()).out]).toEqual([path, 'sources\n']);
      utimesSync(at(path), atime, mtime);
      expect([path, (await version()).out]).not.toEqual([path, 'sources\n']);
    }
  });

  test('starts the sources when one came or went', async () => {
    const { atime, mtime } = statSync(at('src/cli'));
    writeFileSync(at('src/cli/more.ts'), '');
    utimesSync(at('src/cli/more.ts'), 1, 1);
    expect((await version()).out).toBe('sources\n');
    utimesSync(at('src/cli'), atime, mtime);
    expect((await version()).out).not.toBe('sources\n');
    rmSync(at('src/cli/more.ts'));
    expect((await version()).out).toBe('sources\n');
    utimesSync(at('src/cli'), atime, mtime);
  });

  test('looks at every source: none lies deeper than it looks', () => {
    const depths = readdirSync(join(ROOT, 'src'), { recursive: true }).map(
      (path) => String(path).split('/').length,
    );
    expect(Math.max(...depths)).toBeLessThanOrEqual(3);
  });

  test('starts a script of the package in its place, and names what it would have started', async () => {
    writeFileSync(at('entry.ts'), 'console.log(process.env.SLUICE_MAIN, process.argv.slice(2).join());\n');
    const env = { SLUICE_ENTRY: at('entry.ts') };
    expect((await run(['bin/sluice', 'a', 'b'], env)).out).toBe('bin/../build/app/main.js a,b\n');
    expect((await run(['bin/sluice'], { ...env, SLUICE_SOURCES: '1' })).out).toBe('bin/../src/main.ts \n');
  });
});

describe('the bundle', () => {
  test(
    'serves calls with two workers, on the addon if there is one, and writes nothing beside itself',
    async () => {
      const listing = (): string[] => readdirSync(at('build'), { recursive: true }).map(String).sort();
      const before = listing();
      const demo = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: answer });
      // YAML, whose reader is a part that is loaded on demand.
      writeFileSync(
        at('sluice.yaml'),
        `listen: { port: 0 }\nservers: { clock: { url: "${demo.url}mcp" } }\n`,
      );
      const gateway = Bun.spawn([at('bin/sluice'), 'serve', '--workers', '2'], {
        cwd: copy,
        env: { PATH: process.env.PATH ?? '', HOME: copy },
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'pipe',
        timeout: PATIENCE_MS,
      });
      try {
        let log = '';
        const decoder = new TextDecoder();
        for await (const bytes of gateway.stderr) {
          log += decoder.decode(bytes, { stream: true });
          if (/"msg":"ready"[^\n]*\n/.test(log)) break;
        }
        const ready = JSON.parse(log.split('\n').find((line) => line.includes('"msg":"ready"')) ?? log);
        expect(ready).toMatchObject({ workers: 2, scanner: existsSync(at(ADDON)) ? 'addon' : 'portable' });
        // `call` loads the client of the SDK from its part.
        const called = await run([
          at('bin/sluice'),
          'call',
          'clock',
          'roll',
          '{"count":3}',
          '--json',
          '--url',
          ready.url,
        ]);
        expect(called).toMatchObject({ code: 0, err: '' });
        expect(JSON.parse(called.out).structuredContent.rolls).toHaveLength(3);
        // The dashboard, from beside the program.
        const page = await fetch(ready.adminUrl);
        const script = /src="(\/assets\/index-\w+\.js)"/.exec(await page.text())?.[1] ?? 'none';
        const served = await fetch(new URL(script, ready.adminUrl));
        expect([page.status, served.status]).toEqual([200, 200]);
        expect(served.headers.get('cache-control')).toContain('immutable');
        expect(listing()).toEqual(before);
      } finally {
        gateway.kill('SIGTERM');
        expect(await gateway.exited).toBe(0);
        await demo.stop(true);
      }
    },
    PATIENCE_MS,
  );

  test('stacks name the sources', async () => {
    // No arguments at all are a fault of the program's own, which it prints.
    writeFileSync(at('stack.ts'), "await (await import('./build/app/main.js')).main(null);\n");
    const { code, err } = await run([process.execPath, at('stack.ts')]);
    expect(code).toBe(1);
    expect(err).toMatch(/at runProgram .*src\/cli\/program\.ts:\d+/);
  });
});
