// What a legacy client's session is to whoever keeps sessions, whether it has a process or connection of its own or shares one.
// Called by legacy-sessions.ts; implemented by stdio-session.ts and stdio-together-session.ts. Promises: interfaces only; a session ends once,
// and fails whatever is under way then.
import type { GatewayError } from '../base/errors.ts';
import type { Message } from './stdio-message.ts';
import type { Reply } from './stdio-reply.ts';

/** One client's session, from its initialize on. */
export interface ClientSession {
  /** Calls that the client waits for. */
  readonly awaited: number;
  /** Calls that wait for a start. */
  readonly waiting: number;
  /** True when calls are in flight. */
  readonly busy: boolean;
  /** Milliseconds since it was last of use; 0 while a call or a stream is open. */
  idleMs(): number;
  /** The first message. A failure of any kind ends the session. */
  initialize(message: Message, reply: Reply, firstByteMs: number): void;
  /** One message, or the messages of a batch, that the client sent. */
  post(messages: readonly Message[], reply: Reply, firstByteMs: number): void;
  /** The client opens the session's event stream. */
  listen(reply: Reply): void;
  /** Ends the event stream, which never ends by itself. */
  endStream(): void;
  /** Ends the session: calls fail with the error; a process of its own is stopped with the graces given in ms. */
  end(error: GatewayError, stopGraceMs?: number, killGraceMs?: number): void;
}

/** What the keeper of sessions hears of one. */
export interface SessionEvents {
  /** initialize succeeded; gives the session's id. */
  onOpen(session: ClientSession): string;
  /** It is over, whoever ended it. Exactly once. */
  onEnd(session: ClientSession): void;
}
