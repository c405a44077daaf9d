// One connection of the HTTP+SSE transport (MCP 2024-11-05) as a pipe of messages: the event stream down, a POST per message up.
// Called by sse-core.ts. Promises: may be written to at once, what is written leaves when the server has named its endpoint; the stream's end is told as
// soon as it is known of every message under way whether the server took it; nothing is sent to another origin; comments and unknown events are skipped.
import { type Edit, equalsAscii } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { EventReader, flatten, type StreamEvent } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { Gone, MessagePipe, PipeEvents, Posting } from './message-pipe.ts';
import type { HttpTarget } from './spec.ts';
import { postPath, refusal } from './sse-endpoint.ts';
import { forgotten, Posts, refusalOf } from './sse-posts.ts';
import { PING, SilenceWatch } from './sse-silence.ts';
import type { Deadline, Deadlines } from './stdio-deadline.ts';
import {
  NO_CLIENT,
  type ReplyHead,
  type Upstream,
  type UpstreamCall,
  type UpstreamSink,
} from './upstream.ts';

/** What a connection is made of. */
export interface SseParts {
  readonly http: Upstream;
  readonly target: HttpTarget;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** By then the server has named its endpoint. */
  readonly openMs: number;
  /** Headers of the request that wants it. */
  readonly headers: readonly string[];
}

/** Who listens to a connection. */
export interface SseEvents extends PipeEvents {
  /** The server named its endpoint: it speaks this transport. */
  onEndpoint(): void;
  /** It broke though nobody had ended it. Before onGone. */
  onBroken(): void;
}

/** Longest wait, once the stream is broken, for what becomes of the POSTs under way. */
const VERDICT_MS = 500;
/** Longest wait for the last POSTs of a session that is ended. */
const FLUSH_MS_MAX = 1_000;

/** Says nothing to a stream: it has no message, and what it accepts is ours to say. */
const NOT_FOR_STREAMS: ReadonlySet<string> = new Set(['accept', 'last-event-id', 'mcp-method', 'mcp-name']);

/** A connection from its GET on. */
export class SsePipe implements MessagePipe, UpstreamSink {
  readonly #parts: SseParts;
  readonly #events: SseEvents;
  readonly #posts: Posts;
  readonly #reader: EventReader;
  readonly #silence: SilenceWatch;
  readonly #startedAt: number;
  readonly #stream: UpstreamCall;
  #deadline: Deadline | null;
  #phase: 'opening' | 'open' | 'ending' | 'gone' = 'opening';
  #isStopping = false;
  #reason: Omit<Gone, 'livedMs'> | null = null;

