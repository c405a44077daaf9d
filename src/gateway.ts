// The composition root: starts the data-plane thread over a snapshot, and ends it properly.
// Called by cli/serve, cli/run and cli/stdio. Promises: startGateway resolves when the listener is up or rejects with a GatewayError; drain is
// bounded by the snapshot's drainMs and the children's grace.

import { GatewayError } from './base/errors.ts';
import { LIMITS } from './base/limits.ts';
import { type Level, type Log, SILENT } from './observe/log.ts';
import type { Runtime, WorkerHandle } from './runtime/runtime.ts';
import type { Snapshot } from './snapshot.ts';
import type { Order, Report } from './thread.ts';
import type { DataPlaneStats } from './worker.ts';

/** What a gateway is made of. */
export interface GatewayOptions {
  readonly runtime: Runtime;
  readonly snapshot: Snapshot;
  readonly log: Log;
  readonly scan: 'auto' | 'addon' | 'portable';
  readonly logLevel: Level;
}

/** A running gateway. */
export interface Gateway {
  readonly host: string;
  readonly port: number;
  /** Base URL, without a path. */
  readonly url: string;
  /** Scanner and kernel in use, and why. */
  readonly scanner: { readonly name: string; readonly kernel: string; readonly reason: string };
  stats(): Promise<DataPlaneStats>;
  /** Resolves only if the data plane dies unasked, with the reason: the process should then end with an error. */
  readonly died: Promise<GatewayError>;
  /** Lets running exchanges finish, then closes everything; resolves when nothing is left. */
  drain(): Promise<void>;
  /** Closes everything at once. */
  stop(): void;
}

const THREAD = new URL('./thread.ts', import.meta.url).href;

/** URL of a host and port; IPv6 addresses get their brackets, wildcard addresses a name that can be reached. */
export function baseUrl(host: string, port: number, isSecure: boolean): string {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `${isSecure ? 'https' : 'http'}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** One order that waits for its report. */
interface Pending {
  resolve(report: Report): void;
  reject(error: GatewayError): void;
}

/** The main thread's end of a data-plane thread. */
export class ThreadLink {
  readonly #worker: WorkerHandle;
  readonly #pending: Pending[] = [];
  #log: Log = SILENT;
  /** Why no order can be sent any more, or null. */
  #ended: GatewayError | null = null;
  #resolveDied: (error: GatewayError) => void = () => undefined;
  readonly died: Promise<GatewayError>;

  constructor(runtime: Runtime) {
    this.died = new Promise((resolve) => {
      this.#resolveDied = resolve;
    });
    this.#worker = runtime.startWorker(THREAD, {
      // Only thread.ts posts here, and only reports.
      onMessage: (message) => this.#pending.shift()?.resolve(message as Report),
      onExit: (error) => this.#died(error),
    });
  }

  /** Where a death is told. */
  logTo(log: Log): void {
    this.#log = log;
  }

  /** Sends an order; reports come back in the order of the orders. Rejects with GW_RUNTIME_WORKER when the thread is or goes away. */
  ask(order: Order): Promise<Report> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#worker.post(order);
    });
  }

  end(): void {
    if (this.#ended !== null) return;
    this.#end(new GatewayError('GW_RUNTIME_WORKER', 'it was stopped'));
    this.#worker.terminate();
  }

  #died(error: string | null): void {
    if (this.#ended !== null) return;
    const failure = new GatewayError('GW_RUNTIME_WORKER', error ?? 'it ended by itself');
    this.#log.error('the data worker died', { error: failure.message });
    this.#end(failure);
    this.#resolveDied(failure);
  }

  #end(why: GatewayError): void {
    this.#ended = why;
    for (const one of this.#pending.splice(0)) one.reject(why);
  }
}

/** A data-plane thread that loads its code while the configuration is still being read. */
export interface WarmThread {
  readonly link: ThreadLink;
  /** Ends a thread that is not needed after all. */
  discard(): void;
}

/** Starts the thread ahead of its snapshot: half of the time to readiness is the loading of code. */
export function warmUp(runtime: Runtime): WarmThread {
  const link = new ThreadLink(runtime);
  return { link, discard: () => link.end() };
}

/** Starts the data plane in its own thread (the warm one, if there is one) and resolves when it listens. */
export async function startGateway(
  options: GatewayOptions,
  warm: WarmThread = warmUp(options.runtime),
): Promise<Gateway> {
  const { snapshot, log } = options;
  const { link } = warm;
  link.logTo(log);
  const report = await link.ask({ kind: 'start', snapshot, scan: options.scan, level: options.logLevel });
  if (report.kind !== 'ready') {
    link.end();
    throw unexpected(report);
  }
  return {
    host: report.host,
    port: report.port,
    url: baseUrl(report.host, report.port, snapshot.listen.tls !== null),
    scanner: { name: report.scanner, kernel: report.kernel, reason: report.reason },
    stats: async () => {
      const answer = await link.ask({ kind: 'stats' });
      if (answer.kind !== 'stats') throw unexpected(answer);
      return answer.stats;
    },
    died: link.died,
    drain: async () => {
      await link.ask({ kind: 'drain' });
      link.end();
    },
    stop: () => link.end(),
  };
}

/** The error in a report that is not the one hoped for. */
function unexpected(report: Report): GatewayError {
  return report.kind === 'failed'
    ? new GatewayError(report.code, report.detail)
    : new GatewayError('GW_RUNTIME_WORKER', `it reported ${report.kind}`);
}

/** Serves the endpoint /mcp on stdin and stdout; resolves when the client closed stdin and everything has ended. */
export async function startStdio(options: GatewayOptions): Promise<void> {
  const { runtime, snapshot, log } = options;
  const endpoint = snapshot.endpoints.find((one) => one.path === '/mcp');
  if (endpoint === undefined) throw new GatewayError('GW_CONFIG_VALUE', 'no server is enabled');
  // Loaded here and not above: where a thread serves, this thread never needs the data plane's code.
  const [{ chooseScanner }, { DataPlane }] = await Promise.all([
    import('./scan/scan.ts'),
    import('./worker.ts'),
  ]);
  const { scanner, reason } = chooseScanner(options.scan);
  log.info('ready', {
    transport: 'stdio',
    scanner: scanner.name,
    kernel: scanner.kernel,
    reason,
    drainMs: LIMITS.drainMs,
  });
  const plane = new DataPlane({ runtime, scanner, snapshot, log });
  await plane.serveStdio(endpoint);
  await plane.drain();
}
