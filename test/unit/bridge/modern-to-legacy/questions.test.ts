// Questions of a legacy server in the middle of a call: how they reach a modern client, how its answers reach the server, and requestStates that are no good.
// Run by `bun test`: the face over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import type { FakeReply } from '../../../../src/upstream/fake.ts';
import { json } from '../../../fixtures/lab.ts';
import {
  answered,
  type Client,
  done,
  ModernRig,
  type Script,
  streamOf,
  type Told,
} from '../../../fixtures/modern-rig.ts';

const ELICIT = { capabilities: { elicitation: { form: {} } } };
const ALL = { capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} } };

const question = (
  id: unknown,
  method = 'elicitation/create',
  params: unknown = { message: 'who?' },
): unknown => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

/** A server whose calls ask this, and go on a minute later by themselves. */
function asking(
  questions: (message: Told) => readonly unknown[],
  rest: (message: Told) => readonly unknown[] = (message) => [done(message)],
): Script {
  return (message): FakeReply | undefined => {
    if (message.method !== 'tools/call') return undefined;
    const pieces = questions(message).map((one) => `data: ${JSON.stringify(one)}\n\n`);
    const later = rest(message).map((one) => `data: ${JSON.stringify(one)}\n\n`);
    return streamOf([pieces.join(''), ...later], { gapMs: 10_000 });
  };
}

interface Required {
  readonly inputRequests: Record<string, { method: string; params?: Record<string, unknown> }>;
  readonly requestState: string;
}

async function required(rig: ModernRig, asked: Parameters<ModernRig['call']>[1] = ELICIT): Promise<Required> {
  const client = rig.send('tools/call', { name: 't', arguments: { a: 1 } }, asked);
  await rig.sim.advance(10_500);
  expect(client.result).toMatchObject({ resultType: 'input_required' });
  expect(client.status).toBe(200);
  return client.result as unknown as Required;
}

/** Comes back with an answer to each question. */
async function retry(
  rig: ModernRig,
  { inputRequests, requestState }: Required,
  asked: Parameters<ModernRig['call']>[1] = ELICIT,
): Promise<Client> {
  const inputResponses = Object.fromEntries(
    Object.keys(inputRequests).map((key) => [key, { action: 'accept', content: { k: key } }]),
  );
  const client = rig.send(
    'tools/call',
    { name: 't', arguments: { a: 1 }, inputResponses, requestState },
    asked,
  );
  await rig.sim.advance(10_500);
  return client;
}

