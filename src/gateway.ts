// The composition root: starts the data workers over a snapshot, and ends them properly.
// Called by cli/serve, cli/run and cli/stdio. Promises: startGateway resolves when every worker listens or rejects with a GatewayError; nobody else
// listens on the port; drain is bounded by the snapshot's drainMs and the children's grace.

import { GatewayError } from './base/errors.ts';
import { freshKeyRing } from './bridge/seal.ts';
import { Fleet } from './gateway/fleet.ts';
import type { GatewayStats } from './gateway/survey.ts';
import { ThreadLink } from './gateway/thread-link.ts';
import type { PlaneMemory } from './memory/memory.ts';
import type { Deed, Inspection } from './observe/inspection.ts';
import type { Level, Log } from './observe/log.ts';
import type { SpanBatch } from './observe/trace.ts';
import type { Runtime } from './runtime/runtime.ts';
import type { ReadinessCheck } from './server/readiness.ts';
import type { KeyRing, Snapshot } from './snapshot.ts';
import type { PlaneAddress } from './worker.ts';

/** What a gateway is made of. */
export interface GatewayOptions {
  readonly runtime: Runtime;
  readonly snapshot: Snapshot;
  readonly log: Log;
  readonly scan: 'auto' | 'addon' | 'portable';
  readonly logLevel: Level;
  /** Data workers, 1 to LIMITS.workersMax; left out: 1. */
  readonly workers?: number;
  /** Servers that reloads may add, for which memory is set aside; left out: as many as there are. */
  readonly serversMore?: number;
  /** What session ids are sealed with; left out: a key that ends with this gateway. */
  readonly keys?: KeyRing;
  /** Takes the spans of exchanges that are sampled; left out: nobody wants them. */
  readonly onSpans?: (batch: SpanBatch) => void;
}

/** A running gateway. */
export interface Gateway {
  readonly host: string;
  readonly port: number;
  /** Base URL, without a path. */
  readonly url: string;
  /** Scanner and kernel in use, and why. */
  readonly scanner: { readonly name: string; readonly kernel: string; readonly reason: string };
  /** What all workers share; whoever sums it up reads it and writes nothing. */
  readonly memory: PlaneMemory;
  /** In force, with the places of its cells in that memory; another one after a reload. */
  readonly snapshot: Snapshot;
  /** `servers`: of these alone, sessions included; with none of them, sums over all and no server's numbers. */
  stats(servers?: readonly string[]): Promise<GatewayStats>;
  /**
   * Sessions, parked calls, processes, eras and failures, for somebody who looks; `servers`: what these are alone, at a cost that does not grow with the others. Rejects with
   * GW_RUNTIME_WORKER once it has ended.
   */
  inspect(servers?: readonly string[]): Promise<Inspection>;
  /** Does what an operator asks; how much there was to do. Rejects, and nothing has changed, when it cannot be done. */
  act(deed: Deed): Promise<number>;
  /** Everything without which it is not ready, as /readyz has it; what a server failed of in its own words, inspect() tells. */
  readiness(): Promise<readonly ReadinessCheck[]>;
  /** Hands changed keys to every worker, also to those that start later. */
  renewKeys(keys: KeyRing): void;
  /**
   * Puts another snapshot in force in every worker: what stays the same in it serves on as if nothing had happened, what it leaves out finishes what it runs.
   * Rejects, and nothing has changed, when that cannot be done (GW_CONFIG_ROOM: not without a restart). Where it listens is not for a reload to change.
   */
  reload(snapshot: Snapshot): Promise<void>;
  /** Ends a data worker as a crash would, by its index; another life of it begins at once. False when that one is down already. */
  endWorker(index: number): boolean;
  /** Resolves only if a worker cannot be brought back, with the reason: the process should then end with an error. */
  readonly died: Promise<GatewayError>;
  /** Lets running exchanges finish, then closes everything; resolves when nothing is left. */
  drain(): Promise<void>;
  /** Closes everything at once. */
  stop(): void;
}

