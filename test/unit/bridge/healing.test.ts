// Sessions that their server has lost: when they are begun again, what the new one hears, and what is left alone.
// Runs src/bridge/healing.ts over a scripted server on a simulated clock.
import { heapStats } from 'bun:jsc';
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { HealedSessions } from '../../../src/bridge/healed-sessions.ts';
import { withHealing } from '../../../src/bridge/healing.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createFakeUpstream, type FakeReply, type FakeSent } from '../../../src/upstream/fake.ts';
import type { UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { json } from '../../fixtures/lab.ts';
import { messageOf } from '../../fixtures/messages.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { codeOf, requestOf } from '../upstream/http-world.ts';

const scanner = chooseScanner('portable').scanner;

interface Said {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

/** A legacy server that forgets its sessions when told, and refuses those it does not know in its own way. */
class World {
  readonly sim = createSimRuntime({ seed: 3 });
  readonly known = new Set<string>();
  refusal: FakeReply = json(
    { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } },
    { status: 404 },
  );
  /** What it says to a GET, if that is something else than to a POST. */
  getReply: FakeReply | null = null;
  /** True: it does not answer an initialize. */
  isMute = false;
  /** False: it takes no new sessions. */
  opens = true;
  #count = 0;
  readonly fake = createFakeUpstream({ clock: this.sim.clock, script: (sent) => this.#answer(sent) });
  readonly upstream = withHealing({
    inner: this.fake,
    scanner,
    clock: this.sim.clock,
    log: SILENT,
    link: null,
    timeoutMs: 1_000,
  });

  #answer(sent: FakeSent): FakeReply {
    if (sent.verb === 'GET' && this.getReply !== null) return this.getReply;
    const said = sent.body.length === 0 ? {} : (JSON.parse(decode(sent.body)) as Said);
    if (said.method === 'initialize') {
      if (this.isMute) return { hang: true };
      if (!this.opens) return json({ jsonrpc: '2.0', id: said.id, error: { code: -32603, message: 'full' } });
      const session = `s${++this.#count}`;
      this.known.add(session);
      return json(
        { jsonrpc: '2.0', id: said.id, result: { protocolVersion: '2025-06-18' } },
        { headers: { 'content-type': 'application/json', 'mcp-session-id': session } },
      );
    }
    if (!this.known.has(sent.session ?? '')) return this.refusal;
    if (said.id === undefined) return { status: 202 };
    const { session } = sent;
    return json(
      { jsonrpc: '2.0', id: said.id, result: { session } },
      { headers: { 'content-type': 'application/json', 'mcp-session-id': session ?? '' } },
    );
  }

  request(message: Said, session: string | null): UpstreamRequest {
    const { bytes, envelope } = messageOf(JSON.stringify({ jsonrpc: '2.0', ...message }));
    const headers = ['mcp-protocol-version', '2025-06-18', 'authorization', 'Bearer x'];
    return { ...requestOf(), verb: 'POST', era: 'legacy', body: bytes, envelope, headers, session };
  }

  async send(request: UpstreamRequest): Promise<Caught> {
    const sink = new Caught();
    this.upstream.send(request, sink);
    await this.sim.advance(20);
    return sink;
  }

  /** Begins a session; the id as a handle would hold it. */
  async begin(clientInfo: Record<string, unknown> = { name: 'c', version: '1' }): Promise<string> {
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
    const sink = await this.send(this.request({ id: 0, method: 'initialize', params }, null));
    return sink.head?.sessionId ?? '';
  }

  call(session: string, id = 1): Promise<Caught> {
    return this.send(this.request({ id, method: 'tools/call', params: { name: 'x' } }, session));
  }

  /** The server is started anew: it knows no session, and counts from 1 again. */
  restart(): void {
    this.known.clear();
    this.#count = 0;
  }

  methods(): string[] {
    return this.fake.sent.map(({ body }) => (JSON.parse(decode(body)) as Said).method ?? '');
  }
}

const bodyOf = (sink: Caught): Record<string, unknown> =>
  JSON.parse(decode(sink.chunks[0] ?? new Uint8Array())) as Record<string, unknown>;

describe('a lost session', () => {
  const refusals: readonly [string, FakeReply][] = [
    [
      '404 with words of its own',
      json(
        { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } },
        { status: 404 },
      ),
    ],
    ['404 with nothing', { status: 404 }],
    ['404 with text', { status: 404, headers: { 'content-type': 'text/plain' }, body: 'no such session' }],
    [
      '400, as some servers say it',
      json(
        {
          jsonrpc: '2.0',
          id: null,
          error: { code: -32000, message: 'Bad Request: No valid session ID provided' },
        },
        { status: 400 },
      ),
    ],
    [
      '400 in words',
      {
        status: 400,
        headers: { 'content-type': 'text/plain' },
        body: 'Bad Request: No valid session ID provided',
      },
    ],
    ['410', { status: 410 }],
  ];
  test.each(refusals)(
    '(%s) is begun again with what it began with, and the request is sent once more',
    async (_what, refusal) => {
      const world = new World();
      world.refusal = refusal;
      const shown = await world.begin();
      world.known.clear();
      const sink = await world.call(shown);
      expect(bodyOf(sink)).toEqual({ jsonrpc: '2.0', id: 1, result: { session: 's2' } });
      expect(sink.head?.sessionId).toBe(shown);
      expect(world.methods()).toEqual([
        'initialize',
        'tools/call',
        'initialize',
        'notifications/initialized',
        'tools/call',
      ]);
      const again = world.fake.sent[2];
      expect(JSON.parse(decode(again?.body ?? new Uint8Array()))).toMatchObject({
        params: { clientInfo: { name: 'c' } },
      });
      expect(again?.headers).toContain('Bearer x');
      expect(again?.headers).not.toContain('mcp-protocol-version');
      expect(world.fake.sent[3]?.session).toBe('s2');
    },
  );

  test('is begun again once for all who wait, and again when it is lost again', async () => {
    const world = new World();
    const shown = await world.begin();
    for (let round = 2; round < 4; round++) {
      world.known.clear();
      const sinks = Array.from({ length: 8 }, () => new Caught());
      for (const [n, sink] of sinks.entries())
        world.upstream.send(
          world.request({ id: n, method: 'tools/call', params: { name: 'x' } }, shown),
          sink,
        );
      await world.sim.advance(50);
      expect(sinks.map(bodyOf)).toEqual(
        sinks.map((_, id) => ({ jsonrpc: '2.0', id, result: { session: `s${round}` } })),
      );
      expect(world.methods().filter((method) => method === 'initialize').length).toBe(round);
    }
  });

  test('hears the level and the subscriptions of the old one', async () => {
    const world = new World();
    const shown = await world.begin();
    const said: Said[] = [
      { id: 1, method: 'logging/setLevel', params: { level: 'debug' } },
      { id: 2, method: 'resources/subscribe', params: { uri: 'a://1' } },
      { id: 3, method: 'resources/subscribe', params: { uri: 'a://2' } },
      { id: 4, method: 'resources/unsubscribe', params: { uri: 'a://1' } },
    ];
    for (const one of said) await world.send(world.request(one, shown));
    world.known.clear();
    const before = world.fake.sent.length;
    await world.call(shown);
    const heard = world.fake.sent.slice(before).map(({ body }) => JSON.parse(decode(body)) as Said);
    expect(heard.map(({ method, params }) => [method, params?.level ?? params?.uri])).toEqual([
      ['tools/call', undefined],
      ['initialize', undefined],
      ['notifications/initialized', undefined],
      ['logging/setLevel', 'debug'],
      ['resources/subscribe', 'a://2'],
      ['tools/call', undefined],
    ]);
  });

  test('regression: hears the subscriptions under the names that the server knows', async () => {
    const world = new World();
    const shown = await world.begin();
    const uri = 'one+a://1';
    const subscribe = world.request({ id: 1, method: 'resources/subscribe', params: { uri } }, shown);
    const start = decode(subscribe.body).indexOf(uri);
    await world.send({ ...subscribe, edits: [{ start, end: start + 4, insert: new Uint8Array() }] });
    world.known.clear();
    await world.call(shown);
    const heard = world.fake.sent.map(({ body }) => JSON.parse(decode(body)) as Said);
    expect(heard.findLast(({ method }) => method === 'resources/subscribe')?.params).toEqual({
      uri: 'a://1',
    });
  });

  test('that cannot be begun again is told as the server told it', async () => {
    const world = new World();
    const shown = await world.begin();
    world.known.clear();
    world.opens = false;
    const sink = await world.call(shown);
    expect(sink.head?.status).toBe(404);
    expect(bodyOf(sink)).toMatchObject({ error: { message: 'Session not found' } });
  });

  test('whose server does not answer the new beginning is told as a time-out, not as lost', async () => {
    const world = new World();
    const shown = await world.begin();
    world.known.clear();
    world.isMute = true;
    const sink = new Caught();
    world.upstream.send(world.request({ id: 1, method: 'tools/call', params: {} }, shown), sink);
    await world.sim.advance(2_000);
    expect(codeOf(sink)).toBe('GW_UPSTREAM_TIMEOUT');
    world.isMute = false;
    expect(bodyOf(await world.call(shown))).toMatchObject({ result: { session: 's2' } });
  });

  test('is not begun again for a client that left meanwhile', async () => {
    const world = new World();
    const shown = await world.begin();
    world.known.clear();
    const sink = new Caught();
    const call = world.upstream.send(world.request({ id: 1, method: 'tools/call', params: {} }, shown), sink);
    call.abort();
    await world.sim.advance(50);
    expect(sink.head).toBeNull();
    expect(sink.failed).toBeNull();
    expect(world.methods()).toEqual(['initialize']);
  });
});

describe('what is left alone', () => {
  test('a method that is not known, whatever the status', async () => {
    const world = new World();
    const shown = await world.begin();
    world.known.clear();
    world.refusal = json(
      { jsonrpc: '2.0', id: 1, error: { code: -32601, message: 'Method not found' } },
      { status: 404 },
    );
    const sink = await world.call(shown);
    expect(sink.head?.status).toBe(404);
    expect(world.methods()).toEqual(['initialize', 'tools/call']);
  });

  test('a bad request that is about something else', async () => {
    const world = new World();
    const shown = await world.begin();
    world.known.clear();
    world.refusal = json(
      { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'the moon is wrong' } },
      { status: 400 },
    );
    expect((await world.call(shown)).head?.status).toBe(400);
    expect(world.methods()).toEqual(['initialize', 'tools/call']);
  });

  test('a session that its client ended', async () => {
    const world = new World();
    const shown = await world.begin();
    await world.send({
      ...world.request({ method: 'x' }, shown),
      verb: 'DELETE',
      body: new Uint8Array(),
      envelope: null,
    });
    world.known.clear();
    expect((await world.call(shown)).head?.status).toBe(404);
    expect(world.fake.sent.map(({ verb }) => verb)).toEqual(['POST', 'DELETE', 'POST']);
  });

  test('a session of a client that says a great deal of itself: it has the server’s own id', async () => {
    const world = new World();
    const shown = await world.begin({ name: 'x'.repeat(LIMITS.sessionHealCharsMax), version: '1' });
    expect(shown).toBe('s1');
    expect((await world.call(shown)).head?.sessionId).toBe('s1');
  });

  test('modern requests', async () => {
    const world = new World();
    const sink = await world.send({ ...world.request({ id: 1, method: 'tools/call' }, null), era: 'modern' });
    expect(sink.head?.status).toBe(404);
    expect(world.methods()).toEqual(['tools/call']);
  });
});

