// A whole data plane without a kernel: requests come from an object and leave into one, and the server answers at once.
// Called by observing.ts. Promises: everything between the listener and the socket is the real code, compiled from a real configuration; a reply that is not 200 throws.
import { encode } from '../../src/base/bytes.ts';
import { compile } from '../../src/control/compile.ts';
import { configSchema } from '../../src/control/schema.ts';
import { createMemory } from '../../src/memory/memory.ts';
import { SILENT } from '../../src/observe/log.ts';
import { tracerOf } from '../../src/observe/trace.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type {
  Inbound,
  Reply,
  RequestHandler,
  Runtime,
  Socket,
  SocketHandler,
} from '../../src/runtime/runtime.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { accessLogOf } from '../../src/server/access-log.ts';
import { DataPlane } from '../../src/worker.ts';
import { CALL_BODY, CALL_HEADERS, REPLY_BODY } from '../macro/call.ts';

const BODY = encode(CALL_BODY);
const HEADERS: ReadonlyMap<string, string> = new Map([
  ['host', 'localhost'],
  ['content-length', `${BODY.length}`],
  ...Object.entries(CALL_HEADERS),
]);
const REPLY = encode(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${REPLY_BODY.length}\r\n\r\n${REPLY_BODY}`,
);
/** Calls that are under way at a time. */
const AT_ONCE = 32;
/** Turns of the microtask queue that a call takes at most before its request is written, and again until it is answered. */
const TURNS = 4;

/** The call of the macro benches, as a listener hands it on. */
class Call implements Inbound {
  readonly method = 'POST';
  readonly path = '/mcp/echo';
  readonly query = '';
  readonly peer = '127.0.0.1';

  header(name: string): string | null {
    return HEADERS.get(name) ?? null;
  }

  eachHeader(visit: (name: string, value: string) => void): void {
    for (const [name, value] of HEADERS) visit(name, value);
  }

  get wholeBody(): Uint8Array {
    return BODY.slice();
  }

  readBody(): Promise<Uint8Array> {
    return Promise.resolve(this.wholeBody);
  }

  onAbort(): void {
    // nobody leaves
  }
}

/** A plane that can be called. */
export interface InnerPlane {
  /** Makes so many calls; µs of one, by the wall clock of a thread that does nothing else. */
  run(calls: number): Promise<number>;
  stop(): Promise<void>;
}

/** Makes one. `config`: what the configuration says besides its one server. */
export function createInnerPlane(config: Readonly<Record<string, unknown>>): InnerPlane {
  const asked: SocketHandler[] = [];
  let handler: RequestHandler | null = null;
  const real = createBunRuntime();
  const runtime: Runtime = {
    ...real,
    standard: { ...real.standard, writeStderr: () => undefined },
    listen(_options, given) {
      handler = given;
      return { host: '127.0.0.1', port: 1, drain: async () => undefined, stop: () => undefined };
    },
    connect: (_address, _tls, socket) => queueMicrotask(() => socket.onOpen(socketInto(asked, socket))),
  };
  const servers = { echo: { url: 'http://127.0.0.1:9/mcp', era: 'modern' } };
  const parsed = configSchema.parse({ ...config, servers });
  const snapshot = compile({ config: parsed, material: new Map(), env: {}, epoch: 1 });
  const access = accessLogOf(runtime, snapshot);
  const tracer = tracerOf(runtime, snapshot, () => undefined);
  const shape = { workers: 1, upstreams: 2, endpoints: snapshot.endpoints.length, ringBytes: 4096 };
  const memory = createMemory({ ...shape, journalRecords: 1024, tools: snapshot.metrics?.tools ?? 0 }, 0);
  const plane = new DataPlane({
    ...{ runtime, scanner: chooseScanner('auto').scanner, snapshot, log: SILENT, memory },
    ...(access !== null && { access }),
    ...(tracer !== null && { tracer }),
  });
  plane.listen();
  return {
    async run(calls) {
      const from = performance.now();
      for (let done = 0; done < calls; done += AT_ONCE) await callTogether(handler, asked);
      return ((performance.now() - from) * 1000) / (Math.ceil(calls / AT_ONCE) * AT_ONCE);
    },
    stop: () => plane.drain(),
  };
}

/** A socket whose peer has an answer to whatever is written; it is given later, with those of others. */
function socketInto(asked: SocketHandler[], handler: SocketHandler): Socket {
  return {
    write(_bytes, start, end) {
      asked.push(handler);
      return end - start;
    },
    end: () => handler.onClose(null),
    destroy: () => handler.onClose(null),
    pause: () => undefined,
    resume: () => undefined,
  };
}

async function callTogether(handler: RequestHandler | null, asked: SocketHandler[]): Promise<void> {
  if (handler === null) throw new Error('the plane does not listen');
  const replies: (Reply | Promise<Reply>)[] = [];
  for (let call = 0; call < AT_ONCE; call++) replies.push(handler(new Call()));
  for (let turn = 0; turn < TURNS; turn++) {
    await null;
    for (const socket of asked.splice(0)) socket.onData(REPLY.slice());
  }
  for (const reply of await Promise.all(replies))
    if (reply.status !== 200) throw new Error(`a call was answered with ${reply.status}`);
}
