// Nothing crosses between users of a bridged server, in either direction: two principals, or two sets of forwarded credentials, share no session, no answer
// of the server, no verdict, no waiting call, no question, no event and no subscription; what is presented by somebody else is refused and harms nothing.
// Run by `bun test`. The faces are driven directly, over a scripted server that says what it was told by whom.
import { describe, expect, test } from 'bun:test';
import { Rig } from '../../fixtures/era-rig.ts';
import { json, jsonOf } from '../../fixtures/lab.ts';
import {
  answered,
  headerOf,
  ModernRig,
  type Script,
  streamOf,
  type Told,
} from '../../fixtures/modern-rig.ts';
import {
  ABLE,
  type Answer,
  asks,
  DISCOVERED,
  FaceLab,
  FORM,
  headerSent,
  result,
  rpcOf,
  toolCall,
  type Way,
} from './legacy-to-modern/face-lab.ts';

/** Two users, told apart in each way that there is. `forwarded` names the header by which the server knows them, if that is how. */
const PAIRS: readonly (readonly [string, readonly string[], Way, Way])[] = [
  ['principals', [], { principal: 'ann' }, { principal: 'bob' }],
  [
    'credentials',
    ['authorization'],
    { headers: ['authorization', 'Bearer a'] },
    { headers: ['authorization', 'Bearer b'] },
  ],
  ['one with credentials, one without', ['authorization'], { headers: ['authorization', 'Bearer a'] }, {}],
  [
    'a header that comes twice',
    ['x-user'],
    { headers: ['x-user', 'a'] },
    { headers: ['x-user', 'a', 'x-user', 'b'] },
  ],
  [
    'principals that look like credentials',
    ['x-user'],
    { principal: 'ann', headers: ['x-user', 'b'] },
    { principal: 'ann\nx-user\nb' },
  ],
];

const ELICIT = { capabilities: { elicitation: { form: {} } } };
const STATE = (message: Told, id: unknown = 77): unknown[] => [
  { jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: `for ${message.id}` } },
];

/** The sessions by which a server was sent something. */
function sessionsOf(rig: ModernRig, method: string): readonly (string | null)[] {
  return rig
    .sent('POST')
    .filter(({ body }) => (jsonOf(body).method ?? '') === method)
    .map(({ session }) => session);
}

