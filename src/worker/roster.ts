// The servers and endpoints of one data plane, from one snapshot to the next: what stays serves on as it is, what goes has its time to end.
// Called by worker.ts. Promises: a snapshot is prepared whole before anything of it is seen; commit() changes all at once and cannot fail; what it leaves out is
// found by those who began before, until it is retired.
import { LIMITS } from '../base/limits.ts';
import type { Handles } from '../bridge/handles.ts';
import type { LegacyCall } from '../bridge/modern-to-legacy/call.ts';
import { Parking } from '../bridge/modern-to-legacy/park.ts';
import type { SessionTools } from '../bridge/session.ts';
import { View } from '../mcp/view.ts';
import { Aggregate } from '../proxy/aggregate.ts';
import type { Envelopes } from '../proxy/envelopes.ts';
import type { ListBounds } from '../proxy/joined-lists.ts';
import { ListMemory } from '../proxy/list-memory.ts';
import { Single } from '../proxy/single.ts';
import type { Target } from '../proxy/target.ts';
import { type EndpointRoutes, Routes } from '../route/match.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import type { UpstreamParts } from '../upstream/create.ts';
import { placesByName } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { createMembers, endpointRules, hasRules, type PlacedMember } from './members.ts';
import { RollCall } from './roll-call.ts';
import { isSameEndpoint, type LeftOut, leftOutBy, type Served } from './served.ts';

/** Name and version that the gateway gives itself where it speaks for many servers. */
const SELF = Object.freeze({ name: 'sluice', version: '0.1.0' });

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What a roster is made of. */
export interface RosterParts {
  readonly upstreams: Omit<UpstreamParts, 'onLocal'>;
  readonly handles: Handles;
  readonly spare: Envelopes;
}

/** All that a data plane serves. */
export class Roster {
  readonly #parts: RosterParts;
  readonly #parking: Parking<LegacyCall>;
  readonly #lists: ListMemory;
  readonly #rollCall: RollCall;
  /** Of all aggregates, as the snapshot in force says. */
  readonly #listBounds: Mutable<ListBounds> = { pageSize: LIMITS.pageSize, listGraceMs: LIMITS.listGraceMs };
  #served: Served;
  #prepared: Served | null = null;
  readonly #leftOut = new Map<number, LeftOut>();

  constructor(parts: RosterParts, snapshot: Snapshot, table: SharedArrayBuffer) {
    const { clock, random } = parts.upstreams.runtime;
    this.#parts = parts;
    this.#parking = new Parking(clock, random, snapshot.front);
    this.#lists = new ListMemory(clock, LIMITS.listsKeptBytesMax);
    this.#bound(snapshot);
    this.#served = this.#make(snapshot, table, null);
    this.#rollCall = new RollCall(parts.upstreams);
    this.#callRoll();
  }

  get snapshot(): Snapshot {
    return this.#served.snapshot;
  }

  /** Calls that wait for their clients, of all snapshots. */
  get parking(): Parking<LegacyCall> {
    return this.#parking;
  }

  get members(): readonly PlacedMember[] {
    return this.#served.members;
  }

