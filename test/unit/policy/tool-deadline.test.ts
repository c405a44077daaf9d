// Deadlines of single tools: when a call ends, what puts its end off, what the server hears of it.
// Runs the policies over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import type { FakeReply } from '../../../src/upstream/fake.ts';
import type { ToolRule } from '../../../src/upstream/spec.ts';
import { answer, outcomeOf, POLICY, PolicyWorld, result, stream } from './policy-world.ts';

const TOOLS: readonly ToolRule[] = [
  { pattern: 'slow', timeoutMs: 300 },
  { pattern: 'first-*', firstByteMs: 100 },
  { pattern: 'again', timeoutMs: 300, firstByteMs: 100, idempotent: true },
];
const EVENTS = { 'content-type': 'text/event-stream' };
const progress = (n: number): object => ({
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken: 1, progress: n },
});
const question = { jsonrpc: '2.0', id: 's1', method: 'elicitation/create', params: {} };
const note = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } };

function worldOf(reply: FakeReply, totalTimeoutMs = 5_000): PolicyWorld {
  const world = new PolicyWorld({
    policy: { tools: TOOLS, retries: { ...POLICY.retries, max: 0 } },
    spec: { totalTimeoutMs, firstByteTimeoutMs: 4_000 },
  });
  world.script = () => reply;
  return world;
}

/** Events with a pause before each. */
function paced(gapMs: number, ...messages: readonly object[]): FakeReply {
  return { ...stream(...messages), gapMs };
}

describe('the whole of a call', () => {
  test('ends when its tool’s time is over, and is aborted at the server', async () => {
    const world = worldOf({ hang: true });
    const { caught } = world.send(world.request('tools/call', { name: 'slow' }));
    await world.sim.advance(295);
    expect(outcomeOf(caught)).toBe('pending');
    await world.sim.advance(10);
    expect([outcomeOf(caught), world.sent[0]?.record.aborted]).toEqual(['GW_UPSTREAM_TIMEOUT', true]);
    expect(caught.failed?.message).toContain('tools."slow".timeoutMs');
    expect(caught.failed?.row.http).toBe(504);
  });

  test('other tools, other methods and quick calls are not touched', async () => {
    const world = worldOf({ ...stream(result(1)), delayMs: 1_000 });
    expect(outcomeOf(await world.call('other', 2_000))).toBe(200);
    const { caught } = world.send(world.request('prompts/get', { name: 'slow' }));
    await world.sim.advance(2_000);
    expect(outcomeOf(caught)).toBe(200);
    const quick = worldOf({ ...stream(result(1)), delayMs: 250 });
    expect(outcomeOf(await quick.call('slow', 2_000))).toBe(200);
  });

  test('counts from when the client asked', async () => {
    const world = worldOf({ hang: true });
    const startedAtMs = world.sim.clock.now();
    await world.sim.advance(200);
    const { caught } = world.send({ ...world.request('tools/call', { name: 'slow' }), startedAtMs });
    await world.sim.advance(110);
    expect(outcomeOf(caught)).toBe('GW_UPSTREAM_TIMEOUT');
  });

  test('each report of progress puts the end off; log messages and comments do not', async () => {
    const moving = worldOf(paced(200, progress(1), progress(2), progress(3), progress(4), result(1)));
    const caught = await moving.call('slow', 3_000);
    expect([outcomeOf(caught), caught.events.length]).toEqual([200, 5]);
    const talking = worldOf(paced(200, note, note, note, result(1)));
    expect(outcomeOf(await talking.call('slow', 3_000))).toBe('GW_UPSTREAM_TIMEOUT');
    const piece = encode(': still here\n\n');
    const humming = worldOf({ headers: EVENTS, body: [piece, piece, piece], gapMs: 200 });
    expect(outcomeOf(await humming.call('slow', 3_000))).toBe('GW_UPSTREAM_TIMEOUT');
  });

  test('but never beyond timeouts.totalMs', async () => {
    const many = Array.from({ length: 40 }, (_, n) => progress(n));
    const world = worldOf(paced(200, ...many, result(1)), 2_000);
    const { caught } = world.send(world.request('tools/call', { name: 'slow' }));
    await world.sim.advance(1_900);
    expect(outcomeOf(caught)).toBe('pending');
    await world.sim.advance(150);
    expect(outcomeOf(caught)).toBe('GW_UPSTREAM_TIMEOUT');
    expect(caught.failed?.message).toContain('timeouts.totalMs');
  });

  test('once the server has asked its client something, only that bound holds', async () => {
    const world = worldOf(paced(100, question, progress(1), result(1)), 2_000);
    world.script = () => ({ headers: EVENTS, body: [...bodyOf(question), ...bodyOf(result(1))], gapMs: 250 });
    expect(outcomeOf(await world.call('slow', 3_000))).toBe(200);
    world.script = () => ({ headers: EVENTS, body: bodyOf(question), gapMs: 250, hang: true });
    const { caught } = world.send(world.request('tools/call', { name: 'slow' }));
    await world.sim.advance(1_900);
    expect(outcomeOf(caught)).toBe('pending');
    await world.sim.advance(150);
    expect(outcomeOf(caught)).toBe('GW_UPSTREAM_TIMEOUT');
  });

  test('a call that was parked has no such bound any more', async () => {
    const world = worldOf({ hang: true });
    const { caught, call } = world.send(world.request('tools/call', { name: 'slow' }));
    await world.sim.advance(50);
    call.outlast?.();
    await world.sim.advance(4_000);
    expect(outcomeOf(caught)).toBe('pending');
    call.resume();
    call.abort();
    expect(world.sent[0]?.record.aborted).toBe(true);
  });

  test('includes the repeats', async () => {
    const world = new PolicyWorld({ policy: { tools: TOOLS }, spec: { firstByteTimeoutMs: 4_000 } });
    world.script = () => ({ hang: true });
    const { caught } = world.send(world.request('tools/call', { name: 'again' }));
    await world.sim.advance(310);
    expect([outcomeOf(caught), world.sent.length]).toEqual(['GW_UPSTREAM_TIMEOUT', 3]);
    expect(caught.failed?.message).toContain('tools."again".timeoutMs');
    await world.sim.advance(1_000);
    expect(world.sent.map(({ record }) => record.done)).toEqual([true, true, true]);
  });
});