describe.each(PAIRS)('modern clients of a legacy server, different %s', (_what, _forwarded, ann, bob) => {
  const asking: Script = (message) =>
    message.method === 'tools/call' ? streamOf(STATE(message), { hang: true }) : undefined;

  async function parked(rig: ModernRig): Promise<string> {
    const client = rig.send('tools/call', { name: 't', arguments: { a: 1 } }, { ...ELICIT, ...ann });
    await rig.sim.advance(100);
    return String(client.result.requestState);
  }

  test('have sessions of their own, and what stands for one is told in no other', async () => {
    const rig = new ModernRig({
      script: (message) => (message.method === 'tools/call' ? answered(message) : undefined),
    });
    await rig.call('t', ann);
    await rig.call('t', bob);
    await rig.call('t', ann);
    expect(sessionsOf(rig, 'tools/call')).toEqual(['s1', 's2', 's1']);
    expect(sessionsOf(rig, 'initialize')).toEqual([null, null]);
    const seen = rig
      .sent('POST')
      .map((sent) => [sent.session, headerOf(sent, 'authorization') ?? headerOf(sent, 'x-user')]);
    for (const [session, credentials] of seen)
      if (session === 's1') expect(credentials).toBe(seen.find(([one]) => one === 's1')?.[1] ?? null);
  });

  test('hear what the server says of itself to them', async () => {
    let nth = 0;
    const rig = new ModernRig({
      initialize: (message) =>
        json({
          jsonrpc: '2.0',
          id: message.id,
          result: {
            protocolVersion: '2025-06-18',
            capabilities: {},
            serverInfo: { name: 'x', version: '1' },
            instructions: `secret ${++nth}`,
          },
        }),
    });
    expect((await rig.ask('server/discover', {}, ann)).result.instructions).toBe('secret 1');
    expect((await rig.ask('server/discover', {}, bob)).result.instructions).toBe('secret 2');
    expect((await rig.ask('server/discover', {}, ann)).result.instructions).toBe('secret 1');
  });

  test('cannot go on with each other’s calls; the rightful one can', async () => {
    const rig = new ModernRig({ script: asking });
    const requestState = await parked(rig);
    const back = {
      name: 't',
      arguments: { a: 1 },
      requestState,
      inputResponses: { 'elicitation-1': { action: 'accept' } },
    };
    const thief = rig.send('tools/call', back, { ...ELICIT, ...bob });
    await rig.sim.advance(100);
    expect(thief.error?.code).toBe('GW_BRIDGE_STATE');
    expect(rig.asked('')).toEqual([]);
    expect(rig.parking.size).toBe(1);
    rig.send('tools/call', back, { ...ELICIT, ...ann });
    await rig.sim.advance(100);
    expect(rig.asked('')).toEqual([{ jsonrpc: '2.0', id: 77, result: { action: 'accept' } }]);
    expect(rig.parking.size).toBe(0);
  });

  test('listen in streams of their own', async () => {
    const rig = new ModernRig({
      capabilities: { tools: { listChanged: true } },
      script: (_message, sent) =>
        sent.verb === 'GET'
          ? streamOf(
              sent.session === 's1'
                ? [{ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }]
                : [': x\n\n'],
              { gapMs: 100, hang: true },
            )
          : undefined,
    });
    const filter = { notifications: { toolsListChanged: true } };
    const one = rig.send('subscriptions/listen', filter, ann);
    const other = rig.send('subscriptions/listen', filter, bob);
    await rig.sim.advance(1_000);
    expect(one.messages.map(({ method }) => method)).toContain('notifications/tools/list_changed');
    expect(other.messages.map(({ method }) => method)).toEqual(['notifications/subscriptions/acknowledged']);
  });

  test('what is known of the tools of one says nothing about those of another', async () => {
    const tool = {
      name: 't',
      inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
    };
    const rig = new ModernRig({
      script: (message, sent) => {
        if (message.method === 'tools/list')
          return json({
            jsonrpc: '2.0',
            id: message.id,
            result: { tools: sent.session === 's1' ? [tool] : [{ name: 't', inputSchema: {} }] },
          });
        return message.method === 'tools/call' ? answered(message) : undefined;
      },
    });
    const wrong = (way: Way) => ({ ...way, headers: [...(way.headers ?? []), 'mcp-param-region', 'other'] });
    const call = { name: 't', arguments: { region: 'eu' } };
    await rig.ask('tools/list', {}, ann);
    await rig.ask('tools/list', {}, bob);
    expect((await rig.ask('tools/call', call, wrong(ann))).error?.code).toBe('GW_MCP_HEADER');
    expect((await rig.ask('tools/call', call, wrong(bob))).result).toMatchObject({ resultType: 'complete' });
  });
});

