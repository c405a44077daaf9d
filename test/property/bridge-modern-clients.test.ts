// Modern clients of a legacy server in any order of sending, leaving, asking, answering, losing and waiting: each request ends once, with its own answer, and
// afterwards nothing is left: no timer, no call at the server, no parked call, no session.
// Run by `bun test`. A scripted server on a simulated clock; fast-check prints the seed of a failure.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode } from '../../src/base/bytes.ts';
import type { GatewayError } from '../../src/base/errors.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../../src/upstream/upstream.ts';
import { eventOf } from '../fixtures/lab.ts';
import { messageOf } from '../fixtures/messages.ts';
import { headerOf, ModernRig, type Told } from '../fixtures/modern-rig.ts';
import { watchTimers } from '../fixtures/timers.ts';

/** What one client heard, and whether it may have. */
class Heard implements UpstreamSink {
  readonly mark: string;
  readonly id: string | number;
  readonly who: number;
  readonly faults: string[] = [];
  isReturned = false;
  isGone = false;
  reads = true;
  ends = 0;
  heads = 0;
  token: string | null = null;
  media = '';
  error: GatewayError | null = null;
  call: UpstreamCall | null = null;
  readonly #parts: Uint8Array[] = [];

  constructor(mark: string, id: string | number, who: number) {
    this.mark = mark;
    this.id = id;
    this.who = who;
  }

  get messages(): readonly Told[] {
    const text = decode(concat(this.#parts));
    if (this.media !== 'event-stream') return text === '' ? [] : [JSON.parse(text) as Told];
    const lines = text.split('\n').filter((line) => line.startsWith('data: '));
    return lines.map((line) => JSON.parse(line.slice(6)) as Told);
  }

  get responses(): readonly Told[] {
    return this.messages.filter(({ method }) => method === undefined);
  }

  #check(what: string): void {
    if (!this.isReturned) this.faults.push(`${what} before send() has returned`);
    if (this.isGone) this.faults.push(`${what} after abort()`);
    if (this.ends > 0) this.faults.push(`${what} after the end`);
  }

  onHead(head: ReplyHead): void {
    this.#check('head');
    this.heads++;
    this.media = head.media;
  }

  onData(bytes: Uint8Array): boolean {
    this.#check('data');
    if (this.heads !== 1) this.faults.push('data without a head');
    this.#parts.push(bytes.slice());
    return this.reads;
  }

  onEnd(): void {
    this.#check('end');
    this.ends++;
  }

  onFail(error: GatewayError): void {
    this.#check('failure');
    this.ends++;
    this.error = error;
  }

  leave(): void {
    if (this.ends > 0) return;
    this.isGone = true;
    this.call?.abort();
  }
}

/** Steps of a server in one call, in order; time passes between them. */
const STEP = fc.constantFrom(
  'progress',
  'log',
  'ask',
  'ask',
  'ask',
  'ask twice',
  'prime',
  'answer',
  'answer',
  'answer twice',
  'break',
  'end',
  'garbage',
  'refuse',
  'lost',
  'other',
);
/** Time that passes behind an action. */
const AFTER_MS = fc.constantFrom(0, 0, 1, 12, 15, 100);
const PLAN = fc.record({
  steps: fc.array(STEP, { minLength: 1, maxLength: 4 }),
  gapMs: fc.constantFrom(0, 1, 50, 3_000),
});

const ACTION = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      who: fc.nat(2),
      plan: PLAN,
      isAble: fc.boolean(),
      wantsLog: fc.boolean(),
      reads: fc.boolean(),
      isNumber: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('listen' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discover' as const), who: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), at: fc.nat(20) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('retry' as const),
      at: fc.nat(20),
      answers: fc.constantFrom('all', 'none', 'some', 'garbage'),
      isOther: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), at: fc.nat(20) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(0, 1, 12, 100, 2_000, 40_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
);

const ACTIONS = fc.array(fc.tuple(ACTION, AFTER_MS), { minLength: 5, maxLength: 40, size: 'max' });

type Action = typeof ACTION extends fc.Arbitrary<infer T> ? T : never;
type Plan = typeof PLAN extends fc.Arbitrary<infer T> ? T : never;

const PRINCIPALS = ['ann', 'bob', 'bob'] as const;
const TOKENS = ['a', 'b', 'c'] as const;

function piecesOf(message: Told, plan: Plan): { readonly pieces: string[]; readonly end: string } {
  const mark = JSON.stringify(message.params?.arguments);
  const answer = (text: string): string =>
    eventOf({ jsonrpc: '2.0', id: message.id, result: { content: [], text } });
  const ask = (id: unknown): string =>
    eventOf({ jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: mark } });
  const notify = (method: string, params: object): string => eventOf({ jsonrpc: '2.0', method, params });
  const pieces: string[] = [];
  for (const step of plan.steps) {
    if (step === 'progress')
      pieces.push(notify('notifications/progress', { progressToken: message.id, progress: 1 }));
    else if (step === 'other')
      pieces.push(notify('notifications/progress', { progressToken: Number(message.id) + 1, progress: 1 }));
    else if (step === 'log') pieces.push(notify('notifications/message', { level: 'error', data: mark }));
    else if (step === 'ask') pieces.push(ask(message.id));
    else if (step === 'ask twice') pieces.push(ask('same') + ask('same'));
    else if (step === 'prime') pieces.push(`id: ${String(message.id)}\nretry: 200\ndata: \n\n`);
    else if (step === 'answer') pieces.push(answer(mark));
    else if (step === 'answer twice') pieces.push(answer(mark) + answer('wrong'));
    else if (step === 'garbage') pieces.push('data: {"x\n\n');
    else return { pieces, end: step };
  }
  return { pieces, end: 'hang' };
}

