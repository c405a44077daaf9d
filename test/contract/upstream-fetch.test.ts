// The fetch upstream: HTTP versions, and the ways in which fetch() would betray a gateway.
// Runs src/upstream/fetch.ts against Bun's own server and raw servers that the test scripts.
import { afterEach, describe, expect, test } from 'bun:test';
import { decode } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { createFetchUpstream } from '../../src/upstream/fetch.ts';
import type { HttpTarget, ServerSpec } from '../../src/upstream/spec.ts';
import type { Upstream, UpstreamRequest } from '../../src/upstream/upstream.ts';
import { makeCertificates } from './runtime-certificates.ts';
import { callOf, Witness } from './upstream.ts';
import { listenRaw, RawServer } from './upstream-server.ts';

const runtime = createBunRuntime();
const certificates = makeCertificates();
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

function connectTo(port: number, target: Partial<HttpTarget> = {}, spec: Partial<ServerSpec> = {}): Upstream {
  const upstream = createFetchUpstream({
    runtime,
    log: SILENT,
    spec: {
      name: 'fetched',
      target: {
        kind: 'http',
        client: 'fetch',
        secure: false,
        host: '127.0.0.1',
        port,
        unixPath: null,
        path: '/mcp',
        url: 'http://127.0.0.1/mcp',
        headers: [],
        tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
        connectionsMax: 8,
        ...target,
      },
      forwardHeaders: [],
      connectTimeoutMs: 2_000,
      firstByteTimeoutMs: 10_000,
      replyIdleTimeoutMs: 10_000,
      totalTimeoutMs: 20_000,
      queueDepthMax: 10,
      breaker: null,
      era: 'auto',
      ...spec,
    },
  });
  stops.push(() => upstream.close(0));
  return upstream;
}

async function call(upstream: Upstream, parts: Partial<UpstreamRequest> = {}): Promise<Witness> {
  const witness = new Witness();
  upstream.send(callOf('legacy', 1, 'echo', 'hi', parts), witness);
  await until(() => witness.over);
  expect(witness.complaints).toEqual([]);
  return witness;
}

/** A raw server that answers every request with this text. */
function raw(text: string, close = false): { readonly server: RawServer; readonly port: number } {
  const server = new RawServer();
  server.onRequest = (_, connection) => {
    connection.send(text);
    if (close) connection.end();
  };
  const listener = listenRaw(server);
  stops.push(() => listener.stop());
  return { server, port: listener.port };
}

// Without openssl there are no certificates; makeCertificates() prints why.
describe.skipIf(certificates === null)('HTTP versions', () => {
  /** A server that says how it was asked. */
  function serve(options: {
    readonly http2?: boolean;
    readonly http3?: boolean;
    readonly http1?: boolean;
  }): number {
    const tls = certificates === null ? {} : { tls: certificates.good };
    const server = Bun.serve({
      ...options,
      ...tls,
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => Response.json({ body: await request.text() }),
    } as Bun.Serve.Options<undefined>);
    stops.push(() => server.stop(true));
    return server.port ?? 0;
  }
  const secure = (parts: Partial<HttpTarget['tls']> = {}): Partial<HttpTarget> => ({
    secure: true,
    tls: { serverName: null, ca: certificates?.ca ?? null, cert: null, key: null, verify: true, ...parts },
  });

  test('HTTP/2 where the server speaks it', async () => {
    const port = serve({ http2: true, http1: false });
    const upstream = connectTo(port, secure());
    for (let i = 0; i < 3; i++) {
      const witness = await call(upstream);
      expect(witness.head).toMatchObject({ status: 200, media: 'json' });
      expect(JSON.parse(JSON.parse(witness.body).body).params.name).toBe('echo');
    }
    expect(upstream.stats()).toMatchObject({ busy: 0, failures: 0 });
  });

  test('many HTTP/2 calls at once get their own answers', async () => {
    const upstream = connectTo(serve({ http2: true }), secure(), { queueDepthMax: 100 });
    const witnesses = Array.from({ length: 40 }, (_, id) => {
      const witness = new Witness();
      upstream.send(callOf('legacy', id, 'echo', `n${id}`), witness);
      return witness;
    });
    await until(() => witnesses.every(({ over }) => over));
    witnesses.forEach(({ body }, id) => {
      expect(JSON.parse(JSON.parse(body).body).id).toBe(id);
    });
  });

  test('HTTP/1.1 where that is all there is', async () => {
    const upstream = connectTo(serve({}), secure());
    for (let i = 0; i < 3; i++) expect((await call(upstream)).head?.status).toBe(200);
  });

  test('HTTP/3 where nothing listens on TCP', async () => {
    // Bun's HTTP/3 client takes no CA of its own, so this one does not verify.
    const upstream = connectTo(serve({ http3: true, http1: false }), secure({ ca: null, verify: false }));
    for (let i = 0; i < 2; i++) expect((await call(upstream)).head?.status).toBe(200);
  });

  test('an unknown CA or another name is a failure of TLS', async () => {
    for (const http2 of [true, false]) {
      const port = serve({ http2 });
      for (const parts of [{ ca: null }, { serverName: 'other.test' }]) {
        expect((await call(connectTo(port, secure(parts)))).error?.code).toBe('GW_UPSTREAM_TLS');
      }
    }
  });

  test('nobody listening is a failure to connect', async () => {
    expect((await call(connectTo(1, secure()))).error?.code).toBe('GW_UPSTREAM_CONNECT');
    expect((await call(connectTo(1))).error?.code).toBe('GW_UPSTREAM_CONNECT');
    expect((await call(connectTo(80, { host: 'nowhere.invalid' }))).error?.code).toBe('GW_UPSTREAM_CONNECT');
  });
});

