// One thread of ring-threads.test.ts: fills its rings to some threads, empties those from others, sleeps behind its bell.
// Called as a Worker. Promises: every frame is compared byte by byte with what its number says it is; it waits for nothing but messages of its
// peers, so that a wake-up or a word of room that gets lost stops it for good, which the test sees.
import { Bell } from '../../src/memory/bell.ts';
import { type MemoryShape, planMemory, ringPlace } from '../../src/memory/layout.ts';
import { type Frame, Ring } from '../../src/memory/ring.ts';

/** How a thread behaves: frames it puts per turn and target, frames it takes per turn and source; `echo`: puts one only for each that it took. */
export interface Manner {
  readonly putMax: number;
  readonly takeMax: number;
  readonly echo: boolean;
}

/** What a thread is told. */
export interface RingOrder {
  readonly memory: SharedArrayBuffer;
  readonly shape: MemoryShape;
  readonly worker: number;
  /** Threads it sends to and takes from. */
  readonly peers: readonly {
    readonly worker: number;
    readonly port: MessagePort;
    readonly sends: boolean;
    readonly takes: boolean;
  }[];
  readonly framesPerRing: number;
  readonly manner: Manner;
}

/** What it answers when it has sent and taken everything. */
export interface RingReport {
  readonly worker: number;
  readonly sent: number;
  readonly taken: number;
  readonly faults: readonly string[];
  readonly bells: number;
  readonly told: number;
  readonly batchMax: number;
}

const NOISE_BYTES = 1 << 16;
const RING_ME = 0;
/** Word to a producer: there is room again. */
export const ROOM = 1;
const FAULTS_MAX = 5;

/** The same bytes on every thread. */
export function noise(): Uint8Array {
  const bytes = new Uint8Array(NOISE_BYTES);
  let state = 0x9e37_79b9;
  for (let index = 0; index < NOISE_BYTES; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state;
  }
  return bytes;
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 15), 0x2c1b_3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a_2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** What frame number `sequence` of the ring `edge` is made of: pieces of the noise. Now and then it is as large as a frame can be. */
export class Made {
  metaStart = 0;
  metaBytes = 0;
  bodyStart = 0;
  bodyBytes = 0;
  kind = 0;

  of(edge: number, sequence: number, frameBytesMax: number): this {
    const draw = mix(edge * 0x0100_0193 + sequence);
    this.kind = draw & 7;
    this.metaBytes = (draw >>> 3) & 31;
    this.metaStart = (draw >>> 8) & 0x3fff;
    this.bodyStart = (draw >>> 11) & 0x3fff;
    const large = (draw & 0x1ff) === 0;
    this.bodyBytes = large ? frameBytesMax - this.metaBytes : (draw >>> 20) % 300;
    return this;
  }

  /** Null when the frame is this one, else what is wrong with it. */
  fault(frame: Frame, sequence: number, bytes: Uint8Array): string | null {
    if (frame.exchange !== sequence) return `frame ${frame.exchange} where ${sequence} is due`;
    if (frame.kind !== this.kind) return `frame ${sequence} is of kind ${frame.kind}, not ${this.kind}`;
    if (
      frame.bodyStart - frame.metaStart !== this.metaBytes ||
      frame.bodyEnd - frame.bodyStart !== this.bodyBytes
    )
      return `frame ${sequence} has another length`;
    for (let index = 0; index < this.metaBytes; index++) {
      if (frame.bytes[frame.metaStart + index] !== bytes[this.metaStart + index])
        return `meta of ${sequence} is torn`;
    }
    for (let index = 0; index < this.bodyBytes; index++) {
      if (frame.bytes[frame.bodyStart + index] !== bytes[this.bodyStart + index])
        return `body of ${sequence} is torn`;
    }
    return null;
  }
}

interface Out {
  readonly ring: Ring;
  readonly bell: Bell;
  readonly port: MessagePort;
  readonly edge: number;
  next: number;
  starved: boolean;
}

interface In {
  readonly ring: Ring;
  readonly port: MessagePort;
  readonly edge: number;
  next: number;
}

class Thread {
  readonly #order: RingOrder;
  readonly #post: (report: RingReport) => void;
  readonly #noise = noise();
  readonly #made = new Made();
  readonly #outs = new Map<number, Out>();
  readonly #ins: In[] = [];
  readonly #bell: Bell;
  readonly #faults: string[] = [];
  #from: In | null = null;
  #bells = 0;
  #told = 0;
  #batchMax = 0;
  #turnDue = false;
  #done = false;

