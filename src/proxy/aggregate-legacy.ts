// The legacy face of an aggregate: one client session over one session at each member.
// Called by aggregate.ts. Promises: a lost session of a member is healed once for all who wait, and a call is sent again only when its server said that
// it did not take it; a member that was down is tried again, without keeping the others waiting longer than the bound.
import { must } from '../base/assert.ts';
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { AskScope } from '../bridge/collect.ts';
import type { Leg } from '../bridge/leg.ts';
import { type Draft, type Member, postRequest } from '../bridge/member.ts';
import type { Session, SessionTools } from '../bridge/session.ts';
import { SessionTable } from '../bridge/sessions.ts';
import type { Exchange } from '../exchange.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { rawKey } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import type { MemberPages } from '../mcp/merge.ts';
import type { OwnName } from '../mcp/outward.ts';
import { LEGACY_VERSIONS, METHOD } from '../mcp/protocol.ts';
import { listShape } from '../mcp/rewrite.ts';
import { sessionNote, setsSession } from '../mcp/session-notes.ts';
import type { View } from '../mcp/view.ts';
import type { LiveSession } from '../observe/ledger.ts';
import { NO_SERVER } from '../observe/timing.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { DeclaredLately } from './declared.ts';
import { LIST_METHOD } from './joined-lists.ts';
import { answerEmpty, bareFault, initializeResult, legHeaders, nobodyReady } from './legacy-answers.ts';
import { listOfLeg } from './legacy-lists.ts';
import { backOf, openAll } from './legacy-opening.ts';
import { openStream } from './legacy-streams.ts';
import type { ListAsker, ListQuestion, NamedFor } from './list-asker.ts';
import { legacyListDraft } from './list-draft.ts';
import type { ListKey } from './list-memory.ts';
import { MemberRelay } from './member-relay.ts';
import {
  type NamedCall,
  type Routed,
  type RoutedMembers,
  routeCall,
  routedMembers,
  routeNamed,
} from './routing.ts';
import { draftOf, guard, type JoinedFace, refuseVersion, scopeOf } from './target.ts';

/** A call on its way to a leg. */
interface LegCall {
  readonly leg: Leg;
  readonly routed: Routed;
  readonly mayHeal: boolean;
}

/** Serves legacy sessions over all members. */
export class LegacyAggregate {
  #members: readonly Member[];
  #routed: RoutedMembers;
  readonly #tools: SessionTools;
  readonly #face: JoinedFace;
  readonly #table: SessionTable;
  readonly #declared: DeclaredLately;

  constructor(members: readonly Member[], tools: SessionTools, face: JoinedFace) {
    this.#members = members;
    this.#routed = routedMembers(members, face.routes, face.view);
    this.#tools = tools;
    this.#face = face;
    this.#table = new SessionTable(tools);
    this.#declared = new DeclaredLately(tools.clock);
  }

  get sessions(): number {
    return this.#table.size;
  }

