// The world through Bun: composes listener, sockets, children, workers and the small doors.
// Called by create.ts, once per thread; tests too. Promises: runtime.ts, over Bun 1.4.5.
import { systemAead } from './aead.ts';
import { spawnOnBun } from './bun-child.ts';
import { listenOnBun } from './bun-listener.ts';
import { bunLines } from './bun-port.ts';
import { startBunReaper } from './bun-reaper.ts';
import { connectOnBun } from './bun-socket.ts';
import { bunWorkerScope, noteGroup, startBunWorker } from './bun-worker.ts';
import { systemClock } from './clock.ts';
import { systemFiles } from './files.ts';
import { parallelismOf } from './parallelism.ts';
import { groupMemory } from './process-memory.ts';
import { createRandom } from './random.ts';
import { createReaper } from './reaper.ts';
import type { Runtime } from './runtime.ts';
import { systemStandard } from './standard.ts';
import { processUsage } from './usage.ts';

/** The runtime of this thread. Cheap; make one per thread. */
export function createBunRuntime(): Runtime {
  const reaper = createReaper(noteGroup, startBunReaper);
  return {
    name: 'bun',
    clock: systemClock,
    random: createRandom(),
    aead: systemAead,
    files: systemFiles,
    standard: systemStandard(),
    listen: listenOnBun,
    connect: connectOnBun,
    spawn: (options, handler) => spawnOnBun(options, handler, reaper),
    groupMemory,
    startWorker: startBunWorker,
    channel: bunLines.channel,
    heapBytes: () => process.memoryUsage().heapUsed,
    usage: processUsage,
    get parallelism() {
      // Bun heeds the process's affinity here.
      return parallelismOf(navigator.hardwareConcurrency);
    },
    scope: bunWorkerScope(),
  };
}
