// The ring on one thread: sizes around every boundary, the wrap at every place, full and starved, counters that wrap, faults.
// Promises: what comes out is compared byte by byte with what went in, and with a queue of copies.
import { describe, expect, test } from 'bun:test';
import { EMPTY } from '../../../src/base/bytes.ts';
import { RING, WORD_BYTES } from '../../../src/memory/layout.ts';
import { type Frame, Ring } from '../../../src/memory/ring.ts';

const SIZE = 4096;
const HEAD_BYTES = 16;
/** The ring lies behind something else, as in a real memory. */
const AT = 128;

interface World {
  readonly ring: Ring;
  readonly memory: SharedArrayBuffer;
  readonly cells: Int32Array;
}

/** A ring whose counters stand at `counter`. */
function ringAt(counter = 0, dataBytes = SIZE): World {
  const memory = new SharedArrayBuffer(AT + RING.words * WORD_BYTES + dataBytes + 64);
  new Uint8Array(memory).fill(0xa5);
  const cells = new Int32Array(memory, AT, RING.words);
  cells.fill(0);
  cells[RING.head] = counter;
  cells[RING.tail] = counter;
  return { ring: new Ring(memory, AT, dataBytes), memory, cells };
}

/** Bytes that differ by seed and place. */
function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (seed * 31 + index * 7) & 255);
}

interface Copy {
  readonly kind: number;
  readonly exchange: number;
  readonly meta: number[];
  readonly body: number[];
}

function copyOf(frame: Frame): Copy {
  return { kind: frame.kind, exchange: frame.exchange, meta: [...frame.meta], body: [...frame.body] };
}

function drained(ring: Ring, max = 1e6): Copy[] {
  const all: Copy[] = [];
  const count = ring.drain((frame) => all.push(copyOf(frame)), max);
  expect(count).toBe(all.length);
  return all;
}

