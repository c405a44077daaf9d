// The data plane of one thread: upstreams, targets, pipeline and fronts, over one snapshot after the other.
// Called by thread.ts (in a worker) and gateway.ts (for `sluice stdio`). Promises: starts listening or throws; a snapshot is taken up between two turns of the
// event loop; drain lets running exchanges finish, ends event streams, sessions and children within the bound; no child outlives it.

import hyperid from 'hyperid';
import { assert } from './base/assert.ts';
import { LIMITS } from './base/limits.ts';
import { Handles } from './bridge/handles.ts';
import { freshKeyRing, Sealer } from './bridge/seal.ts';
import { createMemory, type PlaneMemory, soloShape } from './memory/memory.ts';
import type { Log } from './observe/log.ts';
import { Envelopes } from './proxy/envelopes.ts';
import { Handover } from './proxy/handover.ts';
import { Pipeline } from './proxy/pipeline.ts';
import { RouteTable, routesOf } from './route/table.ts';
import type { Listener, Port, Runtime, TimerId } from './runtime/runtime.ts';
import type { Scanner } from './scan/contract.ts';
import { Front } from './server/http.ts';
import { Recorder } from './server/record.ts';
import { ssePath } from './server/sse-place.ts';
import { StdioFront } from './server/stdio.ts';
import type { EndpointSpec, KeyRing, Snapshot } from './snapshot.ts';
import { servePeers } from './upstream/peer.ts';
import { PeerLink } from './upstream/peer-link.ts';
import { ONLY_WORKER, type PeerEvents, type WorkerPlace } from './upstream/peers.ts';
import { cellsOf } from './upstream/spec.ts';
import type { UpstreamStats } from './upstream/upstream.ts';
import { Inspector } from './worker/inspect.ts';
import type { DataPlaneOptions } from './worker/plane-parts.ts';
import { Roster } from './worker/roster.ts';
import { changed, type SnapshotChange } from './worker/snapshot-change.ts';

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

/** Everything that one thread needs to serve snapshots. */
export class DataPlane implements PeerEvents {
  readonly #runtime: Runtime;
  readonly #scanner: Scanner;
  readonly #log: Log;
  readonly #roster: Roster;
  readonly #sealer: Sealer;
  readonly #handles: Handles;
  readonly #pipeline: Pipeline;
  readonly #front: Front;
  /** Tells what there is, and does what an operator asks. */
  readonly inspector: Inspector;
  readonly #spare = new Envelopes();
  readonly #newId = hyperid();
  readonly #place: WorkerPlace;
  readonly #recorder: Recorder;
  /** To the other workers; null when there are none. */
  readonly #link: PeerLink | null;
  #listener: Listener | null = null;
  #sweep: TimerId = 0;
  #stdio: StdioFront | null = null;

