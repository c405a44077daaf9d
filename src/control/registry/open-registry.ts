// The registry of a gateway that starts.
// Called by cli/serve.ts. Promises: never rejects; whatever state the file is in, the gateway can serve, and the registry says how it is.
import type { Log } from '../../observe/log.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { Wanted } from '../plan.ts';
import type { Environment } from '../references.ts';
import { LiveRegistry } from './live-registry.ts';
import { databasesOf, openStore } from './open.ts';

/** What opening takes. */
export interface OpenRequest {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Where data is kept; null: nowhere. */
  readonly dataDir: string | null;
  readonly env: Environment;
  /** Relative paths in settings are taken from here. */
  readonly directory: string;
  /** What the file says. */
  readonly base: Wanted;
}

/** Opens the registry. */
export async function openRegistry({
  runtime,
  log,
  dataDir,
  env,
  directory,
  base,
}: OpenRequest): Promise<LiveRegistry> {
  const { files, clock } = runtime;
  const store = await openStore({ files, clock, log, open: await databasesOf(runtime.name) }, dataDir);
  return new LiveRegistry({ store, clock, log, base, files, env, directory });
}
