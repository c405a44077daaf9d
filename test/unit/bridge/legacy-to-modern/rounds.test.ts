// Questions in the middle of a call: input_required turned into requests to the client, and the answers taken back.
// Runs the face of bridge/legacy-to-modern over a fake server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../../src/base/bytes.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import type { FakeReply } from '../../../../src/upstream/fake.ts';
import {
  ABLE,
  asks,
  type Client,
  FaceLab,
  FORM,
  type Rpc,
  result,
  rpcOf,
  streamed,
  toolCall,
} from './face-lab.ts';

const SAMPLE = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } };
const ROOTS = { method: 'roots/list' };
const URL_MODE = { method: 'elicitation/create', params: { mode: 'url', url: 'https://x', message: 'Go' } };

/** A lab whose server answers calls by their number, from 0. */
function rounds(...answers: readonly ((message: Rpc) => FakeReply)[]): FaceLab {
  let count = 0;
  return new FaceLab((message) => {
    if (message.method !== 'tools/call' && message.method !== 'prompts/get') return undefined;
    return (answers[count++] ?? ((one: Rpc) => result(one, { content: [] })))(message);
  });
}

/** The questions that a client was asked. */
function questions(client: Client): readonly Rpc[] {
  return client.messages.filter((one) => one.method !== undefined && one.id !== undefined);
}

/** Answers a question by its place. */
function reply(lab: FaceLab, session: string, client: Client, at: number, answer: object): Promise<Client> {
  return lab.post({ id: questions(client)[at]?.id, ...answer }, { session });
}

function toolText(client: Client): string {
  const [block] = (client.answer.result?.content ?? []) as { text?: string }[];
  return block?.text ?? '';
}

describe('a round', () => {
  test('asks everything, collects the answers, and sends the call again', async () => {
    const state = '"a\\u0062\\"c"';
    const lab = rounds((message) => ({
      headers: { 'content-type': 'application/json' },
      body:
        `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"resultType":"input_required","inputRequests":` +
        `{"wh\\"o":${JSON.stringify(FORM)},"what":{"method":"sampling/createMessage","params":{"big":12345678901234567890}},` +
        `"where":${JSON.stringify(ROOTS)}},"requestState":${state}}}`,
    }));
    const session = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall('c', { a: 1 }, { _meta: { progressToken: 7 } }), { session });
    expect(questions(call).map((one) => one.method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ]);
    expect(call.text).toContain('"params":{"big":12345678901234567890}');
    const ids = questions(call).map((one) => String(one.id));
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^sluice~[\w-]{24}$/);
    expect((await reply(lab, session, call, 1, { result: { role: 'assistant', x: 1.5 } })).status).toBe(202);
    await reply(lab, session, call, 2, { result: { roots: [] } });
    expect(lab.asked('tools/call')).toHaveLength(1);
    await reply(lab, session, call, 0, { result: { action: 'accept', content: { n: 'Ada' } } });
    const [first, second] = lab.asked('tools/call');
    expect(rpcOf(second).id).not.toEqual(rpcOf(first).id);
    const { inputResponses, requestState, ...rest } = rpcOf(second).params ?? {};
    expect(rest).toEqual(rpcOf(first).params ?? {});
    expect(inputResponses).toEqual({
      'wh"o': { action: 'accept', content: { n: 'Ada' } },
      what: { role: 'assistant', x: 1.5 },
      where: { roots: [] },
    });
    expect(requestState).toBe('ab"c');
    expect(decode(second?.body ?? new Uint8Array())).toContain(`"requestState":${state}`);
    expect([call.answer.id, call.answer.result, call.state]).toEqual(['c', { content: [] }, 'ended']);
  });

  test('after another has only its own answers and state', async () => {
    const lab = rounds(
      (message) => asks(message, { one: FORM }, 's1'),
      (message) => asks(message, { two: FORM }),
    );
    const session = await lab.open({ capabilities: { elicitation: {} } });
    const call = await lab.post(toolCall(1), { session });
    await reply(lab, session, call, 0, { result: { action: 'decline' } });
    await reply(lab, session, call, 1, { result: { action: 'accept' } });
    const sent = lab.asked('tools/call').map((one) => rpcOf(one));
    expect(sent[1]?.params).toMatchObject({
      inputResponses: { one: { action: 'decline' } },
      requestState: 's1',
    });
    expect(sent[2]?.params).toMatchObject({ inputResponses: { two: { action: 'accept' } } });
    expect(sent[2]?.params).not.toHaveProperty('requestState');
    expect(new Set(sent.map((one) => one.id)).size).toBe(3);
    expect(call.answer.result).toEqual({ content: [] });
  });

  test('with a state alone is repeated at once, but not in a hurry', async () => {
    const lab = rounds((message) => asks(message, null, 's'));
    const session = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(200);
    expect(lab.asked('tools/call')).toHaveLength(1);
    await lab.sim.advance(100);
    expect(rpcOf(lab.asked('tools/call')[1]).params).toMatchObject({ requestState: 's' });
    expect(rpcOf(lab.asked('tools/call')[1]).params).not.toHaveProperty('inputResponses');
    expect([call.media, call.rpc.id]).toEqual(['json', 1]);
  });

  test('goes on after progress, on the same stream', async () => {
    const progress = {
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 7, progress: 1 },
    };
    const lab = rounds(
      (message) =>
        streamed(message, [progress], { resultType: 'input_required', inputRequests: { q: FORM } }),
      (message) => streamed(message, [progress], { content: [] }),
    );
    const session = await lab.open({ capabilities: { elicitation: {} } });
    const call = await lab.post(toolCall(1), { session });
    await reply(lab, session, call, 0, { result: { action: 'accept' } });
    expect(call.events.map(({ id, message }) => [id, message?.method])).toEqual([
      ['1-1', 'notifications/progress'],
      ['1-2', 'elicitation/create'],
      ['1-3', 'notifications/progress'],
      ['1-4', undefined],
    ]);
  });

  test('by URL has an elicitationId', async () => {
    const lab = rounds((message) => asks(message, { u: URL_MODE }));
    const session = await lab.open({ capabilities: { elicitation: { url: {} } } });
    const call = await lab.post(toolCall(1), { session });
    const [question] = questions(call);
    expect(question?.params).toEqual({ elicitationId: String(question?.id), ...URL_MODE.params });
  });

  test('drops what the client itself put where answers go', async () => {
    const lab = rounds();
    const session = await lab.open();
    await lab.post(toolCall(1, {}, { inputResponses: { x: {} }, requestState: 'forged' }), { session });
    const params = rpcOf(lab.asked('tools/call')[0]).params ?? {};
    expect(Object.keys(params).sort()).toEqual(['_meta', 'arguments', 'name']);
  });
});

