// Questions whether a replica is up: what is asked, by what way, what the answers mean, and that no session is begun for it.
// Runs src/upstream/probes.ts over scripted upstreams on a simulated clock.
import { expect, test } from 'bun:test';
import type { ErrorCode } from '../../../src/base/errors.ts';
import { createMemory, soloShape } from '../../../src/memory/memory.ts';
import { ReplicaCell } from '../../../src/memory/replica-cell.ts';
import { createLog } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createFakeUpstream, type FakeReply } from '../../../src/upstream/fake.ts';
import { Prober } from '../../../src/upstream/probes.ts';
import type { HealthSettings, ServerSpec } from '../../../src/upstream/spec.ts';
import { eventOf, eventStream, json, jsonOf } from '../../fixtures/lab.ts';
import { requestOf } from './http-world.ts';

const SETTINGS: HealthSettings = {
  ...{ intervalMs: 1_000, downIntervalMs: 50, timeoutMs: 300, unhealthyAfter: 3, healthyAfter: 1 },
};
const MODERN = json({ jsonrpc: '2.0', id: 'sluice:health', result: { supportedVersions: ['2026-07-28'] } });
const REFUSED = json(
  { jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'no session' } },
  { status: 400 },
);
const PONG = json({ jsonrpc: '2.0', id: 'sluice:health', result: {} });

class World {
  readonly sim = createSimRuntime({ seed: 5 });
  readonly cell: ReplicaCell;
  readonly lines: string[] = [];
  reply: FakeReply = MODERN;
  /** What a client's session answers. */
  inSession: FakeReply = PONG;
  readonly own;
  readonly shared;
  readonly prober: Prober;

  constructor(era: ServerSpec['era'] = 'auto', settings: Partial<HealthSettings> = {}) {
    const { clock, random } = this.sim;
    this.cell = new ReplicaCell(createMemory(soloShape(1, 0), clock.wall()), 0, 0);
    this.own = createFakeUpstream({ clock, script: () => this.reply });
    this.shared = createFakeUpstream({ clock, script: () => this.inSession });
    this.prober = new Prober({
      ...{ name: 'http://r/mcp', settings: { ...SETTINGS, ...settings }, era, cell: this.cell },
      ...{ own: this.own, shared: this.shared, clock, random, offsetMs: 0 },
      scanner: chooseScanner('portable').scanner,
      log: createLog('info', {
        write: (line) => this.lines.push((JSON.parse(line) as { msg: string }).msg),
        wall: () => clock.wall(),
      }),
    });
  }

  get methods(): unknown[] {
    return this.own.sent.map(({ body }) => jsonOf(body).method);
  }
}

test('a modern replica is asked server/discover at each interval, and is up without a word', async () => {
  const world = new World();
  await world.sim.advance(10_000);
  expect(world.own.sent.length).toBeGreaterThanOrEqual(8);
  expect(world.own.sent.length).toBeLessThanOrEqual(13);
  expect(new Set(world.methods)).toEqual(new Set(['server/discover']));
  const [sent] = world.own.sent;
  expect([sent?.era, sent?.session]).toEqual(['modern', null]);
  expect(sent?.headers).toEqual(['mcp-protocol-version', '2026-07-28', 'mcp-method', 'server/discover']);
  expect([world.cell.isDown, world.lines]).toEqual([false, []]);
});

