// What a configuration can say of the front and of HTTP upstreams, in a real gateway: TLS, client certificates, HTTP/2 and 3, private
// authorities, Unix sockets, limits, allowed hosts and origins.
// Run by bun test against bin/sluice. Promises: certificates are made for the run and deleted; every process has ended when the file has.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificates } from '../contract/runtime-certificates.ts';
import {
  fixtureCommand,
  ON_NODE,
  type Served,
  startFixture,
  startGateway,
  stopAll,
} from '../fixtures/harness.ts';
import { nodeCanLoad } from '../fixtures/node-build.ts';
import { eventually } from '../fixtures/places.ts';
import { echoId, rawExchange, startByteServer } from '../fixtures/plane.ts';
import { TEST_TRANSPORT } from '../fixtures/transport.ts';

const TEST_MS_MAX = 30_000;
const MODERN = '2026-07-28';
/** It takes no body in chunks. */
const IS_UWS_JS = ON_NODE && TEST_TRANSPORT === 'uwebsockets' && nodeCanLoad('uWebSockets.js');

const certificates = makeCertificates();
const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-front-'));

/** Writes a text into the run's folder; its path is what configurations name. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

let fixture: Served;
beforeAll(async () => {
  fixture = await startFixture();
}, TEST_MS_MAX);
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.stop();
});
afterAll(async () => {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const gateways: Served[] = [];
async function gatewayOf(...parts: Parameters<typeof startGateway>): Promise<Served> {
  const gateway = await startGateway(...parts);
  gateways.push(gateway);
  return gateway;
}

/** A modern call of a tool: what every transport below carries. */
function callOf(name: string, args: object = {}, id: string | number = 1) {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const params = { name, arguments: args, _meta: meta };
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': name,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params }),
  };
}

interface Told {
  readonly status: number;
  readonly id?: unknown;
  readonly text?: string | undefined;
  readonly gw?: string | undefined;
}

/** Reads a reply of JSON or of events. */
function told(status: number, body: string): Told {
  const last = body.startsWith('{') ? body : (body.split('data: ').at(-1) ?? '{}');
  const { id, result, error } = JSON.parse(last);
  return { status, id, text: result?.content?.[0]?.text, gw: error?.data?.gw };
}

async function call(url: string, init: BunFetchRequestInit = {}, name = 'echo', args: object = { a: 1 }) {
  const reply = await fetch(url, { ...callOf(name, args), ...init });
  return told(reply.status, await reply.text());
}

/** On Node some things are refused, in words: says which, and is true there. */
async function isRefusedOnNode(why: string, ...parts: Parameters<typeof startGateway>): Promise<boolean> {
  if (ON_NODE) await expect(startGateway(...parts)).rejects.toThrow(why);
  return ON_NODE;
}

const GOOD: Told = { status: 200, id: 1, text: '{"a":1}', gw: undefined };