describe('ring', () => {
  test('every size around every boundary goes through, alone and one after the other', () => {
    const { ring } = ringAt();
    expect(ring.frameBytesMax).toBe(SIZE / 4 - HEAD_BYTES);
    const sizes = [0, 1, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 511, 512, 513, ring.frameBytesMax - 1];
    let seed = 0;
    for (const metaBytes of sizes) {
      for (const bodyBytes of [...sizes, ring.frameBytesMax - metaBytes]) {
        if (metaBytes + bodyBytes > ring.frameBytesMax) continue;
        const meta = bytesOf(metaBytes, ++seed);
        const body = bytesOf(bodyBytes, ++seed);
        expect(ring.push(seed, seed * 3, meta, body)).toBe(true);
        expect(ring.isEmpty).toBe(false);
        expect(drained(ring)).toEqual([{ kind: seed, exchange: seed * 3, meta: [...meta], body: [...body] }]);
        expect(ring.isEmpty).toBe(true);
        expect(ring.usedBytes).toBe(0);
      }
    }
    expect(seed).toBeGreaterThan(400);
  });

  test('kind and exchange keep all 32 bits', () => {
    const { ring } = ringAt();
    ring.push(0xffff_ffff, 0xffff_fffe, EMPTY, EMPTY);
    ring.push(0, 0x8000_0000, EMPTY, EMPTY);
    expect(drained(ring)).toEqual([
      { kind: 0xffff_ffff, exchange: 0xffff_fffe, meta: [], body: [] },
      { kind: 0, exchange: 0x8000_0000, meta: [], body: [] },
    ]);
  });

  test('a record that meets the end of the ring, from every place and in many sizes', () => {
    for (let place = 0; place < SIZE; place += 8) {
      for (const payload of [0, 1, 8, 9, 24, 48, 49, 200, SIZE / 4 - HEAD_BYTES]) {
        const { ring, cells } = ringAt(place);
        const meta = bytesOf(payload >> 2, place);
        const body = bytesOf(payload - meta.length, place + 1);
        for (const exchange of [1, 2]) expect(ring.push(7, exchange, meta, body)).toBe(true);
        const expected = { kind: 7, meta: [...meta], body: [...body] };
        expect(drained(ring)).toEqual([
          { ...expected, exchange: 1 },
          { ...expected, exchange: 2 },
        ]);
        const record = (HEAD_BYTES + payload + 7) & -8;
        const skipped = [0, 1].reduce((sum, n) => {
          const rest = SIZE - ((place + sum + n * record) % SIZE);
          return sum + (rest < record ? rest : 0);
        }, 0);
        expect((cells[RING.tail] ?? 0) - place).toBe(2 * record + skipped);
      }
    }
  });

  test('a piece of a body, and nothing outside the ring is written', () => {
    const { ring, memory } = ringAt();
    const body = bytesOf(300, 5);
    for (let n = 0; n < 500; n++) {
      const from = n % 150;
      expect(ring.push(1, n, bytesOf(n % 9, n), body, from, from + (n % 140))).toBe(true);
      expect(drained(ring)[0]?.body).toEqual([...body.slice(from, from + (n % 140))]);
    }
    const outside = [...new Uint8Array(memory, 0, AT), ...new Uint8Array(memory, memory.byteLength - 64)];
    expect(outside).toEqual(Array.from({ length: AT + 64 }, () => 0xa5));
  });

  test('offsets into the whole ring say the same as the views', () => {
    const { ring } = ringAt(SIZE - 64);
    ring.push(1, 1, bytesOf(5, 1), bytesOf(11, 2));
    ring.push(1, 2, bytesOf(50, 3), EMPTY);
    const seen: number[] = [];
    ring.drain((frame) => {
      expect([...frame.bytes.subarray(frame.metaStart, frame.bodyStart)]).toEqual([...frame.meta]);
      expect([...frame.bytes.subarray(frame.bodyStart, frame.bodyEnd)]).toEqual([...frame.body]);
      expect(frame.meta).toBe(frame.meta);
      seen.push(frame.meta.length, frame.body.length);
    }, 9);
    expect(seen).toEqual([5, 11, 50, 0]);
  });

  test('full: push changes nothing and says so; half empty, the consumer tells once', () => {
    const { ring } = ringAt();
    const body = bytesOf(112, 1);
    let pushed = 0;
    while (ring.push(1, pushed, EMPTY, body)) pushed++;
    expect(pushed).toBe(SIZE / 128);
    expect(ring.usedBytes).toBe(SIZE);
    expect(ring.push(1, 999, EMPTY, EMPTY)).toBe(false);
    expect(ring.takeStarved()).toBe(false);
    expect(drained(ring, 15).map(({ exchange }) => exchange)).toEqual(
      Array.from({ length: 15 }, (_, n) => n),
    );
    expect(ring.takeStarved()).toBe(false);
    expect(drained(ring, 1).length).toBe(1);
    expect(ring.usedBytes).toBe(SIZE / 2);
    expect([ring.takeStarved(), ring.takeStarved()]).toEqual([true, false]);
    expect(ring.push(1, 100, EMPTY, bytesOf(ring.frameBytesMax, 2))).toBe(true);
    expect(drained(ring).map(({ exchange }) => exchange)).toEqual([
      ...Array.from({ length: 16 }, (_, n) => n + 16),
      100,
    ]);
    expect(ring.takeStarved()).toBe(false);
  });

  test('from every place, whatever is told to be possible is: the largest frame fits into half a ring', () => {
    for (let place = 0; place < SIZE; place += 8) {
      const { ring } = ringAt(place);
      const half = Array.from({ length: 4 }, () => ring.push(1, 0, EMPTY, bytesOf(SIZE / 8 - HEAD_BYTES, 1)));
      expect(half).toEqual([true, true, true, true]);
      if (ring.usedBytes > SIZE / 2) drained(ring, 1);
      expect(ring.push(1, 1, EMPTY, bytesOf(ring.frameBytesMax, 1))).toBe(true);
    }
  });

  test('room that is made just before or just after the producer raises the flag is never missed', () => {
    for (const when of ['before', 'after']) {
      const { ring, memory } = ringAt();
      const consumer = new Ring(memory, AT, SIZE);
      while (ring.push(1, 1, EMPTY, bytesOf(500, 1)));
      consumer.takeStarved();
      new Int32Array(memory, AT)[RING.starved] = 0;
      // The one moment that matters cannot be hit by waiting for it: the consumer runs inside the producer's own store.
      const store = Atomics.store;
      const told: boolean[] = [];
      const consume = (): void => {
        Atomics.store = store;
        drained(consumer);
        told.push(consumer.takeStarved());
      };
      Atomics.store = ((cells: Int32Array, index: number, value: number): number => {
        if (when === 'before') consume();
        const stored = store(cells, index, value);
        if (when === 'after') consume();
        return stored;
      }) as typeof Atomics.store;
      try {
        expect(ring.push(1, 2, EMPTY, bytesOf(500, 2))).toBe(true);
      } finally {
        Atomics.store = store;
      }
      expect(told).toEqual([when === 'after']);
      expect(drained(ring).map(({ exchange }) => exchange)).toEqual([2]);
    }
  });

  test('a producer that found room after all is not starved', () => {
    const { ring, memory } = ringAt();
    const consumer = new Ring(memory, AT, SIZE);
    const body = bytesOf(1000, 3);
    for (let n = 0; n < 4; n++) expect(ring.push(1, n, EMPTY, body)).toBe(true);
    expect(drained(consumer).length).toBe(4);
    expect(ring.push(1, 9, EMPTY, body)).toBe(true);
    expect(consumer.takeStarved()).toBe(false);
  });

  test('the counters pass 2^31 and 2^32, empty, filled and full', () => {
    for (const turn of [2 ** 31, 2 ** 32]) {
      for (let before = 0; before <= 2 * SIZE; before += 64) {
        const { ring } = ringAt(turn - before);
        const wanted: number[] = [];
        const got: number[] = [];
        for (let n = 0; n < 60; n++) {
          if (ring.push(1, n, EMPTY, bytesOf((n * 37) % 900, n))) wanted.push(n);
          expect(ring.usedBytes).toBeLessThanOrEqual(SIZE);
          if (n % 3 === 2) got.push(...drained(ring, 2).map(({ exchange }) => exchange));
        }
        got.push(...drained(ring).map(({ exchange }) => exchange));
        expect(got).toEqual(wanted);
        expect(wanted.length).toBeGreaterThan(30);
      }
    }
  });

  test('a new end, made in the middle, goes on where the old one stopped', () => {
    const { ring, memory } = ringAt(2 ** 32 - 256);
    for (let n = 0; n < 3; n++) ring.push(1, n, EMPTY, bytesOf(500, n));
    expect(drained(new Ring(memory, AT, SIZE), 2).map(({ exchange }) => exchange)).toEqual([0, 1]);
    const second = new Ring(memory, AT, SIZE);
    for (let n = 3; n < 6; n++) expect(second.push(1, n, EMPTY, bytesOf(500, n))).toBe(true);
    expect(drained(ring).map(({ exchange }) => exchange)).toEqual([2, 3, 4, 5]);
  });

  test('reset empties it, keeps a starved producer to be told, and both ends go on', () => {
    const { ring, memory } = ringAt(40);
    const producer = new Ring(memory, AT, SIZE);
    while (producer.push(1, 1, EMPTY, bytesOf(700, 1)));
    new Ring(memory, AT, SIZE).reset();
    expect([ring.isEmpty, ring.usedBytes, ring.takeStarved(), ring.takeStarved()]).toEqual([
      true,
      0,
      true,
      false,
    ]);
    for (let n = 0; n < 30; n++) {
      expect(producer.push(2, n, EMPTY, bytesOf(900, n))).toBe(true);
      expect(drained(ring)).toEqual([{ kind: 2, exchange: n, meta: [], body: [...bytesOf(900, n)] }]);
    }
  });
});