class World {
  readonly heard: Heard[] = [];
  readonly rig: ModernRig;
  readonly timers: () => number;
  #count = 0;
  #lostBefore = 0;
  #sessions = 0;

  constructor(isStdio: boolean) {
    this.rig = new ModernRig({
      isStdio,
      session: (nth) => {
        this.#sessions = nth;
        return `s${nth}`;
      },
      capabilities: { tools: { listChanged: true }, logging: {}, resources: { subscribe: true } },
      parkedMax: 4,
      parkedMs: 30_000,
      script: (message, sent) => {
        if (sent.session !== null && Number(sent.session.slice(1)) <= this.#lostBefore)
          return { status: 404 };
        if (sent.verb === 'GET')
          return {
            headers: { 'content-type': 'text/event-stream' },
            body: [eventOf({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }), ': x\n\n'],
            gapMs: 5_000,
            hang: true,
          };
        if (sent.verb === 'DELETE') return { status: 200 };
        if (message.method !== 'tools/call')
          return message.id === undefined || message.method === undefined
            ? { status: 202 }
            : { body: JSON.stringify({ jsonrpc: '2.0', id: message.id, result: {} }) };
        return this.#play(message);
      },
    });
    this.timers = watchTimers(this.rig.sim);
  }

  #play(message: Told) {
    const { plan } = (message.params?.arguments ?? {}) as { plan: Plan };
    const { pieces, end } = piecesOf(message, plan);
    if (pieces.length === 0 && end === 'refuse') return { status: 503, headers: { 'retry-after': '1' } };
    if (pieces.length === 0 && end === 'lost') return { status: 404 };
    const isOver = end === 'end' || end === 'refuse' || end === 'lost';
    const rest =
      end === 'break' ? { fail: 'GW_UPSTREAM_CLOSED' as const, failLate: true } : { hang: !isOver };
    return { headers: { 'content-type': 'text/event-stream' }, body: pieces, gapMs: plan.gapMs, ...rest };
  }

