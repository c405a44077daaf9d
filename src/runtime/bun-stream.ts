// A streamed reply on Bun.serve.
// Called by bun-listener.ts. Promises: bytes of one turn of the loop leave together at its end; head and first bytes share
// a packet; what is ended before it began goes out whole; a full client shows as false and later onDrain; fail()
// resets the connection (or the HTTP/2 stream), so that the client sees a broken body.
import { concat } from '../base/bytes.ts';
import type { BunInbound } from './bun-inbound.ts';
import type { HeaderRecord, Reply, ReplySink, ReplyStream } from './runtime.ts';

/**
 * Bun 1.4.5 completes the head only with the first body byte, and when that comes in a later turn it may take a system
 * call for every header. So a Response is made when there are bytes for it. An event stream may be silent for
 * long while its client waits for the head: after this time a comment line, which readers of event streams skip, is sent.
 */
const FIRST_BYTES_WAIT_MS = 3;
/** Bytes taken before the body has begun; more must wait for onDrain. */
const EARLY_BYTES_MAX = 256 * 1024;
const NO_HEADERS: HeaderRecord = Object.freeze({});
const OPENING_COMMENT = new Uint8Array([0x3a, 0x0a, 0x0a]);

type Resolve = (response: Response) => void;
type Ending = 'none' | 'end' | 'fail';

/** As the source of its own body it costs a waiting stream no further objects. */
class BunSink implements ReplySink, Bun.DirectUnderlyingSource {
  readonly type = 'direct';
  private readonly inbound: BunInbound;
  private readonly status: number;
  private headers: HeaderRecord;
  private controller: ReadableStreamDirectController | null = null;
  private early: Uint8Array[] | null = null;
  private earlyBytes = 0;
  private resolve: Resolve | null = null;
  private ending: Ending = 'none';
  private full = false;
  private drainCallback: (() => void) | null = null;

  constructor(inbound: BunInbound, reply: Reply) {
    this.inbound = inbound;
    this.status = reply.status;
    this.headers = reply.headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.ending !== 'none' || this.inbound.ended || bytes.length === 0) return !this.full;
    if (this.controller === null) {
      if (this.early === null) this.early = [bytes];
      else this.early.push(bytes);
      this.earlyBytes += bytes.length;
      if (this.earlyBytes > EARLY_BYTES_MAX) this.full = true;
      this.beginSoon();
      return !this.full;
    }
    return this.send(this.controller, bytes);
  }

  end(): void {
    if (this.ending !== 'none' || this.inbound.ended) return;
    this.ending = 'end';
    if (this.controller === null) {
      this.beginSoon();
      return;
    }
    this.finish(this.controller);
  }

  fail(): void {
    if (this.ending !== 'none' || this.inbound.ended) return;
    this.ending = 'fail';
    if (this.controller === null) {
      this.beginSoon();
      return;
    }
    this.inbound.finish();
    this.controller.close(new Error('the reply broke off'));
  }

  onDrain(callback: () => void): void {
    this.drainCallback = callback;
  }

  /** The Response, at once when open() brought bytes or an end, else when they come. */
  response(): Response | Promise<Response> {
    if (this.early !== null || this.ending !== 'none') return this.begin();
    this.inbound.await();
    return new Promise((resolve) => {
      this.resolve = resolve;
      if (isEventStream(this.headers)) {
        setTimeout(() => this.greet(), FIRST_BYTES_WAIT_MS);
      }
    });
  }

  private greet(): void {
    if (this.resolve !== null) this.write(OPENING_COMMENT);
  }

  /** One microtask later: data and end that arrive together then make one whole reply. */
  private beginSoon(): void {
    const { resolve } = this;
    if (resolve === null) return;
    this.resolve = null;
    queueMicrotask(() => resolve(this.begin()));
  }

  private begin(): Response {
    const { status, headers, inbound } = this;
    if (this.ending === 'end') {
      inbound.finish();
      // Bun takes any view as a body; the DOM's type excludes shared memory.
      return new Response(concat(this.early ?? []) as Uint8Array<ArrayBuffer>, { status, headers });
    }
    const isLast = inbound.stream(isEventStream(headers));
    // `direct` is Bun's own kind of source: the DOM's constructor type does not list it.
    const body = new ReadableStream(this as unknown as UnderlyingDefaultSource<Uint8Array>);
    const response = new Response(body, {
      status,
      headers: isLast ? { ...headers, connection: 'close' } : headers,
    });
    this.headers = NO_HEADERS;
    return response;
  }

  /** Called by Bun, once. */
  pull(controller: ReadableStreamDirectController): Promise<void> | undefined {
    const { early } = this;
    this.controller = controller;
    this.early = null;
    if (early !== null) this.sendEarly(controller, concat(early));
    if (this.ending === 'end') this.finish(controller);
    if (this.ending !== 'fail') return undefined;
    this.inbound.finish();
    return brokenLater();
  }

  /** Called by Bun when the client has left. */
  cancel(): void {
    this.inbound.left();
  }

  /** Ends the body once the client has taken what was written: Bun forgets a body that is closed earlier when it drains. */
  private finish(controller: ReadableStreamDirectController): void {
    this.inbound.finish();
    if (!this.full) void controller.close();
  }

  private sendEarly(controller: ReadableStreamDirectController, bytes: Uint8Array): void {
    const wasFull = this.full;
    this.full = false;
    // What did not fit in before the beginning may come now, unless the client is slow as well.
    if (this.send(controller, bytes) && wasFull) setImmediate(() => this.drained());
  }

  private send(controller: ReadableStreamDirectController, bytes: Uint8Array): boolean {
    // Bun takes any view; its type excludes shared memory.
    const result = controller.write(bytes as Uint8Array<ArrayBuffer>);
    if (typeof result === 'number') return !this.full;
    if (!this.full) {
      this.full = true;
      const drained = (): void => this.drained();
      result.then(drained, drained);
    }
    return false;
  }

  private drained(): void {
    this.full = false;
    if (this.ending === 'end') void this.controller?.close();
    if (this.ending === 'none' && !this.inbound.ended) this.drainCallback?.();
  }
}

function isEventStream(headers: HeaderRecord): boolean {
  return headers['content-type']?.startsWith('text/event-stream') === true;
}

/** Breaks the body off. A rejection while pull() is still on the stack would be reported as uncaught. */
function brokenLater(): Promise<void> {
  return new Promise((_, reject) => {
    setImmediate(() => reject(new Error('the reply broke off')));
  });
}

/** Opens the stream and makes the Response that carries it. */
export function streamedResponse(
  inbound: BunInbound,
  reply: Reply,
  stream: ReplyStream,
): Response | Promise<Response> {
  const sink = new BunSink(inbound, reply);
  stream.open(sink);
  return sink.response();
}
