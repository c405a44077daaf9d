// Simulated worker threads and the lines between them: each thread runs a function in place of its module, in a realm of its own.
// Called by sim.ts. Promises: the worker contract of runtime.ts; messages are cloned as between real threads, arrive in order and after a delay that the
// seed decides; a thread that ends takes along what it had open.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import type { Port, Random, Runtime, WorkerHandle, WorkerHandler, WorkerScope } from './runtime.ts';
import { Realm, type RealmCensus, type RealmWorld } from './sim-realm.ts';

/** What a thread does instead of loading its module. */
export type ThreadMain = (runtime: Runtime) => void;

/** What the threads of a sim are made of. */
export interface ThreadsParts extends RealmWorld {
  readonly random: Random;
  /** Note where timers were set: costs a stack each. */
  readonly isNotingTimers: boolean;
  /** The doors that are everybody's. */
  readonly shared: Pick<Runtime, 'aead' | 'files' | 'standard' | 'groupMemory' | 'heapBytes' | 'usage'>;
  /** Randomness for one more thread. */
  newRandom(): Random;
}

/** What is known of a thread from outside. */
export interface ThreadStatus extends RealmCensus {
  readonly alive: boolean;
}

/** Monotonic clocks of threads show anything up to this when they start. */
const CLOCK_START_MS_MAX = 1_000;

type Message = readonly [message: unknown, ports: readonly Port[]];

/** One end of a line or of a thread's own channel: in order, and late by what the network is. */
class Way {
  readonly #parts: ThreadsParts;
  readonly #waiting: Message[] = [];
  #lastArrival = 0;
  #callback: ((message: unknown, ports: readonly Port[]) => void) | null = null;
  /** The thread that hears. */
  #realm: Realm | null;
  isOpen = true;

  constructor(parts: ThreadsParts, realm: Realm | null) {
    this.#parts = parts;
    this.#realm = realm;
  }

  /** Another thread hears from now on. */
  moveTo(realm: Realm): void {
    this.#realm = realm;
    this.#callback = null;
  }

  send(message: unknown, ports: readonly Port[]): void {
    const copy: unknown = structuredClone(message);
    const { clock, network } = this.#parts;
    this.#lastArrival = Math.max(this.#lastArrival, clock.now() + network.delay());
    clock.at(this.#lastArrival, () => {
      if (!this.isOpen) return;
      this.#waiting.push([copy, ports]);
      this.#deliver();
    });
  }

  hear(callback: (message: unknown, ports: readonly Port[]) => void): void {
    this.#callback = callback;
    this.#parts.clock.soon(() => this.#deliver());
  }

  #deliver(): void {
    while (this.#callback !== null && this.isOpen) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const hear = this.#callback;
      if (this.#realm === null) hear(...next);
      else this.#realm.run(() => hear(...next));
    }
  }
}

class SimPort implements Port {
  /** Null once it moved to another thread. */
  #ways: { readonly in: Way; readonly out: Way } | null;

  constructor(ways: { readonly in: Way; readonly out: Way }) {
    this.#ways = ways;
  }

  post(message: unknown): void {
    this.#ways?.out.send(message, []);
  }

  onMessage(callback: (message: unknown) => void): void {
    this.#ways?.in.hear(callback);
  }

  close(): void {
    if (this.#ways === null) return;
    this.#ways.in.isOpen = false;
    this.#ways.out.isOpen = false;
  }

  /** The same end, in the hands of another thread. */
  movedTo(realm: Realm): SimPort {
    const ways = this.#ways;
    assert(ways !== null, 'a port moves once');
    this.#ways = null;
    ways.in.moveTo(realm);
    return new SimPort(ways);
  }
}

/** All threads of one sim. */
export class Threads {
  readonly #parts: ThreadsParts;
  readonly #mains = new Map<string, ThreadMain>();
  readonly #realms: Realm[] = [];
  /** What ended threads that nobody ended, and what handlers of requests threw. */
  readonly faults: string[] = [];

  constructor(parts: ThreadsParts) {
    this.#parts = parts;
  }

  /** Says what threads of a module do. */
  register(moduleUrl: string, main: ThreadMain): void {
    this.#mains.set(moduleUrl, main);
  }

  /** All threads that there were, in the order of their start. */
  get status(): readonly ThreadStatus[] {
    return this.#realms.map((realm) => ({ ...realm.census, alive: realm.alive }));
  }

  channel(realm: Realm | null): readonly [Port, Port] {
    const [one, other] = [new Way(this.#parts, realm), new Way(this.#parts, realm)];
    return [new SimPort({ in: one, out: other }), new SimPort({ in: other, out: one })];
  }

  start(moduleUrl: string, handler: WorkerHandler): WorkerHandle {
    const main = this.#mains.get(moduleUrl);
    if (main === undefined)
      throw new GatewayError('GW_RUNTIME_WORKER', `nobody said what the module ${moduleUrl} does`);
    const { clock, network, random, isNotingTimers } = this.#parts;
    const realm = new Realm(this.#parts, random.fraction() * CLOCK_START_MS_MAX, isNotingTimers);
    this.#realms.push(realm);
    const inward = new Way(this.#parts, realm);
    const outward = new Way(this.#parts, null);
    const end = (error: string | null): void => {
      if (!realm.alive) return;
      realm.die();
      clock.after(network.delay(), () => {
        outward.isOpen = false;
        handler.onExit(error);
      });
    };
    realm.onFault = (thrown) => {
      const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      this.faults.push(text);
      end(text);
    };
    realm.onHandlerFault = (thrown) => this.faults.push(String(thrown));
    outward.hear((message) => handler.onMessage(message));
    const scope: WorkerScope = {
      post: (message) => {
        if (realm.alive) outward.send(message, []);
      },
      onMessage: (callback) => inward.hear(callback),
    };
    const runtime = this.#runtimeOf(realm, scope);
    clock.after(network.delay(), () => realm.run(() => main(runtime)));
    return {
      post: (message, ports = []) => {
        const moved = ports.map((port) => {
          assert(port instanceof SimPort, 'a port goes to a thread of the sim that made it');
          return port.movedTo(realm);
        });
        if (realm.alive) inward.send(message, moved);
      },
      terminate: () => end(null),
    };
  }

  #runtimeOf(realm: Realm, scope: WorkerScope): Runtime {
    const { shared } = this.#parts;
    return {
      ...shared,
      name: 'sim',
      clock: realm.clock,
      random: this.#parts.newRandom(),
      parallelism: 1,
      scope,
      listen: (options, handler) => realm.listen(options, handler),
      connect: (address, tls, handler) => realm.connect(address, tls !== null, handler),
      spawn: (options, handler) => realm.spawn(options, handler),
      startWorker: refuseInner,
      channel: () => this.channel(realm),
    };
  }
}

function refuseInner(): never {
  throw new GatewayError('GW_RUNTIME_WORKER', 'a simulated thread starts no others');
}
