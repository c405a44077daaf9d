// Event streams of a legacy session at a modern server: its own, fed by a listen, and those of calls that are taken up again.
// Runs the face of bridge/legacy-to-modern over a fake server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../../src/base/bytes.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import { EventBudget, EventLog, readEventId } from '../../../../src/bridge/legacy-to-modern/events.ts';
import type { FakeReply, FakeSent } from '../../../../src/upstream/fake.ts';
import { eventOf, eventStream } from '../../../fixtures/lab.ts';
import {
  ABLE,
  asks,
  type Client,
  FaceLab,
  FORM,
  failure,
  headerSent,
  type Rpc,
  result,
  rpcOf,
  toolCall,
} from './face-lab.ts';

function ack(message: Rpc, granted: unknown = message.params?.notifications): string {
  const meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
  return eventOf({
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: granted, _meta: meta },
  });
}

function tagged(message: Rpc, method: string, params: object = {}): string {
  const meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
  return eventOf({ jsonrpc: '2.0', method, params: { ...params, _meta: meta } });
}

const TOOLS = 'notifications/tools/list_changed';
const RESOURCES = 'notifications/resources/list_changed';
const UPDATED = 'notifications/resources/updated';

/** A lab whose server acknowledges every listen, says what `then` says, and keeps it open. */
function listening(then: (message: Rpc, count: number) => readonly string[] | FakeReply): FaceLab {
  let count = 0;
  return new FaceLab((message) => {
    if (message.method !== 'subscriptions/listen') return undefined;
    const more = then(message, count++);
    return 'length' in more ? eventStream([ack(message), ...more], { hang: true }) : more;
  });
}

function filters(lab: FaceLab): readonly unknown[] {
  return lab.asked('subscriptions/listen').map((sent) => rpcOf(sent).params?.notifications);
}

function open(sent: readonly FakeSent[]): readonly FakeSent[] {
  return sent.filter((one) => !one.done);
}

/** So many updates, numbered. */
function uris(message: Rpc, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => tagged(message, UPDATED, { uri: `x:${i + 1}` }));
}

/** What a client was told to be updated, of what `uris` says. */
function told(client: Client): readonly unknown[] {
  return client.messages.flatMap(({ params }) => (params?.uri === undefined ? [] : [params.uri]));
}

/** A server that speaks every now and then and stays, and a time after which it has said everything. */
const SLOW = { hang: true, gapMs: 10 };
const LATE_MS = 200;

function subscribe(lab: FaceLab, session: string, uri: string, method = 'subscribe'): Promise<Client> {
  return lab.post({ id: uri, method: `resources/${method}`, params: { uri } }, { session });
}

const ANNOUNCED = { toolsListChanged: true, resourcesListChanged: true };