describe('a call that waits', () => {
  const script: Script = (message) =>
    message.method === 'tools/call' ? streamOf(STATE(message), { hang: true }) : undefined;

  test('goes on for one of fifty retries that come at once, and is refused to the others', async () => {
    const rig = new ModernRig({ script });
    const first = await rig.call('t', ELICIT);
    const back = {
      requestState: first.result.requestState,
      inputResponses: { 'elicitation-1': { action: 'accept' } },
    };
    const retries = Array.from({ length: 50 }, () =>
      rig.send('tools/call', { name: 't', arguments: { a: 1 }, ...back }, ELICIT),
    );
    await rig.sim.advance(100);
    expect(retries.filter(({ error }) => error?.code === 'GW_BRIDGE_STATE')).toHaveLength(49);
    expect(retries.filter(({ ends }) => ends === 0)).toHaveLength(1);
    expect(rig.asked('')).toHaveLength(1);
    expect(rig.asked('tools/call')).toHaveLength(1);
  });

  test.each([
    ['another tool', { name: 'u', arguments: { a: 1 } }],
    ['other arguments', { name: 't', arguments: { a: 2 } }],
    ['no arguments', { name: 't' }],
  ])('is not taken up by a request for %s', async (_, params) => {
    const rig = new ModernRig({ script });
    const { requestState } = (await rig.call('t', ELICIT)).result;
    const other = await rig.ask('tools/call', { ...params, requestState }, ELICIT);
    expect(other.error?.code).toBe('GW_BRIDGE_STATE');
    expect(rig.parking.size).toBe(1);
  });

  test.each([
    ['a number', 5],
    ['a text', 'elicitation-1'],
    ['null', null],
    ['a list', [{ 'elicitation-1': { action: 'accept' } }]],
    ['keys of no question', { 'elicitation-2': { action: 'accept' }, constructor: {}, ['__proto__']: {} }],
    ['an answer that is no object', { 'elicitation-1': 'accept' }],
    ['no answers', {}],
  ])('asks again when the answers are %s', async (_, inputResponses) => {
    const rig = new ModernRig({ script });
    const first = await rig.call('t', ELICIT);
    const back = { name: 't', arguments: { a: 1 }, requestState: first.result.requestState };
    const second = await rig.ask('tools/call', { ...back, inputResponses }, ELICIT);
    expect(second.result.resultType).toBe('input_required');
    expect(second.result.requestState).not.toBe(first.result.requestState);
    expect(Object.keys(second.result.inputRequests as object)).toEqual(['elicitation-1']);
    expect(rig.asked('')).toEqual([]);
  });

  test('takes a huge answer as it is', async () => {
    const rig = new ModernRig({ script });
    const first = await rig.call('t', ELICIT);
    const content = { text: 'é'.repeat(500_000) };
    const inputResponses = { 'elicitation-1': { action: 'accept', content } };
    await rig.ask(
      'tools/call',
      { name: 't', arguments: { a: 1 }, requestState: first.result.requestState, inputResponses },
      ELICIT,
    );
    expect(rig.asked('')[0]?.result).toEqual({ action: 'accept', content });
  });
});

// ── legacy clients of a modern server ────────────────────────────────────────────────────────────────────────────────

const ACCEPT = ['accept', 'application/json, text/event-stream'];

function with_(way: Way, rest: Way = {}): Way {
  return { ...way, ...rest, headers: [...ACCEPT, ...(way.headers ?? []), ...(rest.headers ?? [])] };
}

