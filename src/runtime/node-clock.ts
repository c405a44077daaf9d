// Time on Node.
// Called by node.ts and its listeners. Promises: runtime.ts's Clock. Node looks for timers that are due before it comes to what is to happen soon: here the latter
// comes first all the same.
import { systemClock } from './clock.ts';
import type { Clock } from './runtime.ts';

let queue: (() => void)[] = [];

function flush(): void {
  const callbacks = queue;
  queue = [];
  let at = 0;
  try {
    for (; at < callbacks.length; at++) callbacks[at]?.();
  } finally {
    // One that throws must not take the others with it.
    if (at < callbacks.length - 1) for (const callback of callbacks.slice(at + 1)) nodeClock.soon(callback);
  }
}

/** The clock of this thread. */
export const nodeClock: Clock = {
  ...systemClock,
  after: (ms, callback) =>
    systemClock.after(ms, () => {
      if (queue.length > 0) flush();
      callback();
    }),
  soon(callback) {
    if (queue.push(callback) === 1) setImmediate(flush);
  },
};
