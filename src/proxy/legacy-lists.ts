// The list of one leg of a legacy session.
// Called by aggregate-legacy.ts. Promises: within the bound, healing included; a leg that was down gets another chance first; a list is asked for again only when its
// server did not know the session.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { AskScope, Collected } from '../bridge/collect.ts';
import type { Leg } from '../bridge/leg.ts';
import { ask, type Draft } from '../bridge/member.ts';
import type { Session, SessionTools } from '../bridge/session.ts';
import type { Message } from '../mcp/envelope.ts';
import type { MemberPages } from '../mcp/merge.ts';
import { offers } from './legacy-answers.ts';
import { outcomeOf } from './legacy-opening.ts';
import type { ListQuestion } from './list-asker.ts';
import { followPages, within } from './lists.ts';

/** A leg that is asked for a list. */
export interface LegAsk {
  readonly exchangeId: string;
  readonly session: Session;
  readonly leg: Leg;
  readonly scope: AskScope;
}

/** One member's part of a list; a member that was down gets another chance first. */
export async function listOfLeg(
  tools: SessionTools,
  at: LegAsk,
  { draft, shape }: ListQuestion,
): Promise<MemberPages> {
  const { session, leg, exchangeId } = at;
  const { clock, memberTimeoutMs } = tools;
  const server = leg.member.spec.name;
  const endMs = clock.now() + memberTimeoutMs;
  const isTried = !leg.ready && (leg.healing !== null || clock.now() >= leg.retryAtMs);
  const late = (): GatewayError =>
    new GatewayError('GW_UPSTREAM_TIMEOUT', `not ready within ${memberTimeoutMs} ms`);
  const fault = isTried ? await within(clock, session.heal(leg, leg.sessionId), memberTimeoutMs, late) : null;
  if (!leg.ready && fault !== null) return outcomeOf(leg, leg.fault ?? fault);
  if (!leg.ready)
    return { server, pages: [], fault: leg.fault?.message ?? 'it is not ready', isOutage: !leg.isRefused };
  if (!offers(leg, shape)) return { server, pages: [], fault: null };
  const plan = { draft, exchangeId, server, clock, timeoutMs: Math.max(endMs - clock.now(), 1) };
  return followPages(plan, (edits, leftMs) => askLeg(tools, at, { ...draft, edits }, leftMs));
}

async function askLeg(
  tools: SessionTools,
  at: LegAsk,
  draft: Draft,
  timeoutMs: number,
): Promise<Collected | GatewayError> {
  const { exchangeId, session, leg, scope } = at;
  const onOther = (message: Message): void => session.stream.push(leg, message, null);
  const bounds = { timeoutMs, scope, onOther, bytesMax: LIMITS.listBytesMax };
  const send = () => ask(tools, leg.member, { call: session.legCall(leg, exchangeId), draft }, bounds);
  const used = leg.sessionId;
  const reply = await send();
  if (used === null || !isSessionLost(reply)) return reply;
  return (await session.heal(leg, used)) ?? (await send());
}

/** True when a server said that it does not know the session, so that it executed nothing. */
function isSessionLost(reply: Collected | GatewayError): boolean {
  return reply instanceof GatewayError ? reply.code === 'GW_SESSION_UNKNOWN' : reply.isSessionLost;
}
