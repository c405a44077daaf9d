// One legacy client's session at a modern server: what the client said of itself, its running calls, the questions it was asked, its streams.
// Called by sessions.ts (makes it), face.ts and call.ts. Promises: an answer reaches the one call that asked; nothing of a session outlives it.
import { GatewayError } from '../../base/errors.ts';
import { rawKey, text } from '../../mcp/envelope.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { ClientKey } from '../../upstream/upstream.ts';
import type { FaceParts } from '../face.ts';
import { type EventBudget, EventLog, type EventPlace, SESSION_STREAM } from './events.ts';
import type { ClientProfile } from './profile.ts';
import type { LegacyReply } from './reply.ts';
import { type Offers, SessionStream, type StreamSession } from './session-stream.ts';

/** What a session is made of. */
export interface SessionStart {
  readonly id: string;
  readonly parts: FaceParts;
  readonly budget: EventBudget;
  readonly client: ClientKey;
  readonly profile: ClientProfile;
  readonly offers: Offers;
}

/** A call, as its session sees it. */
export interface RunningCall {
  /** Raw spelling of the client's id. */
  readonly key: string;
  /** Number of its event stream, negative while it is none. */
  readonly stream: number;
  /** Whom it is for; its events go to nobody else. */
  readonly credentials: string;
  /** The client wants no answer any more. */
  cancel(): void;
  /** Nothing can answer it any more. */
  abort(error: GatewayError): void;
  /** The client reads the stream again, from a place on. */
  takeUp(reply: LegacyReply, place: EventPlace, events: readonly Uint8Array[]): void;
}

/** A question to the client that waits for its answer. */
export interface Question {
  /** Whom it is for; nobody else answers it. */
  readonly credentials: string;
  /** The client's whole reply. */
  settle(body: Uint8Array, envelope: Int32Array): void;
}

/** A stream of a call that is over, as long as it is kept. */
interface PastCall {
  readonly credentials: string;
}

/** Calls of one session that go on without a client at most. */
const AWAY_MAX = 64;

/** A session. */
export class LegacySession implements StreamSession {
  readonly id: string;
  readonly parts: FaceParts;
  readonly client: ClientKey;
  readonly profile: ClientProfile;
  readonly offers: Offers;
  readonly events: EventLog;
  readonly stream: SessionStream;
  /** Least severe log message that the client wants; null: none was asked for. */
  level: string | null = null;
  readonly startedAtMs: number;
  usedAtMs: number;
  readonly #calls = new Set<RunningCall>();
  /** Those whose client is away. */
  readonly #away = new Set<RunningCall>();
  /** Whose the streams are that can be taken up, by their numbers. */
  readonly #streams = new Map<number, PastCall>();
  readonly #questions = new Map<string, Question>();
  #isOver = false;

  constructor({ id, parts, budget, client, profile, offers }: SessionStart) {
    this.id = id;
    this.parts = parts;
    this.client = client;
    this.profile = profile;
    this.offers = offers;
    this.events = new EventLog(budget);
    this.startedAtMs = parts.clock.now();
    this.usedAtMs = this.startedAtMs;
    this.stream = new SessionStream(this);
  }

  get over(): boolean {
    return this.#isOver;
  }

  /** Calls under way. */
  get running(): number {
    return this.#calls.size;
  }

  /** True while something of it is in use: a stream or a running call. */
  get busy(): boolean {
    return this.stream.isOpen || this.#calls.size > 0;
  }

  touch(): void {
    this.usedAtMs = this.parts.clock.now();
  }

  /** A call begins. */
  begin(call: RunningCall): void {
    this.#calls.add(call);
  }

  /** A call is over; its events are kept for a while. */
  ended(call: RunningCall): void {
    if (!this.#calls.delete(call)) return;
    this.#away.delete(call);
    this.touch();
    if (call.stream > SESSION_STREAM) this.#streams.set(call.stream, { credentials: call.credentials });
  }

  /** The client of a call left it: it goes on, as one of a few. */
  left(call: RunningCall): void {
    this.#away.add(call);
    const [oldest] = this.#away;
    if (this.#away.size > AWAY_MAX)
      oldest?.abort(new GatewayError('GW_UPSTREAM_BUSY', 'its client left too many calls behind'));
  }

  /** The client of a call is back. */
  returned(call: RunningCall): void {
    this.#away.delete(call);
  }

  /** `notifications/cancelled` came: the newest call of that id and for these credentials ends. */
  cancel(body: Uint8Array, envelope: Int32Array, credentials: string): void {
    const key = rawKey(body, envelope, ENVELOPE.requestId);
    const isMeant = (call: RunningCall): boolean => call.key === key && call.credentials === credentials;
    [...this.#calls].findLast(isMeant)?.cancel();
  }

  /** Waits for the client's answer to a question. */
  ask(id: string, question: Question): void {
    this.#questions.set(id, question);
  }

  /** Nobody waits for it any more. */
  forget(id: string): void {
    this.#questions.delete(id);
  }

  /** A client with these credentials answered; an answer that nobody waits for is dropped. */
  answer(body: Uint8Array, envelope: Int32Array, credentials: string): void {
    const id = text(body, envelope, ENVELOPE.id) ?? '';
    const question = this.#questions.get(id);
    if (question?.credentials !== credentials) return;
    this.#questions.delete(id);
    question.settle(body, envelope);
  }

  /** A client takes the stream of a call up again; false when there is no such stream, or not for these credentials, or not without a gap. */
  takeUp(reply: LegacyReply, place: EventPlace, credentials: string): boolean {
    const call = [...this.#calls].find((one) => one.stream === place.stream);
    const owner = call ?? this.#streams.get(place.stream);
    const events = owner?.credentials === credentials ? this.events.after(place) : null;
    if (events === null) return false;
    if (call !== undefined) {
      call.takeUp(reply, place, events);
      return true;
    }
    reply.stream();
    for (const event of events) reply.event(event);
    reply.end();
    return true;
  }

  /** Lets go of what is kept for clients that will hardly come back. */
  sweep(beforeMs: number): void {
    const open = new Set([...this.#calls].map((call) => call.stream));
    this.events.sweep(beforeMs, (stream) => open.has(stream));
    for (const stream of [...this.#streams.keys()])
      if (!this.events.has(stream)) this.#streams.delete(stream);
  }

  /** Ends it and everything of it; `why` is what its running calls are told. */
  close(why: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const call of [...this.#calls]) call.abort(why);
    this.stream.close();
    this.#questions.clear();
    this.#streams.clear();
    this.events.clear();
  }
}
