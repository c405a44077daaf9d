// One request of a session that can be healed: sent, and sent once more when its server said that it does not know the session.
// Called by healing.ts. Promises: what upstream.ts promises of a call; only a refusal that proves that nothing was executed leads to another try, and to one at most.
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import type { SealedSession } from './healed-sessions.ts';
import { type HeldReply, heldReply, keptHead, parsed, replay } from './held-reply.ts';

/** Who knows where a session lives now, and makes it live again. */
export interface SessionHealer {
  /** The id that the session has at its server now. */
  currentId(id: string): string;
  /** Sends to the server, under that id. */
  sendHere(request: UpstreamRequest, id: string, sink: UpstreamSink): UpstreamCall;
  /** Sends by way of the worker that heals this session; null when that is this one. */
  sendAway(request: UpstreamRequest, id: string, sink: UpstreamSink): UpstreamCall | null;
  /** True when another worker is to be asked from the start: it has healed the session, or is to remember what this request sets. */
  isAway(request: UpstreamRequest, id: string): boolean;
  /** Another worker heals it from now on. */
  moved(id: string): void;
  /** The id that the session has now, `used` being lost; null when it is refused, or why there is none. */
  heal(request: UpstreamRequest, session: SealedSession, used: string): Promise<string | GatewayError | null>;
}

/** A head with another session id. */
export function renamed(head: ReplyHead, sessionId: string): ReplyHead {
  const { status, media, contentLength, whole } = head;
  return { status, media, contentLength, whole, sessionId, header: (name) => head.header(name) };
}

const LOST = 404;
const REFUSED = 400;

/** One request of a session, and once more after its session was healed. */
/** Such a request. */
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
    const { id } = this.#session;
    const away = this.#owner.isAway(this.#request, id) ? this.#owner.sendAway(this.#request, id, this) : null;
    // There it is healed, if it has to be.
    if (away !== null) this.#mayHeal = false;
    this.#call = away ?? this.#send(this.#request);
    return this;
  }

  #send(request: UpstreamRequest): UpstreamCall {
    this.#used = this.#owner.currentId(this.#session.id);
    return this.#owner.sendHere(request, this.#session.id, this);
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    this.#isOver = true;
    this.#call?.abort();
  }

  onHead(head: ReplyHead): void {
    const isRefusal = head.status === LOST || (head.status === REFUSED && head.media === 'json');
    if (isRefusal && this.#mayHeal && this.#request.verb !== 'DELETE') {
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
    if (isSessionRefusal(reply)) void this.#heal(reply);
    else replay(reply, this.#sink, () => this.#isOver);
  }

  onFail(error: GatewayError): void {
    this.#sink.onFail(error);
  }

  async #heal(refusal: HeldReply): Promise<void> {
    this.#mayHeal = false;
    const request = withoutEventId(this.#request);
    const { id } = this.#session;
    const away = this.#owner.sendAway(request, id, this);
    if (away !== null) {
      this.#owner.moved(id);
      this.#call = away;
      return;
    }
    const healed = await this.#owner.heal(request, this.#session, this.#used);
    if (this.#isOver) return;
    if (typeof healed === 'string') this.#call = this.#send(request);
    else if (healed === null) replay(refusal, this.#sink, () => this.#isOver);
    else this.#sink.onFail(healed);
  }
}

/** True when a refusal says that the session is not known, and so that nothing was executed. */
function isSessionRefusal({ head, body }: HeldReply): boolean {
  const message = head.media === 'json' ? parsed(body) : null;
  const error: unknown = message === null ? null : Reflect.get(Object(message), 'error');
  const code: unknown = Reflect.get(Object(error), 'code');
  // What bears a code of its own speaks of the method, whatever the status.
  if (head.status === LOST) return code !== -32601;
  // Several servers answer so instead of with 404.
  return (
    (code === -32000 || code === -32001) && /session/i.test(String(Reflect.get(Object(error), 'message')))
  );
}

/** A new session knows nothing of the events of the old one. */
function withoutEventId(request: UpstreamRequest): UpstreamRequest {
  const at = request.headers.indexOf('last-event-id');
  if (request.verb !== 'GET' || at < 0) return request;
  return { ...request, headers: request.headers.filter((_, index) => index !== at && index !== at + 1) };
}
