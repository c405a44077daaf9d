// One thread of the ring bench: sends messages to some threads, or takes them from one, by ring or by postMessage.
// Called as a Worker by ring.ts. Promises: both ways carry the same message (kind, exchange, 200 bytes), both have a bounded backlog; the clock
// starts after a warm-up and a garbage collection.
import { heapStats } from 'bun:jsc';
import { EMPTY } from '../../src/base/bytes.ts';
import { Bell } from '../../src/memory/bell.ts';
import { type MemoryShape, planMemory, ringPlace } from '../../src/memory/layout.ts';
import { type Frame, Ring } from '../../src/memory/ring.ts';

/** How messages travel. */
export type Way = 'ring' | 'clone' | 'bundle' | 'transfer';

/** What a thread is told. Thread 0 sends to all others. */
export interface RingBenchOrder {
  readonly way: Way;
  readonly memory: SharedArrayBuffer;
  readonly shape: MemoryShape;
  readonly worker: number;
  /** One per thread at the other end: of the takers for the sender, of the sender for a taker. */
  readonly ports: readonly MessagePort[];
  readonly messages: number;
  readonly warmUp: number;
  readonly bodyBytes: number;
}

/** What a thread answers in the end. Times are of the one monotonic clock of the machine. */
export interface RingBenchReport {
  readonly worker: number;
  readonly sum: number;
  readonly startedNs: number;
  readonly endedNs: number;
  /** Between the end of the warm-up and the end, both after a garbage collection. */
  readonly heapGrownBytes: number;
  readonly bells: number;
  readonly drains: number;
}

/** The message by postMessage. */
interface Parcel {
  readonly kind: number;
  readonly exchange: number;
  readonly body: Uint8Array;
}

const BATCH = 1000;
/** Messages of one postMessage, when they are bundled. */
const BUNDLE = 100;
/** Messages of postMessage under way: as many batches as the ring of 256 KiB holds, and some more. */
const BACKLOG_MAX = 4 * BATCH;
const BELL = 0;
const ROOM = 1;
const KIND = 3;

declare const self: Worker;

/** Clock and heap of one thread, and its answer. */
class Meter {
  readonly #worker: number;
  #sum = 0;
  #startedNs = 0;
  #heapBytes = 0;
  bells = 0;
  drains = 0;

  constructor(worker: number) {
    this.#worker = worker;
  }

  start(): void {
    this.#heapBytes = this.#heapNow();
    this.bells = 0;
    this.drains = 0;
    this.#startedNs = Number(process.hrtime.bigint());
  }

  count(exchange: number, byte: number): void {
    this.#sum = (this.#sum + exchange + byte) | 0;
  }

  end(): void {
    const endedNs = Number(process.hrtime.bigint());
    const report: RingBenchReport = {
      worker: this.#worker,
      sum: this.#sum,
      startedNs: this.#startedNs,
      endedNs,
      heapGrownBytes: this.#heapNow() - this.#heapBytes,
      bells: this.bells,
      drains: this.drains,
    };
    self.postMessage(report);
  }

  #heapNow(): number {
    Bun.gc(true);
    const { heapSize, extraMemorySize } = heapStats();
    return heapSize + extraMemorySize;
  }
}

function ringOf({ memory, shape }: RingBenchOrder, from: number, to: number): Ring {
  const plan = planMemory(shape);
  return new Ring(memory, ringPlace(plan, from, to), plan.ringBytes);
}

/**
 * Sends `messages` to every taker: a batch a turn of the event loop, as long as `put` finds room. Gives back what goes on when there is room again,
 * and does nothing while nobody waits.
 */
function send(
  order: RingBenchOrder,
  put: (body: Uint8Array, exchange: number) => boolean,
  ring: () => void,
): () => void {
  const { worker, messages, warmUp, bodyBytes } = order;
  const body = new Uint8Array(bodyBytes).fill(7);
  const meter = new Meter(worker);
  let next = 0;
  let waiting = true;
  const turn = (): void => {
    const until = Math.min(next + BATCH, next < warmUp ? warmUp : messages);
    while (next < until && put(body, next)) {
      meter.count(next, 7);
      next++;
    }
    ring();
    waiting = next < until;
    if (next === warmUp) meter.start();
    if (next === messages) meter.end();
    else if (!waiting) setImmediate(turn);
  };
  return () => {
    if (waiting) turn();
  };
}

