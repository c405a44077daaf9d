// Second requests beside slow ones: when there is one, who wins, what becomes of the other.
// Runs the policies over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { withPolicies } from '../../../src/policy/policies.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { createFakeUpstream, type FakeReply, type FakeUpstream } from '../../../src/upstream/fake.ts';
import type { PolicySpec } from '../../../src/upstream/spec.ts';
import { answer, outcomeOf, POLICY, PolicyWorld, REPLICA, result, stream } from './policy-world.ts';

const HEDGE = { ...POLICY.hedge, enabled: true };
const NO_RETRIES = { ...POLICY.retries, max: 0 };
const EVENTS = { 'content-type': 'text/event-stream' };

/** A world in which the times of a tool are known: nearly all calls take 20 ms, one in twenty 100 ms. */
async function knowing(tool = 'reader', policy: Partial<PolicySpec> = {}): Promise<PolicyWorld> {
  const world = new PolicyWorld({ policy: { hedge: HEDGE, retries: NO_RETRIES, ...policy } });
  await world.list();
  world.script = (sent, index) => ({ ...answer(sent), delayMs: index % 40 === 0 ? 100 : 20 });
  for (let n = 0; n < 48; n++) await world.call(tool, 110);
  return world;
}

/** From now on the first request of a call takes `first`, its second `second`. */
function nowOn(world: PolicyWorld, first: FakeReply, second: FakeReply): number {
  let n = 0;
  world.script = (sent) => ({ ...answer(sent, { nth: n }), ...(n++ === 0 ? first : second) });
  return world.sent.length;
}

describe('a second request', () => {
  test('comes once most would have replied; the first reply wins, the other is cancelled at the server', async () => {
    const world = await knowing();
    const before = nowOn(world, { delayMs: 500 }, { delayMs: 5 });
    const { caught } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(15);
    expect(world.sent.length - before).toBe(1);
    await world.sim.advance(15);
    expect(world.sent.length - before).toBe(2);
    expect([outcomeOf(caught), caught.json.result]).toMatchObject([200, { nth: 1 }]);
    expect(world.sent.slice(before).map(({ record }) => record.aborted)).toEqual([true, false]);
    await world.sim.advance(1_000);
    expect(world.sent.length - before).toBe(2);
  });

  test('the first may still win', async () => {
    const world = await knowing();
    const before = nowOn(world, { delayMs: 30 }, { delayMs: 500 });
    const caught = await world.call('reader');
    expect([outcomeOf(caught), caught.json.result]).toMatchObject([200, { nth: 0 }]);
    expect(world.sent.slice(before).map(({ record }) => record.aborted)).toEqual([false, true]);
  });

  test('none for a call that is quick, or before anything is known of its tool', async () => {
    const world = await knowing();
    const before = nowOn(world, { delayMs: 15 }, {});
    await world.call('reader');
    expect(world.sent.length - before).toBe(1);
    await world.call('setter', 5_000);
    expect(world.sent.length - before).toBe(2);
  });

  test('none for a tool that may not be called twice, whatever it takes', async () => {
    const world = await knowing('silent');
    const before = nowOn(world, { delayMs: 900 }, {});
    await world.call('silent');
    expect(world.sent.length - before).toBe(1);
  });

  test('none in a legacy session, where an id serves once', async () => {
    const world = await knowing();
    const before = nowOn(world, { delayMs: 900 }, {});
    await world.call('reader', 1_000, { era: 'legacy', session: 's' });
    expect(world.sent.length - before).toBe(1);
  });

  test('none where it is off; a tool may say otherwise', async () => {
    const off = new PolicyWorld({ policy: { retries: NO_RETRIES } });
    expect(withPolicies(off.fake, off.parts)).toBe(off.fake);
    const hedge = { ...HEDGE, enabled: false };
    const world = await knowing('reader', { hedge, tools: [{ pattern: 'reader', hedge: true }] });
    const before = nowOn(world, { delayMs: 900 }, {});
    await world.call('reader');
    expect(world.sent.length - before).toBe(2);
    const never = await knowing('reader', { tools: [{ pattern: 'read*', hedge: false }] });
    const since = nowOn(never, { delayMs: 900 }, {});
    await never.call('reader');
    expect(never.sent.length - since).toBe(1);
  });

  test('reads have them as well, each method by its own times', async () => {
    const world = await knowing('reader');
    world.script = (sent) => ({ ...answer(sent), delayMs: 200 });
    for (let n = 0; n < 32; n++) {
      world.send(world.request('resources/read', { uri: 'x:y' }));
      await world.sim.advance(250);
    }
    const before = nowOn(world, { delayMs: 900 }, {});
    world.send(world.request('resources/read', { uri: 'x:y' }));
    await world.sim.advance(150);
    expect(world.sent.length - before).toBe(1);
    await world.sim.advance(150);
    expect(world.sent.length - before).toBe(2);
  });

  test('at most so many per hundred', async () => {
    const world = await knowing('reader', { hedge: { ...HEDGE, budgetPercent: 5 } });
    const before = world.sent.length;
    world.script = (sent) => ({ ...answer(sent), delayMs: 150 });
    for (let n = 0; n < 40; n++) await world.call('reader', 160);
    // Those of the calls before, of which none was spent but by a slow one, and one per twenty of these.
    expect(world.sent.length - before - 40).toBeLessThanOrEqual(4);
    expect(world.sent.length - before - 40).toBeGreaterThanOrEqual(1);
  });

  test('not earlier than configured', async () => {
    const world = await knowing('reader', { hedge: { ...HEDGE, minMs: 300 } });
    const before = nowOn(world, { delayMs: 900 }, {});
    const { caught } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(290);
    expect(world.sent.length - before).toBe(1);
    await world.sim.advance(20);
    expect([world.sent.length - before, outcomeOf(caught)]).toEqual([2, 200]);
  });
});

