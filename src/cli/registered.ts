// What a command is ready to serve, with the servers of the registry.
// Called by serve.ts, once the data plane's threads are loading. Promises: as control/registry/open-registry.ts: never rejects for the state that a registry is in.
import { compile } from '../control/compile.ts';
import { directoryOf } from '../control/place.ts';
import type { LiveRegistry } from '../control/registry/live-registry.ts';
import { openRegistry } from '../control/registry/open-registry.ts';
import type { FoundConfig, Ready } from './configure.ts';
import { openLog } from './lifecycle.ts';
import type { World } from './world.ts';

/** What is ready, with the servers of the registry. */
export async function withRegistry(
  world: World,
  ready: Ready,
  found: FoundConfig | null,
): Promise<Ready & { readonly registry?: LiveRegistry }> {
  if (!ready.config.registry.enabled) return ready;
  const registry = await openRegistry({
    runtime: world.runtime,
    log: openLog(world, ready).room('control'),
    dataDir: ready.dataDir,
    env: world.env,
    // As in the file, so that a server means the same in both.
    directory: found === null ? world.cwd : directoryOf(found.path),
    base: ready,
  });
  const { config, material } = await registry.merge(null);
  const snapshot = compile({ config, material, env: world.env, epoch: ready.snapshot.epoch });
  return { ...ready, config, material, snapshot, registry };
}
