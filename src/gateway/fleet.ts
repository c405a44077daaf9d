// The data workers of a gateway: started over one snapshot and one memory, each started anew when it dies, drained and stopped together.
// Called by gateway.ts. Promises: a worker's death costs its own connections and nothing else; before its next life begins the others have let go of it (or
// had the time to) and all it held is given back; nothing is started any more once the end has begun.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { createMemory, type PlaneMemory, sharedOf } from '../memory/memory.ts';
import { clearWorker } from '../memory/reclaim.ts';
import { clearRings, setLife } from '../memory/workers.ts';
import type { Level, Log } from '../observe/log.ts';
import type { Port, Runtime } from '../runtime/runtime.ts';
import type { KeyRing, Snapshot } from '../snapshot.ts';
import type { Order, PeerName, Report } from '../thread.ts';
import type { PlaneAddress } from '../worker.ts';
import { Changeover, type Hand } from './changeover.ts';
import { Renewals } from './renewals.ts';
import { Restarts } from './restarts.ts';
import { memoryShape } from './shape.ts';
import { Survey, type WorkerState } from './survey.ts';
import { type ThreadLink, unexpected } from './thread-link.ts';

/** What a fleet is made of. */
export interface FleetParts {
  readonly runtime: Runtime;
  readonly snapshot: Snapshot;
  readonly log: Log;
  readonly scan: 'auto' | 'addon' | 'portable';
  readonly level: Level;
  readonly keys: KeyRing;
  readonly workers: number;
  /** Servers that reloads may add; left out: as many as there are. */
  readonly serversMore?: number;
  readonly address: PlaneAddress;
  /** A thread that has nothing to do yet, fresh or warm. */
  thread(): ThreadLink;
}

/** The report of a worker that serves. */
export type ReadyReport = Extract<Report, { kind: 'ready' }>;

interface Slot {
  readonly index: number;
  readonly restarts: Restarts;
  link: ThreadLink;
  generation: number;
  state: WorkerState;
  deaths: number;
  /** When its present life began to serve, on the monotonic clock; null while it does not. */
  servesSinceMs: number | null;
}

/** All data workers of one gateway. */
export class Fleet {
  readonly #parts: FleetParts;
  readonly memory: PlaneMemory;
  readonly #changeover: Changeover;
  readonly #renewals: Renewals;
  readonly #slots: readonly Slot[];
  /** Asks all of them. */
  readonly survey: Survey;
  #address: PlaneAddress;
  #keys: KeyRing;
  /** Only while it is up, deaths are followed by restarts. */
  #phase: 'starting' | 'up' | 'draining' | 'over' = 'starting';
  #resolveDied: (error: GatewayError) => void = () => undefined;
  /** Resolves only when a worker cannot be brought back. */
  readonly died: Promise<GatewayError>;

