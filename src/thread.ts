// Entry of a data-plane thread: waits for its snapshot, serves it, and reports to the main thread.
// Started by gateway.ts through the runtime. Promises: answers every order with one report; a fault at start is reported, not thrown.
import { type ErrorCode, GatewayError, toGatewayError } from './base/errors.ts';
import { createLog, type Level } from './observe/log.ts';
import { createBunRuntime } from './runtime/bun.ts';
import type { Scanner } from './scan/contract.ts';
import { chooseScanner } from './scan/scan.ts';
import type { Snapshot } from './snapshot.ts';
import { DataPlane, type DataPlaneStats } from './worker.ts';

/** What the main thread may ask of a data-plane thread. */
export type Order =
  | {
      readonly kind: 'start';
      readonly snapshot: Snapshot;
      readonly scan: 'auto' | 'addon' | 'portable';
      readonly level: Level;
    }
  | { readonly kind: 'drain' }
  | { readonly kind: 'stats' };

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
  | { readonly kind: 'drained' }
  | { readonly kind: 'stats'; readonly stats: DataPlaneStats };

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
export interface Plane {
  listen(): { readonly host: string; readonly port: number };
  stats(): DataPlaneStats;
  drain(): Promise<void>;
}

/** Answers orders: each with exactly one report, in their order. `make` builds the plane of a start order. */
export function orderTaker(
  make: (order: Extract<Order, { kind: 'start' }>) => { plane: Plane; scanner: Scanner; reason: string },
  report: (message: Report) => void,
): (order: Order) => void {
  let plane: Plane | null = null;
  const start = (order: Extract<Order, { kind: 'start' }>): Report => {
    const made = make(order);
    const { host, port } = made.plane.listen();
    plane = made.plane;
    const { name, kernel } = made.scanner;
    return { kind: 'ready', host, port, scanner: name, kernel, reason: made.reason };
  };
  const take = async (order: Order): Promise<Report> => {
    try {
      if (order.kind === 'start') return start(order);
      if (order.kind === 'drain') {
        await plane?.drain();
        return { kind: 'drained' };
      }
      if (plane === null) throw new GatewayError('GW_RUNTIME_WORKER', 'it serves nothing yet');
      return { kind: 'stats', stats: plane.stats() };
    } catch (thrown) {
      return failed(thrown);
    }
  };
  // One after the other: the main thread tells reports apart by their order.
  let last: Promise<void> = Promise.resolve();
  return (order) => {
    const answer = take(order);
    last = last.then(async () => report(await answer));
  };
}

function serve(): void {
  const runtime = createBunRuntime();
  const { scope } = runtime;
  if (scope === null) return;
  const make = (order: Extract<Order, { kind: 'start' }>) => {
    const log = createLog(order.level, {
      write: (line) => runtime.standard.writeStderr(new TextEncoder().encode(line)),
      wall: () => runtime.clock.wall(),
    });
    const { scanner, reason } = chooseScanner(order.scan);
    const plane = new DataPlane({ runtime, scanner, snapshot: order.snapshot, log });
    return { plane, scanner, reason };
  };
  const take = orderTaker(make, (message) => scope.post(message));
  // Only gateway.ts posts here, and only orders.
  scope.onMessage((message) => take(message as Order));
}

serve();
