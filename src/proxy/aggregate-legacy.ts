// The legacy face of an aggregate: one client session over one session at each member.
// Called by aggregate.ts. Promises: a lost session of a member is healed once for all who wait, and a call is sent again only when its server said that
// it did not take it; a member that was down is tried again, without keeping the others waiting longer than the bound.
import { type Edit, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { AskScope } from '../bridge/collect.ts';
import type { Leg } from '../bridge/leg.ts';
import { ask, type Member, postRequest } from '../bridge/member.ts';
import { isSessionLost, type Session, type SessionTools } from '../bridge/session.ts';
import { SessionTable } from '../bridge/sessions.ts';
import type { Exchange } from '../exchange.ts';
import { type Message, rawKey } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import type { MemberPages, SelfInfo } from '../mcp/merge.ts';
import { LEGACY_VERSIONS, METHOD } from '../mcp/protocol.ts';
import { type ListShape, listShape } from '../mcp/rewrite.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { answerEmpty, bareFault, initializeResult, legHeaders, offers } from './legacy-answers.ts';
import { openStream } from './legacy-streams.ts';
import { answerList, cursorFault, followPages, messageIn } from './lists.ts';
import { MemberRelay } from './member-relay.ts';
import { type Routed, type RoutedMembers, routeCall } from './routing.ts';
import { type AggregateFace, draftOf, guard, refuseVersion, scopeOf } from './target.ts';

/** A call on its way to a leg. */
interface LegCall {
  readonly leg: Leg;
  readonly routed: Routed;
  readonly mayHeal: boolean;
}

/** Serves legacy sessions over all members. */
export class LegacyAggregate {
  readonly #members: readonly Member[];
  readonly #routed: RoutedMembers;
  readonly #tools: SessionTools;
  readonly #self: SelfInfo;
  readonly #sealSession: AggregateFace['sealSession'];
  readonly #table: SessionTable;

  constructor(members: readonly Member[], tools: SessionTools, self: SelfInfo, face: AggregateFace) {
    this.#members = members;
    this.#routed = { names: members.map((member) => member.spec.name), routes: face.routes };
    this.#tools = tools;
    this.#self = self;
    this.#sealSession = face.sealSession;
    this.#table = new SessionTable(tools);
  }

  get sessions(): number {
    return this.#table.size;
  }

  sweep(): void {
    this.#table.sweep();
  }

  close(): void {
    this.#table.close();
  }

  post(exchange: Exchange): void {
    const { method, kind } = exchange;
    if (kind === KIND.request && method === METHOD.initialize)
      return guard(exchange, this.#initialize(exchange));
    const version = exchange.headers.protocolVersion;
    if (version !== null && !LEGACY_VERSIONS.includes(version))
      return refuseVersion(exchange, version, LEGACY_VERSIONS);
    const session = this.#table.find(exchange.session);
    const isPing = kind === KIND.request && method === METHOD.ping;
    // Before its session a client may ping, and nothing else.
    if (isPing && session !== 'GW_SESSION_UNKNOWN') return answerEmpty(exchange);
    if (typeof session === 'string') return exchange.refuse(new GatewayError(session));
    if (kind === KIND.request) return this.#request(exchange, session);
    tell(exchange, session);
    exchange.reply(202, {}, null);
  }

  stream(exchange: Exchange): void {
    const session = this.#table.find(exchange.session);
    if (typeof session === 'string') exchange.refuse(bareFault(exchange, session));
    else openStream(exchange, session, this.#tools);
  }

  end(exchange: Exchange): void {
    const session = this.#table.find(exchange.session);
    if (typeof session === 'string') return exchange.refuse(bareFault(exchange, session));
    this.#table.end(session);
    exchange.reply(200, {}, null);
  }

  async #initialize(exchange: Exchange): Promise<void> {
    const id = exchange.requestId;
    const session = this.#table.open(this.#members, {
      initialize: exchange.body,
      headers: legHeaders(exchange),
      client: exchange.client,
    });
    if (session instanceof GatewayError) return exchange.refuse(session);
    let isTaken = false;
    try {
      const faults = await Promise.all(session.legs.map((leg) => session.openLeg(leg)));
      // What is over has nobody left who could learn the session's id.
      isTaken = id !== null && !exchange.over && session.legs.some((leg) => leg.ready);
      if (id === null || !isTaken) return exchange.refuse(nobodyReady(faults));
      const result = encode(JSON.stringify(initializeResult(exchange, session, this.#self)));
      exchange.carry({ 'mcp-session-id': this.#sealSession(exchange, session.id) });
      exchange.replyJson(200, resultMessage(id, result));
    } finally {
      if (!isTaken) this.#table.end(session);
      session.forgetResults();
    }
  }

  #request(exchange: Exchange, session: Session): void {
    const shape = listShape(exchange.method);
    if (shape !== null) return guard(exchange, this.#list(exchange, shape, session));
    if (exchange.method === METHOD.setLevel) {
      session.setLevel(draftOf(exchange));
      return answerEmpty(exchange);
    }
    const routed = routeCall(exchange, this.#routed);
    // A legacy client takes any other status than 200 for a broken transport.
    if (routed instanceof GatewayError) return exchange.refuse(routed, {}, 200);
    const leg = session.legs[routed.index];
    if (leg === undefined) exchange.refuse(new GatewayError('GW_BASE_INTERNAL', 'a route names no member'));
    else if (leg.ready) this.#call(exchange, session, { leg, routed, mayHeal: leg.sessionId !== null });
    else guard(exchange, this.#callAfterHeal(exchange, session, leg, routed));
  }

  async #list(exchange: Exchange, shape: ListShape, session: Session): Promise<void> {
    const fault = cursorFault(exchange);
    if (fault !== null) return exchange.refuse(fault);
    const scope = scopeOf(exchange);
    const lists = await Promise.all(
      session.legs.map((leg) => this.#listOf({ exchange, session, leg, scope }, shape)),
    );
    answerList(exchange, lists, shape, null);
  }

  /** One member's part of a list; a member that was down gets another chance first. */
  async #listOf(
    at: { exchange: Exchange; session: Session; leg: Leg; scope: AskScope },
    shape: ListShape,
  ): Promise<MemberPages> {
    const { exchange, session, leg } = at;
    const { clock, memberTimeoutMs } = this.#tools;
    const server = leg.member.spec.name;
    if (!leg.ready && (leg.healing !== null || clock.now() >= leg.retryAtMs))
      await session.heal(leg, leg.sessionId);
    if (!leg.ready) return { server, pages: [], fault: leg.fault?.message ?? 'it is not ready' };
    if (!offers(leg, shape)) return { server, pages: [], fault: null };
    return followPages(exchange, server, (edits, timeoutMs) => this.#ask(at, edits, timeoutMs), {
      clock,
      timeoutMs: memberTimeoutMs,
    });
  }

  async #ask(
    at: { exchange: Exchange; session: Session; leg: Leg; scope: AskScope },
    edits: readonly Edit[],
    timeoutMs: number,
  ): Promise<Message | GatewayError> {
    const { exchange, session, leg, scope } = at;
    const draft = { ...draftOf(exchange), edits };
    const onOther = (message: Message): void => session.stream.push(leg, message, null);
    const send = () => {
      const call = session.legCall(leg, exchange.id);
      return ask(this.#tools, leg.member, { call, draft }, { timeoutMs, scope, onOther });
    };
    const used = leg.sessionId;
    const reply = await send();
    if (used === null || !isSessionLost(reply)) return messageIn(reply);
    return (await session.heal(leg, used)) ?? messageIn(await send());
  }

  #call(exchange: Exchange, session: Session, call: LegCall): void {
    const { leg, routed } = call;
    const id = exchange.envelope === null ? null : rawKey(exchange.body, exchange.envelope, ENVELOPE.id);
    const ended = session.running.begin(id ?? '', leg, exchange.method);
    const over = (isAnswered: boolean): void => {
      ended(isAnswered);
      session.touch();
    };
    const used = leg.sessionId;
    const relay = new MemberRelay({
      exchange,
      scanner: this.#tools.scanner,
      server: leg.member.spec.name,
      toClient: (message) => session.toClient(leg, message),
      methodOf: () => exchange.method,
      onOver: over,
      onLost: call.mayHeal
        ? () => guard(exchange, this.#callAfterHeal(exchange, session, leg, routed, used))
        : null,
    });
    exchange.whenGone(() => over(false));
    const request = postRequest(session.legCall(leg, exchange.id), {
      ...draftOf(exchange),
      edits: routed.edits,
    });
    exchange.hold(leg.member.upstream.send(request, relay));
  }

  /** The server said that it does not know the session, so nothing was executed: initialize again, then send once more. */
  async #callAfterHeal(
    exchange: Exchange,
    session: Session,
    leg: Leg,
    routed: Routed,
    lost = leg.sessionId,
  ): Promise<void> {
    const fault = await session.heal(leg, lost);
    if (fault !== null) exchange.refuse(fault);
    else if (!exchange.over) this.#call(exchange, session, { leg, routed, mayHeal: false });
  }
}

function nobodyReady(faults: readonly (GatewayError | null)[]): GatewayError {
  return (
    faults.find((one) => one !== null) ??
    new GatewayError('GW_UPSTREAM_CONNECT', 'no server could be initialized')
  );
}

/** A notification or an answer of the client, on its way to the servers that it concerns. */
function tell(exchange: Exchange, session: Session): void {
  const draft = draftOf(exchange);
  if (draft.envelope === null) return;
  if (exchange.kind !== KIND.notification) session.answer(draft.body, draft.envelope);
  else if (exchange.method === METHOD.initialized) session.initialized(draft);
  else if (exchange.method === METHOD.cancelled) session.cancel(draft);
  else if (exchange.method === METHOD.progress) session.progress(draft);
  else session.tellAll(draft);
}
