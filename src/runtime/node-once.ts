// What the threads of a process share: what is said only once, and how a thread is asked to end.
// Called by node-listener.ts and node-worker.ts. Promises: nothing is shared with threads that something else has started.
import { isMainThread, type MessagePort, workerData } from 'node:worker_threads';

/** What a thread is given by its starter. */
export interface ThreadGift {
  /** One cell: 1 once something was said. */
  readonly said: Int32Array;
  /** One cell: threads that have let go of their listeners. */
  readonly letGo: Int32Array;
  /** Brings a ThreadWish. */
  readonly wishes: MessagePort;
}

/** To let go of its listeners, or to end besides. */
export type ThreadWish = 'let go' | 'end';

const cell = (): Int32Array => new Int32Array(new SharedArrayBuffer(4));

/** What this thread was given by node-worker.ts; null on the main thread. */
export const given: ThreadGift | null = isMainThread ? null : (workerData as ThreadGift | null);

/** The cells that this thread has, and those that it starts. */
export const cells = { said: given?.said ?? cell(), letGo: given?.letGo ?? cell() };

/** True for the first who asks. */
export function isFirst(): boolean {
  return Atomics.exchange(cells.said, 0, 1) === 0;
}
