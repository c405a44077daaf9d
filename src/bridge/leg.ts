// One member server's part of a legacy session of an aggregated endpoint.
// Called by session.ts, session-stream.ts, questions.ts and proxy/aggregate-legacy.ts. Promises: plain state; only its session changes it.
import type { GatewayError } from '../base/errors.ts';
import { isRecord } from '../mcp/envelope.ts';
import type { Member } from './member.ts';

/** Result of an initialize, parsed. */
export type InitializeResult = Readonly<Record<string, unknown>>;

/** Stands for a result that has not come, or that nobody needs any more. */
export const NO_RESULT: InitializeResult = Object.freeze({});

/** What is under way and can be stopped, without a word of it afterwards. */
interface Stoppable {
  stop(): void;
}

/** One member server's part of a session. */
export interface Leg {
  readonly member: Member;
  readonly index: number;
  /** Set once its initialize succeeded. */
  ready: boolean;
  sessionId: string | null;
  protocolVersion: string | null;
  /** Result of its initialize, while the client's own is not answered; NO_RESULT before and after. */
  result: InitializeResult;
  /** Capabilities with lists that its server declared, a bit each; all that is needed of the result later on. */
  lists: number;
  /** Its event stream while the client listens to the session's, or null. */
  stream: Stoppable | null;
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
    result: NO_RESULT,
    lists: 0,
    stream: null,
    fault: null,
    healing: null,
    retryAtMs: 0,
  };
}

/** Capability of a server that has such lists. */
export type ListCapability = 'tools' | 'prompts' | 'resources';

const LIST_BITS: Readonly<Record<ListCapability, number>> = Object.freeze({
  tools: 1,
  prompts: 2,
  resources: 4,
});

/** Takes the result of a leg's initialize. */
export function takeResult(leg: Leg, result: InitializeResult): void {
  const { capabilities } = result;
  leg.result = result;
  leg.lists = 0;
  if (!isRecord(capabilities)) return;
  for (const [name, bit] of Object.entries(LIST_BITS)) if (capabilities[name] !== undefined) leg.lists |= bit;
}

/** True when a leg's server declared such lists. */
export function declares(leg: Leg, capability: ListCapability): boolean {
  return (leg.lists & LIST_BITS[capability]) !== 0;
}