describe('what fetch() does by itself', () => {
  test('redirects are not followed', async () => {
    const { server, port } = raw(
      'HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno',
    );
    const witness = await call(connectTo(port));
    expect(witness.head).toMatchObject({ status: 307, media: 'other' });
    expect(server.requests).toHaveLength(1);
  });

  test('a compressed body is refused, not unpacked', async () => {
    const { port } = raw('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc');
    expect((await call(connectTo(port))).error?.code).toBe('GW_UPSTREAM_MEDIA');
  });

  test('bytes that a server sends unasked reach nobody', async () => {
    const { server, port } = raw(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    );
    const upstream = connectTo(port);
    for (let i = 0; i < 5; i++) {
      expect((await call(upstream)).body).toBe('{}');
      for (const connection of server.connections)
        connection.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray');
    }
    expect(server.accepted).toBe(5);
  });

  test('an HTTP/1.1 connection is not used twice', async () => {
    const { server, port } = raw(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    );
    const upstream = connectTo(port);
    for (let i = 0; i < 3; i++) await call(upstream);
    expect(server.accepted).toBe(3);
  });

  test('a length beyond the limit is refused before the body', async () => {
    const { port } = raw(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${LIMITS.replyBodyBytesMax + 1}\r\n\r\nx`,
    );
    expect((await call(connectTo(port))).error?.code).toBe('GW_UPSTREAM_BODY_SIZE');
  });

  test('a body that ends early or goes silent fails', async () => {
    const text = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"a"';
    expect((await call(connectTo(raw(text, true).port))).error?.code).toBe('GW_UPSTREAM_CLOSED');
    const silent = connectTo(raw(text).port, {}, { replyIdleTimeoutMs: 50 });
    expect((await call(silent)).error?.code).toBe('GW_UPSTREAM_IDLE');
    const endless = connectTo(raw(text).port, {}, { totalTimeoutMs: 50 });
    expect((await call(endless)).error?.code).toBe('GW_UPSTREAM_TIMEOUT');
  });

  test('a stream of a GET leaves its place to others', async () => {
    const server = new RawServer();
    server.onRequest = ({ head }, connection) =>
      connection.send(
        head.startsWith('GET /elsewhere ')
          ? 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n:\n\n'
          : 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
      );
    const listener = listenRaw(server);
    stops.push(() => listener.stop());
    const upstream = connectTo(listener.port, { connectionsMax: 1 });
    const streams = Array.from({ length: 3 }, () => {
      const witness = new Witness();
      const parts = { verb: 'GET', path: '/elsewhere', body: new Uint8Array(0), envelope: null } as const;
      return { witness, call: upstream.send(callOf('legacy', 1, 'echo', 'hi', parts), witness) };
    });
    await until(() => streams.every(({ witness }) => witness.head !== null));
    expect((await call(upstream)).body).toBe('{}');
    expect(upstream.stats()).toMatchObject({ busy: 3, waiting: 0 });
    for (const stream of streams) stream.call.abort();
    await until(() => upstream.stats().busy === 0);
    await until(() => server.connections.size === 0);
  });

  test('headers are ours, the configured ones, and those of the caller that are allowed', async () => {
    const { server, port } = raw('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
    const upstream = connectTo(port, { headers: ['authorization', 'Bearer configured'] });
    const headers = [
      'authorization',
      'mine',
      'x-request-id',
      'r1',
      'host',
      'evil',
      'accept-encoding',
      'gzip',
    ];
    await call(upstream, { headers, session: 's1' });
    const head = (server.requests[0]?.head ?? '').toLowerCase();
    for (const line of [
      'authorization: bearer configured',
      'x-request-id: r1',
      'mcp-session-id: s1',
      'accept-encoding: identity',
      'content-type: application/json',
    ]) {
      expect(head).toContain(`\r\n${line}\r\n`);
    }
    expect(head).not.toContain('evil');
    expect(head).not.toContain('mine');
    for (const bad of ['a\r\nb: c', 'ü\u010a']) {
      expect((await call(upstream, { headers: ['x-bad', bad] })).error?.code).toBe('GW_BASE_INTERNAL');
    }
    expect(server.requests).toHaveLength(1);
  });

  test('GET and DELETE have no body', async () => {
    const { server, port } = raw('HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n');
    const upstream = connectTo(port);
    for (const verb of ['GET', 'DELETE'] as const) {
      const witness = await call(upstream, { verb, body: new Uint8Array(0), envelope: null, session: 's' });
      expect(witness.head).toMatchObject({ status: 405, media: 'none', whole: true });
    }
    expect(server.requests.map(({ head }) => head.split(' ')[0])).toEqual(['GET', 'DELETE']);
    expect(server.requests.map(({ body }) => decode(body))).toEqual(['', '']);
    expect(server.requests[0]?.head.toLowerCase()).not.toContain('content-type');
  });

  test('nonsense is broken framing or a lost connection', async () => {
    for (const text of [
      'garbage\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd',
    ]) {
      const { error } = await call(connectTo(raw(text, true).port));
      expect(['GW_UPSTREAM_FRAMING', 'GW_UPSTREAM_CLOSED']).toContain(error?.code ?? '');
    }
  });
});
