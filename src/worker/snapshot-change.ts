// What one snapshot has that the one before it has not: what crosses to the workers when a snapshot follows another one.
// Called by gateway/changeover.ts (makes it) and worker.ts (lays it over the snapshot that it serves). Promises: pure; plain data; servers and endpoints that were taken over as they are
// cross no thread and are the same objects on the other side; what comes of it equals the snapshot that it was made of.
import { assert } from '../base/assert.ts';
import type { EndpointSpec, Snapshot, SnapshotPlaces } from '../snapshot.ts';
import type { ServerSpec } from '../upstream/spec.ts';

/** A stretch of the list before, or elements that are not in it. */
type Piece<T> = { readonly from: number; readonly count: number } | { readonly fresh: readonly T[] };

/** A list, piece by piece. */
export type ListChange<T> = readonly Piece<T>[];

/** A snapshot by the one that it follows. */
export interface SnapshotChange {
  /** Epoch of the one that it follows. */
  readonly after: number;
  /** Everything but the lists. */
  readonly rest: Omit<Snapshot, 'servers' | 'endpoints' | 'places'>;
  readonly servers: ListChange<ServerSpec>;
  readonly endpoints: ListChange<EndpointSpec>;
  readonly places: {
    readonly servers: ListChange<SnapshotPlaces['servers'][number]>;
    readonly endpoints: ListChange<number>;
  } | null;
}

const NO_PLACES: SnapshotPlaces = { servers: [], endpoints: [] };

/** What `after` is to one who has `before`. */
export function changeBetween(before: Snapshot, after: Snapshot): SnapshotChange {
  const { servers, endpoints, places, ...rest } = after;
  const had = before.places ?? NO_PLACES;
  return {
    after: before.epoch,
    rest,
    servers: listChange(before.servers, servers),
    endpoints: listChange(before.endpoints, endpoints),
    places:
      places === undefined
        ? null
        : {
            servers: listChange(had.servers, places.servers),
            endpoints: listChange(had.endpoints, places.endpoints),
          },
  };
}

/** The snapshot that a change makes of the one that it was made for. */
export function changed(
  before: Snapshot,
  { after, rest, servers, endpoints, places }: SnapshotChange,
): Snapshot {
  assert(after === before.epoch, 'a change is laid over the snapshot that it follows');
  const had = before.places ?? NO_PLACES;
  return {
    ...rest,
    servers: changedList(before.servers, servers),
    endpoints: changedList(before.endpoints, endpoints),
    ...(places !== null && {
      places: {
        servers: changedList(had.servers, places.servers),
        endpoints: changedList(had.endpoints, places.endpoints),
      },
    }),
  };
}

/** Elements that are sought one by one: for more of them it takes less time to note where each is. */
const SOUGHT_MAX = 16;

function listChange<T>(before: readonly T[], after: readonly T[]): ListChange<T> {
  const pieces: ({ readonly from: number; count: number } | { readonly fresh: T[] })[] = [];
  let placeOf: ReadonlyMap<T, number> | null = null;
  // Where the present stretch would go on: almost always that is where the next element is.
  let next = 0;
  let sought = 0;
  const find = (element: T): number => {
    if (next < before.length && before[next] === element) return next;
    if (sought++ < SOUGHT_MAX) return before.indexOf(element);
    placeOf ??= new Map(before.map((one, at) => [one, at]));
    return placeOf.get(element) ?? -1;
  };
  for (const element of after) {
    const from = find(element);
    const last = pieces.at(-1);
    if (from < 0) {
      if (last !== undefined && 'fresh' in last) last.fresh.push(element);
      else pieces.push({ fresh: [element] });
      continue;
    }
    if (last !== undefined && 'count' in last && from === next) last.count++;
    else pieces.push({ from, count: 1 });
    next = from + 1;
  }
  return pieces;
}

function changedList<T>(before: readonly T[], pieces: ListChange<T>): readonly T[] {
  return pieces.flatMap((piece) =>
    'fresh' in piece ? piece.fresh : before.slice(piece.from, piece.from + piece.count),
  );
}