test('intervals differ, so that probes do not come together', async () => {
  const world = new World();
  const at: number[] = [];
  for (let ms = 0; ms < 20_000; ms += 10) {
    const before = world.own.sent.length;
    await world.sim.advance(10);
    if (world.own.sent.length > before) at.push(ms);
  }
  const gaps = at.slice(1).map((ms, index) => ms - (at[index] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(790);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(1_220);
  expect(new Set(gaps).size).toBeGreaterThan(5);
});

const DOWN: readonly (readonly [string, FakeReply])[] = [
  ['refuses connections', { fail: 'GW_UPSTREAM_CONNECT' }],
  ['breaks connections off', { fail: 'GW_UPSTREAM_CLOSED' }],
  ['hangs', { hang: true }],
  ['begins an event stream and hangs', { ...eventStream([': hello\n\n']), hang: true }],
  ['says 503', { status: 503 }],
  ['says 500, after it had answered', { status: 500 }],
];
test.each(DOWN)('one that %s is down after three times, and up as soon as it answers', async (_, reply) => {
  const world = new World();
  await world.sim.advance(3_000);
  world.reply = reply;
  await world.sim.advance(1_250 + 3 * 600);
  expect([world.cell.isDown, world.cell.standing(world.sim.clock.now(), 0)]).toEqual([true, 0]);
  const before = world.own.sent.length;
  await world.sim.advance(5_000);
  expect(world.own.sent.length - before).toBeGreaterThan(8);
  world.reply = MODERN;
  await world.sim.advance('hang' in reply ? 600 : 70);
  expect([world.cell.isDown, world.cell.standing(world.sim.clock.now(), 10_000)]).toEqual([false, 0.1]);
  expect(world.lines).toEqual([
    'a replica does not answer: it gets no requests while there is another',
    'a replica answers again',
  ]);
});

const NOT_DOWN: readonly (readonly [string, FakeReply])[] = [
  ['wants to know who asks', { status: 401 }],
  ['knows no such method', REFUSED],
  ['has no such page', { status: 404 }],
  ['only ever says 500', { status: 500 }],
  ...(['GW_UPSTREAM_BUSY', 'GW_UPSTREAM_OPEN', 'GW_UPSTREAM_CLOSING'] as const).map(
    (fail: ErrorCode): [string, FakeReply] => [`is not asked because of ${fail}`, { fail }],
  ),
];
test.each(NOT_DOWN)('one that %s is not down', async (_, reply) => {
  const world = new World();
  world.reply = reply;
  await world.sim.advance(10_000);
  expect([world.cell.isDown, world.lines]).toEqual([false, []]);
  expect(world.own.sent.length).toBeGreaterThan(5);
});

test('a single answer that is missing is nothing, nor are two', async () => {
  const world = new World();
  await world.sim.advance(3_000);
  for (let n = 0; n < 5; n++) {
    const asked = world.own.sent.length;
    world.reply = { fail: 'GW_UPSTREAM_CONNECT' };
    for (let steps = 0; world.own.sent.length < asked + 2 && steps < 500; steps++) await world.sim.advance(5);
    world.reply = MODERN;
    await world.sim.advance(1_500);
  }
  expect(world.lines).toEqual([]);
});

test('healthyAfter answers in a row bring it back', async () => {
  const world = new World('modern', { healthyAfter: 4 });
  world.reply = { fail: 'GW_UPSTREAM_CONNECT' };
  await world.sim.advance(3_000);
  expect(world.cell.isDown).toBe(true);
  world.reply = MODERN;
  const asked = world.own.sent.length;
  for (let steps = 0; world.cell.isDown && steps < 500; steps++) await world.sim.advance(5);
  expect(world.own.sent.length - asked).toBe(4);
});

test('a legacy one is asked ping, without a session as long as no client has one', async () => {
  const world = new World('legacy');
  world.reply = REFUSED;
  await world.sim.advance(5_000);
  expect(new Set(world.methods)).toEqual(new Set(['ping']));
  expect(world.own.sent.every(({ session, era }) => session === null && era === 'legacy')).toBe(true);
  expect(world.shared.sent).toEqual([]);
});

test('one of unknown era is asked server/discover once, and ping from then on', async () => {
  const world = new World();
  world.reply = REFUSED;
  await world.sim.advance(5_000);
  expect(world.methods.slice(0, 3)).toEqual(['server/discover', 'ping', 'ping']);
});

test('a client’s session is asked ping while it is in use, with its own headers, and let go of with it', async () => {
  const world = new World('legacy');
  world.reply = REFUSED;
  await world.sim.advance(1_000);
  const headers = [
    'mcp-protocol-version',
    '2025-06-18',
    'authorization',
    'Bearer x',
    'accept',
    'text/event-stream',
  ];
  const request = { ...requestOf(), era: 'legacy' as const, session: 's-1', headers };
  world.prober.noteSession(request);
  const before = world.own.sent.length;
  await world.sim.advance(1_300);
  const [asked] = world.shared.sent;
  expect([asked?.session, asked && jsonOf(asked.body).method]).toEqual(['s-1', 'ping']);
  expect(asked?.headers).toEqual(headers.slice(0, 4));
  expect(world.own.sent.length).toBe(before);
  // Its client is silent: so is the probe, in it.
  await world.sim.advance(6_000);
  expect(world.shared.sent.length).toBeLessThanOrEqual(2);
  const asleep = world.shared.sent.length;
  world.prober.noteSession(request);
  world.prober.noteSession({ ...request, verb: 'DELETE' });
  await world.sim.advance(3_000);
  expect(world.shared.sent.length).toBe(asleep);
});

const DOUBTS: readonly (readonly [string, FakeReply])[] = [
  ['is lost', { status: 404 }],
  ['does not answer', { hang: true }],
  ['fails', { status: 500 }],
  ['breaks off', { fail: 'GW_UPSTREAM_CLOSED' }],
];
test.each(DOUBTS)(
  'a session that %s says nothing: the replica is asked without one, soon',
  async (_, reply) => {
    const world = new World('legacy');
    world.reply = REFUSED;
    world.inSession = reply;
    for (let n = 0; n < 20; n++) {
      world.prober.noteSession({ ...requestOf(), era: 'legacy', session: 's-1', headers: [] });
      await world.sim.advance(500);
    }
    expect(world.shared.sent.length).toBeGreaterThan(3);
    expect(world.own.sent.length).toBeGreaterThanOrEqual(world.shared.sent.length - 1);
    expect([world.cell.isDown, world.lines]).toEqual([false, []]);
  },
);

test('an answer in an event stream that goes on is an answer', async () => {
  const world = new World();
  const answer = { jsonrpc: '2.0', id: 'sluice:health', result: { supportedVersions: ['2026-07-28'] } };
  world.reply = { ...eventStream([eventOf(answer)]), hang: true };
  await world.sim.advance(10_000);
  expect([world.cell.isDown, new Set(world.methods).size]).toEqual([false, 1]);
  expect(world.own.sent.length).toBeGreaterThan(7);
  // Each is let go of before the next.
  expect(world.own.sent.filter(({ done }) => !done).length).toBeLessThanOrEqual(1);
});

test('after stop() nothing is asked, and nothing is under way', async () => {
  const world = new World();
  world.reply = { hang: true };
  await world.sim.advance(1_100);
  const stopped = world.prober.stop();
  await world.sim.advance(5_000);
  await stopped;
  expect(world.own.sent.filter(({ done }) => !done)).toEqual([]);
  expect(world.own.sent.length).toBeLessThanOrEqual(2);
});
