// Several replicas as one upstream: who is chosen, that sessions stay where they began, and what a replica that refuses gets.
// Runs src/upstream/balance.ts over scripted upstreams on a simulated clock; two real servers behind a plane at the end.
import { afterEach, describe, expect, test } from 'bun:test';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { createFakeUpstream, type FakeUpstream } from '../../../src/upstream/fake.ts';
import type { HttpTarget } from '../../../src/upstream/spec.ts';
import type { UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { echoId, startByteServer, startPlane, targetOf } from '../../fixtures/plane.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { codeOf, requestOf } from './http-world.ts';

class World {
  readonly sim = createSimRuntime({ seed: 7 });
  readonly loads: number[];
  readonly out: boolean[];
  readonly fakes: readonly FakeUpstream[];
  readonly upstream;

  constructor(count: number) {
    this.loads = Array.from({ length: count }, () => 0);
    this.out = Array.from({ length: count }, () => false);
    this.fakes = this.loads.map((_, index) =>
      createFakeUpstream({
        clock: this.sim.clock,
        name: 'docs',
        script: () => ({
          headers: { 'content-type': 'application/json', 'mcp-session-id': `s-${index}.x` },
          body: '{}',
        }),
      }),
    );
    this.upstream = withReplicas(
      this.fakes.map((upstream, index) => ({
        upstream,
        load: () => this.loads[index] ?? 0,
        refuses: () => this.out[index] ?? false,
      })),
      this.sim,
    );
  }

  async send(parts: Partial<UpstreamRequest> = {}): Promise<Caught> {
    const sink = new Caught();
    this.upstream.send({ ...requestOf(), ...parts }, sink);
    await this.sim.advance(5);
    return sink;
  }

  counts(): number[] {
    return this.fakes.map(({ sent }) => sent.length);
  }
}

describe('who is chosen', () => {
  test('of two the less busy one, always', async () => {
    const world = new World(2);
    world.loads[0] = 1;
    for (let n = 0; n < 20; n++) await world.send();
    expect(world.counts()).toEqual([0, 20]);
  });

  test('of many the busiest never, and every other gets its part', async () => {
    const world = new World(5);
    world.loads[3] = 9;
    for (let n = 0; n < 200; n++) await world.send();
    const counts = world.counts();
    expect(counts[3]).toBe(0);
    for (const index of [0, 1, 2, 4]) expect(counts[index]).toBeGreaterThan(20);
  });

  test('with equal loads nobody is left out', async () => {
    const world = new World(3);
    for (let n = 0; n < 90; n++) await world.send();
    for (const count of world.counts()) expect(count).toBeGreaterThan(10);
  });

  test('what refuses gets nothing while another takes it, however busy that is', async () => {
    const world = new World(4);
    world.out.fill(true, 0, 3);
    world.loads[3] = 1_000;
    for (let n = 0; n < 40; n++) await world.send();
    expect(world.counts()).toEqual([0, 0, 0, 40]);
  });

  test('when all refuse, one of them says so', async () => {
    const world = new World(3);
    world.out.fill(true);
    const sink = await world.send();
    expect(sink.head?.status).toBe(200);
    expect(world.counts().reduce((a, b) => a + b)).toBe(1);
  });
});

describe('sessions', () => {
  test('go on where they began, under the id of their own server', async () => {
    const world = new World(3);
    for (let n = 0; n < 30; n++) {
      const began = await world.send({ era: 'legacy' });
      const id = began.head?.sessionId ?? '';
      const index = Number(id.split('.')[0]);
      expect(id).toBe(`${index}.s-${index}.x`);
      world.loads[index] = 1_000;
      const before = world.counts();
      const next = await world.send({ era: 'legacy', session: id });
      expect(world.counts()[index]).toBe((before[index] ?? 0) + 1);
      expect(world.fakes[index]?.sent.at(-1)?.session).toBe(`s-${index}.x`);
      expect(next.head?.sessionId).toBe(id);
      world.loads.fill(0);
    }
  });

  test.each(['x', '9.s', '.s', '-1.s', 's-0'])(
    'of no replica (%p) are unknown, and nothing is sent',
    async (session) => {
      const world = new World(2);
      const sink = await world.send({ era: 'legacy', session });
      expect(codeOf(sink)).toBe('GW_SESSION_UNKNOWN');
      expect(world.counts()).toEqual([0, 0]);
    },
  );

  test('of no replica are not told of once nobody waits', async () => {
    const world = new World(2);
    const sink = new Caught();
    world.upstream.send({ ...requestOf(), era: 'legacy', session: '9.s' }, sink).abort();
    await world.sim.advance(5);
    expect(sink.failed).toBeNull();
  });
});

describe('through a plane', () => {
  const open: { stop(): unknown }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.stop();
  });

  test('a server that hangs keeps its calls, and the other gets all that come', async () => {
    const { promise: until, resolve: letGo } = Promise.withResolvers<void>();
    const slow = startByteServer(async (body) => {
      await until;
      return echoId(body);
    });
    const quick = startByteServer(echoId);
    open.push(slow, quick);
    const replica = targetOf({ url: quick.url }) as HttpTarget;
    const plane = startPlane({
      servers: { docs: { url: slow.url } },
      spec: { replicas: [replica], era: 'modern' },
    });
    open.push(plane);
    const call = (id: number): Promise<number> =>
      fetch(`${plane.url}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'x',
        },
        body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
      }).then(async (reply) => {
        await reply.text();
        return reply.status;
      });
    // As long as no call hangs both are equally busy; the first that meets the slow one makes it the busier one for good.
    const waiting: Promise<number>[] = [];
    for (let id = 0; slow.bodies.length === 0 && id < 200; id++) {
      const one = call(id);
      waiting.push(one);
      await Promise.race([one, Bun.sleep(50)]);
    }
    expect(slow.bodies.length).toBe(1);
    const before = quick.bodies.length;
    for (let id = 1_000; id < 1_050; id++) expect(await call(id)).toBe(200);
    expect(quick.bodies.length).toBe(before + 50);
    expect(slow.bodies.length).toBe(1);
    letGo();
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => 200));
  });
});
