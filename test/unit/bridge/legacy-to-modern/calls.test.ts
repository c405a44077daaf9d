// Calls of legacy clients at a modern server: what the server is sent, and what becomes of its answers.
// Runs the face of bridge/legacy-to-modern over a fake server on a simulated clock.

import { describe, expect, test } from 'bun:test';
import { encode } from '../../../../src/base/bytes.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import { LegacyReply } from '../../../../src/bridge/legacy-to-modern/reply.ts';
import { createSimRuntime } from '../../../../src/runtime/sim.ts';
import type { FakeReply } from '../../../../src/upstream/fake.ts';
import { eventOf, eventStream, json } from '../../../fixtures/lab.ts';
import {
  Client,
  FaceLab,
  failure,
  headerSent,
  metaSent,
  type Rpc,
  result,
  rpcOf,
  streamed,
  toolCall,
} from './face-lab.ts';

const PROGRESS = {
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken: 7, progress: 1 },
};
const LOG = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } };

/** A lab whose server answers every tools/call so. */
function calling(answer: (message: Rpc) => FakeReply): FaceLab {
  return new FaceLab((message) => (message.method === 'tools/call' ? answer(message) : undefined));
}

describe('a request', () => {
  test('gets the envelope and the headers of a modern one, and keeps its bytes', async () => {
    const lab = new FaceLab();
    const session = await lab.open({ capabilities: { sampling: {} } });
    const text =
      '{"method":"tools/call" ,"params":{"name":"t","arguments":{"big":12345678901234567890,"e":"\\u00e9"},' +
      '"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"x"}},"id":10,"jsonrpc":"2.0"}';
    const headers = [
      'accept',
      'application/json, text/event-stream',
      'mcp-protocol-version',
      '2025-06-18',
      'mcp-method',
      'lies',
      'mcp-name',
      'lies',
      'mcp-param-x',
      'lies',
      'traceparent',
      '00-1',
    ];
    const client = await lab.post(text, { session, headers });
    expect(client.answer.id).toBe(10);
    const [sent] = lab.asked('tools/call');
    expect(rpcOf(sent).id).toBe(10);
    expect(metaSent(sent)).toEqual({
      progressToken: 7,
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
    });
    expect(new TextDecoder().decode(sent?.body)).toContain('{"big":12345678901234567890,"e":"\\u00e9"}');
    expect(sent?.era).toBe('modern');
    expect(sent?.session).toBeNull();
    expect(headerSent(sent, 'accept')).toBe('application/json, text/event-stream');
    expect(headerSent(sent, 'mcp-protocol-version')).toBe('2026-07-28');
    expect(headerSent(sent, 'mcp-method')).toBe('tools/call');
    expect(headerSent(sent, 'mcp-name')).toBe('t');
    expect(headerSent(sent, 'mcp-param-x')).toBeUndefined();
    expect(headerSent(sent, 'traceparent')).toBe('00-1');
  });

  const names: readonly [string, object, string | undefined][] = [
    ['prompts/get', { name: 'Ünï' }, '=?base64?w5xuw68=?='],
    ['resources/read', { uri: 'file:///a b' }, 'file:///a b'],
    ['tools/list', {}, undefined],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }, undefined],
    ['vendor/thing', { name: 'x' }, undefined],
  ];
  for (const [method, params, name] of names) {
    test(`${method} has Mcp-Name ${name ?? 'not at all'}`, async () => {
      const lab = new FaceLab();
      const session = await lab.open();
      await lab.post({ id: 1, method, params }, { session });
      expect(headerSent(lab.asked(method)[0], 'mcp-name')).toBe(name);
      expect(headerSent(lab.asked(method)[0], 'mcp-method')).toBe(method);
    });
  }

  test('without params gets some; what its endpoint edited is what counts', async () => {
    const lab = new FaceLab();
    const session = await lab.open();
    await lab.post({ id: 1, method: 'tools/list' }, { session });
    expect(metaSent(lab.asked('tools/list')[0])['io.modelcontextprotocol/protocolVersion']).toBe(
      '2026-07-28',
    );
    const text = '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"far__t"}}';
    const at = text.indexOf('"far__t"');
    const edits = [{ start: at, end: at + 8, insert: encode('"t"') }];
    await lab.post(text, { session, edits });
    expect(rpcOf(lab.asked('tools/call')[0]).params?.name).toBe('t');
    expect(headerSent(lab.asked('tools/call')[0], 'mcp-name')).toBe('t');
    const list = '{"jsonrpc":"2.0","id":3,"method":"prompts/list"}';
    const end = list.length - 1;
    await lab.post(list, {
      session,
      edits: [{ start: end, end, insert: encode(',"params":{"cursor":"c"}') }],
    });
    expect(rpcOf(lab.asked('prompts/list')[0]).params?.cursor).toBe('c');
  });
});

