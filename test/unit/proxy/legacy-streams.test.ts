// The event streams of a legacy session: one of its own over all members, and those of calls that are taken up again.
// Runs proxy/legacy-streams.ts and bridge/session-stream.ts over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import type { FakeReply, FakeSent } from '../../../src/upstream/fake.ts';
import { eventOf, eventStream, json, jsonOf, Lab, legacyScript, textResult } from '../../fixtures/lab.ts';

const note = (n: number, extra = ''): string =>
  eventOf({ jsonrpc: '2.0', method: 'notifications/message', params: { n } }, extra);
const header = (sent: FakeSent | undefined, name: string): string | undefined => {
  const at = sent?.headers.indexOf(name) ?? -1;
  return at < 0 ? undefined : sent?.headers[at + 1];
};
const gets = (lab: Lab, name: string): readonly FakeSent[] =>
  lab.fake(name).sent.filter((sent) => sent.verb === 'GET');

/** A legacy server whose GETs are answered one after the other as listed, the last one for ever. */
function streaming(name: string, replies: readonly FakeReply[]) {
  let count = 0;
  return legacyScript(name, (message, sent) => {
    if (sent.verb === 'GET') return replies[Math.min(count++, replies.length - 1)] ?? {};
    if (sent.verb === 'DELETE') return {};
    return textResult(message, name);
  });
}

