// One client of the load: a connection that is kept, one call at a time, an MCP session of its own where the era has sessions.
// Called by load.ts. Promises: every call ends in exactly one `onDone`; a lost connection is made again for the next call; nothing
// that an old connection still says reaches a new one.
import { must } from '../../base/assert.ts';
import type {
  Runtime,
  Socket,
  SocketAddress,
  SocketHandler,
  TlsConnectOptions,
} from '../../runtime/runtime.ts';
import type { RequestBytes } from './message.ts';
import { setId } from './message.ts';
import { ReplyReader } from './reply.ts';

/** Where to connect, and through what. */
export interface Route {
  readonly runtime: Pick<Runtime, 'connect'>;
  readonly address: SocketAddress;
  readonly tls: TlsConnectOptions | null;
}

/** A client. Times are milliseconds of one clock, given by whoever calls. */
export class Caller {
  readonly reader = new ReplyReader();
  /** Of the call under way: when it should have been sent, and when it was. */
  intendedMs = 0;
  sentMs = 0;
  /** When the answer was seen, 0 before. */
  answeredMs = 0;
  busy = false;
  /** Session id to present, or null. */
  session: string | null = null;
  /** The call that this client makes again and again. */
  request: RequestBytes | null = null;
  #sending: RequestBytes | null = null;
  #sent = 0;
  #link: Link | null = null;
  #onDone: (caller: Caller) => void = () => undefined;
  readonly #route: Route;
  readonly #now: () => number;

  constructor(route: Route, now: () => number) {
    this.#route = route;
    this.#now = now;
  }

  /** Sends one request. `id` 0: a message that has none. The result is in `reader` when `onDone` is called. */
  send(request: RequestBytes, id: number, intendedMs: number, onDone: (caller: Caller) => void): void {
    this.busy = true;
    this.intendedMs = intendedMs;
    this.sentMs = this.#now();
    this.answeredMs = 0;
    this.#onDone = onDone;
    this.#sending = request;
    this.#sent = 0;
    this.reader.begin(id);
    if (id !== 0) setId(request.start, id);
    if (this.#link === null) this.#link = new Link(this, this.#route);
    else this.push();
  }

  /** Breaks the call under way off. */
  abort(why: string): void {
    this.#drop();
    this.#end(why);
  }

  /** Ends a call that has its answer while the reply goes on; the connection is given up. */
  release(): void {
    this.#drop();
    this.#end(null);
  }

  /** Closes the connection; nothing may be under way. */
  close(): void {
    this.#drop();
  }

  // ── what the connection tells ───────────────────────────────────────────────────────────────────────────────────

  /** Writes what is not sent yet. */
  push(): void {
    const request = this.#sending;
    const socket = this.#link?.socket ?? null;
    if (request === null || socket === null) return;
    const { start, rest } = request;
    while (this.#sent < start.length + rest.length) {
      const first = this.#sent < start.length;
      const bytes = first ? start : rest;
      const from = first ? this.#sent : this.#sent - start.length;
      const taken = socket.write(bytes, from, bytes.length);
      if (taken > 0) this.#sent += taken;
      if (taken < bytes.length - from) return;
    }
    this.#sending = null;
  }

  take(bytes: Uint8Array): void {
    if (!this.busy) {
      // Bytes without a call: the connection is spoilt, and the next call makes a new one.
      this.#drop();
      return;
    }
    this.reader.feed(bytes);
    if (this.reader.answered && this.answeredMs === 0) this.answeredMs = this.#now();
    if (this.reader.ended) this.#end(null);
  }

  lost(error: string | null): void {
    this.#link = null;
    if (!this.busy) return;
    this.reader.close();
    if (this.answeredMs === 0) this.answeredMs = this.#now();
    this.#end(this.reader.fault === null || error === null ? null : 'connection lost');
  }

  refused(error: string): void {
    this.#link = null;
    this.#end(`no connection: ${/\b(E[A-Z]+)\b/.exec(error)?.[1] ?? error.slice(0, 60)}`);
  }

  #end(fault: string | null): void {
    if (!this.busy) return;
    this.busy = false;
    this.#sending = null;
    if (fault !== null) this.reader.fault = fault;
    if (!this.reader.keepAlive || this.reader.fault !== null) this.#drop();
    this.#onDone(this);
  }

  #drop(): void {
    this.#link?.leave();
    this.#link = null;
  }
}

/** One connection of a client: what it says after leave() is not passed on. */
class Link implements SocketHandler {
  socket: Socket | null = null;
  #caller: Caller | null;

  constructor(caller: Caller, route: Route) {
    this.#caller = caller;
    route.runtime.connect(route.address, route.tls, this);
  }

  leave(): void {
    this.#caller = null;
    this.socket?.destroy();
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    if (this.#caller === null) socket.destroy();
    else this.#caller.push();
  }

  onData(bytes: Uint8Array): void {
    this.#caller?.take(bytes);
  }

  onDrain(): void {
    this.#caller?.push();
  }

  onEnd(): void {}

  onClose(error: string | null): void {
    this.#caller?.lost(error);
  }

  onConnectError(error: string): void {
    this.#caller?.refused(error);
  }
}

/** The call that a client was given to repeat. */
export function requestOf(caller: Caller): RequestBytes {
  return must(caller.request, 'the request of a client');
}
