// From one snapshot to the next, in all workers of a gateway: prepared everywhere first, then put in force, then what it left out is ended and its cells are freed.
// Called by fleet.ts. Promises: a snapshot that one worker cannot prepare is put in force in none; what is left out ends only when no worker runs anything that
// needs it; a cell is another's only after that, and cleared.
import { GatewayError } from '../base/errors.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import { clearEndpoint, clearUpstream } from '../memory/reclaim.ts';
import { RouteTable, routesOf } from '../route/table.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Notice, Order, Report } from '../thread.ts';
import { changeBetween } from '../worker/snapshot-change.ts';
import { carryCells } from './carried.ts';
import { type Claim, type Held, Places, type Shortage } from './places.ts';
import { unexpected } from './thread-link.ts';

/** A worker that takes orders. */
export interface Hand {
  readonly worker: number;
  /** Rejects when it has died. */
  ask(order: Order): Promise<Report>;
  /** Ends it as a crash would: its next life begins with the newest snapshot. */
  kill(reason: string): void;
}

/** What a gateway's workers serve. */
export interface InForce {
  readonly snapshot: Snapshot;
  readonly routes: RouteTable;
}

/** What one snapshot has left out, until it has ended everywhere. */
interface Retiring {
  readonly leaving: Held;
  /** Workers that have not ended it; true once nothing of theirs needs it. */
  readonly workers: Map<number, boolean>;
  isTold: boolean;
}

/** The snapshots of one gateway, one after the other. */
export class Changeover {
  readonly #memory: PlaneMemory;
  readonly #hands: () => readonly Hand[];
  readonly #places: Places;
  readonly #retiring = new Map<number, Retiring>();
  #inForce: InForce;
  #onFreed: (() => void)[] = [];
  #switching: Promise<void> = Promise.resolve();
  #last: Promise<unknown> = Promise.resolve();

  /** `hands` gives the workers that take orders at the time. */
  constructor(memory: PlaneMemory, first: Snapshot, hands: () => readonly Hand[]) {
    const { upstreams, endpoints } = memory.plan;
    this.#memory = memory;
    this.#hands = hands;
    this.#places = new Places(upstreams, endpoints);
    this.#inForce = inForce(claimed(this.#places.claim(first, null), this.#places.room));
  }

  /** What a worker that starts is to serve. */
  get inForce(): InForce {
    return this.#inForce;
  }

  /** Resolves when no snapshot is just being put in force: a worker that starts meanwhile would miss it. */
  get switching(): Promise<void> {
    return this.#switching;
  }

  /**
   * Puts a snapshot in force, after those that were asked for before; `next` makes it of the one that is in force by then, null: there is nothing to do.
   * Rejects, and everything is as it was, when that cannot be done.
   */
  apply(next: (inForce: Snapshot) => Snapshot | null): Promise<void> {
    const done = this.#last.then(() => this.#apply(next(this.#inForce.snapshot)));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #apply(wanted: Snapshot | null): Promise<void> {
    if (wanted === null) return;
    const claim = await this.#claim(wanted);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#switching = promise;
    try {
      await this.#switch(claim, inForce(claim));
    } finally {
      resolve();
    }
  }

  /** Waits for cells of what is just being ended, when the others do not suffice. */
  async #claim(wanted: Snapshot): Promise<Claim> {
    for (;;) {
      const claim = this.#places.claim(wanted, this.#inForce.snapshot);
      if ('snapshot' in claim || this.#retiring.size === 0) return claimed(claim, this.#places.room);
      await new Promise<void>((resolve) => this.#onFreed.push(resolve));
    }
  }

  async #switch(claim: Claim, next: InForce): Promise<void> {
    const { snapshot } = claim;
    const { epoch } = snapshot;
    const hands = this.#hands();
    const all = (order: Order): Promise<(Report | null)[]> =>
      Promise.all(hands.map((hand) => hand.ask(order).catch(() => null)));
    const change = changeBetween(this.#inForce.snapshot, snapshot);
    const prepared = await all({ kind: 'prepare', change, routes: next.routes.memory });
    const refusal = prepared.find((report) => report !== null && report.kind !== 'noted') ?? null;
    if (refusal !== null) {
      await all({ kind: 'discard' });
      this.#places.give(claim.fresh);
      throw unexpected(refusal);
    }
    carryCells(this.#memory, this.#inForce.snapshot, snapshot);
    this.#inForce = next;
    const workers = new Map(hands.map(({ worker }) => [worker, false]));
    this.#retiring.set(epoch, { leaving: claim.leaving, workers, isTold: false });
    // Those that have died since are not heard of any more.
    prepared.forEach((report, at) => {
      if (report === null) workers.delete(hands[at]?.worker ?? -1);
    });
    const committed = await all({ kind: 'commit', epoch });
    committed.forEach((report, at) => {
      if (report !== null && report.kind !== 'noted')
        hands[at]?.kill('it could not take up the configuration');
    });
    this.#look(epoch);
  }

  /** A worker has told something of its own accord. */
  noticed(worker: number, { kind, epoch }: Notice): void {
    const workers = this.#retiring.get(epoch)?.workers;
    if (workers === undefined || !workers.has(worker)) return;
    if (kind === 'settled') workers.set(worker, true);
    else workers.delete(worker);
    this.#look(epoch);
  }

  /** A worker has died, and all that ran in it. */
  lost(worker: number): void {
    for (const [epoch, { workers }] of [...this.#retiring]) if (workers.delete(worker)) this.#look(epoch);
  }

  #look(epoch: number): void {
    const one = this.#retiring.get(epoch);
    if (one === undefined) return;
    if (one.workers.size === 0) return this.#freed(epoch, one.leaving);
    if (one.isTold || [...one.workers.values()].includes(false)) return;
    one.isTold = true;
    for (const hand of this.#hands())
      if (one.workers.has(hand.worker)) void hand.ask({ kind: 'retire', epoch }).catch(() => undefined);
  }

  #freed(epoch: number, leaving: Held): void {
    this.#retiring.delete(epoch);
    for (const cell of leaving.cells) clearUpstream(this.#memory, cell);
    for (const slot of leaving.slots) clearEndpoint(this.#memory, slot);
    this.#places.give(leaving);
    for (const resolve of this.#onFreed.splice(0)) resolve();
  }
}

function inForce({ snapshot }: Claim): InForce {
  return { snapshot, routes: RouteTable.of(routesOf(snapshot)) };
}

function claimed(claim: Claim | Shortage, room: Shortage): Claim {
  if ('snapshot' in claim) return claim;
  const [what, lacks, has] =
    claim.cells > 0 ? ['servers', claim.cells, room.cells] : ['endpoints', claim.slots, room.slots];
  throw new GatewayError('GW_CONFIG_ROOM', `it has room for ${has} ${what}, and ${lacks} more are wanted`);
}