  live(): LiveSession[] {
    return this.#table.all().map((session) => ({
      ...{ self: session, kind: 'joined', endpoint: this.#face.path },
      servers: session.legs.map((leg) => leg.member.spec.name),
      startedAtMs: session.startedAtMs,
      lastUsedAtMs: session.usedAtMs,
      running: session.running.open,
      end: () => this.#table.end(session),
    }));
  }

  reroute(routes: EndpointRoutes): void {
    this.#routed = { ...this.#routed, routes };
  }

  regroup(members: readonly Member[], routes: EndpointRoutes, view: View | null): void {
    this.#members = members;
    this.#routed = routedMembers(members, routes, view);
    for (const session of this.#table.all()) session.regroup(members);
  }

  release(members: ReadonlySet<Member>): void {
    for (const session of this.#table.all()) session.release(members);
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
    session.headers.show(exchange.headers.optional);
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
      optional: exchange.headers.optional,
      client: exchange.client,
    });
    if (session instanceof GatewayError) return exchange.refuse(session);
    let isTaken = false;
    try {
      const { clock } = this.#tools;
      exchange.sent(clock.now());
      const { silences } = this.#face.lists;
      await session.running.during(openAll(session, silences, (leg) => keyOf(exchange, session, leg)));
      exchange.replied(clock.now(), true);
      const lately = this.#declared.of(
        namedFor(exchange).partition,
        session.legs,
        this.#face.listBounds.listGraceMs,
      );
      // What is over has nobody left who could learn the session's id.
      isTaken = id !== null && !exchange.over && session.legs.some((leg) => leg.ready);
      if (id === null || !isTaken)
        return exchange.refuse(nobodyReady(session.legs.map(({ fault }) => fault)));
      const result = encode(JSON.stringify(initializeResult(exchange, session, this.#face.self, lately)));
      exchange.carry({ 'mcp-session-id': this.#face.sealSession(exchange, session.id) });
      exchange.replyJson(200, resultMessage(id, result));
    } finally {
      if (!isTaken) this.#table.end(session);
      session.forgetResults();
    }
  }

  #request(exchange: Exchange, session: Session): void {
    const shape = listShape(exchange.method, 'legacy');
    if (shape !== null) {
      const question = { method: exchange.method, shape, draft: draftOf(exchange) };
      const asker = this.#asker(exchange, session, scopeOf(exchange));
      return guard(exchange, session.running.during(this.#face.lists.answer(exchange, question, asker)));
    }
    if (exchange.method === METHOD.setLevel) {
      session.setLevel(draftOf(exchange));
      return answerEmpty(exchange);
    }
    const routed = routeCall(exchange, this.#routed);
    // A legacy client takes any other status than 200 for a broken transport.
    if (routed instanceof GatewayError) return exchange.refuse(routed, {}, 200);
    if ('name' in routed) this.#callNamed(exchange, session, routed);
    else this.#forward(exchange, session, routed);
  }

  #forward(exchange: Exchange, session: Session, routed: Routed): void {
    const leg = session.legs[routed.index];
    if (leg === undefined) exchange.refuse(new GatewayError('GW_BASE_INTERNAL', 'a route names no member'));
    else if (leg.ready) this.#call(exchange, session, { leg, routed, mayHeal: leg.sessionId !== null });
    else guard(exchange, session.running.during(this.#callAfterHeal(exchange, session, leg, routed)));
  }

  /** A name that only lists tell: what they have shown, or show now. */
  #callNamed(exchange: Exchange, session: Session, call: NamedCall): void {
    const method = LIST_METHOD[call.kind];
    // What is asked for here serves others as well: it does not end with this client.
    const ask = (): ListAsker & { draft: Draft } => ({
      ...this.#asker(exchange, session, new AskScope()),
      draft: legacyListDraft(this.#tools.scanner, method),
    });
    const go = (found: OwnName | null): void => {
      const routed = routeNamed(exchange, call, found, this.#routed);
      if (routed instanceof GatewayError) exchange.refuse(routed, {}, 200);
      else if (!exchange.over) this.#forward(exchange, session, routed);
    };
    guard(exchange, session.running.during(this.#face.lists.resolve(call, namedFor(exchange), ask, go)));
  }

  /** Asks the legs of a session for lists. */
  #asker(exchange: Exchange, session: Session, scope: AskScope): ListAsker {
    const { id: exchangeId } = exchange;
    const { legs } = session;
    // As the legs are asked now: the client may show others with its next request.
    const keys = legs.map((leg) => keyOf(exchange, session, leg));
    const list = (index: number, question: ListQuestion, within: AskScope): Promise<MemberPages> => {
      const leg = must(legs[index], 'a leg');
      return listOfLeg(this.#tools, { exchangeId, session, leg, scope: within }, question);
    };
    return {
      ...namedFor(exchange),
      back: backOf(session),
      keyOf: (index) => must(keys[index], 'a leg'),
      list: (index, question) => list(index, question, scope),
      listAgain: async (index, question) => (session.over ? null : list(index, question, new AskScope())),
    };
  }

  #call(exchange: Exchange, session: Session, call: LegCall): void {
    const { leg, routed } = call;
    const id = exchange.envelope === null ? null : rawKey(exchange.body, exchange.envelope, ENVELOPE.id);
    const draft = { ...draftOf(exchange), edits: routed.edits };
    const note = setsSession(exchange.method) ? sessionNote(this.#tools.scanner, draft) : null;
    const ended = session.running.begin(id ?? '', leg, exchange.method);
    const over = (isAnswered: boolean): void => {
      if (isAnswered && note !== null) session.noted(leg, note);
      ended(isAnswered);
      session.touch();
    };
    const used = leg.sessionId;
    exchange.server = leg.member.cell ?? NO_SERVER;
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
    const own = { ...session.legCall(leg, exchange.id), marks: exchange };
    exchange.hold(leg.member.upstream.send(postRequest(own, draft), relay));
  }

  /** The server said that it does not know the session, so nothing was executed: initialize again, then send once more. */
  async #callAfterHeal(
    exchange: Exchange,
    session: Session,
    leg: Leg,
    routed: Routed,
    lost = leg.sessionId,
  ): Promise<void> {
    // A reload may have put another leg in the place of this one.
    const current = session.legOf(leg.member.spec.name);
    if (current === null) return exchange.refuse(new GatewayError('GW_UPSTREAM_CLOSING'));
    const fault = await session.heal(current, current === leg ? lost : current.sessionId);
    if (fault !== null) exchange.refuse(fault);
    else if (!exchange.over) this.#call(exchange, session, { leg: current, routed, mayHeal: false });
  }
}

/** What a leg's answers are kept under: what its server is shown of the client. */
function keyOf({ id, principal, endpoint }: Exchange, session: Session, leg: Leg): ListKey {
  const credentials = credentialsOf(session.legCall(leg, id).headers);
  return { asked: 'legacy', partition: JSON.stringify([principal, endpoint.path, credentials]) };
}

/** Whom names are for: all sessions whose clients show the same. */
function namedFor({ principal, headers }: Exchange): NamedFor {
  return { self: null, partition: JSON.stringify([principal, headers.optional]) };
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
