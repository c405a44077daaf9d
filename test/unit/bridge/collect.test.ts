// Questions of the gateway's own: answered once, within their bounds, and the connection is given back or closed.
// Runs bridge/collect.ts and contained-sink.ts over a fake upstream on a simulated clock.

import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { AskScope, type CollectBounds, type Collected, collect } from '../../../src/bridge/collect.ts';
import { postRequest } from '../../../src/bridge/member.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { ContainedSink } from '../../../src/upstream/contained-sink.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import type { ReplyHead } from '../../../src/upstream/upstream.ts';
import { NO_CLIENT } from '../../../src/upstream/upstream.ts';
import { eventOf, eventStream, json } from '../../fixtures/lab.ts';
import { messageOf } from '../../fixtures/messages.ts';

const scanner = chooseScanner('portable').scanner;
const ANSWER = { jsonrpc: '2.0', id: 1, result: {} };

function start(reply: FakeReply, bounds: Partial<CollectBounds> = {}, id = '1') {
  const sim = createSimRuntime({ seed: 1 });
  const upstream = createFakeUpstream({ clock: sim.clock, script: () => reply });
  const { bytes, envelope } = messageOf(`{"jsonrpc":"2.0","id":${id},"method":"x"}`);
  const call = { era: 'legacy' as const, headers: [], session: null, exchangeId: 'e', client: NO_CLIENT };
  const state: { result: Collected | GatewayError | null; count: number } = { result: null, count: 0 };
  void collect(
    { scanner, clock: sim.clock },
    upstream,
    postRequest(call, { body: bytes, envelope, edits: [] }),
    { timeoutMs: 1_000, ...bounds },
  ).then((result) => {
    state.result = result;
    state.count++;
  });
  return { sim, upstream, state };
}

const codeOf = (result: Collected | GatewayError | null): string | number | undefined =>
  result instanceof GatewayError ? result.code : result?.status;

