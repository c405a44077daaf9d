// What is kept of servers' lists: for whom, how much of it, and for how long.
// Run by `bun test`; on a simulated clock.
import { expect, test } from 'bun:test';
import type { Member } from '../../../src/bridge/member.ts';
import { ListMemory } from '../../../src/proxy/list-memory.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { messageOf } from '../../fixtures/messages.ts';

const memberOf = (name: string) => ({ spec: { name } }) as unknown as Member;
const page = (result: object) =>
  messageOf(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: [], ...result } }));
const METHOD = 'tools/list';
const ANY = { ageMs: 1_000, isCurrent: false };
const key = (partition: string) => ({ asked: 'modern {}', partition });

test('a list is shown to whom it was given, unless its server calls it public', () => {
  const { clock } = createSimRuntime({ seed: 1 });
  const memory = new ListMemory(clock, 10_000);
  const [a, b] = [memberOf('a'), memberOf('b')];
  memory.remember(a, METHOD, key('alice'), [page({ cacheScope: 'private' })]);
  expect(memory.recall(a, METHOD, key('alice'), ANY)).not.toBeNull();
  expect(memory.recall(a, METHOD, key('bob'), ANY)).toBeNull();
  expect(memory.recall(b, METHOD, key('alice'), ANY)).toBeNull();
  expect(memory.recall(a, METHOD, { asked: 'legacy', partition: 'alice' }, ANY)).toBeNull();
  // Of the same name, but configured anew.
  expect(memory.recall(memberOf('a'), METHOD, key('alice'), ANY)).toBeNull();
  memory.remember(b, METHOD, key('alice'), [page({ cacheScope: 'public' }), page({})]);
  expect(memory.recall(b, METHOD, key('bob'), ANY)).toBeNull();
  memory.remember(b, METHOD, key('alice'), [page({ cacheScope: 'public' })]);
  expect(memory.recall(b, METHOD, key('bob'), ANY)).not.toBeNull();
});

test('it is bounded in bytes and in time; what was used longest ago goes', async () => {
  const sim = createSimRuntime({ seed: 1 });
  const memory = new ListMemory(sim.clock, 1_000);
  const a = memberOf('a');
  const big = page({ x: 'x'.repeat(300) });
  for (const who of ['1', '2']) memory.remember(a, METHOD, key(who), [big]);
  memory.recall(a, METHOD, key('1'), ANY);
  memory.remember(a, METHOD, key('3'), [big]);
  expect(['1', '2', '3'].map((who) => memory.recall(a, METHOD, key(who), ANY) !== null)).toEqual([
    true,
    false,
    true,
  ]);
  expect(memory.bytes).toBe(2 * big.bytes.length);
  memory.remember(a, METHOD, key('1'), [page({ x: 'x'.repeat(2_000) })]);
  expect(memory.recall(a, METHOD, key('1'), ANY)).toBeNull();
  memory.outdate(a, METHOD);
  expect(memory.recall(a, METHOD, key('3'), { ageMs: 1_000, isCurrent: true })).toBeNull();
  await sim.advance(1_001);
  expect(memory.recall(a, METHOD, key('3'), ANY)).toBeNull();
  memory.sweep(1_000);
  expect(memory.bytes).toBe(0);
});