describe('a session’s own stream', () => {
  test('carries every member’s messages; DELETE ends it properly', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [eventStream([note(1, 'id: e1\n')], { hang: true })]),
        b: streaming('b', [eventStream([note(2)], { hang: true })]),
      },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    await lab.sim.advance(10);
    expect(stream.events.map((event) => event.params?.n)).toEqual([1, 2]);
    expect(stream.text).toContain('id: a+session+e1\n');
    expect(header(gets(lab, 'a')[0], 'accept')).toBe('text/event-stream');
    lab.delete(session);
    expect([stream.state, stream.finishes, stream.exchange.outcome]).toEqual(['ended', 1, 'ok']);
    expect(gets(lab, 'a')[0]?.aborted).toBe(true);
    expect(lab.active.size).toBe(0);
  });

  test('regression: a client that is back before it is known to have left is not refused: its newest stream takes the place of the older', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [eventStream([note(1), note(2), note(3), note(4)], { hang: true, gapMs: 10 })]),
        b: streaming('b', [eventStream([note(5, 'id: e5\n')], { hang: true })]),
      },
    });
    const session = await lab.initialize();
    const older = lab.get(session);
    await lab.sim.advance(25);
    const newer = lab.get(session);
    expect([older.state, older.finishes, older.exchange.outcome]).toEqual(['ended', 1, 'ok']);
    await lab.sim.advance(10);
    older.exchange.abandon();
    await lab.sim.advance(100);
    expect([newer.status, newer.state]).toEqual([200, 'open']);
    const told = (stream: typeof older) => stream.events.map((event) => event.params?.n);
    expect([told(older), told(newer)]).toEqual([
      [5, 1, 2],
      [3, 4],
    ]);
    // The servers notice nothing.
    for (const name of ['a', 'b']) expect(gets(lab, name).map(({ done }) => done)).toEqual([false]);
    newer.exchange.abandon();
    expect(gets(lab, 'a').map(({ aborted }) => aborted)).toEqual([true]);
    expect(lab.active.size).toBe(0);
  });

  test('regression: a newer stream names where it was: a server’s stream that is there stays, any other goes back', async () => {
    const first = eventStream([note(1, 'id: e1\n'), note(2, 'id: e2\n')], { hang: true });
    for (const [lastEventId, asked] of [
      ['a+session+e2', [undefined]],
      ['a+session+e1', [undefined, 'e1']],
    ] as const) {
      const lab = new Lab({
        servers: {
          a: streaming('a', [first, eventStream([note(2, 'id: e2\n')], { hang: true })]),
          b: streaming('b', [eventStream([note(3)], { hang: true })]),
        },
      });
      const session = await lab.initialize();
      const older = lab.get(session);
      await lab.sim.advance(10);
      const newer = lab.get(session, { lastEventId });
      await lab.sim.advance(10);
      expect(gets(lab, 'a').map((sent) => header(sent, 'last-event-id'))).toEqual([...asked]);
      expect(gets(lab, 'a').map(({ done }) => done)).toEqual(asked.map((_, i) => i < asked.length - 1));
      expect(newer.events.map((event) => event.params?.n)).toEqual(asked.length === 1 ? [] : [2]);
      expect(gets(lab, 'b').map(({ done }) => done)).toEqual([false]);
      expect(older.state).toBe('ended');
    }
  });

  test('regression: a server’s stream that broke off is opened again where it was, also for the stream that took another’s place', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [
          eventStream([note(1, 'id: e1\nretry: 250\n')]),
          eventStream([note(2)], { hang: true }),
        ]),
      },
    });
    const session = await lab.initialize();
    lab.get(session);
    await lab.sim.advance(100);
    const newer = lab.get(session);
    await lab.sim.advance(2_000);
    expect(gets(lab, 'a').map((sent) => header(sent, 'last-event-id'))).toEqual([undefined, 'e1']);
    expect(newer.events.map((event) => event.params?.n)).toEqual([2]);
  });

  test('regression: a server that takes an older stream for open still (409) is asked again', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [{ status: 409 }, { status: 409 }, eventStream([note(1)], { hang: true })]),
      },
    });
    const session = await lab.initialize();
    const stream = lab.get(session, { lastEventId: 'a+session+e7' });
    await lab.sim.advance(4_000);
    expect(gets(lab, 'a').map((sent) => header(sent, 'last-event-id'))).toEqual(['e7', 'e7', 'e7']);
    expect(stream.events.map((event) => event.params?.n)).toEqual([1]);
  });

  test('the client’s leaving closes every member’s stream, and another one may be opened', async () => {
    const lab = new Lab({ servers: { a: streaming('a', [eventStream([note(1)], { hang: true })]) } });
    const session = await lab.initialize();
    const first = lab.get(session);
    await lab.sim.advance(10);
    first.exchange.abandon();
    expect(gets(lab, 'a')[0]?.aborted).toBe(true);
    const second = lab.get(session, { lastEventId: 'a+session+e7' });
    await lab.sim.advance(10);
    expect(second.status).toBe(200);
    expect(header(gets(lab, 'a')[1], 'last-event-id')).toBe('e7');
  });

  test('regression: a member’s stream that ends is opened again, from its last event, after the wait it asks for', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [
          eventStream([note(1, 'id: e1\nretry: 250\n')]),
          eventStream([note(2)], { hang: true }),
        ]),
      },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    await lab.sim.advance(200);
    expect(gets(lab, 'a').length).toBe(1);
    await lab.sim.advance(100);
    expect(stream.events.map((event) => event.params?.n)).toEqual([1, 2]);
    expect(header(gets(lab, 'a')[1], 'last-event-id')).toBe('e1');
  });

  test('a stream without one event does not lose the place', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [eventStream([note(1, 'id: e1\n')]), eventStream([': \n\n']), { status: 405 }]),
      },
    });
    const session = await lab.initialize();
    lab.get(session);
    await lab.sim.advance(10_000);
    expect(gets(lab, 'a').map((sent) => header(sent, 'last-event-id'))).toEqual([undefined, 'e1', 'e1']);
  });

  test('a member that cannot be reached is tried ever more slowly; one without such a stream only once', async () => {
    const lab = new Lab({
      servers: {
        a: streaming('a', [{ fail: 'GW_UPSTREAM_CONNECT' }]),
        b: streaming('b', [{ status: 405 }]),
        c: streaming('c', [{ fail: 'GW_SESSION_UNKNOWN' }]),
      },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    await lab.sim.advance(100_000);
    expect([gets(lab, 'b').length, gets(lab, 'c').length]).toEqual([1, 1]);
    // After 1, 2, 4, 8, 16, 30, 30 seconds.
    expect(gets(lab, 'a').length).toBe(8);
    stream.exchange.abandon();
    await lab.sim.advance(100_000);
    expect(gets(lab, 'a').length).toBe(8);
  });

  test('regression: an event beyond every bound breaks the member’s stream, which is let go of', async () => {
    const huge = `data: ${'x'.repeat(LIMITS.messageBytesMax)}`;
    const lab = new Lab({
      servers: { a: streaming('a', [eventStream([huge, huge], { hang: true }), { status: 405 }]) },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    await lab.sim.advance(1);
    expect(gets(lab, 'a')[0]?.aborted).toBe(true);
    expect(stream.state).toBe('open');
    await lab.sim.advance(2_000);
    expect(gets(lab, 'a').length).toBe(2);
  });

  test('regression: a client that does not read loses its stream, not the gateway its memory', async () => {
    const big = eventOf({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { data: 'x'.repeat(64 * 1024) },
    });
    const lab = new Lab({
      servers: {
        a: streaming('a', [
          eventStream(
            Array.from({ length: 20 }, () => big),
            { hang: true, gapMs: 1 },
          ),
        ]),
      },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    stream.reads = false;
    await lab.sim.advance(100);
    expect([stream.state, stream.exchange.errorCode, stream.finishes]).toEqual([
      'failed',
      'GW_UPSTREAM_OVERRUN',
      1,
    ]);
    expect(stream.bytes.length).toBeLessThan(LIMITS.downstreamBufferBytesMax + 2 * big.length);
    expect(gets(lab, 'a')[0]?.aborted).toBe(true);
    expect(lab.get(session).status).toBe(200);
  });

  test('a client that reads again in time loses nothing', async () => {
    const lab = new Lab({
      servers: { a: streaming('a', [eventStream([note(1), note(2), note(3)], { hang: true, gapMs: 10 })]) },
    });
    const session = await lab.initialize();
    const stream = lab.get(session);
    stream.reads = false;
    await lab.sim.advance(15);
    stream.drain();
    await lab.sim.advance(50);
    expect(stream.events.map((event) => event.params?.n)).toEqual([1, 2, 3]);
  });

  test('regression: what waits for a stream is bounded in bytes too, and says what it drops', async () => {
    const big = 'x'.repeat(200 * 1024);
    const lab = new Lab({
      servers: {
        a: legacyScript('a', (message, sent) =>
          sent.verb === 'GET'
            ? eventStream([': \n\n'], { hang: true })
            : eventStream([
                eventOf({ jsonrpc: '2.0', method: 'notifications/message', params: { big } }),
                eventOf({ jsonrpc: '2.0', id: message.id, result: { tools: [] } }),
              ]),
        ),
      },
    });
    const session = await lab.initialize();
    for (const id of [1, 2]) lab.post({ jsonrpc: '2.0', id, method: 'tools/list' }, { session });
    await lab.sim.advance(10);
    expect(lab.logged.filter((line) => line.includes('backlog is full')).length).toBe(1);
    const stream = lab.get(session);
    await lab.sim.advance(10);
    expect(stream.events.length).toBe(1);
  });

  test('regression: keep-alive comments come between events only, and not to a client that does not read', async () => {
    const lab = new Lab({ servers: { a: streaming('a', [eventStream([': \n\n'], { hang: true })]) } });
    const session = await lab.initialize();
    const stream = lab.get(session);
    await lab.sim.advance(10);
    const before = stream.comments;
    stream.exchange.keepAlive();
    expect(stream.comments).toBe(before + 1);
    stream.reads = false;
    stream.exchange.keepAlive();
    stream.exchange.keepAlive();
    stream.exchange.keepAlive();
    expect(stream.comments).toBe(before + 2);
  });
});

describe('streams of calls that are taken up again', () => {
  const resumable = (reply: FakeReply) =>
    legacyScript('a', (message, sent) => {
      if (sent.verb === 'GET') return reply;
      if (message.method === 'tools/list')
        return json({ jsonrpc: '2.0', id: message.id, result: { tools: [] } });
      return eventStream(['id: p1\nretry: 10\ndata: \n\n']);
    });

  test('the answer comes with its marks, under the id that the client asked with', async () => {
    const lab = new Lab({
      servers: {
        a: resumable(
          eventStream([
            eventOf({
              jsonrpc: '2.0',
              id: 'x',
              result: { content: [{ type: 'resource_link', uri: 'm://1' }] },
            }),
          ]),
        ),
      },
    });
    const session = await lab.initialize();
    const first = lab.post(
      { jsonrpc: '2.0', id: 'x', method: 'tools/call', params: { name: 'a__t' } },
      { session },
    );
    await lab.sim.advance(10);
    expect([first.state, first.text]).toEqual(['ended', 'id: a+call+p1\nretry: 10\ndata: \n\n']);
    const second = lab.get(session, { lastEventId: 'a+call+p1' });
    await lab.sim.advance(10);
    expect(second.events).toEqual([
      { jsonrpc: '2.0', id: 'x', result: { content: [{ type: 'resource_link', uri: 'a+m://1' }] } },
    ]);
    expect([second.state, second.finishes]).toEqual(['ended', 1]);
    expect(header(gets(lab, 'a')[0], 'last-event-id')).toBe('p1');
  });

  test('ids of unknown servers and of foreign spelling open the session’s own stream', async () => {
    for (const lastEventId of ['nobody+call+1', 'nobody+session+1', 'plain', '+call+', 'a+other+1']) {
      const lab = new Lab({ servers: { a: resumable(eventStream([': \n\n'], { hang: true })) } });
      const session = await lab.initialize();
      const stream = lab.get(session, { lastEventId });
      await lab.sim.advance(10);
      expect([stream.status, header(gets(lab, 'a')[0], 'last-event-id')]).toEqual([200, undefined]);
    }
  });

  test('regression: what a member refuses is never 404 to the client, whose session lives, nor 200', async () => {
    const rows: readonly [FakeReply, number][] = [
      [{ status: 405 }, 405],
      [{ fail: 'GW_SESSION_UNKNOWN' }, 502],
      [json({ jsonrpc: '2.0', error: { code: -32001, message: 'no' } }, { status: 404 }), 502],
      [json({ jsonrpc: '2.0', error: { code: -32000, message: 'no' } }, { status: 400 }), 400],
      [{ fail: 'GW_UPSTREAM_CONNECT' }, 502],
    ];
    for (const [reply, status] of rows) {
      const lab = new Lab({ servers: { a: resumable(reply) } });
      const session = await lab.initialize();
      const stream = lab.get(session, { lastEventId: 'a+call+p1' });
      await lab.sim.advance(10);
      expect([stream.status, stream.finishes]).toEqual([status, 1]);
    }
  });

  test('a cancellation reaches the server of a call whose stream has ended without an answer', async () => {
    const lab = new Lab({ servers: { a: resumable({ status: 405 }), b: legacyScript('b') } });
    const session = await lab.initialize();
    lab.post({ jsonrpc: '2.0', id: 'x', method: 'tools/call', params: { name: 'a__t' } }, { session });
    await lab.sim.advance(10);
    const cancel = (requestId: unknown): unknown =>
      lab.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }, { session });
    cancel('x');
    cancel('unknown');
    cancel(undefined);
    await lab.sim.advance(10);
    expect(lab.asked('a', 'notifications/cancelled').map((sent) => jsonOf(sent.body).params)).toEqual([
      { requestId: 'x' },
    ]);
    expect(lab.asked('b', 'notifications/cancelled')).toEqual([]);
  });
});