describe('a question', () => {
  test('becomes an input request; its answer reaches the server under its own id', async () => {
    const params = {
      message: 'é 1.50',
      elicitationId: 'e',
      task: {},
      _meta: { progressToken: 1, 'x/y': 2 },
      requestedSchema: {},
    };
    const rig = new ModernRig({ script: asking(() => [question('server-1', 'elicitation/create', params)]) });
    const first = await required(rig);
    expect(first.inputRequests).toEqual({
      'server-1': {
        method: 'elicitation/create',
        params: { message: 'é 1.50', _meta: { 'x/y': 2 }, requestedSchema: {}, mode: 'form' },
      },
    });
    const client = await retry(rig, first, { ...ELICIT, id: 'second' });
    expect(rig.asked('')).toEqual([
      { jsonrpc: '2.0', id: 'server-1', result: { action: 'accept', content: { k: 'server-1' } } },
    ]);
    expect(client.last).toMatchObject({ id: 'second', result: { resultType: 'complete' } });
    expect(rig.asked('tools/call')).toHaveLength(1);
    expect(rig.parking.size).toBe(0);
  });

  test('several at once go out together, of every kind', async () => {
    const rig = new ModernRig({
      script: asking(() => [
        question(1, 'elicitation/create', {
          mode: 'url',
          url: 'https://x.example',
          message: 'go',
          elicitationId: 'e',
        }),
        question('1', 'sampling/createMessage', { messages: [], maxTokens: 1 }),
        { jsonrpc: '2.0', id: 2, method: 'roots/list' },
      ]),
    });
    const first = await required(rig, ALL);
    expect(first.inputRequests).toEqual({
      'elicitation-1': {
        method: 'elicitation/create',
        params: { mode: 'url', url: 'https://x.example', message: 'go' },
      },
      'sampling-2': { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
      'roots-3': { method: 'roots/list' },
    });
    expect((await retry(rig, first, ALL)).result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('').map(({ id }) => id)).toEqual([1, '1', 2]);
  });

  test('of a kind that the client does not declare is refused to the server', async () => {
    const rig = new ModernRig({
      script: asking(() => [
        question(1, 'sampling/createMessage', {}),
        question(2, 'roots/list'),
        question(3, 'elicitation/create', { mode: 'url', url: 'https://x.example', message: 'go' }),
        question(4, 'something/else', {}),
        question(5, 'ping'),
      ]),
    });
    const client = rig.send('tools/call', { name: 't' }, ELICIT);
    await rig.sim.advance(30_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
    const answers = rig.asked('');
    expect(answers.slice(0, 4).map(({ error }) => error?.code)).toEqual([-32601, -32601, -32601, -32601]);
    expect(answers[4]).toEqual({ jsonrpc: '2.0', id: 5, result: {} });
  });

  test('of such a kind makes the failure of its call one of the client', async () => {
    const failing = (message: Told): unknown => ({
      jsonrpc: '2.0',
      id: message.id,
      result: { content: [], isError: true },
    });
    const rig = new ModernRig({
      script: asking(
        () => [question(1, 'sampling/createMessage', {}), question(2, 'elicitation/create', { mode: 'url' })],
        (message) => [failing(message)],
      ),
    });
    const client = rig.send('tools/call', { name: 't' }, ELICIT);
    await rig.sim.advance(30_000);
    expect(client.status).toBe(400);
    expect(client.last.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { sampling: {}, elicitation: { url: {} } } },
    });
  });

  test('elicitation that is declared without a mode means forms', async () => {
    const rig = new ModernRig({ script: asking(() => [question(1)]) });
    await required(rig, { capabilities: { elicitation: {} } });
    const other = new ModernRig({ script: asking(() => [question(1)]) });
    const client = other.send('tools/call', { name: 't' }, { capabilities: { elicitation: { url: {} } } });
    await other.sim.advance(30_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
  });

  test('in the middle of a list is refused: such a result cannot ask', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'prompts/list'
          ? streamOf([question(1), { jsonrpc: '2.0', id: message.id, result: { prompts: [] } }])
          : undefined,
    });
    const client = await rig.ask('prompts/list', {}, ELICIT);
    expect(client.result).toMatchObject({ prompts: [] });
    expect(rig.asked('')[0]?.error?.code).toBe(-32601);
  });

  test('that the server takes back is not asked', async () => {
    const rig = new ModernRig({
      script: asking(() => [
        question(1),
        { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } },
      ]),
    });
    const client = rig.send('tools/call', { name: 't' }, ELICIT);
    await rig.sim.advance(30_000);
    expect(client.result).toMatchObject({ resultType: 'complete' });
  });

  test('bears the name that its id is, unless another one has it or it reads like none', async () => {
    const ids = [
      'user_name#12',
      'elicitation-1',
      'user_name',
      'a b',
      '"',
      '7',
      7,
      'x'.repeat(65),
      'x#y',
      '#1',
    ];
    const rig = new ModernRig({ script: asking(() => ids.map((id) => question(id))) });
    const first = await required(rig);
    expect(Object.keys(first.inputRequests)).toEqual([
      'user_name',
      'elicitation-1',
      ...[2, 3, 4, 5, 6, 7, 8, 9].map((nth) => `elicitation-${nth}`),
    ]);
    await retry(rig, first);
    expect(rig.asked('').map(({ id }) => id)).toEqual(ids);
  });

  test('that a call without state has the answer to is not asked, once; an answer of another shape counts for nothing', async () => {
    const yes = { action: 'accept', content: { n: 'Ada' } };
    const rig = new ModernRig({
      script: asking(
        () => [
          question('user_name'),
          question('city', 'sampling/createMessage', { messages: [] }),
          question(3),
        ],
        (message) => [question('user_name'), done(message)],
      ),
    });
    const inputResponses = { user_name: yes, city: yes, 'elicitation-1': yes, other: yes };
    const client = rig.send('tools/call', { name: 't', arguments: { a: 1 }, inputResponses }, ALL);
    await rig.sim.advance(10_500);
    expect(rig.asked('')).toEqual([{ jsonrpc: '2.0', id: 'user_name', result: yes }]);
    // The result of the first round is all that the client gets of this request.
    const first = client.result as unknown as Required;
    expect(Object.keys(first.inputRequests)).toEqual(['city', 'elicitation-1']);
    await rig.sim.advance(10_000);
    const again = rig.send(
      'tools/call',
      { name: 't', arguments: { a: 1 }, requestState: first.requestState, inputResponses: { city: yes } },
      ALL,
    );
    await rig.sim.advance(100);
    expect(Object.keys((again.result as unknown as Required).inputRequests)).toEqual([
      'elicitation-1',
      'user_name',
    ]);
  });

  test('behind progress goes out as the last event', async () => {
    const rig = new ModernRig({
      script: asking(
        (message) => [
          {
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: message.id, progress: 1 },
          },
          question(1),
        ],
        (message) => [
          {
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: message.id, progress: 2 },
          },
          done(message),
        ],
      ),
    });
    const client = rig.send(
      'tools/call',
      { name: 't', arguments: { a: 1 } },
      { ...ELICIT, meta: { progressToken: 'p1' } },
    );
    await rig.sim.advance(10_500);
    expect(client.messages[0]?.params).toMatchObject({ progressToken: 'p1' });
    const later = rig.send(
      'tools/call',
      {
        name: 't',
        arguments: { a: 1 },
        inputResponses: { 'elicitation-1': {} },
        requestState: (client.result as unknown as Required).requestState,
      },
      { ...ELICIT, meta: { progressToken: 'p2' } },
    );
    await rig.sim.advance(30_000);
    expect(later.messages.map(({ params }) => params?.progressToken)).toEqual(['p2', undefined]);
  });

  test("on the session's own stream belongs to the only call that runs; with two, to none", async () => {
    const say =
      (at: number): Script =>
      (message, sent) => {
        if (sent.verb === 'GET') return streamOf([question(1)], { gapMs: at, hang: true });
        return message.method === 'tools/call' ? { ...answered(message), delayMs: 20_000 } : undefined;
      };
    const rig = new ModernRig({ script: say(5_000) });
    await required(rig);
    const busy = new ModernRig({ script: say(5_000) });
    const both = [1, 2].map(() => busy.send('tools/call', { name: 't' }, ELICIT));
    await busy.sim.advance(30_000);
    for (const client of both) expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(busy.asked('')[0]?.error?.code).toBe(-32601);
  });
});

