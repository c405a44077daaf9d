// The MCP server that the upstream contract is tested against: what it answers, and an HTTP/1.1 face for it on any kind of socket.
// Called by test/contract/upstream*.ts. Promises: the behaviour is chosen by the tool's name, so that every transport can offer the same
// server; the HTTP face sends byte for byte what a test says, valid or not.
import { concat, decode, encode } from '../../src/base/bytes.ts';
import type { Socket, SocketHandler } from '../../src/runtime/runtime.ts';

/** What the server does with a message. */
export type Deed =
  /** Answers in one message. */
  | { readonly kind: 'answer'; readonly text: string }
  /** Sends notifications first. */
  | { readonly kind: 'stream'; readonly notes: readonly string[]; readonly text: string }
  /** Answers when the test releases it. */
  | { readonly kind: 'hold'; readonly text: string }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Breaks down without a word, or in the middle of one. */
  | { readonly kind: 'die' }
  | { readonly kind: 'half'; readonly text: string }
  /** Takes a notification. */
  | { readonly kind: 'accept' };

/** A message as the server looks at it. */
interface Message {
  readonly id?: string | number;
  readonly method: string;
  readonly params?: { readonly name?: string; readonly arguments?: { readonly text?: string } };
}

/** Bytes of text in the answer of the tool `big`. */
export const BIG_BYTES = 1024 * 1024;

/** Decides by the name of the tool. */
export function deedOf(body: string): Deed {
  const message: Message = JSON.parse(body);
  if (message.id === undefined) return { kind: 'accept' };
  const said = message.params?.arguments?.text ?? '';
  const answer = (text: string): string =>
    JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { content: [{ type: 'text', text }] } });
  switch (message.params?.name) {
    case 'hang':
      return { kind: 'hang' };
    case 'die':
      return { kind: 'die' };
    case 'half':
      return { kind: 'half', text: answer(said) };
    case 'hold':
      return { kind: 'hold', text: answer(said) };
    case 'big':
      return { kind: 'answer', text: answer('b'.repeat(BIG_BYTES)) };
    case 'stream': {
      const note = (progress: number): string =>
        JSON.stringify({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: progress },
        });
      return { kind: 'stream', notes: [note(1), note(2), note(3)], text: answer(said) };
    }
    default:
      return { kind: 'answer', text: answer(said) };
  }
}

/** One request as it came over the wire. */
export interface RawRequest {
  readonly head: string;
  readonly body: Uint8Array;
}

/** The server's end of one connection: cuts requests out of the bytes, and writes whatever it is told. */
export class RawConnection implements SocketHandler {
  readonly server: RawServer;
  socket: Socket;
  closed = false;
  requests = 0;
  private received: Uint8Array = new Uint8Array(0);
  private readonly unsent: Uint8Array[] = [];
  private endWhenSent = false;

  constructor(server: RawServer, socket: Socket) {
    this.server = server;
    this.socket = socket;
  }

  send(text: string | Uint8Array): void {
    this.unsent.push(typeof text === 'string' ? encode(text) : text);
    this.flush();
  }
  /** The peer does not take all that was sent. */
  get stuck(): boolean {
    return this.unsent.length > 0;
  }
  /** Closes once everything is sent. */
  end(): void {
    this.endWhenSent = true;
    this.flush();
  }
  destroy(): void {
    this.socket.destroy();
  }

  onOpen(): void {
    // Told by its making.
  }
  onData(bytes: Uint8Array): void {
    this.received = concat([this.received, bytes]);
    for (let request = this.take(); request !== null; request = this.take()) {
      this.requests++;
      this.server.requests.push(request);
      this.server.onRequest(request, this);
    }
  }
  onDrain(): void {
    this.flush();
  }
  onEnd(): void {
    this.closed = true;
  }
  onClose(): void {
    this.closed = true;
    this.server.connections.delete(this);
  }
  onConnectError(): void {
    throw new Error('a server does not connect');
  }

  private take(): RawRequest | null {
    const text = Buffer.from(this.received.buffer, this.received.byteOffset, this.received.length);
    const headEnd = text.indexOf('\r\n\r\n');
    if (headEnd < 0) return null;
    const head = text.toString('latin1', 0, headEnd + 4);
    const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1] ?? 0);
    const end = headEnd + 4 + length;
    if (this.received.length < end) return null;
    const body = this.received.slice(headEnd + 4, end);
    this.received = this.received.slice(end);
    return { head, body };
  }

  private flush(): void {
    for (let part = this.unsent[0]; part !== undefined && !this.closed; part = this.unsent[0]) {
      const taken = this.socket.write(part, 0, part.length);
      if (taken < 0) return;
      if (taken < part.length) {
        this.unsent[0] = part.slice(taken);
        return;
      }
      this.unsent.shift();
    }
    if (this.endWhenSent && this.unsent.length === 0) this.socket.end();
  }
}

