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
import { withCache } from '../policy/cache.ts';
import { withMirror } from '../policy/mirror.ts';
import { withPolicies } from '../policy/policies.ts';
import type { Snapshot } from '../snapshot.ts';
import { createUpstream, type UpstreamParts } from '../upstream/create.ts';
import { sendToHome } from '../upstream/peer.ts';
import type { PeerLink } from '../upstream/peer-link.ts';
import { createShadow } from '../upstream/shadow.ts';
import { cellsInOrder, type ServerSpec } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** A server, and the cell by which all workers know it. */
export interface PlacedMember extends Member {
  readonly cell: number;
}

/** What members are made with besides: `handles` seals what clients are to bring back, `parking` is one for all snapshots. */
export interface MemberTools {
  readonly handles: Handles;
  readonly parking: Parking<LegacyCall>;
}

/** Makes every server of a snapshot that is not among `former`. */
export function createMembers(
  parts: UpstreamParts,
  snapshot: Snapshot,
  { handles, parking }: MemberTools,
  former: readonly PlacedMember[] = [],
): readonly PlacedMember[] {
  const { sessionsMax, sessionIdleMs, memberTimeoutMs } = snapshot.front;
  const { clock, random } = parts.runtime;
  const places = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
  return snapshot.servers.map((spec, index) => {
    const cells = must(places[index], 'cells of a server');
    const cell = must(cells[0], 'a cell of a server');
    const before = former.find((one) => one.cell === cell && one.spec.name === spec.name);
    if (before !== undefined) return before;
    const { scanner, link } = parts;
    const log = parts.log.with({ server: spec.name });
    const inner = createUpstream(parts, spec, cells);
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
      bounds: { sessionsMax, sessionIdleMs },
      modernFace: (face) =>
        createModernFace({ ...face, parking, sealer: handles, away: awayOf(spec.name, link) }),
      legacyFace: createLegacyFace,
    });
    const calls = (): CallCell => new CallCell(parts.memory, cell, parts.worker);
    const guarded = withPolicies(bridged, { spec, clock, random, scanner, log, cell: calls });
    const watched = mirrored(parts, spec, guarded);
    const upstream = withCache(watched, { spec, scanner, clock, random });
    return { spec, upstream, cell };
  });
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
