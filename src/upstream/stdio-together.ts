// The legacy sessions of a server that keeps nothing of its clients (`sharing: shared`): one child for all of them.
// Called by stdio.ts. Promises: the child is initialised once, as the first client asked, and its answer is every later client's; a new
// child is initialised the same way, and told again what the sessions want; nothing crosses between sessions but what concerns all.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { ClientSession, SessionEvents } from './client-session.ts';
import type { StdioCore } from './stdio-core.ts';
import { copyOf, NOBODY } from './stdio-handshake.ts';
import { Keeper, type Shift } from './stdio-keeper.ts';
import { type Message, place } from './stdio-message.ts';
import { Reply } from './stdio-reply.ts';
import { type Commune, TogetherSession } from './stdio-together-session.ts';
import { type Audience, TogetherVoice } from './stdio-together-voice.ts';
import { levelName, NO_LEVEL } from './stdio-wishes.ts';

/** What the server answered to initialize. */
export interface HandshakeAnswer {
  readonly line: Uint8Array;
  readonly envelope: Int32Array;
}

/** So long a server may go on with a call that was given up, before it takes note. */
const ABANDONED_MS = 30_000;
const INITIALIZED = encode(`{"jsonrpc":"2.0","method":"${METHOD.initialized}"}`);

/** The sessions and their child. */
export class Together implements Commune, Audience {
  readonly core: StdioCore;
  readonly keeper: Keeper;
  readonly members = new Set<TogetherSession>();
  /** The first client's initialize, and what became of it; null before. */
  #initialize: Message | null = null;
  #answer: HandshakeAnswer | null = null;
  /** When sessions last gave up a call. */
  readonly #abandonedAt = new Map<TogetherSession, number>();
  /** The most verbose level that the child was told. */
  #toldLevel = NO_LEVEL;

  constructor(core: StdioCore) {
    this.core = core;
    this.keeper = new Keeper(core, {
      kind: 'legacy-shared',
      voiceOf: (shift) => new TogetherVoice(core, this, shift),
      prepare: (shift, ready) => this.#prepare(shift, ready),
      isWanted: () => this.#isWanted(),
      onOver: (shift) => {
        for (const member of this.members) member.asked.forget(shift);
      },
    });
  }

  /** Makes a session. */
  begin(events: SessionEvents): ClientSession {
    return new TogetherSession(this, events);
  }

  // ── the handshake ────────────────────────────────────────────────────────────────────────────────────────────────

  propose(initialize: Message): void {
    // Without a session or a process nothing binds the next client to what an earlier one had agreed on.
    if (this.#initialize !== null && (this.members.size > 0 || !this.keeper.isDown)) return;
    this.#initialize = copyOf(initialize);
    this.#answer = null;
  }

  get answer(): HandshakeAnswer {
    if (this.#answer === null) throw new GatewayError('GW_BASE_INTERNAL', 'no handshake was made');
    return this.#answer;
  }

  #prepare(shift: Shift, ready: () => void): void {
    const initialize = this.#initialize;
    if (initialize === null) throw new GatewayError('GW_BASE_INTERNAL', 'no handshake to make');
    shift.pipe.awaitAnswer(this.core.keep.startMs);
    this.#toldLevel = NO_LEVEL;
    this.#abandonedAt.clear();
    this.#send(shift, initialize, (line, envelope) => {
      this.#answer = { line: line.slice(), envelope: envelope.slice() };
      if (place(envelope, ENVELOPE.kind) === KIND.result) {
        shift.pipe.write(INITIALIZED, []);
        this.#repeatWishes(shift);
        ready();
        return;
      }
      // Whoever asked is told; the next one may ask otherwise.
      ready();
      this.#initialize = null;
      const error = new GatewayError('GW_SESSION_UNKNOWN', 'its new process refused to be initialised again');
      for (const member of [...this.members]) member.end(error);
      this.keeper.dismiss(shift);
    });
  }

  // ── what the sessions want, together ─────────────────────────────────────────────────────────────────────────────

  isTold(level: number): boolean {
    return this.#toldLevel <= level;
  }

  told(level: number): void {
    this.#toldLevel = Math.min(this.#toldLevel, level);
  }

  holds(uri: string, except: TogetherSession): boolean {
    for (const member of this.members) if (member !== except && member.wishes.uris.has(uri)) return true;
    return false;
  }

  abandoned(member: TogetherSession): void {
    this.#abandonedAt.delete(member);
    this.#abandonedAt.set(member, this.core.runtime.clock.now());
  }

  isAtWorkForOthers(session: TogetherSession): boolean {
    const since = this.core.runtime.clock.now() - ABANDONED_MS;
    for (const [other, at] of this.#abandonedAt) {
      if (at < since) this.#abandonedAt.delete(other);
      else if (other !== session) return true;
    }
    return false;
  }

  left(member: TogetherSession): void {
    this.members.delete(member);
    const shift = this.keeper.current;
    if (shift === null) return;
    for (const uri of member.wishes.uris)
      if (!this.holds(uri, member)) this.#ask(shift, METHOD.unsubscribe, { uri });
  }

  #isWanted(): boolean {
    for (const member of this.members) if (member.listens || member.wishes.uris.size > 0) return true;
    return false;
  }

  /** A new child knows nothing of what the sessions asked of its predecessor. */
  #repeatWishes(shift: Shift): void {
    let level = NO_LEVEL;
    const uris = new Set<string>();
    for (const { wishes } of this.members) {
      level = Math.min(level, wishes.level);
      for (const uri of wishes.uris) uris.add(uri);
    }
    if (level < NO_LEVEL) {
      this.#toldLevel = level;
      this.#ask(shift, METHOD.setLevel, { level: levelName(level) });
    }
    for (const uri of uris) this.#ask(shift, METHOD.subscribe, { uri });
  }

  /** Asks something of the gateway's own; nobody waits for the answer. */
  #ask(shift: Shift, method: string, params: Readonly<Record<string, string>>): void {
    const body = encode(JSON.stringify({ jsonrpc: '2.0', id: 0, method, params }));
    const envelope = new Int32Array(ENVELOPE.length);
    this.core.scanner.scan(body, 0, body.length, envelope);
    this.#send(shift, { body, envelope, edits: [] }, null);
  }

  #send(
    shift: Shift,
    message: Message,
    heard: ((line: Uint8Array, envelope: Int32Array) => void) | null,
  ): void {
    const { deadlines, spec, runtime } = this.core;
    const reply = new Reply(NOBODY, runtime.clock);
    reply.release();
    const call = shift.calls.send(message, {
      reply,
      deadline: null,
      onAnswer: (line, envelope) => {
        heard?.(line, envelope);
        return null;
      },
    });
    // The handshake has a bound of its own: startMs.
    if (call !== null && heard === null)
      call.deadline = deadlines.set(spec.firstByteTimeoutMs, () => shift.calls.expire(call));
  }
}
