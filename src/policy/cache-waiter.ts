// Clients that a cache serves: one that waits for a call which others wait for as well, and one whose answer is there.
// Called by cache.ts and cache-flight.ts. Promises: what upstream.ts promises of a call and its sink, whatever becomes of the others; what one client's sink throws
// reaches no other.
import { type GatewayError, toGatewayError } from '../base/errors.ts';
import type { Clock } from '../runtime/runtime.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';

/** The head of an answer of ours. */
class JsonHead implements ReplyHead {
  readonly status = 200;
  readonly media = 'json';
  readonly contentLength: number;
  readonly whole: boolean;
  readonly sessionId = null;

  constructor(contentLength: number) {
    this.contentLength = contentLength;
    this.whole = contentLength >= 0;
  }

  header(name: string): string | null {
    return name === 'content-type' ? 'application/json' : null;
  }
}

/** The head of a JSON reply whose length is not known yet. */
export const LONG_JSON_HEAD: ReplyHead = Object.freeze(new JsonHead(-1));

/** The call that a client waits for together with others. */
export interface Shared {
  /** The client is gone. */
  left(waiter: Waiter): void;
  /** The client has room again. */
  resumed(waiter: Waiter): void;
}

/** One client; also its hold on its exchange. */
export class Waiter implements UpstreamCall {
  readonly request: UpstreamRequest;
  readonly #sink: UpstreamSink;
  #shared: Shared | null;
  /** Its own call, once the shared one is of no use to it. */
  #own: UpstreamCall | null = null;
  #isOver = false;

  constructor(request: UpstreamRequest, sink: UpstreamSink, shared: Shared | null) {
    this.request = request;
    this.#sink = sink;
    this.#shared = shared;
  }

  resume(): void {
    if (this.#own !== null) this.#own.resume();
    else this.#shared?.resumed(this);
  }

  outlast(): void {
    this.#own?.outlast?.();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const shared = this.#shared;
    this.#shared = null;
    this.#own?.abort();
    shared?.left(this);
  }

  /** Its own reply, whole. */
  answer(body: Uint8Array): void {
    this.head(new JsonHead(body.length));
    if (body.length > 0) this.data(body);
    this.end();
  }

  head(head: ReplyHead): void {
    if (this.#isOver) return;
    try {
      this.#sink.onHead(head);
    } catch (thrown) {
      this.#broke(thrown);
    }
  }

  /** False when it wants a pause. */
  data(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    try {
      return this.#sink.onData(bytes);
    } catch (thrown) {
      this.#broke(thrown);
      return true;
    }
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#shared = null;
    try {
      this.#sink.onEnd();
    } catch {
      // It was its last event: there is nobody left to tell.
    }
  }

  fail(error: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#shared = null;
    try {
      this.#sink.onFail(error);
    } catch {
      // As above.
    }
  }

  /** The call that it waited for is not for it: it makes one of its own. Only as long as it was told nothing. */
  alone(inner: Pick<Upstream, 'send'>): void {
    if (this.#isOver) return;
    this.#shared = null;
    this.#own = inner.send(this.request, this.#sink);
  }

  #broke(thrown: unknown): void {
    const shared = this.#shared;
    this.fail(toGatewayError(thrown));
    shared?.left(this);
  }
}

/** Tells clients whose answers are there, at the end of the turn in which they asked: nobody hears of a call before send() has returned. */
export class Answers {
  readonly #clock: Pick<Clock, 'soon'>;
  #waiting: { readonly waiter: Waiter; readonly body: Uint8Array }[] = [];

  constructor(clock: Pick<Clock, 'soon'>) {
    this.#clock = clock;
  }

  /** Answers a request with a message that bears its id. */
  give(request: UpstreamRequest, sink: UpstreamSink, body: Uint8Array): UpstreamCall {
    const waiter = new Waiter(request, sink, null);
    if (this.#waiting.length === 0) this.#clock.soon(this.#flush);
    this.#waiting.push({ waiter, body });
    return waiter;
  }

  readonly #flush = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { waiter, body } of waiting) waiter.answer(body);
  };
}
