// How the legs of a legacy session begin, and how its client hears of a server that it had to do without.
// Called by aggregate-legacy.ts. Promises: no longer than the bound for all of them together; a server that is known to be silent is not waited for: its leg is opened in the
// background, or when it is next needed.
import type { GatewayError } from '../base/errors.ts';
import type { Leg } from '../bridge/leg.ts';
import type { Session } from '../bridge/session.ts';
import type { MemberPages } from '../mcp/merge.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { ListKey } from './list-memory.ts';
import { type Asking, type Silences, silentFault } from './silences.ts';

/** Opens every leg of a session that begins. A reload may put others in the place of some meanwhile: those are opened, too. */
export async function openAll(
  session: Session,
  silences: Silences,
  keyOf: (leg: Leg) => ListKey,
): Promise<void> {
  const opened = new Set<Leg>();
  for (;;) {
    const fresh = session.legs.filter((leg) => !opened.has(leg));
    if (fresh.length === 0) return;
    for (const leg of fresh) opened.add(leg);
    await Promise.all(fresh.map((leg) => open(session, leg, silences, keyOf(leg))));
  }
}

async function open(session: Session, leg: Leg, silences: Silences, key: ListKey): Promise<void> {
  const asking: Asking = {
    now: async () => outcomeOf(leg, await session.openLeg(leg)),
    again: async () => {
      const fault = leg.ready ? null : await session.heal(leg, leg.sessionId);
      return session.over ? null : outcomeOf(leg, fault);
    },
    back: backOf(session),
    isUnshared: true,
  };
  const outcome = await silences.ask({ member: leg.member, method: METHOD.initialize, key }, asking);
  if (!leg.ready) leg.fault ??= silentFault(outcome);
}

/** Tells a session's client that its lists have changed: a server is back, and is tried at once when they are asked for. */
export function backOf(session: Session): Asking['back'] {
  return {
    who: session,
    tell: () => {
      if (session.over) return;
      for (const leg of session.legs) if (!leg.ready) leg.retryAtMs = 0;
      session.stream.tellChanged(session.legs.reduce((all, { lists }) => all | lists, 0));
    },
  };
}

/** What came of opening a leg, as lists tell it. */
export function outcomeOf({ member, isRefused }: Leg, fault: GatewayError | null): MemberPages {
  const server = member.spec.name;
  if (fault === null) return { server, pages: [], fault: null };
  return { server, pages: [], fault: fault.message, isOutage: !isRefused, error: fault };
}
