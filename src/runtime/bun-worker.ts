// Worker threads on Bun's Worker, from both ends.
// Called by bun.ts only. Promises: messages in order; onExit once, with the text of the uncaught error if there was one; the
// children of a thread end with it, as those of the gateway do with the gateway.
import { takeEarly } from './bun-early.ts';
import { bunLines } from './bun-port.ts';
import { endGroup } from './process-group.ts';
import type { WorkerHandle, WorkerHandler, WorkerScope } from './runtime.ts';

/**
 * A message of ours among the users': a process group of this thread has come or gone. Bun closes no pipe when a thread
 * ends, so neither its children nor its reaper would notice; the starter of the thread ends them instead.
 */
interface GroupNote {
  readonly sluiceProcessGroup: number;
  readonly alive: boolean;
}

function isGroupNote(message: unknown): message is GroupNote {
  return typeof message === 'object' && message !== null && 'sluiceProcessGroup' in message;
}

/** Tells the starter of this thread about a process group; nothing to tell on the main thread. */
export function noteGroup(group: number, alive: boolean): void {
  if (!Bun.isMainThread) postMessage({ sluiceProcessGroup: group, alive } satisfies GroupNote);
}

/** Starts a thread from a module's file URL. */
export function startBunWorker(moduleUrl: string, handler: WorkerHandler): WorkerHandle {
  const worker = new Worker(moduleUrl);
  const groups = new Set<number>();
  let failure: string | null = null;
  let over = false;
  let terminated = false;
  const exit = (code: number): void => {
    if (over) return;
    over = true;
    if (code !== 0 && !terminated) failure ??= `the thread ended with code ${code}`;
    for (const group of groups) endGroup(group, () => undefined);
    handler.onExit(failure);
  };
  worker.onmessage = (event: MessageEvent<unknown>) => {
    const message = event.data;
    if (!isGroupNote(message)) handler.onMessage(message);
    else if (message.alive) groups.add(message.sluiceProcessGroup);
    else groups.delete(message.sluiceProcessGroup);
  };
  worker.onerror = (event: ErrorEvent) => {
    event.preventDefault();
    failure ??= event.message;
  };
  worker.addEventListener('close', (event: Event) => exit('code' in event ? Number(event.code) : 0));
  return {
    post: (message, ports = []) => worker.postMessage(message, bunLines.release(ports)),
    terminate() {
      terminated = true;
      worker.terminate();
    },
  };
}

/** What a module in a worker thread sees; null on the main thread. */
export function bunWorkerScope(): WorkerScope | null {
  if (Bun.isMainThread) return null;
  return {
    post: (message) => postMessage(message),
    onMessage(callback) {
      takeEarly((event) => callback(event.data, bunLines.adopt(event.ports)));
    },
  };
}
