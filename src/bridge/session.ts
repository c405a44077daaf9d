// A legacy session of an aggregated endpoint: one client session over one session ("leg") at each member server.
// Called by sessions.ts (makes it) and proxy/aggregate-legacy.ts. Promises: a leg whose server lost it is healed once for all who wait; a leg is used only after
// its server was told that the client is initialized; the session's end is every leg's end.
import { GatewayError } from '../base/errors.ts';
import { has, kindOf, type Message, rawKey, text } from '../mcp/envelope.ts';
import { type SessionNote, SessionNotes, sessionNote } from '../mcp/session-notes.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import type { ClientKey } from '../upstream/upstream.ts';
import type { KeptMessages } from './kept.ts';
import { type Leg, NO_RESULT, newLeg, takeInitialize } from './leg.ts';
import { LegHeaders } from './leg-headers.ts';
import { IgnoreSink } from './leg-stream.ts';
import { ask, bareRequest, type Draft, type Member, type MemberCall } from './member.ts';
import { Questions } from './questions.ts';
import { RunningCalls } from './running.ts';
import { SessionStream, type StreamOwner } from './session-stream.ts';

/** What sessions need of their surroundings. */
export interface SessionTools {
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  readonly memberTimeoutMs: number;
  /** Hears which of a member's lists have changed, as the notification's method says. */
  readonly onListChanged?: (member: Member, method: string) => void;
}

/** What a session is made of: the bytes of the client's `initialize`, the headers that every leg may see, and those that some may. */
export interface SessionStart {
  readonly initialize: Uint8Array;
  readonly headers: readonly string[];
  readonly optional: readonly string[];
  readonly client: ClientKey;
  /** Keeps that, and what else a late leg must hear. */
  readonly kept: KeptMessages;
}

/** A legacy client's session at an aggregated endpoint. */
export class Session implements StreamOwner {
  readonly id: string;
  #legs: readonly Leg[];
  /** Of servers that are none of the endpoint's any more, but may still have something to finish; null when there are none. */
  #leaving: Set<Leg> | null = null;
  /** Lists of all members that it ever had, as Leg.lists, as far as they are none of its legs any more. */
  #declared = 0;
  readonly running = new RunningCalls(() => this.touch());
  readonly stream: SessionStream;
  readonly startedAtMs: number;
  usedAtMs: number;
  readonly tools: SessionTools;
  readonly headers: LegHeaders;
  readonly #client: ClientKey;
  readonly #kept: KeptMessages;
  readonly #initialize: Uint8Array;
  /** A late or healed leg must hear it as well, and the level, and what is noted of the leg. */
  #initialized: Uint8Array | null = null;
  #notes: SessionNotes | null = null;
  readonly #questions: Questions;
  #over = false;

  constructor(id: string, tools: SessionTools, members: readonly Member[], start: SessionStart) {
    this.id = id;
    this.tools = tools;
    this.headers = new LegHeaders(start.headers, start.optional);
    this.#client = start.client;
    this.#kept = start.kept;
    this.#initialize = start.kept.keep(start.initialize);
    this.#questions = new Questions(tools.scanner);
    this.startedAtMs = tools.clock.now();
    this.usedAtMs = this.startedAtMs;
    this.#legs = members.map(newLeg);
    this.stream = new SessionStream(this);
  }

  get over(): boolean {
    return this.#over;
  }

  /** One for each member, in their order. */
  get legs(): readonly Leg[] {
    return this.#legs;
  }

  /** True while something of it is in use: a stream or a running call. */
  get busy(): boolean {
    return this.stream.isOpen || this.running.open > 0;
  }

  touch(): void {
    this.usedAtMs = this.tools.clock.now();
  }

  /** The leg of a server by name, or null. */
  legOf(server: string): Leg | null {
    return this.legs.find((leg) => leg.member.spec.name === server) ?? null;
  }

