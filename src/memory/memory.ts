// The one block of memory that all threads of a gateway share, made or taken over.
// Called by gateway.ts (makes it), thread.ts and worker.ts (take it over), the other files of memory/ (work on it). Promises: a memory
// that another version laid out, or that has another size than its shape asks for, is refused before anything is read from it.
import { assert } from '../base/assert.ts';
import { HEADER, MAGIC, type MemoryPlan, type MemoryShape, planMemory } from './layout.ts';

/** A plane's memory on one thread: where things lie, the bytes, and all of them as words. */
export interface PlaneMemory {
  readonly plan: MemoryPlan;
  readonly buffer: SharedArrayBuffer;
  /** The whole buffer as 32-bit words: what Atomics work on. */
  readonly words: Int32Array;
  /** The whole buffer as doubles: counts that must not wrap. */
  readonly doubles: Float64Array;
}

/** What crosses threads in a message: the receiver lays its own plan over it. */
export interface SharedMemory {
  readonly shape: MemoryShape;
  readonly buffer: SharedArrayBuffer;
}

/** Journal records of a memory that one plane has to itself, when nobody says otherwise. */
const SOLO_JOURNAL_RECORDS = 256;

/** Shape for one worker that shares with nobody (the stdio front, tests). */
export function soloShape(upstreams: number, endpoints: number): MemoryShape {
  return { workers: 1, upstreams, endpoints, ringBytes: 4096, journalRecords: SOLO_JOURNAL_RECORDS };
}

/** Allocates a memory, all zero but its header. `wallMs`: now, in ms since the epoch. */
export function createMemory(shape: MemoryShape, wallMs: number): PlaneMemory {
  const plan = planMemory(shape);
  const buffer = new SharedArrayBuffer(plan.bytes);
  const words = new Int32Array(buffer);
  words[HEADER.madeAtS] = Math.floor(wallMs / 1000);
  // Ticket 0 means that nobody waits.
  words[HEADER.nextTicket] = 1;
  words[HEADER.magic] = MAGIC;
  return { plan, buffer, words, doubles: new Float64Array(buffer) };
}

/** Takes over a memory that another thread made; a wrong magic or size is a fault of ours (GW_BASE_INTERNAL). */
export function attachMemory(shared: SharedMemory): PlaneMemory {
  const plan = planMemory(shared.shape);
  const { buffer } = shared;
  assert(buffer.byteLength === plan.bytes, 'a shared memory has the size that its shape asks for');
  const words = new Int32Array(buffer);
  assert(words[HEADER.magic] === MAGIC, 'a shared memory was laid out by this version');
  return { plan, buffer, words, doubles: new Float64Array(buffer) };
}

/** The plain data that attachMemory() takes on another thread. */
export function sharedOf(memory: PlaneMemory): SharedMemory {
  const { workers, upstreams, endpoints, ringBytes, journalRecords, tools = 0 } = memory.plan;
  const shape = { workers, upstreams, endpoints, ringBytes, journalRecords, tools };
  return { shape, buffer: memory.buffer };
}

/**
 * What to add to this thread's monotonic clock (ms) to get ms since the memory was made: each thread's own clock counts from its start,
 * and cells are read by all. `wallMs` and `nowMs` are taken together.
 */
export function cellOffsetMs(memory: PlaneMemory, wallMs: number, nowMs: number): number {
  return wallMs - (memory.words[HEADER.madeAtS] ?? 0) * 1000 - nowMs;
}
