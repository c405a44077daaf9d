// Entry of a data-plane thread: waits for its snapshot, serves it, and reports to the main thread.
// Started by src/gateway/ through the runtime. Promises: answers every order with one report; a fault at start is reported, not thrown.
import { must } from './base/assert.ts';
import { encode } from './base/bytes.ts';
import { type ErrorCode, GatewayError, toGatewayError } from './base/errors.ts';
import { attachMemory, type SharedMemory } from './memory/memory.ts';
import type { Deed, Inspection } from './observe/inspection.ts';
import { createLog, type Level } from './observe/log.ts';
import { type SpanBatch, tracerOf } from './observe/trace.ts';
import { createRuntime } from './runtime/create.ts';
import type { Port, Runtime } from './runtime/runtime.ts';
import type { Scanner } from './scan/contract.ts';
import { chooseScanner } from './scan/scan.ts';
import { accessLogOf } from './server/access-log.ts';
import type { KeyRing, Snapshot } from './snapshot.ts';
import type { PeerEvents, WorkerPlace } from './upstream/peers.ts';
import type { SnapshotChange } from './worker/snapshot-change.ts';
import { DataPlane, type DataPlaneStats, type PlaneAddress } from './worker.ts';

/** Another worker, as an order names it. Its port comes with the message. */
export interface PeerName {
  readonly worker: number;
  readonly generation: number;
}

/** Everything that a data-plane thread is made of. */
export interface StartOrder {
  readonly kind: 'start';
  readonly snapshot: Snapshot;
  readonly scan: 'auto' | 'addon' | 'portable';
  readonly level: Level;
  readonly place: WorkerPlace;
  /** What session ids are sealed with, the same for every worker. */
  readonly keys: KeyRing;
  readonly address: PlaneAddress;
  readonly memory: SharedMemory;
  /** The route table that control publishes. */
  readonly routes: SharedArrayBuffer;
  /** The workers started before this one; their ports come with the message, in this order. */
  readonly peers: readonly PeerName[];
}

/** What the main thread may ask of a data-plane thread. */
export type Order =
  | StartOrder
  /** A worker was started after this one; its port comes with the message. */
  | ({ readonly kind: 'peer-up' } & PeerName)
  | ({ readonly kind: 'peer-down' } & PeerName)
  /** The keys have changed. */
  | { readonly kind: 'keys'; readonly keys: KeyRing }
  /** Another snapshot is to follow, told by what it changes, with its own route table: whatever can fail is to be done now. */
  | { readonly kind: 'prepare'; readonly change: SnapshotChange; readonly routes: SharedArrayBuffer }
  /** It does not, after all. */
  | { readonly kind: 'discard' }
  /** It is in force; a notice follows once nothing runs any more that needs what it has left out. */
  | { readonly kind: 'commit'; readonly epoch: number }
  /** No worker needs what that snapshot has left out: it is to end, and a notice to follow. */
  | { readonly kind: 'retire'; readonly epoch: number }
  /** Exchanges are over, the listener is still there to say that the gateway ends. */
  | { readonly kind: 'drain' }
  /** All workers are drained: the listener goes too. */
  | { readonly kind: 'close' }
  /** Somebody looks: at everything, or at these servers alone. */
  | { readonly kind: 'stats'; readonly servers?: readonly string[] }
  | { readonly kind: 'inspect'; readonly servers?: readonly string[] }
  | { readonly kind: 'act'; readonly deed: Deed };

/** What it answers. */
export type Report =
  | {
      readonly kind: 'ready';
      readonly host: string;
      readonly port: number;
      readonly scanner: string;
      readonly kernel: string;
      readonly reason: string;
    }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string }
  | { readonly kind: 'noted' }
  | { readonly kind: 'drained' }
  | { readonly kind: 'stats'; readonly stats: DataPlaneStats }
  | { readonly kind: 'inspection'; readonly inspection: Inspection }
  /** How much there was to do. */
  | { readonly kind: 'done'; readonly count: number };

/** What it tells unasked, after a commit and after a retire. */
export interface Notice {
  readonly kind: 'settled' | 'retired';
  readonly epoch: number;
}

/** Spans of exchanges that are over, told unasked. */
export interface SpanNotice {
  readonly kind: 'spans';
  readonly batch: SpanBatch;
}

/** A fault as the main thread is to hear of it. */
function failed(thrown: unknown): Report {
  const error = toGatewayError(thrown);
  return {
    kind: 'failed',
    code: error.code,
    detail: error.detail === '' ? String(error.cause ?? '') : error.detail,
  };
}

/** What a thread serves: a data plane, or in tests something like it. */
export interface Plane extends PeerEvents {
  listen(address: PlaneAddress): { readonly host: string; readonly port: number };
  renewKeys(keys: KeyRing): void;
  prepare(change: SnapshotChange, routes: SharedArrayBuffer): void;
  discard(): void;
  /** Resolves when nothing runs any more that needs what the snapshot has left out. */
  commit(epoch: number): Promise<void>;
  /** Resolves when that has ended. */
  retire(epoch: number): Promise<void>;
  stats(servers?: readonly string[]): DataPlaneStats;
  readonly inspector: { inspect(servers?: readonly string[]): Inspection; act(deed: Deed): number };
  /** Ends everything but the listener. */
  quiesce(): Promise<void>;
  /** Ends the listener. */
  close(): Promise<void>;
}

