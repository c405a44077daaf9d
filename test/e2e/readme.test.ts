// The README's promises, word for word: the lines to try after `npm start` are those that `npm start` prints, and they work.
// Called by `bun test`. Promises: runs the command of package.json's `start` on a free port; everything started is ended.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scripts } from '../../package.json';

const ROOT = join(import.meta.dir, '..', '..');
const DEFAULT_URL = 'http://127.0.0.1:8700';
const START_WITHIN_MS = 20_000;

const readme = await Bun.file(join(ROOT, 'README.md')).text();

/** Lines of the README that a reader is told to type once the gateway serves. */
const tries = readme
  .split('\n')
  .filter((line) => line.startsWith('curl -s') || /^npx sluice (list|call)/.test(line));

let child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
/** Where this gateway keeps its keys. */
let state = '';
let url = '';
let printed = '';

/** Reads a stream until the text matches, and goes on reading it afterwards, so that the pipe never fills. */
function readUntil(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const read = async (): Promise<void> => {
      const decoder = new TextDecoder();
      let text = '';
      for await (const chunk of stream) {
        text += decoder.decode(chunk, { stream: true });
        if (pattern.test(text)) resolve(text);
      }
      reject(new Error(`ended before ${pattern}: ${text}`));
    };
    void read();
  });
}

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), 'sluice-readme-'));
  const [program = '', ...args] = scripts.start.split(' ');
  const path = `${join(ROOT, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`;
  child = Bun.spawn([program, ...args, '--port', '0'], {
    cwd: ROOT,
    env: { ...process.env, PATH: path, XDG_STATE_HOME: state },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [stderr, stdout] = await Promise.all([
    readUntil(child.stderr, /"msg":"ready".*\n/),
    readUntil(child.stdout, /Ctrl-C/),
  ]);
  url = /"url":"([^"]+)"/.exec(stderr)?.[1] ?? '';
  printed = stdout;
}, START_WITHIN_MS);

afterAll(async () => {
  child.kill('SIGTERM');
  await child.exited;
  rmSync(state, { recursive: true, force: true });
});

describe('README', () => {
  test('names the two commands', () => {
    expect(readme).toContain('\nnpm install && npm start\n');
    expect(readme).toContain('\nnpm install && npm test\n');
  });

  test('shows the lines that npm start prints', () => {
    const shown = printed
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line.startsWith('npx ') || line.startsWith('curl '))
      .map((line) => line.replace(` --url ${url}`, '').replaceAll(url, DEFAULT_URL));
    expect(tries).toEqual(shown);
  });

  test.each(tries)(
    'works as printed: %s',
    async (line) => {
      const here = line.startsWith('npx sluice')
        ? `${line.replace('npx sluice', 'bin/sluice')} --url ${url}`
        : line.replaceAll(DEFAULT_URL, url);
      const run = Bun.spawn(['sh', '-c', here], {
        cwd: ROOT,
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      });
      const [out, err, code] = await Promise.all([
        new Response(run.stdout).text(),
        new Response(run.stderr).text(),
        run.exited,
      ]);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      // list and curl show the demo's tools; the call tells the time
      expect(out).toMatch(line.includes(' call ') ? /\d\d:\d\d/ : /roll/);
    },
    15_000,
  );
});
