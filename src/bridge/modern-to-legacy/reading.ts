// Reads a legacy server's reply to one message of ours, be it JSON or an event stream, and tells what became of the message.
// Called by session.ts and call.ts. Promises: exactly one last event; a response to another request is no answer; what says that the server does not
// know the session is told apart from every other failure, since nothing was executed then.
import { concat, decode, EMPTY } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { isSameId, kindOf, type Message, raw, readMessage } from '../../mcp/envelope.ts';
import { isLostSession, refusalWords } from '../../mcp/lost-session.ts';
import { EventReader, type StreamEvent } from '../../mcp/sse.ts';
import type { Clock, TimerId } from '../../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../../scan/contract.ts';
import { ContainedSink } from '../../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall } from '../../upstream/upstream.ts';
import { type Refusal, refusalHeaders, refusalOf, unusable } from './reply.ts';

/** How an event stream stopped before the response. */
export interface Break {
  /** What broke it; null when the server ended it. */
  readonly error: GatewayError | null;
  /** True when it was an event stream. */
  readonly wasStream: boolean;
  /** Id of the last event, or null. */
  readonly lastEventId: string | null;
  /** Wait that the server asked for, or null. */
  readonly retryMs: number | null;
}

/** Who hears a reply. One of the last four is the last event. */
export interface Listener {
  /** A request or a notification of the server. False asks it to pause. */
  onMessage(message: Message): boolean;
  onResponse(message: Message, sessionId: string | null): void;
  /** Taken (202), without a body: what a message gets that asks nothing. */
  onTaken(): void;
  /** The server does not know the session: it executed nothing. */
  onLost(): void;
  onRefused(refusal: Refusal): void;
  onBroken(end: Break): void;
}

/** Statuses of a server that are the client's business. */
const CLIENTS_BUSINESS: readonly number[] = [401, 403, 429, 503];

/** What reading needs. */
export interface ReadingTools {
  readonly scanner: Scanner;
  readonly clock: Clock;
}

/** How long a stream may go on after its response before it is broken off. */
const LINGER_MS = 1_000;

/** Reads one reply. */
export class ReplyReader extends ContainedSink {
  readonly #tools: ReadingTools;
  readonly #asked: Uint8Array | null;
  readonly #hasSession: boolean;
  readonly #listener: Listener;
  #call: UpstreamCall | null = null;
  #events: EventReader | null = null;
  #status = 0;
  #media: ReplyHead['media'] = 'none';
  #sessionId: string | null = null;
  #headers: Refusal['headers'] = {};
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;
  #hasRoom = true;
  /** A longer reply is given up. */
  bytesMax: number = LIMITS.replyBodyBytesMax;
  #isAnswered = false;
  /** What asks nothing has arrived, though the server goes on with an event stream. */
  #isTaken = false;
  #lingering: TimerId = 0;

  /** `asked` is the raw id that the response bears, null when the message asks nothing; `hasSession` when it was sent in one. */
  constructor(tools: ReadingTools, asked: Uint8Array | null, hasSession: boolean, listener: Listener) {
    super();
    this.#tools = tools;
    this.#asked = asked;
    this.#hasSession = hasSession;
    this.#listener = listener;
  }

  /** The call that this reads; to be named as soon as it is known. */
  start(call: UpstreamCall): void {
    this.#call = call;
    if (this.over) call.abort();
  }

  /** Nobody wants to hear more: the rest of the reply is dropped, and no event comes. */
  stop(): void {
    if (this.over) return;
    this.leave();
    this.#call?.abort();
  }

  resume(): void {
    this.#call?.resume();
  }

  /** The stream may be silent for minutes: its place goes to others. */
  outlast(): void {
    this.#call?.outlast?.();
  }

  protected head(head: ReplyHead): void {
    this.#status = head.status;
    this.#media = head.media;
    this.#sessionId = head.sessionId;
    if (head.media !== 'event-stream') this.#admit(head.contentLength);
    if (head.status >= 400) this.#headers = refusalHeaders(head);
    if (head.media === 'event-stream' && head.status === 200)
      this.#events = new EventReader(this.#tools.scanner);
    // Some servers answer a notification with an event stream, which may never end.
    if (this.#events !== null && this.#asked === null) {
      this.#isTaken = true;
      this.#linger();
      this.#listener.onTaken();
    }
  }

