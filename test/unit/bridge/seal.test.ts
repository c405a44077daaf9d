// Sealed handles: what was sealed opens for those it was sealed for, and nothing else ever opens or throws.
// Runs bridge/seal.ts over the simulated runtime, whose clock and random bytes the test owns and whose cipher is the real one.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import { ANY_WORKER, type Binding, freshKeyRing, type Handle, Sealer } from '../../../src/bridge/seal.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import type { KeyRing } from '../../../src/snapshot.ts';

const AT: Binding = { endpoint: '/mcp', principal: '' };
const DAY_S = 24 * 60 * 60;
const URL_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A sealer that remembers nothing of what the other ones of this world sealed. */
function world() {
  const sim = createSimRuntime({ seed: 3 });
  const ring = freshKeyRing(sim.random);
  const nowS = Math.floor(sim.clock.wall() / 1000);
  const handle: Handle = {
    kind: 'session',
    node: 0,
    worker: 3,
    generation: 7,
    expiresAtS: nowS + DAY_S,
    inner: 'f3c1a0de-1b6c-4f7e-8f3b-1c2d3e4f5a6b',
  };
  const sealer = (keys: KeyRing = ring): Sealer => new Sealer(sim, keys);
  return { sim, ring, nowS, handle, sealer };
}

const visible = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)) });
const anyHandle = (nowS: number): fc.Arbitrary<Handle> =>
  fc.record({
    kind: fc.constant('session' as const),
    node: fc.integer({ min: 0, max: 0xffff }),
    worker: fc.oneof(fc.constant(ANY_WORKER), fc.integer({ min: 0, max: 63 })),
    generation: fc.integer({ min: 0, max: 0xffff_ffff }),
    expiresAtS: fc.integer({ min: nowS + 1, max: 0xffff_ffff }),
    inner: fc.oneof(visible, fc.string({ maxLength: 300 })),
  });
const anyBinding: fc.Arbitrary<Binding> = fc.record({
  endpoint: fc.constantFrom('/mcp', '/mcp/a', '/mcp/b'),
  principal: fc.constantFrom('', 'a', 'a\0b', 'key:1'),
});

describe('what was sealed', () => {
  test('opens as it was, in the same sealer and in another one with the same key; it is visible ASCII', () => {
    const { sealer, nowS } = world();
    fc.assert(
      fc.property(anyHandle(nowS), anyBinding, (handle, binding) => {
        const first = sealer();
        const text = first.seal(handle, binding);
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(first.open(text, binding)).toEqual(handle);
        expect(sealer().open(text, binding)).toEqual(handle);
      }),
      { numRuns: 300 },
    );
  });

  test('shows nothing: the same handle is another text each time, and its inner id is not in it', () => {
    const { sealer, handle } = world();
    const texts = [1, 2, 3].map(() => sealer().seal(handle, AT));
    expect(new Set(texts).size).toBe(3);
    for (const text of texts) {
      const bytes = Buffer.from(text, 'base64url');
      expect(bytes.includes(handle.inner)).toBe(false);
      expect(bytes.length).toBe(1 + 12 + 12 + handle.inner.length + 16);
    }
  });

  test('opens only at its endpoint and for its principal, remembered or not', () => {
    const { sealer, handle } = world();
    fc.assert(
      fc.property(anyBinding, anyBinding, (mine, other) => {
        const isSame = mine.endpoint === other.endpoint && mine.principal === other.principal;
        const knowing = sealer();
        const text = knowing.seal(handle, mine);
        for (const one of [knowing, sealer()]) expect(one.open(text, other) !== null).toBe(isSame);
        expect(knowing.open(text, mine)).toEqual(handle);
      }),
      { numRuns: 200 },
    );
  });

  test('expires to the second, remembered or not', async () => {
    const { sim, sealer, handle, nowS } = world();
    const knowing = sealer();
    const text = knowing.seal({ ...handle, expiresAtS: nowS + 10 }, AT);
    await sim.advance(9_999 - (sim.clock.wall() - nowS * 1000));
    expect(knowing.open(text, AT)).not.toBeNull();
    await sim.advance(1);
    expect([knowing.open(text, AT), sealer().open(text, AT)]).toEqual([null, null]);
  });
});

