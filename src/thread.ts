// Entry of a data-plane thread: waits for its snapshot, serves it, and reports to the main thread.
// Started by gateway.ts through the runtime. Promises: answers every order with one report; a fault at start is reported, not thrown.
import { type ErrorCode, toGatewayError } from './base/errors.ts';
import { createLog, type Level } from './observe/log.ts';
import { createBunRuntime } from './runtime/bun.ts';
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

function serve(): void {
  const runtime = createBunRuntime();
  const { scope } = runtime;
  if (scope === null) return;
  let plane: DataPlane | null = null;
  const report = (message: Report): void => scope.post(message);
  const start = (order: Extract<Order, { kind: 'start' }>): void => {
    try {
      const log = createLog(order.level, {
        write: (line) => runtime.standard.writeStderr(new TextEncoder().encode(line)),
        wall: () => runtime.clock.wall(),
      });
      const { scanner, reason } = chooseScanner(order.scan);
      plane = new DataPlane({ runtime, scanner, snapshot: order.snapshot, log });
      const { host, port } = plane.listen();
      report({ kind: 'ready', host, port, scanner: scanner.name, kernel: scanner.kernel, reason });
    } catch (thrown) {
      const error = toGatewayError(thrown);
      report({
        kind: 'failed',
        code: error.code,
        detail: error.detail === '' ? String(error.cause ?? '') : error.detail,
      });
    }
  };
  scope.onMessage((message) => {
    // Only gateway.ts posts here, and only orders.
    const order = message as Order;
    if (order.kind === 'start') start(order);
    else if (order.kind === 'stats' && plane !== null) report({ kind: 'stats', stats: plane.stats() });
    else if (order.kind === 'drain')
      void (plane?.drain() ?? Promise.resolve()).then(() => report({ kind: 'drained' }));
  });
}

serve();
