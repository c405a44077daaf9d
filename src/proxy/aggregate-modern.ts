// The modern face of an aggregate: stateless requests, each standing alone.
// Called by aggregate.ts. Promises: discover and lists are merged within the bound; calls go to the one server they name, header included.
import { type Edit, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { CollectBounds } from '../bridge/collect.ts';
import { ask, type Member, type MemberCall, postRequest } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import { isRecord, kindOf, type Message, objectAt, text } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import { encodeMirrored } from '../mcp/headers.ts';
import {
  joinInstructions,
  MISSING_META,
  mergeCapabilities,
  mergedCaching,
  type SelfInfo,
} from '../mcp/merge.ts';
import { META, METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import { type ListShape, listShape } from '../mcp/rewrite.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { requestHeaders } from './headers.ts';
import { relayListen } from './listen.ts';
import { answerList, cursorFault, followPages, messageIn } from './lists.ts';
import { MemberRelay } from './member-relay.ts';
import { type RoutedMembers, routeCall } from './routing.ts';
import { draftOf, guard, refuseVersion, scopeOf } from './target.ts';

/** A member's answer to `server/discover`. */
interface Discovered {
  readonly server: string;
  readonly message: Message;
  readonly result: Readonly<Record<string, unknown>>;
}

/** Serves modern requests over all members. */
export class ModernAggregate {
  readonly #members: readonly Member[];
  readonly #routed: RoutedMembers;
  readonly #tools: SessionTools;
  readonly #self: SelfInfo;

  constructor(members: readonly Member[], tools: SessionTools, self: SelfInfo, routes: EndpointRoutes) {
    this.#members = members;
    this.#routed = { names: members.map((member) => member.spec.name), routes };
    this.#tools = tools;
    this.#self = self;
  }

  post(exchange: Exchange): void {
    if (exchange.kind !== KIND.request) return exchange.reply(202, {}, null);
    const version = exchange.headers.protocolVersion ?? '';
    if (!MODERN_VERSIONS.includes(version)) return refuseVersion(exchange, version, MODERN_VERSIONS);
    const shape = listShape(exchange.method);
    if (shape !== null) return guard(exchange, this.#list(exchange, shape));
    if (exchange.method === METHOD.discover) return guard(exchange, this.#discover(exchange));
    if (exchange.method !== METHOD.listen) return this.#call(exchange);
    relayListen(exchange, this.#members, this.#tools, {
      routes: this.#routed.routes,
      requestFor: (member, edits) => this.#request(exchange, member, edits, null),
    });
  }

  #call(exchange: Exchange): void {
    const routed = routeCall(exchange, this.#routed);
    if (routed instanceof GatewayError) return exchange.refuse(routed, uriOf(exchange));
    const member = this.#members[routed.index];
    if (member === undefined)
      return exchange.refuse(new GatewayError('GW_BASE_INTERNAL', 'a route names no member'));
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

  #memberCall(exchange: Exchange, member: Member, mirrored: string | null): MemberCall {
    const changes = { mcpName: mirrored === null ? null : encodeMirrored(mirrored) };
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
    return postRequest(this.#memberCall(exchange, member, mirrored), { ...draftOf(exchange), edits });
  }

  async #ask(
    exchange: Exchange,
    member: Member,
    edits: readonly Edit[],
    bounds: CollectBounds,
  ): Promise<Message | GatewayError> {
    const request = {
      call: this.#memberCall(exchange, member, null),
      draft: { ...draftOf(exchange), edits },
    };
    return messageIn(await ask(this.#tools, member, request, bounds));
  }

  async #list(exchange: Exchange, shape: ListShape): Promise<void> {
    const fault = cursorFault(exchange);
    if (fault !== null) return exchange.refuse(fault);
    const scope = scopeOf(exchange);
    const bounds = { clock: this.#tools.clock, timeoutMs: this.#tools.memberTimeoutMs };
    const pages = this.#members.map((member) =>
      followPages(
        exchange,
        member.spec.name,
        (edits, timeoutMs) => this.#ask(exchange, member, edits, { timeoutMs, scope }),
        bounds,
      ),
    );
    answerList(exchange, await Promise.all(pages), shape, this.#self);
  }

  async #discover(exchange: Exchange): Promise<void> {
    const bounds = { timeoutMs: this.#tools.memberTimeoutMs, scope: scopeOf(exchange) };
    const answers = await Promise.all(this.#members.map((member) => this.#ask(exchange, member, [], bounds)));
    const good: Discovered[] = [];
    const missing: Record<string, string> = {};
    answers.forEach((message, i) => {
      const server = this.#routed.names[i] ?? '';
      if (message instanceof GatewayError) missing[server] = message.message;
      else if (kindOf(message.envelope) !== KIND.result) missing[server] = refusalOf(message);
      else good.push({ server, message, result: objectAt(message.bytes, message.envelope, ENVELOPE.result) });
    });
    const id = exchange.requestId;
    if (id === null || good.length === 0) return exchange.refuse(nobody(answers), { servers: missing });
    exchange.replyJson(200, resultMessage(id, encode(JSON.stringify(this.#discovered(good, missing)))));
  }

  #discovered(
    good: readonly Discovered[],
    missing: Readonly<Record<string, string>>,
  ): Record<string, unknown> {
    const isWhole = Object.keys(missing).length === 0;
    const capabilities = good.map(({ result }) => (isRecord(result.capabilities) ? result.capabilities : {}));
    const caching = mergedCaching(
      good.map(({ server, message }) => ({ server, pages: [message], fault: null })),
    );
    const instructions = joinInstructions(good);
    return {
      supportedVersions: MODERN_VERSIONS,
      capabilities: mergeCapabilities(capabilities),
      ...(instructions === null ? {} : { instructions }),
      ...(isWhole ? caching : { ...caching, ttlMs: 0 }),
      resultType: 'complete',
      _meta: { ...(isWhole ? {} : { [MISSING_META]: missing }), [META.serverInfo]: this.#self },
    };
  }
}

/** `data.uri`, which the protocol wants where a resource is not found. */
function uriOf(exchange: Exchange): Readonly<Record<string, unknown>> {
  const uri = exchange.envelope === null ? null : text(exchange.body, exchange.envelope, ENVELOPE.uri);
  return uri === null ? {} : { uri };
}

/** What a server said instead of a result. */
function refusalOf({ bytes, envelope }: Message): string {
  const { code, message } = objectAt(bytes, envelope, ENVELOPE.error);
  return `it refused server/discover with ${String(code)} (${String(message).slice(0, 200)})`;
}

/** A refusal when no member could answer: their failure, or that they all refused. */
function nobody(answers: readonly (Message | GatewayError)[]): GatewayError {
  const failure = answers.find(
    (answer) => answer instanceof GatewayError && answer.code !== 'GW_UPSTREAM_MEDIA',
  );
  if (failure instanceof GatewayError) return failure;
  return new GatewayError('GW_MCP_METHOD', 'every server of this endpoint refused server/discover');
}
