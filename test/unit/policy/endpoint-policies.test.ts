// Policies of endpoints: the same server, reached by two of them, treated as each wants it; what a reload keeps and what it changes.
// Runs the policies over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { CallCell } from '../../../src/memory/call-cell.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearEndpoint, clearWorker } from '../../../src/memory/reclaim.ts';
import { withCache } from '../../../src/policy/cache.ts';
import { createFakeUpstream } from '../../../src/upstream/fake.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { asked, CACHE, answer as cacheable } from '../../fixtures/cache-world.ts';
import { Caught, type RequestParts } from '../../fixtures/stdio-world.ts';
import { httpSpec } from '../upstream/http-world.ts';
import { answer, outcomeOf, POLICY, PolicyWorld, result, stream } from './policy-world.ts';

const by = (path: string): RequestParts => ({ client: { principal: '', endpoint: path } });
const QUICK = '/mcp/quick';
const OTHER = '/mcp/other';

function call(world: PolicyWorld, path: string, name = 'any', ms = 2_000): Promise<Caught> {
  return world.call(name, ms, by(path));
}

describe('repeats', () => {
  test('are as many as the endpoint says, at the same server', async () => {
    const world = new PolicyWorld();
    world.adopt({ [QUICK]: { retries: { max: 0 } }, [OTHER]: { retries: { max: 4 } } });
    const runs: [string, unknown, number][] = [];
    for (const path of [QUICK, '/mcp', OTHER]) {
      const before = world.sent.length;
      world.failing(10_000, 'GW_UPSTREAM_CONNECT');
      runs.push([path, outcomeOf(await call(world, path)), world.sent.length - before]);
    }
    expect(runs).toEqual([
      [QUICK, 'GW_UPSTREAM_CONNECT', 1],
      ['/mcp', 'GW_UPSTREAM_CONNECT', 3],
      [OTHER, 'GW_UPSTREAM_CONNECT', 5],
    ]);
  });

  test('of a tool: the endpoint’s rule counts before the server’s, and only in what it says', async () => {
    const tools = [{ pattern: 'job_*', idempotent: true, retries: 1 }];
    const world = new PolicyWorld({ policy: { tools } });
    world.adopt({
      [QUICK]: { tools: [{ pattern: 'played__job_*', idempotent: false }] },
      [OTHER]: { tools: [{ pattern: 'job_a', retries: 3 }] },
    });
    const executions: [string, number][] = [];
    for (const path of ['/mcp', QUICK, OTHER]) {
      const before = world.sent.length;
      world.failing(10_000, 'GW_UPSTREAM_CLOSED');
      await call(world, path, 'job_a');
      executions.push([path, world.sent.length - before]);
    }
    expect(executions).toEqual([
      ['/mcp', 2],
      [QUICK, 1],
      [OTHER, 4],
    ]);
  });

  test('what one endpoint’s list says of a tool serves all of them', async () => {
    const world = new PolicyWorld();
    world.adopt({ [QUICK]: { retries: { max: 1 } } });
    await world.list(by(OTHER));
    world.failing(1, 'GW_UPSTREAM_CLOSED');
    expect([outcomeOf(await call(world, QUICK, 'reader')), world.sent.length]).toEqual([200, 2]);
  });

  test('a call that the endpoint wants sent once says so to whoever else might repeat it', async () => {
    const world = new PolicyWorld({
      server: (own): Upstream => ({
        ...{ name: 'far', transport: 'fake', stats: () => own.fake.stats(), close: () => Promise.resolve() },
        send: (request, sink) => {
          marks.push(request.isSentOnce);
          return own.fake.send(request, sink);
        },
      }),
    });
    const marks: (boolean | undefined)[] = [];
    world.adopt({ [QUICK]: { retries: { max: 0 }, tools: [{ pattern: 'again', retries: 1 }] } });
    await call(world, QUICK);
    await call(world, QUICK, 'again');
    await call(world, '/mcp');
    expect(marks).toEqual([true, undefined, undefined]);
  });
});

