// Randomness from the system.
// Called by bun.ts and node.ts. Promises: runtime.ts's Random; bytes that were given are kept nowhere.
import type { Random } from './runtime.ts';

/** Random bytes are drawn from the system this many at a time. */
const RANDOM_POOL_BYTES = 4096;
/** getRandomValues gives at most so many bytes a call. */
const DRAW_BYTES_MAX = 65_536;

/** The randomness of a thread. */
export function createRandom(): Random {
  const pool = new Uint8Array(RANDOM_POOL_BYTES);
  let at = RANDOM_POOL_BYTES;
  return {
    bytes(count) {
      if (count > RANDOM_POOL_BYTES / 4) {
        const whole = new Uint8Array(count);
        for (let from = 0; from < count; from += DRAW_BYTES_MAX)
          crypto.getRandomValues(whole.subarray(from, from + DRAW_BYTES_MAX));
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
