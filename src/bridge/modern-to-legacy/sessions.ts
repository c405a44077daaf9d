// The sessions that a gateway keeps at a legacy server for modern clients, which have none of their own.
// Called by face.ts and listen.ts. Promises: clients share a session only when principal, credentials and capabilities are the same; one opening serves
// everyone who waits for it; sessions are bounded in number and end when idle.
import type { GatewayError } from '../../base/errors.ts';
import type { Message } from '../../mcp/envelope.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';

/** Who hears what a server says outside of any call. */
export interface SessionWatcher {
  /** A notification of the session: list_changed, resources/updated and whatever else came on its own stream, as the server wrote it. */
  onNotification(message: Message): void;
  /** The session was begun anew, or its stream had a gap: subscriptions may be gone, and anything may have changed meanwhile. */
  onRenewed(): void;
  /** It is over for good: closed (null), or it could not be had again. Last event, at most once. */
  onOver(error: GatewayError | null): void;
}

/** A session at the server, in use for as long as it is held. The same object for everyone who may share it. */
export interface HeldSession {
  /** Result of its initialize: capabilities, serverInfo, instructions. Another one after onRenewed(). */
  readonly result: Readonly<Record<string, unknown>>;
  /** Raw JSON of the server's serverInfo. */
  readonly serverInfo: Uint8Array;
  /** Asks the server on the gateway's own behalf (`resources/subscribe` …) and resolves with its response, an error response included. Never rejects. */
  ask(method: string, params: Readonly<Record<string, unknown>>): Promise<Message | GatewayError>;
  /** Hears the session from now on; its own event stream is open while anyone does. Returns what ends that. */
  watch(watcher: SessionWatcher): () => void;
  /** To be called once for every hold(): a session that nobody holds may end when idle. */
  release(): void;
}

/** Where sessions are had. */
export interface SessionSource {
  /** The session for a modern request, opened if there is none. Never rejects. */
  hold(request: UpstreamRequest): Promise<HeldSession | GatewayError>;
}