describe('the longest time of a call', () => {
  const world = (): PolicyWorld => {
    const made = new PolicyWorld({
      policy: { retries: { ...POLICY.retries, max: 0 }, tools: [{ pattern: 'slow', timeoutMs: 200 }] },
      spec: { totalTimeoutMs: 5_000, firstByteTimeoutMs: 4_000 },
    });
    made.adopt({ [QUICK]: { timeoutMs: 300 }, [OTHER]: { timeoutMs: 60_000 } });
    return made;
  };

  test('holds for every call of the endpoint and for no other', async () => {
    const own = world();
    own.script = () => ({ hang: true });
    const sent = [QUICK, '/mcp', OTHER].map((path) =>
      own.send(own.request('prompts/get', { name: 'a' }, by(path))),
    );
    await own.sim.advance(305);
    expect(sent.map(({ caught }) => outcomeOf(caught))).toEqual([
      'GW_UPSTREAM_TIMEOUT',
      'pending',
      'pending',
    ]);
    expect(sent[0]?.caught.failed?.message).toContain('endpoints.quick.policy.timeoutMs');
    expect(own.sent[0]?.record.aborted).toBe(true);
    for (const { call: one } of sent) one.abort();
  });

  test('progress does not put it off; a tool’s own time holds within it', async () => {
    const own = world();
    const progress = {
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 1, progress: 1 },
    };
    own.script = () => ({ ...stream(progress, progress, progress, progress, result(1)), gapMs: 100 });
    const [ceiling, tool] = [await call(own, QUICK), await call(own, QUICK, 'slow')];
    const told = [ceiling, tool].map(({ failed }) => failed?.message ?? '');
    expect(told).toEqual([
      expect.stringContaining('took longer than 300 ms'),
      expect.stringContaining('took longer than 300 ms'),
    ]);
    own.script = () => ({ hang: true });
    expect((await call(own, QUICK, 'slow')).failed?.message).toContain('tools."slow".timeoutMs');
    own.script = (sent) => ({ ...answer(sent), delayMs: 250 });
    expect(outcomeOf(await call(own, QUICK))).toBe(200);
  });

  test('a stream that lasts is not ended by it', async () => {
    const own = world();
    own.script = () => ({ hang: true });
    const { caught, call: listen } = own.send(own.request('subscriptions/listen', {}, by(QUICK)));
    await own.sim.advance(2_000);
    expect(outcomeOf(caught)).toBe('pending');
    listen.abort();
  });
});

describe('how many at once', () => {
  test('the endpoint’s own bound and the server’s hold both; lists and streams take no place', async () => {
    const world = new PolicyWorld({ policy: { concurrencyMax: 3 } });
    world.script = (sent) => ({ ...answer(sent), delayMs: 100 });
    world.adopt({ [QUICK]: { concurrencyMax: 1 } });
    const listed = world.send(world.request('prompts/list', {}, by(QUICK)));
    const sent = [QUICK, QUICK, '/mcp', '/mcp'].map((path) =>
      world.send(world.request('tools/call', { name: 'any' }, by(path))),
    );
    await world.sim.advance(10);
    const outcomes = sent.map(({ caught }) => outcomeOf(caught));
    expect(outcomes).toEqual(['pending', 'GW_POLICY_BUSY', 'pending', 'GW_POLICY_BUSY']);
    expect(sent[1]?.caught.failed?.message).toContain('endpoint "quick" has 1 under way');
    expect([world.endpointCells[0]?.held(), world.cell.held(), world.sent.length]).toEqual([1, 3, 3]);
    await world.sim.advance(200);
    expect([world.endpointCells[0]?.held(), world.cell.held()]).toEqual([0, 0]);
    expect(outcomeOf(listed.caught)).toBe(200);
  });

  test('a refusal at the server gives the endpoint’s place back', async () => {
    const world = new PolicyWorld({ policy: { concurrencyMax: 1 } });
    world.script = () => ({ hang: true });
    world.adopt({ [QUICK]: { concurrencyMax: 5 } });
    const first = world.send(world.request('tools/call', { name: 'any' }, by('/mcp')));
    const refused = world.send(world.request('tools/call', { name: 'any' }, by(QUICK)));
    await world.sim.advance(5);
    expect([outcomeOf(refused.caught), world.endpointCells[0]?.held()]).toEqual(['GW_POLICY_BUSY', 0]);
    first.call.abort();
  });

  test('all workers count together; what a dead one held and what a former endpoint had is given back', () => {
    const shape = { workers: 2, upstreams: 1, endpoints: 3, ringBytes: 4096, journalRecords: 1 };
    const memory = createMemory(shape, 0);
    const [one, other] = [0, 1].map((worker) => new CallCell(memory, 2, worker, 'endpoint'));
    const beside = new CallCell(memory, 1, 0, 'endpoint');
    expect([one?.acquire(2), other?.acquire(2), one?.acquire(2)]).toEqual([true, true, false]);
    expect([one?.held(), beside.held()]).toEqual([2, 0]);
    clearWorker(memory, 1);
    expect([one?.held(), other?.held()]).toEqual([1, 1]);
    clearEndpoint(memory, 2);
    expect(one?.held()).toBe(0);
  });
});

