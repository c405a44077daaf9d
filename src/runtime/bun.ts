// The world through Bun: composes listener, sockets, children, workers and the small doors.
// Called by main, gateway and worker, once per thread; tests too. Promises: runtime.ts, over Bun 1.4.5.
import { access, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { bunAead } from './bun-aead.ts';
import { spawnOnBun } from './bun-child.ts';
import { bunClock } from './bun-clock.ts';
import { listenOnBun } from './bun-listener.ts';
import { bunParallelism } from './bun-parallelism.ts';
import { bunChannel } from './bun-port.ts';
import { connectOnBun } from './bun-socket.ts';
import { bunStandard } from './bun-standard.ts';
import { watchFile } from './bun-watch.ts';
import { bunWorkerScope, noteGroup, startBunWorker } from './bun-worker.ts';
import { groupMemory } from './process-memory.ts';
import { createReaper } from './reaper.ts';
import type { Files, Random, Runtime } from './runtime.ts';

/** Random bytes are drawn from the system this many at a time. */
const RANDOM_POOL_BYTES = 4096;

function createRandom(): Random {
  const pool = new Uint8Array(RANDOM_POOL_BYTES);
  let at = RANDOM_POOL_BYTES;
  return {
    bytes(count) {
      if (count > RANDOM_POOL_BYTES / 4) {
        const whole = new Uint8Array(count);
        // getRandomValues gives at most 64 KiB a call.
        for (let from = 0; from < count; from += 65_536)
          crypto.getRandomValues(whole.subarray(from, from + 65_536));
        return whole;
      }
      if (at + count > RANDOM_POOL_BYTES) {
        crypto.getRandomValues(pool);
        at = 0;
      }
      const taken = pool.slice(at, at + count);
      pool.fill(0, at, at + count);
      at += count;
      return taken;
    },
    fraction: () => Math.random(),
  };
}

const files: Files = {
  readText: (path) => readFile(path, 'utf8'),
  writeText: (path, text) => writeFile(path, text),
  async makePrivateFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  async createPrivate(path, text) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  watch: watchFile,
};

/** The runtime of this thread. Cheap; make one per thread. */
export function createBunRuntime(): Runtime {
  const reaper = createReaper(noteGroup);
  return {
    name: 'bun',
    clock: bunClock,
    random: createRandom(),
    aead: bunAead,
    files,
    standard: bunStandard(),
    listen: listenOnBun,
    connect: connectOnBun,
    spawn: (options, handler) => spawnOnBun(options, handler, reaper),
    groupMemory,
    startWorker: startBunWorker,
    channel: bunChannel,
    heapBytes: () => process.memoryUsage().heapUsed,
    get parallelism() {
      return bunParallelism();
    },
    scope: bunWorkerScope(),
  };
}