describe('while the client is away', () => {
  test('the response waits for it', async () => {
    const rig = new ModernRig({ script: asking(() => [question(1)]) });
    const first = await required(rig);
    await rig.sim.advance(20_000);
    expect(rig.parking.size).toBe(1);
    const client = await retry(rig, first);
    expect(client.result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('')).toHaveLength(0);
  });

  test('a failure waits for it', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'tools/call'
          ? streamOf([question(1), ': x\n\n'], { gapMs: 10_000, fail: 'GW_UPSTREAM_CLOSED', failLate: true })
          : undefined,
    });
    const first = await required(rig);
    expect((await retry(rig, first)).error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect((await retry(rig, first)).error?.code).toBe('GW_BRIDGE_STATE');
  });

  test('a further question is asked when it comes back', async () => {
    const rig = new ModernRig({
      script: asking(
        () => [question(1)],
        (message) => [question(2, 'elicitation/create', { message: 'why?' }), done(message)],
      ),
    });
    const first = await required(rig);
    await rig.sim.advance(11_000);
    const second = await retry(rig, first);
    expect(second.result).toMatchObject({ resultType: 'input_required' });
    expect(Object.keys((second.result as unknown as Required).inputRequests)).toEqual(['elicitation-2']);
    expect(rig.asked('').map(({ id }) => id)).toEqual([1]);
  });

  test('the call is cancelled when it takes too long, and when the face closes', async () => {
    const script: Script = (message) =>
      message.method === 'tools/call' ? streamOf([question(1)], { gapMs: 10_000, hang: true }) : undefined;
    const rig = new ModernRig({ script, parkedMs: 5_000 });
    const first = await required(rig);
    await rig.sim.advance(5_000);
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
    expect(rig.lastSent('tools/call').aborted).toBe(true);
    expect((await retry(rig, first)).error).toMatchObject({
      code: 'GW_BRIDGE_STATE',
      row: { jsonrpc: -32602, http: 200 },
    });
    const other = new ModernRig({ script });
    await required(other);
    const closing = other.face.close(100);
    await other.sim.advance(1_000);
    await closing;
    expect(other.asked('notifications/cancelled')).toHaveLength(1);
    expect(other.parking.size).toBe(0);
  });

  test('an answer that the server does not take fails the call', async () => {
    const script = asking(() => [question(1)]);
    const rig = new ModernRig({
      script: (message, sent) =>
        message.method === undefined && sent.verb === 'POST' ? { status: 500 } : script(message, sent),
    });
    const client = await retry(rig, await required(rig));
    expect(client.error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
  });
});

