// The event stream of a session at a legacy server: opened again where it was, and what a gap or a lost session means.
// Runs bridge/modern-to-legacy/channel.ts over a fake upstream on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { SessionChannel } from '../../../../src/bridge/modern-to-legacy/channel.ts';
import { createSimRuntime } from '../../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../../src/scan/scan.ts';
import { createFakeUpstream, type FakeReply } from '../../../../src/upstream/fake.ts';
import { NO_CLIENT } from '../../../../src/upstream/upstream.ts';
import { eventOf, eventStream } from '../../../fixtures/lab.ts';

const scanner = chooseScanner('portable').scanner;
const NOTE = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };
const REFUSED = (status: number): FakeReply => ({ status });

/** A channel whose server answers each GET in turn; the last answer is for all that follow. */
function start(...replies: readonly FakeReply[]) {
  const sim = createSimRuntime({ seed: 3 });
  const asked: (string | null)[] = [];
  const heard: string[] = [];
  const upstream = createFakeUpstream({
    clock: sim.clock,
    script: (_sent, index) => replies[Math.min(index, replies.length - 1)] ?? {},
  });
  const tools = { scanner, clock: sim.clock, log: undefined as never, inner: upstream };
  const channel = new SessionChannel(tools, {
    connect: (lastEventId, sink) => {
      asked.push(lastEventId);
      return upstream.send(
        {
          ...{ verb: 'GET', era: 'legacy', body: new Uint8Array(0), envelope: null, edits: [], headers: [] },
          ...{ session: 's', exchangeId: 'e', client: NO_CLIENT, timeoutMs: 0 },
        },
        sink,
      );
    },
    onMessage: () => void heard.push('message'),
    onReturn: () => void heard.push('return'),
    onLost: () => void heard.push('lost'),
  });
  channel.open();
  return { sim, channel, asked, heard, upstream };
}

describe('a stream that breaks', () => {
  test('is opened again, and without an event to go on from there was a gap', async () => {
    const { sim, asked, heard } = start(eventStream([eventOf(NOTE)]), eventStream([], { hang: true }));
    await sim.advance(10_000);
    expect([asked, heard]).toEqual([
      [null, null],
      ['message', 'return'],
    ]);
  });

  test('goes on behind the last event, which may carry nothing but its id', async () => {
    const primed = eventStream(['id: 7\nretry: 50\ndata: \n\n']);
    const { sim, asked, heard } = start(primed, eventStream([eventOf(NOTE, 'id: 8\n')], { hang: true }));
    await sim.advance(100);
    expect([asked, heard]).toEqual([[null, '7'], ['message']]);
  });

  test('is tried for as long as the server cannot be reached', async () => {
    const down: FakeReply = { fail: 'GW_UPSTREAM_CONNECT' };
    const up = eventStream([eventOf(NOTE)], { hang: true });
    const { sim, asked, heard } = start(eventStream([eventOf(NOTE)]), down, down, down, up);
    await sim.advance(60_000);
    expect([asked.length, heard]).toEqual([5, ['message', 'return', 'message']]);
  });

  for (const status of [409, 429, 503])
    test(`regression: ${status} then means not now: it is asked for until there is one`, async () => {
      const up = eventStream([eventOf(NOTE)], { hang: true });
      const { sim, asked, heard } = start(eventStream([eventOf(NOTE)]), REFUSED(status), REFUSED(status), up);
      await sim.advance(60_000);
      expect([asked.length, heard]).toEqual([4, ['message', 'return', 'message']]);
    });

  for (const status of [404, 400])
    test(`${status} then means that the session is lost`, async () => {
      const { sim, asked, heard } = start(eventStream([eventOf(NOTE)]), REFUSED(status));
      await sim.advance(60_000);
      expect([asked.length, heard]).toEqual([2, ['message', 'lost']]);
    });
});

describe('a server without such a stream', () => {
  for (const status of [405, 404, 400, 501])
    test(`that says ${status} is not asked again`, async () => {
      const { sim, channel, asked, heard } = start(REFUSED(status));
      await sim.advance(60_000);
      channel.open();
      await sim.advance(60_000);
      expect([asked, heard]).toEqual([[null], []]);
    });
});

test('closing ends it, and the next one is another session’s', async () => {
  const { sim, channel, asked, heard, upstream } = start(
    eventStream([eventOf(NOTE, 'id: 1\n')], { hang: true }),
  );
  await sim.advance(10);
  channel.close();
  channel.open();
  await sim.advance(10);
  expect([asked, heard, upstream.stats().busy]).toEqual([[null, null], ['message', 'message'], 1]);
});