function bodyOf(message: object): readonly string[] {
  return [`event: message\ndata: ${JSON.stringify(message)}\n\n`];
}

describe('what a server hears of it', () => {
  test('a legacy one gets notifications/cancelled in the session, with the id that it knows', async () => {
    const world = worldOf({ hang: true });
    const plain = world.request('tools/call', { name: 'slow' }, { era: 'legacy', session: 's' });
    world.send(plain);
    const start = plain.envelope?.[6] ?? 0;
    const insert = encode('"upstream-7"');
    world.send({ ...plain, edits: [{ start, end: plain.envelope?.[7] ?? 0, insert }] });
    await world.sim.advance(400);
    const cancelled = world.sent.filter(({ message }) => message.method === 'notifications/cancelled');
    expect(cancelled.map(({ message }) => message.params)).toMatchObject([
      { requestId: 1 },
      { requestId: 'upstream-7' },
    ]);
    expect(cancelled.map(({ record }) => [record.session, record.era])).toEqual([
      ['s', 'legacy'],
      ['s', 'legacy'],
    ]);
  });

  test('a modern one, and one without a session, sees the connection end', async () => {
    const world = worldOf({ hang: true });
    await world.call('slow', 400);
    await world.call('slow', 400, { era: 'legacy' });
    expect(world.sent.map(({ record, message }) => [message.method, record.aborted])).toEqual([
      ['tools/call', true],
      ['tools/call', true],
    ]);
  });
});

test('the first byte: in place of the server’s own bound when that is longer, of the call’s as well', async () => {
  const world = worldOf({ hang: true });
  const atMs = world.sim.clock.now();
  expect(outcomeOf(await world.call('first-one', 120))).toBe('GW_UPSTREAM_TIMEOUT');
  expect(outcomeOf(await world.call('first-one', 60, { timeoutMs: 50 }))).toBe('GW_UPSTREAM_TIMEOUT');
  expect(outcomeOf(await world.call('first-one', 120, { timeoutMs: 3_000 }))).toBe('GW_UPSTREAM_TIMEOUT');
  expect(world.sim.clock.now() - atMs).toBeLessThan(350);
  world.script = (sent) => answer(sent);
  expect(outcomeOf(await world.call('first-one', 10))).toBe(200);
});

test('a client that leaves, and a failure of the server, end the watch', async () => {
  const world = worldOf({ hang: true });
  const { caught, call } = world.send(world.request('tools/call', { name: 'slow' }));
  await world.sim.advance(10);
  call.abort();
  await world.sim.advance(1_000);
  expect(outcomeOf(caught)).toBe('pending');
  world.script = () => ({ fail: 'GW_UPSTREAM_CLOSED' });
  expect(outcomeOf(await world.call('slow', 1_000))).toBe('GW_UPSTREAM_CLOSED');
});
