// Memory of process groups: what a process has started counts, what is gone does not.
// Run by bun test with real processes. Promises: waits for events, never for an amount of time; every process has ended when it ends.
import { afterEach, expect, test } from 'bun:test';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import { groupMemory } from '../../../src/runtime/process-memory.ts';
import type { Child, ChildHandler } from '../../../src/runtime/runtime.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { eventually } from '../../fixtures/places.ts';

const MIB = 1024 * 1024;
const HELD_MIB = 32;
const isLinux = process.platform === 'linux';
if (!isLinux) console.log('process-memory: only Linux tells how much memory a group holds');
const open: { readonly child: Child; readonly exited: Promise<void> }[] = [];

afterEach(async () => {
  for (const { child } of open) child.kill('SIGKILL');
  await Promise.all(open.splice(0).map(({ exited }) => exited));
});

function shell(script: string): Child {
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  const handler: ChildHandler = {
    onStdout: () => undefined,
    onStderr: () => undefined,
    onDrain: () => undefined,
    onExit: () => resolve(),
  };
  const options = { command: '/bin/sh', args: ['-c', script], cwd: null, env: { PATH: '/usr/bin:/bin' } };
  const child = createBunRuntime().spawn(options, handler);
  open.push({ child, exited });
  return child;
}

// Elsewhere nobody tells: groupMemory() is empty.
test.skipIf(!isLinux)('a group is measured whole, its grandchildren included', async () => {
  const small = shell('read -r line');
  const large = shell(
    `{ head -c ${HELD_MIB * MIB} /dev/zero; sleep 600; } | tail -c ${HELD_MIB * MIB} >/dev/null & read -r line`,
  );
  await eventually('the large one holds what it reads', async () => {
    return ((await groupMemory([large.pid])).get(large.pid) ?? 0) > HELD_MIB * MIB;
  });
  const held = await groupMemory([small.pid, large.pid, 2 ** 30]);
  expect([...held.keys()].sort()).toEqual([small.pid, large.pid].sort());
  expect(held.get(small.pid)).toBeGreaterThan(0);
  expect(held.get(small.pid)).toBeLessThan(HELD_MIB * MIB);
  expect((await groupMemory([])).size).toBe(0);
});

test('the simulated one says what its programs say', async () => {
  const sim = createSimRuntime({ seed: 1 });
  sim.program('server', (io) => {
    io.holdMemory(5);
    return { onStdin: () => io.holdMemory(7), onStdinEnd: () => io.exit(0) };
  });
  const handler: ChildHandler = {
    onStdout: () => undefined,
    onStderr: () => undefined,
    onDrain: () => undefined,
    onExit: () => undefined,
  };
  const child = sim.spawn({ command: 'server', args: [], cwd: null, env: {} }, handler);
  expect([...(await sim.groupMemory([child.pid, 1]))]).toEqual([[child.pid, 5]]);
  child.write(new Uint8Array(1));
  await sim.runUntilIdle();
  expect((await sim.groupMemory([child.pid])).get(child.pid)).toBe(7);
  child.closeStdin();
  await sim.runUntilIdle();
  expect((await sim.groupMemory([child.pid])).size).toBe(0);
});