describe('mirrored arguments', () => {
  const TOOL = {
    name: 't',
    inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
  };

  test('are learnt from a list that passes', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'tools/list' ? result(message, { tools: [TOOL] }) : undefined,
    );
    const session = await lab.open();
    await lab.post({ id: 1, method: 'tools/list' }, { session });
    await lab.post(toolCall(2, { region: 'é' }), { session });
    expect(headerSent(lab.asked('tools/call')[0], 'mcp-param-region')).toBe('=?base64?w6k=?=');
    expect(lab.asked('tools/list')).toHaveLength(1);
  });

  test('are asked for, all pages, when a tool is called first, once for all', async () => {
    const lab = new FaceLab((message) => {
      if (message.method !== 'tools/list') return undefined;
      if (message.params?.cursor !== 'two"') return result(message, { tools: [], nextCursor: 'two"' });
      return result(message, { tools: [TOOL] });
    });
    const session = await lab.open();
    const calls = [lab.begin(toolCall(1, { region: 'a' }), { session }), lab.begin(toolCall(2), { session })];
    await lab.sim.advance(10);
    expect(calls.map((call) => call.answer.id)).toEqual([1, 2]);
    expect(lab.asked('tools/list')).toHaveLength(2);
    expect(headerSent(lab.asked('tools/call')[0], 'mcp-param-region')).toBe('a');
    expect(headerSent(lab.asked('tools/call')[1], 'mcp-param-region')).toBeUndefined();
    await lab.post({ id: 3, method: 'tools/call', params: { name: 'nobody' } }, { session });
    expect(lab.asked('tools/list')).toHaveLength(2);
  });

  test('of one user are not those of another', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'tools/list' ? result(message, { tools: [TOOL] }) : undefined,
    );
    const session = await lab.open();
    const other = await lab.open({}, { principal: 'q' });
    await lab.post({ id: 1, method: 'tools/list' }, { session });
    await lab.post(toolCall(2), { session: other, principal: 'q' });
    expect(lab.asked('tools/list')).toHaveLength(2);
  });

  test('that changed are learnt anew when the server refuses the headers, once', async () => {
    let isNew = false;
    const lab = new FaceLab((message, sent) => {
      if (message.method === 'tools/list')
        return result(message, { tools: [isNew ? TOOL : { name: 't', inputSchema: {} }] });
      if (message.method !== 'tools/call') return undefined;
      isNew = true;
      return headerSent(sent, 'mcp-param-region') === undefined
        ? failure(message, -32_020)
        : result(message, { content: [] });
    });
    const session = await lab.open();
    expect((await lab.post(toolCall(1, { region: 'a' }), { session })).rpc.result).toEqual({ content: [] });
    expect(lab.asked('tools/call')).toHaveLength(2);
    const hopeless = await lab.post(toolCall(2), { session });
    expect([hopeless.status, hopeless.rpc.error?.code]).toEqual([200, -32_603]);
    expect(lab.asked('tools/call')).toHaveLength(4);
  });

  test('that cannot be asked for do not keep a call from being made', async () => {
    const lab = new FaceLab((message) => (message.method === 'tools/list' ? { hang: true } : undefined));
    const session = await lab.open();
    const call = lab.begin(toolCall(1), { session });
    await lab.sim.advance(11_000);
    expect(call.answer.result).toBeDefined();
  });

  test('that break the rules take their tool out of the list', async () => {
    const bad = { name: 'bad', inputSchema: { type: 'object', 'x-mcp-header': 'X' } };
    const lab = new FaceLab((message) =>
      message.method === 'tools/list' ? result(message, { tools: [bad, TOOL] }) : undefined,
    );
    const session = await lab.open();
    const list = await lab.post({ id: 1, method: 'tools/list' }, { session });
    expect(list.rpc.result).toEqual({ tools: [TOOL] });
  });
});

