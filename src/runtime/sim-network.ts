// An in-memory network: sockets with latency, a bounded window, half-close and reset.
// Called by sim.ts and sim-listener.ts. Promises: the socket contract of runtime.ts; bytes of one direction keep their
// order; the seed decides every delay.
import type { Clock, Random, Socket, SocketAddress, SocketHandler } from './runtime.ts';

/** Takes a new connection and says who hears of its events. */
export type Accept = (socket: Socket, secure: boolean) => SocketHandler;

/** How the simulated wires behave. */
export interface WireOptions {
  /** Bytes under way and unread in one direction before write() takes less than it is given. */
  readonly windowBytes: number;
  /** One-way delay of every delivery is drawn between these. */
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
}

type Ending = 'open' | 'ended' | 'reset';

class SimSocket implements Socket {
  peer: SimSocket | null = null;
  handler: SocketHandler | null = null;
  private readonly network: Network;
  private readonly inbox: Uint8Array[] = [];
  /** Bytes that the peer has not been given yet. */
  private outstanding = 0;
  private short = false;
  private paused = false;
  private finArrived = false;
  private state: Ending = 'open';
  /** Deliveries of one direction may not overtake each other. */
  private lastArrival = 0;

  constructor(network: Network) {
    this.network = network;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const { peer } = this;
    if (this.state !== 'open' || peer === null) return -1;
    const taken = Math.min(end - start, this.network.options.windowBytes - this.outstanding);
    if (taken < end - start) this.short = true;
    if (taken <= 0) return 0;
    this.outstanding += taken;
    const copy = bytes.slice(start, start + taken);
    this.travel(() => peer.arrive(copy));
    return taken;
  }

  end(): void {
    if (this.state !== 'open') return;
    const { peer } = this;
    this.state = 'ended';
    if (peer !== null) this.travel(() => peer.fin());
    this.closedSoon(null);
  }

  destroy(): void {
    if (this.state !== 'open') return;
    const { peer } = this;
    this.state = 'reset';
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

  /** Schedules an event at the other end, in order. */
  private travel(run: () => void): void {
    const { clock } = this.network;
    this.lastArrival = Math.max(this.lastArrival, clock.now() + this.network.delay());
    clock.after(this.lastArrival - clock.now(), run);
  }

  private arrive(bytes: Uint8Array): void {
    if (this.state !== 'open') return;
    this.inbox.push(bytes);
    this.deliver();
  }

  private fin(): void {
    this.finArrived = true;
    this.deliver();
  }

  private broken(): void {
    if (this.state !== 'open') return;
    this.state = 'reset';
    this.handler?.onClose('ECONNRESET: connection reset by peer, read');
  }

  private deliver(): void {
    while (!this.paused && this.state === 'open') {
      const bytes = this.inbox.shift();
      if (bytes === undefined) break;
      this.peer?.released(bytes.length);
      this.handler?.onData(bytes);
    }
    if (!this.finArrived || this.inbox.length > 0 || this.paused || this.state !== 'open') return;
    this.handler?.onEnd();
    // As Bun does without half-open sockets: the peer's end is answered with ours.
    if (this.state !== 'open') return;
    this.state = 'ended';
    const { peer } = this;
    if (peer !== null) this.travel(() => peer.fin());
    this.handler?.onClose(null);
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

/** All addresses of one sim. */
export class Network {
  readonly clock: Clock;
  readonly options: WireOptions;
  private readonly random: Random;
  private readonly places = new Map<string, Accept>();
  private nextPort = 40_000;

  constructor(clock: Clock, random: Random, options: WireOptions) {
    this.clock = clock;
    this.random = random;
    this.options = options;
  }

  /** One draw of the one-way delay. */
  delay(): number {
    const { latencyMinMs, latencyMaxMs } = this.options;
    return latencyMinMs + this.random.fraction() * (latencyMaxMs - latencyMinMs);
  }

  /** A port that nobody has. */
  freePort(): number {
    while (this.places.has(`:${this.nextPort}`)) this.nextPort++;
    return this.nextPort++;
  }

  /** Registers who answers at a place; false when it is taken. The returned function takes it away again. */
  bind(place: string, accept: Accept): (() => void) | null {
    if (this.places.has(place)) return null;
    this.places.set(place, accept);
    return () => {
      if (this.places.get(place) === accept) this.places.delete(place);
    };
  }

  /** Opens a connection to a place; host names do not matter, ports and paths do. */
  connect(address: SocketAddress, secure: boolean, handler: SocketHandler): void {
    const place = placeOf(address);
    this.clock.after(this.delay(), () => {
      const accept = this.places.get(place);
      if (accept === undefined) {
        const reason = 'unixPath' in address ? 'ENOENT' : 'ECONNREFUSED';
        handler.onConnectError(`${reason}: Failed to connect`, false);
        return;
      }
      const near = new SimSocket(this);
      const far = new SimSocket(this);
      near.peer = far;
      far.peer = near;
      near.handler = handler;
      far.handler = accept(far, secure);
      far.handler.onOpen(far);
      handler.onOpen(near);
    });
  }
}

/** The name under which an address is registered. */
export function placeOf(address: SocketAddress): string {
  return 'unixPath' in address ? address.unixPath : `:${address.port}`;
}
