// The upstream contract over stdio, with real processes: the modern era on one shared child, the legacy era in a session.
// Runs test/contract/upstream.ts on upstream-child.ts. Promises: no process and no socket outlives its test.
import { join } from 'node:path';
import type { GatewayError } from '../../src/base/errors.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { KEEP_DEFAULTS } from '../../src/upstream/spec.ts';
import { createStdioUpstream } from '../../src/upstream/stdio.ts';
import type { Era, ReplyHead, Upstream } from '../../src/upstream/upstream.ts';
import { describeUpstream, messageOf, type UpstreamWorld, type WorldSettings } from './upstream.ts';

const CHILD = join(import.meta.dir, 'upstream-child.ts');
/** The suite's bounds are for servers that run already; a process has to start first. */
const START_FACTOR = 4;

const runtime = createBunRuntime();
const { scanner } = chooseScanner('auto');

/** The test's end of the wires to the children: what they got, and what they are told. */
class Control {
  readonly seen: string[] = [];
  #isEnding = false;
  readonly #sockets = new Set<Bun.Socket<{ rest: string; decoder: TextDecoder }>>();
  readonly #listener: Bun.TCPSocketListener<{ rest: string; decoder: TextDecoder }>;

  constructor() {
    this.#listener = Bun.listen<{ rest: string; decoder: TextDecoder }>({
      hostname: '127.0.0.1',
      port: 0,
      data: { rest: '', decoder: new TextDecoder() },
      socket: {
        open: (socket) => {
          socket.data = { rest: '', decoder: new TextDecoder() };
          this.#sockets.add(socket);
          if (this.#isEnding) socket.write('end\n');
        },
        data: (socket, bytes) => {
          const lines = (socket.data.rest + socket.data.decoder.decode(bytes, { stream: true })).split('\n');
          socket.data.rest = lines.pop() ?? '';
          this.seen.push(...lines);
          socket.write('go\n'.repeat(lines.length));
        },
        close: (socket) => void this.#sockets.delete(socket),
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }
  /** `end` holds for children that come later, too. */
  tell(order: 'release' | 'end'): void {
    if (order === 'end') this.#isEnding = true;
    for (const socket of this.#sockets) socket.write(`${order}\n`);
  }
  stop(): void {
    this.#listener.stop(true);
  }
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not happen within ten seconds');
    await Bun.sleep(1);
  }
}

function upstreamTo(port: number, settings: WorldSettings): Upstream {
  const { connectionsMax: _none, firstByteTimeoutMs = 5_000, ...rest } = settings;
  const env = { PATH: process.env.PATH ?? '', CONTROL_PORT: String(port) };
  return createStdioUpstream({
    runtime,
    scanner,
    spec: {
      name: 'contract',
      target: {
        kind: 'stdio',
        command: process.execPath,
        args: [CHILD],
        cwd: null,
        env,
        keep: KEEP_DEFAULTS,
      },
      forwardHeaders: [],
      connectTimeoutMs: 10_000,
      firstByteTimeoutMs: firstByteTimeoutMs * START_FACTOR,
      replyIdleTimeoutMs: 20_000,
      totalTimeoutMs: 30_000,
      queueDepthMax: 100,
      breaker: null,
      era: 'auto',
      ...rest,
    },
    log: SILENT,
    sessionsMax: 10,
    sessionIdleMs: 60_000,
  });
}

/** Opens a legacy session; resolves with its id. */
function openSession(upstream: Upstream): Promise<string> {
  const send = (message: object, session: string | null): Promise<ReplyHead | null> =>
    new Promise((resolve, reject) => {
      let head: ReplyHead | null = null;
      upstream.send(messageOf('legacy', message, { session }), {
        onHead: (given) => {
          head = given;
        },
        onData: () => true,
        onEnd: () => resolve(head),
        onFail: (error: GatewayError) => reject(error),
      });
    });
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } };
  return send({ jsonrpc: '2.0', id: 'open', method: 'initialize', params }, null).then(async (head) => {
    const session = head?.sessionId ?? '';
    await send({ jsonrpc: '2.0', method: 'notifications/initialized' }, session);
    return session;
  });
}

function overStdio(era: Era): void {
  let session: string | null = null;
  describeUpstream({
    name: `stdio, ${era}`,
    era,
    can: {
      // A line that breaks off is no message: nothing of it is passed on.
      half: false,
      // One child takes all calls.
      queue: false,
      // Calls share their child, and its end.
      diesAlone: false,
      pause: true,
      get session() {
        return session;
      },
    },
    async make(settings): Promise<UpstreamWorld> {
      const control = new Control();
      const upstream = upstreamTo(control.port, settings);
      let isStopped = false;
      session = era === 'legacy' ? await openSession(upstream) : null;
      return {
        upstream,
        seen: () => control.seen,
        // Leaving cancels a modern call; a legacy one goes on, so those that hang are ended when the suite is done with them.
        release: () => control.tell(era === 'legacy' ? 'end' : 'release'),
        until,
        async stop() {
          if (isStopped) return;
          isStopped = true;
          await upstream.close(0);
          control.stop();
        },
      };
    },
  });
}

overStdio('modern');
overStdio('legacy');
