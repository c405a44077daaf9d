// One member server's part of a legacy session of an aggregated endpoint.
// Called by session.ts, session-stream.ts, questions.ts and proxy/aggregate-legacy.ts. Promises: plain state; only its session changes it.
import type { GatewayError } from '../base/errors.ts';
import type { Member } from './member.ts';

/** One member server's part of a session. */
export interface Leg {
  readonly member: Member;
  readonly index: number;
  /** Set once its initialize succeeded. */
  ready: boolean;
  sessionId: string | null;
  protocolVersion: string | null;
  /** Result of its initialize, parsed; {} until then. */
  result: Readonly<Record<string, unknown>>;
  fault: GatewayError | null;
  /** Running heal, shared by everyone who found the leg's session lost. */
  healing: Promise<GatewayError | null> | null;
  /** Time before which a leg that is down is not tried again for a list: attempts take at most half of the time. */
  retryAtMs: number;
}

/** A leg that has not been opened yet. */
export function newLeg(member: Member, index: number): Leg {
  return {
    member,
    index,
    ready: false,
    sessionId: null,
    protocolVersion: null,
    result: {},
    fault: null,
    healing: null,
    retryAtMs: 0,
  };
}
