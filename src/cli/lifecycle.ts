// A gateway from its start to its end: ready line, welcome, reloads, drain on the first signal, stop on the second.
// Called by serve and run. Promises: resolves to the exit code once nothing is left running.
import { encode } from '../base/bytes.ts';
import { KeyKeeper } from '../control/keys.ts';
import { Reloader, type ReloaderParts } from '../control/reload.ts';
import type { Gateway, WarmThreads } from '../gateway.ts';
import { createLog, type Level, type Log, type LogOutput } from '../observe/log.ts';
import { ssePath } from '../server/sse-place.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Ready } from './configure.ts';
import { EXIT, type World } from './world.ts';

/** How to serve. */
export interface ServeRequest extends Ready {
  /** Print what to try next. */
  readonly welcome: boolean;
  /** The file that it is from, and how to read it anew; left out: there is none, and SIGHUP ends the gateway. */
  readonly source?: { readonly path: string; readonly load: ReloaderParts['load'] };
}

/** Where log lines of this process go. */
function logOutput(world: World): LogOutput {
  const { standard, clock } = world.runtime;
  return { write: (line) => standard.writeStderr(encode(line)), wall: () => clock.wall() };
}

/** The log for a level. */
export function openLog(world: World, level: Level): Log {
  return createLog(level, logOutput(world));
}

/** Starts a gateway and stays until it is told to stop. */
export async function serveUntilStopped(
  world: World,
  request: ServeRequest,
  warm?: WarmThreads,
): Promise<number> {
  const { snapshot, scan, level, workers } = request;
  const { runtime } = world;
  const log = openLog(world, level);
  const keeper = new KeyKeeper({ ...runtime, log }, request.dataDir);
  const [keys, { startGateway }] = await Promise.all([keeper.refresh(), import('../gateway.ts')]);
  const gateway = await startGateway({ runtime, snapshot, log, scan, logLevel: level, workers, keys }, warm);
  keeper.watch((renewed) => gateway.renewKeys(renewed));
  const unwatch = followSource(world, request, { gateway, log });
  // The gateway has logged why it died by then.
  const died = gateway.died.then(() => EXIT.failed);
  const stopped = Promise.race([untilStopped(world, gateway), died]);
  // Whoever starts the gateway waits for this line: it is written at every level but silent.
  const announce = openLog(world, level === 'silent' ? 'silent' : 'info');
  announce.info('ready', {
    url: gateway.url,
    urls: snapshot.endpoints.map((endpoint) => gateway.url + endpoint.path),
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
    unwatch();
    keeper.close();
  }
}

/** Takes up what changes in the configuration's file, at once and on SIGHUP. Returns what ends that. */
function followSource(
  world: World,
  request: ServeRequest,
  { gateway, log }: { readonly gateway: Gateway; readonly log: Log },
): () => void {
  const { source } = request;
  if (source === undefined) return () => undefined;
  const { files, clock } = world.runtime;
  const apply = (snapshot: Snapshot): Promise<void> => gateway.reload(snapshot);
  const reloader = new Reloader({ load: source.load, apply, env: world.env, log, clock }, request);
  world.onReloadSignal(() => void reloader.request('signal'));
  const unwatch = files.watch(source.path, () => void reloader.request('file'));
  // It may have changed while the gateway started.
  void reloader.request('file');
  return unwatch;
}

/** The part of a gateway that a signal needs. */
export interface Stoppable {
  drain(): Promise<void>;
  stop(): void;
}

/** First signal: drain, then exit code 0. Second signal: stop at once, with the signal's exit code. */
export function untilStopped(world: World, gateway: Stoppable): Promise<number> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    world.onStopSignal((exitCode) => {
      signals++;
      if (signals === 1) gateway.drain().then(() => resolve(EXIT.ok), reject);
      else {
        gateway.stop();
        resolve(exitCode);
      }
    });
  });
}