test('hedging is the endpoint’s to choose', async () => {
  const world = new PolicyWorld();
  world.adopt({ [QUICK]: { hedge: { enabled: true, minMs: 5, budgetPercent: 100 } } });
  const sentBy = async (path: string): Promise<number> => {
    world.script = (sent) => answer(sent);
    await world.list(by(path));
    for (let n = 0; n < 40; n++) await call(world, path, 'reader', 5);
    const before = world.sent.length;
    world.script = (sent) => ({ ...answer(sent), delayMs: 500 });
    await call(world, path, 'reader');
    return world.sent.length - before;
  };
  expect([await sentBy('/mcp'), await sentBy(QUICK)]).toEqual([1, 2]);
});

describe('over a reload', () => {
  test('a call goes on by what it began with, the next one by what holds then', async () => {
    const world = new PolicyWorld();
    world.script = () => ({ hang: true });
    world.adopt({ [QUICK]: { timeoutMs: 1_000 } });
    const before = world.send(world.request('tools/call', { name: 'any' }, by(QUICK)));
    world.adopt({ [QUICK]: { timeoutMs: 100 } });
    const after = world.send(world.request('tools/call', { name: 'any' }, by(QUICK)));
    await world.sim.advance(110);
    expect([before, after].map(({ caught }) => outcomeOf(caught))).toEqual([
      'pending',
      'GW_UPSTREAM_TIMEOUT',
    ]);
    await world.sim.advance(900);
    expect(outcomeOf(before.caught)).toBe('GW_UPSTREAM_TIMEOUT');
    world.adopt({});
    const plain = world.send(world.request('tools/call', { name: 'any' }, by(QUICK)));
    await world.sim.advance(1_100);
    expect(outcomeOf(plain.caught)).toBe('pending');
    plain.call.abort();
  });

  test('an endpoint that says the same keeps its budget', async () => {
    const world = new PolicyWorld();
    const policy = { retries: { max: 1, budgetPercent: 0, perSecondMin: 1 } };
    const tries: number[] = [];
    world.failing(10_000, 'GW_UPSTREAM_CONNECT');
    for (const next of [policy, { ...policy }, { retries: { ...policy.retries, perSecondMin: 2 } }]) {
      world.adopt({ [QUICK]: next });
      const before = world.sent.length;
      await call(world, QUICK, 'any', 50);
      tries.push(world.sent.length - before);
    }
    // The one repeat of the first second is spent; another budget is a new one.
    expect(tries).toEqual([2, 1, 2]);
  });
});

test('closing lets go of what waits in any chain, and closes the server once', async () => {
  let closed = 0;
  const world = new PolicyWorld({
    server: (own): Upstream => ({
      ...{
        name: 'far',
        transport: 'fake',
        stats: () => own.fake.stats(),
        send: (request, sink) => own.fake.send(request, sink),
      },
      close: () => {
        closed++;
        return Promise.resolve();
      },
    }),
  });
  world.failing(10_000, 'GW_UPSTREAM_CONNECT');
  world.adopt({ [QUICK]: { retries: { max: 3, backoffMs: 1_000, backoffMaxMs: 1_000 } } });
  const { caught } = world.send(world.request('tools/call', { name: 'any' }, by(QUICK)));
  await world.sim.advance(20);
  expect(outcomeOf(caught)).toBe('pending');
  await world.upstream.close(0);
  expect([outcomeOf(caught), closed]).toEqual(['GW_UPSTREAM_CONNECT', 1]);
});

test('the cache is the endpoint’s to choose, whatever the server’s own choice is', async () => {
  const { sim, scanner } = new PolicyWorld();
  const choices: Readonly<Record<string, boolean>> = { [QUICK]: true, [OTHER]: false };
  for (const isOptIn of [false, true]) {
    const fake = createFakeUpstream({ clock: sim.clock, script: (sent) => cacheable(sent, {}) });
    const cache = withCache(fake, {
      spec: httpSpec({}, { cache: { ...CACHE, isOptIn } }),
      ...{ scanner, clock: sim.clock, random: sim.random },
      cachingOf: (path) => choices[path] ?? null,
    });
    const executions: [string, number][] = [];
    for (const endpoint of [QUICK, OTHER, '/mcp']) {
      const lists = (): number => fake.sent.filter(({ body }) => decode(body).includes('tools/list')).length;
      const before = lists();
      for (let n = 0; n < 3; n++) {
        cache.send(asked({ method: 'tools/list', endpoint }), new Caught());
        await sim.advance(10);
      }
      executions.push([endpoint, lists() - before]);
    }
    expect([isOptIn, executions]).toEqual([
      isOptIn,
      [
        [QUICK, 1],
        [OTHER, 3],
        ['/mcp', isOptIn ? 3 : 1],
      ],
    ]);
    await cache.close(0);
  }
});
