// Runs the registry's contract on every store: in memory, and in a file with each SQLite binding.
// Called by bun test. Promises: each place is a directory of its own, removed at the end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenDatabase } from '../../src/control/registry/database.ts';
import { MemoryStore } from '../../src/control/registry/memory-store.ts';
import { databasesOf, openStore } from '../../src/control/registry/open.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { type StorePlace, storeContract } from './registry.ts';

const { files, clock } = createBunRuntime();

function inFile(open: OpenDatabase): () => StorePlace {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
    return {
      isKept: true,
      open: () => openStore({ files, clock, log: SILENT, open }, folder),
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  };
}

storeContract('memory', () => ({
  isKept: false,
  open: async () => new MemoryStore(() => Date.now(), 'nothing is kept'),
  remove: () => undefined,
}));

for (const runtime of ['bun', 'node'] as const) {
  const open = await databasesOf(runtime);
  if (open === null) console.log(`registry: ${runtime} has no SQLite here, its store is not run`);
  else storeContract(`SQLite of ${runtime}`, inFile(open));
}
