// The modern face of an aggregate: stateless requests, each standing alone.
// Called by aggregate.ts. Promises: discover and lists are merged within the bound; calls go to the one server they name, header included.
import { must } from '../base/assert.ts';
import { decode, type Edit } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { AskScope } from '../bridge/collect.ts';
import { ask, type Draft, type Member, type MemberCall, postRequest } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import { credentialsOf } from '../mcp/credentials.ts';
import { raw, text } from '../mcp/envelope.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import type { MemberPages, SelfInfo } from '../mcp/merge.ts';
import type { OwnName } from '../mcp/outward.ts';
import { METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import { type ListShape, listShape } from '../mcp/rewrite.ts';
import type { View } from '../mcp/view.ts';
import { NO_SERVER } from '../observe/timing.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { answerDiscover } from './discover.ts';
import { type HeaderChanges, requestHeaders } from './headers.ts';
import { type JoinedLists, LIST_METHOD } from './joined-lists.ts';
import type { ListAsker, ListQuestion, NamedFor } from './list-asker.ts';
import { modernListDraft, ownDraft } from './list-draft.ts';
import { type ListenFace, Listening } from './listen.ts';
import { followPages } from './lists.ts';
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

/** Serves modern requests over all members. */
export class ModernAggregate {
  #members: readonly Member[];
  #routed: RoutedMembers;
  readonly #listens = new Set<Listening>();
  readonly #tools: SessionTools;
  readonly #self: SelfInfo;
  readonly #lists: JoinedLists;

  constructor(members: readonly Member[], tools: SessionTools, face: JoinedFace) {
    this.#members = members;
    this.#routed = routedMembers(members, face.routes, face.view);
    this.#tools = tools;
    this.#self = face.self;
    this.#lists = face.lists;
  }

  post(exchange: Exchange): void {
    if (exchange.kind !== KIND.request) return exchange.reply(202, {}, null);
    const version = exchange.headers.protocolVersion ?? '';
    if (!MODERN_VERSIONS.includes(version)) return refuseVersion(exchange, version, MODERN_VERSIONS);
    const shape = listShape(exchange.method, 'modern');
    if (shape !== null) {
      const question = { method: exchange.method, shape, draft: draftOf(exchange) };
      const asker = this.#asker(exchange, exchange.method, scopeOf(exchange));
      return guard(exchange, this.#lists.answer(exchange, question, asker));
    }
    if (exchange.method === METHOD.discover) return guard(exchange, this.#discover(exchange));
    if (exchange.method !== METHOD.listen) return this.#call(exchange);
    const requestFor: ListenFace['requestFor'] = (member, edits) =>
      this.#request(exchange, member, edits, null);
    const listening = new Listening(
      { exchange, requestFor, onOver: () => this.#listens.delete(listening) },
      this.#tools,
    );
    this.#listens.add(listening);
    listening.open(this.#members, this.#routed);
  }

  reroute(routes: EndpointRoutes): void {
    this.#routed = { ...this.#routed, routes };
  }

  regroup(members: readonly Member[], routes: EndpointRoutes, view: View | null): void {
    this.#members = members;
    this.#routed = routedMembers(members, routes, view);
    for (const listening of [...this.#listens]) listening.regroup(members, this.#routed);
  }

  #call(exchange: Exchange): void {
    const routed = routeCall(exchange, this.#routed);
    if (routed instanceof GatewayError) exchange.refuse(routed, uriOf(exchange));
    else if ('name' in routed) this.#callNamed(exchange, routed);
    else this.#forward(exchange, routed);
  }

  /** A name that only lists tell: what they have shown, or show now. */
  #callNamed(exchange: Exchange, call: NamedCall): void {
    const method = LIST_METHOD[call.kind];
    // What is asked for here serves others as well: it does not end with this client.
    const ask = (): ListAsker & { draft: Draft } => ({
      ...this.#asker(exchange, method),
      draft: modernListDraft(this.#tools.scanner, exchange, method),
    });
    const go = (found: OwnName | null): void => {
      const routed = routeNamed(exchange, call, found, this.#routed);
      if (routed instanceof GatewayError) exchange.refuse(routed);
      else if (!exchange.over) this.#forward(exchange, routed);
    };
    guard(exchange, this.#lists.resolve(call, this.#namedFor(exchange), ask, go));
  }

  #forward(exchange: Exchange, routed: Routed): void {
    const member = this.#members[routed.index];
    if (member === undefined)
      return exchange.refuse(new GatewayError('GW_BASE_INTERNAL', 'a route names no member'));
    exchange.server = member.cell ?? NO_SERVER;
    const relay = new MemberRelay({
      exchange,
      scanner: this.#tools.scanner,
      server: member.spec.name,
      toClient: null,
      methodOf: () => exchange.method,
      onOver: () => undefined,
      onLost: null,
    });
    exchange.hold(
      member.upstream.send(this.#request(exchange, member, routed.edits, routed.mirrored), relay),
    );
  }

  #memberCall(exchange: Exchange, member: Member, changes: HeaderChanges): MemberCall {
    const headers = requestHeaders(exchange, member.spec.forwardHeaders, changes);
    // Whoever speaks HTTP names a host.
    const isUnmirrored = exchange.headers.host === null;
    const { id: exchangeId, client } = exchange;
    return { era: 'modern', headers, session: null, exchangeId, client, isUnmirrored };
  }

  #request(
    exchange: Exchange,
    member: Member,
    edits: readonly Edit[],
    mirrored: string | null,
  ): UpstreamRequest {
    const changes = { mcpName: mirrored === null ? null : encodeMirrored(mirrored) };
    const call = this.#memberCall(exchange, member, changes);
    return postRequest({ ...call, marks: exchange }, { ...draftOf(exchange), edits });
  }

  /** Whom names are for, and lists: who it is, and what the client says that it can do. */
  #namedFor(exchange: Exchange): NamedFor {
    const { principal, headers } = exchange;
    return { self: this.#self, partition: JSON.stringify([principal, headers.optional, saidBy(exchange)]) };
  }

  /** Asks members for lists in the name of an exchange's client. What that needs of the exchange is taken now: it may go on when the exchange is over. */
  #asker(exchange: Exchange, method: string, scope?: AskScope): ListAsker {
    const members = this.#members;
    const { clock, memberTimeoutMs: timeoutMs } = this.#tools;
    const { id: exchangeId, principal, endpoint } = exchange;
    const asked = `modern ${saidBy(exchange)}`;
    const changes = { mcpMethod: method, mcpName: null };
    const calls = members.map((member) => this.#memberCall(exchange, member, changes));
    const at = (index: number): { member: Member; call: MemberCall } => ({
      member: must(members[index], 'a member'),
      call: must(calls[index], 'a call of a member'),
    });
    const list = (
      index: number,
      { draft }: ListQuestion,
      within: AskScope | undefined,
    ): Promise<MemberPages> => {
      const { member, call } = at(index);
      const bounds = { bytesMax: LIMITS.listBytesMax, ...(within && { scope: within }) };
      const plan = { draft, exchangeId, server: member.spec.name, clock, timeoutMs };
      return followPages(plan, (edits, leftMs) =>
        ask(this.#tools, member, { call, draft: { ...draft, edits } }, { ...bounds, timeoutMs: leftMs }),
      );
    };
    return {
      ...this.#namedFor(exchange),
      back: { who: principal, tell: () => this.#tellBack(principal) },
      keyOf: (index) => {
        const credentials = credentialsOf(at(index).call.headers);
        return { asked, partition: JSON.stringify([principal, endpoint.path, credentials]) };
      },
      list: (index, question) => list(index, question, scope),
      listAgain: (index, question) => list(index, question, undefined),
    };
  }

  /** What of its lists a client went without is there again: it hears of it where it listens. */
  #tellBack(principal: string): void {
    for (const listening of this.#listens) if (listening.principal === principal) listening.tellChanged();
  }

  async #discover(exchange: Exchange): Promise<void> {
    const { method } = exchange;
    const asker = this.#asker(exchange, method, scopeOf(exchange));
    const question = { method, shape: NO_LIST, draft: ownDraft(draftOf(exchange)) };
    const { clock } = this.#tools;
    exchange.sent(clock.now());
    const answers = this.#members.map((_, index) => this.#lists.ask(index, question, asker));
    const found = await Promise.all(answers);
    exchange.replied(clock.now(), true);
    answerDiscover(exchange, found, this.#self);
  }
}

/** `server/discover` is asked like a list of one page. */
const NO_LIST: ListShape = Object.freeze({ items: '', key: '', isUri: true });

/** What the client says that it can do: servers may answer accordingly. */
function saidBy({ body, envelope }: Exchange): string {
  const said = envelope === null ? null : raw(body, envelope, ENVELOPE.metaClientCapabilities);
  return said === null ? '' : decode(said);
}

/** `data.uri`, which the protocol wants where a resource is not found. */
function uriOf(exchange: Exchange): Readonly<Record<string, unknown>> {
  const uri = exchange.envelope === null ? null : text(exchange.body, exchange.envelope, ENVELOPE.uri);
  return uri === null ? {} : { uri };
}
