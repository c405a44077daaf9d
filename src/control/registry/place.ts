// Where a registry is.
// Called by open.ts, copy.ts and cli/. Promises: loads nothing else, so that a gateway without a registry pays nothing for it.
import type { Files } from '../../runtime/runtime.ts';

/** Path of the registry's file in a data directory. */
export function registryPath(dataDir: string): string {
  return `${dataDir}/registry.db`;
}

/** Path of the copy beside a registry's file. */
export function copyPathOf(path: string): string {
  return `${path.replace(/\.db$/, '')}.last-good.json`;
}

/** True when there is a registry in a data directory, or what is left of one. */
export async function hasRegistry(files: Files, dataDir: string): Promise<boolean> {
  const path = registryPath(dataDir);
  return (await files.exists(path)) || files.exists(copyPathOf(path));
}
