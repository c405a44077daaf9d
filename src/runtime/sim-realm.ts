// One simulated thread's share of the world: its own clock, and whatever it has open, so that its end can take all of that along.
// Called by sim-threads.ts. Promises: once it is dead none of its code hears of anything; what it had open is closed as the system closes it; a fault of one of
// its callbacks is told, and ends it, as an uncaught error ends a thread.
import { GatewayError } from '../base/errors.ts';
import type {
  Child,
  ChildHandler,
  Clock,
  Listener,
  ListenOptions,
  RequestHandler,
  Socket,
  SocketAddress,
  SocketHandler,
  SpawnOptions,
  TimerId,
} from './runtime.ts';
import type { Programs } from './sim-child.ts';
import { listenSim } from './sim-listen.ts';
import type { Accept, Network, Places } from './sim-network.ts';
import type { Schedule } from './sim-schedule.ts';

/** What all threads of a sim have in common. */
export interface RealmWorld {
  readonly clock: Schedule;
  readonly network: Network;
  readonly programs: Programs;
}

/** What a thread has open, for tests that look for leaks. */
export interface RealmCensus {
  /** Timers that wait; where they were set, when the sim was told to note it. */
  readonly timers: readonly string[];
  readonly sockets: number;
  readonly listeners: number;
  readonly children: number;
}

/** One life of a thread. */
export class Realm {
  alive = true;
  /** What watches this thread: told of a fault that no code of its own caught. */
  onFault: (thrown: unknown) => void = () => undefined;
  /** Told of what a handler of requests threw, which costs its client a bare 500 and nothing else. */
  onHandlerFault: (thrown: unknown) => void = () => undefined;
  readonly clock: RealmClock;
  readonly places: Places;
  readonly #world: RealmWorld;
  readonly #sockets = new Set<Socket>();
  readonly #listeners = new Set<Listener>();
  readonly #children = new Set<Child>();

  /** `startMs`: what its monotonic clock shows now, since every thread counts from a start of its own. */
  constructor(world: RealmWorld, startMs: number, isNotingTimers: boolean) {
    this.#world = world;
    this.clock = new RealmClock(this, world.clock, startMs, isNotingTimers);
    const { network } = world;
    this.places = {
      clock: this.clock,
      freePort: () => network.freePort(),
      bind: (place, accept, isShared) => network.bind(place, this.#guarded(accept), isShared),
    };
  }

  /** Runs a piece of the thread's code; not when it is dead. */
  run(act: () => void): void {
    if (!this.alive) return;
    try {
      act();
    } catch (thrown) {
      this.onFault(thrown);
    }
  }

  get census(): RealmCensus {
    const [sockets, listeners] = [this.#sockets.size, this.#listeners.size];
    return { timers: this.clock.waiting, sockets, listeners, children: this.#children.size };
  }

  /** The thread ends in the middle of things. */
  die(): void {
    if (!this.alive) return;
    this.alive = false;
    for (const listener of this.#listeners) listener.stop();
    for (const socket of this.#sockets) socket.destroy();
    for (const child of this.#children) child.kill('SIGKILL');
    this.clock.stop();
  }

  // ── doors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  connect(address: SocketAddress, secure: boolean, handler: SocketHandler): void {
    if (this.alive) this.#world.network.connect(address, secure, this.#watch(handler));
  }

  listen(options: ListenOptions, handler: RequestHandler): Listener {
    this.#mustLive();
    const listener = listenSim(this.places, options, handler, (thrown) => this.onHandlerFault(thrown));
    this.#listeners.add(listener);
    const gone = (): void => {
      this.#listeners.delete(listener);
    };
    const { host, port } = listener;
    const stop = (): void => {
      gone();
      listener.stop();
    };
    return { host, port, stop, drain: () => listener.drain().then(gone) };
  }

  spawn(options: SpawnOptions, handler: ChildHandler): Child {
    this.#mustLive();
    const child: Child = this.#world.programs.spawn(options, {
      onStdout: (bytes) => this.run(() => handler.onStdout(bytes)),
      onStderr: (bytes) => this.run(() => handler.onStderr(bytes)),
      onDrain: () => this.run(() => handler.onDrain()),
      onExit: (code, signal) => {
        this.#children.delete(child);
        this.run(() => handler.onExit(code, signal));
      },
    });
    this.#children.add(child);
    return child;
  }

  #mustLive(): void {
    if (!this.alive) throw new GatewayError('GW_RUNTIME_WORKER', 'the thread has ended');
  }

  #guarded(accept: Accept): Accept {
    return (socket, secure) => this.#watch(accept(socket, secure));
  }

  #watch(handler: SocketHandler): SocketHandler {
    let own: Socket | null = null;
    return {
      onOpen: (socket) => {
        // The thread died while it connected.
        if (!this.alive) return socket.destroy();
        own = socket;
        this.#sockets.add(socket);
        this.run(() => handler.onOpen(socket));
      },
      onData: (bytes) => this.run(() => handler.onData(bytes)),
      onDrain: () => this.run(() => handler.onDrain()),
      onEnd: () => this.run(() => handler.onEnd()),
      onClose: (error) => {
        if (own !== null) this.#sockets.delete(own);
        this.run(() => handler.onClose(error));
      },
      onConnectError: (error, tls) => this.run(() => handler.onConnectError(error, tls)),
    };
  }
}

/** The clock of one thread: timers end with it. */
class RealmClock implements Clock {
  readonly #realm: Realm;
  readonly #clock: Clock;
  readonly #offsetMs: number;
  readonly #isNoting: boolean;
  /** Timers that wait, and where they were set. */
  readonly #timers = new Map<TimerId, string>();

  constructor(realm: Realm, clock: Clock, startMs: number, isNoting: boolean) {
    this.#realm = realm;
    this.#clock = clock;
    this.#offsetMs = startMs - clock.now();
    this.#isNoting = isNoting;
  }

  get waiting(): readonly string[] {
    return [...this.#timers.values()];
  }

  now(): number {
    return this.#clock.now() + this.#offsetMs;
  }

  wall(): number {
    return this.#clock.wall();
  }

  after(ms: number, callback: () => void): TimerId {
    const id = this.#clock.after(ms, () => {
      this.#timers.delete(id);
      this.#realm.run(callback);
    });
    this.#timers.set(id, this.#isNoting ? whereFrom() : '');
    // Code that goes on after its thread's end gets a timer that never fires.
    if (!this.#realm.alive) this.stop();
    return id;
  }

  cancel(timer: TimerId): void {
    this.#timers.delete(timer);
    this.#clock.cancel(timer);
  }

  soon(callback: () => void): void {
    this.after(0, callback);
  }

  stop(): void {
    for (const id of this.#timers.keys()) this.#clock.cancel(id);
    this.#timers.clear();
  }
}

/** The callers of a timer, nearest first. */
function whereFrom(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(3, 8);
  return lines.map((line) => line.trim().replace(/^at /, '')).join(' < ');
}
