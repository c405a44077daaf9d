// A downstream client in a few lines: one HTTP/1.1 exchange over a runtime's sockets.
// Called by sim.ts (its request()) and by tests on every runtime. Promises: shows head, bytes and the way the reply ended as
// they come; never throws.
import { concat, decode, EMPTY } from '../base/bytes.ts';
import { Outbox } from './outbox.ts';
import type { HeaderRecord, Runtime, Socket, SocketAddress, SocketHandler } from './runtime.ts';
import { FramingReader, writeChunk, writeHead } from './sim-http.ts';

/** What to send. */
export interface ClientRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: HeaderRecord;
  readonly body?: Uint8Array;
  /** Sends the body in chunks of this many bytes instead of with a length. */
  readonly chunkBytes?: number;
  /** Announces this length whatever the body's is: for bodies that never arrive whole. */
  readonly announcedBytes?: number;
}

/** How far a reply has come: `broken` is one that ended before it was complete, `refused` a connection that never was. */
export type ExchangeState = 'waiting' | 'streaming' | 'whole' | 'broken' | 'refused';

/** A request under way, seen from the client. */
export class ClientExchange implements SocketHandler {
  state: ExchangeState = 'waiting';
  status = 0;
  headers: HeaderRecord = {};
  private readonly request: ClientRequest;
  private readonly parts: Uint8Array[] = [];
  private readonly reader: FramingReader;
  private socket: Socket | null = null;
  private outbox: Outbox | null = null;

  constructor(request: ClientRequest) {
    this.request = request;
    this.reader = new FramingReader(
      {
        onHead: (line, headers) => {
          this.status = Number(line.split(' ')[1]);
          this.headers = headers;
          this.state = 'streaming';
        },
        onBody: (bytes) => {
          this.parts.push(bytes);
        },
        onEnd: () => {
          this.state = 'whole';
        },
      },
      true,
    );
  }

  /** The body so far. */
  bytes(): Uint8Array {
    return this.parts.length === 0 ? EMPTY : concat(this.parts);
  }

  /** The body so far as text. */
  text(): string {
    return decode(this.bytes());
  }

  /** Goes away at once. */
  leave(): void {
    this.socket?.destroy();
  }

  pause(): void {
    this.socket?.pause();
  }

  resume(): void {
    this.socket?.resume();
  }

  onOpen(socket: Socket): void {
    this.socket = socket;
    this.outbox = new Outbox(socket);
    const { method, path, headers, body, chunkBytes, announcedBytes } = this.request;
    const framing: Record<string, string> = {};
    if (chunkBytes !== undefined) framing['transfer-encoding'] = 'chunked';
    else if (body !== undefined) framing['content-length'] = String(announcedBytes ?? body.length);
    this.outbox.send(
      writeHead(`${method} ${path} HTTP/1.1`, { host: 'gateway.test', ...framing, ...headers }),
    );
    if (body === undefined) return;
    if (chunkBytes === undefined) {
      this.outbox.send(body);
      return;
    }
    for (let at = 0; at < body.length; at += chunkBytes) {
      this.outbox.send(writeChunk(body.subarray(at, at + chunkBytes)));
    }
    this.outbox.send(writeChunk(EMPTY));
  }

  onData(bytes: Uint8Array): void {
    this.reader.push(bytes);
    if (this.state === 'whole') this.socket?.end();
  }

  onDrain(): void {
    this.outbox?.flush();
  }

  onEnd(): void {
    if (this.state === 'streaming' && !this.reader.close()) this.state = 'broken';
  }

  onClose(): void {
    if (this.state !== 'whole') this.state = 'broken';
  }

  onConnectError(): void {
    this.state = 'refused';
  }
}

/** Sends one request on a connection of its own. */
export function sendRequest(
  runtime: Pick<Runtime, 'connect'>,
  address: SocketAddress,
  request: ClientRequest,
): ClientExchange {
  const exchange = new ClientExchange(request);
  runtime.connect(address, null, exchange);
  return exchange;
}
