// The upstream contract over HTTP+SSE, with real sockets: a legacy session on an event stream, over either HTTP client.
// Runs test/contract/upstream.ts on a scripted server. Promises: no socket outlives its test.
import type { GatewayError } from '../../src/base/errors.ts';
import { soloCell } from '../../src/memory/cells.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { createFetchUpstream } from '../../src/upstream/fetch.ts';
import { createHttpUpstream } from '../../src/upstream/http.ts';
import type { HttpTarget, ServerSpec } from '../../src/upstream/spec.ts';
import { createSseUpstream } from '../../src/upstream/sse.ts';
import type { ReplyHead, Upstream } from '../../src/upstream/upstream.ts';
import { SseServer, type SseSession } from '../fixtures/sse-server.ts';
import { describeUpstream, messageOf, type UpstreamWorld, type WorldSettings } from './upstream.ts';
import { deedOf } from './upstream-server.ts';

const runtime = createBunRuntime();
const { scanner } = chooseScanner('auto');

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not happen within ten seconds');
    await Bun.sleep(1);
  }
}

function upstreamTo(port: number, client: HttpTarget['client'], settings: WorldSettings): Upstream {
  const { connectionsMax = 8, ...rest } = settings;
  const spec: ServerSpec = {
    name: 'contract',
    target: {
      kind: 'http',
      client,
      transport: 'sse',
      secure: false,
      host: '127.0.0.1',
      port,
      unixPath: null,
      path: '/sse',
      url: `http://127.0.0.1:${port}/sse`,
      headers: [],
      tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
      connectionsMax,
    },
    forwardHeaders: [],
    connectTimeoutMs: 2_000,
    firstByteTimeoutMs: 10_000,
    replyIdleTimeoutMs: 10_000,
    totalTimeoutMs: 20_000,
    queueDepthMax: 100,
    breaker: null,
    era: 'auto',
    ...rest,
  };
  const cell = soloCell();
  const tools = { runtime, scanner, spec, log: SILENT, cell };
  const http = client === 'fetch' ? createFetchUpstream(tools) : createHttpUpstream(tools);
  return createSseUpstream({ ...tools, http, sessionsMax: 10, sessionIdleMs: 60_000 });
}

/** Opens a session; resolves with its id. */
async function openSession(upstream: Upstream): Promise<string> {
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
  const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 't', version: '1' } };
  const head = await send({ jsonrpc: '2.0', id: 'open', method: 'initialize', params }, null);
  const session = head?.sessionId ?? '';
  await send({ jsonrpc: '2.0', method: 'notifications/initialized' }, session);
  return session;
}

/** The server of deedOf() on event streams. */
function actDeeds(server: SseServer): { release(): void; readonly seen: string[] } {
  const seen: string[] = [];
  const held: (() => void)[] = [];
  let isSpent = false;
  const answerLater = (session: SseSession, text: string): void => {
    if (isSpent) session.say(text);
    else held.push(() => session.say(text));
  };
  server.onMessage = (session, { body, message }) => {
    // What the gateway says on its own behalf is no client's message.
    if (message.method === 'notifications/cancelled' && message.params?.requestId !== 4711) return;
    seen.push(body);
    const deed = deedOf(body);
    if (deed.kind === 'answer') session.say(deed.text);
    else if (deed.kind === 'stream') for (const text of [...deed.notes, deed.text]) session.say(text);
    else if (deed.kind === 'hold') answerLater(session, deed.text);
    else if (deed.kind === 'hang') {
      if (isSpent)
        answerLater(session, JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { content: [] } }));
      else held.push(() => session.say({ jsonrpc: '2.0', id: message.id, result: { content: [] } }));
    } else if (deed.kind === 'die') session.destroy();
  };
  return {
    seen,
    release() {
      isSpent = true;
      for (const say of held.splice(0)) say();
    },
  };
}

function overSse(client: HttpTarget['client']): void {
  let session: string | null = null;
  describeUpstream({
    name: `HTTP+SSE over ${client}`,
    era: 'legacy',
    can: {
      // An event that breaks off is no message: nothing of it is passed on.
      half: false,
      // Calls of one session share its event stream.
      queue: false,
      // They share its end, too.
      diesAlone: false,
      pause: true,
      get session() {
        return session;
      },
    },
    async make(settings): Promise<UpstreamWorld> {
      const server = await new SseServer().start();
      const { seen, release } = actDeeds(server);
      const upstream = upstreamTo(server.port, client, settings);
      session = await openSession(upstream);
      let isStopped = false;
      return {
        upstream,
        seen: () => seen,
        release,
        until,
        async stop() {
          if (isStopped) return;
          isStopped = true;
          await upstream.close(0);
          await server.stop();
        },
      };
    },
  });
}

overSse('http1');
overSse('fetch');
