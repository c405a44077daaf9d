// Hostile servers behind the bridge, byte by byte over real sockets and pipes, in both directions; and clients whose headers differ from what they send.
// Run by `bun test`. The client gets one reply under its own id, or a stream that breaks; the gateway stays up, keeps nothing busy, and serves the next.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { must } from '../../src/base/assert.ts';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { MODERN_META, modernHeaders } from '../fixtures/messages.ts';
import { type Plane, rawExchange, startPlane } from '../fixtures/plane.ts';
import { Planes } from '../fixtures/planes.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';
import {
  eventReply,
  httpReply,
  jsonReply,
  startWireServer,
  type WireReply,
  type WireRequest,
  type WireServer,
} from '../fixtures/wire-server.ts';

const TEST_MS_MAX = 20_000;
const TIMES = { firstByteTimeoutMs: 700, replyIdleTimeoutMs: 700, totalTimeoutMs: 1_000 };
const INITIALIZE = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'c', version: '1' },
};
const LIST = { tools: [{ name: 't', inputSchema: { type: 'object' } }] };

interface Outcome {
  readonly status: number;
  /** Messages without a method; null when the stream broke. */
  readonly responses: readonly Rpc[] | null;
}

/** What came back, however it came. */
async function outcomeOf(reply: Promise<Response>): Promise<Outcome> {
  let status = 0;
  try {
    const response = await reply;
    status = response.status;
    const text = await response.text();
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    const lines = isStream
      ? text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [line.slice(6)] : []))
      : [text];
    const messages = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Rpc);
    return { status, responses: messages.filter(({ method }) => method === undefined) };
  } catch {
    return { status, responses: null };
  }
}

function expectOne(outcome: Outcome | undefined, id: unknown): void {
  const { status, responses } = must(outcome, 'an outcome');
  expect(status).toBeGreaterThanOrEqual(200);
  expect(responses).toMatchObject([{ id }]);
}

async function expectRest(plane: Plane): Promise<void> {
  for (let i = 0; i < 100 && plane.plane.stats().activeExchanges > 0; i++) await Bun.sleep(20);
  const { activeExchanges, upstreams } = plane.plane.stats();
  expect(activeExchanges).toBe(0);
  for (let i = 0; i < 100 && Object.values(plane.plane.stats().upstreams).some(({ busy }) => busy > 0); i++)
    await Bun.sleep(20);
  for (const [name, stats] of Object.entries(upstreams)) expect([name, stats.waiting]).toEqual([name, 0]);
  for (const [name, stats] of Object.entries(plane.plane.stats().upstreams))
    expect([name, stats.busy]).toEqual([name, 0]);
}

