// Results of tools that are kept: which, for whom, and until when.
// Runs src/policy/cache.ts with cacheTools over a scripted server on a simulated clock.
import { expect, test } from 'bun:test';
import { answer, asked, CacheWorld, got, type Question, refusal } from '../../fixtures/cache-world.ts';
import { json, jsonOf } from '../../fixtures/lab.ts';
import { Caught } from '../../fixtures/stdio-world.ts';

const LIST: Question = { method: 'tools/list' };
const call = (name: string, given?: unknown): Question => ({
  method: 'tools/call',
  params: { name, ...(given === undefined ? {} : { arguments: given }) },
});
const SAFE = { readOnlyHint: true, idempotentHint: true };

/** A server whose tools bear these annotations; a call answers with the number of calls so far. */
function worldOf(
  tools: Record<string, unknown>,
  result: Record<string, unknown> = {},
  cacheTools = [{ name: 'get', ttlMs: 1_000 }],
): { world: CacheWorld; executed: () => number } {
  const world = new CacheWorld({ tools: cacheTools });
  world.listens = false;
  let calls = 0;
  world.script = (sent) => {
    const { id, method } = jsonOf(sent.body);
    if (method === 'tools/list')
      return answer(sent, {
        ttlMs: 0,
        tools: Object.entries(tools).map(([name, annotations]) => ({ name, annotations })),
      });
    const said = { resultType: 'complete', content: [], n: ++calls, ...result };
    return { ...json({ jsonrpc: '2.0', id, result: said }), delayMs: 1 };
  };
  return { world, executed: () => calls };
}

async function run(world: CacheWorld, question: Question): Promise<unknown> {
  const { sink } = world.send(question);
  await world.settle(2);
  return got(sink).result?.n;
}

test('a configured tool that is listed with both hints is executed once while its result holds', async () => {
  const { world } = worldOf({ get: SAFE });
  await world.ask(LIST);
  expect(await run(world, call('get', { a: 1, b: [2, { c: 3, d: 4 }] }))).toBe(1);
  expect(await run(world, call('get', { b: [2, { d: 4, c: 3 }], a: 1 }))).toBe(1);
  expect(await run(world, call('get', { a: 1, b: [{ c: 3, d: 4 }, 2] }))).toBe(2);
  expect(await run(world, call('get'))).toBe(3);
  await world.settle(1_000);
  expect(await run(world, call('get'))).toBe(4);
});

const unsafe: readonly [string, Record<string, unknown>, Record<string, unknown>][] = [
  ['is not configured', { other: SAFE }, {}],
  ['is not listed', {}, {}],
  ['has no annotations', { get: undefined }, {}],
  ['only reads', { get: { readOnlyHint: true } }, {}],
  ['is only idempotent', { get: { idempotentHint: true } }, {}],
  ['says so in text', { get: { readOnlyHint: 'true', idempotentHint: 'true' } }, {}],
  ['failed', { get: SAFE }, { isError: true }],
  ['asks for input', { get: SAFE }, { resultType: 'input_required' }],
  ['became a task', { get: SAFE }, { resultType: 'task' }],
];
for (const [what, tools, result] of unsafe)
  test(`a tool that ${what} is executed each time`, async () => {
    const { world } = worldOf(tools, result);
    await world.ask(LIST);
    const name = what === 'is not configured' ? 'other' : 'get';
    expect(await run(world, call(name))).toBe(1);
    expect(await run(world, call(name))).toBe(2);
  });

test('nothing is kept of tools that were never listed, nor of one that this client was listed otherwise', async () => {
  const { world } = worldOf({ get: SAFE });
  expect(await run(world, call('get'))).toBe(1);
  expect(await run(world, call('get'))).toBe(2);
  await world.ask({ ...LIST, as: 'a' });
  for (const n of [3, 4]) expect(await run(world, { ...call('get'), as: 'b' })).toBe(n);
  for (const n of [5, 5]) expect(await run(world, { ...call('get'), as: 'a' })).toBe(n);
});

test('results are never shown to other clients, nor are calls shared with them', async () => {
  const { world, executed } = worldOf({ get: SAFE });
  for (const as of ['a', 'b']) await world.ask({ ...LIST, as });
  const sinks = ['a', 'a', 'b'].map((as, id) => world.send({ ...call('get'), as, id }).sink);
  await world.settle(5);
  expect(sinks.map((sink) => got(sink).result?.n)).toEqual([1, 1, 2]);
  expect(await run(world, { ...call('get'), as: 'b' })).toBe(2);
  expect(executed()).toBe(2);
});

test('mirrored headers count as arguments do', async () => {
  const { world } = worldOf({ get: SAFE });
  await world.ask(LIST);
  const send = async (region: string): Promise<unknown> => {
    const request = asked(call('get'));
    const sink = new Caught();
    world.upstream.send({ ...request, headers: [...request.headers, 'mcp-param-region', region] }, sink);
    await world.settle(2);
    return got(sink).result?.n;
  };
  expect([await send('eu'), await send('eu'), await send('us')]).toEqual([1, 1, 2]);
});

test('a change of the tools makes results void, and they are asked for their hints again', async () => {
  const { world } = worldOf({ get: SAFE });
  await world.ask(LIST);
  await run(world, call('get'));
  const own = world.send({ method: 'subscriptions/listen', params: { notifications: {} } });
  await world.settle();
  world.listen.acknowledge();
  world.listen.tell('notifications/tools/list_changed');
  expect(await run(world, call('get'))).toBe(2);
  expect(await run(world, call('get'))).toBe(3);
  await world.settle(10_000);
  await world.ask(LIST);
  for (const n of [4, 4]) expect(await run(world, call('get'))).toBe(n);
  own.call.abort();
});

test('a result does not stand in for a server that is down', async () => {
  const { world } = worldOf({ get: SAFE });
  await world.ask(LIST);
  await run(world, call('get'));
  await world.settle(1_500);
  world.script = (sent) => refusal(sent, -32603, 503);
  const { sink } = world.send(call('get'));
  await world.settle();
  expect(sink.head?.status).toBe(503);
});
