// Which cells of the shared memory are whose, over all snapshots of a gateway.
// Called by fleet.ts. Promises: pure book-keeping; what stays the same from one snapshot to the next keeps its cells, no two that are there at a time share
// one, and a cell is given again only after give().
import type { Snapshot } from '../snapshot.ts';
import { cellsOf, isSameServer, placesByName } from '../upstream/spec.ts';

/** Cells of servers, and of endpoints. */
export interface Held {
  readonly cells: readonly number[];
  readonly slots: readonly number[];
}

/** A snapshot with its places. */
export interface Claim {
  readonly snapshot: Snapshot;
  /** Taken for it, to be given back should it not come to be. */
  readonly fresh: Held;
  /** No longer needed by it, to be given back once nobody uses them. */
  readonly leaving: Held;
}

/** Cells that are wanting. */
export interface Shortage {
  readonly cells: number;
  readonly slots: number;
}

/** The places of one gateway. */
export class Places {
  readonly #cells: Pool;
  readonly #slots: Pool;

  constructor(cells: number, slots: number) {
    this.#cells = new Pool(cells);
    this.#slots = new Pool(slots);
  }

  /** How many there are, taken ones included. */
  get room(): Shortage {
    return { cells: this.#cells.size, slots: this.#slots.size };
  }

  /** Finds places for a snapshot that follows another one (null: the first); nothing is taken when there are too few. */
  claim(snapshot: Snapshot, before: Snapshot | null): Claim | Shortage {
    const keptCells = keptServers(snapshot, before);
    const keptSlots = keptEndpoints(snapshot, before);
    const cellsWanted = cellsOf(snapshot.servers.filter((_, at) => keptCells[at] === null));
    const slotsWanted = keptSlots.filter((slot) => slot === null).length;
    const shortage = {
      cells: Math.max(0, cellsWanted - this.#cells.free),
      slots: Math.max(0, slotsWanted - this.#slots.free),
    };
    if (shortage.cells > 0 || shortage.slots > 0) return shortage;
    const cells = this.#cells.take(cellsWanted);
    const slots = this.#slots.take(slotsWanted);
    const places = placed(snapshot, { keptCells, keptSlots }, { cells, slots });
    const former = before?.places ?? { servers: [], endpoints: [] };
    return {
      snapshot: Object.freeze({ ...snapshot, places }),
      fresh: { cells, slots },
      leaving: {
        cells: without(former.servers, keptCells).flat(),
        slots: without(former.endpoints, keptSlots),
      },
    };
  }

  /** Nobody uses them any more. */
  give({ cells, slots }: Held): void {
    this.#cells.give(cells);
    this.#slots.give(slots);
  }
}

/** Numbers from 0, lowest first. */
class Pool {
  readonly #taken: boolean[];
  #free: number;

  constructor(size: number) {
    this.#taken = Array.from({ length: size }, () => false);
    this.#free = size;
  }

  get size(): number {
    return this.#taken.length;
  }

  get free(): number {
    return this.#free;
  }

  /** There must be so many. */
  take(count: number): number[] {
    const found: number[] = [];
    for (let at = 0; at < this.#taken.length && found.length < count; at++)
      if (!this.#taken[at]) found.push(at);
    for (const at of found) this.#taken[at] = true;
    this.#free -= found.length;
    return found;
  }

  give(numbers: readonly number[]): void {
    for (const at of numbers) {
      if (this.#taken[at] === true) this.#free++;
      this.#taken[at] = false;
    }
  }
}

/** What of a list is not kept; null: something else came. */
function without<T>(list: readonly T[], kept: readonly (T | null)[]): T[] {
  if (kept.reduce((count, one) => (one === null ? count : count + 1), 0) === list.length) return [];
  const stays = new Set<T | null>(kept);
  return list.filter((one) => !stays.has(one));
}

/** By server: the cells that it has already, or null. */
function keptServers({ servers }: Snapshot, before: Snapshot | null): (readonly number[] | null)[] {
  if (before === null) return servers.map(() => null);
  const formers = placesByName(before.servers);
  return servers.map((spec) => {
    const at = formers.get(spec.name) ?? -1;
    const former = before.servers[at];
    if (former === undefined || !isSameServer(former, spec)) return null;
    return before.places?.servers[at] ?? null;
  });
}

/** By endpoint: the slot that its path has already, or null. */
function keptEndpoints(snapshot: Snapshot, before: Snapshot | null): (number | null)[] {
  const formers = before?.endpoints ?? [];
  const slots = before?.places?.endpoints ?? [];
  let byPath: ReadonlyMap<string, number | undefined> | null = null;
  return snapshot.endpoints.map(({ path }, at) => {
    // Almost always it is where it was.
    if (formers[at]?.path === path) return slots[at] ?? null;
    byPath ??= new Map(formers.map((former, was) => [former.path, slots[was]]));
    return byPath.get(path) ?? null;
  });
}

/** Fills the gaps; at the start this is the order that cellsInOrder() has: first the servers' own cells, then those of further replicas. */
function placed(
  { servers: specs }: Snapshot,
  kept: {
    readonly keptCells: readonly (readonly number[] | null)[];
    readonly keptSlots: readonly (number | null)[];
  },
  fresh: Held,
): NonNullable<Snapshot['places']> {
  const cells = fresh.cells.values();
  const slots = fresh.slots.values();
  const next = (from: Iterator<number>): number => from.next().value ?? 0;
  const own = kept.keptCells.map((had) => (had === null ? next(cells) : null));
  const servers = kept.keptCells.map(
    (had, at) => had ?? [own[at] ?? 0, ...(specs[at]?.replicas ?? []).map(() => next(cells))],
  );
  return Object.freeze({ servers, endpoints: kept.keptSlots.map((had) => had ?? next(slots)) });
}