describe('the stream of a session', () => {
  test('repeats what the server announces, without what only modern clients know', async () => {
    const lab = listening((message) => [tagged(message, TOOLS), tagged(message, UPDATED, { uri: 'x:' })]);
    const session = await lab.open();
    const stream = await lab.get(session);
    expect(filters(lab)).toEqual([ANNOUNCED]);
    expect([stream.status, stream.media]).toEqual([200, 'event-stream']);
    expect(stream.events.map(({ id }) => id)).toEqual(['0-1', '0-2']);
    expect(stream.messages).toEqual([
      { jsonrpc: '2.0', method: TOOLS, params: {} },
      { jsonrpc: '2.0', method: UPDATED, params: { uri: 'x:' } },
    ] as Rpc[]);
  });

  test('regression: a client that is back before it is known to have left is not refused: its newest stream takes the place of the older', async () => {
    const lab = listening((message) => eventStream([ack(message), ...uris(message, 6)], SLOW));
    const session = await lab.open();
    const older = await lab.get(session);
    await lab.sim.advance(25);
    const newer = await lab.get(session);
    expect(older.state).toBe('ended');
    expect(lab.asked('subscriptions/listen')).toHaveLength(1);
    await lab.sim.advance(20);
    older.leave();
    await lab.sim.advance(LATE_MS);
    expect([...told(older), ...told(newer)]).toEqual(['x:1', 'x:2', 'x:3', 'x:4', 'x:5', 'x:6']);
    expect(told(older)).not.toHaveLength(0);
    expect(newer.state).toBe('open');
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(1);
  });

  test('regression: the newer stream gets what the client of the older has not taken, and the server goes on', async () => {
    for (const version of ['2024-11-05', '2025-06-18', '2025-11-25']) {
      const lab = listening((message) => eventStream([ack(message), ...uris(message, 5)], SLOW));
      const session = await lab.open({ version });
      const older = lab.bare('GET', { session });
      older.reads = false;
      await lab.sim.advance(50);
      const newer = await lab.get(session);
      await lab.sim.advance(LATE_MS);
      expect([older.state, newer.state]).toEqual(['ended', 'open']);
      expect([...told(older), ...told(newer)]).toEqual(['x:1', 'x:2', 'x:3', 'x:4', 'x:5']);
      expect(older.faults).toEqual([]);
    }
  });

  test('regression: the empty event with which a newer stream begins stands before what the older has not delivered', async () => {
    const lab = listening((message) => uris(message, 2));
    const session = await lab.open({ version: '2025-11-25' });
    const older = lab.bare('GET', { session });
    older.reads = false;
    await lab.sim.advance(5);
    const sent = older.events.length;
    const newer = await lab.get(session);
    const [first, ...rest] = newer.events.map(({ id }) => id);
    expect([first, rest.length]).toEqual([`0-${2 - rest.length}`, 3 - sent]);
  });

  test('regression: a stream of other credentials gets nothing of what the older one has not delivered', async () => {
    const lab = new FaceLab(
      (message, sent) => {
        if (message.method !== 'subscriptions/listen') return undefined;
        const said = headerSent(sent, 'authorization') === 'a' ? uris(message, 3) : [];
        return eventStream([ack(message), ...said], { hang: true });
      },
      {},
      { forwardHeaders: ['authorization'] },
    );
    const as = (token: string) => ['accept', 'text/event-stream', 'authorization', token];
    const session = await lab.open({}, { headers: as('a') });
    const older = lab.bare('GET', { session, headers: as('a') });
    older.reads = false;
    await lab.sim.advance(5);
    const newer = lab.bare('GET', { session, headers: as('b') });
    await lab.sim.advance(LATE_MS);
    expect([newer.state, told(newer)]).toEqual(['open', []]);
    older.reads = true;
    older.call.resume();
    expect(older.state).toBe('ended');
  });

  test('begins with an empty event for clients of 2025-11-25', async () => {
    const lab = listening((message) => [tagged(message, TOOLS)]);
    const session = await lab.open({ version: '2025-11-25' });
    const stream = await lab.get(session);
    expect(stream.events.map(({ id, message }) => [id, message?.method])).toEqual([
      ['0-0', undefined],
      ['0-1', TOOLS],
    ]);
  });

  test('needs no listen when the server announces nothing', async () => {
    const lab = new FaceLab((message) =>
      message.method === 'server/discover' ? result(message, { capabilities: { tools: {} } }) : undefined,
    );
    const session = await lab.open();
    const stream = await lab.get(session);
    expect(stream.state).toBe('open');
    expect(lab.asked('subscriptions/listen')).toHaveLength(0);
    const refused = await subscribe(lab, session, 'x:');
    expect([refused.status, refused.rpc.error?.code]).toEqual([200, -32_601]);
  });

  test('closes the listen when its client stays away', async () => {
    const lab = listening(() => []);
    const session = await lab.open();
    (await lab.get(session)).leave();
    await lab.sim.advance(20_000);
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(1);
    await lab.sim.advance(20_000);
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(0);
  });

  test('opens a broken listen again, and tells that everything may have changed', async () => {
    const lab = listening((message, count) =>
      count === 0 ? eventStream([ack(message)], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }) : [],
    );
    const session = await lab.open();
    const stream = await lab.get(session);
    expect(stream.messages).toHaveLength(0);
    await lab.sim.advance(2_000);
    expect(lab.asked('subscriptions/listen')).toHaveLength(2);
    expect(stream.messages.map((one) => one.method)).toEqual([TOOLS, RESOURCES]);
  });

  test('opens again what the server ended, however it did', async () => {
    const ends = [
      (message: Rpc) => eventStream([ack(message), eventOf({ jsonrpc: '2.0', id: message.id, result: {} })]),
      (message: Rpc) =>
        eventStream([ack(message), tagged(message, 'notifications/cancelled', { requestId: message.id })]),
      (message: Rpc) => eventStream([ack(message)]),
    ];
    const lab = listening((message, count) => ends[count]?.(message) ?? []);
    const session = await lab.open();
    const stream = await lab.get(session);
    await lab.sim.advance(10_000);
    expect(lab.asked('subscriptions/listen')).toHaveLength(4);
    expect(stream.messages.filter((one) => one.method === TOOLS)).toHaveLength(3);
  });

  test('waits longer each time while the server cannot be reached, and asks no more when it refuses', async () => {
    const down = listening(() => ({ fail: 'GW_UPSTREAM_CONNECT' }));
    await down.get(await down.open());
    await down.sim.advance(60_000);
    const tries = down.asked('subscriptions/listen').length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(10);
    const refusing = listening((message) => failure(message, -32_601, {}, 404));
    await refusing.get(await refusing.open());
    await refusing.sim.advance(60_000);
    expect(refusing.asked('subscriptions/listen')).toHaveLength(1);
  });

  test('of other credentials starts over, with a listen of its own', async () => {
    const lab = new FaceLab(
      (message) =>
        message.method === 'subscriptions/listen'
          ? eventStream([ack(message), tagged(message, TOOLS)], { hang: true })
          : undefined,
      {},
      { forwardHeaders: ['authorization'] },
    );
    const as = (token: string, ...more: string[]) => [
      'accept',
      'text/event-stream',
      'authorization',
      token,
      ...more,
    ];
    const session = await lab.open({}, { headers: as('a') });
    const first = lab.bare('GET', { session, headers: as('a') });
    await lab.sim.advance(5);
    first.leave();
    const second = lab.bare('GET', { session, headers: as('b', 'last-event-id', '0-0') });
    await lab.sim.advance(5);
    const tokens = lab.asked('subscriptions/listen').map((sent) => headerSent(sent, 'authorization'));
    expect(tokens).toEqual(['a', 'b']);
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(1);
    // Everything may have changed meanwhile, and then the server said so itself.
    expect(second.events.map(({ id, message }) => [id, message?.method])).toEqual([
      ['0-2', TOOLS],
      ['0-3', RESOURCES],
      ['0-4', TOOLS],
    ]);
  });

  test('holds the server back for a client that does not read', async () => {
    const lab = listening((message) => [
      tagged(message, TOOLS),
      tagged(message, TOOLS),
      tagged(message, TOOLS),
    ]);
    const session = await lab.open();
    const stream = lab.bare('GET', { session });
    stream.reads = false;
    await lab.sim.advance(50);
    expect(stream.messages).toHaveLength(0);
    stream.reads = true;
    stream.call.resume();
    await lab.sim.advance(50);
    expect(stream.messages).toHaveLength(3);
  });
});

