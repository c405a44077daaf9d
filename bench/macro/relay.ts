// The least that stands between a client and a server: a body comes in, goes out on a kept connection behind a head that never changes, and the reply's body goes back.
// Called by hello.ts. Promises: no check, no JSON, no bound: what a transport and a runtime's sockets cost by themselves, and so the least that a gateway on them can.
import { concat, decode, encode } from '../../src/base/bytes.ts';
import type { Reply, Runtime, Socket } from '../../src/runtime/runtime.ts';
import { CALL_HEADERS } from './call.ts';

const HEADERS = { 'content-type': 'application/json' };

/** Sends a body to the server and gives its reply. */
export type Relay = (body: Uint8Array) => Promise<Reply>;

class Connection {
  private socket: Socket | null = null;
  private waiting: Uint8Array | null = null;
  private settle: (reply: Reply) => void = () => undefined;
  private parts: Uint8Array[] = [];
  private readonly isIdle: (connection: Connection) => void;

  constructor(runtime: Runtime, upstream: URL, isIdle: (connection: Connection) => void) {
    this.isIdle = isIdle;
    runtime.connect({ host: upstream.hostname, port: Number(upstream.port) }, null, {
      onOpen: (socket) => {
        this.socket = socket;
        if (this.waiting !== null) this.write(this.waiting);
        this.waiting = null;
      },
      onConnectError: (reason) => fail(reason),
      onData: (bytes) => this.receive(bytes),
      onDrain: () => undefined,
      onEnd: () => undefined,
      onClose: (reason) => fail(reason ?? 'the server closed the connection'),
    });
  }

  send(bytes: Uint8Array): Promise<Reply> {
    return new Promise((resolve) => {
      this.settle = resolve;
      if (this.socket === null) this.waiting = bytes;
      else this.write(bytes);
    });
  }

  private write(bytes: Uint8Array): void {
    if (this.socket?.write(bytes, 0, bytes.length) !== bytes.length) fail('a request did not leave at once');
  }

  private receive(bytes: Uint8Array): void {
    this.parts.push(bytes);
    const whole = this.parts.length === 1 ? bytes : concat(this.parts);
    const bodyAt = Buffer.from(whole.buffer, whole.byteOffset, whole.length).indexOf('\r\n\r\n') + 4;
    const length = bodyAt < 4 ? null : /content-length: (\d+)/i.exec(decode(whole, 0, bodyAt));
    if (length === null || whole.length < bodyAt + Number(length[1])) return;
    this.parts = [];
    this.isIdle(this);
    this.settle({ status: 200, headers: HEADERS, body: whole.subarray(bodyAt) });
  }
}

function fail(reason: string): never {
  throw new Error(`the relay's server: ${reason}`);
}

/** Makes a relay to a server. */
export function createRelay(runtime: Runtime, upstream: URL): Relay {
  const idle: Connection[] = [];
  const lines = Object.entries(CALL_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${upstream.pathname} HTTP/1.1\r\nhost: ${upstream.host}\r\n${lines.join('')}content-length: `;
  return (body) => {
    const connection = idle.pop() ?? new Connection(runtime, upstream, (one) => void idle.push(one));
    return connection.send(concat([encode(`${head}${body.length}\r\n\r\n`), body]));
  };
}