describe('what goes wrong', () => {
  test('one that fails leaves the call to the other; when both fail, so does the call', async () => {
    for (const [first, second] of [
      [{ delayMs: 50, fail: 'GW_UPSTREAM_CLOSED' }, { delayMs: 100 }],
      [{ delayMs: 200 }, { delayMs: 1, fail: 'GW_UPSTREAM_CONNECT' }],
      [{ delayMs: 200 }, { delayMs: 1, status: 503, headers: {}, body: '' }],
    ] as const) {
      const world = await knowing();
      const before = nowOn(world, first, second);
      expect(outcomeOf(await world.call('reader'))).toBe(200);
      expect(world.sent.length - before).toBe(2);
    }
    const world = await knowing();
    nowOn(world, { delayMs: 50, fail: 'GW_UPSTREAM_CLOSED' }, { delayMs: 100, fail: 'GW_UPSTREAM_CONNECT' });
    expect(outcomeOf(await world.call('reader'))).toBe('GW_UPSTREAM_CONNECT');
  });

  test('one that fails early has no second: what is sent again is for the retries to say', async () => {
    const world = await knowing();
    const before = nowOn(world, { fail: 'GW_UPSTREAM_CLOSED' }, {});
    expect(outcomeOf(await world.call('reader'))).toBe('GW_UPSTREAM_CLOSED');
    expect(world.sent.length - before).toBe(1);
  });

  test('a reply that breaks off once it has won is the client’s', async () => {
    const world = await knowing();
    const before = nowOn(
      world,
      { delayMs: 900 },
      { body: ['{'], fail: 'GW_UPSTREAM_CLOSED', failLate: true },
    );
    const caught = await world.call('reader');
    expect([world.sent.length - before, caught.text, outcomeOf(caught)]).toEqual([
      2,
      '{',
      'GW_UPSTREAM_CLOSED',
    ]);
  });

  test('a client that leaves takes both along', async () => {
    const world = await knowing();
    const before = nowOn(world, { delayMs: 900 }, { delayMs: 900 });
    const { caught, call } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(200);
    call.resume();
    call.outlast?.();
    call.abort();
    await world.sim.advance(2_000);
    expect(outcomeOf(caught)).toBe('pending');
    expect(world.sent.slice(before).map(({ record }) => record.aborted)).toEqual([true, true]);
    const other = nowOn(world, { delayMs: 900 }, {});
    world.send(world.request('tools/call', { name: 'reader' })).call.abort();
    await world.sim.advance(500);
    expect(world.sent.length - other).toBe(0);
  });
});

describe('event streams', () => {
  test('a head is no reply: whoever says something first wins', async () => {
    const world = await knowing();
    const before = nowOn(
      world,
      { headers: EVENTS, body: ['data: {}\n\n'], gapMs: 900 },
      { ...stream(result(1)), gapMs: 5 },
    );
    const caught = await world.call('reader');
    expect([world.sent.length - before, caught.answer, outcomeOf(caught)]).toEqual([2, result(1), 200]);
    expect(world.sent[before]?.record.aborted).toBe(true);
  });

  test('a stream without a word goes out after a while, and is the reply then', async () => {
    const world = await knowing('reader', { hedge: { ...HEDGE, minMs: 6_000 } });
    const before = nowOn(world, { headers: EVENTS, body: ['data: {}\n\n'], gapMs: 7_000 }, {});
    const { caught } = world.send(world.request('tools/call', { name: 'reader' }));
    await world.sim.advance(4_900);
    expect(caught.head).toBeNull();
    await world.sim.advance(3_000);
    expect([world.sent.length - before, caught.text, outcomeOf(caught)]).toEqual([1, 'data: {}\n\n', 200]);
  });

  test('one that ends without a word is passed on as it is', async () => {
    const world = await knowing();
    nowOn(world, { headers: EVENTS, body: [] }, {});
    const caught = await world.call('reader');
    expect([caught.head?.media, caught.text, outcomeOf(caught)]).toEqual(['event-stream', '', 200]);
  });
});

test('with replicas the second goes to another one', async () => {
  const made: FakeUpstream[] = [];
  let delayMs = 20;
  const world = new PolicyWorld({
    policy: { hedge: HEDGE, retries: NO_RETRIES, tools: [{ pattern: 'reader', idempotent: true }] },
    spec: { replicas: [REPLICA] },
    server: ({ sim, scanner }) => {
      for (const name of ['a', 'b'])
        made.push(
          createFakeUpstream({ clock: sim.clock, name, script: (sent) => ({ ...answer(sent), delayMs }) }),
        );
      const all = made.map((upstream) => ({ upstream, load: () => 0, refuses: () => false }));
      return withReplicas(all, { clock: sim.clock, random: sim.random, scanner });
    },
  });
  for (let n = 0; n < 32; n++) await world.call('reader', 30);
  delayMs = 300;
  const before = made.map(({ sent }) => sent.length);
  for (let n = 0; n < 10; n++) await world.call('reader', 400);
  expect(made.map(({ sent }, i) => sent.length - (before[i] ?? 0))).toEqual([10, 10]);
});
