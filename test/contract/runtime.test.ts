// Runs the runtime's contract on every implementation.
// Called by bun test. Promises: the same tests on Bun and on the sim, the latter from several seeds.
import { runtimeContract } from './runtime.ts';
import { bunWorld, simWorld } from './runtime-world.ts';

for (const transport of ['uwebsockets', 'sockets'] as const)
  runtimeContract(`bun, ${transport}`, () => bunWorld(transport));
for (const seed of [1, 20_260_728]) runtimeContract(`sim, seed ${seed}`, () => simWorld(seed));
