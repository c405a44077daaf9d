// The exchanges between this worker and all others: calls to them, services for them, over rings in shared memory.
// Called by worker.ts (makes it, tells it who comes and goes), peer.ts and proxy/handover.ts (send and serve). Promises: every call ends in one
// onEnd or onFail or by its abort(), also when the other worker dies; nothing is lost, doubled or overtaken; nobody ever waits for a ring.
//
// What can pile up, per pair of workers: in the ring its own size; per exchange one window (LIMITS.peerWindowBytes) of bytes that a slow reader leaves
// waiting, a request's body while it comes in (bodyBytesMax), and a fixed few words of state in place of frames that found no room. Exchanges are
// bounded where they begin (exchangesMax of each front, queue depths of upstreams), so no queue here needs a bound of its own.
//
// A worker that dies leaves whole frames only (the ring shows a frame when it is written). When peerDown() comes, what it wrote before is taken, then
// every exchange with it fails; only when all have done so are its rings cleared and its next life begins. Should this worker be too late for that, the lives
// in a request's words keep it from being served by the wrong one, and frames about exchanges that nobody knows are dropped.
import { must } from '../base/assert.ts';
import { EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Frame } from '../memory/ring.ts';
import type { Clock, Port } from '../runtime/runtime.ts';
import type { PeerHandler, PeerSink } from './peer-calls.ts';
import type { FlowRing } from './peer-flow.ts';
import { FRAME, type PeerRequest, type PeerSubject, readRequest } from './peer-frames.ts';
import { OtherWorker } from './peer-other.ts';
import { PeerService } from './peer-service.ts';
import { PeerWires, type WireParts, type WireTally } from './peer-wires.ts';
import type { PeerEvents, WorkerPlace } from './peers.ts';
import type { UpstreamCall } from './upstream.ts';

/** What a link is made of. */
export interface PeerLinkParts extends WireParts {
  /** Largest body of a request that is taken from a peer. */
  readonly bodyBytesMax: number;
  /** Another worker says: look again whether a connection to this server (its index) can be had, or is to be given up. */
  onNudge(server: number): void;
}

/** One worker's link to all others. */
export class PeerLink implements PeerEvents {
  readonly #parts: PeerLinkParts;
  readonly #wires: PeerWires;
  readonly #peers: readonly OtherWorker[];
  readonly #handlers = new Map<PeerSubject, PeerHandler>();

