// Servers that an operator had begun anew: a count in a server's spec makes it another server to a reload.
// Called by fleet.ts. Promises: a snapshot that comes later keeps what was begun anew as it is by then; epochs only ever grow; what cannot be done has not been
// counted.
import type { Snapshot } from '../snapshot.ts';
import { placesByName } from '../upstream/spec.ts';
import type { Changeover } from './changeover.ts';

type Counts = ReadonlyMap<string, number>;

/** How often each server was begun anew, and the way to the next time. */
export class Renewals {
  readonly #changeover: Pick<Changeover, 'apply'>;
  #counts: Counts = new Map();

  constructor(changeover: Pick<Changeover, 'apply'>) {
    this.#changeover = changeover;
  }

  /** Puts a snapshot in force, as Changeover.apply() does, with all counts as they are. */
  apply(wanted: Snapshot): Promise<void> {
    return this.#changeover.apply((inForce) => {
      const names = placesByName(wanted.servers);
      this.#counts = new Map([...this.#counts].filter(([name]) => names.has(name)));
      return stamped(wanted, inForce, this.#counts);
    });
  }

  /** Ends a server as a reload with changed settings would, and begins it anew; how many there were of that name: 1 or 0. */
  async renew(server: string): Promise<number> {
    let found = 0;
    let before = this.#counts;
    try {
      await this.#changeover.apply((inForce) => {
        if (!inForce.servers.some(({ name }) => name === server)) return null;
        found = 1;
        before = this.#counts;
        this.#counts = new Map([...before, [server, (before.get(server) ?? 0) + 1]]);
        return stamped(inForce, inForce, this.#counts);
      });
    } catch (thrown) {
      this.#counts = before;
      throw thrown;
    }
    return found;
  }
}

/** What is wanted, as it follows what is in force. */
function stamped(wanted: Snapshot, inForce: Snapshot, counts: Counts): Snapshot {
  const epoch = Math.max(wanted.epoch, inForce.epoch + 1);
  if (counts.size === 0) return Object.freeze({ ...wanted, epoch });
  const servers = wanted.servers.map((spec) => {
    const renewals = counts.get(spec.name) ?? 0;
    return renewals === (spec.renewals ?? 0) ? spec : Object.freeze({ ...spec, renewals });
  });
  return Object.freeze({ ...wanted, epoch, servers });
}
