// The HTTP upstream on real sockets: what only a kernel, a slow peer, TLS or a thousand exchanges can show.
// Runs src/upstream/http.ts on the Bun runtime against raw servers that the test scripts.
import { afterEach, describe, expect, test } from 'bun:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from '../../src/base/bytes.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { createHttpUpstream } from '../../src/upstream/http.ts';
import type { HttpTarget, ServerSpec } from '../../src/upstream/spec.ts';
import type { Upstream, UpstreamRequest } from '../../src/upstream/upstream.ts';
import { makeCertificates } from './runtime-certificates.ts';
import { callOf, Witness } from './upstream.ts';
import { listenRaw, type RawConnection, RawServer, serveDeeds } from './upstream-server.ts';

const runtime = createBunRuntime();
const { scanner } = chooseScanner('auto');
const MIB = 1024 * 1024;

const stops: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not happen within ten seconds');
    await Bun.sleep(1);
  }
}

function serve(options: Parameters<typeof listenRaw>[1] = {}): {
  readonly server: RawServer;
  readonly port: number;
} {
  const server = new RawServer();
  serveDeeds(server);
  const listener = listenRaw(server, options);
  stops.push(() => listener.stop());
  return { server, port: listener.port };
}

function connectTo(port: number, target: Partial<HttpTarget> = {}, spec: Partial<ServerSpec> = {}): Upstream {
  const upstream = createHttpUpstream({
    runtime,
    scanner,
    log: SILENT,
    spec: {
      name: 'real',
      target: {
        kind: 'http',
        client: 'http1',
        secure: false,
        host: '127.0.0.1',
        port,
        unixPath: null,
        path: '/mcp?key=1',
        url: 'http://127.0.0.1/mcp',
        headers: [],
        tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
        connectionsMax: 8,
        ...target,
      },
      forwardHeaders: [],
      connectTimeoutMs: 5_000,
      firstByteTimeoutMs: 15_000,
      replyIdleTimeoutMs: 15_000,
      totalTimeoutMs: 30_000,
      queueDepthMax: 1_000,
      breaker: null,
      era: 'auto',
      ...spec,
    },
  });
  stops.push(() => upstream.close(0));
  return upstream;
}

let nextId = 1;
function call(
  upstream: Upstream,
  name: string,
  parts: Partial<UpstreamRequest> & { readonly text?: string } = {},
) {
  const { text, ...rest } = parts;
  const id = nextId++;
  const witness = new Witness();
  const handle = upstream.send(callOf('legacy', id, name, text ?? `text ${id}`, rest), witness);
  return { id, witness, handle };
}

async function answered(upstream: Upstream, name = 'echo'): Promise<Witness> {
  const { witness } = call(upstream, name);
  await until(() => witness.over);
  expect(witness.error).toBeNull();
  return witness;
}

const atRest = { busy: 0, waiting: 0 };

