// All legacy sessions of one aggregated endpoint.
// Called by proxy/aggregate-legacy.ts. Promises: ids come from the cryptographic source; sessions are bounded in number, and end with their legs when
// idle too long.
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { KeptMessages } from './kept.ts';
import type { Member } from './member.ts';
import { Session, type SessionStart, type SessionTools } from './session.ts';

const SESSION_ID_BYTES = 24;

/** What can be wrong with a session id. */
export type SessionFault = Extract<ErrorCode, 'GW_SESSION_MISSING' | 'GW_SESSION_UNKNOWN'>;

/** All sessions of one worker at one aggregated endpoint. */
export class SessionTable {
  readonly #tools: SessionTools;
  readonly #sessions = new Map<string, Session>();
  readonly #kept: KeptMessages;

  constructor(tools: SessionTools) {
    this.#tools = tools;
    this.#kept = new KeptMessages(tools.scanner);
  }

  get size(): number {
    return this.#sessions.size;
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** Makes a session, or says that there are too many. */
  open(members: readonly Member[], start: Omit<SessionStart, 'kept'>): Session | GatewayError {
    if (this.#sessions.size >= this.#tools.sessionsMax) {
      return new GatewayError('GW_SESSION_LIMIT', `${this.#sessions.size} sessions are open`);
    }
    const id = base64Url(this.#tools.random.bytes(SESSION_ID_BYTES));
    const session = new Session(id, this.#tools, members, { ...start, kept: this.#kept });
    this.#sessions.set(id, session);
    return session;
  }

  /** The session of a header's value, or the code of what is wrong. */
  find(id: string | null): Session | SessionFault {
    if (id === null) return 'GW_SESSION_MISSING';
    const session = this.#sessions.get(id);
    if (session === undefined || session.over) return 'GW_SESSION_UNKNOWN';
    session.touch();
    return session;
  }

  end(session: Session): void {
    this.#sessions.delete(session.id);
    session.close();
  }

  /** Ends what has been idle too long; called every few seconds. */
  sweep(): void {
    const oldest = this.#tools.clock.now() - this.#tools.sessionIdleMs;
    for (const session of [...this.#sessions.values()]) {
      // From the end of its use on it may be idle for the whole time.
      if (session.busy) session.touch();
      else if (session.usedAtMs < oldest) this.end(session);
    }
  }

  /** Ends every session. */
  close(): void {
    for (const session of [...this.#sessions.values()]) this.end(session);
  }
}

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