describe('subscriptions', () => {
  test('are answered once the server listens; the old listen goes when the new one is acknowledged', async () => {
    let release = (): void => undefined;
    const lab = listening((message, count) => {
      if (count === 0) return [];
      const until = new Promise<void>((resolve) => {
        release = resolve;
      });
      return eventStream([ack(message), tagged(message, UPDATED, { uri: 'a:' })], { hang: true, until });
    });
    const session = await lab.open();
    const stream = await lab.get(session);
    const asked = await subscribe(lab, session, 'a:');
    expect(asked.state).toBe('waiting');
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(2);
    release();
    await lab.sim.advance(5);
    expect(asked.rpc.result).toEqual({});
    expect(filters(lab)[1]).toEqual({ ...ANNOUNCED, resourceSubscriptions: ['a:'] });
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(1);
    expect(stream.messages.map((one) => one.method)).toEqual([UPDATED]);
    expect((await subscribe(lab, session, 'a:')).rpc.result).toEqual({});
    expect(lab.asked('subscriptions/listen')).toHaveLength(2);
  });

  test('that come together share a listen; one that is taken back is no longer asked for', async () => {
    const lab = listening(() => []);
    const session = await lab.open();
    await lab.get(session);
    const all = ['a:', 'b:', 'c:'].map((uri) =>
      lab.begin({ id: uri, method: 'resources/subscribe', params: { uri } }, { session }),
    );
    await lab.sim.advance(20);
    for (const one of all) expect(one.rpc.result).toEqual({});
    expect(lab.asked('subscriptions/listen').length).toBeLessThan(4);
    expect((await subscribe(lab, session, 'b:', 'unsubscribe')).rpc.result).toEqual({});
    expect((await subscribe(lab, session, 'never:', 'unsubscribe')).rpc.result).toEqual({});
    expect(filters(lab).at(-1)).toEqual({ ...ANNOUNCED, resourceSubscriptions: ['a:', 'c:'] });
    expect(open(lab.asked('subscriptions/listen'))).toHaveLength(1);
  });

  test('wait a moment for the stream of a client that is just beginning', async () => {
    const lab = listening((message) => [tagged(message, UPDATED, { uri: 'a:' })]);
    const session = await lab.open();
    const asked = await subscribe(lab, session, 'a:');
    expect(asked.state).toBe('waiting');
    const stream = await lab.get(session);
    expect(asked.rpc.result).toEqual({});
    expect(stream.messages).toHaveLength(1);
  });

  test('of a client without a stream are granted; when it opens one, they may have changed', async () => {
    const lab = listening(() => []);
    const session = await lab.open();
    const asked = await subscribe(lab, session, 'a:');
    await lab.sim.advance(600);
    expect(asked.rpc.result).toEqual({});
    expect((await subscribe(lab, session, 'b:')).rpc.result).toEqual({});
    expect(lab.asked('subscriptions/listen')).toHaveLength(0);
    const stream = await lab.get(session);
    expect(stream.messages.map((one) => one.params?.uri)).toEqual(['a:', 'b:']);
  });

  test('that the server does not take are refused, the rest goes on', async () => {
    let grants: unknown = { resourceSubscriptions: ['b:'] };
    const lab = new FaceLab((message) =>
      message.method === 'subscriptions/listen'
        ? eventStream([ack(message, grants)], { hang: true })
        : undefined,
    );
    const session = await lab.open();
    await lab.get(session);
    const asked = await subscribe(lab, session, 'a:');
    expect([asked.status, asked.rpc.error?.code]).toEqual([200, -32_602]);
    grants = { resourceSubscriptions: ['b:'] };
    expect((await subscribe(lab, session, 'b:')).rpc.result).toEqual({});
  });

  test('fail with the listen, and when nobody acknowledges them', async () => {
    let mode = 'refuse';
    const lab = listening((message, count) => {
      if (count === 0) return [];
      return mode === 'refuse' ? failure(message, -32_603, {}, 200) : { hang: true };
    });
    const session = await lab.open();
    await lab.get(session);
    expect((await subscribe(lab, session, 'a:')).rpc.error?.code).toBe(-32_603);
    mode = 'hang';
    const asked = await subscribe(lab, session, 'b:');
    await lab.sim.advance(LIMITS.memberTimeoutMs + 100);
    expect(asked.rpc.error?.code).toBe(-32_603);
  });

  test('name a URI, and are bounded', async () => {
    const lab = listening(() => []);
    const session = await lab.open();
    const bad = await lab.post({ id: 1, method: 'resources/subscribe', params: {} }, { session });
    expect([bad.status, bad.rpc.error?.code]).toEqual([200, -32_602]);
    for (let i = 0; i < LIMITS.sessionSubscriptionsMax; i++)
      lab.begin({ id: i, method: 'resources/subscribe', params: { uri: `a:${i}` } }, { session });
    expect((await subscribe(lab, session, 'one:more')).rpc.error?.code).toBe(-32_602);
  });
});

