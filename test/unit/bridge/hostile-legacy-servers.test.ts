// Hostile and broken legacy servers behind the bridge: a modern client gets one end with its own id, nothing runs for ever, nothing grows.
// Run by `bun test`. Scripted servers on a simulated clock; each test that bears the word of a fault is one that was there.
import { describe, expect, test } from 'bun:test';
import { json } from '../../fixtures/lab.ts';
import {
  answered,
  done,
  type Client as ModernClient,
  ModernRig,
  type Script,
  streamOf,
  type Told,
} from '../../fixtures/modern-rig.ts';

const ELICIT = { capabilities: { elicitation: { form: {} } } };
const LOGS = { meta: { 'io.modelcontextprotocol/logLevel': 'info' } };
/** What no conversion to text can be made of: whoever tries throws. */
const WORDLESS = { toString: 1, valueOf: 1 };

function question(id: unknown, method = 'elicitation/create', params: unknown = { message: '?' }): unknown {
  return { jsonrpc: '2.0', id, method, params };
}

/** A server that answers calls so, and the rest as servers do. */
function calling(script: (message: Told) => ReturnType<Script>): Script {
  return (message) => (message.method === 'tools/call' ? script(message) : undefined);
}

/** An event stream out of bytes as they are. */
function rawStream(pieces: readonly string[], rest: object = {}): ReturnType<Script> {
  return { headers: { 'content-type': 'text/event-stream' }, body: pieces, ...rest };
}

function expectOneEnd(client: ModernClient, id: string | number): void {
  expect(client.ends, client.text).toBe(1);
  if (client.error === null) expect(client.last.id).toBe(id);
}

