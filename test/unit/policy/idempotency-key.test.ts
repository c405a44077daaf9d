// Keys in `_meta`: who gets one, that repeats share it, and that nothing else of the body changes.
// Runs the policies over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode, encode } from '../../../src/base/bytes.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import type { KeyPolicy, ToolRule } from '../../../src/upstream/spec.ts';
import { requestOf } from '../../fixtures/stdio-world.ts';
import { answer, outcomeOf, POLICY, PolicyWorld } from './policy-world.ts';

const KEY = 'sluice/idempotencyKey';
const TOOLS: readonly ToolRule[] = [
  { pattern: 'mine', idempotent: true },
  { pattern: 'once', idempotent: true, retries: 0, hedge: false },
  { pattern: 'not', idempotent: false },
];

function worldOf(idempotencyKey: KeyPolicy): PolicyWorld {
  return new PolicyWorld({ policy: { idempotencyKey, tools: TOOLS } });
}

function keysOf(world: PolicyWorld): readonly unknown[] {
  return world.sent.map(
    ({ message }) => (message.params as { _meta?: Record<string, unknown> })._meta?.[KEY],
  );
}

/** The bodies as the server got them, with keys of equal length put in the place of all. */
function bodiesOf(world: PolicyWorld): readonly string[] {
  return world.sent.map(({ record }) => decode(record.body).replace(/[0-9a-f]{32}/, 'K'));
}

describe('who gets one', () => {
  test('declared: tools that the configuration calls idempotent, and that may be sent again', async () => {
    const world = worldOf('declared');
    await world.list();
    for (const tool of ['mine', 'once', 'not', 'reader', 'silent']) await world.call(tool, 10);
    const [mine, ...others] = keysOf(world);
    expect(mine).toMatch(/^[0-9a-f]{32}$/);
    expect(others).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('all: those that the server calls so, too', async () => {
    const world = worldOf('all');
    await world.list();
    for (const tool of ['mine', 'reader', 'once', 'not', 'silent']) await world.call(tool, 10);
    const [mine, reader, ...others] = keysOf(world);
    expect(mine).not.toEqual(reader);
    expect([mine, reader].every((key) => typeof key === 'string')).toBe(true);
    expect(others).toEqual([undefined, undefined, undefined]);
  });

  test('never: nobody', async () => {
    const world = worldOf('never');
    await world.call('mine', 10);
    expect(keysOf(world)).toEqual([undefined]);
  });

  test('nobody where nothing is sent again', async () => {
    const retries = { ...POLICY.retries, max: 0 };
    const world = new PolicyWorld({ policy: { idempotencyKey: 'all', retries, tools: TOOLS } });
    await world.call('mine', 10);
    expect(keysOf(world)).toEqual([undefined]);
  });
});

test('a call and its repeats share the key; another call has its own', async () => {
  const world = worldOf('declared');
  world.failing(2, 'GW_UPSTREAM_CLOSED');
  expect(outcomeOf(await world.call('mine'))).toBe(200);
  await world.call('mine', 10);
  const [first, second, third, other] = keysOf(world);
  expect([second, third]).toEqual([first, first]);
  expect(other).not.toBe(first);
});

describe('the body', () => {
  const raw = async (body: string, edits: Parameters<typeof requestOf>[1] = {}): Promise<string> => {
    const world = worldOf('declared');
    world.send(requestOf(body, edits));
    await world.sim.advance(10);
    return bodiesOf(world)[0] ?? '';
  };

  test('is spliced: every other byte stays', async () => {
    const head = '{"jsonrpc" : "2.0","id":1,"method":"tools/call","params":';
    const rows: readonly [string, string][] = [
      ['{"name":"mine"}}', `{"_meta":{"${KEY}":"K"},"name":"mine"}}`],
      ['{ "name":"mine", "_meta": { } }}', `{ "name":"mine", "_meta": {"${KEY}":"K" } }}`],
      [
        '{"_meta":{"progressToken":12345678901234567890},"name":"mine","x":1.50}}',
        `{"_meta":{"${KEY}":"K","progressToken":12345678901234567890},"name":"mine","x":1.50}}`,
      ],
    ];
    for (const [params, keyed] of rows) expect(await raw(head + params)).toBe(head + keyed);
  });

  test('a key that the client has set stays', async () => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"${KEY}":"own"},"name":"mine"}}`;
    expect(await raw(body)).toBe(body);
  });

  test('edits of others are made as well, and what is sent is described by its envelope', async () => {
    const world = new PolicyWorld({
      policy: { idempotencyKey: 'declared', tools: TOOLS },
      server: (w) => ({
        ...w.fake,
        name: 'looking',
        transport: 'fake',
        stats: () => w.fake.stats(),
        close: (ms) => w.fake.close(ms),
        send: (request, sink) => {
          const { body, envelope, edits } = request;
          const at = envelope?.[ENVELOPE.name] ?? -1;
          seen.push([decode(body, at, envelope?.[ENVELOPE.name + 1]), edits.length]);
          return w.fake.send(request, sink);
        },
      }),
    });
    const seen: unknown[] = [];
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x__mine","_meta":{}}}';
    const start = body.indexOf('x__');
    world.send(requestOf(body, { edits: [{ start, end: start + 3, insert: encode('') }] }));
    await world.sim.advance(10);
    expect(seen).toEqual([['"mine"', 0]]);
    expect(world.sent[0]?.message.params).toMatchObject({ name: 'mine' });
  });

  test('without params, or with a `_meta` that is none, it stays as it is', async () => {
    for (const params of [',"params":[1]', ',"params":{"name":"mine","_meta":7}', ''])
      expect(await raw(`{"jsonrpc":"2.0","id":1,"method":"tools/call"${params}}`)).not.toContain(KEY);
  });
});

test('a hedged call shares its key between both requests', async () => {
  const tools = [{ pattern: 'mine', idempotent: true }];
  const hedge = { ...POLICY.hedge, enabled: true };
  const retries = { ...POLICY.retries, max: 0 };
  const world = new PolicyWorld({ policy: { idempotencyKey: 'declared', tools, hedge, retries } });
  world.script = (sent) => ({ ...answer(sent), delayMs: 20 });
  for (let n = 0; n < 32; n++) await world.call('mine', 30);
  world.script = (sent) => ({ ...answer(sent), delayMs: 500 });
  await world.call('mine');
  const keys = keysOf(world).slice(-2);
  expect([keys.length, keys[0] === keys[1], new Set(keysOf(world)).size]).toEqual([2, true, 33]);
});
