// The listener that stands for uWebSockets in the simulated runtime: HTTP/1.1 with keep-alive over simulated sockets.
// Called by sim-listen.ts. Promises: the listener contract of runtime.ts. A request that follows before the reply to the one before
// it is complete waits for it. TLS, HTTP/2 and HTTP/3 are accepted in the options and make no difference here.
import { concat, EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { Outbox } from './outbox.ts';
import type {
  Clock,
  HeaderRecord,
  Inbound,
  Listener,
  ListenOptions,
  Reply,
  ReplySink,
  RequestHandler,
  Socket,
  SocketHandler,
  TimerId,
} from './runtime.ts';
import { FramingReader, writeChunk, writeHead } from './sim-http.ts';
import type { Accept, Places } from './sim-network.ts';

class SimInbound implements Inbound {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer = '127.0.0.1';
  private readonly headers: HeaderRecord;
  private readonly bytesMax: number;
  private readonly parts: Uint8Array[] = [];
  private bytes = 0;
  private outcome: 'reading' | 'whole' | 'aborted' | 'tooLarge' = 'reading';
  private settle: (() => void) | null = null;
  private abortCallback: (() => void) | null = null;
  replied = false;

  constructor(firstLine: string, headers: HeaderRecord, bytesMax: number) {
    const [method = '', target = ''] = firstLine.split(' ');
    const mark = target.indexOf('?');
    this.method = method;
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? '' : target.slice(mark + 1);
    this.headers = headers;
    this.bytesMax = bytesMax;
    if (Number(headers['content-length'] ?? 0) > bytesMax) this.outcome = 'tooLarge';
  }

  header(name: string): string | null {
    return this.headers[name] ?? null;
  }

  eachHeader(visit: (name: string, value: string) => void): void {
    for (const [name, value] of Object.entries(this.headers)) visit(name, value);
  }

  onAbort(callback: () => void): void {
    this.abortCallback = callback;
  }

  /** Bodies come apart from heads here. */
  get wholeBody(): null {
    return null;
  }

  readBody(): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.outcome === 'whole') resolve(this.parts.length === 0 ? EMPTY : concat(this.parts));
        else if (this.outcome === 'aborted') reject(new GatewayError('GW_SERVER_BODY_ABORTED'));
        else reject(new GatewayError('GW_SERVER_BODY_SIZE', `at most ${this.bytesMax} bytes are accepted`));
      };
      if (this.outcome === 'reading') this.settle = settle;
      else settle();
    });
  }

  push(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (this.bytes > this.bytesMax) this.decide('tooLarge');
    else this.parts.push(bytes);
  }

  decide(outcome: 'whole' | 'aborted' | 'tooLarge'): void {
    if (this.outcome !== 'reading') return;
    this.outcome = outcome;
    this.settle?.();
  }

  /** The client is gone. */
  left(): void {
    this.decide('aborted');
    if (this.replied) return;
    this.replied = true;
    this.abortCallback?.();
  }
}

/** One connection of the listener. */
class Connection implements SocketHandler {
  private readonly owner: SimListener;
  private readonly socket: Socket;
  private readonly outbox: Outbox;
  private readonly reader: FramingReader;
  private readonly queue: SimInbound[] = [];
  private receiving: SimInbound | null = null;
  private drainCallback: (() => void) | null = null;
  private idleTimer: TimerId = 0;

  constructor(owner: SimListener, socket: Socket) {
    this.owner = owner;
    this.socket = socket;
    this.outbox = new Outbox(socket);
    this.reader = new FramingReader(
      {
        onHead: (line, headers) => this.request(new SimInbound(line, headers, owner.options.bodyBytesMax)),
        onBody: (bytes) => this.receiving?.push(bytes),
        onEnd: () => this.receiving?.decide('whole'),
      },
      false,
    );
  }

  get idle(): boolean {
    return this.queue.length === 0;
  }

  onOpen(): void {
    this.rest();
  }

  onData(bytes: Uint8Array): void {
    this.reader.push(bytes);
  }

