// The data plane of one thread: upstreams, targets, pipeline and fronts over one snapshot.
// Called by thread.ts (in a worker) and gateway.ts (for `sluice stdio`). Promises: starts listening or throws; drain lets running exchanges
// finish, ends event streams, sessions and children within the bound; no child outlives it.

import hyperid from 'hyperid';
import { assert } from './base/assert.ts';
import { LIMITS } from './base/limits.ts';
import { Handles } from './bridge/handles.ts';
import type { Member } from './bridge/member.ts';
import { freshKeyRing, Sealer } from './bridge/seal.ts';
import type { SessionTools } from './bridge/session.ts';
import { createMemory, type PlaneMemory, soloShape } from './memory/memory.ts';
import type { Log } from './observe/log.ts';
import { Aggregate } from './proxy/aggregate.ts';
import { Envelopes } from './proxy/envelopes.ts';
import { Handover } from './proxy/handover.ts';
import { Pipeline } from './proxy/pipeline.ts';
import { Single } from './proxy/single.ts';
import type { Target } from './proxy/target.ts';
import { type EndpointRoutes, Routes } from './route/match.ts';
import { RouteTable, routesOf } from './route/table.ts';
import type { Listener, Port, Runtime, TimerId } from './runtime/runtime.ts';
import type { Scanner } from './scan/contract.ts';
import { Front } from './server/http.ts';
import { Recorder } from './server/record.ts';
import { StdioFront } from './server/stdio.ts';
import type { EndpointSpec, KeyRing, Snapshot } from './snapshot.ts';
import type { UpstreamParts } from './upstream/create.ts';
import { servePeers } from './upstream/peer.ts';
import { PeerLink } from './upstream/peer-link.ts';
import { ONLY_WORKER, type PeerEvents, type WorkerPlace } from './upstream/peers.ts';
import { cellsOf } from './upstream/spec.ts';
import type { Upstream, UpstreamStats } from './upstream/upstream.ts';
import { createMembers } from './worker/members.ts';

/** Name and version that the gateway gives itself where it speaks for many servers. */
const SELF = Object.freeze({ name: 'sluice', version: '0.1.0' });

/** What a data plane is made of. */
export interface DataPlaneOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly snapshot: Snapshot;
  readonly log: Log;
  /** Left out: the gateway's only worker. */
  readonly place?: WorkerPlace;
  /** What session ids are sealed with; left out: a key of this plane's own. */
  readonly keys?: KeyRing;
  /** What all workers share; left out: nothing is shared. */
  readonly memory?: PlaneMemory;
  /** The route table that control publishes; left out: one made of the snapshot. */
  readonly routes?: SharedArrayBuffer;
}

/** Where a plane listens, when that is not for its snapshot to say alone. */
export interface PlaneAddress {
  readonly port: number;
  /** True when other workers listen on the same port. */
  readonly reusePort: boolean;
}

/** Counts of a data plane, for status pages and tests. */
export interface DataPlaneStats {
  readonly activeExchanges: number;
  readonly sessions: number;
  /** JavaScript heap of the thread. */
  readonly heapBytes: number;
  readonly upstreams: Readonly<Record<string, UpstreamStats>>;
}

/** This gateway among those that share its work: there are no others yet. */
const NODE = 0;

const SWEEP_MS = LIMITS.keepAliveCommentMs;

/** Everything that one thread needs to serve a snapshot. */
export class DataPlane implements PeerEvents {
  readonly #runtime: Runtime;
  readonly #scanner: Scanner;
  readonly #snapshot: Snapshot;
  readonly #log: Log;
  readonly #members: readonly Member[];
  readonly #sealer: Sealer;
  readonly #handles: Handles;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #pipeline: Pipeline;
  readonly #front: Front;
  readonly #spare = new Envelopes();
  readonly #newId = hyperid();
  readonly #place: WorkerPlace;
  readonly #recorder: Recorder;
  /** To the other workers; null when there are none. */
  readonly #link: PeerLink | null;
  /** Servers' upstreams in this very worker, by name. */
  readonly #locals = new Map<string, Upstream>();
  #listener: Listener | null = null;
  #sweep: TimerId = 0;
  #stdio: StdioFront | null = null;

