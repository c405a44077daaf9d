// subscriptions/listen on an aggregated endpoint: one listen at every member, their acknowledgements merged, their notifications in one stream.
// Called by the aggregates. Promises: the acknowledgement is the stream's first message and comes within the bound; each member is asked only for its own
// resources; the stream ends when the last member's did. Source: MCP 2026-07-28, subscriptions.
import { type Edit, encode, splice } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Member } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import { kindOf, type Message, objectAt, readMessage, span, text } from '../mcp/envelope.ts';
import { eachElement, isArray, isObject, member as memberOf, readString } from '../mcp/json.ts';
import { mergeCapabilities } from '../mcp/merge.ts';
import { joinUri, splitUri } from '../mcp/names.ts';
import { METHOD } from '../mcp/protocol.ts';
import { notificationEdits } from '../mcp/rewrite.ts';
import { EventReader, KEEP_ALIVE, messageEvent } from '../mcp/sse.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import type { ReplyHead, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { EVENT_STREAM_HEADERS } from './headers.ts';
import { StreamBody } from './relay.ts';

/** Makes the request for one member with the given changes. */
export type MakeRequest = (member: Member, edits: readonly Edit[]) => UpstreamRequest;

/** The client's stream, fed by all members. */
class ListenHub {
  readonly #exchange: Exchange;
  readonly #stream: StreamBody;
  readonly #early: Uint8Array[] = [];
  readonly #acks: Record<string, unknown>[] = [];
  #unacknowledged: number;
  #open: number;
  #isAcknowledged = false;
  #isGraceful = true;
  #onOver: (() => void) | null = null;