/** What a call is answered with, by the words of its server; ID stands for the request's id. */
const REPLIES: Readonly<Record<string, WireReply>> = {
  'garbage instead of HTTP': { bytes: '\u0000\u0001garbage\r\n\r\n', ends: true },
  'a status that is none': { bytes: 'HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n' },
  'two lengths': {
    bytes:
      'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x',
  },
  'a head that never ends': { bytes: 'HTTP/1.1 200 OK\r\n', drip: { bytes: 'X-A: b\r\n', everyMs: 20 } },
  'less than it says': {
    bytes: 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"jsonrpc"',
    ends: true,
  },
  'a chunk without an end': {
    bytes: 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a"',
    ends: true,
  },
  'a chunk that is no chunk': {
    bytes: 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}',
  },
  'garbage as JSON': jsonReply('{"jsonrpc":"2.0","id":'),
  'bytes that are no text': {
    bytes: new Uint8Array([
      ...Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n'),
      0xff,
      0xfe,
      0x80,
    ]),
  },
  'a page': httpReply('200 OK', 'text/html', '<html><body>ID</body></html>'),
  'another id': jsonReply('{"jsonrpc":"2.0","id":"other","result":{}}'),
  'an error without words': jsonReply(
    '{"jsonrpc":"2.0","id":ID,"error":{"code":{"toString":1},"message":{"toString":1}}}',
  ),
  'a result that is a number': jsonReply('{"jsonrpc":"2.0","id":ID,"result":5}'),
  'too deep a result': jsonReply(
    `{"jsonrpc":"2.0","id":ID,"result":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`,
  ),
  'a redirect': httpReply(
    '307 Temporary Redirect',
    'text/plain',
    '',
    'Location: http://127.0.0.1:1/steal\r\n',
  ),
  'a failure of its own': httpReply('500 Internal Server Error', 'application/json', '{"error":'),
  'that it is busy': httpReply('503 Service Unavailable', 'text/plain', 'later', 'Retry-After: 1\r\n'),
  'a session that it does not know': httpReply('404 Not Found', 'text/plain', ''),
  'an empty event stream': eventReply('', { ends: true }),
  'an event stream of comments without an end': eventReply(': x\n\n', {
    drip: { bytes: ': x\n\n', everyMs: 50 },
  }),
  'a stream that breaks in an event': eventReply('data: {"jsonrpc":"2.0","id":ID,"res', { ends: true }),
  'an event that never ends': eventReply('data: {', { drip: { bytes: 'x'.repeat(1_000), everyMs: 10 } }),
  'an event of garbage': eventReply('data: {\n\n', { ends: true }),
  'two answers': eventReply(
    'data: {"jsonrpc":"2.0","id":ID,"result":{"content":[]}}\n\ndata: {"jsonrpc":"2.0","id":ID,"result":{"content":[1]}}\n\n',
    { ends: true },
  ),
  'an answer, and then no end': eventReply('data: {"jsonrpc":"2.0","id":ID,"result":{"content":[]}}\n\n', {
    drip: { bytes: 'data: {"jsonrpc":"2.0","id":ID,"result":{}}\n\n', everyMs: 20 },
  }),
  'events of others': eventReply(
    'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1}}\n\ndata: {"jsonrpc":"2.0","id":9,"result":{}}\n\n',
    { ends: true },
  ),
  'an event id that is no header': eventReply('id: č\u0001Ċ\r\u0000\nretry: 1\ndata: \n\n', { ends: true }),
  'a wait beyond every number': eventReply(`retry: ${'9'.repeat(300)}\nid: 1\ndata: \n\n`, { ends: true }),
};

const NAMES = Object.keys(REPLIES);

/** The reply by a name of the table, for a request. */
function replyOf(name: unknown, { message }: WireRequest): WireReply {
  const own =
    REPLIES[String(name)] ??
    jsonReply(
      '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"fine"}],"resultType":"complete"}}',
    );
  const fill = (text: string): string => text.replaceAll('ID', JSON.stringify(message.id));
  const given = own.bytes;
  if (typeof given !== 'string' || !given.includes('ID')) return own;
  const [head = '', ...rest] = fill(given).split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  const sized = head.replace(/Content-Length: \d+/, `Content-Length: ${Buffer.byteLength(body)}`);
  const bytes = `${sized}\r\n\r\n${body}`;
  return own.drip === undefined
    ? { ...own, bytes }
    : { ...own, bytes, drip: { ...own.drip, bytes: fill(own.drip.bytes) } };
}

function initialized(id: unknown, more = ''): WireReply {
  const result = {
    protocolVersion: '2025-06-18',
    capabilities: { tools: {} },
    serverInfo: { name: 'wire', version: '1' },
  };
  return jsonReply({ jsonrpc: '2.0', id, result }, more);
}

function toolOf({ message }: WireRequest): unknown {
  return message.params?.name;
}

function legacyServer(): WireServer {
  return startWireServer((request) => {
    const { verb, message } = request;
    if (verb === 'GET') return httpReply('405 Method Not Allowed', 'text/plain', '');
    if (message.method === 'initialize') return initialized(message.id, 'Mcp-Session-Id: s\r\n');
    if (message.id === undefined) return httpReply('202 Accepted', 'text/plain', '');
    if (message.method === 'tools/list') return jsonReply({ jsonrpc: '2.0', id: message.id, result: LIST });
    return replyOf(toolOf(request), request);
  });
}

function modernServer(): WireServer {
  return startWireServer((request) => {
    const { message } = request;
    if (message.method === 'server/discover')
      return jsonReply({
        jsonrpc: '2.0',
        id: message.id,
        result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {} } },
      });
    if (message.method === 'tools/list')
      return jsonReply({ jsonrpc: '2.0', id: message.id, result: { ...LIST, resultType: 'complete' } });
    return replyOf(toolOf(request), request);
  });
}

