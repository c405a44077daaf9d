// subscriptions/listen on an aggregated endpoint: one listen at every member, their acknowledgements merged, their notifications in one stream.
// Called by aggregate-modern.ts. Promises: the acknowledgement is the stream's first message and comes within the bound; each member is asked only for its own
// resources and tasks; after a member's gap everything of it is told to have changed; a client that does not read loses its stream. Source: MCP 2026-07-28, subscriptions.
import { type Edit, EMPTY, encode, orderEdits } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Member } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import { overrunError } from '../bridge/session-stream.ts';
import type { Exchange } from '../exchange.ts';
import { span } from '../mcp/envelope.ts';
import { eachElement, isArray, isObject, readString } from '../mcp/json.ts';
import { listenResult, mergeCapabilities } from '../mcp/merge.ts';
import { editObject } from '../mcp/object-edits.ts';
import { METHOD } from '../mcp/protocol.ts';
import { messageEvent } from '../mcp/sse.ts';
import { CHANGED, listenNotification } from '../mcp/subscriptions.ts';
import type { TimerId } from '../runtime/runtime.ts';
import { ENVELOPE, ROUTE_KIND } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { type Filter, MARKED, MemberListen } from './listen-member.ts';
import { StreamBody } from './relay.ts';
import type { RoutedMembers } from './routing.ts';
import { contained } from './target.ts';

/** What a listen is made of. */
export interface ListenFace {
  readonly exchange: Exchange;
  /** Makes the request for one member with the given changes. */
  readonly requestFor: (member: Member, edits: readonly Edit[]) => UpstreamRequest;
  /** Called once it is over. */
  readonly onOver: () => void;
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
  #unacknowledged = 0;
  #open = 0;
  #isAcknowledged = false;
  #isGraceful = true;
  /** What the client was told that it will hear. */
  #granted: Filter = {};
  #hasRegrouped = false;

  constructor(exchange: Exchange, stream: StreamBody) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#id = exchange.requestId ?? EMPTY;
  }

  /** So many members are listened to besides. */
  join(members: number): void {
    this.#unacknowledged += members;
    this.#open += members;
  }

  /** A member said what it will send, or (null) that it will send nothing. What the client was told holds, whoever comes later. */
  acknowledged(filter: Filter | null): void {
    if (this.#isAcknowledged) return;
    if (filter !== null) this.#acks.push(filter);
    this.#unacknowledged--;
    if (this.#unacknowledged <= 0) this.acknowledge();
  }

  /** Tells the client the union of what was acknowledged so far. */
  acknowledge(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    const union = mergeCapabilities(this.#acks);
    for (const key of MARKED) {
      const all = this.#acks.flatMap((one): readonly unknown[] => {
        const own = one[key];
        return Array.isArray(own) ? own : [];
      });
      if (all.length > 0) union[key] = all;
    }
    this.#granted = union;
    this.#tell(METHOD.acknowledged, { notifications: union });
    if (this.#hasRegrouped) this.regrouped();
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

  /** The endpoint has other members, and with them other lists. */
  regrouped(): void {
    this.#hasRegrouped = true;
    if (!this.#isAcknowledged) return;
    for (const [flag, method] of Object.entries(CHANGED))
      if (this.#granted[flag] === true) this.#tell(method, {});
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

/** Edits that leave a member only its own resources and tasks in the filter, as it calls them. Where it has no tasks nothing is said of any: it may not know them. */
function filterEdits(
  exchange: Exchange,
  { routes, names, view }: RoutedMembers,
  index: number,
): readonly Edit[] {
  const { body, envelope } = exchange;
  const filter = envelope === null ? null : span(envelope, ENVELOPE.notifications);
  if (filter === null || !isObject(body, filter.start)) return [];
  const edits: Edit[] = [];
  editObject(body, filter.start, edits, {
    fate: (key, list) => {
      if (!MARKED.includes(key) || !isArray(body, list.start)) return 'keep';
      const own: string[] = [];
      eachElement(body, list.start, (start, end) => {
        const full = readString(body, start, end);
        const target = full === null ? null : routes.find(ROUTE_KIND.uri, full);
        const isHidden =
          key !== 'taskIds' && view?.resources.shows(names[index] ?? '', target?.own ?? '') === false;
        if (target?.index === index && !isHidden) own.push(target.own);
      });
      return key === 'taskIds' && own.length === 0 ? 'drop' : encode(JSON.stringify(own));
    },
  });
  return orderEdits(edits);
}

/** One client's listen, at all members that its endpoint has at the time. */
export class Listening {
  readonly #face: ListenFace;
  readonly #tools: SessionTools;
  readonly #stream = new StreamBody();
  readonly #hub: ListenHub;
  readonly #listens = new Map<Member, MemberListen>();
  #timer: TimerId = 0;

  constructor(face: ListenFace, tools: SessionTools) {
    this.#face = face;
    this.#tools = tools;
    this.#hub = new ListenHub(face.exchange, this.#stream);
  }

  /** Opens a listen at every member and joins them into the exchange's reply. */
  open(members: readonly Member[], routed: RoutedMembers): void {
    const { exchange } = this.#face;
    const { clock, memberTimeoutMs } = this.#tools;
    exchange.whenGone(() => this.#over());
    const listens = members.map((one, index) => this.#listenAt(one, index, routed));
    this.#hub.join(listens.length);
    this.#timer = clock.after(
      memberTimeoutMs,
      contained(exchange, () => this.#hub.acknowledge()),
    );
    exchange.reply(200, EVENT_STREAM_HEADERS, this.#stream);
    for (const one of listens) one.start();
  }

  /** The endpoint has these members from now on: those that are new are listened to as well, the others no more, and the client hears that its lists have changed. */
  regroup(members: readonly Member[], routed: RoutedMembers): void {
    contained(this.#face.exchange, () => {
      const fresh = members.flatMap((one, index) =>
        this.#listens.has(one) ? [] : [this.#listenAt(one, index, routed)],
      );
      this.#hub.join(fresh.length);
      for (const [member, listen] of [...this.#listens]) {
        if (members.includes(member)) continue;
        this.#listens.delete(member);
        listen.leave();
      }
      this.#hub.regrouped();
      for (const one of fresh) one.start();
    })();
  }

  /** A member is back whose lists this client had to do without. */
  tellChanged(): void {
    contained(this.#face.exchange, () => this.#hub.regrouped())();
  }

  /** Who listens. */
  get principal(): string {
    return this.#face.exchange.principal;
  }

  #listenAt(member: Member, index: number, routed: RoutedMembers): MemberListen {
    const { exchange, requestFor } = this.#face;
    const { scanner, clock } = this.#tools;
    const hub = this.#hub;
    const request = requestFor(member, filterEdits(exchange, routed, index));
    const listen = new MemberListen({
      scanner,
      clock,
      server: member.spec.name,
      send: (sink) => member.upstream.send(request, sink),
      events: {
        onAcknowledged: (filter) => hub.acknowledged(filter),
        onReturn: (filter) => hub.returned(filter),
        onNotification: (message, method) => {
          this.#tools.onListChanged?.(member, method);
          hub.notify(message);
        },
        onOver: (isGraceful) => {
          hub.over(isGraceful);
          if (exchange.over) this.#over();
        },
        onFault: (error) => exchange.refuse(error),
      },
    });
    this.#listens.set(member, listen);
    return listen;
  }

  #over(): void {
    this.#tools.clock.cancel(this.#timer);
    for (const one of this.#listens.values()) one.stop();
    this.#listens.clear();
    this.#face.onOver();
  }
}
