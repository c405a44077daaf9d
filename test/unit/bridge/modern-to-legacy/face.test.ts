// What modern clients get from a legacy server without being asked anything: handshake, requests, results, errors, notifications.
// Run by `bun test`: the face over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../../src/base/bytes.ts';
import { eventStream, json } from '../../../fixtures/lab.ts';
import { answered, done, headerOf, ModernRig, streamOf, type Told } from '../../../fixtures/modern-rig.ts';

const SERVER_INFO = { 'io.modelcontextprotocol/serverInfo': { name: 'old', version: '9' } };

function tokenOf(message: Told): unknown {
  const { _meta } = message.params as { _meta: { progressToken: unknown } };
  return _meta.progressToken;
}

/** A rig whose tools answer at once. */
function ready(more: ConstructorParameters<typeof ModernRig>[0] = {}): ModernRig {
  return new ModernRig({
    script: (message) => (message.id === undefined ? undefined : answered(message)),
    ...more,
  });
}

describe('the session', () => {
  test('is opened with the capabilities of the request, and told that it is', async () => {
    const rig = ready();
    const capabilities = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } };
    const client = await rig.call('t', { capabilities, id: 'x' });
    expect(client.result).toEqual({
      content: [{ type: 'text', text: 'done' }],
      resultType: 'complete',
      _meta: SERVER_INFO,
    });
    expect(client.last.id).toBe('x');
    expect(rig.asked('initialize')[0]?.params).toMatchObject({
      protocolVersion: '2025-11-25',
      capabilities: { sampling: {}, elicitation: { form: {} }, roots: {} },
      clientInfo: { name: 'sluice' },
    });
    const order = rig.sent('POST').map(({ body }) => (JSON.parse(decode(body)) as Told).method);
    expect(order).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
  });

  test('carries the request without what only one era knows', async () => {
    const rig = ready();
    const meta = { progressToken: 'mine', 'io.modelcontextprotocol/logLevel': 'info', 'a.b/c': 1.5 };
    const text =
      '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","arguments":{"n":1.50,"s":"\\u00e9"},"_meta":' +
      `${JSON.stringify({ ...meta, 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} })},"later":[1]}}`;
    rig.sendText(text, {
      headers: [
        'authorization',
        'Bearer 1',
        'traceparent',
        't1',
        'mcp-param-a',
        'b',
        'mcp-protocol-version',
        '2026-07-28',
      ],
    });
    await rig.sim.advance(50);
    const sent = rig.lastSent('tools/call');
    const body = decode(sent.body);
    expect(body).toContain('"arguments":{"n":1.50,"s":"\\u00e9"}');
    expect(body).toContain('"later":[1]');
    expect(body).not.toContain('io.modelcontextprotocol');
    const message = JSON.parse(body) as Told;
    expect(message.params?._meta).toEqual({ progressToken: message.id, 'a.b/c': 1.5 });
    expect(sent.era).toBe('legacy');
    expect(sent.session).toBe('s1');
    expect(headerOf(sent, 'mcp-protocol-version')).toBe('2025-06-18');
    expect(headerOf(sent, 'authorization')).toBe('Bearer 1');
    expect(headerOf(sent, 'traceparent')).toBe('t1');
    expect(headerOf(sent, 'x-request-id')).toBe('r1');
    expect(headerOf(sent, 'accept')).toBe('application/json, text/event-stream');
    for (const gone of ['mcp-method', 'mcp-param-a']) expect(headerOf(sent, gone)).toBeNull();
  });

  test('is shared by those who are alike, and opened once for all who wait', async () => {
    const rig = ready();
    const one = { elicitation: { form: {}, url: {} }, sampling: {} };
    const other = { sampling: {}, elicitation: { url: {}, form: {} } };
    const alike = [one, other, one].map((capabilities) =>
      rig.send('tools/call', { name: 't' }, { capabilities }),
    );
    await rig.sim.advance(50);
    for (const client of alike) expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('initialize')).toHaveLength(1);
    const ids = rig.asked('tools/call').map((message) => message.id);
    expect(new Set(ids).size).toBe(3);
    await rig.call('t', { capabilities: {} });
    await rig.call('t', { capabilities: one, principal: 'ann' });
    await rig.call('t', { capabilities: one, headers: ['authorization', 'Bearer 2'] });
    await rig.call('t', { capabilities: one, headers: ['authorization', 'Bearer 3'] });
    expect(rig.asked('initialize')).toHaveLength(5);
    expect(rig.face.sessions).toBe(5);
  });

  test('needs no id', async () => {
    const rig = ready({ session: null });
    expect((await rig.call('t')).result).toMatchObject({ resultType: 'complete' });
    expect(rig.lastSent('tools/call').session).toBeNull();
    await rig.face.close(10);
    expect(rig.sent('DELETE')).toHaveLength(0);
  });

  test('ends when it has been idle, and with the face', async () => {
    const rig = ready();
    await rig.call('t');
    await rig.call('t', { principal: 'ann' });
    await rig.sim.advance(40_000);
    await rig.call('t', { principal: 'ann' });
    rig.face.sweep();
    await rig.sim.advance(30_000);
    rig.face.sweep();
    await rig.sim.advance(10);
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1']);
    const closing = rig.face.close(100);
    await rig.sim.advance(10);
    await closing;
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1', 's2']);
    expect((await rig.call('t')).error?.code).toBe('GW_UPSTREAM_CLOSING');
  });

  test('regression: calls that run when the face closes finish first, within the bound; only then does the session end at the server', async () => {
    const rig = new ModernRig({
      script: (message) => ({
        ...answered(message),
        ...(message.params?.name === 'slow' && { delayMs: 400 }),
        ...(message.params?.name === 'endless' && { delayMs: 60_000 }),
      }),
    });
    await rig.call('t');
    await rig.call('t', { principal: 'ann' });
    await rig.call('t', { principal: 'eve' });
    const slow = rig.send('tools/call', { name: 'slow' }, { principal: 'ann' });
    rig.send('tools/call', { name: 'endless' }, { principal: 'eve' });
    await rig.sim.advance(1);
    const closing = rig.face.close(1_000);
    await rig.sim.advance(1);
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1']);
    expect((await rig.call('t', { principal: 'ann' })).error?.code).toBe('GW_UPSTREAM_CLOSING');
    await rig.sim.advance(500);
    expect(slow.result).toMatchObject({ resultType: 'complete' });
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1', 's2']);
    await rig.sim.advance(1_000);
    await closing;
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1', 's2', 's3']);
    expect(rig.face.sessions).toBe(0);
  });

  test('gives way when there are too many, unless it is in use', async () => {
    const rig = new ModernRig({
      sessionsMax: 2,
      script: (message) =>
        message.params?.name === 'slow' ? { ...answered(message), delayMs: 1_000 } : answered(message),
    });
    await rig.call('t', { principal: 'a' });
    await rig.call('t', { principal: 'b' });
    await rig.call('t', { principal: 'c' });
    expect(rig.sent('DELETE').map(({ session }) => session)).toEqual(['s1']);
    const busy = [
      rig.send('tools/call', { name: 'slow' }, { principal: 'b' }),
      rig.send('tools/call', { name: 'slow' }, { principal: 'c' }),
    ];
    expect((await rig.call('t', { principal: 'd' })).error?.code).toBe('GW_SESSION_LIMIT');
    await rig.sim.advance(2_000);
    for (const client of busy) expect(client.status).toBe(200);
  });

  test("a refusal of its opening is the client's: status and challenge", async () => {
    const rig = new ModernRig({
      initialize: () => ({
        status: 401,
        headers: { 'content-type': 'application/json', 'www-authenticate': 'Bearer resource_metadata="x"' },
        body: '{"error":"invalid_token"}',
      }),
    });
    const client = await rig.call('t');
    expect(client.status).toBe(401);
    expect(client.challenge).toBe('Bearer resource_metadata="x"');
    expect(client.last).toMatchObject({ id: 1, error: { data: { gw: 'GW_UPSTREAM_MEDIA' } } });
    expect((await rig.ask('server/discover')).challenge).toBe('Bearer resource_metadata="x"');
  });

  test.each([
    ['an error', { jsonrpc: '2.0', id: 1, error: { code: -32602, message: 'no such version' } }],
    ['no version', { jsonrpc: '2.0', id: 1, result: { capabilities: {} } }],
  ])('%s in answer to initialize fails the call', async (_, message) => {
    const rig = new ModernRig({ initialize: (asked) => json({ ...message, id: asked.id }) });
    expect((await rig.call('t')).error?.code).toBe('GW_UPSTREAM_MESSAGE');
  });
});

