// `sluice serve`: the servers of a configuration over HTTP.
// Called by program.ts. Promises: exit code 2 when the configuration is refused, before anything is started.
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
  const { loadAgain, loadNamed, prepare } = await import('./configure.ts');
  const loaded = await loadNamed(world, options.config);
  const ready = loaded === null ? null : prepare(world, loaded, options);
  if (loaded === null || ready === null) {
    warm.discard();
    return EXIT.usage;
  }
  if (ready.dataDir === null)
    world.err(
      'note: nothing is kept: set dataDir, or HOME in the environment, so that sessions outlive a restart\n',
    );
  const { found } = loaded;
  const source = { path: found.path, load: () => loadAgain(world, { found, overrides: options }) };
  return serveUntilStopped(world, { ...ready, welcome: options.welcome === true, source }, warm);
}