if (certificates !== null) {
  const { ca, good, other, client, stranger } = certificates;
  const paths = {
    ca: file('ca.pem', ca),
    cert: file('good.pem', good.cert),
    key: file('good.key', good.key),
    strangeCa: file('stranger.pem', stranger.cert),
    clientCert: file('client.pem', client.cert),
    clientKey: file('client.key', client.key),
  };
  const tls = { cert: paths.cert, key: paths.key };

  /** Speaks HTTP/2 with a gateway. */
  async function withHttp2(url: string, use: (session: http2.ClientHttp2Session) => Promise<void>) {
    const session = http2.connect(url, { ca, servername: 'good.test' });
    const failed = new Promise<never>((_, reject) => session.on('error', reject));
    try {
      await Promise.race([use(session), failed]);
    } finally {
      session.destroy();
    }
  }

  function callOver(
    session: http2.ClientHttp2Session,
    id: number,
    name: string,
    args: object,
  ): Promise<Told> {
    const { promise, resolve, reject } = Promise.withResolvers<Told>();
    const { headers, body } = callOf(name, args, id);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/mcp',
      ':authority': '127.0.0.1',
      ...headers,
    });
    let status = 0;
    let text = '';
    stream.setEncoding('utf8');
    stream.on('response', (reply) => {
      status = Number(reply[':status']);
    });
    stream.on('data', (chunk) => {
      text += chunk;
    });
    stream.on('end', () => resolve(told(status, text)));
    stream.on('error', reject);
    stream.end(body);
    return promise;
  }

  describe('listen.tls', () => {
    test(
      'serves HTTPS to whoever trusts its authority, and no plain HTTP',
      async () => {
        const gateway = await gatewayOf({ far: { url: fixture.url } }, { listen: { port: 0, tls } });
        expect(gateway.url).toStartWith('https://127.0.0.1:');
        expect(await call(`${gateway.url}/mcp`, { tls: { ca } })).toEqual(GOOD);
        await expect(call(`${gateway.url}/mcp`)).rejects.toThrow();
        await expect(call(`${gateway.url}/mcp`, { tls: { ca: stranger.cert } })).rejects.toThrow();
        const plain = await rawExchange(Number(new URL(gateway.url).port), [
          'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n',
        ]);
        expect(plain).not.toContain('HTTP/1.1 200');
        expect(await call(`${gateway.url}/mcp`, { tls: { ca } })).toEqual(GOOD);
      },
      TEST_MS_MAX,
    );

    test(
      'clientCa: nobody gets in without a certificate of that authority',
      async () => {
        const listen = { port: 0, tls: { ...tls, clientCa: paths.ca } };
        const gateway = await gatewayOf({ far: { url: fixture.url } }, { listen });
        const url = `${gateway.url}/mcp`;
        await expect(call(url, { tls: { ca } })).rejects.toThrow();
        await expect(call(url, { tls: { ca, cert: stranger.cert, key: stranger.key } })).rejects.toThrow();
        expect(await call(url, { tls: { ca, cert: client.cert, key: client.key } })).toEqual(GOOD);
      },
      TEST_MS_MAX,
    );

    test(
      'http2: HTTP/2 for whoever asks, many calls and event streams on one connection; HTTP/1.1 goes on',
      async () => {
        const listen = { port: 0, tls, http2: true };
        if (await isRefusedOnNode('listen.http2 on Node', { near: fixtureCommand() }, { listen })) return;
        const gateway = await gatewayOf({ near: fixtureCommand() }, { listen });
        expect(await call(`${gateway.url}/mcp`, { tls: { ca } })).toEqual(GOOD);
        await withHttp2(gateway.url, async (session) => {
          const answers = await Promise.all(
            Array.from({ length: 40 }, (_, id) =>
              id % 4 === 0
                ? callOver(session, id, 'slow', { ms: 20, steps: 2 })
                : callOver(session, id, 'echo', { id }),
            ),
          );
          answers.forEach((answer, id) => {
            const text = id % 4 === 0 ? 'Took 2 steps.' : `{"id":${id}}`;
            expect(answer).toEqual({ status: 200, id, text, gw: undefined });
          });
          const big = await callOver(session, 99, 'big', { bytes: 1_000_000 });
          expect(big.text).toHaveLength(1_000_000);
          expect(session.alpnProtocol).toBe('h2');
        });
      },
      TEST_MS_MAX,
    );

    test(
      'http3: HTTP/3 on the same port over UDP, beside 1.1 and 2',
      async () => {
        const listen = { port: 0, tls, http3: true, ...(!ON_NODE && { http2: true }) };
        if (await isRefusedOnNode('listen.http3 on Node', { far: { url: fixture.url } }, { listen })) return;
        const gateway = await gatewayOf({ far: { url: fixture.url } }, { listen });
        const url = `${gateway.url}/mcp`;
        for (const protocol of ['http1.1', 'http2', 'http3'] as const) {
          // Bun's HTTP/3 client takes no authority of its own.
          const trust = protocol === 'http3' ? { rejectUnauthorized: false } : { ca };
          expect([protocol, await call(url, { protocol, tls: trust })]).toEqual([protocol, GOOD]);
        }
      },
      TEST_MS_MAX,
    );
  });

  describe('servers over TLS', () => {
    /** An HTTPS server that answers calls and says which protocol they came over. */
    function secureServer(pair: { cert: string; key: string }, more: { ca: string } | null = null) {
      const server = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        http2: true,
        tls: { ...pair, ...(more !== null && { ca: more.ca, requestCert: true, rejectUnauthorized: true }) },
        fetch: async (request) => echoId(new Uint8Array(await request.arrayBuffer())),
      });
      return { url: `https://127.0.0.1:${server.port}/mcp`, stop: () => server.stop(true) };
    }

    // On Node the other one is refused, as below.
    for (const kind of ON_NODE ? (['http1'] as const) : (['http1', 'fetch'] as const)) {
      test(
        `client ${kind}: a private authority, its absence, another name, a client certificate, no checks`,
        async () => {
          const plain = secureServer(good);
          const named = secureServer(other);
          const strict = secureServer(good, { ca });
          const own = { cert: paths.clientCert, key: paths.clientKey };
          const entry = (url: string, trust: object): { url: string } => ({
            url,
            // a key of the configuration that the harness does not need to know
            ...{ client: kind, tls: trust },
          });
          try {
            const gateway = await gatewayOf({
              trusted: entry(plain.url, { ca: paths.ca }),
              untrusted: entry(plain.url, {}),
              mistrusted: entry(plain.url, { ca: paths.strangeCa }),
              misnamed: entry(named.url, { ca: paths.ca }),
              renamed: entry(named.url, { ca: paths.ca, serverName: 'other.test' }),
              anonymous: entry(strict.url, { ca: paths.ca }),
              introduced: entry(strict.url, { ca: paths.ca, ...own }),
              unchecked: entry(named.url, { verify: false }),
            });
            const at = async (name: string): Promise<unknown[]> => {
              const { status, gw } = await call(`${gateway.url}/mcp/${name}`);
              return [name, status, gw];
            };
            for (const name of ['trusted', 'renamed', 'introduced', 'unchecked'])
              expect(await at(name)).toEqual([name, 200, undefined]);
            for (const name of ['untrusted', 'mistrusted', 'misnamed'])
              expect(await at(name)).toEqual([name, 502, 'GW_UPSTREAM_TLS']);
            const [, status] = await at('anonymous');
            expect(status).toBe(502);
          } finally {
            for (const server of [plain, named, strict]) await server.stop();
          }
        },
        TEST_MS_MAX,
      );
    }
  });
}