/** All connections of one server, and what it does with a request. */
export class RawServer {
  readonly connections = new Set<RawConnection>();
  readonly requests: RawRequest[] = [];
  accepted = 0;
  onRequest: (request: RawRequest, connection: RawConnection) => void = () => undefined;
  onAccept: (connection: RawConnection) => void = () => undefined;

  accept(socket: Socket): RawConnection {
    const connection = new RawConnection(this, socket);
    this.accepted++;
    this.connections.add(connection);
    this.onAccept(connection);
    return connection;
  }
}

/** How an answer is framed; taken in turn, so that calls meet all of them. */
const FORMS = ['length', 'chunked', 'two pieces', 'close'] as const;

const JSON_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

function chunk(text: string): string {
  return `${encode(text).length.toString(16)}\r\n${text}\r\n`;
}

/** The server of deedOf() over HTTP; returns a function that releases what is held. */
export function serveDeeds(server: RawServer): () => void {
  let held: (() => void)[] = [];
  let turn = 0;
  const answer = (connection: RawConnection, text: string): void => {
    const form = FORMS[turn++ % FORMS.length];
    const length = encode(text).length;
    if (form === 'length') connection.send(`${JSON_HEAD}content-length: ${length}\r\n\r\n${text}`);
    else if (form === 'chunked') {
      const middle = text.length >> 1;
      const chunks = chunk(text.slice(0, middle)) + chunk(text.slice(middle));
      connection.send(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    } else if (form === 'two pieces') {
      connection.send(`${JSON_HEAD}content-length: ${length}\r\n\r\n${text.slice(0, 1)}`);
      connection.send(text.slice(1));
    } else {
      connection.send(`${JSON_HEAD}connection: close\r\n\r\n${text}`);
      connection.end();
    }
  };
  server.onRequest = (request, connection) => {
    if (request.body.length === 0) {
      connection.send('HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    const deed = deedOf(decode(request.body));
    if (deed.kind === 'accept') connection.send('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
    else if (deed.kind === 'die') connection.destroy();
    else if (deed.kind === 'half') {
      connection.send(`${JSON_HEAD}content-length: ${deed.text.length}\r\n\r\n${deed.text.slice(0, 5)}`);
      connection.end();
    } else if (deed.kind === 'hold') held.push(() => answer(connection, deed.text));
    else if (deed.kind === 'stream') {
      connection.send(STREAM_HEAD);
      for (const text of [...deed.notes, deed.text])
        connection.send(chunk(`event: message\ndata: ${text}\n\n`));
      connection.send('0\r\n\r\n');
    } else if (deed.kind === 'answer') answer(connection, deed.text);
  };
  return () => {
    const all = held;
    held = [];
    for (const release of all) release();
  };
}

/** A server on real sockets of this machine; TLS when a certificate is given. */
export function listenRaw(
  server: RawServer,
  options: { readonly tls?: { readonly cert: string; readonly key: string }; readonly unix?: string } = {},
): { readonly port: number; stop(): void } {
  type Data = { connection: RawConnection | null };
  const socket: Bun.SocketHandler<Data> = {
    open(raw) {
      raw.data = { connection: server.accept(adapt(raw)) };
    },
    data: (raw, bytes) => raw.data.connection?.onData(bytes),
    drain: (raw) => raw.data.connection?.onDrain(),
    end: (raw) => raw.data.connection?.onEnd(),
    close: (raw) => raw.data?.connection?.onClose(),
    error: () => undefined,
  };
  const shared = { socket, ...(options.tls !== undefined && { tls: options.tls }) };
  if (options.unix !== undefined) {
    const listener = Bun.listen<Data>({ ...shared, unix: options.unix, data: { connection: null } });
    return { port: 0, stop: () => listener.stop(true) };
  }
  const listener = Bun.listen<Data>({
    ...shared,
    hostname: '127.0.0.1',
    port: 0,
    data: { connection: null },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}

function adapt<T>(raw: Bun.Socket<T>): Socket {
  return {
    write: (bytes, start, end) => raw.write(bytes as Uint8Array<ArrayBuffer>, start, end - start),
    end: () => void raw.end(),
    destroy: () => void raw.terminate(),
    pause: () => void raw.pause(),
    resume: () => void raw.resume(),
  };
}
