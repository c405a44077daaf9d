// Seeded randomness for the simulated runtime.
// Called by sim.ts. Promises: the same seed gives the same numbers for ever; nothing here is fit for secrets.
import type { Random } from './runtime.ts';

/** A generator of 32-bit numbers (Vigna's splitmix idea on 32 bits with Steele's mixing constants). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** Randomness that a seed decides. */
export function seededRandom(seed: number): Random {
  const next = generator(seed);
  return {
    bytes(count) {
      const bytes = new Uint8Array(count);
      for (let i = 0; i < count; i++) bytes[i] = next() & 0xff;
      return bytes;
    },
    fraction: () => next() / 2 ** 32,
  };
}