  constructor(order: RingOrder, post: (report: RingReport) => void) {
    this.#order = order;
    this.#post = post;
    const plan = planMemory(order.shape);
    const { memory, worker } = order;
    this.#bell = new Bell(memory, plan, worker);
    const ring = (from: number, to: number) => new Ring(memory, ringPlace(plan, from, to), plan.ringBytes);
    for (const { worker: peer, port, sends, takes } of order.peers) {
      if (sends) {
        const bell = new Bell(memory, plan, peer);
        this.#outs.set(peer, {
          ring: ring(worker, peer),
          bell,
          port,
          edge: worker * 64 + peer,
          next: 0,
          starved: false,
        });
      }
      if (takes) this.#ins.push({ ring: ring(peer, worker), port, edge: peer * 64 + worker, next: 0 });
      port.onmessage = ({ data }: MessageEvent<number>) => this.#hear(data, peer);
    }
    this.#turn();
  }

  #hear(word: number, peer: number): void {
    const out = this.#outs.get(peer);
    if (word === ROOM && out !== undefined) {
      this.#told++;
      out.starved = false;
    } else this.#bells++;
    if (this.#turnDue) return;
    this.#bell.wake();
    this.#turn();
  }

  /** One turn of the event loop: put, take, then either the next turn or sleep. */
  readonly #turn = (): void => {
    this.#turnDue = false;
    for (const out of this.#outs.values()) this.#put(out);
    for (const one of this.#ins) this.#take(one);
    if (this.#isDone() && !this.#done) {
      this.#done = true;
      this.#report();
    }
    if (this.#hasMoreToPut() || !this.#bell.fallAsleep(this.#allEmpty)) {
      this.#turnDue = true;
      setImmediate(this.#turn);
    }
  };

  #limitOf(out: Out): number {
    const { framesPerRing, manner, worker } = this.#order;
    if (!manner.echo) return framesPerRing;
    const partner = this.#ins.find(({ edge }) => edge >> 6 === (out.edge & 63));
    // The thread of the lower number begins, the other answers.
    return Math.min(framesPerRing, (partner?.next ?? 0) + (worker < (out.edge & 63) ? 1 : 0));
  }

  #put(out: Out): void {
    const limit = Math.min(this.#limitOf(out), out.next + this.#order.manner.putMax);
    const before = out.next;
    while (!out.starved && out.next < limit) {
      const { kind, metaStart, metaBytes, bodyStart, bodyBytes } = this.#made.of(
        out.edge,
        out.next,
        out.ring.frameBytesMax,
      );
      const meta = this.#noise.subarray(metaStart, metaStart + metaBytes);
      if (out.ring.push(kind, out.next, meta, this.#noise, bodyStart, bodyStart + bodyBytes)) out.next++;
      else out.starved = true;
    }
    if (out.next > before && out.bell.mustRing()) out.port.postMessage(RING_ME);
  }

  #take(one: In): void {
    this.#from = one;
    this.#batchMax = Math.max(this.#batchMax, one.ring.drain(this.#visit, this.#order.manner.takeMax));
    if (one.ring.takeStarved()) one.port.postMessage(ROOM);
  }

  readonly #visit = (frame: Frame): void => {
    const one = this.#from;
    if (one === null) return;
    const fault = this.#made
      .of(one.edge, one.next, one.ring.frameBytesMax)
      .fault(frame, one.next, this.#noise);
    if (fault !== null && this.#faults.length < FAULTS_MAX) this.#faults.push(`ring ${one.edge}: ${fault}`);
    one.next++;
  };

  readonly #allEmpty = (): boolean => this.#ins.every(({ ring }) => ring.isEmpty);

  #hasMoreToPut(): boolean {
    for (const out of this.#outs.values()) if (!out.starved && out.next < this.#limitOf(out)) return true;
    return false;
  }

  #isDone(): boolean {
    const { framesPerRing } = this.#order;
    return [...this.#outs.values(), ...this.#ins].every(({ next }) => next >= framesPerRing);
  }

  #report(): void {
    const sum = (ends: Iterable<{ readonly next: number }>) =>
      [...ends].reduce((total, { next }) => total + next, 0);
    this.#post({
      worker: this.#order.worker,
      sent: sum(this.#outs.values()),
      taken: sum(this.#ins),
      faults: this.#faults,
      bells: this.#bells,
      told: this.#told,
      batchMax: this.#batchMax,
    });
  }
}

declare const self: Worker;

if (!Bun.isMainThread) {
  self.onmessage = ({ data }: MessageEvent<RingOrder>) => {
    new Thread(data, (report) => self.postMessage(report));
  };
}