describe('a legacy server', () => {
  const BAD: readonly (readonly [string, (message: Told) => ReturnType<Script>])[] = [
    ['garbage', () => json('{"jsonrpc":"2.0",')],
    [
      'bytes that are no text',
      () => ({ headers: { 'content-type': 'application/json' }, body: new Uint8Array([0xff, 0xfe, 0x00]) }),
    ],
    ['nothing', () => ({ status: 200 })],
    ['another id', () => json({ jsonrpc: '2.0', id: 'other', result: {} })],
    ['its id as another type', (message) => json({ jsonrpc: '2.0', id: String(message.id), result: {} })],
    ['a null id', () => json({ jsonrpc: '2.0', id: null, result: {} })],
    ['a request instead of a response', (message) => json(question(message.id))],
    ['a batch', (message) => json([done(message), done(message)])],
    [
      'result and error at once',
      (message) => json({ jsonrpc: '2.0', id: message.id, result: {}, error: { code: 1, message: '' } }),
    ],
    [
      'a result under a name twice',
      (message) => json(`{"jsonrpc":"2.0","id":${message.id},"result":{},"result":{"isError":true}}`),
    ],
    ['a web page', () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['an error page', () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['a redirect', () => ({ status: 302, headers: { location: 'http://elsewhere.example' } })],
    ['a status without meaning', () => ({ status: 299 })],
    ['an error that has no words', (message) => json({ jsonrpc: '2.0', id: message.id, error: WORDLESS })],
    ['an error that is none', (message) => json({ jsonrpc: '2.0', id: message.id, error: 'no' })],
    [
      'too deep a result',
      (message) => json(`{"jsonrpc":"2.0","id":${message.id},"result":${'['.repeat(300)}${']'.repeat(300)}}`),
    ],
    [
      'an event stream without a response',
      () => streamOf([{ jsonrpc: '2.0', method: 'notifications/message', params: {} }]),
    ],
    [
      'an event stream that breaks in an event',
      (message) =>
        rawStream([`data: {"jsonrpc":"2.0","id":${message.id},"res`], {
          fail: 'GW_UPSTREAM_CLOSED',
          failLate: true,
        }),
    ],
    [
      'an event stream that ends in an event',
      (message) => rawStream([`data: {"jsonrpc":"2.0","id":${message.id},"res`]),
    ],
    ['an event of garbage', () => rawStream(['data: {\n\n', 'data: x\n\n'])],
    [
      'an event stream with a status of refusal',
      () => ({ status: 500, headers: { 'content-type': 'text/event-stream' }, body: ['data: x\n\n'] }),
    ],
    ['a failure', () => ({ fail: 'GW_UPSTREAM_CLOSED' })],
    ['a lost session for ever', () => ({ status: 404 })],
    [
      'a refusal about sessions for ever',
      () => ({
        status: 400,
        headers: { 'content-type': 'application/json' },
        body: '{"error":{"code":-32000,"message":"session"}}',
      }),
    ],
  ];

  test.each(BAD)('that answers a call with %s: one end, and the next call is served', async (_, script) => {
    let isBad = true;
    const rig = new ModernRig({
      script: calling((message) => (isBad ? script(message) : answered(message))),
    });
    const client = rig.send('tools/call', { name: 't', arguments: {} }, { id: 'mine' });
    await rig.sim.advance(30_000);
    expectOneEnd(client, 'mine');
    expect(rig.asked('tools/call').length).toBeLessThan(5);
    isBad = false;
    expect((await rig.call('t')).result).toMatchObject({ resultType: 'complete' });
    expect(rig.fake.stats().busy).toBe(0);
  });

  test.each([
    '5',
    'null',
    '[]',
    '"x"',
    '{"content":5,"_meta":7}',
    '{"_meta":{"io.modelcontextprotocol/serverInfo":1}}',
    '{"tools":[1,null,{"name":5}]}',
    '{"resultType":5}',
  ])('whose result is %s: it comes under the client’s id', async (value) => {
    const rig = new ModernRig({
      script: (message) => json(`{"jsonrpc":"2.0","id":${message.id},"result":${value}}`),
    });
    for (const method of [
      'tools/call',
      'tools/list',
      'prompts/list',
      'resources/read',
      'completion/complete',
    ]) {
      const client = await rig.ask(method, { name: 't', uri: 'x:y' }, { id: 'mine' });
      expectOneEnd(client, 'mine');
      expect(client.error).toBeNull();
    }
  });

  test('that answers twice, or after the end: the first counts', async () => {
    const rig = new ModernRig({
      script: calling((message) =>
        streamOf([done(message, 'one'), done(message, 'two'), question(5), done(message, 'three')], {
          gapMs: 100,
          hang: true,
        }),
      ),
    });
    const client = rig.send('tools/call', { name: 't' }, ELICIT);
    await rig.sim.advance(10_000);
    expect(client.ends).toBe(1);
    expect(client.text).toContain('one');
    expect(client.text).not.toContain('two');
    expect(rig.lastSent('tools/call').aborted).toBe(true);
  });

  const HANDSHAKES: readonly (readonly [string, (message: Told) => ReturnType<Script> & object])[] = [
    ['without a result', (message) => json({ jsonrpc: '2.0', id: message.id, result: null })],
    [
      'without a version',
      (message) => json({ jsonrpc: '2.0', id: message.id, result: { capabilities: {} } }),
    ],
    [
      'with a version that is no header',
      (message) => json({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: 'a\r\nx: y' } }),
    ],
    [
      'with an error that has no words',
      (message) => json({ jsonrpc: '2.0', id: message.id, error: WORDLESS }),
    ],
    ['with a page', () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['under another id', () => json({ jsonrpc: '2.0', id: 'x', result: { protocolVersion: '2025-06-18' } })],
    ['never', () => ({ hang: true })],
    ['with a stream that never ends', () => rawStream([': x\n\n'], { hang: true }) as object],
  ];

  test.each(HANDSHAKES)('that answers initialize %s: everyone who waits hears so', async (_, initialize) => {
    const rig = new ModernRig({ initialize });
    const clients = [
      rig.send('tools/call', { name: 't' }, { id: 'a' }),
      rig.send('tools/list', {}, { id: 2 }),
      rig.send('server/discover', {}, { id: 'd' }),
    ];
    const listen = rig.send('subscriptions/listen', { notifications: { toolsListChanged: true } });
    await rig.sim.advance(30_000);
    for (const client of clients) {
      expect(client.ends).toBe(1);
      expect(client.error?.row.source).toBe('upstream');
    }
    expect(listen.ends).toBe(1);
    expect(rig.asked('initialize')).toHaveLength(1);
  });

  test.each([
    ['nothing but a version', {}],
    ['nonsense', { capabilities: 5, serverInfo: 'me', instructions: {}, _meta: [] }],
    ['empty words', { capabilities: { tools: null, resources: [] }, serverInfo: { name: 5 } }],
  ])('that says %s of itself: it is served all the same', async (_, said) => {
    const rig = new ModernRig({
      initialize: (message) =>
        json({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-06-18', ...said } }),
      script: calling((message) => answered(message)),
    });
    expect((await rig.ask('server/discover')).result).toMatchObject({ resultType: 'complete' });
    expect((await rig.call('t', LOGS)).result).toMatchObject({ resultType: 'complete' });
    const listen = await rig.ask('subscriptions/listen', {
      notifications: { toolsListChanged: true, resourceSubscriptions: ['x:y'] },
    });
    expect(listen.messages[0]?.method).toBe('notifications/subscriptions/acknowledged');
  });

  test('that loses the session when it is told that it is open: refused, not opened for ever', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'notifications/initialized' ? { status: 404 } : undefined),
    });
    const client = rig.send('tools/call', { name: 't' });
    const listen = rig.send('subscriptions/listen', { notifications: { toolsListChanged: true } });
    await rig.sim.advance(1_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(listen.ends).toBe(1);
    expect(rig.asked('initialize').length).toBeLessThan(4);
  });

  test('that answers a notification with a stream that never ends: nobody waits for it', async () => {
    const rig = new ModernRig({
      script: (message) => {
        if (message.method === 'tools/call') return answered(message);
        return message.id === undefined ? rawStream([': x\n\n'], { hang: true }) : undefined;
      },
    });
    expect((await rig.call('t')).result).toMatchObject({ resultType: 'complete' });
    await rig.sim.advance(2_000);
    expect(rig.fake.stats().busy).toBe(0);
  });

  test('that never says whether it has heard that the session is open: it is bounded', async () => {
    const rig = new ModernRig({
      script: (message) => {
        if (message.method === 'tools/call') return answered(message);
        return message.method === 'notifications/initialized' ? { hang: true } : undefined;
      },
    });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(11_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
  });

  test.each([
    ['fails', { status: 500 }],
    ['breaks off', { fail: 'GW_UPSTREAM_CLOSED' }],
    ['answers garbage', { body: '{' }],
  ] as const)('that %s at logging/setLevel: asked once, and the call goes on', async (_, reply) => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'logging/setLevel'
          ? reply
          : message.method === 'tools/call'
            ? answered(message)
            : undefined,
    });
    const client = rig.send('tools/call', { name: 't' }, LOGS);
    await rig.sim.advance(5_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('logging/setLevel')).toHaveLength(1);
  });

  test('with more tools than are remembered: a call of none of them is sent, after one look', async () => {
    const tools = Array.from({ length: 10_001 }, (_, i) => ({ name: `n${i}` }));
    const rig = new ModernRig({
      script: (message) => {
        if (message.method === 'tools/list')
          return json({ jsonrpc: '2.0', id: message.id, result: { tools } });
        return message.method === 'tools/call' ? answered(message) : undefined;
      },
    });
    for (let i = 0; i < 3; i++)
      expect((await rig.call('none', { headers: ['mcp-param-x', '1'] })).result).toMatchObject({
        resultType: 'complete',
      });
    expect(rig.asked('tools/list')).toHaveLength(1);
  });

  test('whose list of tools goes in a circle: it is read once', async () => {
    const rig = new ModernRig({
      script: (message) => {
        if (message.method === 'tools/list')
          return json({
            jsonrpc: '2.0',
            id: message.id,
            result: { tools: [], nextCursor: message.params?.cursor === 'a' ? 'b' : 'a' },
          });
        return message.method === 'tools/call' ? answered(message) : undefined;
      },
    });
    expect((await rig.call('t', { headers: ['mcp-param-x', '1'] })).result).toMatchObject({
      resultType: 'complete',
    });
    expect(rig.asked('tools/list').length).toBeLessThan(5);
  });

  test('that never lets a stream come to its end: the whole is bounded, and so is the pace', async () => {
    let events = 0;
    const script: Script = (message, sent) =>
      sent.verb === 'GET' || message.method === 'tools/call'
        ? rawStream([`id: ${++events}\nretry: 0\ndata: \n\n`])
        : undefined;
    const rig = new ModernRig({ script });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(1_000);
    expect(events).toBeLessThan(20);
    await rig.sim.advance(70_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
    const then = events;
    await rig.sim.advance(10_000);
    expect(events).toBe(then);
  });

  test('that names a wait beyond every number: the stream is taken up all the same', async () => {
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return streamOf([{ jsonrpc: '2.0', id: 2, result: {} }]);
        return message.method === 'tools/call'
          ? rawStream([`id: 1\nretry: ${'9'.repeat(400)}\ndata: \n\n`])
          : undefined;
      },
    });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(31_000);
    expect(client.ends).toBe(1);
    expect(client.error).toBeNull();
  });

  test('whose session’s stream ends at once, time and again: the pace is bounded', async () => {
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return rawStream(['retry: 0\nid: 1\ndata: \n\n']);
        return message.method === 'tools/call' ? answered(message) : undefined;
      },
    });
    await rig.call('t', ELICIT);
    await rig.sim.advance(2_000);
    expect(rig.sent('GET').length).toBeLessThan(30);
  });

  test('that takes an answer and never goes on: the call ends', async () => {
    const rig = new ModernRig({ script: calling(() => streamOf([question(1)], { hang: true })) });
    const first = await rig.call('t', ELICIT);
    const back = {
      name: 't',
      arguments: { a: 1 },
      requestState: first.result.requestState,
      inputResponses: { 'elicitation-1': {} },
    };
    const second = rig.send('tools/call', back, ELICIT);
    await rig.sim.advance(61_000);
    expect(second.error?.code).toBe('GW_UPSTREAM_TIMEOUT');
    expect(rig.fake.stats().busy).toBe(0);
    expect(rig.parking.size).toBe(0);
  });

  test('that asks without an end in one call: a client is asked 64 things at most, the rest is refused', async () => {
    const rig = new ModernRig({
      script: calling(() =>
        streamOf(
          Array.from({ length: 500 }, (_, i) => question(i)),
          { hang: true },
        ),
      ),
    });
    const first = await rig.call('t', ELICIT);
    expect(Object.keys(first.result.inputRequests as object)).toHaveLength(64);
    expect(rig.asked('')).toHaveLength(436);
  });

  test('whose questions are huge: they are refused beyond what an answer could quote', async () => {
    const rig = new ModernRig({
      script: calling(() =>
        streamOf(
          Array.from({ length: 12 }, (_, i) =>
            question(i, 'elicitation/create', { message: 'x'.repeat(1_000_000) }),
          ),
          { hang: true },
        ),
      ),
    });
    const first = await rig.call('t', ELICIT);
    expect(Object.keys(first.result.inputRequests as object)).toHaveLength(4);
    const long = new ModernRig({
      script: calling((message) => streamOf([question('x'.repeat(5_000_000)), done(message)])),
    });
    expect((await long.call('t', ELICIT)).result).toMatchObject({ resultType: 'complete' });
  });

  test.each([
    'é✓',
    '\u0001',
    'a"b\\c',
    '😀',
    '__proto__',
    'constructor',
    9_007_199_254_740_991,
    'elicitation-1',
    '\u2028',
  ])('that asks under the id %j: the answer bears it', async (id) => {
    const rig = new ModernRig({
      script: calling(() => streamOf([question(id), question(2)], { hang: true })),
    });
    const first = await rig.call('t', ELICIT);
    const keys = Object.keys(first.result.inputRequests as object);
    expect(keys).toHaveLength(2);
    const answers = `{${keys.map((key) => `${JSON.stringify(key)}:{"action":"accept"}`).join(',')}}`;
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
    rig.sendText(
      `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"t","arguments":{"a":1},"requestState":"${String(first.result.requestState)}","inputResponses":${answers},${meta}}}`,
    );
    await rig.sim.advance(100);
    expect(rig.asked('').map((answer) => answer.id)).toEqual([id, 2]);
  });

  test('that asks twice under one id: two questions, two answers', async () => {
    const rig = new ModernRig({
      script: calling(() => streamOf([question('same'), question('same')], { hang: true })),
    });
    const keys = Object.keys((await rig.call('t', ELICIT)).result.inputRequests as object);
    expect(new Set(keys).size).toBe(2);
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'that asks by the name of %s: it is a question of no kind and no mode',
    async (name) => {
      const own = { code: -5, message: 'own' };
      const rig = new ModernRig({
        script: calling((message) =>
          streamOf(
            [
              question(1, name),
              question(2, 'elicitation/create', { mode: name, message: '?' }),
              { jsonrpc: '2.0', id: message.id, error: own },
            ],
            { gapMs: 50 },
          ),
        ),
      });
      const client = rig.send('tools/call', { name: 't' }, ELICIT);
      await rig.sim.advance(1_000);
      expect(client.ends).toBe(1);
      expect(client.text).not.toContain('input_required');
      expect(client.text).not.toContain('native code');
      expect(rig.asked('').map(({ error }) => error?.code)).toEqual([-32601, -32601]);
    },
  );

  const progress = (token: unknown, message = ''): unknown => ({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: token, progress: 1, message },
  });

  test('that reports about one call on the stream of another: a slow client of the one keeps nobody else waiting', async () => {
    let slowId: unknown = null;
    const rig = new ModernRig({
      script: calling((message) => {
        if (slowId !== null)
          return streamOf([
            progress(slowId),
            progress(slowId),
            progress('none'),
            progress(message.id),
            done(message),
          ]);
        slowId = message.id;
        return rawStream([': x\n\n'], { hang: true });
      }),
    });
    const slow = rig.send('tools/call', { name: 'slow' }, { meta: { progressToken: 'p' } });
    slow.reads = false;
    await rig.sim.advance(100);
    const other = await rig.call('other');
    expect(other.result).toMatchObject({ resultType: 'complete' });
    expect(other.text).not.toContain('progress');
    expect(slow.messages.every(({ params }) => params?.progressToken === 'p')).toBe(true);
  });

  test('that reports about a call on the session’s stream: a slow client is not buried', async () => {
    const flood = Array.from({ length: 500 }, () => progress(2, 'x'.repeat(1_000)));
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return streamOf(flood, { gapMs: 10, hang: true });
        return message.method === 'tools/call' ? rawStream([': x\n\n'], { hang: true }) : undefined;
      },
    });
    const slow = rig.send('tools/call', { name: 't' }, { ...ELICIT, meta: { progressToken: 'p' } });
    slow.reads = false;
    await rig.sim.advance(10_000);
    expect(slow.messages.length).toBeLessThan(3);
    slow.reads = true;
    slow.call?.resume();
    expect(slow.ends).toBe(0);
  });

  test('that floods a client of listen which does not read: its stream ends, what waits is bounded', async () => {
    const flood = Array.from({ length: 1_000 }, () => ({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { x: 'y'.repeat(1_000) },
    }));
    const rig = new ModernRig({
      capabilities: { tools: { listChanged: true } },
      script: (_message, sent) =>
        sent.verb === 'GET' ? streamOf(flood, { gapMs: 1, hang: true }) : undefined,
    });
    const listen = rig.send('subscriptions/listen', { notifications: { toolsListChanged: true } });
    listen.reads = false;
    await rig.sim.advance(5_000);
    expect(listen.ends).toBe(1);
    expect(listen.text.length).toBeLessThan(10_000);
  });

  test('whose refusal to begin a lost session again has no words: whoever listens hears of the end', async () => {
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return rawStream([': x\n\n'], { hang: true });
        return message.method === 'tools/call' ? { status: 404 } : undefined;
      },
      initialize: (message, nth) => {
        const result = { protocolVersion: '2025-06-18', capabilities: { tools: { listChanged: true } } };
        const begun = { headers: { 'content-type': 'application/json', 'mcp-session-id': 's' } };
        return nth === 1
          ? json({ jsonrpc: '2.0', id: message.id, result }, begun)
          : json({ jsonrpc: '2.0', id: message.id, error: WORDLESS });
      },
    });
    const listen = await rig.ask('subscriptions/listen', { notifications: { toolsListChanged: true } });
    expect(listen.ends).toBe(0);
    const call = await rig.call('t');
    await rig.sim.advance(1_000);
    expect(call.error?.code).toBe('GW_UPSTREAM_MESSAGE');
    expect(listen.error?.code).toBe('GW_UPSTREAM_MESSAGE');
  });
});

describe('a modern client', () => {
  test('that declares a great deal is refused, and keeps nothing here', async () => {
    const rig = new ModernRig();
    for (let i = 0; i < 3; i++)
      expect(
        (
          await rig.ask(
            'tools/list',
            {},
            { capabilities: { elicitation: { [`x${i}`]: 'y'.repeat(100_000) } } },
          )
        ).error?.code,
      ).toBe('GW_MCP_META');
    expect(
      (await rig.ask('server/discover', {}, { capabilities: { x: 'y'.repeat(100_000) } })).error?.code,
    ).toBe('GW_MCP_META');
    expect(
      (
        await rig.ask(
          'subscriptions/listen',
          { notifications: {} },
          { capabilities: { x: 'y'.repeat(100_000) } },
        )
      ).error?.code,
    ).toBe('GW_MCP_META');
    expect(rig.face.sessions).toBe(0);
  });
});
