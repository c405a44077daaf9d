// Ids that the gateway gives to requests on a child's pipe, and how raw ids and tokens are read and compared.
// Called by stdio-calls.ts and stdio-session.ts. Promises: no id repeats within 2^30 calls; an id cannot be guessed
// from others, so that a client who shares a child cannot make the child answer in another client's name (a child that
// reads `"ID"` as `"id"`, as some JSON libraries do, would reply to an id of the attacker's choice); ids fit an i32.
import { decode } from '../base/bytes.ts';
import type { Random } from '../runtime/runtime.ts';

const HALF_BITS = 15;
const HALF_MASK = (1 << HALF_BITS) - 1;
const PERIOD = 2 ** (2 * HALF_BITS);
const ROUNDS = 4;

/** A sequence of distinct ids in 1 … 2^30-1: a keyed permutation (Feistel network) of a counter. */
export class IdSequence {
  readonly #keys: Uint32Array;
  #count = 0;

  constructor(random: Random) {
    const bytes = random.bytes(ROUNDS * 4);
    this.#keys = new Uint32Array(ROUNDS);
    for (let i = 0; i < bytes.length; i++) {
      const round = i >> 2;
      this.#keys[round] = ((this.#keys[round] ?? 0) << 8) | (bytes[i] ?? 0);
    }
  }

  /** The next id. */
  next(): number {
    this.#count = (this.#count + 1) % PERIOD;
    const id = this.#permute(this.#count);
    return id === 0 ? this.next() : id;
  }

  #permute(count: number): number {
    let left = count >>> HALF_BITS;
    let right = count & HALF_MASK;
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = Math.imul((right + (this.#keys[round] ?? 0)) | 0, 0x9e3779b1);
      const next = left ^ (((mixed ^ (mixed >>> 13)) >>> 4) & HALF_MASK);
      left = right;
      right = next;
    }
    return (left << HALF_BITS) | right;
  }
}

const ID_DIGITS_MAX = 10;

/** The gateway id that a child's raw value spells, as a number or as a string of its digits; -1 when it is none. */
export function readId(bytes: Uint8Array, start: number, end: number): number {
  const quoted = bytes[start] === 34 ? 1 : 0;
  const from = start + quoted;
  const to = end - quoted;
  if (start < 0 || to <= from || to - from > ID_DIGITS_MAX) return -1;
  let id = 0;
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] ?? 0) - 48;
    if (digit < 0 || digit > 9) return -1;
    id = id * 10 + digit;
  }
  return id;
}

/** A key that is equal exactly when two raw ids (or tokens) are the same JSON value: strings unescaped, numbers as spelled. */
export function idKey(raw: Uint8Array): string {
  let text = '';
  for (const byte of raw) {
    if (byte >= 128 || byte === 92) return JSON.stringify(JSON.parse(decode(raw)));
    text += String.fromCharCode(byte);
  }
  return text;
}
