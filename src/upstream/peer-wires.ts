// The rings and bells between one worker and all others: frames go in, frames come out, and nobody is woken who is awake.
// Called by peer-link.ts. Promises: what was put is announced once per turn of the loop, and only to a worker that sleeps; a worker goes to sleep
// only when its rings are empty and what it could not put does not fit yet; a visitor that throws stops no other frame.

import { Bell } from '../memory/bell.ts';
import { ringPlace } from '../memory/layout.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import { type Frame, Ring } from '../memory/ring.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Port } from '../runtime/runtime.ts';
import type { WorkerPlace } from './peers.ts';

/** Frames taken from one ring before it is the next one's turn. */
const FRAMES_PER_TURN = 1_000;

/** Who works with the frames. */
export interface WireEvents {
  /** A frame came; its views are valid during the call. */
  onFrame(from: number, frame: Frame): void;
  /** There may be room again towards a worker: puts what waits. True when something was put. */
  onRoom(to: number): boolean;
}

/** What the wires are made of. */
export interface WireParts {
  readonly memory: PlaneMemory;
  readonly place: WorkerPlace;
  readonly clock: Clock;
  readonly log: Log;
}

/** Counts of the wires, for benches and tests. */
export interface WireTally {
  /** Frames taken. */
  frames: number;
  /** Times that this worker was woken. */
  wakes: number;
  /** Times that it rang for another. */
  rings: number;
}

/** One other worker. */
interface Wire {
  readonly worker: number;
  readonly out: Ring;
  readonly in: Ring;
  readonly bell: Bell;
  readonly visit: (frame: Frame) => void;
  /** Rings its bell; null while it is down. */
  port: Port | null;
  /** Something was put since it was last looked whether it sleeps. */
  isFresh: boolean;
}

/** One worker's end of all rings. */
export class PeerWires {
  readonly tally: WireTally = { frames: 0, wakes: 0, rings: 0 };
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #events: WireEvents;
  readonly #bell: Bell;
  readonly #wires: readonly Wire[];
  readonly #byWorker = new Map<number, Wire>();
  /** A turn is on its way: this worker is awake. */
  #isAwake = true;
  #isInTurn = false;
  #isAnnouncing = false;
  #isOver = false;

  constructor({ memory, place, clock, log }: WireParts, events: WireEvents) {
    this.#clock = clock;
    this.#log = log;
    this.#events = events;
    const { buffer, plan } = memory;
    this.#bell = new Bell(buffer, plan, place.index);
    const others = Array.from({ length: place.count }, (_, worker) => worker).filter(
      (worker) => worker !== place.index,
    );
    this.#wires = others.map((worker) => ({
      worker,
      out: new Ring(buffer, ringPlace(plan, place.index, worker), plan.ringBytes),
      in: new Ring(buffer, ringPlace(plan, worker, place.index), plan.ringBytes),
      bell: new Bell(buffer, plan, worker),
      visit: (frame) => this.#visit(worker, frame),
      port: null,
      isFresh: false,
    }));
    for (const wire of this.#wires) this.#byWorker.set(wire.worker, wire);
    this.#rest();
  }

  /** Most bytes of words and body that one frame takes. */
  get frameBytesMax(): number {
    return this.#wires[0]?.out.frameBytesMax ?? 0;
  }

  /** Puts a frame; false when there is no room now: onRoom() comes when there is. As Ring.push(). */
  push(
    to: number,
    kind: number,
    exchange: number,
    words: Uint8Array,
    body: Uint8Array,
    span: readonly [number, number],
  ): boolean {
    const wire = this.#byWorker.get(to);
    if (wire?.port == null || !wire.out.push(kind, exchange, words, body, span[0], span[1])) return false;
    this.#announceLater(wire);
    return true;
  }

  /** A worker is there: its frames are taken, and it can be rung. */
  open(worker: number, port: Port): void {
    const wire = this.#byWorker.get(worker);
    if (wire === undefined || this.#isOver) return;
    wire.port?.close();
    wire.port = port;
    port.onMessage(this.#woken);
    // It may have put frames before it was known here.
    this.#wake();
  }

  /** A worker has died: what it put before is taken, then its rings are left alone. */
  close(worker: number): void {
    const wire = this.#byWorker.get(worker);
    if (wire?.port == null) return;
    while (wire.in.drain(wire.visit, FRAMES_PER_TURN) > 0);
    wire.port.close();
    wire.port = null;
    wire.isFresh = false;
    // It may have taken it upon itself to ring for all, and have died before the ring was heard.
    this.#wake();
  }

  /** Takes no more frames from anybody. */
  stop(): void {
    this.#isOver = true;
    for (const wire of this.#wires) {
      wire.port?.close();
      wire.port = null;
    }
  }

  #visit(from: number, frame: Frame): void {
    this.tally.frames++;
    try {
      this.#events.onFrame(from, frame);
    } catch (thrown) {
      this.#log.error('a frame of another worker was met with a fault', { from, fault: String(thrown) });
    }
  }

  // ── awake and asleep ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A bell message came. */
  readonly #woken = (): void => {
    if (this.#isAwake || this.#isOver) return;
    this.#isAwake = true;
    this.tally.wakes++;
    this.#turn();
  };

  /** Looks at the rings without having been rung. */
  #wake(): void {
    if (this.#isAwake || this.#isOver) return;
    this.#isAwake = true;
    this.#bell.wake();
    this.#clock.soon(this.#turn);
  }

  /** One look at everything; goes on in the next turn of the loop until nothing is left to do. */
  readonly #turn = (): void => {
    if (this.#isOver) return;
    this.#isInTurn = true;
    let work = 0;
    for (const wire of this.#wires) {
      if (wire.port === null) continue;
      const taken = wire.in.drain(wire.visit, FRAMES_PER_TURN);
      work += taken;
      // It found its ring full and may sleep by now; this time it is not frames that it is rung for.
      if (taken > 0 && wire.in.takeStarved()) wire.isFresh = true;
    }
    if (this.#putWaiting()) work++;
    this.#isInTurn = false;
    this.#announce();
    if (work > 0) this.#clock.soon(this.#turn);
    else this.#rest();
  };

  #putWaiting(): boolean {
    let hasPut = false;
    for (const wire of this.#wires) if (wire.port !== null && this.#events.onRoom(wire.worker)) hasPut = true;
    return hasPut;
  }

  #rest(): void {
    if (this.#bell.fallAsleep(this.#isIdle)) this.#isAwake = false;
    else this.#clock.soon(this.#turn);
  }

  /**
   * Asked when the flag says "asleep" already. What waits for room is tried once more: had the other side made room just before the flag was
   * set, it would have found nobody to ring.
   */
  readonly #isIdle = (): boolean => {
    for (const wire of this.#wires) if (wire.port !== null && !wire.in.isEmpty) return false;
    return !this.#putWaiting();
  };

  // ── waking others ────────────────────────────────────────────────────────────────────────────────────────────────

  #announceLater(wire: Wire): void {
    wire.isFresh = true;
    if (this.#isInTurn || this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    this.#clock.soon(this.#announce);
  }

  readonly #announce = (): void => {
    this.#isAnnouncing = false;
    for (const wire of this.#wires) {
      if (!wire.isFresh) continue;
      wire.isFresh = false;
      if (wire.port === null || !wire.bell.mustRing()) continue;
      this.tally.rings++;
      wire.port.post(0);
    }
  };
}
