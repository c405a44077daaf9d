// The ring against its model, a queue of copies: any order of pushes, drains, throwing visits and new ends, from any place of the counters.
// Run by `bun test`. A failure prints the seed.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { EMPTY } from '../../src/base/bytes.ts';
import { RING, WORD_BYTES } from '../../src/memory/layout.ts';
import { Ring } from '../../src/memory/ring.ts';

const SIZE = 4096;
const HEAD_BYTES = 16;

interface Held {
  readonly kind: number;
  readonly exchange: number;
  readonly meta: Uint8Array;
  readonly body: Uint8Array;
}

/** Room that a frame takes at most: its record, and the rest of the ring before it, which is smaller. */
function roomFor(payload: number): number {
  return 2 * ((HEAD_BYTES + payload + 7) & -8);
}

class Model {
  readonly memory = new SharedArrayBuffer(RING.words * WORD_BYTES + SIZE);
  readonly queue: Held[] = [];
  producer: Ring;
  consumer: Ring;
  refused = 0;

  constructor(counter: number) {
    const cells = new Int32Array(this.memory);
    cells[RING.head] = counter;
    cells[RING.tail] = counter;
    this.producer = new Ring(this.memory, 0, SIZE);
    this.consumer = new Ring(this.memory, 0, SIZE);
  }

  push(held: Held, cut: number): void {
    const { kind, exchange, meta, body } = held;
    const used = this.producer.usedBytes;
    const wide = new Uint8Array(body.length + cut + 1);
    wide.set(body, cut);
    const put =
      cut === 0
        ? this.producer.push(kind, exchange, meta, body)
        : this.producer.push(kind, exchange, meta, wide, cut, cut + body.length);
    if (put) this.queue.push(held);
    else {
      this.refused++;
      expect(this.producer.usedBytes).toBe(used);
      expect(SIZE - used).toBeLessThan(roomFor(meta.length + body.length));
    }
  }

  drain(max: number, throwAt: number): void {
    let visited = 0;
    const visit = (frame: Held): void => {
      expect(plain(frame)).toEqual(plain(this.queue.shift()));
      if (++visited === throwAt) throw new Error('visit');
    };
    const wanted = Math.min(max, this.queue.length);
    if (throwAt > 0 && throwAt <= wanted) expect(() => this.consumer.drain(visit, max)).toThrow('visit');
    else expect(this.consumer.drain(visit, max)).toBe(wanted);
    expect(visited).toBe(throwAt > 0 ? Math.min(throwAt, wanted) : wanted);
    const told = this.consumer.takeStarved();
    if (told) expect(this.consumer.usedBytes).toBeLessThanOrEqual(SIZE / 2);
    if (this.refused > 0 && this.consumer.usedBytes <= SIZE / 2) expect(told).toBe(true);
    if (told) this.refused = 0;
  }

  check(): void {
    expect(this.consumer.isEmpty).toBe(this.queue.length === 0);
    const least = this.queue.reduce(
      (sum, { meta, body }) => sum + ((HEAD_BYTES + meta.length + body.length + 7) & -8),
      0,
    );
    expect(this.producer.usedBytes).toBeGreaterThanOrEqual(least);
    expect(this.producer.usedBytes).toBeLessThanOrEqual(SIZE);
  }
}

function plain(held: Held | undefined) {
  if (held === undefined) return 'nothing';
  return { kind: held.kind, exchange: held.exchange, meta: [...held.meta], body: [...held.body] };
}

const length = fc.oneof(fc.nat(40), fc.nat(SIZE / 4 - HEAD_BYTES), fc.constantFrom(0, SIZE / 4 - HEAD_BYTES));
const word = fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 0xffff_ffff }));

const held = fc
  .tuple(word, word, length, fc.nat(40), fc.nat(255))
  .map(([kind, exchange, total, meta, seed]): Held => {
    const bytes = Uint8Array.from({ length: total }, (_, index) => (seed + index * 13) & 255);
    const split = Math.min(meta, total);
    return { kind, exchange, meta: bytes.slice(0, split), body: bytes.slice(split) };
  });

type Step = (model: Model) => void;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(held, fc.nat(5)).map(
      ([one, cut]): Step =>
        (model) =>
          model.push(one, cut),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.nat(12),
        fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4) }),
      )
      .map(
        ([max, throwAt]): Step =>
          (model) =>
            model.drain(max, throwAt),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      (model) => {
        model.producer = new Ring(model.memory, 0, SIZE);
      },
      (model) => {
        model.consumer = new Ring(model.memory, 0, SIZE);
      },
      (model) => {
        model.consumer.reset();
        model.queue.length = 0;
      },
      (model) => {
        while (model.producer.push(9, 9, EMPTY, EMPTY))
          model.queue.push({ kind: 9, exchange: 9, meta: EMPTY, body: EMPTY });
        model.refused++;
      },
    ),
  },
);

const counter = fc.oneof(
  fc.constantFrom(0, 2 ** 31, 2 ** 32).chain((turn) => fc.nat(SIZE / 8).map((back) => turn - back * 8)),
  fc.nat(2 ** 29 - 1).map((n) => n * 8),
);

test('any order of steps does what a queue does', () => {
  fc.assert(
    fc.property(counter, fc.array(step, { minLength: 1, maxLength: 60 }), (start, steps) => {
      const model = new Model(start);
      for (const one of steps) {
        one(model);
        model.check();
      }
      model.drain(1e6, 0);
      model.check();
    }),
    { numRuns: 400 },
  );
});