  constructor(parts: FleetParts) {
    const { runtime, snapshot, workers } = parts;
    this.#parts = parts;
    this.#address = parts.address;
    this.#keys = parts.keys;
    this.memory = createMemory(memoryShape(snapshot, workers, parts.serversMore), runtime.clock.wall());
    this.#changeover = new Changeover(this.memory, snapshot, () => this.#hands());
    this.#renewals = new Renewals(this.#changeover);
    this.died = new Promise((resolve) => {
      this.#resolveDied = resolve;
    });
    this.#slots = Array.from({ length: workers }, (_, index) => ({
      index,
      restarts: new Restarts(),
      link: parts.thread(),
      generation: 1,
      state: 'down',
      deaths: 0,
      servesSinceMs: null,
    }));
    this.survey = new Survey({
      ...{ workers: this.#slots, runtime, memory: this.memory },
      snapshot: () => this.snapshot,
      phase: () => this.#phase,
    });
  }

  /** The snapshot in force, with the places of its cells. */
  get snapshot(): Snapshot {
    return this.#changeover.inForce.snapshot;
  }

  /** Starts every worker; resolves when all serve, with the first one's report. Rejects, everything ended, when one cannot. */
  async start(): Promise<ReadyReport> {
    try {
      const died = Promise.race(this.#slots.map((slot) => slot.link.died)).then((error) => {
        throw error;
      });
      const serving = Promise.all(this.#slots.map((slot) => this.#launch(slot)));
      const [first] = await Promise.race([serving, died]);
      if (first === undefined) throw new GatewayError('GW_RUNTIME_WORKER', 'there is none');
      this.#phase = 'up';
      // A worker that is started anew returns to the port that clients know.
      this.#address = { ...this.#address, port: first.port };
      return first;
    } catch (thrown) {
      this.stop();
      throw thrown;
    }
  }

  /** Gives a slot's thread its life, and the others their line to it; resolves when it serves, rejects when it cannot. */
  async #launch(slot: Slot): Promise<ReadyReport> {
    const { index: worker, generation, link } = slot;
    const { runtime, scan, level } = this.#parts;
    const { snapshot, routes } = this.#changeover.inForce;
    void link.died.then((error) => this.#lost(slot, generation, error));
    link.onNotice = (notice) => this.#changeover.noticed(worker, notice);
    const peers: PeerName[] = [];
    const ports: Port[] = [];
    for (const other of this.#slots) {
      if (other === slot || !isLaunched(other)) continue;
      const [near, far] = runtime.channel();
      peers.push({ worker: other.index, generation: other.generation });
      ports.push(near);
      this.#tell(other, { kind: 'peer-up', worker, generation }, [far]);
    }
    slot.state = 'starting';
    setLife(this.memory, worker, { generation, state: 'starting' });
    const place = { index: worker, count: this.#slots.length, generation };
    const memory = sharedOf(this.memory);
    const shared = { memory, routes: routes.memory, keys: this.#keys, address: this.#address };
    const report = await link.ask({ kind: 'start', snapshot, scan, level, place, peers, ...shared }, ports);
    if (report.kind !== 'ready') throw unexpected(report);
    slot.state = 'serving';
    slot.servesSinceMs = runtime.clock.now();
    setLife(this.memory, worker, { generation, state: 'serving' });
    return report;
  }

  /** An order whose report changes nothing: a worker that is gone by then is heard of in another way. */
  #tell(slot: Slot, order: Order, ports: readonly Port[] = []): Promise<void> {
    return slot.link.ask(order, ports).then(
      () => undefined,
      () => undefined,
    );
  }

  /** A worker's life is over unasked: makes room for its next one and begins it. */
  async #lost(slot: Slot, generation: number, error: GatewayError): Promise<void> {
    if (slot.generation !== generation || slot.state === 'down') return;
    if (this.#phase === 'draining')
      this.#parts.log.error('a data worker died while it drained', { worker: slot.index });
    if (this.#phase !== 'up') return;
    const { clock } = this.#parts.runtime;
    const diedAtMs = clock.now();
    const servedMs = slot.servesSinceMs === null ? null : diedAtMs - slot.servesSinceMs;
    const delayMs = slot.restarts.after(servedMs);
    slot.state = 'down';
    slot.servesSinceMs = null;
    slot.deaths++;
    setLife(this.memory, slot.index, { generation, state: 'down' });
    const { index: worker, deaths } = slot;
    this.#changeover.lost(worker);
    const reason = error.detail === '' ? error.message : error.detail;
    this.#parts.log.error('a data worker died', { worker, generation, deaths, reason, restartInMs: delayMs });
    if (delayMs === null) return this.#giveUp(error);
    await this.#farewell(slot);
    const held = clearWorker(this.memory, worker);
    clearRings(this.memory, worker);
    await this.#pause(delayMs);
    await this.#changeover.switching;
    // The compiler does not know that others run while this waits.
    if ((this.#phase as string) !== 'up') return;
    slot.generation++;
    slot.link = this.#parts.thread();
    try {
      await this.#launch(slot);
      const downMs = Math.round(clock.now() - diedAtMs);
      const { permits, sessions } = held;
      this.#parts.log.info('a data worker serves again', {
        worker,
        generation: slot.generation,
        downMs,
        lostSessions: sessions,
        reclaimedPermits: permits,
      });
    } catch (thrown) {
      // A thread that died is on its way here by itself; one that lives and cannot serve is no better.
      slot.link.end();
      if (thrown instanceof GatewayError) await this.#lost(slot, slot.generation, thrown);
    }
  }

  /** Tells the others, and waits until they have let go of the dead one's rings and exchanges; not for long. */
  async #farewell(slot: Slot): Promise<void> {
    const { index: worker, generation } = slot;
    const others = this.#slots.filter((other) => other !== slot && isLaunched(other));
    const told = others.map((other) => this.#tell(other, { kind: 'peer-down', worker, generation }));
    if (told.length > 0) await Promise.race([Promise.all(told), this.#pause(LIMITS.workerFarewellMs)]);
  }

  #pause(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) => this.#parts.runtime.clock.after(ms, resolve));
  }

  #giveUp(error: GatewayError): void {
    this.#parts.log.error('a data worker cannot be brought back: the gateway ends', { error: error.message });
    this.stop();
    this.#resolveDied(error);
  }

  /** Ends a server as a reload with changed settings would, and begins it anew; how many there were of that name: 1 or 0. */
  async renew(server: string): Promise<number> {
    this.#mustBeUp();
    return this.#renewals.renew(server);
  }

  /** Hands changed keys to every worker, also to those that start later. */
  renewKeys(keys: KeyRing): void {
    this.#keys = keys;
    for (const slot of this.#slots) if (isLaunched(slot)) void this.#tell(slot, { kind: 'keys', keys });
  }

  /** Puts another snapshot in force in every worker, also in those that start later. Rejects, and nothing has changed, when that cannot be done. */
  async reload(snapshot: Snapshot): Promise<void> {
    this.#mustBeUp();
    await this.#renewals.apply(snapshot);
  }

  #mustBeUp(): void {
    if (this.#phase !== 'up') throw new GatewayError('GW_SERVER_DRAINING');
  }

  #hands(): Hand[] {
    return this.#slots.filter(isLaunched).map(({ index: worker, link }) => ({
      worker,
      ask: (order) => link.ask(order),
      kill: (reason) => link.kill(reason),
    }));
  }

  /** Ends a worker as a crash would; false when there is none to end. */
  endWorker(index: number): boolean {
    const slot = this.#slots[index];
    if (slot === undefined || !isLaunched(slot)) return false;
    slot.link.kill('it was ended on request');
    return true;
  }

  /**
   * Lets the running exchanges of all workers finish, all at once, then ends them. No listener goes before all are done: connections are spread over all of
   * them, and what still comes is to be refused in words.
   */
  async drain(): Promise<void> {
    if (this.#phase === 'up') this.#phase = 'draining';
    const launched = this.#slots.filter(isLaunched);
    for (const kind of ['drain', 'close'] as const)
      await Promise.all(launched.map((slot) => this.#tell(slot, { kind })));
    this.stop();
  }

  /** Ends every worker at once. */
  stop(): void {
    this.#phase = 'over';
    for (const slot of this.#slots) {
      slot.state = 'ended';
      slot.link.end();
    }
  }
}

/** True for a worker that has been told to start and has not died since: orders reach it, and its peers have a line to it. */
function isLaunched(slot: Slot): boolean {
  return slot.state === 'starting' || slot.state === 'serving';
}
