// A client's connections to the gateway: HTTP/1.1 over simulated sockets, with keep-alive.
// Called by the clients. Promises: one request at a time on a connection; every exchange ends once, as whole, broken, refused or left; what comes is told as it
// comes.
import { concat, decode, encode } from '../../src/base/bytes.ts';
import { Outbox } from '../../src/runtime/outbox.ts';
import type { Clock, HeaderRecord, Runtime, Socket, SocketHandler } from '../../src/runtime/runtime.ts';
import { FramingReader, writeHead } from '../../src/runtime/sim-http.ts';
import type { Dice } from './dice.ts';

/** What to send. */
export interface WireRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly path: string;
  readonly headers: HeaderRecord;
  readonly body: string;
  /** Told of each piece of the body as it comes. */
  readonly onText?: (text: string) => void;
}

/** How an exchange ended. */
export interface WireReply {
  readonly end: 'whole' | 'broken' | 'refused' | 'left';
  /** 0 when no head came. */
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly text: string;
}

/** An exchange under way. */
export interface WireCall {
  readonly reply: Promise<WireReply>;
  /** Goes away. */
  leave(): void;
}

/** A client does not use a connection that was idle for longer: the gateway may be about to close it. */
const IDLE_MS_MAX = 5_000;

class Line implements SocketHandler {
  isFree = false;
  isClosed = false;
  freeSinceMs = 0;
  readonly #clock: Clock;
  #socket: Socket | null = null;
  #outbox: Outbox | null = null;
  #reader = this.#newReader();
  #request: WireRequest | null = null;
  #settle: ((reply: WireReply) => void) | null = null;
  #status = 0;
  #headers: HeaderRecord = {};
  #parts: Uint8Array[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  #newReader(): FramingReader {
    return new FramingReader(
      {
        onHead: (line, headers) => {
          this.#status = Number(line.split(' ')[1]);
          this.#headers = headers;
        },
        onBody: (bytes) => {
          this.#parts.push(bytes);
          this.#request?.onText?.(decode(bytes));
        },
        onEnd: () => this.#whole(),
      },
      true,
    );
  }

  begin(request: WireRequest): Promise<WireReply> {
    this.isFree = false;
    this.#request = request;
    this.#status = 0;
    this.#headers = {};
    this.#parts = [];
    return new Promise((resolve) => {
      this.#settle = resolve;
      if (this.#outbox !== null) this.#send();
    });
  }

  leave(): void {
    this.#over('left');
    this.close();
  }

  close(): void {
    this.isClosed = true;
    this.#socket?.destroy();
  }

  #send(): void {
    const { method, path, headers, body } = this.#request ?? {
      method: 'GET',
      path: '/',
      headers: {},
      body: '',
    };
    const bytes = encode(body);
    const framing: Record<string, string> =
      method === 'POST' ? { 'content-length': String(bytes.length) } : {};
    this.#outbox?.send(
      concat([writeHead(`${method} ${path} HTTP/1.1`, { host: 'localhost', ...framing, ...headers }), bytes]),
    );
  }

  #whole(): void {
    // An interim reply, or one that nobody asked for.
    if (this.#settle === null) return this.close();
    const isLast = this.#headers.connection === 'close';
    this.#over('whole');
    if (isLast) return this.close();
    this.isFree = true;
    this.freeSinceMs = this.#clock.now();
  }

  #over(end: WireReply['end']): void {
    const settle = this.#settle;
    this.#settle = null;
    this.#request = null;
    settle?.({ end, status: this.#status, headers: this.#headers, text: decode(concat(this.#parts)) });
  }

  onOpen(socket: Socket): void {
    if (this.isClosed) return socket.destroy();
    this.#socket = socket;
    this.#outbox = new Outbox(socket);
    this.#send();
  }
  onData(bytes: Uint8Array): void {
    if (this.#settle === null) return this.close();
    this.#reader.push(bytes);
  }
  onDrain(): void {
    this.#outbox?.flush();
  }
  onEnd(): void {
    this.#reader.close();
  }
  onClose(): void {
    this.isClosed = true;
    this.#over('broken');
  }
  onConnectError(): void {
    this.isClosed = true;
    this.#over('refused');
  }
}

/** All connections of one client. */
export class Wires {
  readonly #runtime: Pick<Runtime, 'connect' | 'clock'>;
  readonly #port: number;
  readonly #reuseShare: number;
  readonly #dice: Dice;
  readonly #lines: Line[] = [];

  constructor(runtime: Pick<Runtime, 'connect' | 'clock'>, port: number, reuseShare: number, dice: Dice) {
    this.#runtime = runtime;
    this.#port = port;
    this.#reuseShare = reuseShare;
    this.#dice = dice;
  }

  send(request: WireRequest): WireCall {
    const line = this.#free() ?? this.#fresh();
    const reply = line.begin(request);
    return { reply, leave: () => line.leave() };
  }

  #free(): Line | null {
    const { clock } = this.#runtime;
    const usable = this.#lines.find(
      (line) => line.isFree && !line.isClosed && clock.now() - line.freeSinceMs < IDLE_MS_MAX,
    );
    return usable !== undefined && this.#dice.chance(this.#reuseShare) ? usable : null;
  }

  #fresh(): Line {
    const line = new Line(this.#runtime.clock);
    this.#lines.push(line);
    this.#runtime.connect({ host: '127.0.0.1', port: this.#port }, null, line);
    return line;
  }

  /** Closes what is open. */
  close(): void {
    for (const line of this.#lines) if (!line.isClosed) line.leave();
  }
}