describe('what the gateway answers itself', () => {
  test('server/discover', async () => {
    const rig = ready({ capabilities: { tools: { listChanged: true }, tasks: {} } });
    const client = await rig.ask('server/discover', {}, { id: 'd' });
    expect(client.last).toEqual({
      jsonrpc: '2.0',
      id: 'd',
      result: {
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: { listChanged: true } },
        instructions: 'be kind',
        resultType: 'complete',
        ttlMs: 0,
        cacheScope: 'private',
        _meta: SERVER_INFO,
      },
    });
  });

  test.each([
    'initialize',
    'ping',
    'logging/setLevel',
    'resources/subscribe',
    'resources/unsubscribe',
    'tasks/get',
    'tasks/list',
  ])('%s is no method of this revision', async (method) => {
    const rig = ready();
    const client = await rig.ask(method);
    expect(client.error).toMatchObject({ code: 'GW_MCP_METHOD', row: { http: 404, jsonrpc: -32601 } });
    expect(rig.fake.sent).toHaveLength(0);
  });

  test('a later version is refused by name', async () => {
    const client = await ready().ask('tools/list', {}, { version: '2027-01-01' });
    expect(client.status).toBe(400);
    expect(client.last.error).toMatchObject({
      code: -32022,
      data: { supported: ['2026-07-28'], requested: '2027-01-01' },
    });
  });

  test('a notification is taken, and nothing comes of it', async () => {
    const rig = ready();
    const client = rig.sendText('{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}');
    await rig.sim.advance(10);
    expect(client).toMatchObject({ status: 202, ends: 1 });
    expect(rig.fake.sent).toHaveLength(0);
  });
});

