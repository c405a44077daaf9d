// What a data plane tells of itself when somebody looks, and what may be asked of it besides serving.
// Called by worker.ts (makes it) and thread.ts (asks it). Promises: nothing is kept for it but names of what was shown; a name is never given twice, and leads
// to nothing once what it names has ended.
import { LIMITS } from '../base/limits.ts';
import type { Parked } from '../bridge/modern-to-legacy/park.ts';
import type {
  ChildView,
  Deed,
  Inspection,
  ParkedView,
  ServerInspection,
  SessionView,
} from '../observe/inspection.ts';
import type { LiveSession } from '../observe/ledger.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Front } from '../server/http.ts';
import type { WorkerPlace } from '../upstream/peers.ts';
import type { UpstreamStats } from '../upstream/upstream.ts';
import type { PlacedMember } from './members.ts';
import type { Roster } from './roster.ts';

/** What an inspector looks at. */
export interface InspectorParts {
  readonly roster: Roster;
  readonly front: Pick<Front, 'live'>;
  readonly clock: Clock;
  readonly place: WorkerPlace;
}

/** Looks at one data plane. */
export class Inspector {
  readonly #parts: InspectorParts;
  readonly #names = new WeakMap<object, string>();
  #named = 0;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
  }

  /** Counts that cost little: sessions, and the numbers of every server, or both of these alone; with none named, all sessions and no server's numbers. */
  counts(servers?: readonly string[]): {
    readonly sessions: number;
    readonly upstreams: Readonly<Record<string, UpstreamStats>>;
  } {
    const { roster } = this.#parts;
    const upstreams: Record<string, UpstreamStats> = {};
    let sessions = 0;
    const isAll = servers === undefined || servers.length === 0;
    for (const member of isAll ? roster.members : roster.membersOf(servers)) {
      const stats = member.upstream.stats();
      if (servers?.length !== 0) upstreams[member.spec.name] = stats;
      sessions += stats.sessions;
    }
    if (isAll) for (const target of roster.allTargets) sessions += target.sessions;
    return { sessions, upstreams };
  }

  /**
   * All that there is, servers in the snapshot's order; what a reload has left out and still ends counts to the server of its name. With `wanted`, these servers alone, at a cost
   * that grows with them and not with all.
   */
  inspect(wanted?: readonly string[]): Inspection {
    const { roster } = this.#parts;
    const all = wanted === undefined ? roster.allMembers : roster.allMembersOf(wanted);
    const sessions = this.#sessions(all).map((session) => this.#viewOf(session));
    const counts = new Map<string, number>();
    for (const { servers } of sessions)
      for (const name of servers) counts.set(name, (counts.get(name) ?? 0) + 1);
    const byName = new Map<string, PlacedMember[]>();
    for (const member of all) {
      const known = byName.get(member.spec.name);
      if (known === undefined) byName.set(member.spec.name, [member]);
      else known.push(member);
    }
    const servers = [...byName].map(([name, members]) =>
      this.#serverOf(name, members, counts.get(name) ?? 0),
    );
    if (wanted !== undefined) return { sessions: [], parked: [], servers };
    return { sessions, parked: roster.parking.all().map((one) => this.#parkedOf(one)), servers };
  }

  /** Does a deed, as far as it is this worker's; how much there was to do. A restart is none of a worker's own. */
  act(deed: Deed): number {
    const { roster } = this.#parts;
    switch (deed.kind) {
      case 'purge-cache':
        return this.#purge(deed.server);
      case 'end-session': {
        const found = this.#sessions(roster.allMembers).find(({ self }) => this.#names.get(self) === deed.id);
        found?.end();
        return found === undefined ? 0 : 1;
      }
      case 'end-parked': {
        const found = roster.parking.all().find((one) => this.#names.get(one) === deed.id);
        return found !== undefined && roster.parking.end(found) ? 1 : 0;
      }
      case 'restart-server':
        return 0;
    }
  }

  #purge(server: string | null): number {
    let count = 0;
    for (const { spec, ledger } of this.#parts.roster.allMembers) {
      if (server !== null && spec.name !== server) continue;
      for (const source of ledger.sources) count += source.purge?.() ?? 0;
    }
    return count;
  }

  /** Of endpoints, of these servers, and of clients that are connected. */
  #sessions(members: readonly PlacedMember[]): LiveSession[] {
    const { roster, front } = this.#parts;
    const targets = new Set(roster.allTargets.filter(({ live }) => live !== undefined));
    return [
      ...[...targets].flatMap((target) => target.live?.() ?? []),
      ...members.flatMap(({ ledger }) => ledger.sources.flatMap((source) => source.sessions?.() ?? [])),
      ...front.live(),
    ];
  }

  #serverOf(name: string, members: readonly PlacedMember[], sessions: number): ServerInspection {
    const { index: worker } = this.#parts.place;
    const sources = members.flatMap(({ ledger }) => ledger.sources);
    const children = sources
      .flatMap((source) => source.children?.() ?? [])
      .map((child): ChildView => ({ ...child, worker, rssBytes: null }));
    const faults = members
      .flatMap(({ ledger }) => ledger.faults)
      .sort((one, other) => other.atMs - one.atMs)
      .slice(0, LIMITS.faultsKeptMax);
    // The first is the one in force.
    const [current] = members;
    const era = current?.ledger.sources.map((source) => source.era?.() ?? null).find((one) => one !== null);
    return { name, era: era ?? 'unknown', sessions, children, faults };
  }

  #viewOf(session: LiveSession): SessionView {
    const { self, kind, endpoint, servers, startedAtMs, lastUsedAtMs, running } = session;
    return {
      id: this.#nameOf(self),
      worker: this.#parts.place.index,
      ...{ kind, endpoint, servers, running },
      startedAtMs: this.#wallOf(startedAtMs),
      lastUsedAtMs: this.#wallOf(lastUsedAtMs),
    };
  }

  #parkedOf(parked: Parked): ParkedView {
    const { server, endpoint, method, asked } = parked.call;
    const parkedAtMs = this.#wallOf(parked.sinceMs) ?? 0;
    return {
      id: this.#nameOf(parked),
      worker: this.#parts.place.index,
      ...{ server, endpoint, method, questions: asked },
      parkedAtMs,
      expiresAtMs: parkedAtMs + this.#parts.roster.parking.lifeMs,
    };
  }

  /** The time of day of a moment on the clock. */
  #wallOf(atMs: number | null): number | null {
    const { clock } = this.#parts;
    return atMs === null ? null : Math.round(clock.wall() - (clock.now() - atMs));
  }

  #nameOf(self: object): string {
    const known = this.#names.get(self);
    if (known !== undefined) return known;
    const { index, generation } = this.#parts.place;
    const name = `${index}.${generation}.${++this.#named}`;
    this.#names.set(self, name);
    return name;
  }
}
