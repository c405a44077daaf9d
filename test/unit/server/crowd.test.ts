// Whether one more exchange may come: bounds by endpoint and by principal, and a worker that is behind.
// Runs src/server/crowd.ts, and server/http.ts over a scripted server.
import { describe, expect, test } from 'bun:test';
import { createLog } from '../../../src/observe/log.ts';
import type { TimerId } from '../../../src/runtime/runtime.ts';
import { Crowd } from '../../../src/server/crowd.ts';
import { Front } from '../../../src/server/http.ts';
import type { FrontSpec } from '../../../src/snapshot.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { json, jsonOf, Lab, Seen } from '../../fixtures/lab.ts';
import { ManualClock } from '../../fixtures/stdio-world.ts';

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

function frontOf(front: Partial<FrontSpec>, delayMs = 50, clock?: ManualClock) {
  const script: FakeScript = (sent) => ({
    ...json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} }),
    delayMs,
  });
  const lab = new Lab({ servers: { a: script }, single: 'http', front });
  const made = new Front({
    snapshot: lab.snapshot,
    pipeline: lab.pipeline,
    handles: lab.handles,
    scanner: lab.scanner,
    clock: clock ?? lab.sim.clock,
    log: createLog('silent', { write: () => undefined, wall: () => 0 }),
    newId: () => 'id',
  });
  const send = (
    body: string | null = PING,
  ): { readonly inbound: FakeInbound; readonly reply: Promise<Seen> } => {
    const inbound = new FakeInbound(
      body === null ? 'GET' : 'POST',
      '/mcp',
      { ...HEADERS },
      body ?? undefined,
    );
    const reply = Promise.resolve(made.handle(inbound)).then((one) => {
      const seen = new Seen();
      seen.take(one);
      return seen;
    });
    return { inbound, reply };
  };
  return { lab, made, send };
}

describe('bounds', () => {
  for (const name of ['perEndpointMax', 'perPrincipalMax'] as const)
    test(`${name}: one too many is refused with 503 before its body is read; what is over makes room`, async () => {
      const { lab, made, send } = frontOf({ [name]: 2 });
      const sent = [send(), send(), send()];
      await lab.sim.advance(100);
      const seen = await Promise.all(sent.map(({ reply }) => reply));
      expect(seen.map(({ status }) => status)).toEqual([200, 200, 503]);
      expect([seen[2]?.headers['retry-after'], seen[2]?.json.error]).toMatchObject([
        '1',
        { data: { gw: 'GW_SERVER_BUSY' } },
      ]);
      expect(JSON.stringify(seen[2]?.json.error)).toContain(`limits.${name}`);
      expect([made.active, lab.fakes.a?.sent.length]).toEqual([0, 2]);
      const again = send();
      await lab.sim.advance(100);
      expect((await again.reply).status).toBe(200);
    });

  test('without bounds nothing is counted', async () => {
    const { lab, send } = frontOf({});
    const sent = Array.from({ length: 20 }, () => send());
    await lab.sim.advance(100);
    for (const { reply } of sent) expect((await reply).status).toBe(200);
  });

  test('other bounds count who is there already', async () => {
    const { lab, made, send } = frontOf({}, 200);
    const sent = [send(), send()];
    await lab.sim.advance(10);
    const { snapshot } = lab;
    made.use({ ...snapshot, front: { ...snapshot.front, perEndpointMax: 2 } });
    const third = send();
    await lab.sim.advance(10);
    expect((await third.reply).status).toBe(503);
    await lab.sim.advance(300);
    for (const { reply } of sent) expect((await reply).status).toBe(200);
    const fourth = send();
    await lab.sim.advance(300);
    expect((await fourth.reply).status).toBe(200);
  });
});

/** A clock whose timers come as late as the test wants. */
class LateClock extends ManualClock {
  readonly due: (() => void)[] = [];
  override after(_ms: number, callback: () => void): TimerId {
    return this.due.push(callback);
  }
  fire(): void {
    for (const callback of this.due.splice(0)) callback();
  }
}

describe('a worker that is behind', () => {
  const front = { exchangesMax: 100, lagMaxMs: 40 } as FrontSpec;
  const codeOf = (crowd: Crowd): unknown => crowd.refusal(0)?.code ?? 'welcome';

  test('takes nothing new while its timers are late, and does again once they are not', () => {
    const clock = new LateClock();
    const crowd = new Crowd(clock, front);
    expect(codeOf(crowd)).toBe('welcome');
    clock.advance(45);
    // 35 ms behind: still bearable.
    expect(codeOf(crowd)).toBe('welcome');
    clock.advance(20);
    expect(codeOf(crowd)).toBe('GW_SERVER_OVERLOAD');
    clock.fire();
    // The look that came late says so until the next one comes in time.
    expect([codeOf(crowd), clock.due.length]).toEqual(['GW_SERVER_OVERLOAD', 1]);
    clock.advance(10);
    clock.fire();
    expect([codeOf(crowd), clock.due.length]).toEqual(['welcome', 1]);
    clock.advance(10);
    clock.fire();
    expect(clock.due.length).toBe(0);
  });

  test('looks at no clock unless it is asked to', () => {
    const clock = new LateClock();
    const crowd = new Crowd(clock, { ...front, lagMaxMs: 0 });
    expect([codeOf(crowd), clock.due.length]).toEqual(['welcome', 0]);
    expect(crowd.refusal(100)?.code).toBe('GW_SERVER_BUSY');
  });

  test('says 503 and when to come again, before the body is read', async () => {
    const clock = new LateClock();
    const { lab, made, send } = frontOf({ lagMaxMs: 40 }, 5, clock);
    const first = send();
    await lab.sim.advance(20);
    expect((await first.reply).status).toBe(200);
    clock.advance(100);
    const { reply, inbound } = send();
    const seen = await reply;
    expect([seen.status, seen.headers['retry-after'], seen.json.error]).toMatchObject([
      503,
      '1',
      { data: { gw: 'GW_SERVER_OVERLOAD' } },
    ]);
    expect([made.active, lab.fakes.a?.sent.length, inbound.isRead]).toEqual([0, 1, false]);
  });
});
