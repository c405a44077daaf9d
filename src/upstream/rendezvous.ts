// Consistent hashing by rendezvous: each replica has a score for each key, and the best one that may be chosen has the key.
// Called by choice.ts. Promises: pure; when a replica goes only its keys move, when its weight changes only as many as that takes.
// Sources: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998; weights: Schindelhauer and Schomaker, "Weighted Distributed Hash
// Tables", 2005.
import { mixed } from '../base/digest.ts';

/** A number of 32 bits for a text: FNV-1a over its UTF-16 units. */
export function hashText(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return mixed(hash);
}

/** The place of the replica that has a key; `seeds` are hashes of what each is known by, a weight of 0 leaves it out. -1 when all are left out. */
export function ownerOf(key: number, seeds: Uint32Array, weights: Float64Array): number {
  let best = -1;
  let bestScore = 0;
  for (let i = 0; i < seeds.length; i++) {
    const weight = weights[i] ?? 0;
    if (weight <= 0) continue;
    // Uniform in (0, 1), so that the logarithm is finite and below 0.
    const draw = (mixed(Math.imul(key, 0x9e37_79b1) ^ (seeds[i] ?? 0)) + 0.5) / 2 ** 32;
    const score = -weight / Math.log(draw);
    if (score > bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
}