  constructor(parts: SseParts, events: SseEvents) {
    const { http, clock, deadlines, openMs, headers } = parts;
    this.#parts = parts;
    this.#events = events;
    this.#reader = new EventReader(parts.scanner);
    this.#startedAt = clock.now();
    this.#posts = new Posts({
      http,
      deadlines,
      headers,
      onLost: () => this.#lose(forgotten(), closed('the server does not know the session any more')),
      onQuiet: () => this.#quiet(),
    });
    this.#silence = new SilenceWatch(deadlines, {
      ping: () => {
        if (this.#phase === 'open') this.#posts.push(PING, [], undefined, () => this.#silence.pinged());
      },
      dead: () => this.#lose(refusal('its event stream is dead'), closed('its event stream is dead')),
    });
    this.#deadline = deadlines.set(openMs, () => {
      const late = new GatewayError('GW_UPSTREAM_TIMEOUT', `it named no endpoint within ${openMs} ms`);
      this.#lose(late, late);
    });
    this.#stream = http.send(
      {
        verb: 'GET',
        era: 'legacy',
        body: new Uint8Array(0),
        envelope: null,
        edits: [],
        headers: headers.filter((_, i) => !NOT_FOR_STREAMS.has(headers[i - (i % 2)] ?? '')),
        session: null,
        exchangeId: '',
        client: NO_CLIENT,
        timeoutMs: openMs,
      },
      this,
    );
  }

  hasRoom(bytes: number): boolean {
    return this.#posts.bytes + bytes < LIMITS.childQueueBytesMax;
  }

  write(body: Uint8Array, edits: readonly Edit[], posting?: Posting): void {
    if (this.#phase === 'gone') posting?.refused(forgotten(), true);
    else if (posting === undefined || posting.ordered) this.#posts.push(body, edits, posting);
    else this.#posts.push(body, edits, posting, () => this.#silence.expect());
  }

  /** Lets go of the connection once what was written is taken, or after the grace. */
  stop(stopGraceMs: number = FLUSH_MS_MAX): void {
    if (this.#isStopping || this.#phase === 'gone') return;
    this.#isStopping = true;
    const reason = closed('the gateway let go of it first');
    if (this.#phase !== 'open' || this.#posts.quiet) return this.#finish(reason, reason);
    this.#parts.deadlines.set(Math.min(stopGraceMs, FLUSH_MS_MAX), () => this.#finish(reason, reason));
  }

  // ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────

  onHead(head: ReplyHead): void {
    const isFound = head.status >= 200 && head.status < 300;
    if (isFound && head.media === 'event-stream') {
      this.#stream.outlast?.();
      return;
    }
    const isPassed = head.status === 401 || head.status === 403 || head.status === 429 || head.status >= 500;
    const error = isPassed ? refusalOf(head) : refusal(answered(head));
    this.#lose(error, error);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#phase === 'ending' || this.#phase === 'gone') return true;
    this.#silence.heard();
    this.#reader.push(bytes, (event) => this.#onEvent(event));
    return true;
  }

  onEnd(): void {
    if (this.#phase === 'opening') {
      const error = refusal('its event stream ended before it named an endpoint');
      this.#lose(error, error);
      return;
    }
    this.#lose(refusal('its event stream ended'), closed('its event stream ended'));
  }

  onFail(error: GatewayError): void {
    const wasOpen = this.#phase === 'open';
    this.#lose(error, wasOpen && error.row.retry !== 'never' ? closed('its event stream broke') : error);
  }

  #onEvent({ data, whole }: StreamEvent): void {
    if (data.length === 0 || this.#phase === 'ending' || this.#phase === 'gone') return;
    const type = eventType(whole);
    if (this.#phase === 'open') {
      if (type === 'message') this.#events.onLine(flatten(data));
      return;
    }
    const path = type === 'endpoint' ? postPath(this.#parts.target, data) : null;
    if (typeof path === 'string') this.#open(path);
    else {
      const error = path ?? refusal('its event stream does not begin with an endpoint');
      this.#lose(error, error);
    }
  }

  #open(path: string): void {
    this.#parts.deadlines.clear(this.#deadline);
    this.#deadline = null;
    this.#phase = 'open';
    this.#events.onEndpoint();
    this.#posts.open(path);
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** It can be used no more. Whoever has messages under way hears what became of them first, so that those not taken can go to the next one. */
  #lose(unready: GatewayError, error: GatewayError): void {
    if (this.#phase === 'ending' || this.#phase === 'gone') return;
    this.#parts.deadlines.clear(this.#deadline);
    this.#deadline = null;
    this.#phase = 'ending';
    this.#silence.heard();
    this.#reason = { error, unready };
    this.#stream.abort();
    this.#posts.hold();
    // In a later turn: this may have been called by one of the messages.
    this.#parts.clock.soon(() => this.#quiet());
    this.#parts.deadlines.set(VERDICT_MS, () => this.#finish(error, unready));
  }

  /** No POST is under way. */
  #quiet(): void {
    const reason = this.#reason;
    if (this.#phase === 'ending' && reason !== null && this.#posts.decided)
      this.#finish(reason.error, reason.unready);
    else if (this.#isStopping && this.#posts.quiet) {
      const stopped = closed('the gateway let go of it first');
      this.#finish(stopped, stopped);
    }
  }

  #finish(error: GatewayError, unready: GatewayError): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    this.#parts.deadlines.clear(this.#deadline);
    this.#silence.heard();
    this.#stream.abort();
    this.#posts.close(unready);
    if (!this.#isStopping) {
      this.#parts.log.warn('the event stream of the MCP server is gone', { reason: unready.message });
      this.#events.onBroken();
    }
    this.#events.onGone({ error, unready, livedMs: this.#parts.clock.now() - this.#startedAt });
  }
}

function closed(detail: string): GatewayError {
  return new GatewayError('GW_UPSTREAM_CLOSED', detail);
}

/** Says what came instead of an event stream. */
function answered(head: ReplyHead): string {
  const to = head.status >= 300 && head.status < 400 ? head.header('location') : null;
  const kind = head.header('content-type') ?? 'no Content-Type';
  return to === null
    ? `it answered GET with ${head.status} and ${kind.slice(0, 80)}`
    : `it redirects to ${to.slice(0, 200)}: configure that URL if it is the right one`;
}

const LF = 10;
const CR = 13;
const MESSAGE = 'event: message\n';

/** The event's type; `message` when it names none (WHATWG HTML, server-sent events). */
function eventType(whole: Uint8Array): string {
  if (equalsAscii(whole, 0, MESSAGE.length, MESSAGE)) return 'message';
  let type = 'message';
  let start = 0;
  for (let i = 0; i <= whole.length; i++) {
    const byte = whole[i];
    if (byte !== LF && byte !== CR && byte !== undefined) continue;
    if (equalsAscii(whole, start, start + 5, 'event')) {
      const value = new TextDecoder().decode(whole.subarray(start + 5, i));
      if (value.startsWith(':')) type = value.slice(value.startsWith(': ') ? 2 : 1);
    }
    start = i + 1;
  }
  return type === '' ? 'message' : type;
}
