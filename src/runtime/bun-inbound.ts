// One request on Bun.serve, and the watch over requests that take longer than a moment.
// Called by bun-listener.ts and bun-stream.ts. Promises: everything is read lazily from Bun's Request; a request answered
// at once pays neither for an abort signal nor for a timer; one that waits is exempt from the idle timeout and
// hears of its client's leaving.

import { concat } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Inbound } from './runtime.ts';

/** The listener without web sockets. */
export type BunServer = Bun.Server<undefined>;

/** `https://` is 8 long and a host is never empty, so the first slash from here on starts the path. */
const PATH_SEARCH_FROM = 8;
const SLASH = 0x2f;
/**
 * A request older than one to two of these is watched. An abort listener costs about 1.2 µs, a tenth of a proxied call,
 * and most calls are over before a client can leave them; Bun tells late askers too (`signal.aborted`).
 */
const WATCH_AFTER_MS = 100;

/** The requests that wait for their reply, oldest first. */
export class Watch {
  readonly server: BunServer;
  readonly idleSeconds: number;
  /** True when a reply may say that its connection ends with it: HTTP/1.1 alone knows how. */
  readonly mayClose: boolean;
  private first: BunInbound | null = null;
  private last: BunInbound | null = null;
  private turn = 0;
  private timing = false;

  constructor(server: BunServer, idleSeconds: number, mayClose: boolean) {
    this.server = server;
    this.idleSeconds = idleSeconds;
    this.mayClose = mayClose;
  }

  add(inbound: BunInbound): void {
    inbound.listed = true;
    inbound.turn = this.turn;
    inbound.before = this.last;
    if (this.last === null) this.first = inbound;
    else this.last.after = inbound;
    this.last = inbound;
    if (!this.timing) this.time();
  }

  remove(inbound: BunInbound): void {
    inbound.listed = false;
    if (inbound.before === null) this.first = inbound.after;
    else inbound.before.after = inbound.after;
    if (inbound.after === null) this.last = inbound.before;
    else inbound.after.before = inbound.before;
    inbound.before = null;
    inbound.after = null;
  }

  private time(): void {
    this.timing = true;
    setTimeout(this.sweep, WATCH_AFTER_MS).unref();
  }

  private readonly sweep = (): void => {
    this.timing = false;
    while (this.first !== null && this.first.turn < this.turn) this.first.watch();
    this.turn++;
    if (this.first !== null) this.time();
  };
}

/** Stands for one that was let go of. */
const NO_REQUEST = new Request('http://localhost/');

/** A request under way. `finish` must be called when its reply is complete or handed over whole. */
export class BunInbound implements Inbound {
  request: Request;
  private readonly owner: Watch;
  private readonly bodyBytesMax: number;
  private abortCallback: (() => void) | null = null;
  private reading = false;
  private over = false;
  private exempt = false;
  // Links of the Watch's list.
  before: BunInbound | null = null;
  after: BunInbound | null = null;
  listed = false;
  turn = 0;

  constructor(request: Request, owner: Watch, bodyBytesMax: number) {
    this.request = request;
    this.owner = owner;
    this.bodyBytesMax = bodyBytesMax;
  }

  get method(): string {
    return this.request.method;
  }

  get path(): string {
    const url = this.request.url;
    const start = pathStart(url);
    const end = url.indexOf('?', start);
    return end < 0 ? url.slice(start) : url.slice(start, end);
  }

  get query(): string {
    const url = this.request.url;
    const mark = url.indexOf('?', pathStart(url));
    return mark < 0 ? '' : url.slice(mark + 1);
  }

  get peer(): string {
    return this.owner.server.requestIP(this.request)?.address ?? '';
  }

  header(name: string): string | null {
    return this.request.headers.get(name);
  }

  eachHeader(visit: (name: string, value: string) => void): void {
    this.request.headers.forEach((value, name) => {
      visit(name, value);
    });
  }

  /** Bun has no way to ask. */
  get wholeBody(): null {
    return null;
  }

  readBody(): Promise<Uint8Array> {
    const announced = this.request.headers.get('content-length');
    if (announced !== null && Number(announced) > this.bodyBytesMax) return Promise.reject(this.tooLarge());
    this.reading = true;
    const whole = announced === null ? this.readCounted() : this.request.bytes();
    return whole.then(
      (bytes) => {
        this.reading = false;
        this.await();
        return bytes;
      },
      (cause: unknown) => {
        this.reading = false;
        if (cause instanceof GatewayError) throw cause;
        this.left();
        throw new GatewayError('GW_SERVER_BODY_ABORTED', '', cause);
      },
    );
  }

  onAbort(callback: () => void): void {
    this.abortCallback = callback;
  }

  /** The reply is not there yet. While the body comes in, the idle timeout stays on guard against a client that stalls. */
  await(): void {
    if (!this.reading && !this.over && !this.listed && !this.exempt) this.owner.add(this);
  }

  /** Exempts from the idle timeout and listens for the client's leaving. */
  watch(): void {
    if (!this.excuse()) return;
    const { signal } = this.request;
    if (signal.aborted) this.left();
    else signal.addEventListener('abort', () => this.left(), { once: true });
  }

  /**
   * The same for a reply that streams: its body's cancel() tells of the client's leaving, which costs nothing. True when the connection must end with the
   * reply, by a header of it: a stream that a GET opened lasts, and Bun's Request, which only serves to put the idle timeout back, takes 2 KB.
   */
  stream(isLasting: boolean): boolean {
    if (this.excuse() && this.request.signal.aborted) this.left();
    const isLast = isLasting && this.owner.mayClose && this.request.method === 'GET';
    if (isLast) this.request = NO_REQUEST;
    return isLast;
  }

  /** Exempts from the idle timeout; false when that was done before or there is nothing left to exempt. */
  private excuse(): boolean {
    if (this.listed) this.owner.remove(this);
    if (this.over || this.exempt) return false;
    this.exempt = true;
    this.owner.server.timeout(this.request, 0);
    return true;
  }

  /** The reply is complete, or Bun has all of it: what happens to the connection now is no longer our caller's concern. */
  finish(): void {
    if (this.over) return;
    this.over = true;
    if (this.listed) this.owner.remove(this);
    // Bun keeps a timeout for the connection, not for the request: without this it would stay idle forever.
    if (this.exempt && this.request !== NO_REQUEST)
      this.owner.server.timeout(this.request, this.owner.idleSeconds);
  }

  /** True once the reply is complete or the client has left. */
  get ended(): boolean {
    return this.over;
  }

  /** The client left: tells the handler, once, unless the reply is complete. */
  left(): void {
    if (this.over) return;
    this.over = true;
    if (this.listed) this.owner.remove(this);
    this.abortCallback?.();
  }

  private tooLarge(): GatewayError {
    return new GatewayError('GW_SERVER_BODY_SIZE', `at most ${this.bodyBytesMax} bytes are accepted`);
  }

  /** Reads a body of unknown length (chunked, HTTP/2) piece by piece, so that the limit holds while it arrives. */
  private async readCounted(): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    const reader = this.request.body?.getReader();
    if (reader === undefined) return new Uint8Array(0);
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concat(parts);
      bytes += value.length;
      if (bytes > this.bodyBytesMax) {
        void reader.cancel().catch(() => undefined);
        throw this.tooLarge();
      }
      parts.push(value);
    }
  }
}

/** Bun gives only the path when the Host header is missing or malformed, else a whole URL. */
function pathStart(url: string): number {
  return url.charCodeAt(0) === SLASH ? 0 : url.indexOf('/', PATH_SEARCH_FROM);
}