describe.each(PAIRS)('legacy clients of a modern server, different %s', (_what, forwardHeaders, ann, bob) => {
  const labOf = (answer: Answer): FaceLab => new FaceLab(answer, {}, { forwardHeaders });

  test('hear what the server says of itself to them', async () => {
    let nth = 0;
    const lab = labOf((message) =>
      message.method === 'server/discover'
        ? result(message, { ...DISCOVERED, ttlMs: 60_000, instructions: `secret ${++nth}` })
        : undefined,
    );
    const told: string[] = [];
    for (const way of [ann, bob, ann]) {
      const params = {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
      };
      const client = await lab.post({ id: 0, method: 'initialize', params }, with_(way));
      told.push(String(client.rpc.result?.instructions));
    }
    expect(told).toEqual(['secret 1', 'secret 2', 'secret 1']);
  });

  test('a question is answered, and a call is cancelled, by whom it is for and nobody else', async () => {
    const lab = labOf((message) =>
      message.method === 'tools/call' && message.params?.inputResponses === undefined
        ? asks(message, { a: FORM })
        : undefined,
    );
    const session = await lab.open({ capabilities: ABLE }, with_(ann));
    const call = await lab.post(toolCall(1), with_(ann, { session }));
    const id = call.messages[0]?.id;
    const answer = { id, result: { action: 'accept', content: {} } };
    await lab.post(answer, with_(bob, { session }));
    await lab.post({ method: 'notifications/cancelled', params: { requestId: 1 } }, with_(bob, { session }));
    await lab.sim.advance(1_000);
    expect(call.state).toBe('open');
    expect(lab.asked('tools/call')).toHaveLength(1);
    await lab.post(answer, with_(ann, { session }));
    await lab.post(answer, with_(ann, { session }));
    await lab.sim.advance(100);
    expect(call.answer).toMatchObject({ id: 1, result: { content: [] } });
    expect(lab.asked('tools/call')).toHaveLength(2);
  });

  test('a stream is taken up by whom it is for and nobody else', async () => {
    const lab = labOf((message) =>
      message.method === 'tools/call' && message.params?.inputResponses === undefined
        ? asks(message, { a: FORM })
        : undefined,
    );
    const session = await lab.open({ capabilities: ABLE }, with_(ann));
    const own = await lab.open({ capabilities: ABLE }, with_(bob));
    const call = await lab.post(toolCall(1), with_(ann, { session }));
    const place = call.events[0]?.id?.replace(/\d+$/, '0') ?? '';
    for (const named of [session, own]) {
      const thief = lab.bare('GET', with_(bob, { session: named, headers: ['last-event-id', place] }));
      await lab.sim.advance(100);
      expect(thief.text).not.toContain('Who?');
      expect(thief.text).not.toContain(String(call.messages[0]?.id));
      thief.leave();
    }
    const back = lab.bare('GET', with_(ann, { session, headers: ['last-event-id', place] }));
    await lab.sim.advance(100);
    expect(back.messages.map(({ method }) => method)).toContain('elicitation/create');
  });

  test('a tool that one was told of is asked for anew for the other', async () => {
    const lab = labOf(() => undefined);
    for (const way of [ann, bob, ann]) {
      const session = await lab.open({}, with_(way));
      await lab.post({ id: 1, method: 'tools/list' }, with_(way, { session }));
      await lab.post(toolCall(2), with_(way, { session }));
    }
    expect(lab.asked('tools/list')).toHaveLength(3);
    expect(lab.asked('tools/call')).toHaveLength(3);
  });
});

describe.each(PAIRS.filter(([, , ann, bob]) => ann.principal !== bob.principal))(
  'a legacy session at a modern server, different %s',
  (_what, forwardHeaders, ann, bob) => {
    test('a session of another principal is not known', async () => {
      const lab = new FaceLab(
        (message) => (message.method === 'tools/call' ? { hang: true } : undefined),
        {},
        { forwardHeaders },
      );
      const session = await lab.open({}, with_(ann));
      const call = await lab.post(toolCall(1), with_(ann, { session }));
      const tries = [
        await lab.post(toolCall(2), with_(bob, { session })),
        await lab.post(
          { method: 'notifications/cancelled', params: { requestId: 1 } },
          with_(bob, { session }),
        ),
        await lab.post({ id: 'x', result: {} }, with_(bob, { session })),
        lab.bare('GET', with_(bob, { session, headers: ['last-event-id', '1-0'] })),
        lab.bare('DELETE', with_(bob, { session })),
      ];
      await lab.sim.advance(100);
      for (const one of tries) expect(one.error?.code).toBe('GW_SESSION_UNKNOWN');
      expect(call.state).toBe('waiting');
      expect(lab.face.sessions).toBe(1);
      expect(lab.asked('tools/call')).toHaveLength(1);
    });
  },
);

