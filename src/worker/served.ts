// What a data plane serves under one snapshot, and what is left of it when another one follows.
// Called by roster.ts. Promises: pure; what two snapshots share is the same objects in both.
import type { View } from '../mcp/view.ts';
import type { Aggregate } from '../proxy/aggregate.ts';
import type { Target } from '../proxy/target.ts';
import type { EndpointRoutes } from '../route/match.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { PlacedMember } from './members.ts';

/** What is served under one snapshot. */
export interface Served {
  readonly snapshot: Snapshot;
  readonly members: readonly PlacedMember[];
  readonly targets: ReadonlyMap<string, Target>;
  /** Upstreams in this very worker, by their servers' names, that others reach over the link. */
  readonly locals: ReadonlyMap<string, Upstream>;
  /** Aggregates that go on, with what they are to serve from then on. */
  readonly regrouped: readonly {
    target: Aggregate;
    members: readonly PlacedMember[];
    routes: EndpointRoutes;
    view: View | null;
    /** True when it is the same to its clients as it was. */
    isSame: boolean;
  }[];
}

/** What one snapshot has left out. */
export interface LeftOut {
  readonly epoch: number;
  readonly members: readonly PlacedMember[];
  readonly targets: ReadonlyMap<string, Target>;
  /** As Served.locals. */
  readonly locals: ReadonlyMap<string, Upstream>;
  /** Paths whose event streams must end, since what they are of does not serve there any more. */
  readonly closing: ReadonlySet<string>;
  /** Paths whose calls may still need something of this: the closing ones, and aggregates that have lost a member. */
  readonly needing: ReadonlySet<string>;
  /** Aggregates that have lost a member. */
  readonly regrouped: readonly Aggregate[];
}

/** True when an endpoint has the members that it had, in their order, and shows the same of them. */
export function isSameEndpoint(
  { path, prefixed, view }: EndpointSpec,
  own: readonly PlacedMember[],
  before: Served | null,
): boolean {
  const former = before?.snapshot.endpoints.find((one) => one.path === path);
  if (before === null || former === undefined || former.prefixed !== prefixed) return false;
  const had = former.members.map((at) => before.members[at]);
  const isSameView = JSON.stringify(former.view) === JSON.stringify(view);
  return isSameView && had.length === own.length && had.every((member, at) => member === own[at]);
}

/** What is left out when the one follows the other. */
export function leftOutBy(before: Served, next: Served): LeftOut {
  const staying = new Set(next.members);
  const members = before.members.filter((one) => !staying.has(one));
  const targets = new Map<string, Target>();
  for (const [path, target] of before.targets)
    if (next.targets.get(path) !== target) targets.set(path, target);
  return {
    epoch: next.snapshot.epoch,
    members,
    targets,
    locals: before.locals,
    closing: new Set(targets.keys()),
    needing: new Set([...targets.keys(), ...pathsOver(before, new Set(members))]),
    regrouped: next.regrouped.map(({ target }) => target),
  };
}

/** Paths that lead to one of these members. */
function pathsOver({ snapshot, members }: Served, some: ReadonlySet<PlacedMember>): readonly string[] {
  if (some.size === 0) return [];
  const isOver = ({ members: own }: EndpointSpec): boolean =>
    own.some((at) => {
      const member = members[at];
      return member !== undefined && some.has(member);
    });
  return snapshot.endpoints.filter(isOver).map(({ path }) => path);
}