describe('an answer', () => {
  test('loses what strict clients do not know', async () => {
    const lab = calling((message) =>
      result(message, {
        content: [],
        ttlMs: 1,
        _meta: { 'io.modelcontextprotocol/serverInfo': {}, own: 1 },
        unknown: 1,
      }),
    );
    const session = await lab.open();
    const client = await lab.post(toolCall('"id"'), { session });
    expect(client.media).toBe('json');
    expect(client.rpc).toEqual({
      jsonrpc: '2.0',
      id: '"id"',
      result: { content: [], _meta: { own: 1 }, unknown: 1 },
    } as Rpc);
  });

  test('that is structured and no object is wrapped, as its schema is', async () => {
    const tool = { name: 't', inputSchema: {}, outputSchema: { type: 'array' } };
    const lab = new FaceLab((message) => {
      if (message.method === 'tools/list') return result(message, { tools: [tool] });
      return message.method === 'tools/call'
        ? result(message, { content: [], structuredContent: [1] })
        : undefined;
    });
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session });
    expect(client.rpc.result).toEqual({
      content: [{ type: 'text', text: '[1]' }],
      structuredContent: { result: [1] },
    });
  });

  const errors: readonly [string, number, number, string, object?][] = [
    ['an unknown method', 404, -32_601, 'vendor/x'],
    ['bad params', 200, -32_602, 'tools/call'],
    ['a fault of ours', 400, -32_603, 'prompts/list'],
    ['a version', 400, -32_603, 'tools/call'],
  ];
  for (const [name, status, expected, method] of errors) {
    test(`error: ${name} comes with HTTP 200`, async () => {
      const code =
        { 'an unknown method': -32_601, 'bad params': -32_602, 'a fault of ours': -32_020 }[name] ?? -32_022;
      const lab = new FaceLab((message) =>
        message.method === method ? failure(message, code, {}, status) : undefined,
      );
      const session = await lab.open();
      const client = await lab.post({ id: 1, method, params: { name: 't' } }, { session });
      expect([client.status, client.rpc.id, client.rpc.error?.code]).toEqual([200, 1, expected]);
    });
  }

  test('about a missing resource has its old code', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'resources/read'
        ? failure(message, -32_602, { data: { uri: 'x:' } }, 200)
        : undefined,
    );
    const session = await lab.open();
    const client = await lab.post({ id: 1, method: 'resources/read', params: { uri: 'x:' } }, { session });
    expect(client.rpc.error?.code).toBe(-32_002);
  });

  test('about a missing capability is a tool’s failure, or an internal error', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'tools/call' || message.method === 'prompts/get'
        ? failure(message, -32_021, { message: 'sampling is needed' })
        : undefined,
    );
    const session = await lab.open();
    const tool = await lab.post(toolCall(1), { session });
    expect(tool.rpc.result).toEqual({
      content: [{ type: 'text', text: 'sampling is needed' }],
      isError: true,
    });
    const prompt = await lab.post({ id: 2, method: 'prompts/get', params: { name: 'p' } }, { session });
    expect(prompt.rpc.error?.code).toBe(-32_603);
  });

  test('that names no request is an error of this one', async () => {
    const lab = calling(() =>
      json('{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}', { status: 400 }),
    );
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session });
    expect([client.rpc.id, client.rpc.error?.code]).toEqual([1, -32_600]);
  });

  test('of an unknown type is a failure', async () => {
    const lab = new FaceLab((message) =>
      result(message, { resultType: 'task', taskId: 'x', capabilities: {} }),
    );
    const session = await lab.open();
    const tool = await lab.post(toolCall(1), { session });
    expect(tool.rpc.result?.isError).toBe(true);
    expect(JSON.stringify(tool.rpc.result)).toContain('task');
    expect((await lab.post({ id: 2, method: 'prompts/list' }, { session })).rpc.error?.code).toBe(-32_603);
  });

  const faults: readonly [string, FakeReply, string][] = [
    ['no connection', { fail: 'GW_UPSTREAM_CONNECT' }, 'GW_UPSTREAM_CONNECT'],
    [
      'HTML with 404',
      { status: 404, headers: { 'content-type': 'text/html' }, body: '<p>' },
      'GW_UPSTREAM_MEDIA',
    ],
    ['nothing', { status: 202 }, 'GW_UPSTREAM_MEDIA'],
    ['no JSON', json('<'), 'GW_UPSTREAM_MESSAGE'],
    ['another id', json({ jsonrpc: '2.0', id: 99, result: {} }), 'GW_UPSTREAM_MESSAGE'],
    ['a notification', json({ jsonrpc: '2.0', method: 'x' }), 'GW_UPSTREAM_MESSAGE'],
    ['a stream without an answer', eventStream([': \n\n']), 'GW_UPSTREAM_CLOSED'],
  ];
  for (const [name, reply, code] of faults) {
    test(`fails when it is ${name}`, async () => {
      const lab = calling(() => reply);
      const session = await lab.open();
      const client = await lab.post(toolCall(1), { session });
      expect(client.error?.code).toBe(code as never);
      expect((await lab.post({ id: 2, method: 'ping' }, { session })).rpc.result).toEqual({});
    });
  }

  test('that is a challenge passes, with its header', async () => {
    const lab = calling(() => ({
      status: 403,
      headers: {
        'content-type': 'application/json',
        'www-authenticate': 'Bearer error="insufficient_scope"',
      },
      body: '{}',
    }));
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session });
    expect(client.status).toBe(403);
    expect(client.header('www-authenticate')).toContain('insufficient_scope');
    expect(client.rpc.id).toBe(1);
  });
});