describe('nobody is asked', () => {
  const rows: readonly [string, object, Record<string, object>, string][] = [
    ['without elicitation', { sampling: {} }, { a: SAMPLE, b: FORM }, 'elicitation by forms'],
    ['by URL without that mode', { elicitation: { form: {} } }, { a: URL_MODE }, 'elicitation by URL'],
    ['with forms without that mode', { elicitation: { url: {} } }, { a: FORM }, 'elicitation by forms'],
    ['without sampling', { elicitation: {} }, { a: FORM, b: SAMPLE }, 'sampling'],
    [
      'with tools without them',
      { sampling: {} },
      { a: { ...SAMPLE, params: { ...SAMPLE.params, tools: [] } } },
      'sampling with tools',
    ],
    ['without roots', {}, { a: ROOTS }, 'roots'],
    ['for what nobody knows', ABLE, { a: { method: 'vendor/ask' } }, 'vendor/ask'],
    [
      'for too much at once',
      ABLE,
      Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`q${i}`, FORM])),
      '65 questions',
    ],
    ['without a method', ABLE, { a: {} }, 'cannot be understood'],
  ];
  for (const [name, capabilities, requests, word] of rows) {
    test(`${name}; the tool fails`, async () => {
      const lab = rounds((message) => asks(message, requests));
      const session = await lab.open({ capabilities });
      const call = await lab.post(toolCall(1), { session });
      expect([call.status, call.media, call.rpc.result?.isError]).toEqual([200, 'json', true]);
      expect(toolText(call)).toContain(word);
      expect(lab.asked('tools/call')).toHaveLength(1);
    });
  }

  test('and a prompt fails with an error', async () => {
    const lab = rounds((message) => asks(message, { a: ROOTS }));
    const session = await lab.open();
    const call = await lab.post({ id: 1, method: 'prompts/get', params: { name: 'p' } }, { session });
    expect([call.status, call.rpc.error?.code]).toEqual([200, -32_603]);
    expect(call.rpc.error?.data).toMatchObject({ gw: 'GW_BRIDGE_INPUT' });
  });

  test('who takes JSON only, or has left for good', async () => {
    const lab = rounds(
      (message) => asks(message, { a: ROOTS }),
      (message) => ({ ...asks(message, { a: ROOTS }), delayMs: 50 }),
    );
    const session = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session, headers: ['accept', 'application/json'] });
    expect(toolText(call)).toContain('event stream');
    const gone = await lab.post(toolCall(2), { session });
    gone.leave();
    await lab.sim.advance(100);
    expect(lab.asked('tools/call')).toHaveLength(2);
  });

  test('when the server says neither what nor why', async () => {
    const lab = rounds((message) => asks(message, null));
    const session = await lab.open({ capabilities: ABLE });
    expect(toolText(await lab.post(toolCall(1), { session }))).toContain('neither a question nor a state');
  });
});

