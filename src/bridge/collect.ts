// Asks a server something on the gateway's own behalf and waits for the one reply, be it JSON or an event stream.
// Called by bridge/session.ts and the aggregates of proxy/. Promises: resolves exactly once, never rejects; bounded in time and size; the
// connection is given back or closed; a response to another request is no answer.
import { concat, EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { isSameId, kindOf, type Message, raw, readMessage } from '../mcp/envelope.ts';
import { isLostSession } from '../mcp/lost-session.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, Upstream, UpstreamCall, UpstreamRequest } from '../upstream/upstream.ts';

/** What came back: the HTTP face of it, and the message unless there was none (202, 405 …). */
export interface Collected {
  readonly status: number;
  readonly sessionId: string | null;
  readonly message: Message | null;
  /** It was sent in a session that the server does not know, so that nothing was executed. */
  readonly isSessionLost: boolean;
}

/** What collecting needs. */
export interface CollectTools {
  readonly scanner: Scanner;
  readonly clock: Clock;
}

/** Bounds of one question, and who else is concerned. */
export interface CollectBounds {
  readonly timeoutMs: number;
  /** Ends the question early. */
  readonly scope?: AskScope;
  /** Longest reply; left out: as long as any may be. */
  readonly bytesMax?: number;
  /** Hears the server's notifications and requests that come before its answer. */
  readonly onOther?: (message: Message) => void;
}

/** Questions that are asked for one client and end together when it leaves. */
export class AskScope {
  readonly #open = new Set<() => void>();
  #isOver = false;

  get over(): boolean {
    return this.#isOver;
  }

  /** `stop` is called when the scope ends, unless forget() came first. */
  add(stop: () => void): void {
    this.#open.add(stop);
  }

  forget(stop: () => void): void {
    this.#open.delete(stop);
  }

  /** Stops every open question. */
  end(): void {
    this.#isOver = true;
    const stops = [...this.#open];
    this.#open.clear();
    for (const stop of stops) stop();
  }
}

/** How long a stream may go on after its response before the connection is closed. */
const LINGER_MS = 1_000;

class CollectSink extends ContainedSink {
  readonly #tools: CollectTools;
  readonly #bounds: CollectBounds;
  readonly #asked: readonly Uint8Array[];
  readonly #hasSession: boolean;
  readonly #resolve: (result: Collected | GatewayError) => void;
  readonly #timer: TimerId;
  #lingering: TimerId = 0;
  #call: UpstreamCall | null = null;
  #reader: EventReader | null = null;
  #status = 0;
  #sessionId: string | null = null;
  #media: ReplyHead['media'] = 'none';
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isSettled = false;

  constructor(
    tools: CollectTools,
    bounds: CollectBounds,
    request: UpstreamRequest,
    resolve: (result: Collected | GatewayError) => void,
  ) {
    super();
    this.#tools = tools;
    this.#bounds = bounds;
    this.#asked = idsOf(request);
    this.#hasSession = request.session !== null;
    this.#resolve = resolve;
    const { timeoutMs } = bounds;
    this.#timer = tools.clock.after(timeoutMs, () =>
      this.breakOff(new GatewayError('GW_UPSTREAM_TIMEOUT', `no reply within ${Math.ceil(timeoutMs)} ms`)),
    );
    bounds.scope?.add(this.#stop);
  }

  start(call: UpstreamCall): void {
    this.#call = call;
    if (this.over) call.abort();
    else if (this.#bounds.scope?.over === true) this.#stop();
  }

  readonly #stop = (): void => this.breakOff(new GatewayError('GW_UPSTREAM_CLOSED', 'the client left'));

  protected head(head: ReplyHead): void {
    this.#status = head.status;
    this.#sessionId = head.sessionId;
    this.#media = head.media;
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#tools.scanner);
    else this.#admit(head.contentLength);
  }

  /** Gives up a reply of more bytes than are of use. */
  #admit(bytes: number): void {
    const { bytesMax = LIMITS.replyBodyBytesMax } = this.#bounds;
    if (bytes > bytesMax)
      throw new GatewayError('GW_UPSTREAM_BODY_SIZE', `it is larger than ${bytesMax} bytes`);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#isSettled) return true;
    if (this.#reader !== null) {
      this.#reader.push(bytes, (event) => this.#event(event.data));
      return true;
    }
    this.#bytes += bytes.length;
    this.#admit(this.#bytes);
    this.#parts.push(bytes);
    return true;
  }

  protected ended(): void {
    this.#tools.clock.cancel(this.#lingering);
    this.#reader?.push(EMPTY, (event) => this.#event(event.data), true);
    if (this.#isSettled) return;
    if (this.#reader !== null)
      throw new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response');
    const body = concat(this.#parts);
    if (this.#hasSession && isLostSession(this.#status, body)) this.#settle(this.#collected(null, true));
    else if (this.#media === 'json' && this.#bytes > 0)
      this.#answer(this.#status < 400 ? this.#read(body) : this.#refusal(body));
    else if (this.#status < 300 && this.#bytes > 0)
      throw new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${this.#status}`);
    else this.#answer(null);
  }

  protected failed(error: GatewayError): void {
    this.#tools.clock.cancel(this.#lingering);
    this.#call?.abort();
    this.#settle(error);
  }

  #event(data: Uint8Array): void {
    if (this.#isSettled || data.length === 0) return;
    const message = this.#read(data);
    const kind = kindOf(message.envelope);
    if (kind !== KIND.result && kind !== KIND.error) return this.#bounds.onOther?.(message);
    this.#answer(message);
    this.#lingering = this.#tools.clock.after(LINGER_MS, () => {
      this.leave();
      this.#call?.abort();
    });
  }

  /** The message of a reply that says by its status that it is a refusal, whatever else it says; null when that is nothing. */
  #refusal(bytes: Uint8Array): Message | null {
    const message = readMessage(this.#tools.scanner, bytes);
    return message instanceof GatewayError ? null : message;
  }

  #read(bytes: Uint8Array): Message {
    const message = readMessage(this.#tools.scanner, bytes);
    if (message instanceof GatewayError) throw message;
    return message;
  }

  #answer(message: Message | null): void {
    const given = message === null ? null : raw(message.bytes, message.envelope, ENVELOPE.id);
    if (this.#asked.length > 0 && given !== null && !this.#asked.some((asked) => isSameId(asked, given)))
      throw new GatewayError('GW_UPSTREAM_MESSAGE', 'it answers another request');
    this.#settle(this.#collected(message, false));
  }

  #collected(message: Message | null, isSessionLost: boolean): Collected {
    return { status: this.#status, sessionId: this.#sessionId, message, isSessionLost };
  }

  #settle(result: Collected | GatewayError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#parts = [];
    this.#tools.clock.cancel(this.#timer);
    this.#bounds.scope?.forget(this.#stop);
    this.#resolve(result);
  }
}

/** Raw ids that an answer to a request may bear, none when it asks nothing: as the server sees it, and as the body spells it, which is what a transport with ids of its own restores. */
function idsOf({ body, envelope, edits }: UpstreamRequest): readonly Uint8Array[] {
  const own = envelope === null ? null : raw(body, envelope, ENVELOPE.id);
  if (envelope === null || own === null) return [];
  const edited = edits.find((edit) => edit.start === envelope[ENVELOPE.id]);
  return edited === undefined ? [own] : [edited.insert, own];
}

/** Sends a request and resolves with its reply, or with what went wrong; never rejects. */
export function collect(
  tools: CollectTools,
  upstream: Pick<Upstream, 'send'>,
  request: UpstreamRequest,
  bounds: CollectBounds,
): Promise<Collected | GatewayError> {
  return new Promise((resolve) => {
    const sink = new CollectSink(tools, bounds, request, resolve);
    sink.start(upstream.send(request, sink));
  });
}