describe('what comes before the answer', () => {
  test('makes it an event stream, with ids from 2025-03-26 on', async () => {
    const lab = calling((message) =>
      streamed(message, [PROGRESS, { ...PROGRESS, extra: 1 }], { content: [] }),
    );
    const old = await lab.open({ version: '2024-11-05' });
    const plain = await lab.post(toolCall(1), { session: old });
    expect(plain.events.map(({ id }) => id)).toEqual([null, null, null]);
    const session = await lab.open({ version: '2025-06-18' });
    const client = await lab.post(toolCall(1), { session });
    expect([client.media, client.state]).toEqual(['event-stream', 'ended']);
    expect(client.header('cache-control')).toContain('no-cache');
    expect(client.events.map(({ id }) => id)).toEqual(['1-1', '1-2', '1-3']);
    expect(client.messages[1]).toEqual({ ...PROGRESS, extra: 1 } as Rpc);
    expect(client.messages[2]?.result).toEqual({ content: [] });
    const second = await lab.post(toolCall(2), { session });
    expect(second.events[0]?.id).toBe('2-1');
  });

  test('begins with an empty event for clients of 2025-11-25', async () => {
    const lab = calling((message) => streamed(message, [PROGRESS], { content: [] }));
    const session = await lab.open({ version: '2025-11-25' });
    const client = await lab.post(toolCall(1), { session });
    expect(client.events[0]).toEqual({ id: '1-0', message: null });
    expect(client.events[1]?.id).toBe('1-1');
  });

  test('does not reach a client that takes JSON only', async () => {
    const lab = calling((message) => streamed(message, [PROGRESS], { content: [] }));
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session, headers: ['accept', 'application/json'] });
    expect([client.media, client.rpc.id]).toEqual(['json', 1]);
  });

  test('is a log message only when the client asked for some', async () => {
    const lab = calling((message) => streamed(message, [LOG], { content: [] }));
    const session = await lab.open();
    expect((await lab.post(toolCall(1), { session })).media).toBe('json');
    await lab.post({ id: 2, method: 'logging/setLevel', params: { level: 'debug' } }, { session });
    expect((await lab.post(toolCall(3), { session })).messages[0]).toEqual(LOG as Rpc);
  });

  test('loses what only modern clients know', async () => {
    const meta = { 'io.modelcontextprotocol/subscriptionId': 1, own: 2 };
    const note = { jsonrpc: '2.0', method: 'notifications/vendor', params: { a: 1, _meta: meta } };
    const lab = calling((message) => streamed(message, [note], {}));
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session });
    expect(client.messages[0]?.params).toEqual({ a: 1, _meta: { own: 2 } });
  });

  test('may be nothing for a while: then the stream opens all the same', async () => {
    const lab = calling((message) => result(message, { content: [] }, { delayMs: 3_000 }));
    const session = await lab.open({ version: '2025-11-25' });
    const client = await lab.post(toolCall(1), { session });
    await lab.sim.advance(900);
    expect(client.heads).toBe(0);
    await lab.sim.advance(200);
    expect(client.events).toEqual([{ id: '1-0', message: null }]);
    await lab.sim.advance(2_000);
    expect(client.answer.result).toEqual({ content: [] });
    expect(client.state).toBe('ended');
  });

  test('a failure once the stream is open comes as an error in it', async () => {
    const lab = calling(() =>
      eventStream([eventOf(PROGRESS)], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
    );
    const session = await lab.open();
    const client = await lab.post(toolCall(1), { session });
    expect(client.state).toBe('ended');
    expect([client.answer.id, client.answer.error?.code]).toEqual([1, -32_603]);
  });

  test('waits for a client that does not read, and for its server in turn', async () => {
    const lab = calling((message) =>
      eventStream([
        eventOf(PROGRESS),
        eventOf(PROGRESS),
        eventOf({ jsonrpc: '2.0', id: message.id, result: { content: [] } }),
      ]),
    );
    const session = await lab.open();
    const client = lab.begin(toolCall(1), { session });
    client.reads = false;
    await lab.sim.advance(50);
    expect(client.messages).toHaveLength(0);
    expect(client.state).toBe('open');
    const [sent] = lab.asked('tools/call');
    expect(sent?.done).toBe(false);
    client.reads = true;
    client.call.resume();
    await lab.sim.advance(50);
    expect(client.messages).toHaveLength(3);
    expect(client.state).toBe('ended');
  });
});

