// `sluice serve`: the servers of a configuration over HTTP.
// Called by program.ts. Promises: exit code 2 when the configuration is refused, before anything is started.
import { loadNamed, type Overrides, prepare } from './configure.ts';
import { serveUntilStopped } from './lifecycle.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface ServeOptions extends Overrides {
  readonly config?: string;
  readonly welcome?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function serve(world: World, options: ServeOptions): Promise<number> {
  // The data plane loads in its thread while the configuration is being worked on here.
  const warming = import('../gateway.ts').then(({ warmUp }) => warmUp(world.runtime));
  const loaded = await loadNamed(world, options.config);
  const ready = loaded === null ? null : prepare(world, loaded, options);
  const warm = await warming;
  if (ready === null) {
    warm.discard();
    return EXIT.usage;
  }
  return serveUntilStopped(world, { ...ready, welcome: options.welcome === true }, warm);
}
