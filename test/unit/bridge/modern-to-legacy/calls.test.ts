// Calls that do not go straight: lost sessions, broken streams, repeated requests, headers that must mirror arguments, servers on stdio.
// Run by `bun test`: the face over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { json, SESSION_LOST } from '../../../fixtures/lab.ts';
import { answered, done, headerOf, ModernRig, streamOf, type Told } from '../../../fixtures/modern-rig.ts';

describe('a session that the server has lost', () => {
  test.each([
    ['404', SESSION_LOST],
    ['404 without a body', { status: 404 }],
    [
      '400 in words',
      json(
        '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}',
        { status: 400 },
      ),
    ],
    ['a transport that knows', { fail: 'GW_SESSION_UNKNOWN' as const }],
  ])('is had again, once for all who wait, and their calls are sent again: %s', async (_, lost) => {
    const rig = new ModernRig({
      script: (message, sent) =>
        message.id === undefined ? undefined : sent.session === 's1' ? lost : answered(message),
    });
    const clients = ['a', 'b', 'c'].map((id) => rig.send('tools/call', { name: 't' }, { id }));
    await rig.sim.advance(100);
    expect(clients.map((client) => client.last.id)).toEqual(['a', 'b', 'c']);
    for (const client of clients) expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('initialize')).toHaveLength(2);
    expect(rig.asked('notifications/initialized')).toHaveLength(2);
    expect(rig.asked('tools/call')).toHaveLength(6);
    expect(rig.lastSent('tools/call').session).toBe('s2');
  });

  test('at every turn is given up', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? SESSION_LOST : undefined),
    });
    const client = await rig.call('t');
    expect(client.error).toMatchObject({ code: 'GW_UPSTREAM_CLOSED' });
    expect(rig.asked('tools/call')).toHaveLength(3);
  });

  test('does not come back: the call fails with what was wrong', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? SESSION_LOST : undefined),
      initialize: (message, nth) =>
        nth === 1
          ? json(
              { jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-11-25', capabilities: {} } },
              { headers: { 'content-type': 'application/json', 'mcp-session-id': 's1' } },
            )
          : { fail: 'GW_UPSTREAM_CONNECT' },
    });
    expect((await rig.call('t')).error?.code).toBe('GW_UPSTREAM_CONNECT');
  });

  test('404 without a session is a plain refusal', async () => {
    const rig = new ModernRig({
      session: null,
      script: (message) => (message.method === 'tools/call' ? { status: 404 } : undefined),
    });
    expect((await rig.call('t')).error?.code).toBe('GW_UPSTREAM_MEDIA');
    expect(rig.asked('initialize')).toHaveLength(1);
  });
});

describe('an event stream that ends before the response', () => {
  test('is taken up behind its last event, after the time that the server names', async () => {
    let message: Told = {};
    const rig = new ModernRig({
      script: (one, sent) => {
        if (sent.verb === 'GET') {
          if (headerOf(sent, 'last-event-id') === 'e1') return streamOf(['id: e2\nretry: 200\ndata:\n\n']);
          return streamOf([done(message)], { hang: true });
        }
        if (one.method !== 'tools/call') return undefined;
        message = one;
        return streamOf(['id: e1\nretry: 500\ndata:\n\n']);
      },
    });
    const client = rig.send('tools/call', { name: 't' }, { id: 'mine' });
    await rig.sim.advance(450);
    expect(rig.sent('GET')).toHaveLength(0);
    await rig.sim.advance(150);
    expect(rig.sent('GET')).toHaveLength(1);
    expect(rig.sent('GET')[0]?.session).toBe('s1');
    await rig.sim.advance(300);
    expect(headerOf(rig.sent('GET')[1] ?? rig.lastSent('tools/call'), 'last-event-id')).toBe('e2');
    expect(client.last.id).toBe('mine');
    expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('tools/call')).toHaveLength(1);
  });

  test('is tried a bounded number of times', async () => {
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return { fail: 'GW_UPSTREAM_CONNECT' };
        return message.method === 'tools/call' ? streamOf(['id: e1\ndata:\n\n']) : undefined;
      },
    });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(60_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_CONNECT');
    expect(rig.sent('GET')).toHaveLength(5);
  });

  test('of a server that does not resume fails', async () => {
    const rig = new ModernRig({
      script: (message, sent) => {
        if (sent.verb === 'GET') return { status: 405 };
        return message.method === 'tools/call' ? streamOf(['id: e1\nretry: 10\ndata:\n\n']) : undefined;
      },
    });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(5_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_MEDIA');
  });

  test('without ids fails: the call may have been executed', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? streamOf([': x\n\n']) : undefined),
    });
    const client = rig.send('tools/call', { name: 't' });
    await rig.sim.advance(5_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(rig.asked('tools/call')).toHaveLength(1);
  });

  test('its client leaves meanwhile: the server hears so, and nothing is taken up', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? streamOf(['id: e1\ndata:\n\n']) : undefined),
    });
    const client = await rig.call('t');
    client.call?.abort();
    await rig.sim.advance(5_000);
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
    expect(rig.sent('GET')).toHaveLength(0);
  });
});

