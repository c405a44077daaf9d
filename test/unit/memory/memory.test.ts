// The shared memory: made, handed over, refused when it is not what it should be.
// Runs src/memory/memory.ts.
import { describe, expect, test } from 'bun:test';
import { HEADER, LINE_BYTES, MAGIC, planMemory } from '../../../src/memory/layout.ts';
import { attachMemory, createMemory, sharedOf, soloShape } from '../../../src/memory/memory.ts';

const SHAPE = { workers: 3, upstreams: 4, endpoints: 2, ringBytes: 4096, journalRecords: 16, tools: 8 };
const WALL_MS = 1_790_000_123_456;

describe('memory', () => {
  test('is as large as its plan, zero but for its header', () => {
    const memory = createMemory(SHAPE, WALL_MS);
    expect(memory.buffer.byteLength).toBe(planMemory(SHAPE).bytes);
    expect(memory.words[HEADER.magic]).toBe(MAGIC);
    expect(memory.words[HEADER.madeAtS]).toBe(1_790_000_123);
    expect(memory.words[HEADER.nextTicket]).toBe(1);
    expect(memory.words.subarray(HEADER.words).every((word) => word === 0)).toBe(true);
  });

  test('crosses threads as plain data and is the same bytes there', () => {
    const memory = createMemory(SHAPE, WALL_MS);
    const shared = sharedOf(memory);
    expect(shared.shape).toEqual(SHAPE);
    const other = attachMemory(shared);
    expect(other.plan).toEqual(memory.plan);
    Atomics.store(other.words, memory.plan.poolAt / 4, 77);
    expect(Atomics.load(memory.words, memory.plan.poolAt / 4)).toBe(77);
  });

  test('is refused with another magic, size or shape', () => {
    const memory = createMemory(SHAPE, WALL_MS);
    const buffer = new SharedArrayBuffer(memory.plan.bytes);
    expect(() => attachMemory({ shape: SHAPE, buffer })).toThrow('laid out by this version');
    expect(() => attachMemory({ shape: { ...SHAPE, upstreams: 5 }, buffer: memory.buffer })).toThrow('size');
    expect(() => createMemory({ ...SHAPE, workers: 0 }, 0)).toThrow('workers');
    expect(() => createMemory({ ...SHAPE, journalRecords: 3 }, 0)).toThrow('power of two');
  });

  test('for one plane alone holds no rings', () => {
    const { plan } = createMemory(soloShape(0, 0), 0);
    expect(plan.poolAt).toBe(plan.ringAt);
    expect(plan.journalAt % LINE_BYTES).toBe(0);
  });
});