describe.each(PAIRS.filter(([, , ann, bob]) => ann.principal === bob.principal))(
  'the stream of a legacy session at a modern server, different %s',
  (_what, forwardHeaders, ann, bob) => {
    const labOf = (answer: Answer): FaceLab => new FaceLab(answer, {}, { forwardHeaders });
    test('what the server tells the one is not kept for the other', async () => {
      const lab = labOf((message) =>
        message.method === 'subscriptions/listen'
          ? {
              headers: { 'content-type': 'text/event-stream' },
              body: [
                `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications: { toolsListChanged: true } } })}\n\n`,
                `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { for: 'the first' } })}\n\n`,
              ],
              gapMs: 1_000,
              hang: true,
            }
          : undefined,
      );
      const session = await lab.open({}, with_(ann));
      const first = lab.bare('GET', with_(ann, { session }));
      await lab.sim.advance(1_500);
      first.leave();
      await lab.sim.advance(10_000);
      const second = lab.bare('GET', with_(bob, { session, headers: ['last-event-id', '0-0'] }));
      await lab.sim.advance(100);
      expect(second.text).not.toContain('the first');
      expect(
        lab.asked('subscriptions/listen').map((sent) => headerSent(sent, forwardHeaders[0] ?? '')),
      ).toHaveLength(2);
    });
  },
);

test('headers that tell requests apart, and not users, keep nothing apart', async () => {
  const lab = new FaceLab(
    (message) =>
      message.method === 'tools/call' && message.params?.inputResponses === undefined
        ? asks(message, { a: FORM })
        : undefined,
    {},
    { forwardHeaders: ['x-request-id', 'traceparent', 'user-agent'] },
  );
  const session = await lab.open({ capabilities: ABLE }, { headers: [...ACCEPT, 'x-request-id', '1'] });
  const call = await lab.post(toolCall(1), {
    session,
    headers: [...ACCEPT, 'x-request-id', '2', 'traceparent', 'a'],
  });
  const answer = { id: call.messages[0]?.id, result: { action: 'accept', content: {} } };
  await lab.post(answer, { session, headers: [...ACCEPT, 'x-request-id', '3', 'traceparent', 'b'] });
  await lab.sim.advance(100);
  expect(call.answer).toMatchObject({ id: 1, result: {} });
});

test('answers in another session, and under an id of another type, reach nobody', async () => {
  const lab = new FaceLab((message) =>
    message.method === 'tools/call' && message.params?.inputResponses === undefined
      ? asks(message, { a: FORM })
      : undefined,
  );
  const session = await lab.open({ capabilities: ABLE });
  const other = await lab.open({ capabilities: ABLE });
  const call = await lab.post(toolCall(1), { session });
  const id = call.messages[0]?.id;
  const value = { action: 'accept', content: {} };
  await lab.post({ id, result: value }, { session: other });
  await lab.post({ id: 1, result: value }, { session });
  await lab.post({ id: 7, result: value }, { session });
  await lab.post({ id: `${String(id)} `, result: value }, { session });
  await lab.sim.advance(1_000);
  expect(call.state).toBe('open');
  expect(lab.asked('tools/call')).toHaveLength(1);
  await lab.post({ id, result: value }, { session });
  expect(rpcOf(lab.asked('tools/call')[1]).params?.inputResponses).toEqual({ a: value });
});

test('a verdict about the era that a server shows to one set of credentials decides nothing for another', async () => {
  const rig = new Rig(
    (method, sent) => {
      const isModern = headerSent(sent, 'authorization') === 'a';
      if (method !== 'server/discover') return json({ jsonrpc: '2.0', id: 5, result: {} });
      return isModern
        ? json({
            jsonrpc: '2.0',
            id: 'sluice:era',
            result: { supportedVersions: ['2026-07-28'], resultType: 'complete' },
          })
        : json({ jsonrpc: '2.0', id: 'sluice:era', error: { code: -32601, message: 'no' } });
    },
    { spec: { forwardHeaders: ['authorization'] } },
  );
  for (const who of ['a', 'b', 'a', 'b']) {
    rig.modern('tools/list', { headers: ['authorization', who] });
    await rig.settle();
  }
  expect(rig.methods.filter((method) => method === 'server/discover')).toHaveLength(2);
  expect(rig.methods.filter((method) => method === 'tools/list')).toHaveLength(2);
  expect(rig.modernFace?.sent).toHaveLength(2);
});
