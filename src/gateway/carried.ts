// What of a server's cells goes on in other cells when a reload makes it another server.
// Called by changeover.ts, between preparing a snapshot and putting it in force. Promises: a breaker that an operator opened is open in the server's new cells
// before the first request finds them; nothing else is carried.
import { carryForced, isForced } from '../memory/breaker-control.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import type { Snapshot } from '../snapshot.ts';
import { placesByName, type ServerSpec } from '../upstream/spec.ts';

/** Carries what is to outlive the change from one snapshot to the next, both with their places. */
export function carryCells(memory: PlaneMemory, before: Snapshot, after: Snapshot): void {
  const formers = placesByName(before.servers);
  after.servers.forEach((spec, at) => {
    // Almost all are what and where they were.
    if (before.servers[at] === spec) return;
    const formerAt = formers.get(spec.name) ?? -1;
    const former = before.servers[formerAt];
    const had = before.places?.servers[formerAt] ?? [];
    const has = after.places?.servers[at] ?? [];
    if (former === undefined || had === has || !had.some((cell) => isForced(memory, cell))) return;
    const addresses = placesOf(spec);
    placesOf(former).forEach((address, index) => {
      // A server in one place is the same wherever that place is by now.
      const isOnly = had.length === 1 && has.length === 1;
      const [from, to] = [had[index], has[isOnly ? 0 : addresses.indexOf(address)]];
      if (from !== undefined && to !== undefined && from !== to) carryForced(memory, from, to);
    });
  });
}

function placesOf({ target, replicas = [] }: ServerSpec): string[] {
  return [target, ...replicas].map((place) =>
    place.kind === 'stdio' ? place.command : `${place.url} ${place.unixPath ?? ''}`,
  );
}
