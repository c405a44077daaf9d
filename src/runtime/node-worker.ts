// Worker threads on node:worker_threads, from both ends.
// Called by node.ts only. Promises: messages in order; onExit once, with the text of the uncaught error if there was one; the
// children of a thread end with it, as those of the gateway do with the gateway; a thread, or the process, that ends lets go of the sockets of uWebSockets.js first:
// Node aborts the process when it finds them open in the loop of a thread that has ended.
import { isMainThread, MessageChannel, type MessagePort, parentPort, Worker } from 'node:worker_threads';
import { cells, given, type ThreadGift, type ThreadWish } from './node-once.ts';
import { nodeLines } from './node-port.ts';
import { prepareUws } from './node-uws.ts';
import { closeUwsApps } from './node-uws-listener.ts';
import { endGroup } from './process-group.ts';
import type { WorkerHandle, WorkerHandler, WorkerScope } from './runtime.ts';

/** A thread that has not ended by itself this long after it was asked to is in a loop of its own, and is terminated. */
const END_WITHIN_MS = 1_000;
/** The process waits for its threads to let go of their sockets this long. */
const LET_GO_WITHIN_MS = 300;

/**
 * What goes over the line of a thread: a message with its ports, which Node does not deliver beside it, or a note of ours: a process group of the thread has come
 * or gone. The end of a thread closes no pipe of a child that another thread's fork has inherited: the starter of the thread ends them.
 */
type Envelope =
  | { readonly message: unknown; readonly ports: readonly MessagePort[] }
  | { readonly group: number; readonly alive: boolean };

/** Tells the starter of this thread about a process group; nothing to tell on the main thread. */
export function noteGroup(group: number, alive: boolean): void {
  if (!isMainThread) parentPort?.postMessage({ group, alive } satisfies Envelope);
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Where threads that have not ended are asked to. */
const wishing = new Set<MessagePort>();

/** Called as the process exits: nothing asynchronous can be waited for any more, but other threads go on. */
function letGoOfAll(): void {
  const before = Atomics.load(cells.letGo, 0);
  const wanted = before + wishing.size;
  for (const port of wishing) port.postMessage('let go' satisfies ThreadWish);
  const untilMs = performance.now() + LET_GO_WITHIN_MS;
  for (;;) {
    const now = Atomics.load(cells.letGo, 0);
    const leftMs = untilMs - performance.now();
    if (now >= wanted || leftMs <= 0) return;
    Atomics.wait(cells.letGo, 0, now, leftMs);
  }
}

/** Starts a thread from a module's file URL. */
export function startNodeWorker(moduleUrl: string, handler: WorkerHandler): WorkerHandle {
  prepareUws();
  if (isMainThread && !process.listeners('exit').includes(letGoOfAll)) process.on('exit', letGoOfAll);
  const { port1: wishes, port2: heard } = new MessageChannel();
  const workerData: ThreadGift = { ...cells, wishes: heard };
  const worker = new Worker(new URL(moduleUrl), { workerData, transferList: [heard] });
  const groups = new Set<number>();
  let failure: string | null = null;
  let isEnding = false;
  wishing.add(wishes);
  worker.on('message', (envelope: Envelope) => {
    if ('message' in envelope) handler.onMessage(envelope.message);
    else if (envelope.alive) groups.add(envelope.group);
    else groups.delete(envelope.group);
  });
  worker.on('error', (thrown: unknown) => {
    failure ??= textOf(thrown);
  });
  worker.once('exit', (code) => {
    wishing.delete(wishes);
    wishes.close();
    if (code !== 0 && !isEnding) failure ??= `the thread ended with code ${code}`;
    for (const group of groups) endGroup(group, () => undefined);
    handler.onExit(failure);
  });
  return {
    post(message, ports = []) {
      const raw = nodeLines.release(ports);
      worker.postMessage({ message, ports: raw } satisfies Envelope, raw);
    },
    terminate() {
      if (isEnding) return;
      isEnding = true;
      wishes.postMessage('end' satisfies ThreadWish);
      setTimeout(() => void worker.terminate(), END_WITHIN_MS).unref();
    },
  };
}

/** Does what the starter of this thread wishes. */
function heedWishes({ wishes, letGo }: ThreadGift): void {
  process.on('exit', closeUwsApps);
  wishes.on('message', (wish: ThreadWish) => {
    closeUwsApps();
    Atomics.add(letGo, 0, 1);
    Atomics.notify(letGo, 0);
    if (wish === 'end') process.exit(0);
  });
  wishes.unref();
}

/** What a module in a worker thread sees; null on the main thread. */
export function nodeWorkerScope(): WorkerScope | null {
  const port = parentPort;
  if (isMainThread || port === null) return null;
  if (given !== null) heedWishes(given);
  return {
    post: (message) => port.postMessage({ message, ports: [] } satisfies Envelope),
    onMessage(callback) {
      port.on('message', (envelope: Envelope) => {
        if ('message' in envelope) callback(envelope.message, nodeLines.adopt(envelope.ports));
      });
    },
  };
}