/** URL of a host and port; IPv6 addresses get their brackets, wildcard addresses a name that can be reached. */
export function baseUrl(host: string, port: number, isSecure: boolean): string {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${isSecure ? 'https' : 'http'}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** Data-plane threads that load their code while the configuration is still being read. */
export interface WarmThreads {
  /** A warm one, else a fresh one. */
  take(): ThreadLink;
  /** Ends those that nobody took. */
  discard(): void;
}

/** Starts threads ahead of their snapshot: half of the time to readiness is the loading of code. */
export function warmUp(runtime: Runtime, count = 1): WarmThreads {
  const links = Array.from({ length: count }, () => new ThreadLink(runtime));
  return {
    take: () => links.shift() ?? new ThreadLink(runtime),
    discard: () => {
      for (const link of links.splice(0)) link.end();
    },
  };
}

/**
 * Several listeners share a port when all ask for it, those of a second gateway of this user too: whoever has it for itself for a moment knows that
 * it was free, and which one it is when any will do.
 */
function claimAddress(runtime: Runtime, snapshot: Snapshot, workers: number): PlaneAddress {
  const { listen } = snapshot;
  if (workers === 1) return { port: listen.port, reusePort: false };
  const probe = runtime.listen({ ...listen, reusePort: false, bodyBytesMax: 0 }, () => ({
    status: 503,
    headers: {},
    body: null,
  }));
  probe.stop();
  return { port: probe.port, reusePort: true };
}

/** Starts the data plane in threads (warm ones first, if there are any) and resolves when every one listens. */
export async function startGateway(
  options: GatewayOptions,
  warm: WarmThreads = warmUp(options.runtime),
): Promise<Gateway> {
  const { runtime, snapshot, log, scan, logLevel: level, workers = 1 } = options;
  const keys = options.keys ?? freshKeyRing(runtime.random);
  try {
    const address = claimAddress(runtime, snapshot, workers);
    const thread = (): ThreadLink => {
      const link = warm.take();
      if (options.onSpans !== undefined) link.onSpans = options.onSpans;
      return link;
    };
    const { serversMore = 0 } = options;
    const fleet = new Fleet({
      ...{ runtime, snapshot, log, scan, level, keys, workers, serversMore, address, thread },
    });
    const first = await fleet.start();
    return {
      host: first.host,
      port: first.port,
      url: baseUrl(first.host, first.port, snapshot.listen.tls !== null),
      scanner: { name: first.scanner, kernel: first.kernel, reason: first.reason },
      memory: fleet.memory,
      get snapshot() {
        return fleet.snapshot;
      },
      stats: (servers) => fleet.survey.stats(servers),
      inspect: (servers) => fleet.survey.inspect(servers),
      act: (deed) => (deed.kind === 'restart-server' ? fleet.renew(deed.server) : fleet.survey.act(deed)),
      readiness: () => Promise.resolve(fleet.survey.readiness()),
      renewKeys: (renewed) => fleet.renewKeys(renewed),
      reload: (next) => fleet.reload(next),
      endWorker: (index) => fleet.endWorker(index),
      died: fleet.died,
      drain: () => fleet.drain(),
      stop: () => fleet.stop(),
    };
  } finally {
    warm.discard();
  }
}

/** A gateway on stdin and stdout. */
export interface StdioGateway {
  /** Resolves when the client closed stdin and everything has ended. */
  readonly ended: Promise<void>;
  /** Lets what runs finish, then closes everything, children too; resolves when nothing is left. */
  drain(): Promise<void>;
  /** Closes everything at once. */
  stop(): void;
}

/** Serves the endpoint /mcp on stdin and stdout; resolves once it does. */
export async function startStdio(options: GatewayOptions): Promise<StdioGateway> {
  const { runtime, snapshot, log } = options;
  const endpoint = snapshot.endpoints.find((one) => one.path === '/mcp');
  if (endpoint === undefined) throw new GatewayError('GW_CONFIG_VALUE', 'no server is enabled');
  // Loaded here and not above: where a thread serves, this thread never needs the data plane's code.
  const [{ chooseScanner }, { tracerOf }, { accessLogOf }, { DataPlane }] = await Promise.all([
    import('./scan/scan.ts'),
    import('./observe/trace.ts'),
    import('./server/access-log.ts'),
    import('./worker.ts'),
  ]);
  const { scanner, reason } = chooseScanner(options.scan);
  log.info('ready', {
    transport: 'stdio',
    scanner: scanner.name,
    kernel: scanner.kernel,
    reason,
    drainMs: snapshot.front.drainMs,
  });
  const access = accessLogOf(runtime, snapshot) ?? undefined;
  const tracer = tracerOf(runtime, snapshot, options.onSpans ?? (() => undefined)) ?? undefined;
  const plane = new DataPlane({
    runtime,
    scanner,
    snapshot,
    log,
    ...(access !== undefined && { access }),
    ...(tracer !== undefined && { tracer }),
  });
  let drained: Promise<void> | null = null;
  const drain = (): Promise<void> => {
    drained ??= plane.drain().then(() => {
      access?.flush();
      tracer?.flush();
    });
    return drained;
  };
  return { ended: plane.serveStdio(endpoint).then(drain), drain, stop: () => plane.stop() };
}
