// The bound on a server's requests: what is refused was never sent, what is over makes room, other workers count.
// Runs the policies over a scripted server on a simulated clock.
import { expect, test } from 'bun:test';
import { CallCell } from '../../../src/memory/call-cell.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearWorker } from '../../../src/memory/reclaim.ts';
import { modern, requestOf } from '../../fixtures/stdio-world.ts';
import { answer, outcomeOf, PolicyWorld } from './policy-world.ts';

function worldOf(concurrencyMax: number): PolicyWorld {
  const world = new PolicyWorld({ policy: { concurrencyMax } });
  world.script = (sent) => ({ ...answer(sent), delayMs: 100 });
  return world;
}

test('one too many is refused with 503 before anything is sent, and told when to come again', async () => {
  const world = worldOf(2);
  const sent = [1, 2, 3].map(() => world.send(world.request('tools/call', { name: 'any' })).caught);
  expect(sent.map(outcomeOf)).toEqual(['pending', 'pending', 'pending']);
  await world.sim.advance(10);
  expect([sent.map(outcomeOf), world.sent.length]).toEqual([['pending', 'pending', 'GW_POLICY_BUSY'], 2]);
  const row = sent[2]?.failed?.row;
  expect([row?.http, row?.retry, row?.source]).toEqual([503, 'safe', 'gateway']);
  await world.sim.advance(200);
  expect([sent.map(outcomeOf), world.cell.held()]).toEqual([[200, 200, 'GW_POLICY_BUSY'], 0]);
  expect(outcomeOf(await world.call('any'))).toBe(200);
});

test('a place is given back once, however the request ends', async () => {
  const world = worldOf(1);
  for (const end of ['reply', 'fail', 'leave', 'leave late', 'outlast'] as const) {
    world.script = (sent) => {
      if (end === 'fail') return { fail: 'GW_UPSTREAM_CLOSED' };
      return end === 'reply' ? answer(sent) : { hang: true };
    };
    const { call } = world.send(world.request('tools/call', { name: 'any' }));
    expect(world.cell.held()).toBe(1);
    if (end === 'leave') call.abort();
    await world.sim.advance(20);
    call.resume();
    if (end === 'leave late') call.abort();
    if (end === 'outlast') {
      call.outlast?.();
      call.abort();
    }
    expect([end, world.cell.held()]).toEqual([end, 0]);
  }
});

test('a refusal that nobody waits for is not told', async () => {
  const world = worldOf(1);
  world.send(world.request('tools/call', { name: 'any' }));
  const { caught, call } = world.send(world.request('tools/call', { name: 'any' }));
  call.resume();
  call.abort();
  await world.sim.advance(10);
  expect(outcomeOf(caught)).toBe('pending');
});

test('notifications and streams that last take no place', async () => {
  const world = worldOf(1);
  world.send(world.request('tools/call', { name: 'any' }));
  world.script = () => ({ hang: true });
  const note = { jsonrpc: '2.0', method: 'notifications/initialized' };
  for (const request of [
    requestOf(note),
    requestOf(note, { verb: 'GET' }),
    requestOf(modern(2, 'subscriptions/listen')),
  ])
    world.send(request);
  await world.sim.advance(10);
  expect([world.sent.length, world.cell.held()]).toEqual([4, 1]);
});

test('a call that is sent again keeps its one place', async () => {
  const world = worldOf(1);
  world.failing(2, 'GW_UPSTREAM_CONNECT');
  const { caught } = world.send(world.request('tools/call', { name: 'any' }));
  await world.sim.advance(15);
  expect(world.cell.held()).toBe(1);
  await world.sim.advance(500);
  expect([outcomeOf(caught), world.cell.held(), world.sent.length]).toEqual([200, 0, 3]);
});

test('all workers share the bound; what a dead one held is given back', () => {
  const shape = { workers: 2, upstreams: 2, endpoints: 0, ringBytes: 4096, journalRecords: 1 };
  const memory = createMemory(shape, 0);
  const [one, other] = [new CallCell(memory, 1, 0), new CallCell(memory, 1, 1)];
  const elsewhere = new CallCell(memory, 0, 0);
  expect([one.acquire(2), other.acquire(2), one.acquire(2), other.acquire(2)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect([one.held(), elsewhere.held()]).toEqual([2, 0]);
  clearWorker(memory, 1);
  expect([one.held(), one.acquire(2), other.acquire(2)]).toEqual([1, true, false]);
  one.release();
  one.release();
  expect(() => one.release()).toThrow();
});
