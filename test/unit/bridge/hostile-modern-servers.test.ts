// Hostile and broken modern servers behind the bridge: a legacy client gets one end with its own id, nothing runs for ever, nothing grows.
// Run by `bun test`. Scripted servers on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { json } from '../../fixtures/lab.ts';
import { done, streamOf, type Told } from '../../fixtures/modern-rig.ts';
import {
  ABLE,
  type Answer,
  asks,
  type Client,
  DISCOVERED,
  FaceLab,
  FORM,
  result,
  rpcOf,
  toolCall,
} from './legacy-to-modern/face-lab.ts';

/** What no conversion to text can be made of: whoever tries throws. */
const WORDLESS = { toString: 1, valueOf: 1 };

/** An event stream out of bytes as they are. */
function rawStream(pieces: readonly string[], rest: object = {}): ReturnType<Answer> {
  return { headers: { 'content-type': 'text/event-stream' }, body: pieces, ...rest };
}

const INITIALIZE = {
  id: 'i',
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};

function expectOver(client: Client, id: unknown): void {
  expect(['ended', 'failed'], client.text).toContain(client.state);
  if (client.error === null) expect(client.answer.id).toBe(id);
}

describe('a modern server', () => {
  const DISCOVERIES: readonly (readonly [string, Answer])[] = [
    [
      'versions that have no words',
      (message) => result(message, { ...DISCOVERED, supportedVersions: [WORDLESS, null, 5, ['2025-06-18']] }),
    ],
    ['versions that are none', (message) => result(message, { ...DISCOVERED, supportedVersions: 5 })],
    ['nothing', (message) => result(message, {})],
    [
      'nonsense',
      (message) =>
        result(message, {
          capabilities: [WORDLESS],
          instructions: {},
          ttlMs: 'x',
          _meta: { 'io.modelcontextprotocol/serverInfo': [] },
        }),
    ],
    ['an error that has no words', (message) => json({ jsonrpc: '2.0', id: message.id, error: WORDLESS })],
    ['a result that is none', (message) => json({ jsonrpc: '2.0', id: message.id, result: 'x' })],
    ['another id', () => json({ jsonrpc: '2.0', id: 'other', result: DISCOVERED })],
    ['garbage', () => json('{')],
    ['a page', () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['a redirect', () => ({ status: 307, headers: { location: 'http://elsewhere.example' } })],
    [
      'a refusal with a body',
      () => ({
        status: 401,
        headers: { 'content-type': 'application/json', 'www-authenticate': 'Bearer' },
        body: '{',
      }),
    ],
    ['a failure', () => ({ fail: 'GW_UPSTREAM_CLOSED' })],
    ['nothing, ever', () => ({ hang: true })],
    ['a stream that never ends', () => rawStream([': x\n\n'], { hang: true })],
  ];

  test.each(DISCOVERIES)(
    'that answers server/discover with %s: one end, and it is asked again',
    async (_, answer) => {
      let isBad = true;
      const lab = new FaceLab((message, sent) =>
        isBad && message.method === 'server/discover' ? answer(message, sent) : undefined,
      );
      const both = [lab.begin(INITIALIZE), lab.begin({ ...INITIALIZE, id: 2 })];
      await lab.sim.advance(15_000);
      expectOver(both[0] ?? lab.begin(''), 'i');
      expectOver(both[1] ?? lab.begin(''), 2);
      expect(lab.asked('server/discover')).toHaveLength(1);
      isBad = false;
      await lab.open();
    },
  );

  const BAD: readonly (readonly [string, Answer])[] = [
    ['garbage', () => json('{"jsonrpc":')],
    ['another id', () => json({ jsonrpc: '2.0', id: 'other', result: {} })],
    ['its id as another type', (message) => json({ jsonrpc: '2.0', id: [message.id], result: {} })],
    ['a request', () => json({ jsonrpc: '2.0', id: 1, method: 'elicitation/create', params: {} })],
    ['a page', () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['a redirect', () => ({ status: 302, headers: { location: 'http://elsewhere.example' } })],
    ['a failure of its own', () => ({ status: 500, headers: { 'content-type': 'text/plain' }, body: 'x' })],
    [
      'a refusal that never ends',
      () => ({ status: 401, headers: { 'content-type': 'text/plain' }, body: ['x'] }),
    ],
    ['a result of a type that is none', (message) => result(message, { resultType: 5 })],
    ['a result of an unknown type', (message) => result(message, { resultType: 'later' })],
    ['an error that has no words', (message) => json({ jsonrpc: '2.0', id: message.id, error: WORDLESS })],
    [
      'a refusal of headers for ever',
      (message) =>
        json({ jsonrpc: '2.0', id: message.id, error: { code: -32_020, message: 'no' } }, { status: 400 }),
    ],
    ['two answers', (message) => streamOf([done(message as Told), done(message as Told)])],
    [
      'a stream that ends without an answer',
      () => streamOf([{ jsonrpc: '2.0', method: 'notifications/progress', params: {} }]),
    ],
    [
      'a stream that breaks in an event',
      () => rawStream(['data: {"json'], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
    ],
    ['an event of garbage', () => rawStream(['data: {\n\n'])],
    ['input that it does not name', (message) => asks(message, null)],
    [
      'input that is no object',
      (message) => result(message, { resultType: 'input_required', inputRequests: [FORM] }),
    ],
    ['input without a method', (message) => asks(message, { a: { params: {} } })],
    ['input of no kind', (message) => asks(message, { a: { method: 'constructor' } })],
    [
      'input that is not even a question',
      (message) =>
        result(message, {
          resultType: 'input_required',
          inputRequests: { a: 5, b: null },
          requestState: 's',
        }),
    ],
    [
      'too many questions',
      (message) =>
        asks(message, Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`q${i}`, FORM]))),
    ],
    ['a state without a question, for ever', (message) => asks(message, null, 'again')],
    [
      'a state that is no text, for ever',
      (message) => result(message, { resultType: 'input_required', requestState: { a: [WORDLESS] } }),
    ],
    ['a state of a megabyte, for ever', (message) => asks(message, null, 'x'.repeat(1_000_000))],
    [
      'two questions under one name',
      (message) =>
        json(
          `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"resultType":"input_required","inputRequests":{"a":${JSON.stringify(FORM)},"\\u0061":${JSON.stringify(FORM)}}}}`,
        ),
    ],
  ];

  test.each(BAD)('that answers a call with %s: one end under the client’s id', async (_, answer) => {
    const lab = new FaceLab((message, sent) =>
      message.method === 'tools/call' ? answer(message, sent) : undefined,
    );
    const session = await lab.open({ capabilities: ABLE });
    for (const id of ['mine', 7]) {
      const client = lab.begin(toolCall(id), { session });
      await lab.sim.advance(10_000);
      expectOver(client, id);
      expect(client.text).not.toContain('input_required');
      expect(client.text).not.toContain('Who?');
    }
    expect(lab.asked('tools/call').length).toBeLessThan(20);
    expect(lab.server.stats().busy).toBe(0);
  });

  test('that asks for ever: after eight rounds the call is given up', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'tools/call' ? asks(message, { a: FORM }, 's') : undefined,
    );
    const session = await lab.open({ capabilities: ABLE });
    const client = await lab.post(toolCall(1), { session });
    for (let round = 0; round < 12; round++) {
      const open = client.messages.filter(({ method }) => method === 'elicitation/create').at(-1);
      await lab.post({ id: open?.id, result: { action: 'accept', content: {} } }, { session });
    }
    expect(client.answer).toMatchObject({ id: 1, result: { isError: true } });
    expect(lab.asked('tools/call')).toHaveLength(9);
  });

  test('whose acknowledgement is nonsense: what it grants is read as far as it makes sense', async () => {
    const notifications = { toolsListChanged: 'yes', resourceSubscriptions: [WORDLESS, 5, 'x:y'] };
    const lab = new FaceLab((message) =>
      message.method === 'subscriptions/listen'
        ? streamOf(
            [
              {
                jsonrpc: '2.0',
                method: 'notifications/subscriptions/acknowledged',
                params: { notifications },
              },
            ],
            { hang: true },
          )
        : undefined,
    );
    const session = await lab.open();
    const stream = await lab.get(session);
    const subscribed = lab.begin(
      { id: 1, method: 'resources/subscribe', params: { uri: 'x:y' } },
      { session },
    );
    await lab.sim.advance(20_000);
    expect(stream.state).toBe('open');
    expect(subscribed.answer).toMatchObject({ id: 1, result: {} });
    expect(lab.asked('subscriptions/listen').length).toBeLessThan(5);
  });

  test('whose listen ends at once, time and again: it is asked ever more rarely', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'subscriptions/listen'
        ? streamOf([
            {
              jsonrpc: '2.0',
              method: 'notifications/subscriptions/acknowledged',
              params: { notifications: {} },
            },
          ])
        : undefined,
    );
    const session = await lab.open();
    await lab.get(session);
    await lab.sim.advance(10_000);
    expect(lab.asked('subscriptions/listen').length).toBeLessThan(15);
  });

  test('that floods a client which does not read: it is made to wait', async () => {
    const flood = Array.from({ length: 500 }, () => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 1, message: 'x'.repeat(1_000) },
    }));
    const lab = new FaceLab((message) =>
      message.method === 'tools/call' ? streamOf(flood, { gapMs: 1, hang: true }) : undefined,
    );
    const session = await lab.open();
    const client = await lab.begin(toolCall(1), { session });
    client.reads = false;
    await lab.sim.advance(5_000);
    expect(client.text.length).toBeLessThan(10_000);
    expect(client.state).toBe('open');
  });

  test('whose list of tools goes in a circle, or is huge: a call comes through', async () => {
    const tools = Array.from({ length: 10_000 }, (_, i) => ({ name: `t${i}`, inputSchema: {} }));
    let pages = 0;
    const lab = new FaceLab((message) => {
      if (message.method !== 'tools/list') return undefined;
      pages++;
      return result(message, {
        tools: pages === 1 ? tools : [],
        nextCursor: message.params?.cursor === 'a' ? 'b' : 'a',
      });
    });
    const session = await lab.open();
    const client = lab.begin(toolCall(1), { session });
    await lab.sim.advance(15_000);
    expect(client.answer).toMatchObject({ id: 1, result: { content: [] } });
    expect(pages).toBeLessThan(10);
    expect(rpcOf(lab.asked('tools/call')[0]).params?.name).toBe('t');
  });
});