function modernCall(
  url: string,
  name: string,
  id: unknown,
  more: Record<string, unknown> = {},
): Promise<Response> {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name, arguments: {}, _meta: { ...MODERN_META, ...more } },
  });
  return fetch(url, { method: 'POST', headers: modernHeaders('tools/call', name), body });
}

describe('a legacy server for modern clients', () => {
  const server = legacyServer();
  const plane = startPlane({ servers: { one: { url: server.url } }, spec: { era: 'legacy', ...TIMES } });
  afterAll(async () => {
    await plane.stop();
    server.stop();
  });

  const url = `${plane.url}/mcp/one`;
  const outcomes = new Map<string, readonly Outcome[]>();
  beforeAll(async () => {
    const all = NAMES.map(async (name) => {
      const both = [outcomeOf(modernCall(url, name, 'mine')), outcomeOf(modernCall(url, name, 7))];
      outcomes.set(name, await Promise.all(both));
    });
    await Promise.all(all);
  }, TEST_MS_MAX);

  test.each(NAMES)('that answers a call with %s: one end for each client', (name) => {
    const [first, second] = outcomes.get(name) ?? [];
    expectOne(first, 'mine');
    expectOne(second, 7);
  });

  test('serves the next, and has nothing left to do', async () => {
    const { responses } = await outcomeOf(modernCall(url, 'fine', 'next'));
    expect(responses?.[0]).toMatchObject({ id: 'next', result: { resultType: 'complete' } });
    await expectRest(plane);
  });

  test('never saw where a redirect leads, nor more tries than are fair', () => {
    expect(server.methods.filter((method) => method === 'tools/call').length).toBeLessThan(
      6 * Object.keys(REPLIES).length,
    );
  });
});

describe('a modern server for legacy clients', () => {
  const server = modernServer();
  const plane = startPlane({ servers: { one: { url: server.url } }, spec: { era: 'modern', ...TIMES } });
  afterAll(async () => {
    await plane.stop();
    server.stop();
  });

  const outcomes = new Map<string, readonly Outcome[]>();
  let client: RpcClient;
  const call = (id: unknown, name: string): Promise<Outcome> =>
    outcomeOf(client.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } }));
  beforeAll(async () => {
    client = new RpcClient(`${plane.url}/mcp/one`);
    await client.initialize();
    const all = NAMES.map(async (name, i) => {
      outcomes.set(name, await Promise.all([call(`mine-${i}`, name), call(i, name)]));
    });
    await Promise.all(all);
  }, TEST_MS_MAX);

  test.each(NAMES.map((name, i) => [name, i] as const))(
    'that answers a call with %s: one end for each client',
    (name, i) => {
      const [first, second] = outcomes.get(name) ?? [];
      expectOne(first, `mine-${i}`);
      expectOne(second, i);
    },
  );

  test('serves the next, and has nothing left to do', async () => {
    const { responses } = await call('next', 'fine');
    expect(responses?.[0]).toMatchObject({ id: 'next', result: { content: [{ text: 'fine' }] } });
    await expectRest(plane);
  });
});

describe('a server that is asked which era it speaks', () => {
  const servers = NAMES.map((name) =>
    startWireServer((request) => {
      const { message, verb } = request;
      if (verb !== 'POST') return httpReply('405 Method Not Allowed', 'text/plain', '');
      if (message.method === 'server/discover') return replyOf(name, request);
      if (message.method === 'initialize') return initialized(message.id);
      return message.id === undefined
        ? httpReply('202 Accepted', 'text/plain', '')
        : replyOf('fine', request);
    }),
  );
  const plane = startPlane({
    servers: Object.fromEntries(servers.map(({ url }, i) => [`s${i}`, { url }])),
    spec: TIMES,
  });
  const outcomes: Outcome[] = [];
  const legacy: Outcome[] = [];
  beforeAll(async () => {
    const modern = NAMES.map((_, i) => outcomeOf(modernCall(`${plane.url}/mcp/s${i}`, 'fine', i)));
    outcomes.push(...(await Promise.all(modern)));
    const begin = NAMES.map((_, i) =>
      outcomeOf(
        new RpcClient(`${plane.url}/mcp/s${i}`).post({
          jsonrpc: '2.0',
          id: i,
          method: 'initialize',
          params: INITIALIZE,
        }),
      ),
    );
    legacy.push(...(await Promise.all(begin)));
  }, TEST_MS_MAX);
  afterAll(async () => {
    await plane.stop();
    for (const server of servers) server.stop();
  });

  test.each(NAMES.map((name, i) => [name, i] as const))('and answers with %s', (name, i) => {
    // What a server refuses on the level of HTTP passes as it is, words and all, as it would have without the question.
    if (name === 'a failure of its own') expect(outcomes[i]).toEqual({ status: 500, responses: null });
    else expectOne(outcomes[i], i);
    expectOne(legacy[i], i);
    expect(legacy[i]?.responses?.[0]).toMatchObject({ result: { protocolVersion: '2025-06-18' } });
  });

  test('has nothing left to do', () => expectRest(plane));
});

