// The messages of one session on their way to a server of the HTTP+SSE transport: a POST each.
// Called by sse-pipe.ts. Promises: requests go side by side; what must keep its place (a notification) goes after everything before it was taken and before
// everything after it; a message is told to be unsent only when nothing of it can have been executed; bounded by the pool behind it.
import { concat, type Edit, EMPTY, splicedLength } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { isLostSession } from '../mcp/lost-session.ts';
import { HttpRefusal, type Posting } from './message-pipe.ts';
import { refusal } from './sse-endpoint.ts';
import type { Deadline, Deadlines } from './stdio-deadline.ts';
import {
  NO_CLIENT,
  type ReplyHead,
  type Upstream,
  type UpstreamCall,
  type UpstreamSink,
} from './upstream.ts';

/** A server that answers a POST only when the work is done must not hold up what cancels that work: order is kept for this long. */
const ORDER_MS_MAX = 1_000;
/** Time in which a stream breaks, too, when a server that went away refused a POST. */
const DOUBT_MS = 250;
/** What is read of a refusal. */
const WORDS_BYTES_MAX = 1_024;
/** What one message that waits costs besides its bytes. */
const MESSAGE_COST_BYTES = 128;

/** Headers of a refusal that tell the client how to go on. */
const CARRIED: readonly string[] = ['www-authenticate', 'retry-after'];

/** The server's answer on the level of HTTP, for the client. */
export function refusalOf(head: ReplyHead): HttpRefusal {
  return new HttpRefusal(
    head.status,
    CARRIED.flatMap((name) => {
      const value = head.header(name);
      return value === null ? [] : [name, value];
    }),
  );
}

/** What posting takes. */
export interface PostParts {
  readonly http: Upstream;
  readonly deadlines: Deadlines;
  /** Headers of what nobody's request brought. */
  readonly headers: readonly string[];
  /** The server does not know the session any more. */
  onLost(): void;
  /** Nothing is under way any more. */
  onQuiet(): void;
}

interface Message {
  readonly body: Uint8Array;
  readonly edits: readonly Edit[];
  readonly bytes: number;
  readonly posting: Posting | undefined;
  readonly onTaken: () => void;
}

/** Sends the messages of one session. */
export class Posts {
  readonly #parts: PostParts;
  #path: string | null = null;
  #waiting: Message[] = [];
  readonly #running = new Set<Post>();
  /** Not taken by the server, and not executed: whoever sent them is told when the session's end is certain. */
  #unsent: Message[] = [];
  #bytes = 0;
  #patience: Deadline | null = null;
  #isClosed = false;

  constructor(parts: PostParts) {
    this.#parts = parts;
  }