describe('what was not sealed', () => {
  test('every flipped bit of every byte, and every other character in every place: null, and nothing throws', () => {
    const { sealer, handle } = world();
    // Lengths of all three remainders, so that the last group of base64url is met in every form.
    for (const inner of ['abc', 'abcd', 'abcde']) {
      const whole = sealer();
      const text = whole.seal({ ...handle, inner }, AT);
      const bytes = Buffer.from(text, 'base64url');
      for (let at = 0; at < bytes.length; at++)
        for (let bit = 0; bit < 8; bit++) {
          const flipped = Buffer.from(bytes);
          flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
          expect(whole.open(flipped.toString('base64url'), AT)).toBeNull();
        }
      for (let at = 0; at < text.length; at++)
        for (const character of `${URL_ALPHABET}+/= \t\n\u00e9\u0100`) {
          const other = text.slice(0, at) + character + text.slice(at + 1);
          if (other !== text) expect(whole.open(other, AT)).toBeNull();
        }
      expect(whole.open(text, AT)?.inner).toBe(inner);
    }
  });

  test('every truncation from either end, and everything longer', () => {
    const { sealer, handle } = world();
    const whole = sealer();
    const text = whole.seal(handle, AT);
    for (let length = 0; length < text.length; length++) {
      expect(whole.open(text.slice(0, length), AT)).toBeNull();
      expect(whole.open(text.slice(text.length - length), AT)).toBeNull();
    }
    for (const longer of ['A', 'AA', 'AAAA', '=', '==', ' ', '\n', text])
      expect([whole.open(text + longer, AT), whole.open(longer + text, AT)]).toEqual([null, null]);
  });

  test('any text, any bytes', () => {
    const { sealer } = world();
    const one = sealer();
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 400 }),
          visible,
          fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
          // The right key id in front.
          fc
            .uint8Array({ maxLength: 300 })
            .map((bytes) => Buffer.concat([Uint8Array.of(1), bytes]).toString('base64url')),
        ),
        (text) => expect(one.open(text, AT)).toBeNull(),
      ),
      { numRuns: 500 },
    );
  });

  test('a kind that this version does not know', () => {
    const { sim, ring, sealer, handle } = world();
    const text = sealer().seal(handle, AT);
    const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
    const nonce = bytes.slice(1, 13);
    const bound = new TextEncoder().encode('sluice handle 1\0/mcp\0');
    const plain = sim.aead.open(ring.current.bytes, nonce, bytes.slice(13), bound);
    if (plain === null) throw new Error('the test does not know the wire form');
    const made = (change: (plain: Uint8Array) => Uint8Array): string =>
      Buffer.concat([
        bytes.slice(0, 13),
        sim.aead.seal(ring.current.bytes, nonce, change(plain.slice()), bound),
      ]).toString('base64url');
    expect(
      sealer().open(
        made((same) => same),
        AT,
      ),
    ).toEqual(handle);
    for (const kind of [0, 200, 255])
      expect(
        sealer().open(
          made((other) => {
            other[0] = kind;
            return other;
          }),
          AT,
        ),
      ).toBeNull();
    expect(
      sealer().open(
        made((short) => short.slice(0, 11)),
        AT,
      ),
    ).toBeNull();
  });
});

describe('keys', () => {
  test('an unknown key id, and another key under the same id', () => {
    const { sim, sealer, handle } = world();
    const text = sealer().seal(handle, AT);
    const other = freshKeyRing(sim.random);
    expect(sealer(other).open(text, AT)).toBeNull();
    expect(sealer({ current: { ...other.current, id: 2 }, older: [] }).open(text, AT)).toBeNull();
  });

  test('an older key opens, the current one seals; a key that is gone opens nothing, not even what was remembered', () => {
    const { sim, ring, sealer, handle } = world();
    const one = sealer();
    const before = one.seal(handle, AT);
    const next = { id: 2, bytes: sim.random.bytes(32) };
    one.renew({ current: next, older: [ring.current] });
    const after = one.seal(handle, AT);
    expect([before, after].map((text) => Buffer.from(text, 'base64url')[0])).toEqual([1, 2]);
    expect([one.open(before, AT), one.open(after, AT)]).toEqual([handle, handle]);
    one.renew({ current: next, older: [] });
    expect([one.open(before, AT), one.open(after, AT)]).toEqual([null, handle]);
  });

  test('a key of another length is a fault of ours', () => {
    const { sealer } = world();
    expect(() => sealer({ current: { id: 1, bytes: new Uint8Array(16) }, older: [] })).toThrow('32 bytes');
  });
});

describe('memory', () => {
  test('what was opened once costs no second opening; the bound holds, and what is in use stays', () => {
    const { sim, ring, handle } = world();
    let opened = 0;
    const counting = new Sealer(
      {
        ...sim,
        aead: {
          seal: sim.aead.seal,
          open: (...rest) => {
            opened++;
            return sim.aead.open(...rest);
          },
        },
      },
      ring,
    );
    const elsewhere = new Sealer(sim, ring);
    const text = elsewhere.seal(handle, AT);
    for (let n = 0; n < 5; n++) expect(counting.open(text, AT)).toEqual(handle);
    expect(opened).toBe(1);
    const first = elsewhere.seal({ ...handle, inner: 'first' }, AT);
    counting.open(first, AT);
    for (let n = 0; n < LIMITS.handlesRememberedMax + 1; n++) {
      counting.seal({ ...handle, inner: `${n}` }, AT);
      if (n % 1000 === 0) counting.open(text, AT);
    }
    expect(opened).toBe(2);
    counting.open(text, AT);
    expect(opened).toBe(2);
    counting.open(first, AT);
    expect(opened).toBe(3);
  });

  test('regression: what nobody shows any more is forgotten in time, however few there are; what is in use stays', async () => {
    const { sim, ring, handle } = world();
    const asked: string[] = [];
    const { seal, open } = sim.aead;
    const counting: typeof open = (key, nonce, sealed, bound) => {
      const plain = open(key, nonce, sealed, bound);
      asked.push(plain === null ? '' : new TextDecoder().decode(plain).slice(-4));
      return plain;
    };
    const sealer = new Sealer({ ...sim, aead: { seal, open: counting } }, ring);
    const used = sealer.seal({ ...handle, inner: 'used' }, AT);
    const left = sealer.seal({ ...handle, inner: 'left' }, AT);
    for (let n = 0; n < 12; n++) {
      await sim.advance(LIMITS.handlesRememberedMs / 4);
      sealer.seal({ ...handle, inner: `${n}` }, AT);
      expect(sealer.open(used, AT)?.inner).toBe('used');
    }
    expect(asked).toEqual([]);
    expect(sealer.open(left, AT)?.inner).toBe('left');
    expect(asked).toEqual(['left']);
  });

  test('a handle of a giant id is opened anew each time, and right each time', () => {
    const { sealer, handle } = world();
    const giant = { ...handle, inner: 'x'.repeat(10_000) };
    const one = sealer();
    const text = one.seal(giant, AT);
    expect([one.open(text, AT), one.open(text, AT)]).toEqual([giant, giant]);
  });
});