describe('a legacy server’s session id', () => {
  const ids = ['a b', 'é', 'x'.repeat(4_000), '"', 'sluice~AAAA', ';,=', '../..', '\t'];

  test.each(ids)('that is %j: the call is served or refused, once', async (id) => {
    const server = startWireServer((request) => {
      const { message, verb } = request;
      if (verb !== 'POST') return httpReply('405 Method Not Allowed', 'text/plain', '');
      if (message.method === 'initialize')
        return {
          bytes: Buffer.from(initialized(message.id, `Mcp-Session-Id: ${id}\r\n`).bytes as string, 'latin1'),
        };
      return message.id === undefined
        ? httpReply('202 Accepted', 'text/plain', '')
        : replyOf('fine', request);
    });
    const plane = startPlane({ servers: { one: { url: server.url } }, spec: { era: 'legacy', ...TIMES } });
    expectOne(await outcomeOf(modernCall(`${plane.url}/mcp/one`, 'fine', 'mine')), 'mine');
    const legacy = new RpcClient(`${plane.url}/mcp/one`);
    await legacy.initialize().catch(() => null);
    await expectRest(plane);
    await plane.stop();
    server.stop();
  });
});

describe('a huge result', () => {
  test.each(['legacy', 'modern'] as const)(
    'of a %s server arrives whole',
    async (era) => {
      const big = 'é'.repeat(3_000_000);
      const server = startWireServer(({ message, verb }) => {
        if (verb !== 'POST') return httpReply('405 Method Not Allowed', 'text/plain', '');
        if (message.method === 'initialize') return initialized(message.id);
        if (message.method === 'server/discover')
          return jsonReply({
            jsonrpc: '2.0',
            id: message.id,
            result: { supportedVersions: ['2026-07-28'], capabilities: {} },
          });
        if (message.id === undefined) return httpReply('202 Accepted', 'text/plain', '');
        return jsonReply({
          jsonrpc: '2.0',
          id: message.id,
          result: { resultType: 'complete', content: [{ type: 'text', text: big }] },
        });
      });
      const plane = startPlane({ servers: { one: { url: server.url } }, spec: { era } });
      const url = `${plane.url}/mcp/one`;
      let reply: Outcome;
      if (era === 'legacy') reply = await outcomeOf(modernCall(url, 't', 'mine'));
      else {
        const client = new RpcClient(url);
        await client.initialize();
        reply = await outcomeOf(
          client.post({ jsonrpc: '2.0', id: 'mine', method: 'tools/call', params: { name: 't' } }),
        );
      }
      const [response] = reply.responses ?? [];
      expect(response?.id).toBe('mine');
      const { content = [] } = (response?.result ?? {}) as { content?: { text: string }[] };
      expect(content[0]?.text.length).toBe(big.length);
      await plane.stop();
      server.stop();
    },
    TEST_MS_MAX,
  );
});

