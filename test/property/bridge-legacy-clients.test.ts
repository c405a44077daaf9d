// Legacy clients of a modern server in any order of opening sessions, calling, leaving, coming back, answering (also twice, or what is not theirs), cancelling and
// waiting: each request ends once, with its own answer, and afterwards nothing is left: no timer, no call at the server, no session.
// Run by `bun test`. A scripted server on a simulated clock; fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode } from '../../src/base/bytes.ts';
import type { FakeReply, FakeSent } from '../../src/upstream/fake.ts';
import { eventOf } from '../fixtures/lab.ts';
import { watchTimers } from '../fixtures/timers.ts';
import {
  ABLE,
  asks,
  type Client,
  FaceLab,
  FORM,
  headerSent,
  type Rpc,
  result,
  toolCall,
} from '../unit/bridge/legacy-to-modern/face-lab.ts';

/** What a server does with one attempt of a call. */
const STEP = fc.constantFrom(
  'ask',
  'ask',
  'ask two',
  'state',
  'answer',
  'stream',
  'slow',
  'hang',
  'garbage',
  'refuse',
  'fail',
  'break',
  'other',
);
const PLAN = fc.array(STEP, { minLength: 1, maxLength: 4 });

const ACTION = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      who: fc.nat(1),
      isAble: fc.boolean(),
      version: fc.constantFrom('2024-11-05', '2025-06-18', '2025-11-25'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      session: fc.nat(5),
      plan: PLAN,
      reads: fc.boolean(),
      isNumber: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      at: fc.nat(20),
      how: fc.constantFrom('well', 'well', 'well', 'twice', 'elsewhere', 'as a number', 'with an error'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('get' as const),
      session: fc.nat(5),
      from: fc.constantFrom(null, '0-0', '0-9', '999-1', 'x'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take up' as const), at: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('subscribe' as const), session: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), session: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), at: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 300, 1_100, 20_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
);
const AFTER_MS = fc.constantFrom(0, 0, 1, 5, 300);
const ACTIONS = fc.array(fc.tuple(ACTION, AFTER_MS), { minLength: 5, maxLength: 40, size: 'max' });

type Action = typeof ACTION extends fc.Arbitrary<infer T> ? T : never;
type Plan = typeof PLAN extends fc.Arbitrary<infer T> ? T : never;

const TOKENS = ['a', 'b'] as const;
const ACCEPT = ['accept', 'application/json, text/event-stream'];

interface Session {
  readonly id: string;
  readonly who: number;
  isOver: boolean;
}

/** One exchange of a client. */
interface Exchange {
  readonly client: Client;
  readonly session: Session | null;
  /** Of a call; null for whatever else. */
  readonly id: unknown;
  readonly mark: string;
  isGone: boolean;
  /** Its end without a response is no fault: cancelled, or taken up on another connection. */
  mayBeSilent: boolean;
}

class World {
  readonly exchanges: Exchange[] = [];
  readonly sessions: Session[] = [];
  readonly lab: FaceLab;
  readonly timers: () => number;
  #count = 0;

  constructor() {
    this.lab = new FaceLab(
      (message, sent) => this.#reply(message, sent),
      { sessionsMax: 6 },
      { forwardHeaders: ['authorization'] },
    );
    this.timers = watchTimers(this.lab.sim);
  }

  #reply(message: Rpc, sent: FakeSent): FakeReply | undefined {
    if (message.method === 'subscriptions/listen') {
      const notifications = message.params?.notifications;
      const said = [
        { method: 'notifications/subscriptions/acknowledged', params: { notifications } },
        { method: 'notifications/tools/list_changed', params: { of: headerSent(sent, 'authorization') } },
      ];
      return {
        headers: { 'content-type': 'text/event-stream' },
        body: said.map((one) => eventOf({ jsonrpc: '2.0', ...one })),
        gapMs: 700,
        hang: true,
      };
    }
    if (message.method !== 'tools/call') return undefined;
    const { plan, nth } = (message.params?.arguments ?? {}) as { plan: Plan; nth: number };
    const round = Number(message.params?.requestState ?? 0);
    return this.#play(message, plan[round] ?? 'answer', { nth, next: String(round + 1) });
  }

  #play(message: Rpc, step: Plan[number], { nth, next }: { nth: number; next: string }): FakeReply {
    const answer = { jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', content: [], nth } };
    const report = eventOf({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: nth, nth },
    });
    const stream = (body: readonly string[], rest: Partial<FakeReply> = {}): FakeReply => ({
      headers: { 'content-type': 'text/event-stream' },
      body,
      gapMs: 50,
      ...rest,
    });
    switch (step) {
      case 'ask':
        return asks(message, { a: { ...FORM, params: { ...FORM.params, nth } } }, next);
      case 'ask two':
        return asks(message, { a: FORM, b: { method: 'roots/list' } }, next);
      case 'state':
        return asks(message, null, next);
      case 'stream':
        return stream([report, report, eventOf(answer)], { hang: true });
      case 'slow':
        return { body: JSON.stringify(answer), delayMs: 1_500 };
      case 'hang':
        return { hang: true };
      case 'garbage':
        return stream([report, 'data: {\n\n']);
      case 'refuse':
        return { status: 401, headers: { 'www-authenticate': 'Bearer' } };
      case 'fail':
        return { fail: 'GW_UPSTREAM_CLOSED' };
      case 'break':
        return stream([report], { fail: 'GW_UPSTREAM_CLOSED', failLate: true });
      case 'other':
        return { body: JSON.stringify({ ...answer, id: 'other' }) };
      default:
        return result(message, { content: [], nth });
    }
  }

  #headers(who: number, more: readonly string[] = []): readonly string[] {
    return [...ACCEPT, 'authorization', TOKENS[who] ?? '', ...more];
  }

  #note(client: Client, session: Session | null, of: { id?: unknown; mark?: string } = {}): Exchange {
    const exchange = {
      client,
      session,
      id: of.id ?? null,
      mark: of.mark ?? '',
      isGone: false,
      mayBeSilent: false,
    };
    this.exchanges.push(exchange);
    return exchange;
  }

  #post(session: Session, message: object, of: { id?: unknown; mark?: string; who?: number } = {}): Exchange {
    const way = { session: session.id, headers: this.#headers(of.who ?? session.who) };
    return this.#note(this.lab.begin(message, way), session, of);
  }

  #session(at: number): Session | undefined {
    return this.sessions[at % Math.max(1, this.sessions.length)];
  }

  #exchange(at: number): Exchange | undefined {
    return this.exchanges[at % Math.max(1, this.exchanges.length)];
  }

  async act(action: Action): Promise<void> {
    const nth = ++this.#count;
    switch (action.do) {
      case 'open':
        return this.#open(action);
      case 'call': {
        const session = this.#session(action.session);
        if (session === undefined) return;
        const id = action.isNumber ? nth : `c${nth}`;
        const { client } = this.#post(session, toolCall(id, { nth, plan: action.plan }), {
          id,
          mark: String(nth),
        });
        client.reads = action.reads;
        return;
      }
      case 'answer':
        return this.#answer(action);
      case 'get': {
        const session = this.#session(action.session);
        if (session === undefined) return;
        const headers = this.#headers(
          session.who,
          action.from === null ? [] : ['last-event-id', action.from],
        );
        this.#note(this.lab.bare('GET', { session: session.id, headers }), session);
        return;
      }
      case 'take up':
        return this.#takeUp(action.at);
      case 'leave': {
        const exchange = this.#exchange(action.at);
        if (exchange !== undefined) this.#leave(exchange);
        return;
      }
      case 'cancel': {
        const call = this.#exchange(action.at);
        if (call?.id == null || call.session === null) return;
        call.mayBeSilent = true;
        this.#post(call.session, { method: 'notifications/cancelled', params: { requestId: call.id } });
        return;
      }
      case 'subscribe': {
        const session = this.#session(action.session);
        if (session !== undefined)
          this.#post(session, { id: `s${nth}`, method: 'resources/subscribe', params: { uri: `x:${nth}` } });
        return;
      }
      case 'delete': {
        const session = this.#session(action.session);
        if (session !== undefined)
          this.#note(
            this.lab.bare('DELETE', { session: session.id, headers: this.#headers(session.who) }),
            session,
          );
        return;
      }
      case 'read': {
        const exchange = this.#exchange(action.at);
        if (exchange === undefined || exchange.isGone) return;
        exchange.client.reads = true;
        exchange.client.call.resume();
        return;
      }
      case 'pass':
        return this.lab.sim.advance(action.ms);
      case 'sweep':
        this.lab.face.sweep();
    }
  }

  async #open({ who, isAble, version }: Action & { do: 'open' }): Promise<void> {
    const params = {
      protocolVersion: version,
      capabilities: isAble ? ABLE : {},
      clientInfo: { name: 'c', version: '1' },
    };
    const { client } = this.#note(
      this.lab.begin({ id: 'i', method: 'initialize', params }, { headers: this.#headers(who) }),
      null,
    );
    await this.lab.sim.advance(5);
    if (client.sessionId !== null) this.sessions.push({ id: client.sessionId, who, isOver: false });
  }

  #leave(exchange: Exchange): void {
    if (exchange.client.state === 'ended' || exchange.client.state === 'failed') return;
    exchange.isGone = true;
    exchange.client.leave();
  }

  /** Questions that some client has seen, answered or not. */
  #asked(): readonly { readonly id: unknown; readonly session: Session }[] {
    return this.exchanges.flatMap(({ client, session }) =>
      session === null || client.media !== 'event-stream'
        ? []
        : client.messages
            .filter(({ id, method }) => id !== undefined && method !== undefined)
            .map(({ id }) => ({ id, session })),
    );
  }

  #answer({ at, how }: Action & { do: 'answer' }): void {
    const asked = this.#asked();
    const question = asked[at % Math.max(1, asked.length)];
    if (question === undefined) return;
    const { id, session } = question;
    const value = { action: 'accept', content: {} };
    const other = this.sessions.find((one) => one !== session) ?? session;
    const target = how === 'elsewhere' ? other : session;
    if (how === 'with an error') this.#post(target, { id, error: { code: -1, message: 'no' } });
    else this.#post(target, { id: how === 'as a number' ? 5 : id, result: value });
    if (how === 'twice') this.#post(target, { id, result: value });
  }

  #takeUp(at: number): void {
    const call = this.#exchange(at);
    if (call?.session == null || call.client.media !== 'event-stream') return;
    const last = call.client.events.findLast((event) => event.id !== null)?.id;
    if (last == null) return;
    call.mayBeSilent = true;
    const headers = this.#headers(call.session.who, ['last-event-id', last]);
    const next = this.#note(this.lab.bare('GET', { session: call.session.id, headers }), call.session, {
      mark: call.mark,
    });
    next.mayBeSilent = true;
  }

  /** Everyone who is left leaves, and time passes. */
  async settle(): Promise<void> {
    for (const exchange of this.exchanges) this.#leave(exchange);
    for (let i = 0; i < 6; i++) {
      await this.lab.sim.advance(20 * 60_000);
      this.lab.face.sweep();
    }
    await this.lab.sim.advance(2_000);
  }

  check(): void {
    const { lab } = this;
    for (const exchange of this.exchanges) this.#checkExchange(exchange);
    for (const sent of lab.server.sent) expect(sent.done, decode(sent.body)).toBe(true);
    expect(lab.face.sessions).toBe(0);
    expect(lab.server.stats().busy).toBe(0);
    expect(this.timers()).toBe(0);
  }

  #checkExchange({ client, session, id, mark, isGone, mayBeSilent }: Exchange): void {
    expect(client.faults).toEqual([]);
    if (!isGone) expect(client.state).toMatch(/^(ended|failed)$/);
    expect(client.error?.code).not.toBe('GW_BASE_INTERNAL');
    const messages = client.media === 'event-stream' ? client.messages : [];
    for (const { method, params } of messages) {
      if (method === 'notifications/progress' && mark !== '') expect(String(params?.nth)).toBe(mark);
      if (method === 'notifications/tools/list_changed' && session !== null && params?.of !== undefined)
        expect(params.of === TOKENS[session.who]).toBe(true);
    }
    if (id === null) return;
    const responses =
      client.media === 'json' ? [client.rpc] : messages.filter(({ method }) => method === undefined);
    expect(responses.length).toBeLessThan(2);
    const [response] = responses;
    if (response !== undefined) {
      expect(response.id).toBe(id);
      if (response.result?.nth !== undefined) expect(String(response.result.nth)).toBe(mark);
    } else if (!isGone && !mayBeSilent) expect(client.error).not.toBeNull();
  }
}

async function play(actions: readonly (readonly [Action, number])[]): Promise<World> {
  const world = new World();
  await world.act({ do: 'open', who: 0, isAble: true, version: '2025-06-18' });
  for (const [action, afterMs] of actions) {
    await world.act(action);
    await world.lab.sim.advance(afterMs);
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
      const closing = world.lab.face.close(1_000);
      await world.lab.sim.advance(10_000);
      await closing;
      await world.settle();
      world.check();
    }),
    { numRuns: 50 },
  );
});