function sendByRing(order: RingBenchOrder): void {
  const plan = planMemory(order.shape);
  const outs = order.ports.map((port, index) => ({
    port,
    ring: ringOf(order, 0, index + 1),
    bell: new Bell(order.memory, plan, index + 1),
  }));
  // A message goes to all or waits: the takers that already have it are remembered.
  let reached = 0;
  const put = (body: Uint8Array, exchange: number): boolean => {
    for (; reached < outs.length; reached++) {
      if (outs[reached]?.ring.push(KIND, exchange, EMPTY, body) !== true) return false;
    }
    reached = 0;
    return true;
  };
  const ring = (): void => {
    for (const out of outs) if (out.bell.mustRing()) out.port.postMessage(BELL);
  };
  const resume = send(order, put, ring);
  for (const [index, { port }] of outs.entries()) {
    port.onmessage = () => {
      if (index === reached) resume();
    };
  }
  resume();
}

function sendByPost(order: RingBenchOrder): void {
  const behind = order.ports.map(() => 0);
  const isFull = (): boolean => behind.some((count) => count >= BACKLOG_MAX);
  const bundle: Parcel[] = [];
  const flush = (): void => {
    if (bundle.length > 0) for (const port of order.ports) port.postMessage(bundle);
    bundle.length = 0;
  };
  const put = (body: Uint8Array, exchange: number): boolean => {
    if (isFull()) return false;
    for (const index of order.ports.keys()) behind[index] = (behind[index] ?? 0) + 1;
    const parcel: Parcel = { kind: KIND, exchange, body };
    if (order.way === 'bundle') {
      bundle.push(parcel);
      if (bundle.length === BUNDLE) flush();
    } else if (order.way === 'clone') for (const port of order.ports) port.postMessage(parcel);
    else {
      for (const port of order.ports) {
        // What is given away must be the receiver's own, so it is copied once here.
        const own = body.slice();
        port.postMessage({ ...parcel, body: own }, [own.buffer]);
      }
    }
    return true;
  };
  const resume = send(order, put, flush);
  for (const [index, port] of order.ports.entries()) {
    port.onmessage = () => {
      behind[index] = (behind[index] ?? 0) - BATCH;
      if (!isFull()) resume();
    };
  }
  resume();
}

function takeByRing(order: RingBenchOrder, port: MessagePort): void {
  const meter = new Meter(order.worker);
  const ring = ringOf(order, 0, order.worker);
  const bell = new Bell(order.memory, planMemory(order.shape), order.worker);
  const isEmpty = (): boolean => ring.isEmpty;
  let taken = 0;
  const visit = ({ exchange, bytes, bodyStart }: Frame): void => {
    meter.count(exchange, bytes[bodyStart] ?? 0);
    if (++taken === order.warmUp) meter.start();
  };
  let due = true;
  const turn = (): void => {
    due = false;
    if (ring.drain(visit, BATCH) > 0) meter.drains++;
    if (ring.takeStarved()) port.postMessage(ROOM);
    if (taken === order.messages) meter.end();
    else if (!bell.fallAsleep(isEmpty)) {
      due = true;
      setImmediate(turn);
    }
  };
  port.onmessage = () => {
    meter.bells++;
    if (due) return;
    bell.wake();
    turn();
  };
  turn();
}

function takeByPost(order: RingBenchOrder, port: MessagePort): void {
  const meter = new Meter(order.worker);
  let taken = 0;
  const take = ({ exchange, body }: Parcel): void => {
    meter.count(exchange, body[0] ?? 0);
    if (++taken === order.warmUp) meter.start();
    if (taken % BATCH === 0) port.postMessage(ROOM);
    if (taken === order.messages) meter.end();
  };
  port.onmessage = ({ data }: MessageEvent<Parcel | readonly Parcel[]>) => {
    if ('kind' in data) take(data);
    else for (const parcel of data) take(parcel);
  };
}

self.onmessage = ({ data }: MessageEvent<RingBenchOrder>) => {
  const [port] = data.ports;
  if (data.worker === 0) (data.way === 'ring' ? sendByRing : sendByPost)(data);
  else if (port !== undefined) (data.way === 'ring' ? takeByRing : takeByPost)(data, port);
};