  constructor(parts: PeerLinkParts) {
    this.#parts = parts;
    this.#wires = new PeerWires(parts, {
      onFrame: (from, frame) => this.#onFrame(this.#peerOf(from), frame),
      onRoom: (to) => this.#peerOf(to).putWaiting(),
    });
    this.#peers = Array.from({ length: parts.place.count }, (_, worker) => this.#newPeer(worker));
  }

  #newPeer(worker: number): OtherWorker {
    const wires = this.#wires;
    const ring: FlowRing = {
      frameBytesMax: wires.frameBytesMax,
      push: (kind, exchange, words, body, span) => wires.push(worker, kind, exchange, words, body, span),
    };
    return new OtherWorker(worker, this.place.index, ring, this.clock);
  }

  #peerOf(worker: number): OtherWorker {
    return must(this.#peers[worker], 'a worker of this gateway');
  }

  /** Which worker this is. */
  get place(): WorkerPlace {
    return this.#parts.place;
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  get tally(): Readonly<WireTally> {
    return this.#wires.tally;
  }

  /** Names who serves requests about a subject. */
  serve(subject: PeerSubject, handler: PeerHandler): void {
    this.#handlers.set(subject, handler);
  }

  /**
   * Asks another worker. Nothing comes to the sink before this has returned. A worker that is down is waited for; a life of it that is over fails
   * with GW_SESSION_UNKNOWN, since what it knew is gone.
   */
  send(worker: number, request: PeerRequest, body: Uint8Array, sink: PeerSink): UpstreamCall {
    const peer = this.#peerOf(worker);
    const call = peer.newCall(request, sink);
    if (peer.isPast(request.generation)) this.clock.soon(() => call.fail(pastLife()));
    else {
      const to = (): number => request.generation || peer.generation;
      call.start(request, body, () => ({ from: this.place.generation, to: to() }));
    }
    return call;
  }

  /** Tells another worker to look at its connections to a server. Not said when its ring is full: it looks by itself within a tick. */
  nudge(worker: number, server: number): void {
    this.#wires.push(worker, FRAME.nudge, server, EMPTY, EMPTY, NO_BYTES);
  }

  /** True when that life of a worker is known to be over. */
  isPast(worker: number, generation: number): boolean {
    return this.#peerOf(worker).isPast(generation);
  }

  /** Exchanges under way, of both directions. */
  get active(): number {
    return this.#peers.reduce((sum, { calls, services }) => sum + calls.size + services.size, 0);
  }

  /** True while something waits for room in a ring. */
  get #hasWaiting(): boolean {
    return this.#peers.some((peer) => peer.hasWaiting);
  }

  /** Resolves when nothing is served for other workers any more, or after `withinMs`. */
  async drain(withinMs: number): Promise<void> {
    await this.#until(() => this.#peers.every((peer) => peer.services.size === 0), withinMs);
  }

  /** Resolves when all that is to be said has been put, or after `withinMs`: a worker that ends keeps nothing from its peers. */
  async settle(withinMs: number): Promise<void> {
    await this.#until(() => !this.#hasWaiting, withinMs);
  }

  #until(holds: () => boolean, withinMs: number): Promise<void> {
    const { clock } = this;
    const endMs = clock.now() + withinMs;
    return new Promise((resolve) => {
      const look = (): void => {
        if (holds() || clock.now() >= endMs) resolve();
        else clock.after(LOOK_MS, look);
      };
      look();
    });
  }

  /** Lets go of everything: running calls fail, running services are aborted, no frame is taken any more. */
  stop(): void {
    this.#wires.stop();
    for (const peer of this.#peers) {
      peer.isUp = false;
      for (const service of [...peer.services.values()]) service.leave();
      for (const call of [...peer.calls.values()]) call.fail(new GatewayError('GW_SERVER_STOPPED'));
    }
  }

  // ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────

  peerUp(worker: number, generation: number, port: Port): void {
    const peer = this.#peerOf(worker);
    peer.isUp = true;
    peer.generation = generation;
    for (const call of [...peer.calls.values()]) if (peer.isPast(call.generation)) call.fail(pastLife());
    this.#wires.open(worker, port);
    peer.putWaiting();
  }

  peerDown(worker: number, generation: number): void {
    const peer = this.#peerOf(worker);
    if (!peer.isUp || peer.generation !== generation) return;
    // From here on nothing is put. What it said before it died still counts.
    peer.isUp = false;
    this.#wires.close(worker);
    peer.words.clear();
    for (const service of [...peer.services.values()]) if (service.generation <= generation) service.leave();
    for (const call of [...peer.calls.values()]) {
      if (call.flow.complete) call.fail(new GatewayError('GW_PEER_LOST', `worker ${worker}`));
      else if (call.flow.begun) call.fail(new GatewayError('GW_PEER_DOWN', `worker ${worker}`));
    }
  }

  // ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #onFrame(peer: OtherWorker, frame: Frame): void {
    if (frame.kind === FRAME.request) this.#onRequest(peer, frame);
    else if (frame.kind === FRAME.nudge) this.#parts.onNudge(frame.exchange);
    else peer.take(frame);
  }

  #onRequest(peer: OtherWorker, frame: Frame): void {
    const { exchange, body } = frame;
    const words = readRequest(peer.wordsOf(frame));
    const { fromGeneration, generation, subject, bodyBytes } = words;
    // What a worker asked that has died meanwhile: nobody waits for it.
    if (!peer.isUp && fromGeneration <= peer.generation) return;
    const handler = this.#handlers.get(subject);
    // A number comes twice only from another life of the peer.
    peer.services.get(exchange)?.leave();
    const service = new PeerService(peer.tools, exchange, words, (whole, reply) =>
      must(handler, 'who serves this subject')(peer.worker, words, whole, reply),
    );
    peer.services.set(exchange, service);
    if (generation !== this.place.generation)
      service.fail(new GatewayError('GW_PEER_DOWN', 'it was asked for what its last life knew'));
    else if (bodyBytes > this.#parts.bodyBytesMax)
      service.fail(
        new GatewayError('GW_SERVER_BODY_SIZE', `${bodyBytes} bytes, at most ${this.#parts.bodyBytesMax}`),
      );
    else service.begin(body);
  }
}

const NO_BYTES = [0, 0] as const;

/** How often a worker that ends looks whether it may. */
const LOOK_MS = 2;

function pastLife(): GatewayError {
  return new GatewayError('GW_SESSION_UNKNOWN', 'the data worker that knew it was started anew');
}
