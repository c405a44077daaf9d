// One member server's part of a legacy session of an aggregated endpoint.
// Called by session.ts, session-stream.ts, questions.ts and proxy/aggregate-legacy.ts. Promises: plain state; only its session changes it.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { isRecord, objectAt, span } from '../mcp/envelope.ts';
import { isSafeToken } from '../mcp/headers.ts';
import { isObject, stringMember } from '../mcp/json.ts';
import { LEGACY_VERSIONS, METHOD } from '../mcp/protocol.ts';
import type { SessionNotes } from '../mcp/session-notes.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Collected } from './collect.ts';
import type { Member } from './member.ts';

/** Result of an initialize, parsed. */
export type InitializeResult = Readonly<Record<string, unknown>>;

/** Stands for a result that has not come, or that nobody needs any more. */
export const NO_RESULT: InitializeResult = Object.freeze({});

/** A server's event stream that is read. */
interface OpenStream {
  /** Id of the last event, here or on the stream that it goes on from; null when there was none. */
  readonly place: string | null;
  /** Lets go of it, without a word of it afterwards. */
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
  /** What the client set at its server alone; null when that is nothing. */
  notes: SessionNotes | null;
  /** Its event stream while the client listens to the session's, or null. */
  stream: OpenStream | null;
  fault: GatewayError | null;
  /** Its server is up, and did not let the client in. */
  isRefused: boolean;
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
    notes: null,
    stream: null,
    fault: null,
    isRefused: false,
    healing: null,
    retryAtMs: 0,
  };
}

/** Capability of a server that has such lists. */
export type ListCapability = 'tools' | 'prompts' | 'resources' | 'tasks';

const LIST_BITS: Readonly<Record<ListCapability, number>> = Object.freeze({
  tools: 1,
  prompts: 2,
  resources: 4,
  tasks: 8,
});

/** Takes the result of a leg's initialize. */
function takeResult(leg: Leg, result: InitializeResult): void {
  const { capabilities } = result;
  leg.result = result;
  leg.lists = 0;
  if (!isRecord(capabilities)) return;
  for (const [name, bit] of Object.entries(LIST_BITS)) if (capabilities[name] !== undefined) leg.lists |= bit;
}

/** Reads a server's answer to initialize into its leg; returns what is wrong with it, or null. */
export function takeInitialize(leg: Leg, { message, status, sessionId }: Collected): GatewayError | null {
  const at = message === null ? null : span(message.envelope, ENVELOPE.result);
  if (message === null || at === null || !isObject(message.bytes, at.start)) {
    const what = message === null ? 'no message' : 'no result';
    return new GatewayError('GW_UPSTREAM_MESSAGE', `initialize was answered with HTTP ${status} and ${what}`);
  }
  const version = stringMember(message.bytes, at.start, 'protocolVersion');
  if (version !== null && !isSafeToken(version))
    return new GatewayError(
      'GW_UPSTREAM_MESSAGE',
      'initialize was answered with a malformed protocolVersion',
    );
  takeResult(leg, objectAt(message.bytes, message.envelope, ENVELOPE.result));
  leg.sessionId = sessionId;
  // Sessions are many and versions few: the text is kept once.
  leg.protocolVersion = LEGACY_VERSIONS.find((known) => known === version) ?? version;
  return null;
}

/** True when a leg's server declared such lists. */
export function declares(leg: Leg, capability: ListCapability): boolean {
  return (leg.lists & LIST_BITS[capability]) !== 0;
}

/** Notifications that lists of these capabilities (as Leg.lists) have changed. */
export function listChanges(lists: number): readonly Uint8Array[] {
  const methods = [
    [LIST_BITS.tools, METHOD.toolsChanged],
    [LIST_BITS.prompts, METHOD.promptsChanged],
    [LIST_BITS.resources, METHOD.resourcesChanged],
  ] as const;
  return methods.flatMap(([bit, method]) =>
    (lists & bit) === 0 ? [] : [encode(JSON.stringify({ jsonrpc: '2.0', method }))],
  );
}
