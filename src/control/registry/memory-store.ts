// A registry that ends with its gateway.
// Called by open.ts where there is no place to keep anything, and by tests. Promises: store.ts, but that nothing is durable, which its state says; the oldest events
// go when there are too many.
import { LIMITS } from '../../base/limits.ts';
import { Ledger } from './ledger.ts';
import type { RegistryState } from './registry.ts';
import type { Change, RegistryStore, StoredEvent, StoredEvents, StoredServer, Written } from './store.ts';

/** Keeps a registry in memory. */
export class MemoryStore implements RegistryStore {
  readonly state: RegistryState;
  readonly #wall: () => number;
  readonly #ledger = new Ledger();
  readonly #events: StoredEvent[] = [];
  readonly #listeners = new Set<(events: readonly StoredEvent[]) => void>();

  /** `wall` gives milliseconds since the epoch, `detail` says why nothing is kept. */
  constructor(wall: () => number, detail: string) {
    this.#wall = wall;
    this.state = { state: 'absent', path: null, detail };
  }

  list(): readonly StoredServer[] {
    return this.#ledger.list();
  }

  get(name: string): StoredServer | null {
    return this.#ledger.get(name);
  }

  async write(changes: readonly Change[]): Promise<Written> {
    const staged = this.#ledger.stage(changes, this.#wall());
    if ('ok' in staged) return staged;
    this.#ledger.take();
    const { events } = staged;
    this.#events.push(...events);
    this.#events.splice(0, this.#events.length - LIMITS.registryEventsMax);
    for (const listener of this.#listeners) listener(events);
    return { ok: true, events };
  }

  audit(after: number | null, limit: number): StoredEvents {
    if (after === null) return { items: this.#events.slice(-limit), next: null };
    const later = this.#events.filter(({ id }) => id > after);
    const items = later.slice(0, limit);
    return { items, next: later.length > items.length ? (items.at(-1)?.id ?? null) : null };
  }

  onEvents(callback: (events: readonly StoredEvent[]) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
