// The HTTP/1.1 listener on node:net's sockets.
// Called by node-listener.ts for listeners without TLS. Promises: runtime.ts.
import net from 'node:net';
import type { RawSocket } from './http1-connection.ts';
import { Http1Server } from './http1-server.ts';
import { nodeClock } from './node-clock.ts';
import { bindServer } from './node-server.ts';
import type { Listener, ListenOptions, RequestHandler } from './runtime.ts';

/** A socket as a connection sees it. */
class NodeRawSocket implements RawSocket {
  readonly raw: net.Socket;
  /** What was refused is wanted again once this is called. */
  onDrain: () => void = () => undefined;
  private isAwaited = false;
  private isOver = false;

  constructor(raw: net.Socket) {
    this.raw = raw;
  }

  get remoteAddress(): string {
    return this.raw.remoteAddress ?? '';
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    if (this.isOver || this.raw.destroyed) return -1;
    if (this.raw.writableLength > 0) {
      this.isAwaited = true;
      return 0;
    }
    // Node keeps what the kernel does not take, so it must be nobody else's.
    const copy = Buffer.allocUnsafe(length);
    copy.set(bytes.subarray(start, start + length));
    this.raw.write(copy, this.written);
    return length;
  }

  private readonly written = (): void => {
    if (!this.isAwaited || this.raw.writableLength > 0) return;
    this.isAwaited = false;
    this.onDrain();
  };

  end(): void {
    this.isOver = true;
    this.raw.end(() => this.raw.destroy());
  }

  shutdown(): void {
    this.isOver = true;
    this.raw.end();
  }

  terminate(): void {
    this.isOver = true;
    this.raw.destroy();
  }

  pause(): void {
    this.raw.pause();
  }

  resume(): void {
    this.raw.resume();
  }
}

function accept(server: Http1Server, raw: net.Socket): void {
  const socket = new NodeRawSocket(raw);
  const connection = server.opened(socket);
  socket.onDrain = () => connection.drain();
  raw.on('data', (bytes: Buffer) => connection.data(bytes));
  // The client has ended: what was asked is not waited for any more, as with the other transports.
  raw.on('end', () => raw.destroy());
  raw.on('error', () => undefined);
  raw.on('close', () => server.closed(connection));
}

/** Starts a listener; throws GW_RUNTIME_LISTEN when the address cannot be had. `fault` hears of what a handler threw. */
export function listenHttp1OnNode(
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  const server = new Http1Server({ options, handler, clock: nodeClock, fault });
  const listening = net.createServer({ noDelay: true, allowHalfOpen: true }, (raw) => accept(server, raw));
  const port = bindServer(listening, options);
  return {
    host: options.host,
    port,
    drain() {
      listening.close();
      return server.drain();
    },
    stop() {
      listening.close();
      server.stop();
    },
  };
}
