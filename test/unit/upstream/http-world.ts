// A world of one test for the HTTP upstream: sockets that the test plays, on a clock that the test moves.
// Called by test/unit/upstream/http*.test.ts and pool.test.ts. Promises: nothing happens but what the test asks for; a socket takes as many
// bytes as the test allows, and events can come in any order that the runtime's contract allows.

import { decode, type Edit, EMPTY, encode } from '../../../src/base/bytes.ts';
import type { GatewayError } from '../../../src/base/errors.ts';
import { createLog } from '../../../src/observe/log.ts';
import type { Runtime, Socket, SocketHandler } from '../../../src/runtime/runtime.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import { createHttpUpstream, type HttpUpstreamOptions } from '../../../src/upstream/http.ts';
import type { HttpTarget, ServerSpec } from '../../../src/upstream/spec.ts';
import type { Upstream, UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { NO_CLIENT } from '../../../src/upstream/upstream.ts';
import { Caught, ManualClock } from '../../fixtures/stdio-world.ts';

/** A client socket whose other end is the test. */
export class PlayedSocket implements Socket {
  readonly handler: SocketHandler;
  readonly written: Uint8Array[] = [];
  /** Bytes that write() takes before it comes up short. */
  room = Number.MAX_SAFE_INTEGER;
  /** write() answers -1. */
  closed = false;
  destroyed = false;
  ended = false;
  paused = false;
  /** destroy() brings onClose before it returns, as some runtimes do. */
  closesAtOnce = false;

  private isTold = false;

  constructor(handler: SocketHandler) {
    this.handler = handler;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.closed || this.destroyed) return -1;
    const taken = Math.min(end - start, this.room);
    this.room -= taken;
    if (taken > 0) this.written.push(bytes.slice(start, start + taken));
    return taken;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    if (this.closesAtOnce) this.tellClosed(null);
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }

  /** Everything written so far. */
  get text(): string {
    return this.written.map((bytes) => decode(bytes)).join('');
  }
  /** Complete requests written so far, by their request lines. */
  get requests(): number {
    return this.text.split(' HTTP/1.1\r\n').length - 1;
  }
  say(text: string | Uint8Array): void {
    this.handler.onData(typeof text === 'string' ? encode(text) : text);
  }
  drain(room: number): void {
    this.room = room;
    this.handler.onDrain();
  }
  /** The peer closes properly. */
  hangUp(): void {
    this.closed = true;
    this.handler.onEnd();
    this.tellClosed(null);
  }
  /** The connection breaks. */
  snap(): void {
    this.closed = true;
    this.tellClosed('ECONNRESET: connection reset by peer');
  }
  /** Exactly once, as the runtime's contract has it, even when the handler destroys the socket while it hears of its end. */
  private tellClosed(error: string | null): void {
    if (this.isTold) return;
    this.isTold = true;
    this.handler.onClose(error);
  }
}

/** An attempt to connect that the test decides. */
export interface Attempt {
  readonly handler: SocketHandler;
  accept(): PlayedSocket;
  refuse(error?: string, tls?: boolean): void;
}

export function target(parts: Partial<HttpTarget> = {}): HttpTarget {
  return {
    kind: 'http',
    client: 'http1',
    secure: false,
    host: 'mcp.example',
    port: 8080,
    unixPath: null,
    path: '/mcp',
    url: 'http://mcp.example:8080/mcp',
    headers: [],
    tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
    connectionsMax: 2,
    ...parts,
  };
}

export function httpSpec(
  targetParts: Partial<HttpTarget> = {},
  parts: Partial<Omit<ServerSpec, 'target'>> = {},
): ServerSpec {
  return {
    name: 'played',
    target: target(targetParts),
    forwardHeaders: [],
    connectTimeoutMs: 1_000,
    firstByteTimeoutMs: 4_000,
    replyIdleTimeoutMs: 2_000,
    totalTimeoutMs: 10_000,
    queueDepthMax: 3,
    breaker: null,
    era: 'auto',
    ...parts,
  };
}

export const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}';

/** How a request differs from a plain POST. */
export type Parts = Partial<Omit<UpstreamRequest, 'body'>> & {
  readonly body?: string | Uint8Array;
  readonly edits?: readonly Edit[];
};

export function requestOf(parts: Parts = {}): UpstreamRequest {
  const { body = CALL, ...rest } = parts;
  const post = (parts.verb ?? 'POST') === 'POST';
  return {
    verb: 'POST',
    era: 'legacy',
    envelope: null,
    edits: [],
    headers: [],
    session: null,
    exchangeId: 'x1',
    client: NO_CLIENT,
    timeoutMs: 0,
    ...rest,
    body: post ? (typeof body === 'string' ? encode(body) : body) : EMPTY,
  };
}

/** A 200 with a JSON body. */
export function reply(body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;
}

/** An upstream, its attempts to connect, and its clock. */
export class HttpWorld {
  readonly clock = new ManualClock();
  readonly attempts: Attempt[] = [];
  readonly sockets: PlayedSocket[] = [];
  readonly logged: string[] = [];
  readonly upstream: Upstream;

  constructor(spec: ServerSpec = httpSpec(), shared: Pick<HttpUpstreamOptions, 'cell' | 'nudge'> = {}) {
    const runtime: Runtime = {
      ...createSimRuntime({ seed: 1 }),
      clock: this.clock,
      connect: (_address, _tls, handler) => {
        this.attempts.push(this.attempt(handler));
      },
    };
    const log = createLog('debug', { write: (line) => this.logged.push(line), wall: () => 0 });
    this.upstream = createHttpUpstream({ runtime, scanner: portableScanner(), spec, log, ...shared });
  }

  private attempt(handler: SocketHandler): Attempt {
    return {
      handler,
      accept: () => {
        const socket = new PlayedSocket(handler);
        this.sockets.push(socket);
        handler.onOpen(socket);
        return socket;
      },
      refuse: (error = 'ECONNREFUSED', tls = false) => handler.onConnectError(error, tls),
    };
  }

  /** Sends; the sink and the call come back. */
  send(parts: Parts = {}): { readonly sink: Caught; readonly call: ReturnType<Upstream['send']> } {
    const sink = new Caught();
    const call = this.upstream.send(requestOf(parts), sink);
    if (sink.over || sink.head !== null) throw new Error('an event came before send() returned');
    return { sink, call };
  }

  /** The attempt at this place, which must exist. */
  attemptAt(index: number): Attempt {
    const attempt = this.attempts.at(index);
    if (attempt === undefined)
      throw new Error(`no attempt ${index} to connect: there were ${this.attempts.length}`);
    return attempt;
  }

  /** A connection that has served one exchange and is idle now. */
  warm(): PlayedSocket {
    const { sink } = this.send();
    const socket = this.attemptAt(-1).accept();
    socket.say(reply('{}'));
    if (sink.ended !== 1) throw new Error('the first exchange did not end');
    return socket;
  }

  /** busy, idle and waiting as text, for terse expectations. */
  get load(): string {
    const { total, busy, idle, waiting } = this.upstream.stats();
    return `total ${total} busy ${busy} idle ${idle} waiting ${waiting}`;
  }
}

/** Accepts an attempt with a socket that takes `room` bytes at first. */
export function attemptWithRoom(attempt: Attempt, room: number): PlayedSocket {
  const socket = new PlayedSocket(attempt.handler);
  socket.room = room;
  attempt.handler.onOpen(socket);
  return socket;
}

/** The code that a sink failed with, or null. */
export function codeOf(sink: { readonly failed: GatewayError | null }): string | null {
  return sink.failed?.code ?? null;
}