  constructor(options: DataPlaneOptions) {
    this.#runtime = options.runtime;
    this.#scanner = options.scanner;
    this.#log = options.log;
    this.#place = options.place ?? ONLY_WORKER;
    const { clock, random } = options.runtime;
    this.#sealer = new Sealer(options.runtime, options.keys ?? freshKeyRing(random));
    const { snapshot, memory: shared } = options;
    const { servers, endpoints, front } = snapshot;
    const { index: worker, generation } = this.#place;
    this.#handles = new Handles(this.#sealer, clock, { node: NODE, worker, generation });
    this.#link = this.#newLink(shared, snapshot);
    const handover = this.#link === null ? null : new Handover(this.#link, options.scanner, NODE);
    const memory = shared ?? createMemory(soloShape(cellsOf(servers), endpoints.length), clock.wall());
    // Whose cells in that memory are this plane's.
    const stripe = shared === undefined ? 0 : worker;
    this.#recorder = new Recorder({ ...options, memory, worker: stripe, snapshot, clock });
    const upstreams = {
      ...options,
      memory,
      worker: stripe,
      link: this.#link,
      ...{
        sessionsMax: front.sessionsMax,
        sessionIdleMs: front.sessionIdleMs,
        log: this.#log.room('upstream'),
      },
      nudge: (to: number, server: number) => this.#link?.nudge(to, server),
    };
    const table = options.routes ?? RouteTable.of(routesOf(snapshot)).memory;
    this.#roster = new Roster({ upstreams, handles: this.#handles, spare: this.#spare }, snapshot, table);
    this.#pipeline = new Pipeline(options.scanner, this.#roster.targets, this.#spare, options.tracer);
    this.#front = new Front({
      ...options,
      pipeline: this.#pipeline,
      handles: this.#handles,
      handover,
      clock,
      newId: () => this.#newId(),
      recorder: this.#recorder,
      memory,
    });
    this.inspector = new Inspector({ roster: this.#roster, front: this.#front, clock, place: this.#place });
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
        for (const target of this.#roster.allTargets) target.sweep();
        for (const { upstream } of this.#roster.allMembers) upstream.sweep?.();
      } catch (thrown) {
        this.#log.error('a sweep failed', { fault: String(thrown) });
      }
    });
  }

  #newLink(memory: PlaneMemory | undefined, { front }: Snapshot): PeerLink | null {
    if (memory === undefined || this.#place.count === 1) return null;
    const link = new PeerLink({
      memory,
      place: this.#place,
      clock: this.#runtime.clock,
      log: this.#log,
      bodyBytesMax: front.bodyBytesMax,
      onNudge: (server) => this.#roster.allMembers.find(({ cell }) => cell === server)?.upstream.nudged?.(),
    });
    servePeers(link, this.#scanner, (server) => this.#roster.local(server));
    servePeers(link, this.#scanner, (server) => this.#roster.bridged(server), 'bridge');
    return link;
  }

  /** Starts the HTTP listener; throws GW_RUNTIME_LISTEN. */
  listen(address?: PlaneAddress): { readonly host: string; readonly port: number } {
    const { listen, front } = this.#roster.snapshot;
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
      snapshot: this.#roster.snapshot,
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

  /** Counts, of these servers alone when they are named. */
  stats(servers?: readonly string[]): DataPlaneStats {
    const heapBytes = this.#runtime.heapBytes();
    return { activeExchanges: this.#front.active, heapBytes, ...this.inspector.counts(servers) };
  }

  // ── another snapshot ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes all that the next snapshot needs besides what there is; throws when that cannot be done, and nothing has changed. */
  prepare(change: SnapshotChange, routes: SharedArrayBuffer): void {
    this.#roster.prepare(changed(this.#roster.snapshot, change), routes);
  }

  /** What was prepared is not to be. */
  discard(): void {
    this.#roster.discard();
  }

  /** Puts in force what was prepared, at once. Resolves when nothing runs any more that needs what it has left out, or the time for that is up. */
  commit(): Promise<void> {
    const leftOut = this.#roster.commit();
    if (leftOut === null) return Promise.resolve();
    const { snapshot } = this.#roster;
    this.#recorder.use(snapshot);
    this.#pipeline.use(this.#roster.targets);
    this.#front.use(snapshot);
    this.#front.endStreams(leftOut.closing);
    return this.#front.settled(leftOut.needing, snapshot.front.drainMs);
  }

  /** Ends what the snapshot of that epoch has left out; resolves when it has ended. */
  async retire(epoch: number): Promise<void> {
    const paths = await this.#roster.retire(epoch, LIMITS.childStopGraceMs + LIMITS.childKillGraceMs);
    this.#pipeline.use(this.#roster.targets);
    this.#recorder.forget(paths.flatMap((path) => [path, ssePath(path)]));
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes no new work, lets the running finish within the configured bound, then closes everything. */
  async drain(): Promise<void> {
    await this.quiesce();
    await this.close();
  }

  /** The same but for the listener, which goes on to say that the gateway is ending. */
  async quiesce(): Promise<void> {
    const { drainMs } = this.#roster.snapshot.front;
    await Promise.all([
      this.#front.drain(drainMs),
      this.#stdio?.close(drainMs),
      // Other workers' calls to processes of this one.
      this.#link?.drain(drainMs),
    ]);
    for (const target of this.#roster.allTargets) target.close();
    this.#runtime.clock.cancel(this.#sweep);
    const closeMs = LIMITS.childStopGraceMs + LIMITS.childKillGraceMs;
    await Promise.all(this.#roster.allMembers.map((member) => member.upstream.close(closeMs)));
    // Nothing is kept from workers that are still at it; they are refused what is closed here, until this thread ends.
    await this.#link?.settle(LIMITS.peerWaitMs);
  }

  /** Closes the listener once the replies that are on their way have left. */
  async close(): Promise<void> {
    const listener = this.#listener;
    if (listener === null) return;
    const late = new Promise<void>((resolve) => this.#runtime.clock.after(LIMITS.listenerCloseMs, resolve));
    await Promise.race([listener.drain(), late]);
    listener.stop();
  }

  /** Closes everything at once. */
  stop(): void {
    this.#link?.stop();
    this.#runtime.clock.cancel(this.#sweep);
    this.#listener?.stop();
    for (const member of this.#roster.allMembers) void member.upstream.close(0);
  }
}