/** A rig whose first call of each name breaks in the middle, and that lists two tools. */
function breaking(): ModernRig {
  const seen = new Set<string>();
  return new ModernRig({
    script: (message) => {
      if (message.id === undefined) return undefined;
      if (message.method === 'tools/list') {
        const tools = [
          { name: 'safe', annotations: { idempotentHint: true }, inputSchema: { type: 'object' } },
          { name: 'reads', annotations: { readOnlyHint: true } },
          { name: 'writes', annotations: { readOnlyHint: false } },
        ];
        return json({ jsonrpc: '2.0', id: message.id, result: { tools } });
      }
      const key = `${message.method} ${String(message.params?.name ?? '')}`;
      if (seen.has(key)) return answered(message);
      seen.add(key);
      return { fail: 'GW_UPSTREAM_CLOSED' };
    },
  });
}

describe('a request whose connection broke', () => {
  test.each([
    ['tools/call', { name: 'safe' }],
    ['tools/call', { name: 'reads' }],
    ['resources/read', { uri: 'a:b' }],
    ['prompts/get', { name: 'p' }],
    ['completion/complete', {}],
    ['prompts/list', {}],
  ])('is repeated when that changes nothing: %s %p', async (method, params) => {
    const rig = breaking();
    await rig.ask('tools/list');
    const client = rig.send(method, params);
    await rig.sim.advance(1_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked(method)).toHaveLength(2);
  });

  test.each([['writes'], ['never listed']])('is not repeated otherwise: %s', async (name) => {
    const rig = breaking();
    await rig.ask('tools/list');
    const client = rig.send('tools/call', { name });
    await rig.sim.advance(1_000);
    expect(client.error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(rig.asked('tools/call')).toHaveLength(1);
  });
});

/** A rig with a tool whose `region` is mirrored. */
function mirroring(): ModernRig {
  const schema = { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } };
  return new ModernRig({
    script: (message) => {
      if (message.id === undefined) return undefined;
      if (message.method !== 'tools/list') return answered(message);
      const result =
        message.params?.cursor === undefined
          ? { tools: [{ name: 'plain', inputSchema: { type: 'object' } }], nextCursor: '2' }
          : { tools: [{ name: 'mirrored', inputSchema: schema }] };
      return json({ jsonrpc: '2.0', id: message.id, result });
    },
  });
}

describe('Mcp-Param headers', () => {
  const region = { arguments: { region: 'Zürich' } };
  const good = { headers: ['mcp-param-region', '=?base64?WsO8cmljaA==?='] };
  const bad = { headers: ['mcp-param-region', 'Bern'] };

  test('are checked against the list, which is read when it must be', async () => {
    const rig = mirroring();
    expect((await rig.call('mirrored', good, region)).result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('tools/list')).toHaveLength(2);
    const client = await rig.call('mirrored', bad, region);
    expect(client.error).toMatchObject({ code: 'GW_MCP_HEADER', row: { http: 400, jsonrpc: -32020 } });
    expect((await rig.call('mirrored', {}, region)).error?.code).toBe('GW_MCP_HEADER');
    expect((await rig.call('mirrored', {}, { arguments: {} })).status).toBe(200);
    expect((await rig.call('plain', bad, region)).status).toBe(200);
    expect(rig.asked('tools/call')).toHaveLength(3);
    expect(rig.asked('tools/list')).toHaveLength(2);
  });

  test('are not looked for as long as nothing hints at them', async () => {
    const rig = mirroring();
    expect((await rig.call('mirrored', {}, region)).status).toBe(200);
    expect(rig.asked('tools/list')).toHaveLength(0);
  });

  test('of a tool that came later are found out', async () => {
    const rig = mirroring();
    await rig.ask('tools/list', { cursor: '2' });
    expect((await rig.call('mirrored', bad, region)).error?.code).toBe('GW_MCP_HEADER');
    expect((await rig.call('unknown', {}, region)).status).toBe(200);
    expect((await rig.call('unknown', {}, region)).status).toBe(200);
    expect(rig.asked('tools/list')).toHaveLength(3);
  });

  test('are not wanted of a client that has no headers', async () => {
    const rig = mirroring();
    await rig.ask('tools/list', { cursor: '2' });
    expect((await rig.call('mirrored', { isUnmirrored: true }, region)).status).toBe(200);
  });
});

