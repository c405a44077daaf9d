// Regression: a write between a child's death and the news of it must not throw (Bun raises EPIPE there; it took the data worker down).
// Run by `bun test`; real processes, ended by the test itself.
import { expect, test } from 'bun:test';
import { createBunRuntime } from '../../../src/runtime/bun.ts';

/** How long writing goes on without a turn of the loop, so that no news can come in between. */
const SPIN_MS = 60;

test('writes to a child that has just been killed neither throw nor keep its end from being told', async () => {
  const runtime = createBunRuntime();
  const line = new TextEncoder().encode('{"jsonrpc":"2.0"}\n');
  for (let round = 0; round < 5; round++) {
    const { promise: exited, resolve } = Promise.withResolvers<string | null>();
    const handler = {
      onStdout: () => undefined,
      onStderr: () => undefined,
      onDrain: () => undefined,
      onExit: (_code: number | null, signal: string | null) => resolve(signal),
    };
    const env = { PATH: Bun.env.PATH ?? '' };
    const child = runtime.spawn({ command: 'cat', args: [], cwd: null, env }, handler);
    child.write(line);
    await Bun.sleep(20);
    child.kill('SIGKILL');
    const until = performance.now() + SPIN_MS;
    while (performance.now() < until) child.write(line);
    child.closeStdin();
    expect(await exited).toBe('SIGKILL');
  }
});