  /** Bytes that wait or are under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when nothing waits and nothing is under way. */
  get quiet(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** True when nothing is under way of which it is not known whether it was taken. */
  get decided(): boolean {
    return this.#running.size === 0;
  }

  /** Sends a message, once there is an endpoint; `onTaken` when the server has taken it. */
  push(
    body: Uint8Array,
    edits: readonly Edit[],
    posting: Posting | undefined,
    onTaken: () => void = () => undefined,
  ): void {
    const bytes = splicedLength(body.length, edits) + MESSAGE_COST_BYTES;
    const message = { body, edits, bytes, posting, onTaken };
    this.#bytes += message.bytes;
    this.#waiting.push(message);
    this.#pump();
  }

  /** The server named its endpoint. */
  open(path: string): void {
    this.#path = path;
    this.#pump();
  }

  /** Nothing more is sent: what waits stays unsent. */
  hold(): void {
    this.#path = null;
  }

  /** The session is over: whoever sent what was not taken hears the error, and whether it may be sent again. */
  close(error: GatewayError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.deadlines.clear(this.#patience);
    const unsent = [...this.#unsent, ...this.#waiting];
    this.#unsent = [];
    this.#waiting = [];
    this.#bytes = 0;
    for (const post of this.#running) post.abort();
    this.#running.clear();
    for (const { posting } of unsent) posting?.refused(error, true);
  }

  // ── in order ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #pump(): void {
    while (this.#path !== null && !this.#isClosed) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      if (this.#mustWait(next)) {
        this.#patience ??= this.#parts.deadlines.set(ORDER_MS_MAX, () => this.#outOfPatience());
        return;
      }
      this.#waiting.shift();
      this.#send(next, this.#path);
    }
  }

  #mustWait(next: Message): boolean {
    const isOrdered = next.posting?.ordered === true;
    for (const post of this.#running) if (post.keepsOrder && (isOrdered || post.isOrdered)) return true;
    return false;
  }

  #outOfPatience(): void {
    this.#patience = null;
    for (const post of this.#running) post.keepsOrder = false;
    this.#pump();
  }

  #send(message: Message, path: string): void {
    const { http, headers } = this.#parts;
    const post = new Post(message.posting?.ordered === true, {
      onTaken: () => {
        message.onTaken();
        this.#over(post, message);
      },
      onRefused: (refused, words) => this.#refused(post, message, refused, words),
      onFailed: (error) => this.#failed(post, message, error),
    });
    this.#running.add(post);
    post.start(
      http.send(
        {
          verb: 'POST',
          path,
          era: 'legacy',
          body: message.body,
          envelope: null,
          edits: message.edits,
          headers: message.posting?.headers ?? headers,
          session: null,
          exchangeId: '',
          client: NO_CLIENT,
          timeoutMs: 0,
        },
        post,
      ),
    );
  }

  // ── what became of them ──────────────────────────────────────────────────────────────────────────────────────────────

  #over(post: Post, message: Message): void {
    if (!this.#running.delete(post)) return;
    this.#bytes -= message.bytes;
    this.#parts.deadlines.clear(this.#patience);
    this.#patience = null;
    this.#pump();
    if (this.#running.size === 0) this.#parts.onQuiet();
  }

  #refused(post: Post, message: Message, refused: HttpRefusal, words: Uint8Array): void {
    if (isLostSession(refused.status, words)) {
      this.#unsent.push(message);
      this.#parts.onLost();
    } else message.posting?.refused(refused, false);
    this.#over(post, message);
  }

  #failed(post: Post, message: Message, error: GatewayError): void {
    // Nothing of it was sent. Mostly the server went away, and the stream is about to break.
    if (error.row.retry === 'fresh-connection') this.#doubt(message, error);
    // Whether it was taken is not known; the call's own deadline decides.
    else if (error.code !== 'GW_UPSTREAM_TIMEOUT') message.posting?.refused(error, false);
    this.#over(post, message);
  }

  #doubt(message: Message, error: GatewayError): void {
    this.#unsent.push(message);
    this.#parts.deadlines.set(DOUBT_MS, () => {
      const at = this.#unsent.indexOf(message);
      if (at < 0) return;
      this.#unsent.splice(at, 1);
      message.posting?.refused(error, false);
    });
  }
}

/** What becomes of a POST; exactly one of them is told, once. */
interface PostEvents {
  onTaken(): void;
  onRefused(refused: HttpRefusal, words: Uint8Array): void;
  onFailed(error: GatewayError): void;
}

/** One POST. Whatever body its answer has is ignored, refusals excepted: answers come on the event stream. */
class Post implements UpstreamSink {
  readonly isOrdered: boolean;
  /** Others wait for it, or it for them. */
  keepsOrder = true;
  readonly #events: PostEvents;
  #call: UpstreamCall | null = null;
  #isDecided = false;
  #refusal: HttpRefusal | null = null;
  #words: Uint8Array[] = [];
  #wordsBytes = 0;

  constructor(isOrdered: boolean, events: PostEvents) {
    this.isOrdered = isOrdered;
    this.#events = events;
  }

  start(call: UpstreamCall): void {
    this.#call = call;
  }

  abort(): void {
    this.#isDecided = true;
    this.#call?.abort();
  }

  onHead(head: ReplyHead): void {
    if (head.status >= 200 && head.status < 300) {
      this.#isDecided = true;
      // Such a body may never end.
      if (head.media === 'event-stream') this.#call?.abort();
      this.#events.onTaken();
    } else this.#refusal = refusalOf(head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#refusal === null || this.#wordsBytes >= WORDS_BYTES_MAX) return true;
    this.#words.push(bytes);
    this.#wordsBytes += bytes.length;
    return true;
  }

  onEnd(): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    this.#events.onRefused(this.#refusal ?? new HttpRefusal(502, []), concat(this.#words));
  }

  onFail(error: GatewayError): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    if (this.#refusal !== null) this.#events.onRefused(this.#refusal, EMPTY);
    else this.#events.onFailed(error);
  }
}

/** The end of a session that its server forgot. */
export function forgotten(): GatewayError {
  return refusal('its server does not know the session any more');
}