describe('results and errors', () => {
  test('lists get their cache fields, and lose what a modern client must not see', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.id === undefined
          ? undefined
          : json({
              jsonrpc: '2.0',
              id: message.id,
              result: { tools: [{ name: 't', execution: { taskSupport: 'optional' } }] },
            }),
    });
    expect((await rig.ask('tools/list')).result).toEqual({
      tools: [{ name: 't' }],
      resultType: 'complete',
      _meta: SERVER_INFO,
      ttlMs: 0,
      cacheScope: 'private',
    });
  });

  test('a method of a later extension passes both ways', async () => {
    const rig = ready();
    expect((await rig.ask('x/y', { z: 1 })).result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('x/y')[0]?.params).toEqual({ z: 1 });
  });

  const refusing = (code: number, data?: unknown): ModernRig =>
    new ModernRig({
      script: (message) =>
        message.id === undefined
          ? undefined
          : json({ jsonrpc: '2.0', id: message.id, error: { code, message: 'm', data } }),
    });

  test.each([
    [-32601, 404, -32601],
    [-32602, 200, -32602],
    [-32603, 200, -32603],
    [-32002, 200, -32602],
    [-32000, 200, -32000],
    [-32020, 200, -32603],
  ])('error %d: HTTP %d, %d', async (code, status, shown) => {
    const client = await refusing(code).ask('resources/read', { uri: 'a:b' }, { id: 'x' });
    expect(client.status).toBe(status);
    expect(client.last).toMatchObject({ id: 'x', error: { code: shown } });
    if (code === -32002) expect(client.last.error?.data).toEqual({ uri: 'a:b' });
  });

  test('an error of the status 404 that is about the method is no lost session', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.id === undefined
          ? undefined
          : json({ jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'm' } }, { status: 404 }),
    });
    const client = await rig.ask('x/y');
    expect(client.last.error?.code).toBe(-32601);
    expect(rig.asked('initialize')).toHaveLength(1);
  });

  test.each([
    [500, 'GW_UPSTREAM_MEDIA'],
    [400, 'GW_UPSTREAM_MEDIA'],
    [204, 'GW_UPSTREAM_MEDIA'],
  ] as const)('a reply of the status %d without a message fails', async (status, code) => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? { status } : undefined),
    });
    expect((await rig.call('t')).error?.code).toBe(code);
  });

  test("403 of a call is the client's", async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'tools/call'
          ? { status: 403, headers: { 'www-authenticate': 'Bearer scope="x"' } }
          : undefined,
    });
    expect(await rig.call('t')).toMatchObject({ status: 403, challenge: 'Bearer scope="x"' });
  });

  test('the answer to another request is none', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? answered({ ...message, id: 99 }) : undefined),
    });
    expect((await rig.call('t')).error?.row.source).toBe('upstream');
  });
});