describe('a hostile process', () => {
  const CHILD = join(import.meta.dir, '../fixtures/hostile-child.ts');
  const CALLS = [
    'garbage',
    'blank',
    'other id',
    'twice',
    'late',
    'deep',
    'number',
    'no words',
    'questions',
    'flood',
    'batch',
    'cut',
  ];

  test.each(['legacy', 'modern'] as const)(
    'of the %s era: one reply each, and the next is served',
    async (era) => {
      const plane = startPlane({
        servers: { one: { command: process.execPath, args: [CHILD, era] } },
        spec: { era, ...TIMES, firstByteTimeoutMs: 5_000, totalTimeoutMs: 6_000 },
      });
      const url = `${plane.url}/mcp/one`;
      if (era === 'legacy') {
        const calls = CALLS.map(
          async (name) => [name, await outcomeOf(modernCall(url, name, `c-${name}`))] as const,
        );
        for (const [name, outcome] of await Promise.all(calls)) expectOne(outcome, `c-${name}`);
        expectOne(await outcomeOf(modernCall(url, 'fine', 'next')), 'next');
      } else {
        const client = new RpcClient(url);
        await client.initialize();
        const call = (name: string): Promise<Outcome> =>
          outcomeOf(client.post({ jsonrpc: '2.0', id: `c-${name}`, method: 'tools/call', params: { name } }));
        for (const [i, outcome] of (await Promise.all(CALLS.map(call))).entries())
          expectOne(outcome, `c-${CALLS[i]}`);
        expectOne(await call('fine'), 'c-fine');
      }
      for (let i = 0; i < 100 && plane.plane.stats().activeExchanges > 0; i++) await Bun.sleep(20);
      expect(plane.plane.stats().activeExchanges).toBe(0);
      await plane.stop();
    },
    TEST_MS_MAX,
  );
});

test(
  'a call that waits in one worker is not taken up by way of another with other credentials',
  async () => {
    const server = startWireServer((request) => {
      const { message, verb } = request;
      if (verb !== 'POST') return httpReply('405 Method Not Allowed', 'text/plain', '');
      if (message.method === 'initialize') return initialized(message.id, 'Mcp-Session-Id: s\r\n');
      if (message.id === undefined || message.method === undefined)
        return httpReply('202 Accepted', 'text/plain', '');
      return eventReply(
        'data: {"jsonrpc":"2.0","id":55,"method":"elicitation/create","params":{"message":"?"}}\n\n',
      );
    });
    const planes = new Planes({
      servers: { one: { url: server.url } },
      spec: { era: 'legacy', forwardHeaders: ['authorization'] },
    });
    const call = (
      worker: number,
      token: string,
      more: object = {},
      signal: AbortSignal = AbortSignal.timeout(TEST_MS_MAX),
    ): Promise<Response> => {
      const _meta = {
        ...MODERN_META,
        'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
      };
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 't', ...more, _meta },
      });
      const headers = { ...modernHeaders('tools/call', 't'), authorization: token };
      return fetch(`${planes.url(worker)}/mcp/one`, { method: 'POST', headers, body, signal });
    };
    const [asked] = (await outcomeOf(call(0, 'Bearer a'))).responses ?? [];
    const { requestState } = (asked?.result ?? {}) as { requestState?: string };
    expect(requestState).toBeString();
    const back = { requestState, inputResponses: { 'elicitation-1': { action: 'accept' } } };
    for (const worker of [0, 1]) {
      const [refused] = (await outcomeOf(call(worker, 'Bearer b', back))).responses ?? [];
      expect(refused).toMatchObject({ id: 1, error: { code: -32_602, data: { gw: 'GW_BRIDGE_STATE' } } });
    }
    const answers = (): number => server.requests.filter(({ message }) => message.id === 55).length;
    expect(answers()).toBe(0);
    const leaving = new AbortController();
    const rightful = outcomeOf(call(1, 'Bearer a', back, leaving.signal));
    for (let i = 0; i < 200 && answers() === 0; i++) await Bun.sleep(10);
    expect(answers()).toBe(1);
    leaving.abort();
    await rightful;
    await planes.stop();
    server.stop();
  },
  TEST_MS_MAX,
);