describe('a server on stdio', () => {
  const ASKS = { capabilities: { elicitation: { form: {} } } };
  const slow = (message: Told): ReturnType<typeof answered> | undefined =>
    message.id === undefined ? undefined : { ...answered(message), delayMs: 1_000 };

  test('shares a session among calls that it cannot ask about', async () => {
    const rig = new ModernRig({ isStdio: true, script: slow });
    const clients = [1, 2, 3].map(() => rig.send('tools/call', { name: 't' }));
    await rig.sim.advance(2_000);
    for (const client of clients) expect(client.status).toBe(200);
    expect(rig.asked('initialize')).toHaveLength(1);
  });

  test('has a session for each call that it may ask about, and uses them again', async () => {
    const rig = new ModernRig({ isStdio: true, script: slow });
    const first = [1, 2, 3].map(() => rig.send('tools/call', { name: 't' }, ASKS));
    const list = rig.send('prompts/list', {}, ASKS);
    await rig.sim.advance(2_000);
    for (const client of [...first, list]) expect(client.status).toBe(200);
    expect(rig.asked('initialize')).toHaveLength(3);
    await rig.call('t', ASKS);
    await rig.sim.advance(2_000);
    expect(rig.asked('initialize')).toHaveLength(3);
    const log = { meta: { 'io.modelcontextprotocol/logLevel': 'info' } };
    rig.send('tools/call', { name: 't' }, log);
    rig.send('tools/call', { name: 't' }, log);
    await rig.sim.advance(2_000);
    expect(rig.asked('initialize')).toHaveLength(5);
  });

  test('lets calls wait at the bound, in order, and not for ever', async () => {
    const rig = new ModernRig({
      isStdio: true,
      sessionsMax: 100,
      script: (message) => (message.params?.name === 'hang' ? { hang: true } : slow(message)),
    });
    const running = Array.from({ length: 31 }, () => rig.send('tools/call', { name: 'hang' }, ASKS));
    running.push(rig.send('tools/call', { name: 't' }, ASKS));
    const waiting = [1, 2].map(() => rig.send('tools/call', { name: 't' }, ASKS));
    const leaving = rig.send('tools/call', { name: 't' }, ASKS);
    leaving.call?.abort();
    await rig.sim.advance(1_500);
    expect(rig.asked('initialize')).toHaveLength(32);
    expect(rig.asked('tools/call')).toHaveLength(33);
    await rig.sim.advance(2_000);
    expect(rig.asked('tools/call')).toHaveLength(34);
    for (const client of waiting) expect(client.status).toBe(200);
    const last = rig.send('tools/call', { name: 'hang' }, ASKS);
    const late = rig.send('tools/call', { name: 't' }, ASKS);
    await rig.sim.advance(25_000);
    expect(last.ends).toBe(0);
    expect(late.error?.code).toBe('GW_UPSTREAM_BUSY');
  });

  test('a call that was cancelled keeps its session until it ends, or a moment longer', async () => {
    const rig = new ModernRig({
      isStdio: true,
      script: (message) =>
        message.params?.name === 'hang'
          ? { hang: true }
          : message.id === undefined
            ? undefined
            : answered(message),
    });
    const client = await rig.call('hang', ASKS);
    client.call?.abort();
    await rig.call('t', ASKS);
    expect(rig.asked('initialize')).toHaveLength(2);
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
    await rig.sim.advance(3_000);
    rig.send('tools/call', { name: 'hang' }, ASKS);
    await rig.call('t', ASKS);
    expect(rig.asked('initialize')).toHaveLength(2);
  });

  test("log messages of a session that is shared are nobody's", async () => {
    const log = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 1 } };
    const rig = new ModernRig({
      isStdio: true,
      script: (message) => (message.id === undefined ? undefined : streamOf([log, done(message)])),
    });
    const meta = { 'io.modelcontextprotocol/logLevel': 'info' };
    expect((await rig.ask('prompts/list', {}, { meta })).messages).toHaveLength(1);
    expect((await rig.call('t', { meta })).messages).toHaveLength(2);
  });
});
