// The legacy face of an aggregate: one client session over one session at each member.
// Called by aggregate.ts. Promises: a lost session of a member is healed once for all who wait, and a call is sent again only when its server said that
// it did not take it.
import { type Edit, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Leg } from '../bridge/leg.ts';
import { ask, bareRequest, type Member, postRequest } from '../bridge/member.ts';
import { type Session, type SessionTools, streamCall } from '../bridge/session.ts';
import { SessionTable } from '../bridge/sessions.ts';
import type { Exchange } from '../exchange.ts';
import { isRecord, type Message, text } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import { joinInstructions, MISSING_META, mergeCapabilities, type SelfInfo } from '../mcp/merge.ts';
import { isModernVersion, LEGACY_VERSIONS, METHOD } from '../mcp/protocol.ts';
import { type ListShape, listShape } from '../mcp/rewrite.ts';
import { KEEP_ALIVE, splitEventId } from '../mcp/sse.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { ACCEPT_BOTH, EVENT_STREAM_HEADERS } from './headers.ts';
import { answerList, cursorFault, followPages, messageIn } from './lists.ts';
import { MemberRelay } from './member-relay.ts';
import { StreamBody } from './relay.ts';
import { type Routed, routeCall } from './routing.ts';
import { draftOf, guard, refuseVersion } from './target.ts';

/** Capability that a server declares when it has such lists. */
const CAPABILITY: Readonly<Record<string, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  resourceTemplates: 'resources',
};

const EMPTY_RESULT = encode('{}');

/** A call on its way to a leg. */
interface LegCall {
  readonly leg: Leg;
  readonly routed: Routed;
  readonly mayHeal: boolean;
}

/** Serves legacy sessions over all members. */
export class LegacyAggregate {
  readonly #members: readonly Member[];
  readonly #names: readonly string[];
  readonly #tools: SessionTools;
  readonly #self: SelfInfo;
  readonly #table: SessionTable;

  constructor(members: readonly Member[], tools: SessionTools, self: SelfInfo) {
    this.#members = members;
    this.#names = members.map((member) => member.spec.name);
    this.#tools = tools;
    this.#self = self;
    this.#table = new SessionTable(tools);
  }

  get sessions(): number {
    return this.#table.size;
  }

  sweep(): void {
    this.#table.sweep(KEEP_ALIVE);
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
    const session = this.#table.find(exchange.headers.session);
    const isPing = kind === KIND.request && method === METHOD.ping;
    // Before its session a client may ping, and nothing else.
    if (isPing && session !== 'GW_SESSION_UNKNOWN') return answer(exchange, EMPTY_RESULT);
    if (typeof session === 'string') return exchange.refuse(new GatewayError(session));
    if (kind === KIND.request) return this.#request(exchange, session);
    tell(exchange, session);
    exchange.reply(202, {}, null);
  }

  stream(exchange: Exchange): void {
    const session = this.#table.find(exchange.headers.session);
    if (typeof session === 'string') return exchange.refuse(new GatewayError(streamFault(exchange, session)));
    const from = exchange.headers.lastEventId === null ? null : splitEventId(exchange.headers.lastEventId);
    const leg = from === null ? null : session.legOf(from.server);
    if (from?.kind === 'call' && leg !== null) return this.#takeUp(exchange, session, leg, from.id);
    if (session.hasStream) return exchange.refuse(new GatewayError('GW_SESSION_STREAM'));
    const resumed = from === null || leg === null ? null : { leg, eventId: from.id };
    const body = new StreamBody();
    const client = {
      write: (bytes: Uint8Array) => body.write(bytes),
      end: () => {
        body.end();
        exchange.finish('ok');
      },
    };
    exchange.whenGone(() => session.closeStream(client));
    exchange.reply(200, EVENT_STREAM_HEADERS, body);
    body.write(KEEP_ALIVE);
    session.openStream(client, resumed);
  }