  onDrain(): void {
    if (this.outbox.flush()) this.drainCallback?.();
  }

  onEnd(): void {}

  onClose(): void {
    this.owner.clock.cancel(this.idleTimer);
    for (const inbound of this.queue.splice(0)) inbound.left();
    this.owner.closed(this);
  }

  onConnectError(): void {}

  close(): void {
    this.socket.destroy();
  }

  private request(inbound: SimInbound): void {
    this.owner.clock.cancel(this.idleTimer);
    this.receiving = inbound;
    this.queue.push(inbound);
    if (this.queue.length === 1) this.handle(inbound);
  }

  private handle(inbound: SimInbound): void {
    const failed = (): void => this.reply(inbound, { status: 500, headers: {}, body: null });
    try {
      Promise.resolve(this.owner.handler(inbound)).then((reply) => this.reply(inbound, reply), failed);
    } catch {
      failed();
    }
  }

  private reply(inbound: SimInbound, reply: Reply): void {
    if (inbound.replied) return;
    const { status, headers, body } = reply;
    const line = `HTTP/1.1 ${status} Sim`;
    if (body === null || body instanceof Uint8Array) {
      const bytes = body ?? EMPTY;
      this.outbox.send(
        concat([writeHead(line, { ...headers, 'content-length': String(bytes.length) }), bytes]),
      );
      this.done(inbound);
      return;
    }
    this.outbox.send(writeHead(line, { ...headers, 'transfer-encoding': 'chunked' }));
    body.open(this.sink(inbound));
  }

  private sink(inbound: SimInbound): ReplySink {
    return {
      write: (bytes) => inbound.replied || bytes.length === 0 || this.outbox.send(writeChunk(bytes)),
      end: () => {
        if (inbound.replied) return;
        this.outbox.send(writeChunk(EMPTY));
        this.done(inbound);
      },
      fail: () => {
        if (inbound.replied) return;
        inbound.replied = true;
        this.socket.destroy();
      },
      onDrain: (callback) => {
        this.drainCallback = () => {
          if (!inbound.replied) callback();
        };
      },
    };
  }

  private done(inbound: SimInbound): void {
    inbound.replied = true;
    this.drainCallback = null;
    this.queue.shift();
    const next = this.queue[0];
    if (next !== undefined) this.handle(next);
    else if (this.owner.draining) this.outbox.end();
    else this.rest();
  }

  private rest(): void {
    this.idleTimer = this.owner.clock.after(this.owner.options.idleTimeoutMs, () => this.outbox.end());
  }
}

/** A listener bound to a port of the simulated network. */
export class SimListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly options: ListenOptions;
  readonly handler: RequestHandler;
  readonly clock: Clock;
  draining = false;
  private readonly connections = new Set<Connection>();
  private readonly unbind: () => void;
  private drained: (() => void) | null = null;

  constructor(places: Places, options: ListenOptions, handler: RequestHandler) {
    this.clock = places.clock;
    this.options = options;
    this.handler = handler;
    this.host = options.host;
    this.port = options.port === 0 ? places.freePort() : options.port;
    const accept: Accept = (socket) => {
      const connection = new Connection(this, socket);
      this.connections.add(connection);
      return connection;
    };
    const unbind = places.bind(`:${this.port}`, accept, options.reusePort);
    if (unbind === null) {
      throw new GatewayError('GW_RUNTIME_LISTEN', `"${options.host}:${options.port}": the port is in use`);
    }
    this.unbind = unbind;
  }

  drain(): Promise<void> {
    this.draining = true;
    this.unbind();
    for (const connection of this.connections) if (connection.idle) connection.close();
    return new Promise((resolve) => {
      this.drained = resolve;
      this.settle();
    });
  }

  stop(): void {
    this.unbind();
    for (const connection of this.connections) connection.close();
  }

  /** A connection is gone. */
  closed(connection: Connection): void {
    this.connections.delete(connection);
    this.settle();
  }

  private settle(): void {
    if (this.connections.size === 0) this.drained?.();
  }
}
