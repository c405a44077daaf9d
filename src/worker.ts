// The data plane of one thread: upstreams, targets, pipeline and fronts over one snapshot.
// Called by thread.ts (in a worker) and gateway.ts (for `sluice stdio`). Promises: starts listening or throws; drain lets running exchanges
// finish, ends event streams, sessions and children within the bound; no child outlives it.
import hyperid from 'hyperid';
import { LIMITS } from './base/limits.ts';
import type { Member } from './bridge/member.ts';
import type { SessionTools } from './bridge/session.ts';
import type { Log } from './observe/log.ts';
import { Aggregate } from './proxy/aggregate.ts';
import { Envelopes } from './proxy/envelopes.ts';
import { Pipeline } from './proxy/pipeline.ts';
import { Single } from './proxy/single.ts';
import type { Target } from './proxy/target.ts';
import type { Listener, Runtime, TimerId } from './runtime/runtime.ts';
import type { Scanner } from './scan/contract.ts';
import { Front } from './server/http.ts';
import { StdioFront } from './server/stdio.ts';
import type { EndpointSpec, Snapshot } from './snapshot.ts';
import { createFetchUpstream } from './upstream/fetch.ts';
import { createHttpUpstream } from './upstream/http.ts';
import type { ServerSpec } from './upstream/spec.ts';
import { createStdioUpstream } from './upstream/stdio.ts';
import type { Upstream, UpstreamStats } from './upstream/upstream.ts';

/** Name and version that the gateway gives itself where it speaks for many servers. */
const SELF = Object.freeze({ name: 'sluice', version: '0.1.0' });

/** What a data plane is made of. */
export interface DataPlaneOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly snapshot: Snapshot;
  readonly log: Log;
}

/** Counts of a data plane, for status pages and tests. */
export interface DataPlaneStats {
  readonly activeExchanges: number;
  readonly sessions: number;
  readonly upstreams: Readonly<Record<string, UpstreamStats>>;
}

const SWEEP_MS = LIMITS.keepAliveCommentMs;

/** Everything that one thread needs to serve a snapshot. */
export class DataPlane {
  readonly #runtime: Runtime;
  readonly #scanner: Scanner;
  readonly #snapshot: Snapshot;
  readonly #log: Log;
  readonly #members: readonly Member[];
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #pipeline: Pipeline;
  readonly #front: Front;
  readonly #spare = new Envelopes();
  readonly #newId = hyperid();
  #listener: Listener | null = null;
  #sweep: TimerId = 0;
  #stdio: StdioFront | null = null;

  constructor(options: DataPlaneOptions) {
    this.#runtime = options.runtime;
    this.#scanner = options.scanner;
    this.#snapshot = options.snapshot;
    this.#log = options.log;
    this.#members = options.snapshot.servers.map((spec) => ({ spec, upstream: this.#upstream(spec) }));
    this.#targets = new Map(
      options.snapshot.endpoints.map((endpoint) => [endpoint.path, this.#target(endpoint)]),
    );
    this.#pipeline = new Pipeline(options.scanner, this.#targets, this.#spare);
    this.#front = new Front({
      snapshot: options.snapshot,
      pipeline: this.#pipeline,
      clock: options.runtime.clock,
      log: options.log,
      newId: () => this.#newId(),
    });
    this.#tick();
  }

  #tick(): void {
    this.#sweep = this.#runtime.clock.after(SWEEP_MS, () => {
      // First the next one: a fault of this one must not end the sweeping.
      this.#tick();
      try {
        this.#front.keepAlive();
        for (const target of this.#targets.values()) target.sweep();
      } catch (thrown) {
        this.#log.error('a sweep failed', { fault: String(thrown) });
      }
    });
  }

  #upstream(spec: ServerSpec): Upstream {
    const tools = {
      runtime: this.#runtime,
      scanner: this.#scanner,
      spec,
      log: this.#log.with({ server: spec.name }),
    };
    const { target } = spec;
    if (target.kind === 'http')
      return target.client === 'fetch' ? createFetchUpstream(tools) : createHttpUpstream(tools);
    const { sessionsMax, sessionIdleMs } = this.#snapshot.front;
    return createStdioUpstream({ ...tools, sessionsMax, sessionIdleMs });
  }

  #target(endpoint: EndpointSpec): Target {
    const members = endpoint.members.flatMap((index) => this.#members[index] ?? []);
    const only = members[0];
    if (!endpoint.prefixed && members.length === 1 && only !== undefined)
      return new Single(only, this.#scanner, this.#spare);
    const { front } = this.#snapshot;
    const tools: SessionTools = {
      scanner: this.#scanner,
      clock: this.#runtime.clock,
      random: this.#runtime.random,
      log: this.#log,
      sessionsMax: front.sessionsMax,
      sessionIdleMs: front.sessionIdleMs,
      memberTimeoutMs: front.memberTimeoutMs,
    };
    return new Aggregate(members, tools, SELF);
  }

  /** Starts the HTTP listener; throws GW_RUNTIME_LISTEN. */
  listen(): { readonly host: string; readonly port: number } {
    const { listen, front } = this.#snapshot;
    this.#listener = this.#runtime.listen(
      {
        host: listen.host,
        port: listen.port,
        reusePort: false,
        bodyBytesMax: front.bodyBytesMax,
        idleTimeoutMs: listen.idleTimeoutMs,
        tls: listen.tls,
        http2: listen.http2,
        http3: listen.http3,
      },
      this.#front.handle,
    );
    return { host: this.#listener.host, port: this.#listener.port };
  }

  /** Serves one client on the gateway's own stdin and stdout until it closes stdin. */
  serveStdio(endpoint: EndpointSpec): Promise<void> {
    const { standard, clock } = this.#runtime;
    const front = new StdioFront({
      snapshot: this.#snapshot,
      endpoint,
      pipeline: this.#pipeline,
      scanner: this.#scanner,
      clock,
      log: this.#log,
      newId: () => this.#newId(),
      write: (bytes) => standard.writeStdout(bytes),
    });
    this.#stdio = front;
    return new Promise((resolve) => standard.readStdin((bytes) => front.push(bytes), resolve));
  }

  stats(): DataPlaneStats {
    const upstreams: Record<string, UpstreamStats> = {};
    let sessions = 0;
    for (const member of this.#members) {
      const stats = member.upstream.stats();
      upstreams[member.spec.name] = stats;
      sessions += stats.sessions;
    }
    for (const target of this.#targets.values()) sessions += target.sessions;
    return { activeExchanges: this.#front.active, sessions, upstreams };
  }

  /** Takes no new work, lets the running finish within the configured bound, then closes everything. */
  async drain(): Promise<void> {
    const { drainMs } = this.#snapshot.front;
    await Promise.all([this.#front.drain(drainMs), this.#stdio?.close(drainMs)]);
    for (const target of this.#targets.values()) target.close();
    this.#runtime.clock.cancel(this.#sweep);
    await Promise.all(
      this.#members.map((member) => member.upstream.close(LIMITS.childStopGraceMs + LIMITS.childKillGraceMs)),
    );
    this.#listener?.stop();
  }

  /** Closes everything at once. */
  stop(): void {
    this.#runtime.clock.cancel(this.#sweep);
    this.#listener?.stop();
    for (const member of this.#members) void member.upstream.close(0);
  }
}
