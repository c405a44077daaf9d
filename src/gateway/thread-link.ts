// The main thread's end of one data-plane thread: orders out, reports back.
// Called by fleet.ts and gateway.ts. Promises: every order is answered or rejected, whatever becomes of the thread; a thread that ends unasked is told
// once, with the reason.
import { GatewayError } from '../base/errors.ts';
import type { SpanBatch } from '../observe/trace.ts';
import type { Port, Runtime, WorkerHandle } from '../runtime/runtime.ts';
import type { Notice, Order, Report, SpanNotice } from '../thread.ts';

/** The thread's entry: beside the other chunks in the bundle, else in the folder above (docs/decisions/0023-bundle.md). */
const ENTRY = import.meta.url.endsWith('.js') ? './thread.js' : '../thread.ts';
const THREAD = new URL(ENTRY, import.meta.url).href;

/** One order that waits for its report. */
interface Pending {
  resolve(report: Report): void;
  reject(error: GatewayError): void;
}

/** One life of a data-plane thread. */
export class ThreadLink {
  readonly #worker: WorkerHandle;
  readonly #pending: Pending[] = [];
  /** Why no order can be sent any more, or null. */
  #ended: GatewayError | null = null;
  #killedFor: string | null = null;
  #resolveDied: (error: GatewayError) => void = () => undefined;
  /** Hears what the thread tells unasked. */
  onNotice: (notice: Notice) => void = () => undefined;
  /** Takes spans of exchanges that are over. */
  onSpans: (batch: SpanBatch) => void = () => undefined;
  /** Resolves only when the thread ends unasked. */
  readonly died: Promise<GatewayError>;

  constructor(runtime: Runtime) {
    this.died = new Promise((resolve) => {
      this.#resolveDied = resolve;
    });
    this.#worker = runtime.startWorker(THREAD, {
      // Only thread.ts posts here, and only these.
      onMessage: (message) => this.#take(message as Report | Notice | SpanNotice),
      onExit: (error) => this.#exited(error),
    });
  }

  /** Sends an order; reports come back in the order of the orders. Rejects with GW_RUNTIME_WORKER when the thread is or goes away. */
  ask(order: Order, ports: readonly Port[] = []): Promise<Report> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#worker.post(order, ports);
    });
  }

  /** Ends the thread on purpose; nothing more is told. */
  end(): void {
    if (this.#ended !== null) return;
    this.#end(new GatewayError('GW_RUNTIME_WORKER', 'it was stopped'));
    this.#worker.terminate();
  }

  /** Ends the thread in the middle of what it does, as a crash would: it has died, of `reason`. */
  kill(reason: string): void {
    if (this.#ended !== null) return;
    this.#killedFor = reason;
    this.#worker.terminate();
  }

  #take(message: Report | Notice | SpanNotice): void {
    if (message.kind === 'spans') this.onSpans(message.batch);
    else if ('epoch' in message) this.onNotice(message);
    else this.#pending.shift()?.resolve(message);
  }

  #exited(error: string | null): void {
    if (this.#ended !== null) return;
    const failure = new GatewayError('GW_RUNTIME_WORKER', error ?? this.#killedFor ?? 'it ended by itself');
    this.#end(failure);
    this.#resolveDied(failure);
  }

  #end(why: GatewayError): void {
    this.#ended = why;
    for (const one of this.#pending.splice(0)) one.reject(why);
  }
}

/** The error in a report that is not the one hoped for. */
export function unexpected(report: Report): GatewayError {
  return report.kind === 'failed'
    ? new GatewayError(report.code, report.detail)
    : new GatewayError('GW_RUNTIME_WORKER', `it reported ${report.kind}`);
}