describe('a stream that is taken up again', () => {
  const PROGRESS = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 7 } };
  const slow = (sessionIdleMs = 60_000): FaceLab =>
    new FaceLab(
      (message) =>
        message.method === 'tools/call'
          ? eventStream(
              [
                ...[1, 2, 3].map((n) => eventOf({ ...PROGRESS, n })),
                eventOf({ jsonrpc: '2.0', id: message.id, result: {} }),
              ],
              { gapMs: 100 },
            )
          : undefined,
      { sessionIdleMs },
    );

  test('goes on behind the event that it names, while the call runs', async () => {
    const lab = slow();
    const session = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(110);
    call.leave();
    expect(call.events.map(({ id }) => id)).toEqual(['1-1']);
    await lab.sim.advance(100);
    const again = await lab.get(session, ['last-event-id', '1-1']);
    expect(again.events.map(({ id }) => id)).toEqual(['1-2']);
    await lab.sim.advance(500);
    expect(again.events.map(({ id }) => id)).toEqual(['1-2', '1-3', '1-4']);
    expect([again.answer.id, again.state]).toEqual([1, 'ended']);
    expect(lab.asked('tools/call')).toHaveLength(1);
  });

  test('and when it is over, for a while', async () => {
    const lab = slow(LIMITS.sessionIdleMs);
    const session = await lab.open({ version: '2025-11-25' });
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(110);
    call.leave();
    await lab.sim.advance(1_000);
    const again = await lab.get(session, ['last-event-id', '1-0']);
    expect(again.events.map(({ id }) => id)).toEqual(['1-1', '1-2', '1-3', '1-4']);
    expect(again.state).toBe('ended');
    await lab.sim.advance(LIMITS.resumeKeptMs + 1_000);
    lab.face.sweep();
    const late = await lab.get(session, ['last-event-id', '1-0']);
    expect([late.state, late.messages.length]).toEqual(['open', 0]);
  });

  test('takes the place of one that is not known to be dead', async () => {
    const lab = slow();
    const session = await lab.open();
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(110);
    const again = await lab.get(session, ['last-event-id', '1-1']);
    expect(call.state).toBe('ended');
    await lab.sim.advance(500);
    expect(again.answer.id).toBe(1);
    expect(call.answer.id).toBeUndefined();
  });

  test('regression: takes the place of one whose client does not read, and the server goes on', async () => {
    const lab = slow();
    const session = await lab.open();
    const call = lab.begin(toolCall(1), { session });
    call.reads = false;
    await lab.sim.advance(250);
    const again = await lab.get(session, ['last-event-id', '1-0']);
    expect(call.state).toBe('ended');
    await lab.sim.advance(500);
    expect(again.events.map(({ id }) => id)).toEqual(['1-1', '1-2', '1-3', '1-4']);
    expect([again.answer.id, again.state]).toEqual([1, 'ended']);
  });

  test('gets the question that nobody heard', async () => {
    const lab = new FaceLab((message, sent) => {
      if (message.method !== 'tools/call') return undefined;
      const isFirst = rpcOf(sent).params?.inputResponses === undefined;
      return isFirst ? { ...asks(message, { q: FORM }), delayMs: 2_000 } : result(message, { content: [] });
    });
    const session = await lab.open({ version: '2025-11-25', capabilities: ABLE });
    const call = await lab.post(toolCall(1), { session });
    await lab.sim.advance(1_500);
    call.leave();
    await lab.sim.advance(1_000);
    const again = await lab.get(session, ['last-event-id', '1-0']);
    const question = again.messages.at(0);
    expect(question?.method).toBe('elicitation/create');
    await lab.post({ id: question?.id, result: { action: 'accept' } }, { session });
    expect(again.answer.result).toEqual({ content: [] });
  });

  test('is not there for other credentials', async () => {
    const lab = new FaceLab(
      (message) =>
        message.method === 'tools/call' ? eventStream([eventOf(PROGRESS)], { hang: true }) : undefined,
      {},
      { forwardHeaders: ['authorization'] },
    );
    const headers = (token: string): string[] => ['accept', 'text/event-stream', 'authorization', token];
    const session = await lab.open({}, { headers: headers('a') });
    (await lab.post(toolCall(1), { session, headers: headers('a') })).leave();
    const thief = lab.bare('GET', { session, headers: [...headers('b'), 'last-event-id', '1-0'] });
    await lab.sim.advance(5);
    expect(thief.messages).toHaveLength(0);
    thief.leave();
    const owner = lab.bare('GET', { session, headers: [...headers('a'), 'last-event-id', '1-0'] });
    await lab.sim.advance(5);
    expect(owner.messages).toHaveLength(1);
  });

  test('of the session gets what it missed, once', async () => {
    let speak = (): void => undefined;
    const lab = listening((message) => {
      const until = new Promise<void>((resolve) => {
        speak = resolve;
      });
      return eventStream([ack(message), tagged(message, TOOLS), tagged(message, RESOURCES)], {
        hang: true,
        until,
      });
    });
    const session = await lab.open();
    const first = await lab.get(session);
    first.leave();
    speak();
    await lab.sim.advance(5);
    const second = await lab.get(session, ['last-event-id', '0-1']);
    expect(second.messages.map((one) => one.method)).toEqual([RESOURCES]);
    second.leave();
    const third = await lab.get(session);
    expect(third.messages).toHaveLength(0);
  });

  for (const id of ['1-7', '9-0', '0-99', 'x', '-1-0', '1-1; drop']) {
    test(`that is named ${id} is a fresh one`, async () => {
      const lab = slow();
      const session = await lab.open();
      await lab.post(toolCall(1), { session });
      await lab.sim.advance(500);
      const stream = await lab.get(session, ['last-event-id', id]);
      expect([stream.status, stream.state, stream.messages.length]).toEqual([200, 'open', 0]);
    });
  }
});

