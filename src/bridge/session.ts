// A legacy session of an aggregated endpoint: one client session over one session ("leg") at each member server.
// Called by sessions.ts (makes it) and proxy/aggregate-legacy.ts. Promises: a leg whose server lost it is healed once for all who wait; what servers say while
// the client has no stream is kept, within bounds; the session's end is every leg's end.
import { decode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { has, type Message, objectAt, rawKey, span } from '../mcp/envelope.ts';
import { stringMember } from '../mcp/json.ts';
import { fullEvent, joinEventId, type StreamEvent } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import type { Collected } from './collect.ts';
import { type Leg, newLeg } from './leg.ts';
import { IgnoreSink, LegStreamSink } from './leg-stream.ts';
import { ask, bareRequest, type Draft, type Member, type MemberCall } from './member.ts';
import { Questions } from './questions.ts';

/** What sessions need of their surroundings. */
export interface SessionTools {
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  readonly memberTimeoutMs: number;
}

/** The client's event stream, as a session sees it. */
export interface ClientStream {
  write(bytes: Uint8Array): boolean;
  end(): void;
}

/** A request that runs, or ran until its stream broke off. */
interface Running {
  readonly leg: Leg;
  readonly method: string;
}

const RUNNING_MAX = 1_024;

/** A leg's call that opens an event stream, from where it broke off if an id is given. */
export function streamCall(call: MemberCall, lastEventId: string | null): MemberCall {
  // The session's headers accept both media types, as POSTs must; a GET takes events only.
  const rest = call.headers.filter((_, i, all) => all[i - (i % 2)] !== 'accept');
  const headers = [...rest, 'accept', 'text/event-stream'];
  if (lastEventId !== null) headers.push('last-event-id', lastEventId);
  return { ...call, headers };
}

/** A legacy client's session at an aggregated endpoint. */
export class Session {
  readonly id: string;
  readonly legs: readonly Leg[];
  /** Raw request id → what runs under it, for cancellation and for streams that are taken up again. */
  readonly #running = new Map<string, Running>();
  usedAtMs: number;
  /** The client's `initialize`, kept to heal a leg. */
  readonly #initialize: Draft;
  readonly #tools: SessionTools;
  readonly #headers: readonly string[];
  readonly #questions: Questions;
  #backlog: Uint8Array[] = [];
  #stream: ClientStream | null = null;
  #initialized: Draft | null = null;
  #calls = 0;
  #over = false;

  constructor(
    id: string,
    tools: SessionTools,
    members: readonly Member[],
    start: { initialize: Draft; headers: readonly string[] },
  ) {
    this.id = id;
    this.#tools = tools;
    this.#initialize = start.initialize;
    this.#headers = start.headers;
    this.#questions = new Questions(tools.scanner);
    this.usedAtMs = tools.clock.now();
    this.legs = members.map(newLeg);
  }

  get over(): boolean {
    return this.#over;
  }

  /** True while something of it is in use: a stream or a running call. */
  get busy(): boolean {
    return this.#stream !== null || this.#calls > 0;
  }

  get hasStream(): boolean {
    return this.#stream !== null;
  }

  touch(): void {
    this.usedAtMs = this.#tools.clock.now();
  }

  /** A request begins at a leg. Its id is remembered beyond its stream, which the client may take up again. */
  began(id: string, leg: Leg, method: string): void {
    this.#calls++;
    this.#running.delete(id);
    if (this.#running.size >= RUNNING_MAX) this.#running.delete(this.#running.keys().next().value ?? '');
    this.#running.set(id, { leg, method });
  }

  /** A request's stream is over; `isAnswered` when its response was on it. */
  ended(id: string, isAnswered: boolean): void {
    this.#calls--;
    if (isAnswered) this.#running.delete(id);
    this.touch();
  }

  /** Method of the request that a response belongs to, '' when it is not known. */
  methodOf(response: Message): string {
    return this.#running.get(rawKey(response.bytes, response.envelope, ENVELOPE.id) ?? '')?.method ?? '';
  }

  /** The leg of a server by name, or null. */
  legOf(server: string): Leg | null {
    return this.legs.find((leg) => leg.member.spec.name === server) ?? null;
  }

  /** How to speak to a leg. */
  legCall(leg: Leg, exchangeId: string): MemberCall {
    const headers = [...this.#headers];
    if (leg.protocolVersion !== null) headers.push('mcp-protocol-version', leg.protocolVersion);
    return { era: 'legacy', headers, session: leg.sessionId, exchangeId };
  }

  /** Initializes a leg; resolves with what went wrong, or null. */
  async openLeg(leg: Leg): Promise<GatewayError | null> {
    const call: MemberCall = {
      era: 'legacy',
      headers: this.#headers,
      session: null,
      exchangeId: this.id.slice(0, 8),
    };
    const reply = await ask(
      this.#tools,
      leg.member,
      { call, draft: this.#initialize },
      this.#tools.memberTimeoutMs,
    );
    const fault = reply instanceof GatewayError ? reply : this.#takeInitialize(leg, reply);
    leg.fault = fault;
    leg.ready = fault === null;
    if (fault === null && this.#over) this.#closeLeg(leg);
    else if (fault === null && this.#initialized !== null) {
      await this.tellLeg(leg, this.#initialized);
      if (this.#stream !== null) this.#openLegStream(leg);
    }
    return fault;
  }

  #takeInitialize(leg: Leg, reply: Collected): GatewayError | null {
    const message = reply.message;
    const at = message === null ? null : span(message.envelope, ENVELOPE.result);
    if (message === null || at === null)
      return new GatewayError(
        'GW_UPSTREAM_MESSAGE',
        `initialize was answered with ${initializeFault(reply)}`,
      );
    leg.result = objectAt(message.bytes, message.envelope, ENVELOPE.result);
    leg.sessionId = reply.sessionId;
    leg.protocolVersion = stringMember(message.bytes, at.start, 'protocolVersion');
    return null;
  }

  /** Makes a leg usable again whose session its server has lost. One heal serves all who wait. */
  heal(leg: Leg): Promise<GatewayError | null> {
    leg.ready = false;
    leg.stream?.abort();
    leg.stream = null;
    leg.healing ??= this.openLeg(leg).finally(() => {
      leg.healing = null;
    });
    return leg.healing;
  }

  /** Sends a notification or an answer to a leg; failures are logged, there is nobody to tell. */
  async tellLeg(leg: Leg, draft: Draft): Promise<void> {
    const reply = await ask(
      this.#tools,
      leg.member,
      { call: this.legCall(leg, this.id.slice(0, 8)), draft },
      this.#tools.memberTimeoutMs,
    );
    if (reply instanceof GatewayError) {
      this.#tools.log.warn('a notification did not reach its server', {
        server: leg.member.spec.name,
        code: reply.code,
      });
    }
  }

  /** `notifications/initialized` came: every leg that is up hears it, later ones hear it when they are. */
  initialized(draft: Draft): void {
    this.#initialized = draft;
    for (const leg of this.legs) if (leg.ready) void this.tellLeg(leg, draft);
  }

  /** Sends a notification to every leg that is up. */
  tellAll(draft: Draft): void {
    for (const leg of this.legs) if (leg.ready) void this.tellLeg(leg, draft);
  }

  /** The client opened its event stream: what waited goes out, and every leg's stream is opened, one of them from where it broke off. */
  openStream(stream: ClientStream, resumed: { readonly leg: Leg; readonly eventId: string } | null): void {
    this.#stream = stream;
    for (const event of this.#backlog) stream.write(event);
    this.#backlog = [];
    for (const leg of this.legs) {
      if (leg.ready) this.#openLegStream(leg, resumed?.leg === leg ? resumed.eventId : null);
    }
  }

  /** The client's stream is gone. */
  closeStream(stream: ClientStream): void {
    if (this.#stream !== stream) return;
    this.#stream = null;
    for (const leg of this.legs) {
      leg.stream?.abort();
      leg.stream = null;
    }
  }

  /** Keeps an idle stream open through proxies in between. */
  keepAlive(comment: Uint8Array): void {
    this.#stream?.write(comment);
  }

  #openLegStream(leg: Leg, lastEventId: string | null = null): void {
    if (leg.stream !== null) return;
    const call = this.legCall(leg, this.id.slice(0, 8));
    const sink = new LegStreamSink(
      this.#tools.scanner,
      (message, event) => this.#fromLegStream(leg, message, event),
      () => {
        leg.stream = null;
      },
    );
    leg.stream = leg.member.upstream.send(bareRequest('GET', streamCall(call, lastEventId)), sink);
  }

  #fromLegStream(leg: Leg, message: Message, read: StreamEvent): void {
    const bytes = this.toClient(leg, message);
    if (bytes === null) return;
    const id = read.id === null ? null : joinEventId(leg.member.spec.name, 'session', decode(read.id));
    const event = fullEvent(bytes, id, null);
    if (this.#stream !== null) this.#stream.write(event);
    else if (this.#backlog.length < LIMITS.sessionBacklogMax) this.#backlog.push(event);
    else
      this.#tools.log.warn('a message was dropped: the client opened no stream and its backlog is full', {
        server: leg.member.spec.name,
      });
  }

  /** A server's notification or request as the client is to see it. */
  toClient(leg: Leg, message: Message): Uint8Array | null {
    return this.#questions.toClient(leg, message);
  }

  /** The client answered a server's request: the answer goes to that server under its own id. An answer that nobody waits for is dropped. */
  answer(body: Uint8Array, envelope: Int32Array): void {
    const found = this.#questions.answer(body, envelope);
    if (found !== null) void this.tellLeg(found.leg, found.draft);
  }

  /** A client's progress notification goes to the server whose request it is about. */
  progress(draft: Draft): void {
    const leg = draft.envelope === null ? null : this.#questions.legOfProgress(draft.body, draft.envelope);
    if (leg !== null) void this.tellLeg(leg, draft);
  }

  /** Ends the session and its legs. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    const stream = this.#stream;
    if (stream !== null) this.closeStream(stream);
    stream?.end();
    for (const leg of this.legs) if (leg.ready) this.#closeLeg(leg);
  }

  #closeLeg(leg: Leg): void {
    leg.ready = false;
    if (leg.sessionId === null) return;
    const call = this.legCall(leg, this.id.slice(0, 8));
    leg.member.upstream.send(bareRequest('DELETE', call), new IgnoreSink());
  }

  /** Forwards `notifications/cancelled` to the leg that runs the request. */
  cancel(draft: Draft): void {
    if (draft.envelope === null || !has(draft.envelope, ENVELOPE.requestId)) return;
    const running = this.#running.get(rawKey(draft.body, draft.envelope, ENVELOPE.requestId) ?? '');
    if (running !== undefined) void this.tellLeg(running.leg, draft);
  }
}

function initializeFault(reply: Collected): string {
  if (reply.message === null) return `HTTP ${reply.status} and no message`;
  return `HTTP ${reply.status} and an error`;
}