describe('what comes before the response', () => {
  const notify = (method: string, params: object): unknown => ({ jsonrpc: '2.0', method, params });

  test("progress under the client's own token, and only its own", async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method !== 'tools/call'
          ? undefined
          : streamOf([
              notify('notifications/progress', {
                progressToken: tokenOf(message),
                progress: 1.5,
              }),
              notify('notifications/progress', { progressToken: 'other', progress: 9 }),
              notify('notifications/x/later', { a: 1 }),
              notify('notifications/elicitation/complete', { elicitationId: 'e' }),
              done(message),
            ]),
    });
    const client = await rig.call('t', { meta: { progressToken: 'mine' } });
    expect(client.head?.media).toBe('event-stream');
    expect(client.head?.header('x-accel-buffering')).toBe('no');
    expect(client.messages.map((message) => message.method ?? 'result')).toEqual([
      'notifications/progress',
      'notifications/x/later',
      'result',
    ]);
    expect(client.messages[0]?.params).toEqual({ progressToken: 'mine', progress: 1.5 });
    expect(client.ends).toBe(1);
  });

  test('progress that nobody asked for is dropped, and JSON stays JSON', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method !== 'tools/call'
          ? undefined
          : streamOf([
              notify('notifications/progress', { progressToken: message.id, progress: 1 }),
              done(message),
            ]),
    });
    const client = await rig.call('t');
    expect(client.head?.media).toBe('json');
    expect(client.messages).toHaveLength(1);
  });

  test('log messages from the level on that was asked for; the server is told the lowest that is wanted', async () => {
    const rig = new ModernRig({
      script: (message) => {
        if (message.method === 'logging/setLevel')
          return json({ jsonrpc: '2.0', id: message.id, result: {} });
        if (message.method !== 'tools/call') return undefined;
        const logs = ['debug', 'info', 'error'].map((level) =>
          notify('notifications/message', { data: { level: 'debug' }, level }),
        );
        return streamOf([...logs, done(message)], { delayMs: message.params?.name === 'slow' ? 5_000 : 0 });
      },
    });
    const levels = (client: { messages: readonly Told[] }): unknown[] =>
      client.messages.flatMap(({ method, params }) => (method === undefined ? [] : [params?.level]));
    const at = (level: string): { meta: Record<string, unknown> } => ({
      meta: { 'io.modelcontextprotocol/logLevel': level },
    });
    expect(levels(await rig.call('t'))).toEqual([]);
    expect(rig.asked('logging/setLevel')).toHaveLength(0);
    expect(levels(await rig.call('t', at('info')))).toEqual(['info', 'error']);
    const slow = rig.send('tools/call', { name: 'slow' }, at('info'));
    expect(levels(await rig.call('t', at('error')))).toEqual(['error']);
    expect(levels(await rig.call('t', at('debug')))).toEqual(['debug', 'info', 'error']);
    await rig.sim.advance(6_000);
    expect(levels(slow)).toEqual(['info', 'error']);
    expect(levels(await rig.call('t', at('warning')))).toEqual(['error']);
    expect(levels(await rig.call('t', at('loud')))).toEqual([]);
    expect(rig.asked('logging/setLevel').map(({ params }) => params?.level)).toEqual([
      'info',
      'debug',
      'warning',
    ]);
  });

  test('a slow client holds the server up, and goes on', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method !== 'tools/call'
          ? undefined
          : streamOf([notify('notifications/x', {}), notify('notifications/y', {}), done(message)]),
    });
    const client = rig.send('tools/call', { name: 't' });
    client.reads = false;
    await rig.sim.advance(100);
    expect(client.messages).toHaveLength(1);
    client.reads = true;
    client.call?.resume();
    await rig.sim.advance(100);
    expect(client.messages).toHaveLength(3);
    expect(client.ends).toBe(1);
  });
});

describe('a client that leaves', () => {
  test('is told to the server under the id that it knows', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'tools/call' ? streamOf([': x\n\n'], { hang: true }) : undefined,
    });
    const client = await rig.call('t', { id: 'mine' });
    client.call?.abort();
    await rig.sim.advance(50);
    const { id } = rig.asked('tools/call')[0] ?? {};
    expect(rig.asked('notifications/cancelled')[0]?.params).toMatchObject({ requestId: id });
    expect(rig.lastSent('tools/call').aborted).toBe(true);
    expect(client.ends).toBe(0);
  });

  test('before its request was sent, it is not sent', async () => {
    const rig = ready();
    const client = rig.send('tools/call', { name: 't' });
    client.call?.abort();
    await rig.sim.advance(50);
    expect(rig.asked('tools/call')).toHaveLength(0);
    expect(rig.asked('notifications/cancelled')).toHaveLength(0);
    expect(client.ends).toBe(0);
  });
});

test('a stream that the server keeps open behind the response is let go of', async () => {
  const rig = new ModernRig({
    script: (message) =>
      message.method === 'tools/call'
        ? eventStream([`data: ${JSON.stringify(done(message))}\n\n`], { hang: true })
        : undefined,
  });
  expect((await rig.call('t')).result).toMatchObject({ resultType: 'complete' });
  await rig.sim.advance(2_000);
  expect(rig.lastSent('tools/call').aborted).toBe(true);
});