  send(
    method: string,
    params: Record<string, unknown>,
    of: { who: number; mark: string; id: string | number; capabilities?: object; meta?: object },
  ): Heard {
    const heard = new Heard(of.mark, of.id, of.who);
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': of.capabilities ?? {},
      ...of.meta,
    };
    const { bytes: body, envelope } = messageOf(
      JSON.stringify({ jsonrpc: '2.0', id: of.id, method, params: { ...params, _meta } }),
    );
    const client = { principal: PRINCIPALS[of.who] ?? '', endpoint: '/mcp/old' };
    const headers = ['accept', '*/*', 'authorization', TOKENS[of.who] ?? ''];
    heard.call = this.rig.face.send(
      {
        verb: 'POST',
        era: 'modern',
        body,
        envelope,
        edits: [],
        headers,
        session: null,
        exchangeId: 'e',
        client,
        timeoutMs: 0,
      },
      heard,
    );
    heard.isReturned = true;
    this.heard.push(heard);
    return heard;
  }

  #at(index: number): Heard | undefined {
    return this.heard[index % Math.max(1, this.heard.length)];
  }

  async act(action: Action): Promise<void> {
    const nth = ++this.#count;
    switch (action.do) {
      case 'call': {
        const { who, plan, isAble, wantsLog } = action;
        const mark = JSON.stringify({ nth, plan });
        const capabilities = isAble ? { elicitation: { form: {} } } : {};
        const meta = {
          progressToken: `p${nth}`,
          ...(wantsLog ? { 'io.modelcontextprotocol/logLevel': 'debug' } : {}),
        };
        const heard = this.send(
          'tools/call',
          { name: 't', arguments: { nth, plan } },
          { who, mark, id: action.isNumber ? nth : `c${nth}`, capabilities, meta },
        );
        heard.reads = action.reads;
        heard.token = meta.progressToken;
        return;
      }
      case 'listen':
        this.send(
          'subscriptions/listen',
          { notifications: { toolsListChanged: true, resourceSubscriptions: ['x:y'] } },
          { who: action.who, mark: '', id: `l${nth}` },
        );
        return;
      case 'discover':
        this.send('server/discover', {}, { who: action.who, mark: '', id: `d${nth}` });
        return;
      case 'leave':
        return this.#at(action.at)?.leave();
      case 'read': {
        const heard = this.#at(action.at);
        if (heard !== undefined && !heard.isGone) {
          heard.reads = true;
          heard.call?.resume();
        }
        return;
      }
      case 'retry':
        return this.#retry(nth, action);
      case 'pass':
        return this.rig.sim.advance(action.ms);
      case 'lose':
        this.#lostBefore = this.#sessions;
        return;
      case 'sweep':
        this.rig.face.sweep();
    }
  }

  #retry(nth: number, { at, answers, isOther }: Action & { do: 'retry' }): void {
    const asked = this.heard.filter((one) =>
      one.responses.some(
        ({ result }) => (result as { resultType?: string } | undefined)?.resultType === 'input_required',
      ),
    );
    const first = asked[at % Math.max(1, asked.length)];
    const result = first?.responses[0]?.result as
      | { inputRequests: Record<string, unknown>; requestState: string }
      | undefined;
    if (first === undefined || result === undefined) return;
    const keys = Object.keys(result.inputRequests);
    const chosen = answers === 'all' ? keys : answers === 'some' ? keys.slice(0, 1) : [];
    const inputResponses =
      answers === 'garbage' ? [7] : Object.fromEntries(chosen.map((key) => [key, { action: 'accept' }]));
    const who = isOther ? (first.who + 1) % 3 : first.who;
    this.send(
      'tools/call',
      {
        name: 't',
        arguments: JSON.parse(first.mark) as object,
        requestState: result.requestState,
        inputResponses,
      },
      { who, mark: first.mark, id: `r${nth}`, capabilities: { elicitation: { form: {} } } },
    );
  }

  /** Everyone who is left leaves, and time passes. */
  async settle(): Promise<void> {
    const { sim, face } = this.rig;
    for (const heard of this.heard) heard.leave();
    for (let i = 0; i < 4; i++) {
      await sim.advance(61_000);
      face.sweep();
    }
    await sim.advance(10_000);
  }

  check(): void {
    const { rig } = this;
    for (const heard of this.heard) {
      expect(heard.faults).toEqual([]);
      if (heard.isGone) continue;
      expect(heard.ends).toBe(1);
      if (heard.error !== null) {
        expect(heard.error.code).not.toBe('GW_BASE_INTERNAL');
        continue;
      }
      const [response, ...more] = heard.responses;
      expect(more).toEqual([]);
      expect(response?.id).toBe(heard.id);
      const text = (response?.result as { text?: string } | undefined)?.text;
      if (text !== undefined) expect(JSON.parse(text)).toEqual(JSON.parse(heard.mark));
    }
    for (const { messages, mark, token } of this.heard)
      for (const { method, params } of messages) {
        if (method === 'notifications/progress') expect(params?.progressToken).toBe(token);
        if (method === 'notifications/message') expect(params?.data).toBe(mark);
      }
    const owners = new Map<string, string | null>();
    for (const sent of rig.fake.sent) {
      expect(sent.done).toBe(true);
      const owner = headerOf(sent, 'authorization');
      if (sent.session !== null) expect(owners.get(sent.session) ?? owner).toBe(owner);
      if (sent.session !== null) owners.set(sent.session, owner);
    }
    expect(rig.parking.size).toBe(0);
    expect(rig.face.sessions).toBe(0);
    expect(rig.fake.stats().busy).toBe(0);
    expect(this.timers()).toBe(0);
  }
}

describe.each([
  ['HTTP', false],
  ['a pipe', true],
])('over %s', (_, isStdio) => {
  async function play(actions: readonly (readonly [Action, number])[]): Promise<World> {
    const world = new World(isStdio);
    for (const [action, afterMs] of actions) {
      await world.act(action);
      await world.rig.sim.advance(afterMs);
    }
    return world;
  }

  test('any order of events leaves nothing behind', async () => {
    await fc.assert(
      fc.asyncProperty(ACTIONS, async (actions) => {
        const world = await play(actions);
        await world.settle();
        world.check();
      }),
      { numRuns: 200 },
    );
  });

  test('the same when the face is closed in the middle of it', async () => {
    await fc.assert(
      fc.asyncProperty(ACTIONS, async (actions) => {
        const world = await play(actions);
        const closing = world.rig.face.close(1_000);
        await world.rig.sim.advance(10_000);
        await closing;
        await world.settle();
        world.check();
      }),
      { numRuns: 50 },
    );
  });
});