describe('ways to HTTP servers', () => {
  test(
    'a Unix socket, for both clients',
    async () => {
      const unix = join(folder, 'server.sock');
      const hosts: (string | null)[] = [];
      const server = Bun.serve({
        unix,
        fetch: async (request) => {
          hosts.push(request.headers.get('host'));
          return echoId(new Uint8Array(await request.arrayBuffer()));
        },
      });
      try {
        const url = 'http://inside.test/mcp';
        const gateway = await gatewayOf({
          // keys of the configuration that the harness does not need to know
          own: { url, era: 'modern', ...{ unixPath: unix } },
          fetched: { url, era: 'modern', ...{ unixPath: unix, ...(!ON_NODE && { client: 'fetch' }) } },
        });
        for (const name of ['own', 'fetched'])
          expect(await call(`${gateway.url}/mcp/${name}`)).toMatchObject({ status: 200, id: 1 });
        expect(hosts).toEqual(['inside.test', 'inside.test']);
      } finally {
        await server.stop(true);
      }
    },
    TEST_MS_MAX,
  );

  test(
    'client: fetch carries calls, event streams and large answers, and a server that is away is a 502',
    async () => {
      const servers = {
        far: { url: fixture.url, ...{ client: 'fetch' } },
        away: { url: 'http://127.0.0.1:1/mcp', ...{ client: 'fetch' } },
      };
      if (await isRefusedOnNode("client 'fetch' on Node", servers)) return;
      const gateway = await gatewayOf(servers);
      const url = `${gateway.url}/mcp/far`;
      expect(await call(url)).toEqual(GOOD);
      expect((await call(url, {}, 'slow', { ms: 20, steps: 2 })).text).toBe('Took 2 steps.');
      expect((await call(url, {}, 'big', { bytes: 1_000_000 })).text).toHaveLength(1_000_000);
      expect(await call(`${gateway.url}/mcp/away`)).toMatchObject({ status: 502, id: 1 });
    },
    TEST_MS_MAX,
  );
});

