// Another worker as this one sees it: its life, the exchanges with it, and who waits for room in the ring to it.
// Called by peer-link.ts. Promises: exchanges that wait for room are served in the order in which they came to wait; a frame about an exchange that
// nobody knows is dropped.
import { concat } from '../base/bytes.ts';
import type { Frame } from '../memory/ring.ts';
import type { Clock } from '../runtime/runtime.ts';
import { PeerCall, type PeerSide, type PeerSink, type SideTools } from './peer-calls.ts';
import type { FlowRing } from './peer-flow.ts';
import { FRAME, type PeerRequest, readCredit, readFailure, readHead } from './peer-frames.ts';
import type { PeerService } from './peer-service.ts';

/** One other worker. */
export class OtherWorker {
  readonly worker: number;
  readonly tools: SideTools;
  isUp = false;
  /** Its present life, or the last one known; 0 = never seen. */
  generation = 0;
  readonly calls = new Map<number, PeerCall>();
  readonly services = new Map<number, PeerService>();
  /** Words that come in pieces. */
  readonly words = new Map<number, Uint8Array[]>();
  readonly #waiting = new Set<PeerSide>();
  /** Two workers call each other under numbers of different parity: the lower of them takes the even ones. */
  readonly #parity: 0 | 1;
  #lastCall: number;

  constructor(worker: number, self: number, ring: FlowRing, clock: Clock) {
    this.worker = worker;
    this.#parity = self < worker ? 0 : 1;
    this.#lastCall = this.#parity;
    this.tools = {
      ring,
      clock,
      pump: (side) => this.#pump(side),
      forget: (exchange) => this.#forget(exchange),
    };
  }

  /** A call under a number of its own. */
  newCall(request: PeerRequest, sink: PeerSink): PeerCall {
    do this.#lastCall = (this.#lastCall + 2) >>> 0;
    while (this.calls.has(this.#lastCall));
    const call = new PeerCall(this.tools, this.#lastCall, request, sink);
    this.calls.set(this.#lastCall, call);
    return call;
  }

  /** True when that life of it is over; 0 stands for whichever it lives. */
  isPast(generation: number): boolean {
    return generation !== 0 && generation < this.generation;
  }

  // ── towards it ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** True while something waits for room that is there to be had some day. */
  get hasWaiting(): boolean {
    return this.isUp && [...this.#waiting].some((side) => side.flow.hasWork);
  }

  /** Sends what a side can send; what finds no room waits in line. */
  #pump(side: PeerSide): void {
    if (this.#waiting.has(side)) return;
    if (this.isUp && this.#waiting.size === 0 && side.flow.pump()) side.pumped();
    else this.#waiting.add(side);
  }

  /** Sends what waits, as far as there is room; true when anything got through. */
  putWaiting(): boolean {
    if (!this.isUp) return false;
    let hasPut = false;
    for (const side of this.#waiting) {
      if (!side.flow.pump()) return hasPut;
      this.#waiting.delete(side);
      hasPut = true;
      side.pumped();
    }
    return hasPut;
  }

  #forget(exchange: number): void {
    if (!this.calls.delete(exchange)) this.services.delete(exchange);
  }

  // ── from it ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes any frame but a request. */
  take(frame: Frame): void {
    const { kind, exchange } = frame;
    if (kind === FRAME.words) return this.#addWords(frame);
    if ((exchange & 1) === this.#parity) {
      const call = this.calls.get(exchange);
      if (call !== undefined) this.#tellCall(call, frame);
      return;
    }
    if (kind === FRAME.abort) this.words.delete(exchange);
    const service = this.services.get(exchange);
    if (service !== undefined) tellService(service, frame);
  }

  #tellCall(call: PeerCall, frame: Frame): void {
    try {
      switch (frame.kind) {
        case FRAME.head:
          return call.head(readHead(this.wordsOf(frame), false));
        case FRAME.whole:
          call.head(readHead(this.wordsOf(frame), true));
          call.data(frame.body.slice());
          return call.end();
        case FRAME.chunk:
          return call.data(frame.body.slice());
        case FRAME.end:
          return frame.meta.length === 0 ? call.end() : call.fail(readFailure(frame.meta));
        case FRAME.credit:
          return call.credit(readCredit(frame.meta));
      }
    } catch (thrown) {
      // A sink that throws wants no more.
      call.abort();
      throw thrown;
    }
  }

  #addWords({ exchange, body }: Frame): void {
    const pieces = this.words.get(exchange);
    if (pieces === undefined) this.words.set(exchange, [body.slice()]);
    else pieces.push(body.slice());
  }

  /** The words of a frame that opens something, with those that came before it. */
  wordsOf({ exchange, meta }: Frame): Uint8Array {
    const pieces = this.words.get(exchange);
    if (pieces === undefined) return meta;
    this.words.delete(exchange);
    return concat([...pieces, meta]);
  }
}

function tellService(service: PeerService, frame: Frame): void {
  switch (frame.kind) {
    case FRAME.chunk:
      return service.chunk(frame.body);
    case FRAME.end:
      return service.bodyEnd();
    case FRAME.credit:
      return service.credit(readCredit(frame.meta));
    case FRAME.abort:
      return service.leave();
  }
}