describe('collect', () => {
  const rows: readonly [string, FakeReply, string | number, boolean][] = [
    ['JSON', json(ANSWER), 200, true],
    [
      'an error with its status',
      json({ jsonrpc: '2.0', id: 1, error: { code: -1, message: '' } }, { status: 400 }),
      400,
      true,
    ],
    ['an id spelled with escapes', json('{"jsonrpc":"2.0","id":"\\u0061","result":{}}'), 200, true],
    ['nothing', { status: 202 }, 202, false],
    ['another id', json({ ...ANSWER, id: 2 }), 'GW_UPSTREAM_MESSAGE', false],
    ['another kind of id', json({ ...ANSWER, id: '1' }), 'GW_UPSTREAM_MESSAGE', false],
    ['no JSON', json('<'), 'GW_UPSTREAM_MESSAGE', false],
    ['other media', { headers: { 'content-type': 'text/html' }, body: '<p>' }, 'GW_UPSTREAM_MEDIA', false],
    [
      'other media with a status of its own',
      { status: 404, headers: { 'content-type': 'text/html' }, body: '<p>' },
      404,
      false,
    ],
    ['a stream', eventStream([': \n\n', eventOf(ANSWER)]), 200, true],
    [
      'a stream whose last event ends with bare carriage returns',
      eventStream([`data: ${JSON.stringify(ANSWER)}\r\r`]),
      200,
      true,
    ],
    [
      'a stream without an answer',
      eventStream([eventOf({ jsonrpc: '2.0', method: 'n' })]),
      'GW_UPSTREAM_CLOSED',
      false,
    ],
    ['a stream with another id', eventStream([eventOf({ ...ANSWER, id: 9 })]), 'GW_UPSTREAM_MESSAGE', false],
    ['a failure', { fail: 'GW_UPSTREAM_CONNECT' }, 'GW_UPSTREAM_CONNECT', false],
    [
      'a failure after a part',
      json('', { body: ['{'], fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
      'GW_UPSTREAM_CLOSED',
      false,
    ],
  ];
  for (const [name, reply, code, hasMessage] of rows) {
    test(`${name}: ${code}`, async () => {
      const { sim, state } = start(reply, {}, name.includes('escapes') ? '"a"' : '1');
      await sim.advance(10);
      expect([codeOf(state.result), state.count]).toEqual([code, 1]);
      expect(state.result instanceof GatewayError ? false : state.result?.message !== null).toBe(hasMessage);
    });
  }

  test('the time-out is kept and closes the call; what comes later is not heard', async () => {
    const { sim, state, upstream } = start({ ...json(ANSWER), delayMs: 1_500 });
    await sim.advance(999);
    expect(state.result).toBeNull();
    await sim.advance(1);
    expect([codeOf(state.result), upstream.sent[0]?.aborted]).toEqual(['GW_UPSTREAM_TIMEOUT', true]);
    await sim.advance(1_000);
    expect(state.count).toBe(1);
  });

  test('a stream that goes on after its answer is closed after a while', async () => {
    const { sim, state, upstream } = start(eventStream([eventOf(ANSWER), eventOf(ANSWER)], { hang: true }));
    await sim.advance(500);
    expect([codeOf(state.result), upstream.sent[0]?.aborted]).toEqual([200, false]);
    await sim.advance(600);
    expect([upstream.sent[0]?.aborted, state.count]).toEqual([true, 1]);
  });

  test('regression: a broken message on a stream closes the call at once', async () => {
    const { sim, state, upstream } = start(eventStream([eventOf('{"x":')], { hang: true }));
    await sim.advance(1);
    expect([codeOf(state.result), upstream.sent[0]?.aborted]).toEqual(['GW_UPSTREAM_MESSAGE', true]);
  });

  test('a body beyond every bound closes the call', async () => {
    const piece = 'x'.repeat(LIMITS.replyBodyBytesMax / 4);
    const { sim, state, upstream } = start(
      json('', { body: [piece, piece, piece, piece, 'x', 'x'], hang: true }),
    );
    await sim.advance(10);
    expect([codeOf(state.result), upstream.sent[0]?.aborted]).toEqual(['GW_UPSTREAM_BODY_SIZE', true]);
  });

  test('a scope ends what was asked in it, before and after it ended', async () => {
    const scope = new AskScope();
    const { sim, state, upstream } = start({ hang: true }, { scope });
    await sim.advance(1);
    scope.end();
    await sim.advance(1);
    expect([codeOf(state.result), upstream.sent[0]?.aborted, scope.over]).toEqual([
      'GW_UPSTREAM_CLOSED',
      true,
      true,
    ]);
    const late = start({ hang: true }, { scope });
    await late.sim.advance(1);
    expect([codeOf(late.state.result), late.upstream.sent.length]).toEqual(['GW_UPSTREAM_CLOSED', 0]);
  });

  test('what comes before the answer is heard by whoever wants it', async () => {
    const heard: number[] = [];
    const { sim } = start(
      eventStream([
        eventOf({ jsonrpc: '2.0', method: 'n' }),
        eventOf({ jsonrpc: '2.0', id: 5, method: 'm' }),
        eventOf(ANSWER),
      ]),
      {
        onOther: (message) => heard.push(message.envelope[0] ?? -1),
      },
    );
    await sim.advance(10);
    expect(heard).toEqual([2, 1]);
  });
});

describe('contained sinks', () => {
  class Faulty extends ContainedSink {
    readonly events: string[] = [];
    readonly #at: string;
    constructor(at: string) {
      super();
      this.#at = at;
    }
    #step(name: string): void {
      this.events.push(name);
      if (this.#at === name) throw new Error(name);
    }
    protected head(): void {
      this.#step('head');
    }
    protected data(): boolean {
      this.#step('data');
      return false;
    }
    protected ended(): void {
      this.#step('ended');
    }
    protected failed(error: GatewayError): void {
      this.events.push(error.code);
    }
  }
  // Nothing of it is looked at.
  const head = {} as ReplyHead;

  test('a throw at any step becomes the one failure, and nothing follows it', () => {
    for (const [at, events] of [
      ['head', ['head', 'GW_BASE_INTERNAL']],
      ['data', ['head', 'data', 'GW_BASE_INTERNAL']],
      ['ended', ['head', 'data', 'ended', 'GW_BASE_INTERNAL']],
      ['never', ['head', 'data', 'ended']],
    ] as const) {
      const sink = new Faulty(at);
      sink.onHead(head);
      const room = sink.onData(encode('x'));
      sink.onEnd();
      sink.onEnd();
      sink.onHead(head);
      sink.onFail(new GatewayError('GW_UPSTREAM_CLOSED'));
      expect([at, ...sink.events]).toEqual([at, ...events]);
      expect(room).toBe(at !== 'ended' && at !== 'never');
    }
  });

  test('a failure comes once', () => {
    const sink = new Faulty('never');
    sink.onFail(new GatewayError('GW_UPSTREAM_CLOSED'));
    sink.onFail(new GatewayError('GW_UPSTREAM_CLOSED'));
    sink.onEnd();
    expect(sink.events).toEqual(['GW_UPSTREAM_CLOSED']);
  });
});