describe('a requestState', () => {
  test.each([
    ['of another principal', { ...ELICIT, principal: 'eve' }],
    ['at another endpoint', { ...ELICIT, endpoint: '/mcp' }],
  ])('%s is refused, and the rightful retry goes on', async (_, thief) => {
    const rig = new ModernRig({ script: asking(() => [question(1)]) });
    const first = await required(rig);
    expect((await retry(rig, first, thief)).error?.code).toBe('GW_BRIDGE_STATE');
    expect((await retry(rig, first)).result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('tools/call')).toHaveLength(1);
  });

  test('is good once', async () => {
    const rig = new ModernRig({ script: asking(() => [question(1)]) });
    const first = await required(rig);
    await retry(rig, first);
    expect((await retry(rig, first)).error?.code).toBe('GW_BRIDGE_STATE');
  });

  test('that is no text, or none of ours, is refused', async () => {
    const rig = new ModernRig();
    for (const requestState of [1, null, {}, '', 'x', 'A'.repeat(200)])
      expect((await rig.call('t', {}, { requestState })).error?.code).toBe('GW_BRIDGE_STATE');
    const binding = { principal: '', endpoint: '/mcp/old' };
    const session = rig.handles.sealState(binding, 'p:nothing', 1_000);
    expect((await rig.call('t', {}, { requestState: session })).error?.code).toBe('GW_BRIDGE_STATE');
    expect(rig.asked('tools/call')).toHaveLength(0);
  });

  test('beyond the bound there is none: the call is refused and cancelled', async () => {
    const rig = new ModernRig({ parkedMax: 1, script: asking(() => [question(1)]) });
    const first = await required(rig);
    const client = rig.send('tools/call', { name: 't' }, ELICIT);
    await rig.sim.advance(10_500);
    expect(client.error).toMatchObject({ code: 'GW_BRIDGE_PARKED', row: { http: 500 } });
    expect(rig.asked('notifications/cancelled')).toHaveLength(1);
    expect((await retry(rig, first)).result).toMatchObject({ resultType: 'complete' });
  });
});

describe('-32042: pages to visit first', () => {
  const elicitations = [
    { mode: 'url', elicitationId: 'e1', url: 'https://a.example', message: 'one' },
    { mode: 'url', elicitationId: 'e2', url: 'https://b.example', message: 'two' },
  ];
  let calls = 0;
  const script: Script = (message) => {
    if (message.method !== 'tools/call') return undefined;
    if (++calls % 2 === 0) return answered(message);
    return json({
      jsonrpc: '2.0',
      id: message.id,
      error: { code: -32042, message: 'm', data: { elicitations } },
    });
  };

  test('become questions, and the call is made anew', async () => {
    calls = 0;
    const rig = new ModernRig({ script });
    const first = await required(rig, ALL);
    expect(Object.values(first.inputRequests)).toEqual([
      { method: 'elicitation/create', params: { mode: 'url', url: 'https://a.example', message: 'one' } },
      { method: 'elicitation/create', params: { mode: 'url', url: 'https://b.example', message: 'two' } },
    ]);
    expect(rig.parking.size).toBe(0);
    const other = rig.send('tools/call', { name: 'other', requestState: first.requestState }, ALL);
    await rig.sim.advance(100);
    expect(other.error?.code).toBe('GW_BRIDGE_STATE');
    expect((await retry(rig, first, ALL)).result).toMatchObject({ resultType: 'complete' });
    expect(rig.asked('tools/call')[1]?.params).toEqual({ name: 't', arguments: { a: 1 } });
  });

  test('are a lack of capability for a client that cannot be sent there', async () => {
    calls = 0;
    const client = await new ModernRig({ script }).call('t', ELICIT);
    expect(client.status).toBe(400);
    expect(client.last.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    });
  });
});
