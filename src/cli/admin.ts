// The admin listener of a command that serves: its token, its address, and the running gateway behind it.
// Called by lifecycle.ts. Promises: a gateway whose admin port nobody chose serves without it when it is taken; the token is printed once, when it is made.
import { GatewayError } from '../base/errors.ts';
import { FixedServers } from '../control/admin/fixed-servers.ts';
import type { Governed } from '../control/admin/governed.ts';
import { AdminDoor } from '../control/admin/listener.ts';
import { adminToken } from '../control/admin/token.ts';
import { ADMIN_PORT } from '../control/admin-schema.ts';
import { allowedHosts } from '../control/compile.ts';
import type { Reloader } from '../control/reload.ts';
import type { Gateway } from '../gateway.ts';
import type { Log } from '../observe/log.ts';
import { ssePath } from '../server/sse-place.ts';
import type { Ready } from './configure.ts';
import type { Ending } from './ending.ts';
import type { Sources } from './reloads.ts';
import type { World } from './world.ts';

/** Listens where the configuration wants it; null: it wants none, or the port that nobody chose is taken. Throws GW_RUNTIME_LISTEN for one that was chosen. */
export async function openAdmin(world: World, ready: Ready, log: Log): Promise<AdminDoor | null> {
  const { admin, listen } = ready.config;
  if (!admin.enabled) return null;
  const { runtime } = world;
  const { token, isNew } = await adminToken(
    { files: runtime.files, random: runtime.random, log },
    { configured: admin.token, folder: ready.dataDir },
  );
  const guard = {
    token,
    allowedHosts: allowedHosts(admin.host, admin.allowedHosts),
    allowedOrigins: admin.allowedOrigins.map((origin) => origin.toLowerCase()),
  };
  const port = admin.port ?? (listen.port === 0 ? 0 : ADMIN_PORT);
  try {
    const door = new AdminDoor({ runtime, host: admin.host, port, guard });
    if (isNew) world.err(`dashboard: ${door.url}/#token=${token}\n`);
    return door;
  } catch (thrown) {
    if (admin.port !== undefined || !(thrown instanceof GatewayError)) throw thrown;
    log.warn('the admin port is taken: serving without dashboard, API and metrics', {
      port,
      remedy: 'set admin.port (0 takes any free one), or admin.enabled: false',
    });
    return null;
  }
}

/** What the admin API governs. */
interface GovernedParts {
  readonly world: World;
  readonly log: Log;
  readonly gateway: Gateway;
  readonly reloader: Reloader;
  readonly sources: Sources;
  readonly ending: Ending;
  /** Wall clock in ms. */
  readonly startedAtMs: number;
}

/** A running gateway as the admin API sees it. */
export function governedBy({ world, log, gateway, reloader, ...rest }: GovernedParts): Governed {
  const { sources, ending, startedAtMs } = rest;
  return {
    ...{ log, startedAtMs, ssePath },
    runtime: world.runtime,
    version: world.version,
    pid: process.pid,
    url: gateway.url,
    scanner: gateway.scanner,
    configPath: sources.source?.path ?? null,
    memory: gateway.memory,
    registry: sources.registry ?? new FixedServers(() => reloader.running.config, log),
    settings: () => reloader.running,
    snapshot: () => gateway.snapshot,
    stats: (servers) => gateway.stats(servers),
    inspect: (servers) => gateway.inspect(servers),
    act: (deed) => gateway.act(deed),
    readiness: () => gateway.readiness(),
    isDraining: () => ending.hasBegun,
    reload: (isTrial) => (isTrial ? reloader.trial() : reloader.ask()),
    drain: () => ending.ask(null),
  };
}
