// The servers of a data plane, each made for clients of both eras.
// Called by worker.ts. Promises: in the snapshot's order; nothing is connected or started before the first request.
import { createBridged } from '../bridge/bridged.ts';
import type { Handles } from '../bridge/handles.ts';
import { withHealing } from '../bridge/healing.ts';
import { createLegacyFace } from '../bridge/legacy-to-modern/face.ts';
import type { Member } from '../bridge/member.ts';
import type { LegacyCall } from '../bridge/modern-to-legacy/call.ts';
import { createModernFace, type ModernFaceParts } from '../bridge/modern-to-legacy/face.ts';
import { Parking } from '../bridge/modern-to-legacy/park.ts';
import type { Snapshot } from '../snapshot.ts';
import { createUpstream, type UpstreamParts } from '../upstream/create.ts';
import { sendToHome } from '../upstream/peer.ts';
import type { PeerLink } from '../upstream/peer-link.ts';

/** Makes every server of a snapshot; `handles` seals what clients are to bring back. */
export function createMembers(parts: UpstreamParts, snapshot: Snapshot, handles: Handles): readonly Member[] {
  const { sessionsMax, sessionIdleMs, memberTimeoutMs } = snapshot.front;
  const { clock, random } = parts.runtime;
  const parking = new Parking<LegacyCall>(clock, random, snapshot.front);
  let further = snapshot.servers.length;
  return snapshot.servers.map((spec, index) => {
    const cells = { server: index, further };
    further += spec.replicas?.length ?? 0;
    const { scanner, link } = parts;
    const log = parts.log.with({ server: spec.name });
    const inner = createUpstream(parts, spec, cells);
    const timeoutMs = memberTimeoutMs;
    // A process keeps its own sessions; a face sees to those that it has at the server.
    const healing =
      spec.target.kind === 'http' ? withHealing({ inner, scanner, clock, log, link, timeoutMs }) : inner;
    const upstream = createBridged({
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
    return { spec, upstream };
  });
}

/** The way to a call that waits in another worker. */
function awayOf(server: string, link: PeerLink | null): ModernFaceParts['away'] {
  if (link === null) return null;
  return (home, request, sink) => sendToHome(link, home, { server, request }, sink);
}