  /** The stream of a call broke off, or its server closed it on purpose: the client takes it up where it was. */
  #takeUp(exchange: Exchange, session: Session, leg: Leg, lastEventId: string): void {
    const relay = new MemberRelay({
      exchange,
      scanner: this.#tools.scanner,
      server: leg.member.spec.name,
      toClient: (message) => session.toClient(leg, message),
      methodOf: (response) => session.methodOf(response),
      onOver: () => session.touch(),
      onLost: null,
    });
    const call = streamCall(session.legCall(leg, exchange.id), lastEventId);
    exchange.hold(leg.member.upstream.send(bareRequest('GET', call), relay));
  }

  end(exchange: Exchange): void {
    const session = this.#table.find(exchange.headers.session);
    if (typeof session === 'string') return exchange.refuse(new GatewayError(session));
    this.#table.end(session);
    exchange.reply(200, {}, null);
  }

  async #initialize(exchange: Exchange): Promise<void> {
    const id = exchange.requestId;
    const session = this.#table.open(this.#members, {
      initialize: draftOf(exchange),
      headers: legHeaders(exchange),
    });
    if (session instanceof GatewayError) return exchange.refuse(session);
    const faults = await Promise.all(session.legs.map((leg) => session.openLeg(leg)));
    if (id === null || exchange.gone || !session.legs.some((leg) => leg.ready)) {
      this.#table.end(session);
      const fault = faults.find((one) => one !== null);
      return exchange.refuse(
        fault ?? new GatewayError('GW_UPSTREAM_CONNECT', 'no server could be initialized'),
      );
    }
    const body = resultMessage(id, encode(JSON.stringify(this.#initialized(exchange, session))));
    exchange.reply(200, { 'content-type': 'application/json', 'mcp-session-id': session.id }, body);
  }

  #initialized(exchange: Exchange, session: Session): Record<string, unknown> {
    const asked =
      exchange.envelope === null ? null : text(exchange.body, exchange.envelope, ENVELOPE.protocolVersion);
    const ready = session.legs.filter((leg) => leg.ready);
    const missing = session.legs
      .filter((leg) => !leg.ready)
      .map((leg) => [leg.member.spec.name, leg.fault?.message ?? '']);
    const instructions = joinInstructions(
      ready.map((leg) => ({ server: leg.member.spec.name, result: leg.result })),
    );
    const capabilities = ready.map((leg) =>
      isRecord(leg.result.capabilities) ? leg.result.capabilities : {},
    );
    return {
      protocolVersion: asked !== null && LEGACY_VERSIONS.includes(asked) ? asked : LEGACY_VERSIONS[0],
      capabilities: mergeCapabilities(capabilities),
      serverInfo: this.#self,
      ...(instructions === null ? {} : { instructions }),
      ...(missing.length === 0 ? {} : { _meta: { [MISSING_META]: Object.fromEntries(missing) } }),
    };
  }

  #request(exchange: Exchange, session: Session): void {
    const shape = listShape(exchange.method);
    if (shape !== null) return guard(exchange, this.#list(exchange, shape, session));
    if (exchange.method === METHOD.setLevel) {
      session.tellAll(draftOf(exchange));
      return answer(exchange, EMPTY_RESULT);
    }
    const routed = routeCall(exchange, this.#names);
    // A legacy client takes any other status than 200 for a broken transport.
    if (routed instanceof GatewayError) return exchange.refuse(routed, {}, 200);
    const leg = session.legs[routed.index];
    if (leg === undefined) exchange.refuse(new GatewayError('GW_BASE_INTERNAL', 'a route names no member'));
    else if (leg.ready) this.#call(exchange, session, { leg, routed, mayHeal: true });
    else guard(exchange, this.#callAfterHeal(exchange, session, leg, routed));
  }

  async #list(exchange: Exchange, shape: ListShape, session: Session): Promise<void> {
    const fault = cursorFault(exchange);
    if (fault !== null) return exchange.refuse(fault);
    const pages = session.legs
      .filter((leg) => leg.ready && offers(leg, shape))
      .map((leg) =>
        followPages(exchange, leg.member.spec.name, (edits) => this.#ask(exchange, session, leg, edits)),
      );
    const absent = session.legs
      .filter((leg) => !leg.ready)
      .map((leg) => ({
        server: leg.member.spec.name,
        pages: [],
        fault: leg.fault?.message ?? 'it is not ready',
      }));
    answerList(exchange, [...(await Promise.all(pages)), ...absent], shape, null);
  }

  async #ask(
    exchange: Exchange,
    session: Session,
    leg: Leg,
    edits: readonly Edit[],
  ): Promise<Message | GatewayError> {
    const draft = { ...draftOf(exchange), edits };
    const send = () =>
      ask(
        this.#tools,
        leg.member,
        { call: session.legCall(leg, exchange.id), draft },
        this.#tools.memberTimeoutMs,
      );
    const reply = await send();
    if (reply instanceof GatewayError || reply.status !== 404) return messageIn(reply);
    return (await session.heal(leg)) ?? messageIn(await send());
  }

  #call(exchange: Exchange, session: Session, call: LegCall): void {
    const { leg, routed } = call;
    const id = exchange.requestId === null ? '' : String.fromCharCode(...exchange.requestId);
    session.began(id, leg, exchange.method);
    let isOver = false;
    const over = (isAnswered: boolean): void => {
      if (isOver) return;
      isOver = true;
      session.ended(id, isAnswered);
    };
    const relay = new MemberRelay({
      exchange,
      scanner: this.#tools.scanner,
      server: leg.member.spec.name,
      toClient: (message) => session.toClient(leg, message),
      methodOf: () => exchange.method,
      onOver: over,
      onLost: call.mayHeal
        ? () => guard(exchange, this.#callAfterHeal(exchange, session, leg, routed))
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
  async #callAfterHeal(exchange: Exchange, session: Session, leg: Leg, routed: Routed): Promise<void> {
    const fault = await session.heal(leg);
    if (fault !== null) exchange.refuse(fault);
    else if (!exchange.gone) this.#call(exchange, session, { leg, routed, mayHeal: false });
  }
}

function answer(exchange: Exchange, result: Uint8Array): void {
  const id = exchange.requestId;
  if (id === null) exchange.refuse(new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
  else exchange.replyJson(200, resultMessage(id, result));
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

/** A modern client has no session and no such stream: it learns that the method is not for it. */
function streamFault(
  exchange: Exchange,
  code: 'GW_SESSION_MISSING' | 'GW_SESSION_UNKNOWN',
): 'GW_SERVER_METHOD' | typeof code {
  return code === 'GW_SESSION_MISSING' && isModernVersion(exchange.headers.protocolVersion ?? '')
    ? 'GW_SERVER_METHOD'
    : code;
}

/** Headers that a session's requests carry to every leg; the version is each leg's own, Mcp-Param-* belong to single calls. */
function legHeaders(exchange: Exchange): readonly string[] {
  const headers = ['accept', ACCEPT_BOTH];
  const { passed } = exchange.headers;
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const name = passed[i] ?? '';
    if (!name.startsWith('mcp-param-')) headers.push(name, passed[i + 1] ?? '');
  }
  return headers;
}

/** True when a leg said at its initialize that it has such lists. */
function offers(leg: Leg, shape: ListShape): boolean {
  const { capabilities } = leg.result;
  return isRecord(capabilities) && capabilities[CAPABILITY[shape.items] ?? ''] !== undefined;
}
