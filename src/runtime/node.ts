// The world through Node: composes listener, sockets, children, workers and the small doors.
// Called by create.ts, once per thread; tests too. Promises: runtime.ts, over Node 20 and later.
import { availableParallelism } from 'node:os';
import { systemAead } from './aead.ts';
import { systemFiles } from './files.ts';
import { spawnOnNode } from './node-child.ts';
import { nodeClock } from './node-clock.ts';
import { listenOnNode } from './node-listener.ts';
import './node-language.ts';
import { nodeLines } from './node-port.ts';
import { startNodeReaper } from './node-reaper.ts';
import { connectOnNode } from './node-socket.ts';
import { nodeWorkerScope, noteGroup, startNodeWorker } from './node-worker.ts';
import { parallelismOf } from './parallelism.ts';
import { groupMemory } from './process-memory.ts';
import { createRandom } from './random.ts';
import { createReaper } from './reaper.ts';
import type { Runtime } from './runtime.ts';
import { systemStandard } from './standard.ts';
import { processUsage } from './usage.ts';

/** The runtime of this thread. Cheap; make one per thread. */
export function createNodeRuntime(): Runtime {
  const reaper = createReaper(noteGroup, startNodeReaper);
  return {
    name: 'node',
    clock: nodeClock,
    random: createRandom(),
    aead: systemAead,
    files: systemFiles,
    standard: systemStandard(),
    listen: listenOnNode,
    connect: connectOnNode,
    spawn: (options, handler) => spawnOnNode(options, handler, reaper),
    groupMemory,
    startWorker: startNodeWorker,
    channel: nodeLines.channel,
    heapBytes: () => process.memoryUsage().heapUsed,
    usage: processUsage,
    get parallelism() {
      return parallelismOf(availableParallelism());
    },
    scope: nodeWorkerScope(),
  };
}
