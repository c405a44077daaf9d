// Runs the registry's contract on every store: in memory, and in a file with each SQLite binding.
// Called by bun test; on Node its SQLite is run by runtime-node.ts. Promises: each place is a directory of its own, removed at the end.
import { MemoryStore } from '../../src/control/registry/memory-store.ts';
import { databasesOf } from '../../src/control/registry/open.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { inFile, storeContract } from './registry.ts';

storeContract('memory', () => ({
  isKept: false,
  open: async () => new MemoryStore(() => Date.now(), 'nothing is kept'),
  remove: () => undefined,
}));

for (const runtime of ['bun', 'node'] as const) {
  const open = await databasesOf(runtime);
  if (open === null) console.log(`registry: ${runtime} has no SQLite here, its store is not run`);
  else storeContract(`SQLite of ${runtime}`, inFile(createBunRuntime(), open));
}
