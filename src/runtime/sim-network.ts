// An in-memory network: sockets with latency, a bounded window, half-close and reset; places that never answer.
// Called by sim.ts and the other sim-*.ts files. Promises: the socket contract of runtime.ts; bytes of one direction keep their
// order, however they are cut and joined on the way; the seed decides every delay and every cut.
import { concat } from '../base/bytes.ts';
import type { Clock, Random, Socket, SocketAddress, SocketHandler } from './runtime.ts';
import type { Schedule } from './sim-schedule.ts';

/** A connection as whoever accepted it has it. */
export interface PeerSocket extends Socket {
  /** Sends no more, and goes on reading: the other end is told so. */
  halfClose(): void;
}

/** Takes a new connection and says who hears of its events. */
export type Accept = (socket: PeerSocket, secure: boolean) => SocketHandler;

/** How the simulated wires behave. */
export interface WireOptions {
  /** Bytes under way and unread in one direction before write() takes less than it is given. */
  readonly windowBytes: number;
  /** One-way delay of every delivery is drawn between these. */
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  /** Share of writes that arrive in several pieces, 0 … 1. */
  readonly splitShare: number;
  /** Share of arrivals that wait for what follows, and are read with it in one piece, 0 … 1. */
  readonly joinShare: number;
}

/** Where servers listen, as far as a listener needs it. */
export interface Places {
  readonly clock: Clock;
  /** A port that nobody has. */
  freePort(): number;
  /** Registers who answers at a place; null when it is taken. Several may share one when all ask for it. The returned function takes it away again. */
  bind(place: string, accept: Accept, isShared?: boolean): (() => void) | null;
}

/** When the kernel gives up an attempt to connect that nobody answers (Linux: six retries). */
const CONNECT_GIVE_UP_MS = 127_000;

/** Most pieces that one write is cut into. */
const PIECES_MAX = 4;

type Ending = 'open' | 'ended' | 'reset';

class SimSocket implements PeerSocket {
  peer: SimSocket | null = null;
  handler: SocketHandler | null = null;
  private readonly network: Network;
  private readonly inbox: Uint8Array[] = [];
  /** Bytes that the peer has not been given yet. */
  private outstanding = 0;
  private short = false;
  private paused = false;
  private finArrived = false;
  /** We have said that we send no more. */
  private isShut = false;
  private state: Ending = 'open';
  /** Deliveries of one direction may not overtake each other. */
  private lastArrival = 0;

  constructor(network: Network) {
    this.network = network;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const { peer } = this;
    if (this.state !== 'open' || this.isShut || peer === null) return -1;
    const taken = Math.min(end - start, this.network.options.windowBytes - this.outstanding);
    if (taken < end - start) this.short = true;
    if (taken <= 0) return 0;
    this.outstanding += taken;
    for (const piece of this.network.cut(bytes.slice(start, start + taken)))
      this.travel(() => peer.arrive(piece));
    return taken;
  }

  end(): void {
    if (this.state !== 'open') return;
    this.halfClose();
    this.become('ended');
    this.closedSoon(null);
  }

  halfClose(): void {
    if (this.isShut || this.state !== 'open') return;
    const { peer } = this;
    this.isShut = true;
    if (peer !== null) this.travel(() => peer.fin());
  }

  destroy(): void {
    if (this.state !== 'open') return;
    const { peer } = this;
    this.become('reset');
    if (peer !== null) this.travel(() => peer.broken());
    this.closedSoon(null);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.network.clock.soon(() => this.deliver());
  }

  /** It is open no more. */
  private become(state: 'ended' | 'reset'): void {
    this.state = state;
    this.network.openSockets--;
  }

  /** Schedules an event at the other end, in order. */
  private travel(run: () => void): void {
    const { clock } = this.network;
    this.lastArrival = Math.max(this.lastArrival, clock.now() + this.network.delay());
    clock.at(this.lastArrival, run);
  }

  private arrive(bytes: Uint8Array): void {
    if (this.state !== 'open') return;
    this.inbox.push(bytes);
    if (this.network.isJoined()) this.network.clock.after(this.network.delay(), () => this.deliver());
    else this.deliver();
  }

  private fin(): void {
    this.finArrived = true;
    this.deliver();
  }

  private broken(): void {
    if (this.state !== 'open') return;
    this.become('reset');
    this.handler?.onClose('ECONNRESET: connection reset by peer, read');
  }

  private deliver(): void {
    while (!this.paused && this.state === 'open') {
      const bytes = this.next();
      if (bytes === null) break;
      this.peer?.released(bytes.length);
      this.handler?.onData(bytes);
    }
    if (!this.finArrived || this.inbox.length > 0 || this.paused || this.state !== 'open') return;
    this.handler?.onEnd();
    // As Bun does without half-open sockets: the peer's end is answered with ours.
    if (this.state !== 'open') return;
    this.halfClose();
    this.become('ended');
    this.handler?.onClose(null);
  }

