// A legacy session of an aggregated endpoint: one client session over one session ("leg") at each member server.
// Called by sessions.ts (makes it) and proxy/aggregate-legacy.ts. Promises: a leg whose server lost it is healed once for all who wait; a leg is used only after
// its server was told that the client is initialized; the session's end is every leg's end.
import { GatewayError } from '../base/errors.ts';
import { has, type Message, objectAt, rawKey, span } from '../mcp/envelope.ts';
import { isSafeToken } from '../mcp/headers.ts';
import { isObject, stringMember } from '../mcp/json.ts';
import { LEGACY_VERSIONS } from '../mcp/protocol.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import type { ClientKey } from '../upstream/upstream.ts';
import type { Collected } from './collect.ts';
import type { KeptMessages } from './kept.ts';
import { type Leg, NO_RESULT, newLeg, takeResult } from './leg.ts';
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
}

/** What a session is made of: the bytes of the client's `initialize` and the headers that every leg may see. */
export interface SessionStart {
  readonly initialize: Uint8Array;
  readonly headers: readonly string[];
  readonly client: ClientKey;
  /** Keeps that, and what else a late leg must hear. */
  readonly kept: KeptMessages;
}

/** True when a server said that it does not know the session, so that it executed nothing. */
export function isSessionLost(reply: Collected | GatewayError): boolean {
  return reply instanceof GatewayError ? reply.code === 'GW_SESSION_UNKNOWN' : reply.status === 404;
}

/** A legacy client's session at an aggregated endpoint. */
export class Session implements StreamOwner {
  readonly id: string;
  readonly legs: readonly Leg[];
  readonly running = new RunningCalls();
  readonly stream: SessionStream;
  usedAtMs: number;
  readonly tools: SessionTools;
  readonly #headers: readonly string[];
  readonly #client: ClientKey;
  readonly #kept: KeptMessages;
  readonly #initialize: Uint8Array;
  /** Notifications that a late or healed leg must hear as well: they set what its server is to know of the client. */
  #initialized: Uint8Array | null = null;
  #level: Uint8Array | null = null;
  readonly #questions: Questions;
  #over = false;

  constructor(id: string, tools: SessionTools, members: readonly Member[], start: SessionStart) {
    this.id = id;
    this.tools = tools;
    this.#headers = start.headers;
    this.#client = start.client;
    this.#kept = start.kept;
    this.#initialize = start.kept.keep(start.initialize);
    this.#questions = new Questions(tools.scanner);
    this.usedAtMs = tools.clock.now();
    this.legs = members.map(newLeg);
    this.stream = new SessionStream(this);
  }

  get over(): boolean {
    return this.#over;
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
    const headers = [...this.#headers];
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
    const call: MemberCall = {
      era: 'legacy',
      headers: this.#headers,
      session: null,
      exchangeId: this.id.slice(0, 8),
      client: this.#client,
    };
    const reply = await ask(
      this.tools,
      leg.member,
      { call, draft },
      { timeoutMs: memberTimeoutMs, onOther: (message) => this.stream.push(leg, message, null) },
    );
    const fault = reply instanceof GatewayError ? reply : takeInitialize(leg, reply);
    leg.fault = fault;
    leg.retryAtMs = clock.now() + (clock.now() - startedAtMs);
    if (fault !== null) return fault;
    if (this.#initialized !== null) await this.#tell(leg, this.#kept.draft(this.#initialized));
    if (this.#level !== null) void this.#tell(leg, this.#kept.draft(this.#level));
    leg.ready = true;
    if (this.#over) {
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

  /** The client's initialize is answered: of its legs' results only what they declared matters from now on. */
  forgetResults(): void {
    for (const leg of this.legs) leg.result = NO_RESULT;
  }

  /** Ends the session and its legs. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.end();
    for (const leg of this.legs) if (leg.ready) this.#closeLeg(leg);
  }

  #closeLeg(leg: Leg): void {
    leg.ready = false;
    if (leg.sessionId === null) return;
    leg.member.upstream.send(bareRequest('DELETE', this.callOf(leg)), new IgnoreSink());
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends a notification or an answer to a leg; failures are logged, there is nobody to tell. */
  async #tell(leg: Leg, draft: Draft): Promise<void> {
    const bounds = {
      timeoutMs: this.tools.memberTimeoutMs,
      onOther: (message: Message) => this.stream.push(leg, message, null),
    };
    const reply = await ask(this.tools, leg.member, { call: this.callOf(leg), draft }, bounds);
    if (!(reply instanceof GatewayError)) return;
    this.tools.log.warn('a notification did not reach its server', {
      server: leg.member.spec.name,
      code: reply.code,
    });
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
    this.#level = this.#kept.keep(draft.body);
    this.tellAll(draft);
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
    return this.#questions.toClient(leg, message);
  }
}

function sessionOver(): GatewayError {
  return new GatewayError('GW_SESSION_UNKNOWN', 'it ended meanwhile');
}

/** Reads a server's answer to initialize into its leg; returns what is wrong with it, or null. */
function takeInitialize(leg: Leg, { message, status, sessionId }: Collected): GatewayError | null {
  const at = message === null ? null : span(message.envelope, ENVELOPE.result);
  if (message === null || at === null || !isObject(message.bytes, at.start)) {
    const what = message === null ? 'no message' : 'no result';
    return new GatewayError('GW_UPSTREAM_MESSAGE', `initialize was answered with HTTP ${status} and ${what}`);
  }
  const version = stringMember(message.bytes, at.start, 'protocolVersion');
  if (version !== null && !isSafeToken(version))
    return new GatewayError(
      'GW_UPSTREAM_MESSAGE',
      'initialize was answered with a malformed protocolVersion',
    );
  takeResult(leg, objectAt(message.bytes, message.envelope, ENVELOPE.result));
  leg.sessionId = sessionId;
  // Sessions are many and versions few: the text is kept once.
  leg.protocolVersion = LEGACY_VERSIONS.find((known) => known === version) ?? version;
  return null;
}