describe('cancellation', () => {
  test('ends the call at the server and its stream without a response', async () => {
    const lab = calling(() => ({ hang: true }));
    const session = await lab.open();
    const call = await lab.post(toolCall('c'), { session });
    const other = await lab.post(toolCall('d'), { session });
    const note = await lab.post(
      { method: 'notifications/cancelled', params: { requestId: 'c' } },
      { session },
    );
    expect(note.status).toBe(202);
    expect([call.media, call.state, call.messages.length]).toEqual(['event-stream', 'ended', 0]);
    expect(lab.asked('tools/call').map((sent) => sent.aborted)).toEqual([true, false]);
    expect(other.state).toBe('waiting');
  });

  test('of another session’s call, or of an id spelled otherwise, does nothing', async () => {
    const lab = calling(() => ({ hang: true }));
    const session = await lab.open();
    const other = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    await lab.post({ method: 'notifications/cancelled', params: { requestId: 1 } }, { session: other });
    await lab.post({ method: 'notifications/cancelled', params: { requestId: '1' } }, { session });
    await lab.post({ method: 'notifications/cancelled', params: {} }, { session });
    expect(call.state).toBe('waiting');
    expect(lab.asked('tools/call')[0]?.aborted).toBe(false);
  });

  test('comes for the oldest of too many that a client left behind', async () => {
    const lab = calling(() => ({ hang: true }));
    const session = await lab.open();
    for (let i = 0; i < 65; i++) (await lab.post(toolCall(i), { session })).leave();
    const aborted = lab.asked('tools/call').map((sent) => sent.aborted);
    expect(aborted.indexOf(true)).toBe(0);
    expect(aborted.filter(Boolean)).toHaveLength(1);
  });

  test('is not what a client means that leaves; after a while it is', async () => {
    const lab = calling(() => ({ hang: true }));
    const session = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    call.leave();
    await lab.sim.advance(60_000);
    expect(lab.asked('tools/call')[0]?.aborted).toBe(false);
    await lab.sim.advance(LIMITS.totalTimeoutMs);
    expect(lab.asked('tools/call')[0]?.aborted).toBe(true);
  });
});

describe('a reply', () => {
  test('says everything in order, also what comes between the return of send() and the next turn', async () => {
    const sim = createSimRuntime({ seed: 3 });
    const client = new Client();
    const reply = new LegacyReply(client, sim.clock, true);
    reply.stream(encode('1'));
    reply.event(encode('2'));
    reply.release();
    client.isReturned = true;
    reply.event(encode('3'));
    reply.end();
    expect(client.heads).toBe(0);
    await sim.advance(1);
    expect([client.text, client.state]).toEqual(['123', 'ended']);
  });
});