  constructor(options: DataPlaneOptions) {
    this.#runtime = options.runtime;
    this.#scanner = options.scanner;
    this.#snapshot = options.snapshot;
    this.#log = options.log;
    this.#place = options.place ?? ONLY_WORKER;
    const { clock, random } = options.runtime;
    this.#sealer = new Sealer(options.runtime, options.keys ?? freshKeyRing(random));
    const { index: worker, generation } = this.#place;
    this.#handles = new Handles(this.#sealer, clock, { node: NODE, worker, generation });
    this.#link = this.#newLink(options.memory);
    const handover = this.#link === null ? null : new Handover(this.#link, options.scanner, NODE);
    const { servers, endpoints } = options.snapshot;
    const memory =
      options.memory ?? createMemory(soloShape(cellsOf(servers), endpoints.length), clock.wall());
    // Whose cells in that memory are this plane's.
    const stripe = options.memory === undefined ? 0 : worker;
    this.#recorder = new Recorder({ memory, worker: stripe, endpoints, clock });
    const { sessionsMax, sessionIdleMs } = options.snapshot.front;
    const parts: UpstreamParts = {
      ...options,
      memory,
      worker: stripe,
      link: this.#link,
      sessionsMax,
      sessionIdleMs,
      nudge: (to, server) => this.#link?.nudge(to, server),
      onLocal: (name, upstream) => this.#locals.set(name, upstream),
    };
    this.#members = createMembers(parts, options.snapshot, this.#handles);
    const table = options.routes ?? RouteTable.of(routesOf(options.snapshot)).memory;
    const routes = new Routes(options.scanner, table);
    this.#targets = new Map(
      options.snapshot.endpoints.map((endpoint, index) => [
        endpoint.path,
        this.#target(endpoint, routes.endpoint(index)),
      ]),
    );
    this.#pipeline = new Pipeline(options.scanner, this.#targets, this.#spare);
    this.#front = new Front({
      ...options,
      pipeline: this.#pipeline,
      handles: this.#handles,
      handover,
      clock,
      newId: () => this.#newId(),
      recorder: this.#recorder,
    });
    handover?.serve(this.#front.adopt);
    this.#tick();
  }

  #tick(): void {
    this.#sweep = this.#runtime.clock.after(SWEEP_MS, () => {
      // First the next one: a fault of this one must not end the sweeping.
      this.#tick();
      try {
        this.#front.keepAlive();
        this.#recorder.setWall();
        for (const target of this.#targets.values()) target.sweep();
        for (const { upstream } of this.#members) upstream.sweep?.();
      } catch (thrown) {
        this.#log.error('a sweep failed', { fault: String(thrown) });
      }
    });
  }

  #newLink(memory: PlaneMemory | undefined): PeerLink | null {
    if (memory === undefined || this.#place.count === 1) return null;
    const link = new PeerLink({
      memory,
      place: this.#place,
      clock: this.#runtime.clock,
      log: this.#log,
      bodyBytesMax: this.#snapshot.front.bodyBytesMax,
      onNudge: (server) => this.#members[server]?.upstream.nudged?.(),
    });
    servePeers(link, this.#scanner, (server) => this.#locals.get(server) ?? null);
    const bridged = (server: string): Upstream | null =>
      this.#members.find(({ spec }) => spec.name === server)?.upstream ?? null;
    servePeers(link, this.#scanner, bridged, 'bridge');
    return link;
  }

  #target(endpoint: EndpointSpec, routes: EndpointRoutes): Target {
    const members = endpoint.members.flatMap((index) => this.#members[index] ?? []);
    const only = members[0];
    if (!endpoint.prefixed && members.length === 1 && only !== undefined)
      return new Single(only, this.#scanner, this.#spare, this.#handles);
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
    return new Aggregate(members, tools, SELF, { routes, sealSession: this.#handles.here });
  }

  /** Starts the HTTP listener; throws GW_RUNTIME_LISTEN. */
  listen(address?: PlaneAddress): { readonly host: string; readonly port: number } {
    const { listen, front } = this.#snapshot;
    this.#listener = this.#runtime.listen(
      {
        transport: listen.transport,
        host: listen.host,
        port: address?.port ?? listen.port,
        reusePort: address?.reusePort ?? false,
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

  peerUp(worker: number, generation: number, port: Port): void {
    const { index, count } = this.#place;
    assert(worker !== index && worker < count, 'a peer is another worker of this gateway');
    this.#link?.peerUp(worker, generation, port);
  }

  peerDown(worker: number, generation: number): void {
    this.#link?.peerDown(worker, generation);
  }

  /** Serves one client on the gateway's own stdin and stdout until it closes stdin. */
  serveStdio(endpoint: EndpointSpec): Promise<void> {
    const { standard, clock } = this.#runtime;
    const front = new StdioFront({
      snapshot: this.#snapshot,
      endpoint,
      serve: (exchange, body) => {
        // The session is this process's own: it is always at home.
        this.#handles.admit(exchange);
        this.#pipeline.serve(exchange, body);
      },
      scanner: this.#scanner,
      clock,
      log: this.#log,
      newId: () => this.#newId(),
      recorder: this.#recorder,
      write: (bytes) => standard.writeStdout(bytes),
    });
    this.#stdio = front;
    return new Promise((resolve) => standard.readStdin((bytes) => front.push(bytes), resolve));
  }

  /** Session ids are sealed with the ring's current key from now on, and opened with all of them. */
  renewKeys(keys: KeyRing): void {
    this.#sealer.renew(keys);
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
    const heapBytes = this.#runtime.heapBytes();
    return { activeExchanges: this.#front.active, sessions, heapBytes, upstreams };
  }

  /** Takes no new work, lets the running finish within the configured bound, then closes everything. */
  async drain(): Promise<void> {
    const { drainMs } = this.#snapshot.front;
    await Promise.all([
      this.#front.drain(drainMs),
      this.#stdio?.close(drainMs),
      // Other workers' calls to processes of this one.
      this.#link?.drain(drainMs),
    ]);
    for (const target of this.#targets.values()) target.close();
    this.#runtime.clock.cancel(this.#sweep);
    await Promise.all(
      this.#members.map((member) => member.upstream.close(LIMITS.childStopGraceMs + LIMITS.childKillGraceMs)),
    );
    // Nothing is kept from workers that are still at it; they are refused what is closed here, until this thread ends.
    await this.#link?.settle(LIMITS.peerWaitMs);
    this.#listener?.stop();
  }

  /** Closes everything at once. */
  stop(): void {
    this.#link?.stop();
    this.#runtime.clock.cancel(this.#sweep);
    this.#listener?.stop();
    for (const member of this.#members) void member.upstream.close(0);
  }
}