describe('an event stream that its server refuses since it takes the older one for open still (409)', () => {
  const conflict = json(
    { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Conflict' } },
    { status: 409 },
  );
  /** A session whose stream was just asked for, and refused. */
  const refused = async (): Promise<{ world: World; sink: Caught; abort: () => void }> => {
    const world = new World();
    const shown = await world.begin();
    world.getReply = conflict;
    const sink = new Caught();
    const request = { ...world.request({ method: 'x' }, shown), body: new Uint8Array(), envelope: null };
    const call = world.upstream.send({ ...request, verb: 'GET' }, sink);
    return { world, sink, abort: () => call.abort() };
  };
  const streams = (world: World): number => world.fake.sent.filter(({ verb }) => verb === 'GET').length;

  test('regression: is asked for again until there is room, and its client sees no refusal', async () => {
    const { world, sink } = await refused();
    await world.sim.advance(100);
    expect(sink.head).toBeNull();
    world.getReply = { status: 200, headers: { 'content-type': 'text/event-stream' }, body: 'data: {}\n\n' };
    await world.sim.advance(200);
    expect([sink.head?.status, sink.ended]).toEqual([200, 1]);
    expect(streams(world)).toBeLessThan(6);
  });

  test('a server that stays at it is believed, after a second', async () => {
    const { world, sink } = await refused();
    await world.sim.advance(1_500);
    expect([sink.head?.status, sink.ended]).toEqual([409, 1]);
    expect(bodyOf(sink)).toMatchObject({ error: { message: 'Conflict' } });
    expect(streams(world)).toBe(7);
  });

  test('a client that leaves meanwhile is not asked for', async () => {
    const { world, sink, abort } = await refused();
    await world.sim.advance(30);
    const asked = streams(world);
    abort();
    await world.sim.advance(1_500);
    expect([streams(world), sink.head, sink.ended]).toEqual([asked, null, 0]);
  });
});

test('regression: a server that counts its sessions anew gives an id again: each client stays in its own session', async () => {
  const world = new World();
  await world.begin();
  const ann = await world.begin();
  world.restart();
  // Ann's session, once the second, is the first now.
  expect(bodyOf(await world.call(ann))).toMatchObject({ result: { session: 's1' } });
  const bob = await world.begin();
  expect(bodyOf(await world.call(bob))).toMatchObject({ result: { session: 's2' } });
  expect(bodyOf(await world.call(ann))).toMatchObject({ result: { session: 's1' } });
  // What Ann ends is hers.
  const end = world.request({ method: 'x' }, ann);
  await world.send({ ...end, verb: 'DELETE', body: new Uint8Array(), envelope: null });
  expect(world.fake.sent.at(-1)?.session).toBe('s1');
  world.restart();
  expect(bodyOf(await world.call(bob))).toMatchObject({ result: { session: 's1' } });
});

test('regression: a session that was sealed without the time of its beginning is begun again as well', async () => {
  const world = new World();
  const shown = (await world.begin()).replace(/\n[^{]*/, '\n');
  world.known.clear();
  const sink = await world.call(shown);
  expect(bodyOf(sink)).toMatchObject({ result: { session: 's2' } });
  expect(sink.head?.sessionId).toBe(shown);
});

test('sessions that ended keep no text, neither their own nor what it was cut from', async () => {
  const world = new World();
  const { fake: inner, sim } = world;
  const healed = new HealedSessions({ inner, scanner, clock: sim.clock, log: SILENT, timeoutMs: 1_000 });
  const count = 10_000;
  const strings = (): number => {
    Bun.gc(true);
    return heapStats().objectTypeCounts.string ?? 0;
  };
  const before = strings();
  const text = 'x'.repeat(500);
  for (let n = 0; n < count; n++) {
    const shown = `session-${n}\n0${text}`;
    const id = shown.slice(0, shown.indexOf('\n'));
    healed.end({ id, key: shown.slice(0, id.length + 2), params: text, shown });
  }
  // Some are the engine's own: numbers as text.
  expect(strings() - before).toBeLessThan(count / 2);
  // They are still known.
  const id = `session-${count - 1}`;
  const last = { id, key: `${id}\n0`, params: '{}', shown: `${id}\n0{}` };
  await expect(healed.heal(requestOf(), last, id)).resolves.toBeNull();
});