describe('the event log', () => {
  const bytes = (count: number): Uint8Array => encode('x'.repeat(count));
  const put = (log: EventLog, stream: number, count: number): void =>
    log.keep(log.next(stream), bytes(count), 0);

  test('replays without a gap, or not at all', () => {
    const log = new EventLog(new EventBudget());
    const stream = log.newStream();
    for (let i = 0; i < LIMITS.resumeEventsMax + 10; i++) put(log, stream, 1);
    expect(log.after({ stream, sequence: 10 })).toHaveLength(LIMITS.resumeEventsMax);
    expect(log.after({ stream, sequence: 9 })).toBeNull();
    expect(log.after({ stream, sequence: LIMITS.resumeEventsMax + 10 })).toEqual([]);
    expect(log.after({ stream, sequence: LIMITS.resumeEventsMax + 11 })).toBeNull();
  });

  test('is bounded in bytes; what is too large is not kept', () => {
    const log = new EventLog(new EventBudget());
    const stream = log.newStream();
    put(log, stream, LIMITS.resumeBytesMax - 10);
    put(log, stream, 11);
    expect(log.after({ stream, sequence: 0 })).toBeNull();
    expect(log.after({ stream, sequence: 1 })).toHaveLength(1);
    put(log, stream, LIMITS.resumeBytesMax + 1);
    expect(log.after({ stream, sequence: 1 })).toBeNull();
    expect(log.after({ stream, sequence: 3 })).toEqual([]);
  });

  test('shares a budget with others, and gives all of it back', () => {
    const budget = new EventBudget(100);
    const one = new EventLog(budget);
    const two = new EventLog(budget);
    const stream = one.newStream();
    put(one, stream, 60);
    put(two, two.newStream(), 60);
    expect(two.after({ stream: 1, sequence: 0 })).toBeNull();
    expect(budget.left).toBe(40);
    put(one, stream, 50);
    expect(budget.left).toBe(50);
    one.forget(stream);
    expect(budget.left).toBe(100);
    put(two, 1, 100);
    two.clear();
    expect(budget.left).toBe(100);
  });

  test('reads ids of its own alone', () => {
    expect(readEventId('12-34')).toEqual({ stream: 12, sequence: 34 });
    for (const text of ['', '1', '1-', '-1', '1-2-3', '1-x', ' 1-2', '1-99999999999999999999'])
      expect(readEventId(text)).toBeNull();
  });
});
