// A gateway from its start to its end: ready line, welcome, reloads, drain on the first signal, stop on the second.
// Called by serve and run. Promises: resolves to the exit code once nothing is left running.
import { encode } from '../base/bytes.ts';
import { KeyKeeper } from '../control/keys.ts';
import type { WarmThreads } from '../gateway.ts';
import { createLog, type Level, type Log, type LogOutput } from '../observe/log.ts';
import { ssePath } from '../server/sse-place.ts';
import { governedBy, openAdmin } from './admin.ts';
import type { Ready } from './configure.ts';
import { Ending } from './ending.ts';
import { followSources, type Sources } from './reloads.ts';
import { openTraces, SPANS_CLOSE_MS } from './traces.ts';
import { EXIT, type World } from './world.ts';

/** How to serve; without a source SIGHUP ends the gateway. */
export interface ServeRequest extends Ready, Sources {
  /** Print what to try next. */
  readonly welcome: boolean;
}

/** Where log lines of this process go. */
function logOutput(world: World): LogOutput {
  const { standard, clock } = world.runtime;
  return { write: (line) => standard.writeStderr(encode(line)), wall: () => clock.wall() };
}

/** The log of this process, as the configuration has it; at another level when one is given. */
export function openLog(world: World, { snapshot, level }: Ready, least: Level = level): Log {
  const { format = 'json', rooms = {} } = snapshot.log ?? {};
  return createLog({ level: least, format, rooms }, logOutput(world));
}

/** Starts a gateway and stays until it is told to stop. */
export async function serveUntilStopped(
  world: World,
  request: ServeRequest,
  warm?: WarmThreads,
): Promise<number> {
  const { snapshot, scan, level, workers } = request;
  const { runtime } = world;
  const log = openLog(world, request).room('gateway');
  const startedAtMs = runtime.clock.wall();
  const keeper = new KeyKeeper({ ...runtime, log }, request.dataDir);
  const [keys, admin, traces, { startGateway }] = await Promise.all([
    keeper.refresh(),
    openAdmin(world, request, log),
    openTraces(world, request, log),
    import('../gateway.ts'),
  ]);
  const serversMore = request.registry === undefined ? 0 : request.config.registry.serversMax;
  const gateway = await startGateway(
    {
      runtime,
      snapshot,
      log,
      scan,
      logLevel: level,
      workers,
      serversMore,
      keys,
      ...(traces !== null && { onSpans: traces.take }),
    },
    warm,
  );
  keeper.watch((renewed) => gateway.renewKeys(renewed));
  const reloads = followSources(world, request, { gateway, log, running: request });
  // The gateway has logged why it died by then.
  const died = gateway.died.then(() => EXIT.failed);
  const ending = new Ending(gateway);
  world.onStopSignal((exitCode) => ending.ask(exitCode));
  const stopped = Promise.race([ending.over, died]);
  const { reloader } = reloads;
  admin?.open(governedBy({ ...{ world, log, gateway, reloader, startedAtMs, ending }, sources: request }));
  // Whoever starts the gateway waits for this line: it is written at every level but silent.
  const announce = openLog(world, request, level === 'silent' ? 'silent' : 'info');
  announce.info('ready', {
    url: gateway.url,
    urls: snapshot.endpoints.map((endpoint) => gateway.url + endpoint.path),
    ...(admin !== null && { adminUrl: admin.url }),
    sseUrls: snapshot.endpoints.map((endpoint) => gateway.url + ssePath(endpoint.path)),
    readyMs: world.sinceStartMs(),
    workers,
    scanner: gateway.scanner.name,
    kernel: gateway.scanner.kernel,
    scannerReason: gateway.scanner.reason,
    version: world.version,
  });
  if (request.welcome) {
    const { welcomeText } = await import('./welcome.ts');
    world.out(await welcomeText(gateway.url, snapshot, world.isColourWanted()));
  }
  try {
    return await stopped;
  } finally {
    admin?.stop();
    reloads.end();
    keeper.close();
    await traces?.close(SPANS_CLOSE_MS);
    await request.registry?.close();
  }
}
