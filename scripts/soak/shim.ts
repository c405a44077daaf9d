// A TCP connection in between that can be told to misbehave.
// Called by places.ts in front of servers that faults are to befall. Promises: passes bytes both ways with back-pressure, TCP_NODELAY on; a change
// of mood holds for connections that are there as for new ones; stop() leaves no socket.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * `reset`: every connection, and every new one, is reset. `garbage`: what the server says arrives as other bytes. `slow`: each piece of it arrives
 * late. `cut`: each reply breaks off in its first piece.
 */
export type Mood = 'pass' | 'reset' | 'garbage' | 'slow' | 'cut';

const SLOW_MS = 150;

/** Listens on a port of its own and passes everything on to another one. */
export class Shim {
  readonly port: number;
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #mood: Mood = 'pass';

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    // A server that listens on a port has an address of this kind.
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#join(socket));
  }

  static async start(target: number): Promise<Shim> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new Shim(server, target);
  }

  set mood(mood: Mood) {
    this.#mood = mood;
    if (mood === 'reset') for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    if (this.#mood === 'reset') {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target, '127.0.0.1');
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      // 'close' follows, and ends both.
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('end', () => to.end());
      to.on('drain', () => from.resume());
    }
    client.on('data', (bytes: Buffer) => pass(client, server, bytes));
    server.on('data', (bytes: Buffer) => this.#reply(server, client, bytes));
  }

  #reply(server: Socket, client: Socket, bytes: Buffer): void {
    if (this.#mood === 'garbage') {
      pass(
        server,
        client,
        bytes.map((byte, at) => (byte * 31 + at * 17) & 0xff),
      );
    } else if (this.#mood === 'cut') {
      client.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => client.destroy());
    } else if (this.#mood === 'slow') {
      server.pause();
      setTimeout(() => {
        server.resume();
        pass(server, client, bytes);
      }, SLOW_MS);
    } else pass(server, client, bytes);
  }
}

function pass(from: Socket, to: Socket, bytes: Uint8Array): void {
  if (to.destroyed || !to.writable) return;
  if (!to.write(bytes)) from.pause();
}
