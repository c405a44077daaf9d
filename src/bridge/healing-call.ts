// One request of a session that can be healed: sent, and sent once more when its server said that it does not know the session.
// Called by healing.ts. Promises: what upstream.ts promises of a call; only a refusal that proves that nothing was executed leads to another try, and to one at most.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { isLostSession, mayBeLost } from '../mcp/lost-session.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import type { SealedSession } from './healed-sessions.ts';
import { type HeldReply, heldReply, keptHead, replay } from './held-reply.ts';

/** Who knows where a session lives now, and makes it live again. */
export interface SessionHealer {
  /** The id that the session has at its server now. */
  currentId(session: SealedSession): string;
  /** Sends to the server, under that id. */
  sendHere(request: UpstreamRequest, session: SealedSession, sink: UpstreamSink): UpstreamCall;
  /** Sends by way of the worker that heals this session; null when that is this one. */
  sendAway(request: UpstreamRequest, session: SealedSession, sink: UpstreamSink): UpstreamCall | null;
  /** True when another worker is to be asked from the start: it has healed the session, or is to remember what this request sets. */
  isAway(request: UpstreamRequest, session: SealedSession): boolean;
  /** Another worker heals it from now on. */
  moved(session: SealedSession): void;
  /** The id that the session has now, `used` being lost; null when it is refused, or why there is none. */
  heal(request: UpstreamRequest, session: SealedSession, used: string): Promise<string | GatewayError | null>;
}

/** A head with another session id. */
export function renamed(head: ReplyHead, sessionId: string): ReplyHead {
  const { status, media, contentLength, whole } = head;
  return { status, media, contentLength, whole, sessionId, header: (name) => head.header(name) };
}

/** One request of a session, and once more after its session was healed. */
export class HealingCall implements UpstreamCall, UpstreamSink {
  readonly #owner: SessionHealer;
  readonly #request: UpstreamRequest;
  readonly #session: SealedSession;
  readonly #sink: UpstreamSink;
  /** The id that the request went out under. */
  #used: string;
  #call: UpstreamCall | null = null;
  #mayHeal = true;
  #isOver = false;
  /** A refusal that may say that the session is lost, and its body so far. */
  #head: ReplyHead | null = null;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(owner: SessionHealer, request: UpstreamRequest, session: SealedSession, sink: UpstreamSink) {
    this.#owner = owner;
    this.#request = request;
    this.#session = session;
    this.#sink = sink;
    this.#used = session.id;
  }

  start(): this {
    const owner = this.#owner;
    const isAway = owner.isAway(this.#request, this.#session);
    const away = isAway ? owner.sendAway(this.#request, this.#session, this) : null;
    // There it is healed, if it has to be.
    if (away !== null) this.#mayHeal = false;
    this.#call = away ?? this.#send(this.#request);
    return this;
  }

  #send(request: UpstreamRequest): UpstreamCall {
    this.#used = this.#owner.currentId(this.#session);
    return this.#owner.sendHere(request, this.#session, this);
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    this.#isOver = true;
    this.#call?.abort();
  }

  onHead(head: ReplyHead): void {
    if (mayBeLost(head.status, head.media) && this.#mayHeal && this.#request.verb !== 'DELETE') {
      this.#head = keptHead(head);
      return;
    }
    // Servers repeat the id with each reply: the client knows it under its first name.
    const isOurs = head.sessionId !== null && head.sessionId !== this.#session.shown && head.homed !== true;
    this.#sink.onHead(isOurs ? renamed(head, this.#session.shown) : head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#head === null) return this.#sink.onData(bytes);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes <= LIMITS.eraReplyBytesMax) return true;
    // It is too long for a refusal: it goes on as it came.
    const parts = this.#parts;
    this.#sink.onHead({ ...this.#head, whole: false });
    this.#head = null;
    this.#parts = [];
    let hasRoom = true;
    for (const part of parts) hasRoom = this.#isOver || this.#sink.onData(part);
    return hasRoom;
  }

  onEnd(): void {
    const head = this.#head;
    if (head === null) return this.#sink.onEnd();
    this.#head = null;
    const reply = heldReply(head, this.#parts);
    this.#parts = [];
    if (isLostSession(reply.head.status, reply.body)) void this.#heal(reply);
    else replay(reply, this.#sink, () => this.#isOver);
  }

  onFail(error: GatewayError): void {
    // Processes that sessions share say it so: the worker that had them was started anew.
    const isLost = error.code === 'GW_SESSION_UNKNOWN' && this.#mayHeal && this.#request.verb !== 'DELETE';
    if (isLost) void this.#heal(error);
    else this.#sink.onFail(error);
  }

  async #heal(refusal: HeldReply | GatewayError): Promise<void> {
    this.#mayHeal = false;
    const request = withoutEventId(this.#request);
    const away = this.#owner.sendAway(request, this.#session, this);
    if (away !== null) {
      this.#owner.moved(this.#session);
      this.#call = away;
      return;
    }
    const healed = await this.#owner.heal(request, this.#session, this.#used);
    if (this.#isOver) return;
    if (typeof healed === 'string') this.#call = this.#send(request);
    else if (healed !== null) this.#sink.onFail(healed);
    else if (refusal instanceof GatewayError) this.#sink.onFail(refusal);
    else replay(refusal, this.#sink, () => this.#isOver);
  }
}

/** A new session knows nothing of the events of the old one. */
function withoutEventId(request: UpstreamRequest): UpstreamRequest {
  const at = request.headers.indexOf('last-event-id');
  if (request.verb !== 'GET' || at < 0) return request;
  return { ...request, headers: request.headers.filter((_, index) => index !== at && index !== at + 1) };
}
