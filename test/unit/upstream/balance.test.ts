// Several replicas as one upstream: who is chosen, that sessions stay where they began, and what a replica that refuses gets.
// Runs src/upstream/balance.ts over scripted upstreams on a simulated clock; two real servers behind a plane at the end.
import { afterEach, describe, expect, test } from 'bun:test';
import { concat, EMPTY } from '../../../src/base/bytes.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { ENVELOPE } from '../../../src/scan/contract.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import {
  createFakeUpstream,
  type FakeReply,
  type FakeSent,
  type FakeUpstream,
} from '../../../src/upstream/fake.ts';
import type { HttpTarget } from '../../../src/upstream/spec.ts';
import type { UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { eventOf, eventStream, json, jsonOf } from '../../fixtures/lab.ts';
import { MODERN_META, messageOf, textOf } from '../../fixtures/messages.ts';
import { headerOf } from '../../fixtures/modern-rig.ts';
import { echoId, startByteServer, startPlane, targetOf } from '../../fixtures/plane.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { codeOf, requestOf } from './http-world.ts';

const scanner = chooseScanner('portable').scanner;

class World {
  readonly sim = createSimRuntime({ seed: 7 });
  readonly loads: number[];
  readonly out: boolean[];
  readonly fakes: readonly FakeUpstream[];
  readonly upstream;

  constructor(count: number, answer: (index: number, sent: FakeSent) => FakeReply | null = () => null) {
    this.loads = Array.from({ length: count }, () => 0);
    this.out = Array.from({ length: count }, () => false);
    this.fakes = this.loads.map((_, index) =>
      createFakeUpstream({
        clock: this.sim.clock,
        name: 'docs',
        script: (sent) =>
          answer(index, sent) ?? {
            headers: { 'content-type': 'application/json', 'mcp-session-id': `s-${index}.x` },
            body: '{}',
          },
      }),
    );
    this.upstream = withReplicas(
      this.fakes.map((upstream, index) => ({
        upstream,
        load: () => this.loads[index] ?? 0,
        refuses: () => this.out[index] ?? false,
      })),
      { clock: this.sim.clock, random: this.sim.random, scanner },
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

describe('tasks', () => {
  const TAG = 'io.modelcontextprotocol/subscriptionId';
  const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
  const declaring = { ...MODERN_META, 'io.modelcontextprotocol/clientCapabilities': capabilities };

  /** A modern request of a client that knows tasks, unless its `_meta` says otherwise. */
  function asking(
    method: string,
    params: object,
    more: Partial<UpstreamRequest> = {},
  ): Partial<UpstreamRequest> {
    const { bytes, envelope } = messageOf(
      JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { _meta: declaring, ...params } }),
    );
    return { era: 'modern', body: bytes, envelope, ...more };
  }
  const answering = (result: object) => (): FakeReply => json({ jsonrpc: '2.0', id: 1, result });
  const lastOf = (world: World, index: number): FakeSent => {
    const sent = world.fakes[index]?.sent.at(-1);
    if (sent === undefined) throw new Error('nothing was sent');
    return sent;
  };

  test('live where they began: the id leads back there, header and all', async () => {
    const handle = { resultType: 'task', taskId: 't.1', structuredContent: { taskId: 't.1' } };
    const world = new World(3, (_, sent) =>
      answering(jsonOf(sent.body).method === 'tools/call' ? handle : { taskId: 't.1', status: 'working' })(),
    );
    for (const home of [0, 1, 2]) {
      world.loads.fill(9);
      world.loads[home] = 0;
      let made = '';
      for (let n = 0; n < 50 && !made.includes(`"${home}.t.1"`); n++)
        made = textOf(concat((await world.send(asking('tools/call', { name: 'x' }))).chunks));
      expect(JSON.parse(made)).toMatchObject({ result: { ...handle, taskId: `${home}.t.1` } });
      world.loads.fill(0);
      world.loads[home] = 9;
      for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
        const before = world.counts();
        const taskId = `${home}.t.1`;
        const sink = await world.send(
          asking(method, { taskId }, { headers: ['mcp-method', method, 'mcp-name', taskId] }),
        );
        expect(world.counts()).toEqual(before.map((count, index) => count + (index === home ? 1 : 0)));
        expect(jsonOf(lastOf(world, home).body).params).toHaveProperty('taskId', 't.1');
        expect(headerOf(lastOf(world, home), 'mcp-name')).toBe('t.1');
        expect(JSON.parse(textOf(concat(sink.chunks)))).toMatchObject({ result: { taskId } });
      }
    }
  });

  test('behind an aggregate’s own mark the number is found, and both go', async () => {
    const world = new World(2, answering({ taskId: 't' }));
    const asked = asking('tasks/get', { taskId: 'docs+1.t' }, { headers: ['mcp-name', '1.t'] });
    const start = (asked.envelope?.[ENVELOPE.taskId] ?? 0) + 1;
    await world.send({ ...asked, edits: [{ start, end: start + 5, insert: EMPTY }] });
    expect(world.counts()).toEqual([0, 1]);
    expect(jsonOf(lastOf(world, 1).body).params).toHaveProperty('taskId', 't');
    expect(headerOf(lastOf(world, 1), 'mcp-name')).toBe('t');
  });

  test.each(['t', '', '.t', '2.t', 'zzzzzzz.t', '-1.t'])(
    'an id of no replica (%p) passes as it is',
    async (taskId) => {
      const world = new World(2, answering({}));
      await world.send(asking('tasks/get', { taskId }, { headers: ['mcp-name', taskId] }));
      const [sent] = world.fakes.flatMap((fake) => fake.sent);
      expect(jsonOf(sent?.body ?? EMPTY).params).toHaveProperty('taskId', taskId);
    },
  );

  test('a client that knows no tasks is passed through untouched, reply and all', async () => {
    const world = new World(2, answering({ resultType: 'task', taskId: 't' }));
    const sink = await world.send(asking('tools/call', { name: 'x', _meta: MODERN_META }));
    expect(textOf(concat(sink.chunks))).toContain('"taskId":"t"');
  });

  test('what names no task keeps every byte, events and comments included', async () => {
    const events = [
      ': a comment\n\n',
      'event: x\nid: 4\ndata: {"jsonrpc":"2.0", "method":"m/x"}\n\n',
      'data: no json\n\n',
    ];
    const end =
      'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t"}}\n\n';
    const world = new World(2, () => eventStream([...events, end]));
    const sink = await world.send(asking('tools/call', { name: 'x' }));
    expect(textOf(concat(sink.chunks))).toMatch(
      new RegExp(`^${events.join('')}${end.replace('"t"', '"[01].t"')}$`.replaceAll('{', '\\{')),
    );
  });

  test('a listen hears the replica of its first task, and is told which tasks that are', async () => {
    const told = (method: string, params: object): string =>
      eventOf({ jsonrpc: '2.0', method, params: { ...params, _meta: { [TAG]: 1 } } });
    const world = new World(3, () =>
      eventStream([
        told('notifications/subscriptions/acknowledged', { notifications: { x: 1, taskIds: ['a', 'b'] } }),
        told('notifications/tasks', { taskId: 'b', status: 'working' }),
      ]),
    );
    const notifications = { toolsListChanged: true, taskIds: ['x', '2.a', '1.c', '2.b'], x: 1 };
    const sink = await world.send(asking('subscriptions/listen', { notifications }));
    expect(world.counts()).toEqual([0, 0, 1]);
    expect(jsonOf(lastOf(world, 2).body).params?.notifications).toEqual({
      ...notifications,
      taskIds: ['a', 'b'],
    });
    const heard = textOf(concat(sink.chunks));
    expect(heard).toContain('{"notifications":{"x":1,"taskIds":["2.a","2.b"]}');
    expect(heard).toContain('{"taskId":"2.b","status":"working"');
  });

  test('whoever leaves in the middle of a chunk hears nothing more', async () => {
    const world = new World(2, () => eventStream([`${eventOf({ jsonrpc: '2.0', method: 'a' })}`.repeat(3)]));
    const sink = new Caught();
    const call = world.upstream.send({ ...requestOf(), ...asking('tools/call', { name: 'x' }) }, sink);
    sink.onData = (bytes) => {
      sink.chunks.push(bytes);
      call.abort();
      return true;
    };
    await world.sim.advance(5);
    expect([sink.chunks.length, sink.over]).toEqual([1, false]);
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
