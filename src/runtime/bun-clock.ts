// Time on Bun.
// Called by bun.ts and http1-listener.ts only. Promises: runtime.ts's Clock.
import type { Clock, TimerId } from './runtime.ts';

/** Beyond this setTimeout would fire at once (its delay is a signed 32-bit number). */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of this thread. */
export const bunClock: Clock = {
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