describe('headers of a modern client that differ from its body', () => {
  const tool = {
    name: 't',
    inputSchema: {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        count: { type: 'integer', 'x-mcp-header': 'Count' },
      },
    },
  };
  const server = startWireServer((request) => {
    const { message, verb } = request;
    if (verb !== 'POST') return httpReply('405 Method Not Allowed', 'text/plain', '');
    if (message.method === 'initialize') return initialized(message.id);
    if (message.method === 'server/discover')
      return jsonReply({ jsonrpc: '2.0', id: message.id, error: { code: -32_601, message: 'no' } });
    if (message.id === undefined) return httpReply('202 Accepted', 'text/plain', '');
    if (message.method === 'tools/list')
      return jsonReply({ jsonrpc: '2.0', id: message.id, result: { tools: [tool] } });
    return replyOf('fine', request);
  });
  const planes = (['legacy', 'auto'] as const).map((era) =>
    startPlane({ servers: { one: { url: server.url } }, spec: { era }, prefix: 'always' }),
  );
  afterAll(async () => {
    for (const plane of planes) await plane.stop();
    server.stop();
  });

  const REGION = 'mcp-param-region: eu';
  const WRONG: readonly (readonly [string, readonly string[]])[] = [
    ['another name', ['mcp-method: tools/call', 'mcp-name: u', REGION]],
    ['no name', ['mcp-method: tools/call', REGION]],
    ['two names', ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-name: u', REGION]],
    ['the same name twice', ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-name: NAME', REGION]],
    ['another method', ['mcp-method: tools/list', 'mcp-name: NAME', REGION]],
    ['two methods', ['mcp-method: tools/call', 'mcp-method: tools/list', 'mcp-name: NAME', REGION]],
    [
      'another revision',
      ['mcp-protocol-version: 2025-06-18', 'mcp-method: tools/call', 'mcp-name: NAME', REGION],
    ],
    ['another parameter', ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-param-region: us']],
    ['no parameter', ['mcp-method: tools/call', 'mcp-name: NAME']],
    ['two parameters', ['mcp-method: tools/call', 'mcp-name: NAME', REGION, 'mcp-param-region: us']],
    ['the same parameter twice', ['mcp-method: tools/call', 'mcp-name: NAME', REGION, REGION]],
    ['a parameter of another case', ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-param-region: EU']],
    [
      'a parameter that is badly encoded',
      ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-param-region: =?base64?!?='],
    ],
    [
      'a second parameter that is wrong',
      ['mcp-method: tools/call', 'mcp-name: NAME', REGION, 'mcp-param-count: 8'],
    ],
  ];
  const RIGHT: readonly (readonly [string, readonly string[]])[] = [
    ['plain', ['mcp-method: tools/call', 'mcp-name: NAME', REGION, 'mcp-param-count: 7']],
    [
      'encoded',
      ['mcp-method: tools/call', 'mcp-name: NAME', 'mcp-param-region: =?base64?ZXU=?=', 'MCP-PARAM-COUNT: 7'],
    ],
  ];

  function exchange(
    plane: Plane,
    path: string,
    lines: readonly string[],
    isAggregate: boolean,
  ): Promise<string> {
    const name = isAggregate ? 'one__t' : 't';
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 'mine',
      method: 'tools/call',
      params: { name, arguments: { region: 'eu', count: 7 }, _meta: MODERN_META },
    });
    const own = lines.map((line) => line.replace('NAME', name));
    const version = lines.some((line) => line.startsWith('mcp-protocol'))
      ? []
      : ['mcp-protocol-version: 2026-07-28'];
    const head = [
      `POST ${path} HTTP/1.1`,
      'host: 127.0.0.1',
      'content-type: application/json',
      'accept: application/json, text/event-stream',
      `content-length: ${body.length}`,
      // Its end ends the wait for the reply, however long that takes.
      'connection: close',
      ...version,
      ...own,
    ];
    return rawExchange(plane.port, [`${head.join('\r\n')}\r\n\r\n${body}`], 5_000);
  }

  const calls = (): number => server.methods.filter((method) => method === 'tools/call').length;

  describe.each([
    ['legacy', 0],
    ['auto', 1],
  ] as const)('era %s', (_era, at) => {
    for (const path of ['/mcp/one', '/mcp']) {
      test.each(WRONG)(`${path}: %s is refused and reaches no server`, async (_, lines) => {
        const before = calls();
        const reply = await exchange(planes[at] as Plane, path, lines, path === '/mcp');
        expect(reply.slice(0, 12)).toBe('HTTP/1.1 400');
        expect(reply).toContain('"id":"mine"');
        expect(reply).toMatch(/"code":-320(20|22)/);
        expect(calls()).toBe(before);
      });

      test.each(RIGHT)(`${path}: %s passes`, async (_, lines) => {
        const reply = await exchange(planes[at] as Plane, path, lines, path === '/mcp');
        expect(reply).toContain('"text":"fine"');
        expect(reply).toContain('"id":"mine"');
      });
    }
  });

  test('no header of the new era reaches the server', () => {
    for (const { head, message } of server.requests)
      if (message.method === 'tools/call') expect(head.toLowerCase()).not.toMatch(/mcp-(name|method|param)/);
  });
});
