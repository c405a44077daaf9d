// Batches of 2025-03-26 over servers that take single messages: one response a request, none for anything else.
// Runs proxy/batch.ts over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import type { FakeReply } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  json,
  jsonOf,
  Lab,
  legacyScript,
  type Seen,
  textResult,
} from '../../fixtures/lab.ts';
import type { Rpc } from '../../fixtures/legacy-server.ts';

const call = (id: unknown, name: string): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});
const NOTE = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
const responses = (seen: Seen): readonly Rpc[] => JSON.parse(seen.text) as Rpc[];

async function open(rest: (message: Rpc) => FakeReply): Promise<{ lab: Lab; session: string }> {
  const lab = new Lab({
    servers: { a: legacyScript('a', rest), b: legacyScript('b', (message) => textResult(message, 'b')) },
  });
  return { lab, session: await lab.initialize() };
}

describe('batches', () => {
  test('the array keeps the order of the requests, whoever is faster; notifications have no place in it', async () => {
    const { lab, session } = await open((message) => ({ ...textResult(message, 'a'), delayMs: 50 }));
    const seen = lab.post([call(1, 'a__t'), NOTE, call('1', 'b__t')], { session });
    await lab.sim.advance(100);
    expect(responses(seen).map((one) => one.id)).toEqual([1, '1']);
    expect([seen.status, seen.replies, seen.finishes]).toEqual([200, 1, 1]);
    expect(lab.asked('a', 'notifications/roots/list_changed').length).toBe(1);
  });

  test('notifications and answers alone are taken with 202 and no body', async () => {
    const { lab, session } = await open((message) => textResult(message, 'a'));
    const seen = lab.post([NOTE, { jsonrpc: '2.0', id: 5, result: {} }], { session });
    expect([seen.status, seen.text]).toEqual([202, '']);
  });

  test('regression: a refused notification is not answered in the array; a lost session is told by the status', async () => {
    const { lab } = await open((message) => textResult(message, 'a'));
    const notes = lab.post([NOTE, NOTE], { session: 'unknown' });
    expect([notes.status, notes.json.error?.code]).toEqual([404, -32001]);
    const mixed = lab.post([NOTE, call(1, 'a__t')], { session: 'unknown' });
    expect([mixed.status, responses(mixed).map((one) => one.id)]).toEqual([404, [1]]);
    const answer = lab.post([{ jsonrpc: '2.0', id: 5, result: {} }, call(1, 'a__t')], { session: 'unknown' });
    expect(responses(answer).map((one) => one.id)).toEqual([1]);
  });

  test('regression: initialize in a batch is refused: its session id would be lost', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a') } });
    const seen = lab.post([{ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }]);
    await lab.sim.advance(10);
    expect([seen.status, seen.exchange.errorCode, lab.target.sessions]).toEqual([400, 'GW_MCP_BATCH', 0]);
  });

  test('regression: a request whose stream breaks off or ends without an answer gets an error under its id', async () => {
    for (const reply of [
      eventStream([': \n\n'], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
      eventStream([': \n\n']),
      eventStream([eventOf('{"x":')]),
    ] satisfies FakeReply[]) {
      const { lab, session } = await open(() => reply);
      const seen = lab.post([call('q', 'a__t'), call(2, 'b__t')], { session });
      await lab.sim.advance(10);
      expect(responses(seen)).toMatchObject([
        { id: 'q', error: { code: -32603 } },
        { id: 2, result: {} },
      ]);
      expect(seen.finishes).toBe(1);
    }
  });

  test('regression: lists of one batch ask their server under ids of their own', async () => {
    const ids: unknown[] = [];
    const { lab, session } = await open((message) => {
      ids.push(message.id);
      return { ...json({ jsonrpc: '2.0', id: message.id, result: { tools: [] } }), delayMs: 10 };
    });
    lab.post(
      [
        { jsonrpc: '2.0', id: 1, method: 'tools/list' },
        { jsonrpc: '2.0', id: 2, method: 'tools/list' },
      ],
      {
        session,
      },
    );
    await lab.sim.advance(50);
    expect(new Set(ids).size).toBe(2);
  });

  test('regression: what a server asks in the middle reaches the client: the reply becomes a stream', async () => {
    const { lab, session } = await open((message) =>
      eventStream(
        [
          eventOf({ jsonrpc: '2.0', id: 3, method: 'elicitation/create', params: {} }),
          eventOf({ jsonrpc: '2.0', id: message.id, result: { content: [] } }),
        ],
        { gapMs: 10 },
      ),
    );
    const seen = lab.post([call(1, 'b__t'), call(2, 'a__t'), NOTE], { session });
    await lab.sim.advance(50);
    expect(seen.headers['content-type']).toBe('text/event-stream');
    expect(seen.events.map((event) => event.method ?? event.id)).toEqual([1, 'elicitation/create', 2]);
    expect([seen.state, seen.finishes, lab.active.size]).toEqual(['ended', 1, 0]);
  });

  test('back-pressure of the one reply reaches the server of each part', async () => {
    const note = eventOf({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
    const { lab, session } = await open((message) =>
      eventStream([note, note, note, eventOf({ jsonrpc: '2.0', id: message.id, result: {} })], { gapMs: 10 }),
    );
    const seen = lab.post([call(1, 'a__t')], { session });
    await lab.sim.advance(5);
    seen.reads = false;
    await lab.sim.advance(100);
    expect(seen.events.length).toBe(1);
    seen.drain();
    await lab.sim.advance(100);
    expect([seen.events.length, seen.state]).toEqual([4, 'ended']);
  });

  test('the client leaves: every part is let go of, nothing is said', async () => {
    const { lab, session } = await open(() => eventStream([': \n\n'], { hang: true }));
    const seen = lab.post([call(1, 'a__t'), call(2, 'a__t')], { session });
    await lab.sim.advance(10);
    seen.exchange.abandon();
    expect(lab.asked('a', 'tools/call').map((sent) => sent.aborted)).toEqual([true, true]);
    expect([seen.status, seen.finishes, lab.active.size]).toEqual([499, 1, 0]);
  });

  test('a batch that is refused while it runs gets one refusal, and its parts are let go of', async () => {
    const { lab, session } = await open(() => ({ hang: true }));
    const seen = lab.post([call(1, 'a__t')], { session });
    await lab.sim.advance(10);
    seen.exchange.close(null);
    expect([seen.status, seen.finishes]).toEqual([503, 1]);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
  });

  test('at one server on stdio a batch is split as well; whole event streams are read', async () => {
    const lab = new Lab({
      servers: {
        a: (sent) => {
          const { id } = jsonOf(sent.body);
          if (id === 1) return json({ jsonrpc: '2.0', id, result: {} });
          if (id === 2)
            return {
              headers: { 'content-type': 'text/event-stream' },
              body: eventOf({ jsonrpc: '2.0', id, result: {} }),
            };
          return { status: 202 };
        },
      },
      single: 'stdio',
    });
    const seen = lab.post([call(1, 't'), call(2, 't'), call(3, 't')]);
    await lab.sim.advance(10);
    expect(responses(seen)).toMatchObject([
      { id: 1, result: {} },
      { id: 2, result: {} },
      { id: 3, error: { code: -32603 } },
    ]);
  });

  test('a large answer that comes in pieces is joined', async () => {
    const big = 'x'.repeat(300 * 1024);
    const lab = new Lab({
      servers: {
        a: (sent) => {
          const text = JSON.stringify({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: { big } });
          return json('', { body: [text.slice(0, 290_000), text.slice(290_000)] });
        },
      },
      single: 'stdio',
    });
    const seen = lab.post([call(1, 't')]);
    await lab.sim.advance(10);
    expect(responses(seen)).toEqual([{ jsonrpc: '2.0', id: 1, result: { big } }]);
  });
});