  /** Where paths lead; those that were left out and are not retired too, unless they lead somewhere again. */
  get targets(): ReadonlyMap<string, Target> {
    const leftOut = [...this.#leftOut.values()].flatMap((one) => [...one.targets]);
    return leftOut.length === 0 ? this.#served.targets : new Map([...leftOut, ...this.#served.targets]);
  }

  /** Every target there is, every server there is, whatever snapshot it is of. */
  get allTargets(): readonly Target[] {
    return [
      ...this.#served.targets.values(),
      ...[...this.#leftOut.values()].flatMap((one) => [...one.targets.values()]),
    ];
  }

  get allMembers(): readonly PlacedMember[] {
    return [...this.#served.members, ...this.#otherMembers];
  }

  /** Those that are not in force yet, or any more. */
  get #otherMembers(): readonly PlacedMember[] {
    return [...this.#fresh, ...[...this.#leftOut.values()].flatMap((one) => one.members)];
  }

  /** Those that were made for the prepared snapshot. */
  get #fresh(): readonly PlacedMember[] {
    if (this.#prepared === null) return [];
    const served = new Set(this.#served.members);
    return this.#prepared.members.filter((one) => !served.has(one));
  }

  /** The servers of these names that are in force. */
  membersOf(names: readonly string[]): readonly PlacedMember[] {
    const { snapshot, members } = this.#served;
    const places = placesByName(snapshot.servers);
    return names.flatMap((name) => members[places.get(name) ?? -1] ?? []);
  }

  /** The same, and those that are being made or ended. */
  allMembersOf(names: readonly string[]): readonly PlacedMember[] {
    const wanted = new Set(names);
    const others = this.#otherMembers.filter(({ spec }) => wanted.has(spec.name));
    return [...this.membersOf(names), ...others];
  }

  /** The upstream of a server as other workers reach it, prepared and left-out ones included: not all workers change at the same moment. */
  local(name: string): Upstream | null {
    const all = [this.#served, this.#prepared, ...this.#leftOut.values()];
    return all.find((one) => one?.locals.has(name))?.locals.get(name) ?? null;
  }

  /** The same for the server as its clients see it. */
  bridged(name: string): Upstream | null {
    return this.allMembers.find(({ spec }) => spec.name === name)?.upstream ?? null;
  }

  // ── from one snapshot to the next ────────────────────────────────────────────────────────────────────────────────

  prepare(snapshot: Snapshot, table: SharedArrayBuffer): void {
    this.discard();
    this.#prepared = this.#make(snapshot, table, this.#served);
  }

  discard(): void {
    const fresh = this.#fresh;
    this.#prepared = null;
    for (const { upstream } of fresh) void upstream.close(0);
  }

  /** Puts what was prepared in force; null when there is nothing. */
  commit(): LeftOut | null {
    const before = this.#served;
    const next = this.#prepared;
    if (next === null) return null;
    this.#prepared = null;
    this.#served = next;
    this.#bound(next.snapshot);
    if (hasRules(before.snapshot) || hasRules(next.snapshot))
      for (const [index, { policies }] of next.members.entries())
        policies.adopt(endpointRules(this.#parts.upstreams, next.snapshot, index));
    for (const { target, members, routes, view, isSame } of next.regrouped) {
      if (isSame) target.reroute(routes);
      else target.regroup(members, routes, view);
    }
    this.#callRoll();
    const leftOut = leftOutBy(before, next);
    this.#leftOut.set(leftOut.epoch, leftOut);
    return leftOut;
  }

  #callRoll(): void {
    const { snapshot, members } = this.#served;
    this.#rollCall.use(
      snapshot,
      members.map(({ bare }) => bare),
    );
  }

  /** Ends what a snapshot has left out; `closeMs` bounds it. Returns the paths that lead nowhere any more. */
  async retire(epoch: number, closeMs: number): Promise<string[]> {
    const leftOut = this.#leftOut.get(epoch);
    if (leftOut === undefined) return [];
    const gone = new Set(leftOut.members);
    for (const target of leftOut.regrouped) target.release(gone);
    for (const target of leftOut.targets.values()) target.close();
    await Promise.all(leftOut.members.map(({ upstream }) => upstream.close(closeMs)));
    this.#leftOut.delete(epoch);
    const { targets } = this;
    return [...leftOut.targets.keys()].filter((path) => !targets.has(path));
  }

  #bound({ front }: Snapshot): void {
    this.#listBounds.pageSize = front.pageSize ?? LIMITS.pageSize;
    this.#listBounds.listGraceMs = front.listGraceMs ?? LIMITS.listGraceMs;
  }

  // ── one snapshot ─────────────────────────────────────────────────────────────────────────────────────────────────

  #make(snapshot: Snapshot, table: SharedArrayBuffer, before: Served | null): Served {
    const { upstreams, handles } = this.#parts;
    const locals = new Map<string, Upstream>();
    const parts: UpstreamParts = { ...upstreams, onLocal: (name, upstream) => locals.set(name, upstream) };
    const tools = { handles, parking: this.#parking };
    const members = createMembers(parts, snapshot, tools, before);
    if (before !== null && before.locals.size > 0) {
      const placeOf = placesByName(snapshot.servers);
      const stayed = new Set(before.members);
      for (const [name, local] of before.locals) {
        const member = members[placeOf.get(name) ?? -1];
        if (member !== undefined && stayed.has(member)) locals.set(name, local);
      }
    }
    const routes = new Routes(upstreams.scanner, table);
    const regrouped: Served['regrouped'][number][] = [];
    const targets = new Map<string, Target>();
    for (const [index, endpoint] of snapshot.endpoints.entries()) {
      const { path, prefixed } = endpoint;
      const had = before?.targets.get(path);
      const only = prefixed || endpoint.view !== undefined ? undefined : onlyMember(endpoint, members);
      if (only !== undefined) {
        const isSame = had instanceof Single && had.member === only;
        targets.set(path, isSame ? had : this.#single(only));
        continue;
      }
      const own = endpoint.members.flatMap((at) => members[at] ?? []);
      const view = endpoint.view === undefined ? null : new View(endpoint.view, own.length === 1);
      const face = { routes: routes.endpoint(index), view, path };
      if (had instanceof Aggregate)
        regrouped.push({ target: had, members: own, ...face, isSame: isSameEndpoint(endpoint, own, before) });
      targets.set(path, had instanceof Aggregate ? had : this.#aggregate(own, face, snapshot));
    }
    return { snapshot, members, targets, locals, regrouped };
  }

  #single(member: PlacedMember): Single {
    const { upstreams, spare, handles } = this.#parts;
    return new Single(member, upstreams.scanner, spare, handles);
  }

  #aggregate(
    members: readonly PlacedMember[],
    face: { routes: EndpointRoutes; view: View | null; path: string },
    { front }: Snapshot,
  ): Aggregate {
    const { upstreams, handles } = this.#parts;
    const { scanner, runtime, log } = upstreams;
    const { sessionsMax, sessionIdleMs, memberTimeoutMs } = front;
    const tools: SessionTools = {
      scanner,
      log,
      ...{ clock: runtime.clock, random: runtime.random },
      ...{ sessionsMax, sessionIdleMs, memberTimeoutMs },
    };
    const memory = this.#lists;
    return new Aggregate(members, tools, SELF, {
      ...face,
      memory,
      listBounds: this.#listBounds,
      sealSession: handles.here,
    });
  }
}

/** The one server that an endpoint has; undefined when it has several. */
function onlyMember(
  { members: own }: EndpointSpec,
  members: readonly PlacedMember[],
): PlacedMember | undefined {
  return own.length === 1 ? members[own[0] ?? -1] : undefined;
}
