// What is put off: when it runs, in which order, and what a fault in it costs the others.
// Runs src/runtime/turn-end.ts.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { mayWait, putOff } from '../../../src/runtime/turn-end.ts';
import { ROOT } from '../../fixtures/harness.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what is put off', () => {
  test('runs after the microtasks of the turn, in order', async () => {
    const seen: string[] = [];
    putOff(() => seen.push('first'));
    putOff(() => seen.push('second'));
    queueMicrotask(() => seen.push('microtask'));
    await null;
    expect(seen).toEqual(['microtask']);
    await turn();
    expect(seen).toEqual(['microtask', 'first', 'second']);
  });

  test('while it runs, has its turn later', async () => {
    const seen: string[] = [];
    putOff(() => {
      seen.push('outer');
      putOff(() => seen.push('inner'));
    });
    putOff(() => seen.push('next'));
    await turn();
    await turn();
    expect(seen).toEqual(['outer', 'next', 'inner']);
  });

  test('and throws, is an uncaught exception of its own and costs the others nothing', async () => {
    const file = join(ROOT, 'src', 'runtime', 'turn-end.ts');
    const script = `import { putOff } from ${JSON.stringify(file)};
      process.on('uncaughtException', (error) => console.log('caught', error.message));
      putOff(() => { throw new Error('mine'); });
      putOff(() => console.log('done'));`;
    const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' });
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(text.trim().split('\n').sort()).toEqual(['caught mine', 'done']);
  });
});

test('refusals and streams do not wait', () => {
  const body = new Uint8Array(1);
  const headers = {};
  expect(mayWait({ status: 200, headers, body })).toBe(true);
  expect(mayWait({ status: 202, headers, body: null })).toBe(true);
  expect(mayWait({ status: 400, headers, body })).toBe(false);
  expect(mayWait({ status: 200, headers, body: { open: () => undefined } })).toBe(false);
});
