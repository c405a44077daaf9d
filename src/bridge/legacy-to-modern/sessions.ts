// All legacy sessions at one modern server.
// Called by face.ts. Promises: ids come from the cryptographic source; a session is found only by who opened it, at the endpoint where it was opened; sessions are bounded in
// number, and end when idle too long.
import { type ErrorCode, GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { LiveSession } from '../../observe/ledger.ts';
import type { ClientKey } from '../../upstream/upstream.ts';
import { FACE_SESSION, type FaceParts } from '../face.ts';
import { EventBudget } from './events.ts';
import { LegacySession, type SessionStart } from './session.ts';

const ID_BYTES = 24;

/** Sessions of one worker at one server. */
export class LegacySessions {
  readonly #parts: FaceParts;
  readonly #sessions = new Map<string, LegacySession>();
  readonly #budget = new EventBudget();

  constructor(parts: FaceParts) {
    this.#parts = parts;
    parts.ledger?.add({ sessions: () => this.#live() });
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Calls under way in all of them. */
  get running(): number {
    let count = 0;
    for (const session of this.#sessions.values()) count += session.running;
    return count;
  }

  /** Why there is no room for one more, or null. */
  get fault(): GatewayError | null {
    const { size } = this.#sessions;
    if (size < this.#parts.bounds.sessionsMax) return null;
    return new GatewayError('GW_SESSION_LIMIT', `${size} sessions are open`);
  }

  /** Makes a session; there must be room. */
  open(of: Pick<SessionStart, 'client' | 'profile' | 'offers'>): LegacySession {
    const bytes = this.#parts.random.bytes(ID_BYTES);
    const id = `${FACE_SESSION}${bytes.toBase64({ alphabet: 'base64url', omitPadding: true })}`;
    const session = new LegacySession({ ...of, id, parts: this.#parts, budget: this.#budget });
    this.#sessions.set(id, session);
    return session;
  }

  /** The session that a client names, or the code of what is wrong. */
  find(
    id: string | null,
    client: ClientKey,
  ): LegacySession | Extract<ErrorCode, 'GW_SESSION_MISSING' | 'GW_SESSION_UNKNOWN'> {
    if (id === null) return 'GW_SESSION_MISSING';
    const session = this.#sessions.get(id);
    if (session === undefined || session.over) return 'GW_SESSION_UNKNOWN';
    const { principal, endpoint } = session.client;
    if (principal !== client.principal || endpoint !== client.endpoint) return 'GW_SESSION_UNKNOWN';
    session.touch();
    return session;
  }

  /** Ends a session; `why` is what its running calls are told. */
  end(session: LegacySession, why: GatewayError): void {
    this.#sessions.delete(session.id);
    session.close(why);
  }

  /** Ends what has been idle for too long. */
  sweep(): void {
    const nowMs = this.#parts.clock.now();
    const oldestMs = nowMs - this.#parts.bounds.sessionIdleMs;
    for (const session of [...this.#sessions.values()]) {
      if (session.usedAtMs < oldestMs && !session.busy)
        this.end(session, new GatewayError('GW_SESSION_UNKNOWN', 'it was idle for too long'));
      else session.sweep(nowMs - LIMITS.resumeKeptMs);
    }
  }

  #live(): LiveSession[] {
    const servers = [this.#parts.spec.name];
    return this.all().map((session) => ({
      ...{ self: session, kind: 'bridged', servers },
      endpoint: session.client.endpoint,
      startedAtMs: session.startedAtMs,
      lastUsedAtMs: session.usedAtMs,
      running: session.running,
      end: () => this.end(session, new GatewayError('GW_SESSION_ENDED')),
    }));
  }

  all(): readonly LegacySession[] {
    return [...this.#sessions.values()];
  }
}
