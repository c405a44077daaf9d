// Two workers' data planes in one thread, one session, and a client that pings it at its home or at the other worker.
// Called by handover.ts. Promises: connections are kept, a fixed number of them; every reply is a 200, or the bench fails.
import { freshKeyRing } from '../../src/bridge/seal.ts';
import { compile } from '../../src/control/compile.ts';
import { configSchema } from '../../src/control/schema.ts';
import { createMemory } from '../../src/memory/memory.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { DataPlane } from '../../src/worker.ts';

const CONNECTIONS = 16;
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

/** A pair at work. */
export interface HandoverPair {
  /** Pings `calls` times over all connections; resolves with the number of replies. */
  ping(way: 'home' | 'away', calls: number): Promise<number>;
  stop(): Promise<void>;
}

/** A server that can be initialized and no more: pings of an aggregate's session end at the gateway. */
function startServer(): { readonly url: string; stop(): void } {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      if (request.method === 'DELETE') return new Response(null);
      // Requests of the gateway, which passes on what this file sends.
      const { id } = (await request.json()) as { id?: number };
      if (id === undefined) return new Response(null, { status: 202 });
      const serverInfo = { name: 'bench', version: '1' };
      const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo };
      return Response.json({ jsonrpc: '2.0', id, result }, { headers: { 'mcp-session-id': 's' } });
    },
  });
  return { url: `http://127.0.0.1:${server.port}/mcp`, stop: () => void server.stop(true) };
}

function pingAll(port: number, session: string, calls: number): Promise<number> {
  const request = `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nmcp-session-id: ${session}\r\ncontent-length: ${PING.length}\r\n\r\n${PING}`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let started = 0;
  let ended = 0;
  const sockets: Bun.Socket<undefined>[] = [];
  const next = (socket: Bun.Socket<undefined>): void => {
    if (started++ < calls) socket.write(request);
  };
  const handler: Bun.SocketHandler<undefined> = {
    open: next,
    // A reply this small comes in one piece.
    data: (socket, bytes) => {
      if (!bytes.toString('latin1', 0, 12).startsWith('HTTP/1.1 200'))
        return reject(new Error(`a ping was answered with ${bytes.toString('latin1').slice(0, 300)}`));
      if (++ended < calls) return next(socket);
      for (const one of sockets) one.end();
      resolve(ended);
    },
    error: (_socket, error) => reject(error),
  };
  for (let i = 0; i < CONNECTIONS; i++)
    Bun.connect<undefined>({ hostname: '127.0.0.1', port, socket: handler }).then(
      (socket) => sockets.push(socket),
      reject,
    );
  return promise;
}

/** Starts both planes, and opens the session at the first. */
export async function startHandoverPair(): Promise<HandoverPair> {
  const runtime = createBunRuntime();
  const { scanner } = chooseScanner('auto');
  const server = startServer();
  const config = configSchema.parse({
    listen: { host: '127.0.0.1', port: 0 },
    prefix: 'always',
    servers: { bench: { url: server.url } },
  });
  const snapshot = compile({ config, material: new Map(), env: {}, epoch: 1 });
  const shape = {
    workers: 2,
    upstreams: snapshot.servers.length,
    endpoints: snapshot.endpoints.length,
    ringBytes: 256 * 1024,
    journalRecords: 256,
  };
  const memory = createMemory(shape, Date.now());
  const keys = freshKeyRing(runtime.random);
  const planes = [0, 1].map((index) => {
    const place = { index, count: 2, generation: 1 };
    return new DataPlane({ runtime, scanner, snapshot, log: SILENT, place, keys, memory });
  });
  const [near, far] = runtime.channel();
  planes[0]?.peerUp(1, 1, near);
  planes[1]?.peerUp(0, 1, far);
  const [home = 0, away = 0] = planes.map((plane) => plane.listen().port);
  const params = {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1' },
  };
  const opened = await fetch(`http://127.0.0.1:${home}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  const session = opened.headers.get('mcp-session-id');
  if (session === null) throw new Error(`no session: ${await opened.text()}`);
  return {
    ping: (way, calls) => pingAll(way === 'home' ? home : away, session, calls),
    async stop() {
      await Promise.all(planes.map((plane) => plane.drain()));
      for (const plane of planes) plane.stop();
      server.stop();
    },
  };
}
