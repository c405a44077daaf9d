// `sluice serve`: the servers of a configuration and of the registry over HTTP.
// Called by program.ts. Promises: exit code 2 when the configuration is refused, before anything is started.
import type { Wanted } from '../control/plan.ts';
import type { Overrides } from './configure.ts';
import { serveUntilStopped } from './lifecycle.ts';
import { EXIT, type World, workersWanted } from './world.ts';

/** Options as the command line gives them. */
export interface ServeOptions extends Overrides {
  readonly config?: string;
  readonly welcome?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function serve(world: World, options: ServeOptions): Promise<number> {
  // The data plane loads in its threads while the configuration, its code included, is being worked on here; it seldom wants fewer of them.
  const { workers = 'auto' } = options;
  const { warmUp } = await import('../gateway.ts');
  const warm = warmUp(world.runtime, workersWanted(world, workers));
  const { findConfig, loadAgain, loadNothing, loadNamed, prepare } = await import('./configure.ts');
  const overrides: Overrides = { ...options, hasRegistry: true };
  const found = await findConfig(world, options.config);
  const loaded: Wanted | null =
    (found === null ? await loadNothing(world) : null) ?? (await loadNamed(world, found));
  const ready = loaded === null ? null : prepare(world, loaded, overrides);
  if (ready === null) {
    warm.discard();
    return EXIT.usage;
  }
  if (ready.dataDir === null)
    world.err(
      'note: nothing is kept: set dataDir, or HOME in the environment, so that sessions outlive a restart\n',
    );
  const source =
    found === null
      ? {}
      : { source: { path: found.path, load: () => loadAgain(world, { found, overrides }) } };
  const { withRegistry } = await import('./registered.ts');
  const registered = await withRegistry(world, ready, found);
  return serveUntilStopped(world, { ...registered, welcome: options.welcome === true, ...source }, warm);
}
