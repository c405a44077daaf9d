// Runs the runtime's contract on every implementation.
// Called by bun test. Promises: the same tests on Bun and on the sim (on Node: runtime-node.test.ts), the latter from several seeds and over wires of several kinds.
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { runtimeContract } from './runtime.ts';
import { realWorld } from './runtime-real.ts';
import { simWorld } from './runtime-world.ts';

for (const transport of ['uwebsockets', 'sockets'] as const)
  runtimeContract(`bun, ${transport}`, () => realWorld(createBunRuntime(), transport));
for (const transport of ['uwebsockets', 'sockets'] as const)
  for (const seed of [1, 20_260_728])
    runtimeContract(`sim, ${transport}, seed ${seed}`, () => simWorld(seed, { transport }));
// Whatever the network does to the pieces.
for (const transport of ['uwebsockets', 'sockets'] as const)
  runtimeContract(`sim, ${transport}, bytes cut and joined`, () =>
    simWorld(7, { transport, splitShare: 0.5, joinShare: 0.5 }),
  );