describe('connections', () => {
  test('a thousand exchanges share eight connections, and all are idle afterwards', async () => {
    const { server, port } = serve();
    server.onRequest = (request, connection) => {
      const body = decode(request.body);
      connection.send(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    };
    const upstream = connectTo(port);
    const calls = Array.from({ length: 1_000 }, () => call(upstream, 'echo'));
    await until(() => calls.every(({ witness }) => witness.over));
    for (const { id, witness } of calls) {
      expect(witness.complaints).toEqual([]);
      expect(JSON.parse(witness.body).id).toBe(id);
    }
    expect(server.accepted).toBe(8);
    expect(upstream.stats()).toEqual({
      total: 8,
      busy: 0,
      idle: 8,
      waiting: 0,
      connects: 8,
      reuses: 992,
      failures: 0,
      sessions: 0,
    });
    await upstream.close(5_000);
    expect(upstream.stats().total).toBe(0);
    await until(() => server.connections.size === 0);
  });

  test('nobody listening is a failure to connect', async () => {
    const { witness } = call(connectTo(1), 'echo');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_UPSTREAM_CONNECT');
    expect(witness.error?.row.retry).toBe('fresh-connection');
  });

  test('a host that does not exist is a failure to connect', async () => {
    const { witness } = call(connectTo(80, { host: 'nowhere.invalid' }), 'echo');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_UPSTREAM_CONNECT');
  });

  test('a Unix socket serves as well', async () => {
    const unix = join(tmpdir(), `sluice-upstream-${process.pid}.sock`);
    const { server } = serve({ unix });
    const upstream = connectTo(80, { unixPath: unix, host: 'mcp.local' });
    await answered(upstream);
    expect(server.requests[0]?.head).toStartWith('POST /mcp?key=1 HTTP/1.1\r\nhost: mcp.local\r\n');
  });

  test('bytes that come while a connection is idle reach nobody', async () => {
    const { server, port } = serve();
    const upstream = connectTo(port, { connectionsMax: 1 });
    for (let round = 0; round < 5; round++) {
      await answered(upstream);
      for (const connection of server.connections)
        connection.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray');
      await until(() => upstream.stats().idle === 0);
    }
    expect(upstream.stats().failures).toBeGreaterThan(0);
    expect((await answered(upstream)).body).not.toContain('stray');
  });

  test('a server that keeps connections for a moment only is not surprised', async () => {
    const { server, port } = serve();
    server.onRequest = (_, connection) => {
      connection.send('HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\n{}');
    };
    const upstream = connectTo(port);
    for (let i = 0; i < 5; i++) await answered(upstream);
    expect(server.accepted).toBe(5);
    expect(upstream.stats()).toMatchObject({ ...atRest, idle: 0 });
  });
});

describe('what may have been executed is not sent again', () => {
  /** A server that answers the first request of each connection and treats the second as told. */
  function treacherous(second: (connection: RawConnection) => void): {
    readonly server: RawServer;
    readonly port: number;
  } {
    const made = serve();
    made.server.onRequest = (_, connection) => {
      if (connection.requests === 1) connection.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
      else second(connection);
    };
    return made;
  }

  for (const [name, second] of [
    ['closes', (connection: RawConnection) => connection.end()],
    ['resets', (connection: RawConnection) => connection.destroy()],
  ] as const) {
    test(`a POST whose reused connection ${name} behind it fails; the server ran it once`, async () => {
      const { server, port } = treacherous(second);
      const upstream = connectTo(port);
      await answered(upstream);
      const { witness } = call(upstream, 'echo');
      await until(() => witness.over);
      expect(witness.error?.code).toBe('GW_UPSTREAM_CLOSED');
      expect(server.requests).toHaveLength(2);
      await answered(upstream);
      expect(server.requests).toHaveLength(3);
    });

    test(`a GET whose reused connection ${name} behind it is sent again, once`, async () => {
      const { server, port } = treacherous(second);
      const upstream = connectTo(port);
      await answered(upstream);
      const { witness } = call(upstream, 'x', { verb: 'GET', body: new Uint8Array(0) });
      await until(() => witness.over);
      expect(witness.ended).toBe(true);
      expect(server.requests.map(({ head }) => head.slice(0, 4))).toEqual(['POST', 'GET ', 'GET ']);
    });
  }

  test('a connection that the server closed while it was idle is not used', async () => {
    const { server, port } = treacherous(() => undefined);
    const upstream = connectTo(port);
    for (let i = 1; i <= 5; i++) {
      await answered(upstream);
      for (const connection of server.connections) connection.end();
      await until(() => upstream.stats().total === 0);
      expect(server.requests).toHaveLength(i);
    }
    expect(upstream.stats()).toMatchObject({ connects: 5, reuses: 0, failures: 0 });
  });
});

describe('slow peers', () => {
  test('a body of 4 MiB reaches a server that does not read for a while, byte for byte', async () => {
    const { server, port } = serve();
    let stalled: RawConnection | null = null;
    server.onAccept = (connection) => {
      if (stalled !== null) return;
      stalled = connection;
      connection.socket.pause();
    };
    const upstream = connectTo(port);
    const text = Array.from({ length: 4 * MIB }, (_, i) => String.fromCharCode(97 + ((i * 7) % 26))).join('');
    const { witness, id } = call(upstream, 'echo', { text });
    await until(() => stalled !== null);
    // The scratch and the loop stay free for others.
    for (let i = 0; i < 3; i++) await answered(upstream);
    expect(witness.over).toBe(false);
    (stalled as RawConnection | null)?.socket.resume();
    await until(() => witness.over);
    expect(witness.complaints).toEqual([]);
    expect(witness.answer).toEqual({ id, text });
  });

  test('a sink that pauses holds the server back', async () => {
    const { server, port } = serve();
    const total = 32 * MIB;
    server.onRequest = (_, connection) => {
      connection.send(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${total}\r\n\r\n`,
      );
      connection.send(new Uint8Array(total).fill(97));
    };
    const upstream = connectTo(port);
    const { witness, handle } = call(upstream, 'echo');
    witness.takes = false;
    await until(() => witness.pieces.length === 1);
    // Others are served meanwhile, and the server cannot get rid of its bytes.
    for (let i = 0; i < 20; i++) await answered(connectTo(serve().port));
    expect(witness.pieces).toHaveLength(1);
    expect([...server.connections].map(({ stuck }) => stuck)).toEqual([true]);
    witness.takes = true;
    handle.resume();
    await until(() => witness.over);
    expect(witness.pieces.reduce((sum, piece) => sum + piece.length, 0)).toBe(total);
    expect(witness.complaints).toEqual([]);
    expect(upstream.stats()).toMatchObject(atRest);
  });

  test('a reply that comes byte by byte is the reply', async () => {
    const { server, port } = serve();
    const text =
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n';
    server.onRequest = (_, connection) => {
      const bytes = [...encode(text)];
      const next = (): void => {
        const byte = bytes.shift();
        if (byte === undefined) return;
        connection.send(Uint8Array.of(byte));
        setImmediate(next);
      };
      next();
    };
    const upstream = connectTo(port);
    expect((await answered(upstream)).body).toBe('{}');
    expect((await answered(upstream)).body).toBe('{}');
    expect(server.accepted).toBe(1);
  });

  test('abort() in the middle of a reply closes the connection at the server', async () => {
    const { server, port } = serve();
    server.onRequest = (_, connection) => {
      connection.send(
        'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n',
      );
    };
    const upstream = connectTo(port);
    const calls = [call(upstream, 'echo'), call(upstream, 'echo')];
    await until(() => calls.every(({ witness }) => witness.pieces.length === 1));
    calls[0]?.handle.abort();
    await until(() => server.connections.size === 1);
    expect(calls[0]?.witness.over).toBe(false);
    expect(upstream.stats()).toMatchObject({ busy: 1, total: 1 });
    calls[1]?.handle.abort();
    await until(() => server.connections.size === 0);
  });

  test('a server that goes silent is given up, wherever it stops', async () => {
    for (const [said, code] of [
      ['', 'GW_UPSTREAM_TIMEOUT'],
      ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2', 'GW_UPSTREAM_TIMEOUT'],
      ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe', 'GW_UPSTREAM_IDLE'],
      ['HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\nhe', 'GW_UPSTREAM_IDLE'],
    ] as const) {
      const { server, port } = serve();
      server.onRequest = (_, connection) => connection.send(said);
      const upstream = connectTo(port, {}, { firstByteTimeoutMs: 60, replyIdleTimeoutMs: 60 });
      const { witness } = call(upstream, 'echo');
      await until(() => witness.over);
      expect({ said, code: witness.error?.code }).toEqual({ said, code });
      await until(() => server.connections.size === 0);
      expect(upstream.stats()).toMatchObject({ ...atRest, total: 0 });
    }
  });
});

const certificates = makeCertificates();

// Without openssl there are no certificates; makeCertificates() prints why.
describe.skipIf(certificates === null)('TLS', () => {
  const secure = (parts: Partial<HttpTarget['tls']>): Partial<HttpTarget> => ({
    secure: true,
    tls: { serverName: null, ca: certificates?.ca ?? null, cert: null, key: null, verify: true, ...parts },
  });
  const listen = () => serve(certificates === null ? {} : { tls: certificates.good });

  test('a certificate of the configured CA is accepted, by address or by name', async () => {
    const { server, port } = listen();
    for (const serverName of [null, 'good.test']) {
      const upstream = connectTo(port, secure({ serverName }));
      const accepted = server.accepted;
      for (let i = 0; i < 3; i++) await answered(upstream);
      expect(upstream.stats()).toMatchObject({ connects: server.accepted - accepted, failures: 0 });
    }
  });

  test('another CA or another name is a failure of TLS, unless nothing is to be verified', async () => {
    const { server, port } = listen();
    for (const parts of [
      { ca: null },
      { ca: certificates?.stranger.cert ?? null },
      { serverName: 'other.test' },
    ]) {
      const { witness } = call(connectTo(port, secure(parts)), 'echo');
      await until(() => witness.over);
      expect(witness.error?.code).toBe('GW_UPSTREAM_TLS');
      expect(witness.error?.row.retry).toBe('never');
    }
    expect(server.requests).toHaveLength(0);
    await answered(connectTo(port, secure({ ca: null, serverName: 'other.test', verify: false })));
  });

  test('a body of 4 MiB goes through', async () => {
    const { port } = listen();
    const upstream = connectTo(port, secure({}));
    const { witness, id } = call(upstream, 'echo', { text: 'x'.repeat(4 * MIB - 300) });
    await until(() => witness.over);
    expect(witness.answer.id).toBe(id);
    expect(witness.answer.text.length).toBe(4 * MIB - 300);
  });

  test('a server that speaks no TLS never gets a call', async () => {
    const { server, port } = serve();
    server.onAccept = (connection) =>
      connection.send('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n');
    const { witness } = call(connectTo(port, secure({})), 'echo');
    await until(() => witness.over);
    expect(['GW_UPSTREAM_TLS', 'GW_UPSTREAM_CONNECT']).toContain(witness.error?.code ?? '');
    expect(server.requests).toHaveLength(0);
  });
});
