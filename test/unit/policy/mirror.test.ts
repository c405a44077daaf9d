// Copies of requests to another place: which are made, what goes along, and that the original knows nothing of them.
// Runs src/policy/mirror.ts over scripted upstreams on a simulated clock; both places count what they execute.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { withMirror } from '../../../src/policy/mirror.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import type { HttpTarget, MirrorSettings, ServerSpec } from '../../../src/upstream/spec.ts';
import type { UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { json, jsonOf } from '../../fixtures/lab.ts';
import { messageOf, modernRequest, textOf } from '../../fixtures/messages.ts';
import { targetOf } from '../../fixtures/plane.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { requestOf } from '../upstream/http-world.ts';

const scanner = chooseScanner('portable').scanner;
const SEED = 41;

class World {
  readonly sim = createSimRuntime({ seed: SEED });
  reply: FakeReply = json({ jsonrpc: '2.0', id: 1, result: {} });
  shadowReply: FakeReply = json({ jsonrpc: '2.0', id: 1, result: { shadow: true } });
  readonly server = createFakeUpstream({ clock: this.sim.clock, script: () => this.reply });
  readonly shadow = createFakeUpstream({ clock: this.sim.clock, script: () => this.shadowReply });
  readonly upstream;

  constructor(
    settings: Partial<MirrorSettings> = {},
    tools: NonNullable<ServerSpec['policy']>['tools'] = [],
  ) {
    const target = targetOf({ url: 'http://10.0.0.9/mcp' }) as HttpTarget;
    const policy = {
      retries: { max: 0, budgetPercent: 0, perSecondMin: 0, backoffMs: 0, backoffMaxMs: 0 },
      hedge: { enabled: false, afterPercentile: 95, minMs: 0, budgetPercent: 1 },
      ...{ idempotencyKey: 'never' as const, concurrencyMax: 0, tools },
    };
    this.upstream = withMirror(this.server, {
      spec: { policy, forwardHeaders: ['authorization', 'x-tenant'] },
      settings: { target, percent: 100, all: false, forwardHeaders: [], ...settings },
      shadow: this.shadow,
      random: this.sim.random,
      scanner,
    });
  }

  /** Sends a modern request, and lets some time pass. */
  async send(
    method: string,
    params: Record<string, unknown> = {},
    more: Partial<UpstreamRequest> = {},
  ): Promise<Caught> {
    const { bytes, envelope } = messageOf(modernRequest(1, method, params));
    const sink = new Caught();
    this.upstream.send({ ...requestOf(), era: 'modern', body: bytes, envelope, ...more }, sink);
    await this.sim.advance(5);
    return sink;
  }

  /** What the two executed. */
  get counts(): number[] {
    return [this.server.sent.length, this.shadow.sent.length];
  }
}

describe('copied', () => {
  const reads = [
    'server/discover',
    'tools/list',
    'prompts/list',
    'prompts/get',
    'resources/list',
    'resources/read',
    'resources/templates/list',
    'completion/complete',
  ];
  test.each(reads)('is what reads (%s), once, and its client hears only the server', async (method) => {
    const world = new World();
    const sink = await world.send(method);
    expect(world.counts).toEqual([1, 1]);
    expect(world.shadow.sent[0]?.body).toEqual(world.server.sent[0]?.body ?? new Uint8Array(0));
    expect([sink.head?.status, sink.text.includes('shadow')]).toEqual([200, false]);
  });

  test('is a call of a tool that may be called twice, by its annotations or by the configuration', async () => {
    const world = new World({}, [{ pattern: 'declared', idempotent: true }]);
    await world.send('tools/call', { name: 'reading' });
    await world.send('tools/call', { name: 'writing' });
    expect(world.counts).toEqual([2, 0]);
    world.reply = json({
      ...{ jsonrpc: '2.0', id: 1 },
      result: { tools: [{ name: 'reading', annotations: { readOnlyHint: true } }, { name: 'writing' }] },
    });
    await world.send('tools/list');
    for (const name of ['reading', 'writing', 'declared']) await world.send('tools/call', { name });
    expect(world.shadow.sent.slice(1).map(({ body }) => jsonOf(body).params?.name)).toEqual([
      'reading',
      'declared',
    ]);
  });

  test('is a call of any tool with `all`', async () => {
    const world = new World({ all: true });
    await world.send('tools/call', { name: 'writing' });
    expect(world.counts).toEqual([1, 1]);
  });

  test('is a share', async () => {
    const world = new World({ percent: 20 });
    for (let n = 0; n < 1_000; n++) await world.send('tools/list');
    const copies = world.counts[1] ?? 0;
    console.info(`${copies} of 1000 were copied (seed ${SEED})`);
    expect(Math.abs(copies - 200)).toBeLessThan(5 * Math.sqrt(160));
  });
});

describe('not copied', () => {
  const others: readonly (readonly [string, Record<string, unknown>, Partial<UpstreamRequest>])[] = [
    ['subscriptions/listen', { notifications: {} }, {}],
    ['tasks/get', { taskId: 't' }, {}],
    ['tasks/cancel', { taskId: 't' }, {}],
    ['notifications/cancelled', { requestId: 1 }, {}],
    ['vendor/anything', {}, {}],
    ['tools/list', {}, { era: 'legacy' }],
    ['tools/list', {}, { era: 'legacy', session: 's' }],
    ['tools/call', { name: 'x', requestState: 's' }, {}],
    ['tools/call', { name: 'x', inputResponses: {} }, {}],
  ];
  test.each(others)('%s %p %p, not even with `all`', async (method, params, more) => {
    const world = new World({ all: true });
    await world.send(method, params, more);
    expect(world.counts).toEqual([1, 0]);
  });

  test('are more than a few at a time: a shadow that hangs costs the client nothing', async () => {
    const world = new World();
    world.shadowReply = { hang: true };
    for (let n = 0; n < 50; n++) expect((await world.send('tools/list')).ended).toBe(1);
    expect(world.counts).toEqual([50, LIMITS.mirrorConnectionsMax]);
    await world.upstream.close(0);
    expect(world.shadow.sent.every(({ aborted }) => aborted)).toBe(true);
  });
});

test('a shadow that fails, or says too much, is nobody’s business', async () => {
  const world = new World();
  for (const reply of [
    { fail: 'GW_UPSTREAM_CONNECT' as const },
    { fail: 'GW_UPSTREAM_BUSY' as const },
    { status: 500 },
    { headers: { 'content-type': 'text/event-stream' }, body: Array.from({ length: 50 }, () => ': x\n\n') },
  ]) {
    world.shadowReply = reply;
    for (let n = 0; n < 20; n++) {
      const sink = await world.send('tools/list');
      expect([sink.ended, sink.failed, sink.head?.status]).toEqual([1, null, 200]);
    }
  }
  expect(world.counts).toEqual([80, 80]);
});

test('a client’s headers stay behind but those of the protocol, of traces and those that are named', async () => {
  const headers = [
    ...[
      'accept',
      'application/json',
      'mcp-method',
      'tools/list',
      'traceparent',
      't',
      'authorization',
      'Bearer x',
    ],
    ...['x-tenant', 'a'],
  ];
  const world = new World();
  await world.send('tools/list', {}, { headers });
  expect(world.server.sent[0]?.headers).toEqual(headers);
  expect(world.shadow.sent[0]?.headers).toEqual(headers.slice(0, 6));
  const named = new World({ forwardHeaders: ['x-tenant'] });
  await named.send('tools/list', {}, { headers });
  expect(named.shadow.sent[0]?.headers).toEqual([...headers.slice(0, 6), 'x-tenant', 'a']);
});

test('a copy does not live on the envelope of its original', async () => {
  const world = new World();
  const { bytes, envelope } = messageOf(modernRequest(1, 'tools/list'));
  const request = { ...requestOf(), era: 'modern' as const, body: bytes, envelope };
  let copied: Int32Array | null = null;
  const send = world.shadow.send.bind(world.shadow);
  world.shadow.send = (copy, sink) => {
    copied = copy.envelope;
    return send(copy, sink);
  };
  world.upstream.send(request, new Caught()).abort();
  envelope.fill(-1);
  await world.sim.advance(5);
  expect(copied).not.toBe(envelope);
  expect(textOf(world.shadow.sent[0]?.body ?? new Uint8Array(0))).toContain('tools/list');
});