describe('a visit', () => {
  test('that throws has taken its frame; the rest stays', () => {
    const { ring } = ringAt();
    for (let n = 0; n < 5; n++) ring.push(1, n, EMPTY, EMPTY);
    const seen: number[] = [];
    const visit = ({ exchange }: Frame): void => {
      seen.push(exchange);
      if (exchange === 1) throw new Error('visit');
    };
    expect(() => ring.drain(visit, 9)).toThrow('visit');
    expect(ring.usedBytes).toBe(3 * HEAD_BYTES);
    expect(ring.drain(visit, 9)).toBe(3);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  test('that drains visits nothing; one that pushes is seen by the next drain', () => {
    const { ring } = ringAt();
    for (let n = 0; n < 3; n++) ring.push(1, n, EMPTY, EMPTY);
    const seen: number[] = [];
    const visit = ({ exchange }: Frame): void => {
      seen.push(exchange);
      expect(ring.drain(visit, 9)).toBe(0);
      if (exchange < 3) ring.push(1, exchange + 10, EMPTY, EMPTY);
    };
    expect([ring.drain(visit, 9), ring.drain(visit, 9), ring.drain(visit, 9)]).toEqual([3, 3, 0]);
    expect(seen).toEqual([0, 1, 2, 10, 11, 12]);
  });

  test('of a long batch gives room back before its end', () => {
    const { ring, memory } = ringAt();
    const producer = new Ring(memory, AT, SIZE);
    let next = 0;
    while (producer.push(1, next, EMPTY, bytesOf(112, 1))) next++;
    let during = 0;
    ring.drain(() => {
      while (producer.push(1, next, EMPTY, bytesOf(112, 1))) {
        next++;
        during++;
      }
    }, 1e6);
    expect(during).toBe(28);
  });

  test('max bounds it, 0 included', () => {
    const { ring } = ringAt();
    for (let n = 0; n < 5; n++) ring.push(1, n, EMPTY, EMPTY);
    expect([0, 2, 2, 2, 2].map((max) => drained(ring, max).length)).toEqual([0, 2, 2, 1, 0]);
  });
});

describe('faults of ours are refused before anything is written', () => {
  test('a frame above a quarter of the ring, a piece outside its array', () => {
    const { ring } = ringAt();
    const large = bytesOf(ring.frameBytesMax + 1, 1);
    expect(() => ring.push(1, 1, EMPTY, large)).toThrow('quarter');
    expect(() => ring.push(1, 1, bytesOf(1, 1), large, 0, large.length - 1)).toThrow('quarter');
    for (const [from, to] of [
      [-1, 5],
      [5, 4],
      [0, large.length + 1],
      [Number.NaN, 5],
    ]) {
      expect(() => ring.push(1, 1, EMPTY, large, from, to)).toThrow('within the array');
    }
    expect(ring.isEmpty).toBe(true);
  });

  test('a size that is no power of two, or too small', () => {
    const memory = new SharedArrayBuffer(1 << 16);
    for (const bytes of [0, 2048, 4095, 4097, 12288])
      expect(() => new Ring(memory, 0, bytes)).toThrow('power of two');
  });

  test('a ring that somebody else wrote over', () => {
    const { ring, memory } = ringAt();
    for (const [word, value, claim] of [
      [0, 5000, 'a quarter of its ring'],
      [0, 0xffff_fff0, 'a quarter of its ring'],
      [1, 4096, 'a quarter of its ring'],
      [0, 100, 'within its ring'],
      [0, 0xffff_ffff, 'a quarter of its ring'],
    ] as const) {
      ring.push(1, 1, EMPTY, EMPTY);
      const words = new Uint32Array(memory, AT + RING.words * WORD_BYTES);
      const place = (new Int32Array(memory, AT)[RING.head] ?? 0) / 4;
      words[place + word] = value;
      expect(() => ring.drain(() => undefined, 1)).toThrow(claim);
      ring.reset();
    }
  });
});
