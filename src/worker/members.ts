// The servers of a data plane, each made for clients of both eras.
// Called by worker.ts. Promises: in the snapshot's order; nothing is connected or started before the first request.
import { createBridged } from '../bridge/bridged.ts';
import { createLegacyFace } from '../bridge/legacy-to-modern/face.ts';
import type { Member } from '../bridge/member.ts';
import { createModernFace } from '../bridge/modern-to-legacy/face.ts';
import type { Snapshot } from '../snapshot.ts';
import { createUpstream, type UpstreamParts } from '../upstream/create.ts';

/** Makes every server of a snapshot. */
export function createMembers(parts: UpstreamParts, snapshot: Snapshot): readonly Member[] {
  const { sessionsMax, sessionIdleMs } = snapshot.front;
  const { clock, random } = parts.runtime;
  return snapshot.servers.map((spec, index) => {
    const upstream = createBridged({
      spec,
      inner: createUpstream(parts, spec, index),
      scanner: parts.scanner,
      clock,
      random,
      log: parts.log.with({ server: spec.name }),
      bounds: { sessionsMax, sessionIdleMs },
      modernFace: createModernFace,
      legacyFace: createLegacyFace,
    });
    return { spec, upstream };
  });
}