/** Orders that are done at once, and whose report says no more than that. */
type NotedOrder = Exclude<
  Order,
  { readonly kind: 'start' | 'drain' | 'close' | 'stats' | 'inspect' | 'act' }
>;

/** A plane that is ready to listen, and what it scans with. */
interface Made {
  readonly plane: Plane;
  readonly scanner: Scanner;
  readonly reason: string;
  /** Writes the log lines that wait; left out: none do. */
  readonly flush?: () => void;
}

/** Answers orders: each with exactly one report, in their order. `make` builds the plane of a start order. */
export function orderTaker(
  make: (order: StartOrder) => Made,
  report: (message: Report | Notice) => void,
): (order: Order, ports?: readonly Port[]) => void {
  let plane: Plane | null = null;
  let flush: Made['flush'];
  const notice = (kind: Notice['kind'], epoch: number, done: Promise<void>): void =>
    void done.then(() => report({ kind, epoch }));
  const meet = (on: Plane, { worker, generation }: PeerName, port: Port | undefined): void =>
    on.peerUp(worker, generation, must(port, 'the port of a peer'));
  const start = (order: StartOrder, ports: readonly Port[]): Report => {
    const made = make(order);
    order.peers.forEach((peer, at) => {
      meet(made.plane, peer, ports[at]);
    });
    const { host, port } = made.plane.listen(order.address);
    plane = made.plane;
    flush = made.flush;
    const { name, kernel } = made.scanner;
    return { kind: 'ready', host, port, scanner: name, kernel, reason: made.reason };
  };
  const serveOrder = (on: Plane, order: NotedOrder, ports: readonly Port[]): void => {
    if (order.kind === 'keys') on.renewKeys(order.keys);
    else if (order.kind === 'prepare') on.prepare(order.change, order.routes);
    else if (order.kind === 'discard') on.discard();
    else if (order.kind === 'commit') notice('settled', order.epoch, on.commit(order.epoch));
    else if (order.kind === 'retire') notice('retired', order.epoch, on.retire(order.epoch));
    else if (order.kind === 'peer-up') meet(on, order, ports[0]);
    else on.peerDown(order.worker, order.generation);
  };
  const take = async (order: Order, ports: readonly Port[]): Promise<Report> => {
    try {
      if (order.kind === 'start') return start(order, ports);
      if (order.kind === 'drain' || order.kind === 'close') {
        await (order.kind === 'drain' ? plane?.quiesce() : plane?.close());
        flush?.();
        return { kind: 'drained' };
      }
      if (plane === null) throw new GatewayError('GW_RUNTIME_WORKER', 'it serves nothing yet');
      if (order.kind === 'stats') return { kind: 'stats', stats: plane.stats(order.servers) };
      if (order.kind === 'inspect')
        return { kind: 'inspection', inspection: plane.inspector.inspect(order.servers) };
      if (order.kind === 'act') return { kind: 'done', count: plane.inspector.act(order.deed) };
      serveOrder(plane, order, ports);
      return { kind: 'noted' };
    } catch (thrown) {
      return failed(thrown);
    }
  };
  // One after the other: the main thread tells reports apart by their order.
  let last: Promise<void> = Promise.resolve();
  return (order, ports = []) => {
    const answer = take(order, ports);
    last = last.then(async () => report(await answer));
  };
}

/** Serves the main thread's orders in this world; does nothing where no thread was started. */
export function serveOrders(runtime: Runtime): void {
  const { scope } = runtime;
  if (scope === null) return;
  const make = (order: StartOrder): Made => {
    const { snapshot, place, keys, routes } = order;
    const output = {
      write: (line: string) => runtime.standard.writeStderr(encode(line)),
      wall: () => runtime.clock.wall(),
    };
    const base: { readonly worker?: number } = place.count > 1 ? { worker: place.index } : {};
    const { format = 'json', rooms = {} } = snapshot.log ?? {};
    const log = createLog({ level: order.level, format, rooms }, output, base);
    const access = accessLogOf(runtime, snapshot, base.worker) ?? undefined;
    const tracer = tracerOf(runtime, snapshot, (batch) => scope.post({ kind: 'spans', batch }));
    const { scanner, reason } = chooseScanner(order.scan);
    const memory = attachMemory(order.memory);
    const plane = new DataPlane({
      ...{ runtime, scanner, snapshot, log, place, keys, memory, routes },
      ...(access !== undefined && { access }),
      ...(tracer !== null && { tracer }),
    });
    const flush = (): void => {
      access?.flush();
      tracer?.flush();
    };
    return { plane, scanner, reason, flush };
  };
  const take = orderTaker(make, (message) => scope.post(message));
  // Only src/gateway/ posts here, and only orders.
  scope.onMessage((message, ports) => take(message as Order, ports));
}

serveOrders(await createRuntime());