describe('limits and doors', () => {
  test(
    'bodyBytesMax: 413 beyond, by the length announced and by the bytes that come',
    async () => {
      const gateway = await gatewayOf({ far: { url: fixture.url } }, { limits: { bodyBytesMax: 2_048 } });
      const url = `${gateway.url}/mcp`;
      const room = 2_048 - callOf('echo', { text: '' }).body.length;
      expect((await call(url, {}, 'echo', { text: 'x'.repeat(room) })).status).toBe(200);
      const long = { text: 'x'.repeat(room + 1) };
      expect(await call(url, {}, 'echo', long)).toMatchObject({ status: 413, gw: 'GW_SERVER_BODY_SIZE' });
      const { headers, body } = callOf('echo', long);
      const lines = Object.entries({ host: '127.0.0.1', 'transfer-encoding': 'chunked', ...headers });
      const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      const reply = await rawExchange(Number(new URL(gateway.url).port), [
        `POST /mcp HTTP/1.1\r\n${head}\r\n${chunked}`,
      ]);
      // uWebSockets.js is trusted with no chunk: docs/decisions/0039-node.md.
      expect(reply).toStartWith(IS_UWS_JS ? 'HTTP/1.1 411' : 'HTTP/1.1 413');
      expect(reply).toContain(IS_UWS_JS ? 'Content-Length' : 'GW_SERVER_BODY_SIZE');
    },
    TEST_MS_MAX,
  );

  test(
    'exchangesMax: 503 with Retry-After and a JSON-RPC error; room again when one is over',
    async () => {
      const gate = Promise.withResolvers<void>();
      const server = startByteServer(async (body) => {
        await gate.promise;
        return echoId(body);
      });
      try {
        const gateway = await gatewayOf(
          { far: { url: server.url } },
          { workers: 1, limits: { exchangesMax: 2 } },
        );
        const url = `${gateway.url}/mcp`;
        const running = [call(url), call(url)];
        await eventually('both are at the server', () => server.bodies.length === 2);
        const refused = await fetch(url, callOf('echo'));
        expect(refused.status).toBe(503);
        expect(refused.headers.get('retry-after')).toBe('1');
        expect(await refused.json()).toMatchObject({
          jsonrpc: '2.0',
          error: { code: expect.any(Number), data: { gw: 'GW_SERVER_BUSY', retry: 'safe' } },
        });
        expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
        gate.resolve();
        for (const one of running) expect((await one).status).toBe(200);
        expect((await call(url)).status).toBe(200);
      } finally {
        gate.resolve();
        server.stop();
      }
    },
    TEST_MS_MAX,
  );

  test(
    'sessionsMax: the next initialize is refused until a session ends, on stdio servers and on /mcp',
    async () => {
      const gateway = await gatewayOf(
        { near: fixtureCommand(), far: { url: fixture.url } },
        { workers: 1, limits: { sessionsMax: 1 } },
      );
      const params = {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 't', version: '1' },
      };
      const open = (url: string): Promise<Response> =>
        fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 'open', method: 'initialize', params }),
        });
      for (const path of ['/mcp/near', '/mcp']) {
        const url = gateway.url + path;
        const first = await open(url);
        expect([path, first.status]).toEqual([path, 200]);
        await first.text();
        const second = await open(url);
        expect([path, second.status, second.headers.get('retry-after')]).toEqual([path, 503, '1']);
        expect(await second.json()).toMatchObject({
          id: 'open',
          error: { data: { gw: 'GW_SESSION_LIMIT' } },
        });
        const session = first.headers.get('mcp-session-id') ?? '';
        const ended = await fetch(url, { method: 'DELETE', headers: { 'mcp-session-id': session } });
        expect(ended.status).toBe(200);
        const third = await open(url);
        expect([path, third.status]).toEqual([path, 200]);
        await third.text();
        const last = third.headers.get('mcp-session-id') ?? '';
        await fetch(url, { method: 'DELETE', headers: { 'mcp-session-id': last } });
      }
    },
    TEST_MS_MAX,
  );

  test(
    'allowedHosts and allowedOrigins, with CORS for those let in and for nobody else',
    async () => {
      const gateway = await gatewayOf(
        { far: { url: fixture.url } },
        {
          listen: {
            port: 0,
            allowedHosts: ['gate.example', '127.0.0.1'],
            allowedOrigins: ['https://app.example'],
            corsHeaders: ['Mcp-Param-Region'],
          },
        },
      );
      const url = `${gateway.url}/mcp`;
      const as = (more: Record<string, string>): Promise<Response> => {
        const { method, headers, body } = callOf('echo', { a: 1 });
        return fetch(url, { method, headers: { ...headers, ...more }, body });
      };
      const codeOf = async (reply: Response): Promise<[number, string | undefined]> => {
        const { gw } = told(reply.status, await reply.text());
        return [reply.status, gw];
      };
      for (const host of ['gate.example', 'GATE.example:443', '127.0.0.1:1'])
        expect(await codeOf(await as({ host }))).toEqual([200, undefined]);
      for (const host of ['evil.example', 'localhost', 'gate.example.evil.example'])
        expect(await codeOf(await as({ host }))).toEqual([403, 'GW_SERVER_HOST']);

      const welcome = await as({ origin: 'https://app.example' });
      expect(welcome.headers.get('access-control-allow-origin')).toBe('https://app.example');
      expect(welcome.headers.get('access-control-expose-headers')).toContain('mcp-session-id');
      expect(welcome.headers.get('vary')).toBe('Origin');
      expect(await codeOf(welcome)).toEqual([200, undefined]);
      expect(await codeOf(await as({ origin: 'http://gate.example:3000' }))).toEqual([200, undefined]);
      for (const origin of [
        'https://evil.example',
        'http://app.example',
        'https://app.example:8443',
        'null',
      ]) {
        const refused = await as({ origin });
        expect(refused.headers.get('access-control-allow-origin')).toBeNull();
        expect([origin, await codeOf(refused)]).toEqual([origin, [403, 'GW_SERVER_ORIGIN']]);
      }

      const preflight = (origin: string): Promise<Response> =>
        fetch(url, {
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'POST' },
        });
      const allowed = await preflight('https://app.example');
      expect(allowed.status).toBe(204);
      expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example');
      expect(allowed.headers.get('access-control-allow-methods')).toContain('DELETE');
      const headers = (allowed.headers.get('access-control-allow-headers') ?? '').toLowerCase();
      for (const header of ['content-type', 'mcp-session-id', 'mcp-method', 'mcp-name', 'mcp-param-region'])
        expect(headers).toContain(header);
      const denied = await preflight('https://evil.example');
      expect(denied.status).toBe(403);
      expect(denied.headers.get('access-control-allow-origin')).toBeNull();
    },
    TEST_MS_MAX,
  );
});