describe('an answer', () => {
  test('that is an error cancels an elicitation, and fails anything else', async () => {
    const lab = rounds(
      (message) => asks(message, { q: FORM }),
      (message) => asks(message, { q: SAMPLE, r: FORM }),
    );
    const session = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session });
    const error = { code: -1, message: 'no' };
    await reply(lab, session, call, 0, { error });
    expect(rpcOf(lab.asked('tools/call')[1]).params).toMatchObject({
      inputResponses: { q: { action: 'cancel' } },
    });
    await reply(lab, session, call, 1, { error });
    expect(call.answer.result?.isError).toBe(true);
    expect(toolText(call)).toContain('sampling/createMessage');
    // The other question is taken back before the call ends.
    const withdrawn = call.messages.find((one) => one.method === 'notifications/cancelled');
    expect(withdrawn?.params?.requestId).toBe(questions(call)[2]?.id ?? '');
    expect(lab.asked('tools/call')).toHaveLength(2);
  });

  test('counts once, for its own session alone, and only under its id', async () => {
    const lab = rounds((message) => asks(message, { q: FORM, r: FORM }));
    const session = await lab.open({ capabilities: ABLE });
    const other = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session });
    await reply(lab, other, call, 0, { result: { action: 'accept', content: { by: 'a stranger' } } });
    await lab.post({ id: 'made up', result: {} }, { session });
    await reply(lab, session, call, 0, { result: { action: 'accept', content: { by: 'me' } } });
    await reply(lab, session, call, 0, { result: { action: 'accept', content: { by: 'me again' } } });
    expect(lab.asked('tools/call')).toHaveLength(1);
    await reply(lab, session, call, 1, { result: { action: 'decline' } });
    expect(rpcOf(lab.asked('tools/call')[1]).params?.inputResponses).toEqual({
      q: { action: 'accept', content: { by: 'me' } },
      r: { action: 'decline' },
    });
  });

  test('that does not come ends the call after a while', async () => {
    const lab = rounds((message) => asks(message, { q: FORM }));
    const session = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(LIMITS.inputRoundMs - 1_000);
    expect(call.state).toBe('open');
    await lab.sim.advance(2_000);
    expect(toolText(call)).toContain('in time');
    expect(call.state).toBe('ended');
    await reply(lab, session, call, 0, { result: { action: 'accept' } });
    expect(lab.asked('tools/call')).toHaveLength(1);
  });

  test('is asked for so many times and no more', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'tools/call' ? asks(message, null, 'again') : undefined,
    );
    const session = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(10_000);
    expect(lab.asked('tools/call')).toHaveLength(LIMITS.inputRoundsMax + 1);
    expect(call.answer.result?.isError).toBe(true);
  });

  test('comes too late for a call that the client cancelled', async () => {
    const lab = rounds((message) => asks(message, { q: FORM }));
    const session = await lab.open({ capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session });
    await lab.post({ method: 'notifications/cancelled', params: { requestId: 1 } }, { session });
    expect([call.state, call.answer.result]).toEqual(['ended', undefined]);
    expect((await reply(lab, session, call, 0, { result: { action: 'accept' } })).status).toBe(202);
    expect(lab.asked('tools/call')).toHaveLength(1);
  });
});
