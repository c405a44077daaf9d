// Real time.
// Called by bun.ts, node.ts and their listeners. Promises: runtime.ts's Clock; a timer keeps no process alive.
import type { Clock, TimerId } from './runtime.ts';

/** Beyond this setTimeout would fire at once (its delay is a signed 32-bit number). */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of this thread. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, callback): TimerId {
    const timer = setTimeout(callback, Math.min(ms, TIMER_MS_MAX));
    timer.unref();
    return Number(timer);
  },
  cancel: (timer) => clearTimeout(timer),
  soon: (callback) => {
    setImmediate(callback);
  },
};
