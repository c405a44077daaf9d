// subscriptions/listen on an aggregated endpoint: one listen at every member, their acknowledgements merged, their notifications in one stream.
// Called by aggregate-modern.ts. Promises: the acknowledgement is the stream's first message and comes within the bound; each member is asked only for its own
// resources; after a member's gap everything of it is told to have changed; a client that does not read loses its stream. Source: MCP 2026-07-28, subscriptions.
import { type Edit, EMPTY, encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Member } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import { overrunError } from '../bridge/session-stream.ts';
import type { Exchange } from '../exchange.ts';
import { span } from '../mcp/envelope.ts';
import { eachElement, isArray, isObject, member as memberOf, readString } from '../mcp/json.ts';
import { listenResult, mergeCapabilities } from '../mcp/merge.ts';
import { METHOD } from '../mcp/protocol.ts';
import { messageEvent } from '../mcp/sse.ts';
import { CHANGED, listenNotification } from '../mcp/subscriptions.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, ROUTE_KIND } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { type Filter, MemberListen } from './listen-member.ts';
import { StreamBody } from './relay.ts';
import { contained } from './target.ts';

/** What a listen takes of its endpoint. */
export interface ListenFace {
  readonly routes: EndpointRoutes;
  /** Makes the request for one member with the given changes. */
  requestFor(member: Member, edits: readonly Edit[]): UpstreamRequest;
}

/** The client's stream, fed by all members. */
class ListenHub {
  readonly #exchange: Exchange;
  readonly #stream: StreamBody;
  /** Raw id of the request, which every message of the stream bears. */
  readonly #id: Uint8Array;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  readonly #acks: Filter[] = [];
  #unacknowledged: number;
  #open: number;
  #isAcknowledged = false;
  #isGraceful = true;

  constructor(exchange: Exchange, stream: StreamBody, members: number) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#id = exchange.requestId ?? EMPTY;
    this.#unacknowledged = members;
    this.#open = members;
  }

  /** A member said what it will send, or (null) that it will send nothing. */
  acknowledged(filter: Filter | null): void {
    if (filter !== null) this.#acks.push(filter);
    this.#unacknowledged--;
    if (this.#unacknowledged <= 0) this.acknowledge();
  }

  /** Tells the client the union of what was acknowledged so far. */
  acknowledge(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    const union = mergeCapabilities(this.#acks);
    const uris = this.#acks.flatMap((one) =>
      Array.isArray(one.resourceSubscriptions) ? one.resourceSubscriptions : [],
    );
    if (uris.length > 0) union.resourceSubscriptions = uris;
    this.#tell(METHOD.acknowledged, { notifications: union });
    const events = this.#early;
    this.#early = [];
    for (const event of events) this.#send(event);
  }

  notify(message: Uint8Array): void {
    const event = messageEvent(message);
    if (this.#isAcknowledged) return this.#send(event);
    this.#early.push(event);
    this.#earlyBytes += event.length;
    // Members that are slow to acknowledge cost memory now: the client hears what there is.
    if (this.#earlyBytes > LIMITS.downstreamBufferBytesMax) this.acknowledge();
  }

  /** A member is back after a gap, in which anything may have happened. */
  returned(filter: Filter): void {
    for (const [flag, method] of Object.entries(CHANGED)) if (filter[flag] === true) this.#tell(method, {});
    const uris: readonly unknown[] = Array.isArray(filter.resourceSubscriptions)
      ? filter.resourceSubscriptions
      : [];
    for (const uri of uris) this.#tell(METHOD.resourceUpdated, { uri });
  }

  /** One member is over for good. */
  over(isGraceful: boolean): void {
    this.#isGraceful &&= isGraceful;
    this.#open--;
    if (this.#open > 0) return;
    this.acknowledge();
    if (this.#isGraceful) this.#send(messageEvent(listenResult(this.#id)));
    this.#stream.end();
    this.#exchange.finish(this.#isGraceful ? 'ok' : 'failed');
  }

  /** One notification of our own: its params, and the tag. */
  #tell(method: string, params: Readonly<Record<string, unknown>>): void {
    this.#send(messageEvent(listenNotification(this.#id, method, params)));
  }

  #send(event: Uint8Array): void {
    if (!this.#exchange.over && !this.#stream.offer(event)) this.#exchange.refuse(overrunError());
  }
}

/** Edits that leave a member only its own resources in the filter, under its own URIs. */
function filterEdits(exchange: Exchange, routes: EndpointRoutes, index: number): readonly Edit[] {
  const { body, envelope } = exchange;
  const filter = envelope === null ? null : span(envelope, ENVELOPE.notifications);
  if (filter === null || !isObject(body, filter.start)) return [];
  const uris = memberOf(body, filter.start, 'resourceSubscriptions');
  if (uris === null || !isArray(body, uris.start)) return [];
  const own: string[] = [];
  eachElement(body, uris.start, (start, end) => {
    const uri = readString(body, start, end);
    const target = uri === null ? null : routes.find(ROUTE_KIND.uri, uri);
    if (target?.index === index) own.push(target.own);
  });
  return [{ start: uris.start, end: uris.end, insert: encode(JSON.stringify(own)) }];
}

/** Opens a listen at every member and joins them into the exchange's reply. */
export function relayListen(
  exchange: Exchange,
  members: readonly Member[],
  tools: SessionTools,
  { routes, requestFor }: ListenFace,
): void {
  const { scanner, clock, memberTimeoutMs } = tools;
  const requests = members.map((one, index) => requestFor(one, filterEdits(exchange, routes, index)));
  const stream = new StreamBody();
  const hub = new ListenHub(exchange, stream, members.length);
  const listens = members.map((one, index) => {
    const request = requests[index] ?? requestFor(one, []);
    return new MemberListen({
      scanner,
      clock,
      server: one.spec.name,
      send: (sink) => one.upstream.send(request, sink),
      events: {
        onAcknowledged: (filter) => hub.acknowledged(filter),
        onReturn: (filter) => hub.returned(filter),
        onNotification: (message) => hub.notify(message),
        onOver: (isGraceful) => {
          hub.over(isGraceful);
          if (exchange.over) clock.cancel(timer);
        },
        onFault: (error) => exchange.refuse(error),
      },
    });
  });
  const timer = clock.after(
    memberTimeoutMs,
    contained(exchange, () => hub.acknowledge()),
  );
  exchange.whenGone(() => {
    clock.cancel(timer);
    for (const one of listens) one.stop();
  });
  exchange.reply(200, EVENT_STREAM_HEADERS, stream);
  for (const one of listens) one.start();
}
