// One member's part of a merged listen: its stream, and its next one when that broke off.
// Called by listen.ts. Promises: what a member acknowledged is told once for each of its streams; a member that had acknowledged and broke off is asked again
// until the client leaves, ever more slowly; one that never did is left alone. Source: MCP 2026-07-28, subscriptions.
import { EMPTY, splice } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { kindOf, type Message, objectAt, readMessage, text } from '../mcp/envelope.ts';
import { joinUri } from '../mcp/names.ts';
import { METHOD } from '../mcp/protocol.ts';
import { notificationEdits } from '../mcp/rewrite.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../upstream/upstream.ts';

/** What a member honours, as it said, resource URIs and task ids marked. */
export type Filter = Readonly<Record<string, unknown>>;

/** Members of a filter that are lists of what bears a server's mark: URIs, and ids of tasks (extension). */
export const MARKED: readonly string[] = Object.freeze(['resourceSubscriptions', 'taskIds']);

/** Who hears a member. */
export interface ListenEvents {
  /** It said for the first time what it will send; null: it will send nothing. Exactly once. */
  onAcknowledged(filter: Filter | null): void;
  /** It is back after a gap. */
  onReturn(filter: Filter): void;
  /** A notification, as the client is to see it, and its method. */
  onNotification(message: Uint8Array, method: string): void;
  /** It is over for good; at most once. */
  onOver(isGraceful: boolean): void;
  /** Our own code failed. */
  onFault(error: GatewayError): void;
}

/** What a member's listen is made of. */
export interface MemberListenPlan {
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly server: string;
  readonly send: (sink: UpstreamSink) => UpstreamCall;
  readonly events: ListenEvents;
}

const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 30_000;

/** Listens at one member. */
export class MemberListen {
  readonly #plan: MemberListenPlan;
  #call: UpstreamCall | null = null;
  #timer: TimerId = 0;
  #retryMs = RETRY_FIRST_MS;
  #hasAcknowledged = false;
  #isOver = false;

  constructor(plan: MemberListenPlan) {
    this.#plan = plan;
  }

  start(): void {
    if (this.#isOver) return;
    const { scanner, server, events } = this.#plan;
    this.#call = this.#plan.send(
      new ListenSink({
        scanner,
        server,
        onAcknowledged: (filter) => this.#acknowledged(filter),
        onNotification: (message, method) => events.onNotification(message, method),
        onClose: (isGraceful, error) => this.#closed(isGraceful, error),
      }),
    );
  }

  /** The client left, or needs no more. */
  stop(): void {
    this.#isOver = true;
    this.#plan.clock.cancel(this.#timer);
    this.#call?.abort();
  }

  /** Its server is none of the endpoint's any more: for the client it is over, properly. */
  leave(): void {
    if (this.#isOver) return;
    const { events } = this.#plan;
    this.stop();
    if (!this.#hasAcknowledged) events.onAcknowledged(null);
    events.onOver(true);
  }

  #acknowledged(filter: Filter): void {
    const { events } = this.#plan;
    this.#retryMs = RETRY_FIRST_MS;
    if (this.#hasAcknowledged) return events.onReturn(filter);
    this.#hasAcknowledged = true;
    events.onAcknowledged(filter);
  }

  #closed(isGraceful: boolean, error: GatewayError | null): void {
    if (this.#isOver) return;
    const { events, clock } = this.#plan;
    this.#call?.abort();
    if (error?.code === 'GW_BASE_INTERNAL') return events.onFault(error);
    if (this.#hasAcknowledged && !isGraceful) {
      this.#timer = clock.after(this.#retryMs, () => this.#restart());
      this.#retryMs = Math.min(RETRY_LAST_MS, this.#retryMs * 2);
      return;
    }
    this.#isOver = true;
    if (!this.#hasAcknowledged) events.onAcknowledged(null);
    events.onOver(isGraceful);
  }

  #restart(): void {
    try {
      this.start();
    } catch (thrown) {
      this.#plan.events.onFault(toGatewayError(thrown));
    }
  }
}

interface ListenSinkPlan {
  readonly scanner: Scanner;
  readonly server: string;
  readonly onAcknowledged: (filter: Filter) => void;
  readonly onNotification: (message: Uint8Array, method: string) => void;
  /** Once; `error` is what broke the stream, or null. */
  readonly onClose: (isGraceful: boolean, error: GatewayError | null) => void;
}

/** Reads one listen stream. */
class ListenSink extends ContainedSink {
  readonly #plan: ListenSinkPlan;
  readonly #reader: EventReader;
  #isStream = false;
  #hasAcknowledged = false;

  constructor(plan: ListenSinkPlan) {
    super();
    this.#plan = plan;
    this.#reader = new EventReader(plan.scanner);
  }

  protected head(head: ReplyHead): void {
    this.#isStream = head.status === 200 && head.media === 'event-stream';
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#isStream) this.#reader.push(bytes, (event) => this.#event(event.data));
    return true;
  }

  protected ended(): void {
    if (this.#isStream) this.#reader.push(EMPTY, (event) => this.#event(event.data), true);
    // No stream at all is how a server says that it has no subscriptions.
    if (!this.over) this.#plan.onClose(!this.#isStream, null);
  }

  protected failed(error: GatewayError): void {
    this.#plan.onClose(false, error);
  }

  #event(data: Uint8Array): void {
    if (this.over || data.length === 0) return;
    const message = readMessage(this.#plan.scanner, data);
    if (message instanceof GatewayError) throw message;
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) {
      this.leave();
      this.#plan.onClose(kind === KIND.result, null);
    } else if (kind === KIND.notification) this.#notification(message);
  }

  #notification(message: Message): void {
    const { bytes, envelope } = message;
    const { server, onAcknowledged, onNotification } = this.#plan;
    const method = text(bytes, envelope, ENVELOPE.method) ?? '';
    if (method !== METHOD.acknowledged)
      return onNotification(splice(bytes, notificationEdits(bytes, envelope, server)), method);
    if (this.#hasAcknowledged) return;
    this.#hasAcknowledged = true;
    const filter = objectAt(bytes, envelope, ENVELOPE.notifications);
    for (const key of MARKED) {
      const own = filter[key];
      if (Array.isArray(own))
        filter[key] = own.filter((one) => typeof one === 'string').map((one) => joinUri(server, one));
    }
    onAcknowledged(filter);
  }
}
