// Choices that a seed decides.
// Called by the other files of test/sim. Promises: the same seed and the same order of questions give the same answers.
import { seededRandom } from '../../src/runtime/sim-random.ts';

/** A source of choices. */
export class Dice {
  readonly #fraction: () => number;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#fraction = () => random.fraction();
  }

  /** True in this share of all cases, 0 … 1. Nothing is drawn for never. */
  chance(share: number): boolean {
    return share > 0 && this.#fraction() < share;
  }

  /** A number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + this.#fraction() * (high - low);
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.#fraction() * (high - low + 1));
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[Math.floor(this.#fraction() * list.length)] ?? list[0];
  }

  /** One of the names, as often as its weight says; null when none has any. */
  weighted<T extends string>(weights: Readonly<Partial<Record<T, number>>>): T | null {
    // Keys of a record of T are T.
    const entries = Object.entries(weights) as [T, number][];
    let left = this.#fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return null;
  }

  /** Four letters. */
  letters(): string {
    return String.fromCharCode(...Array.from({ length: 4 }, () => this.whole(97, 122)));
  }
}
