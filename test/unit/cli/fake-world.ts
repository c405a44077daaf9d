// A World whose output is kept and whose files are in memory, for tests of cli/.
// Called by tests only. Promises: nothing of the real process is touched; signals come when the test says so.
import { encode } from '../../../src/base/bytes.ts';
import type { World } from '../../../src/cli/world.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import { memoryFiles } from '../control/memory-files.ts';

/** A World and what a test may do to it. */
export interface FakeWorld {
  readonly world: World;
  out(): string;
  err(): string;
  signal(exitCode: number): void;
}

/** Makes one; `files` by absolute path, `stdin` is what can be read from standard input. */
export function fakeWorld(
  given: { files?: Record<string, string>; env?: Record<string, string>; stdin?: string } = {},
): FakeWorld {
  let out = '';
  let err = '';
  const callbacks: ((exitCode: number) => void)[] = [];
  const runtime = createBunRuntime();
  const world: World = {
    env: given.env ?? {},
    cwd: '/work',
    version: '9.9.9',
    runtime: {
      ...runtime,
      files: memoryFiles(given.files ?? {}),
      standard: {
        ...runtime.standard,
        readStdin: (onBytes, onEnd) => {
          for (const byte of encode(given.stdin ?? '')) onBytes(Uint8Array.of(byte));
          onEnd();
        },
      },
    },
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    isColourWanted: () => false,
    isStdinTerminal: () => false,
    openScreen: async () => null,
    onStopSignal: (callback) => {
      callbacks.push(callback);
    },
    onReloadSignal: () => undefined,
    sinceStartMs: () => 1,
  };
  return {
    world,
    out: () => out,
    err: () => err,
    signal: (exitCode) => {
      for (const callback of callbacks) callback(exitCode);
    },
  };
}