  constructor(exchange: Exchange, stream: StreamBody, members: number) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#unacknowledged = members;
    this.#open = members;
  }

  /** A member said what it will send, or (null) that it will send nothing. */
  acknowledged(filter: Record<string, unknown> | null): void {
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
    const params = `{"notifications":${JSON.stringify(union)},"_meta":${this.#tag()}}`;
    this.#stream.write(
      messageEvent(
        encode(`{"jsonrpc":"2.0","method":${JSON.stringify(METHOD.acknowledged)},"params":${params}}`),
      ),
    );
    for (const event of this.#early) this.#stream.write(event);
    this.#early.length = 0;
  }

  notify(message: Uint8Array): void {
    const event = messageEvent(message);
    if (this.#isAcknowledged) this.#stream.write(event);
    else this.#early.push(event);
  }

  keepAlive(): void {
    if (this.#isAcknowledged) this.#stream.write(KEEP_ALIVE);
  }

  /** Called once when the last member's stream is over. */
  whenOver(callback: () => void): void {
    this.#onOver = callback;
  }

  /** One member's stream is over. */
  over(isGraceful: boolean): void {
    this.#isGraceful &&= isGraceful;
    this.#open--;
    if (this.#open > 0) return;
    this.acknowledge();
    if (this.#isGraceful) {
      const result = `{"resultType":"complete","_meta":${this.#tag()}}`;
      this.#stream.write(messageEvent(encode(`{"jsonrpc":"2.0","id":${this.#id()},"result":${result}}`)));
    }
    this.#stream.end();
    this.#onOver?.();
    this.#exchange.finish(this.#isGraceful ? 'ok' : 'failed');
  }

  #id(): string {
    return String.fromCharCode(...(this.#exchange.requestId ?? encode('0')));
  }

  #tag(): string {
    return `{"io.modelcontextprotocol/subscriptionId":${this.#id()}}`;
  }
}

/** Reads one member's listen stream. */
class ListenSink implements UpstreamSink {
  readonly #hub: ListenHub;
  readonly #scanner: Scanner;
  readonly #server: string;
  readonly #reader: EventReader;
  #isAcknowledged = false;
  #isGraceful = false;
  #isOver = false;
  #isStream = false;

  constructor(hub: ListenHub, scanner: Scanner, server: string) {
    this.#hub = hub;
    this.#scanner = scanner;
    this.#server = server;
    this.#reader = new EventReader(scanner);
  }

  onHead(head: ReplyHead): void {
    this.#isStream = head.status === 200 && head.media === 'event-stream';
  }

  onData(bytes: Uint8Array): boolean {
    if (!this.#isStream || this.#isOver) return true;
    try {
      this.#reader.push(bytes, (event) => {
        if (event.data.length === 0) return;
        const message = readMessage(this.#scanner, event.data);
        if (!(message instanceof GatewayError)) this.#take(message);
      });
    } catch (thrown) {
      this.onFail(toGatewayError(thrown));
    }
    return true;
  }

  #take(message: Message): void {
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) {
      this.#isGraceful = kind === KIND.result;
      return;
    }
    if (kind !== KIND.notification) return;
    if (text(message.bytes, message.envelope, ENVELOPE.method) !== METHOD.acknowledged) {
      this.#hub.notify(
        splice(message.bytes, notificationEdits(message.bytes, message.envelope, this.#server)),
      );
    } else if (!this.#isAcknowledged) {
      this.#isAcknowledged = true;
      this.#hub.acknowledged(this.#filter(message));
    }
  }

  #filter(message: Message): Record<string, unknown> {
    const filter = objectAt(message.bytes, message.envelope, ENVELOPE.notifications);
    const uris = filter.resourceSubscriptions;
    if (Array.isArray(uris))
      filter.resourceSubscriptions = uris.map((uri) => joinUri(this.#server, String(uri)));
    return filter;
  }

  onEnd(): void {
    this.#close(this.#isGraceful || !this.#isStream);
  }

  onFail(_error: GatewayError): void {
    this.#close(false);
  }

  #close(isGraceful: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#isAcknowledged) this.#hub.acknowledged(null);
    this.#hub.over(isGraceful);
  }
}

/** Edits that leave a member only its own resources in the filter, under its own URIs. */
function filterEdits(exchange: Exchange, names: readonly string[], index: number): readonly Edit[] {
  const { body, envelope } = exchange;
  const filter = envelope === null ? null : span(envelope, ENVELOPE.notifications);
  if (filter === null || !isObject(body, filter.start)) return [];
  const uris = memberOf(body, filter.start, 'resourceSubscriptions');
  if (uris === null || !isArray(body, uris.start)) return [];
  const own: string[] = [];
  eachElement(body, uris.start, (start, end) => {
    const uri = readString(body, start, end);
    const target = uri === null ? null : splitUri(names, uri);
    if (target?.index === index) own.push(target.own);
  });
  return [{ start: uris.start, end: uris.end, insert: encode(JSON.stringify(own)) }];
}

/** Opens a listen at every member and joins them into the exchange's reply. */
export function relayListen(
  exchange: Exchange,
  members: readonly Member[],
  tools: SessionTools,
  makeRequest: MakeRequest,
): void {
  const stream = new StreamBody();
  const hub = new ListenHub(exchange, stream, members.length);
  const names = members.map((one) => one.spec.name);
  exchange.reply(200, EVENT_STREAM_HEADERS, stream);
  const calls = members.map((one, index) =>
    one.upstream.send(
      makeRequest(one, filterEdits(exchange, names, index)),
      new ListenSink(hub, tools.scanner, one.spec.name),
    ),
  );
  const acknowledge = tools.clock.after(tools.memberTimeoutMs, () => hub.acknowledge());
  let beat = 0;
  const keepAlive = (): void => {
    hub.keepAlive();
    beat = tools.clock.after(LIMITS.keepAliveCommentMs, keepAlive);
  };
  beat = tools.clock.after(LIMITS.keepAliveCommentMs, keepAlive);
  const drop = (): void => {
    tools.clock.cancel(acknowledge);
    tools.clock.cancel(beat);
    for (const call of calls) call.abort();
  };
  hub.whenOver(drop);
  exchange.whenGone(drop);
}