  /** What is read next: the pieces as they came, or all that are there where the network joins them. */
  private next(): Uint8Array | null {
    if (this.network.options.joinShare === 0 || this.inbox.length < 2) return this.inbox.shift() ?? null;
    return concat(this.inbox.splice(0));
  }

  /** The peer took bytes: there is room again. */
  private released(count: number): void {
    this.outstanding -= count;
    if (!this.short || this.state !== 'open') return;
    this.short = false;
    this.network.clock.soon(() => {
      if (this.state === 'open') this.handler?.onDrain();
    });
  }

  private closedSoon(error: string | null): void {
    this.network.clock.soon(() => this.handler?.onClose(error));
  }
}

/** Who listens at a place. */
interface Host {
  readonly isShared: boolean;
  readonly accepts: Accept[];
}

/** All addresses of one sim. */
export class Network implements Places {
  readonly clock: Schedule;
  readonly options: WireOptions;
  /** Ends of connections that are open. */
  openSockets = 0;
  private readonly random: Random;
  private readonly hosts = new Map<string, Host>();
  private readonly silent = new Set<string>();
  private nextPort = 40_000;

  constructor(clock: Schedule, random: Random, options: WireOptions) {
    this.clock = clock;
    this.random = random;
    this.options = options;
  }

  /** One draw of the one-way delay. */
  delay(): number {
    const { latencyMinMs, latencyMaxMs } = this.options;
    return latencyMinMs + this.random.fraction() * (latencyMaxMs - latencyMinMs);
  }

  /** The pieces in which bytes that were written together arrive. */
  cut(bytes: Uint8Array): Uint8Array[] {
    const { splitShare } = this.options;
    if (splitShare === 0 || bytes.length < 2 || this.random.fraction() >= splitShare) return [bytes];
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (let left = PIECES_MAX; left > 1 && at < bytes.length - 1; left--) {
      const end = at + 1 + Math.floor(this.random.fraction() * (bytes.length - at - 1));
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    pieces.push(bytes.subarray(at));
    return pieces;
  }

  /** Whether bytes that have just come are read with those that follow. */
  isJoined(): boolean {
    const { joinShare } = this.options;
    return joinShare > 0 && this.random.fraction() < joinShare;
  }

  freePort(): number {
    while (this.hosts.has(`:${this.nextPort}`)) this.nextPort++;
    return this.nextPort++;
  }

  /** Places that are taken. */
  get listening(): number {
    return this.hosts.size;
  }

  bind(place: string, accept: Accept, isShared = false): (() => void) | null {
    const host = this.hosts.get(place);
    if (host !== undefined && !(isShared && host.isShared)) return null;
    const accepts = host?.accepts ?? [];
    accepts.push(accept);
    if (host === undefined) this.hosts.set(place, { isShared, accepts });
    return () => {
      const at = accepts.indexOf(accept);
      if (at >= 0) accepts.splice(at, 1);
      if (accepts.length === 0 && this.hosts.get(place)?.accepts === accepts) this.hosts.delete(place);
    };
  }

  /** From now on attempts to connect to a place go nowhere, until the kernel gives them up. The returned function ends that, for later attempts. */
  silence(place: string): () => void {
    this.silent.add(place);
    return () => {
      this.silent.delete(place);
    };
  }

  /** Opens a connection to a place; host names do not matter, ports and paths do. */
  connect(address: SocketAddress, secure: boolean, handler: SocketHandler): void {
    const place = placeOf(address);
    this.clock.after(this.delay(), () => {
      if (this.silent.has(place)) {
        const giveUp = (): void => handler.onConnectError('ETIMEDOUT: Failed to connect', false);
        this.clock.after(CONNECT_GIVE_UP_MS, giveUp);
        return;
      }
      const accept = this.pick(place);
      if (accept === null) {
        const reason = 'unixPath' in address ? 'ENOENT' : 'ECONNREFUSED';
        handler.onConnectError(`${reason}: Failed to connect`, false);
        return;
      }
      const near = new SimSocket(this);
      const far = new SimSocket(this);
      this.openSockets += 2;
      near.peer = far;
      far.peer = near;
      near.handler = handler;
      far.handler = accept(far, secure);
      far.handler.onOpen(far);
      handler.onOpen(near);
    });
  }

  /** Who takes the next connection; those who share a place take them at random. */
  private pick(place: string): Accept | null {
    const accepts = this.hosts.get(place)?.accepts ?? [];
    const at = accepts.length > 1 ? Math.floor(this.random.fraction() * accepts.length) : 0;
    return accepts[at] ?? null;
  }
}

/** The name under which an address is registered. */
export function placeOf(address: SocketAddress): string {
  return 'unixPath' in address ? address.unixPath : `:${address.port}`;
}
