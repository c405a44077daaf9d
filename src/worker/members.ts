// The servers of a data plane, each made for clients of both eras.
// Called by roster.ts. Promises: in the snapshot's order; nothing is connected or started before the first request, but for probes of replicas; what a server was made into before serves on
// as long as its own cell is the same.
import { must } from '../base/assert.ts';
import { createBridged } from '../bridge/bridged.ts';
import type { Handles } from '../bridge/handles.ts';
import { withHealing } from '../bridge/healing.ts';
import { createLegacyFace } from '../bridge/legacy-to-modern/face.ts';
import type { Member } from '../bridge/member.ts';
import type { LegacyCall } from '../bridge/modern-to-legacy/call.ts';
import { createModernFace, type ModernFaceParts } from '../bridge/modern-to-legacy/face.ts';
import type { Parking } from '../bridge/modern-to-legacy/park.ts';
import { CallCell } from '../memory/call-cell.ts';
import { Ledger } from '../observe/ledger.ts';
import { withCache } from '../policy/cache.ts';
import { EndpointPolicies, type RulesByPath } from '../policy/endpoint-policies.ts';
import { withMirror } from '../policy/mirror.ts';
import { ToolNotes } from '../policy/tool-notes.ts';
import { withTracing } from '../policy/trace.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import { createUpstream, type UpstreamParts } from '../upstream/create.ts';
import { sendToHome } from '../upstream/peer.ts';
import type { PeerLink } from '../upstream/peer-link.ts';
import { createShadow } from '../upstream/shadow.ts';
import { cellsInOrder, placesByName, type ServerSpec } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** A server, and the cell by which all workers know it. */
export interface PlacedMember extends Member {
  readonly cell: number;
  /** The same without policies and kept answers. */
  readonly bare: Upstream;
  /** What it tells of itself when somebody looks. */
  readonly ledger: Ledger;
  /** What its endpoints say of their calls. */
  readonly policies: Pick<EndpointPolicies, 'adopt'>;
}

/** What members are made with besides: `handles` seals what clients are to bring back, `parking` is one for all snapshots. */
export interface MemberTools {
  readonly handles: Handles;
  readonly parking: Parking<LegacyCall>;
}

/** Makes every server of a snapshot that is not among those of the one before, if there is one. */
export function createMembers(
  parts: UpstreamParts,
  snapshot: Snapshot,
  { handles, parking }: MemberTools,
  before: { readonly snapshot: Snapshot; readonly members: readonly PlacedMember[] } | null,
): readonly PlacedMember[] {
  const { sessionsMax, sessionIdleMs, memberTimeoutMs } = snapshot.front;
  const { clock, random } = parts.runtime;
  const places = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
  const formerAt = before === null ? null : placesByName(before.snapshot.servers);
  return snapshot.servers.map((spec, index) => {
    const cells = must(places[index], 'cells of a server');
    const cell = must(cells[0], 'a cell of a server');
    const had = before?.members[formerAt?.get(spec.name) ?? -1];
    if (had?.cell === cell) return had;
    const { scanner, link } = parts;
    const log = parts.log.with({ server: spec.name });
    const ledger = new Ledger(() => clock.wall());
    const transport = createUpstream({ ...parts, ledger }, spec, cells);
    const inner = snapshot.tracing === undefined ? transport : withTracing(transport, { spec, scanner });
    const timeoutMs = memberTimeoutMs;
    // A process that belongs to a session heals it; a face sees to the sessions that it has at the server.
    const { target } = spec;
    const isShared = target.kind === 'http' || target.keep.sharing === 'shared';
    const healing = isShared ? withHealing({ inner, scanner, clock, log, link, timeoutMs }) : inner;
    const bridged = createBridged({
      spec,
      inner: healing,
      plain: inner,
      scanner,
      clock,
      random,
      log,
      ledger,
      bounds: { sessionsMax, sessionIdleMs },
      modernFace: (face) =>
        createModernFace({ ...face, parking, sealer: handles, away: awayOf(spec.name, link) }),
      legacyFace: createLegacyFace,
    });
    const calls = (): CallCell => new CallCell(parts.memory, cell, parts.worker);
    const notes = new ToolNotes(spec.forwardHeaders.length > 0);
    const policies = new EndpointPolicies(bridged, { spec, clock, random, scanner, log, notes, cell: calls });
    policies.adopt(endpointRules(parts, snapshot, index));
    const watched = mirrored(parts, spec, policies);
    const cachingOf = (path: string): boolean | null => policies.cachingOf(path);
    const upstream = withCache(watched, { spec, scanner, clock, random, ledger, cachingOf });
    return { spec, upstream, bare: bridged, cell, ledger, policies };
  });
}

/** What the endpoints of a snapshot say of their calls to one of its servers. */
export function endpointRules(
  { memory, worker }: Pick<UpstreamParts, 'memory' | 'worker'>,
  snapshot: Snapshot,
  server: number,
): RulesByPath {
  const { places } = snapshot;
  return new Map(
    ruledOf(snapshot).flatMap(({ endpoint: { name, path, members, policy }, index }) => {
      if (policy === undefined || !members.includes(server)) return [];
      const slot = places?.endpoints[index] ?? index;
      const cell = (): CallCell => new CallCell(memory, slot, worker, 'endpoint');
      return [[path, { name, policy, cell }] as const];
    }),
  );
}

/** True when endpoints of a snapshot say something of their calls. */
export function hasRules(snapshot: Snapshot): boolean {
  return ruledOf(snapshot).length > 0;
}

/** Endpoints that have rules, with their places: few of what may be thousands, and every server asks. */
type Ruled = readonly { readonly endpoint: EndpointSpec; readonly index: number }[];

const ruledBy = new WeakMap<Snapshot, Ruled>();

function ruledOf(snapshot: Snapshot): Ruled {
  const known = ruledBy.get(snapshot);
  if (known !== undefined) return known;
  const ruled = snapshot.endpoints
    .map((endpoint, index) => ({ endpoint, index }))
    .filter(({ endpoint }) => endpoint.policy !== undefined);
  ruledBy.set(snapshot, ruled);
  return ruled;
}

/** With copies of requests to another place, if there is to be one. */
function mirrored({ runtime, scanner, log }: UpstreamParts, spec: ServerSpec, server: Upstream): Upstream {
  const { mirror } = spec;
  if (mirror === undefined) return server;
  const shadow = createShadow({ runtime, scanner, spec, log }, mirror);
  return withMirror(server, { spec, settings: mirror, shadow, random: runtime.random, scanner });
}

/** The way to a call that waits in another worker. */
function awayOf(server: string, link: PeerLink | null): ModernFaceParts['away'] {
  if (link === null) return null;
  return (home, request, sink) => sendToHome(link, home, { server, request }, sink);
}