  /** The server ends the stream by itself, and the connection can be used again; one that it keeps open is of no more use. */
  #linger(): void {
    this.#lingering = this.#tools.clock.after(LINGER_MS, () => this.stop());
  }

  #admit(bytes: number): void {
    if (bytes > this.bytesMax)
      throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${this.bytesMax} bytes`);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#events !== null) {
      this.#hasRoom = true;
      this.#events.push(bytes, this.#onEvent);
      return this.#hasRoom;
    }
    this.#bytes += bytes.length;
    this.#admit(this.#bytes);
    this.#parts.push(bytes);
    return true;
  }

  protected ended(): void {
    this.#tools.clock.cancel(this.#lingering);
    if (this.#isAnswered) return;
    this.#events?.push(EMPTY, this.#onEvent, true);
    if (this.over || this.#isAnswered || this.#isTaken) return;
    if (this.#events !== null) this.#broken(null);
    else this.#whole(concat(this.#parts));
  }

  protected failed(error: GatewayError): void {
    this.#tools.clock.cancel(this.#lingering);
    this.#call?.abort();
    if (this.#isAnswered || this.#isTaken) return;
    if (error.code === 'GW_SESSION_UNKNOWN') this.#listener.onLost();
    else this.#broken(error);
  }

  #broken(error: GatewayError | null): void {
    const wasStream = this.#events !== null;
    this.#listener.onBroken({ error, wasStream, lastEventId: this.#lastEventId, retryMs: this.#retryMs });
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onEvent = (event: StreamEvent): void => {
    if (this.over || this.#isAnswered) return;
    if (event.id !== null) this.#lastEventId = decode(event.id);
    if (event.retry !== null) this.#retryMs = Number(decode(event.retry));
    if (event.data.length === 0) return;
    const message = readMessage(this.#tools.scanner, event.data);
    if (message instanceof GatewayError) throw message;
    const kind = kindOf(message.envelope);
    if (kind === KIND.request || kind === KIND.notification) {
      this.#hasRoom = this.#listener.onMessage(message) && this.#hasRoom;
    } else if (this.#answers(message)) {
      this.#isAnswered = true;
      this.#linger();
      this.#listener.onResponse(message, this.#sessionId);
    }
  };

  #answers({ bytes, envelope }: Message): boolean {
    const given = raw(bytes, envelope, ENVELOPE.id);
    return this.#asked !== null && given !== null && isSameId(this.#asked, given);
  }

  // ── a reply that is one message, or none ─────────────────────────────────────────────────────────────────────────

  #whole(body: Uint8Array): void {
    const isTaken = this.#status >= 200 && this.#status < 300;
    if (isTaken && (body.length === 0 || this.#asked === null)) {
      if (this.#asked === null) this.#listener.onTaken();
      else this.#broken(unusable(this.#status, 'without a message'));
      return;
    }
    const message = this.#media === 'json' && body.length > 0 ? readMessage(this.#tools.scanner, body) : null;
    if (message !== null && !(message instanceof GatewayError) && this.#isResponse(message))
      this.#listener.onResponse(message, this.#sessionId);
    else if (isTaken)
      this.#broken(message instanceof GatewayError ? message : unusable(this.#status, 'with no answer'));
    else this.#refused(body);
  }

  /** An error about the session may bear the request's id too, and is none of the request's own. */
  #isResponse(message: Message): boolean {
    const kind = kindOf(message.envelope);
    if (kind !== KIND.result && kind !== KIND.error) return false;
    return this.#answers(message) && !(kind === KIND.error && this.#isAboutSession(message.bytes));
  }

  #refused(body: Uint8Array): void {
    if (this.#isAboutSession(body)) return this.#listener.onLost();
    const error = unusable(this.#status, refusalWords(body).words.slice(0, 200));
    const refusal = CLIENTS_BUSINESS.includes(this.#status)
      ? { error, status: this.#status, headers: this.#headers }
      : refusalOf(error);
    this.#listener.onRefused(refusal);
  }

  #isAboutSession(body: Uint8Array): boolean {
    return this.#hasSession && isLostSession(this.#status, body);
  }
}