  /** How to speak to a leg. */
  legCall(leg: Leg, exchangeId: string): MemberCall {
    const headers = this.headers.of(leg);
    if (leg.protocolVersion !== null) headers.push('mcp-protocol-version', leg.protocolVersion);
    return { era: 'legacy', headers, session: leg.sessionId, exchangeId, client: this.#client };
  }

  /** The same for what no exchange of the client asks for. */
  callOf(leg: Leg): MemberCall {
    return this.legCall(leg, this.id.slice(0, 8));
  }

  // ── legs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Initializes a leg; resolves with what went wrong, or null. */
  async openLeg(leg: Leg): Promise<GatewayError | null> {
    const { clock, memberTimeoutMs } = this.tools;
    const startedAtMs = clock.now();
    const draft = this.#kept.draft(this.#initialize);
    const call = { ...this.callOf(leg), headers: this.headers.of(leg), session: null };
    const reply = await ask(
      this.tools,
      leg.member,
      { call, draft },
      { timeoutMs: memberTimeoutMs, onOther: (message) => this.stream.push(leg, message, null) },
    );
    const fault = reply instanceof GatewayError ? reply : takeInitialize(leg, reply);
    leg.fault = fault;
    leg.isRefused = fault !== null && !(reply instanceof GatewayError) && reply.status < 500;
    leg.retryAtMs = clock.now() + (clock.now() - startedAtMs);
    if (fault !== null) return fault;
    if (this.#initialized !== null) await this.#tell(leg, this.#kept.draft(this.#initialized));
    await this.#repeat(leg);
    leg.ready = true;
    if (this.#over || !this.#isOwn(leg)) {
      this.#closeLeg(leg);
      return sessionOver();
    }
    this.stream.openLeg(leg);
    return null;
  }

  /**
   * Makes a leg usable again whose session its server has lost, or that never was. `lost` is the session that was lost: when another one has taken its
   * place meanwhile, nothing is to be done. One heal serves all who wait.
   */
  heal(leg: Leg, lost: string | null): Promise<GatewayError | null> {
    if (this.#over) return Promise.resolve(sessionOver());
    if (leg.healing !== null) return leg.healing;
    if (leg.ready && leg.sessionId !== lost) return Promise.resolve(null);
    leg.ready = false;
    this.stream.closeLeg(leg);
    leg.healing = this.openLeg(leg).finally(() => {
      leg.healing = null;
      leg.result = NO_RESULT;
    });
    return leg.healing;
  }

  /**
   * The endpoint has these members from now on. Legs of those that stay go on; a member that is new gets one, which is opened when it is first needed and told
   * what the client had set at the member of that name before; the client hears that its lists have changed.
   */
  regroup(members: readonly Member[]): void {
    const former = this.#legs;
    this.#legs = members.map((member, index) => {
      const leg = former.find((one) => one.member === member);
      const notes = former.find((one) => one.member.spec.name === member.spec.name)?.notes ?? null;
      return leg ?? { ...newLeg(member, index), notes };
    });
    for (const leg of former) {
      this.#declared |= leg.lists;
      if (this.#legs.includes(leg)) continue;
      this.#leaving ??= new Set();
      this.#leaving.add(leg);
    }
    this.stream.tellChanged(this.#declared);
  }

  /** Nothing runs any more at these former members: their legs end. */
  release(members: ReadonlySet<Member>): void {
    for (const leg of this.#leaving ?? []) {
      if (!members.has(leg.member)) continue;
      this.#leaving?.delete(leg);
      this.stream.closeLeg(leg);
      if (leg.ready) this.#closeLeg(leg);
    }
    if (this.#leaving?.size === 0) this.#leaving = null;
  }

  #isOwn(leg: Leg): boolean {
    return this.#legs.includes(leg) || this.#leaving?.has(leg) === true;
  }

  /** The client's initialize is answered: of its legs' results only what they declared matters from now on. */
  forgetResults(): void {
    for (const leg of this.legs) leg.result = NO_RESULT;
  }

  /** Ends the session and its legs. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.end();
    for (const leg of this.#leaving ?? []) this.stream.closeLeg(leg);
    for (const leg of [...this.#legs, ...(this.#leaving ?? [])]) if (leg.ready) this.#closeLeg(leg);
  }

  #closeLeg(leg: Leg): void {
    leg.ready = false;
    if (leg.sessionId === null) return;
    leg.member.upstream.send(bareRequest('DELETE', this.callOf(leg)), new IgnoreSink());
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what nobody waits for to a leg; failures are logged, there is nobody to tell. False: it did not arrive. */
  async #tell(leg: Leg, draft: Draft): Promise<boolean> {
    const bounds = {
      timeoutMs: this.tools.memberTimeoutMs,
      onOther: (message: Message) => this.stream.push(leg, message, null),
    };
    const reply = await ask(this.tools, leg.member, { call: this.callOf(leg), draft }, bounds);
    if (!(reply instanceof GatewayError)) return true;
    this.tools.log.warn('a notification did not reach its server', {
      server: leg.member.spec.name,
      code: reply.code,
    });
    return false;
  }

  /** Tells a leg's new session what its client had set in the old one. */
  async #repeat(leg: Leg): Promise<void> {
    for (const body of [...(this.#notes?.repeats() ?? []), ...(leg.notes?.repeats() ?? [])])
      if (!(await this.#tell(leg, this.#kept.draft(body)))) return;
  }

  /** Sends a notification to every leg that is up. */
  tellAll(draft: Draft): void {
    for (const leg of this.legs) if (leg.ready) void this.#tell(leg, draft);
  }

  /** `notifications/initialized` came: every leg that is up hears it, later ones hear it when they are. */
  initialized(draft: Draft): void {
    this.#initialized = this.#kept.keep(draft.body);
    this.tellAll(draft);
  }

  /** `logging/setLevel` came: likewise. */
  setLevel(draft: Draft): void {
    const note = sessionNote(this.tools.scanner, draft);
    if (note !== null) {
      this.#notes ??= new SessionNotes();
      this.#notes.take({ ...note, params: this.#kept.keep(note.params) });
    }
    this.tellAll(draft);
  }

  /** A request set something at a leg's server. */
  noted(leg: Leg, note: SessionNote): void {
    leg.notes ??= new SessionNotes();
    leg.notes.take(note);
  }

  /** The client answered a server's request: the answer goes to that server under its own id. An answer that nobody waits for is dropped. */
  answer(body: Uint8Array, envelope: Int32Array): void {
    const found = this.#questions.answer(body, envelope);
    if (found !== null) void this.#tell(found.leg, found.draft);
  }

  /** A client's progress notification goes to the server whose request it is about. */
  progress(draft: Draft): void {
    const found = draft.envelope === null ? null : this.#questions.progress(draft.body, draft.envelope);
    if (found !== null) void this.#tell(found.leg, found.draft);
  }

  /** Forwards `notifications/cancelled` to the leg that runs the request. */
  cancel(draft: Draft): void {
    if (draft.envelope === null || !has(draft.envelope, ENVELOPE.requestId)) return;
    const leg = this.running.legOf(rawKey(draft.body, draft.envelope, ENVELOPE.requestId));
    if (leg !== null) void this.#tell(leg, draft);
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A server's notification or request as the client is to see it. */
  toClient(leg: Leg, message: Message): Uint8Array | null {
    const { onListChanged } = this.tools;
    if (onListChanged !== undefined && kindOf(message.envelope) === KIND.notification)
      onListChanged(leg.member, text(message.bytes, message.envelope, ENVELOPE.method) ?? '');
    return this.#questions.toClient(leg, message);
  }
}

function sessionOver(): GatewayError {
  return new GatewayError('GW_SESSION_UNKNOWN', 'it ended meanwhile');
}
