// The servers of a registry in memory, and what a change makes of them.
// Called by sqlite.ts and memory-store.ts. Promises: pure bookkeeping, without a clock or a file; what is staged is seen by the changes staged after it, and by nobody
// else until it is taken; what is dropped has never been.
import type { Mapping } from './registry.ts';
import type { Change, StoredEvent, StoredServer, Written } from './store.ts';

/** What one write does: its events, and by name what becomes of servers. */
export interface Staged {
  readonly events: readonly StoredEvent[];
  readonly servers: ReadonlyMap<string, StoredServer | null>;
}

type Refused = Extract<Written, { ok: false }>;

/** The servers, and the number of the last event. */
export class Ledger {
  #servers: Map<string, StoredServer>;
  /** The same as a list, until something changes. */
  #list: readonly StoredServer[] | null = null;
  #lastId: number;
  /** What is staged and neither taken nor dropped. */
  readonly #ahead = new Map<string, StoredServer | null>();
  #aheadId: number;

  constructor(servers: readonly StoredServer[] = [], lastId = 0) {
    this.#servers = byName(servers);
    this.#lastId = lastId;
    this.#aheadId = lastId;
  }

  get lastId(): number {
    return this.#lastId;
  }

  list(): readonly StoredServer[] {
    if (this.#list === null) {
      const list: StoredServer[] = [];
      // Several times as fast as spreading them.
      this.#servers.forEach((server) => {
        list.push(server);
      });
      this.#list = list;
    }
    return this.#list;
  }

  get(name: string): StoredServer | null {
    return this.#servers.get(name) ?? null;
  }

  /** What changes come to after all that is staged, or why they are refused; then nothing of them is staged. */
  stage(changes: readonly Change[], atMs: number): Staged | Refused {
    const servers = new Map<string, StoredServer | null>();
    const events: StoredEvent[] = [];
    const find = (name: string): StoredServer | null =>
      firstKnown(name, [servers, this.#ahead]) ?? this.get(name);
    for (const change of changes) {
      const id = this.#aheadId + events.length + 1;
      const before = change.kind === 'note' ? null : find(change.name);
      const refused = refusalOf(change, before);
      if (refused !== null) return refused;
      events.push(eventOf(change, before, { id, atMs }));
      if (change.kind === 'remove') servers.set(change.name, null);
      else if (change.kind === 'put') {
        const { name, settings } = change;
        servers.set(name, { name, settings, version: id, place: before?.place ?? id, changedAtMs: atMs });
      }
    }
    for (const [name, server] of servers) this.#ahead.set(name, server);
    this.#aheadId += events.length;
    return { events, servers };
  }

  /** Everything that is staged has happened. */
  take(): void {
    for (const [name, server] of this.#ahead) {
      // One that went and came again is the newest.
      if (server === null || this.#servers.get(name)?.place !== server.place) this.#servers.delete(name);
      if (server !== null) this.#servers.set(name, server);
    }
    if (this.#ahead.size > 0) this.#list = null;
    this.#ahead.clear();
    this.#lastId = this.#aheadId;
  }

  /** Nothing that is staged has happened. */
  drop(): void {
    this.#ahead.clear();
    this.#aheadId = this.#lastId;
  }

  /** Somebody else has written: this is how things are. Only while nothing is staged. */
  replace(servers: readonly StoredServer[], lastId: number): void {
    this.#servers = byName(servers);
    this.#list = null;
    this.#lastId = lastId;
    this.#aheadId = lastId;
  }
}

/** In the order in which they came. */
function byName(servers: readonly StoredServer[]): Map<string, StoredServer> {
  const ordered = [...servers].sort((a, b) => a.place - b.place);
  return new Map(ordered.map((server) => [server.name, server]));
}

/** What the first layer that knows of a name says; undefined when none does. */
function firstKnown(
  name: string,
  layers: readonly ReadonlyMap<string, StoredServer | null>[],
): StoredServer | null | undefined {
  return layers.find((layer) => layer.has(name))?.get(name);
}

function refusalOf(change: Change, before: StoredServer | null): Refused | null {
  if (change.kind === 'note') return null;
  const { name, expect, kind } = change;
  if (before === null) {
    if (kind === 'remove' || typeof expect === 'number')
      return { ok: false, code: 'GW_REGISTRY_UNKNOWN', detail: `'${name}' is not in it` };
    return null;
  }
  if (expect === 'new')
    return { ok: false, code: 'GW_REGISTRY_EXISTS', detail: `'${name}' has version ${before.version}` };
  if (expect === null || expect === before.version) return null;
  const detail = `'${name}' has version ${before.version}, and ${expect} was expected: read it anew`;
  return { ok: false, code: 'GW_REGISTRY_VERSION', detail };
}

function eventOf(
  change: Change,
  former: StoredServer | null,
  { id, atMs }: { readonly id: number; readonly atMs: number },
): StoredEvent {
  const { actor } = change;
  if (change.kind === 'note') {
    const { action, subject, after } = change;
    return { id, atMs, actor, action, subject, before: null, after };
  }
  const before: Mapping | null = former?.settings ?? null;
  const common = { id, atMs, actor, subject: change.name, before };
  if (change.kind === 'remove') return { ...common, action: 'remove', after: null };
  const action = change.action ?? (before === null ? 'create' : 'replace');
  return { ...common, action, after: change.settings };
}
