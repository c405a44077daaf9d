// Servers that hang: who waits for them, who does not, who asks them again, and who hears when they are back.
// Runs proxy/silences.ts behind both faces of an aggregate, over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import type { FakeReply, FakeScript } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  INITIALIZE,
  json,
  jsonOf,
  Lab,
  legacyScript,
  type Seen,
} from '../../fixtures/lab.ts';

const BOUND_MS = 300;
const CHANGED = 'notifications/tools/list_changed';
type Era = 'legacy' | 'modern';
const ERAS = [['legacy' as Era], ['modern' as Era]] as const;

/** One server that is well, and one that does what the test says. */
class World {
  /** What the odd server does with a method; null: it answers. */
  odd: (method: string) => FakeReply | null = () => null;
  readonly lab: Lab;
  #id = 0;

  constructor() {
    const serverOf = (name: string, odd: (method: string) => FakeReply | null): FakeScript => {
      const well = legacyScript(name, (message) => {
        if (message.method === 'subscriptions/listen') return acknowledged(message.id);
        const capabilities = { tools: { listChanged: true } };
        const lists = { tools: [{ name: 't' }], ttlMs: 0, cacheScope: 'private' };
        const rest = { supportedVersions: ['2026-07-28'], capabilities, resultType: 'complete' };
        return json({ jsonrpc: '2.0', id: message.id, result: { ...lists, ...rest } });
      });
      return (sent, index) => {
        const method = sent.verb === 'POST' ? String(jsonOf(sent.body).method) : sent.verb;
        return odd(method) ?? well(sent, index);
      };
    };
    this.lab = new Lab({
      servers: { a: serverOf('a', () => null), b: serverOf('b', (method) => this.odd(method)) },
      tools: { memberTimeoutMs: BOUND_MS },
    });
  }

  hang(...methods: readonly string[]): void {
    this.odd = (method) => (methods.includes(method) ? { hang: true } : null);
  }

  /** Requests for a method that the odd server got. */
  asked(method: string): number {
    return this.lab
      .fake('b')
      .sent.filter(({ verb, body }) => verb === 'POST' && jsonOf(body).method === method).length;
  }

  begin(era: Era): Promise<string> {
    return era === 'legacy' ? this.lab.initialize() : Promise.resolve('');
  }

  list(era: Era, session: string): Seen {
    const id = ++this.#id;
    if (era === 'modern') return this.lab.modern(id, 'tools/list');
    return this.lab.post({ jsonrpc: '2.0', id, method: 'tools/list' }, { session });
  }

  /** Lists, for so long at most; what came, or null. */
  async names(era: Era, session: string, ms: number): Promise<string | null> {
    const seen = this.list(era, session);
    await this.lab.sim.advance(ms);
    if (seen.finishes === 0) return null;
    const { tools, _meta: meta } = seen.json.result as {
      tools: { name: string }[];
      _meta?: Record<string, object>;
    };
    const marks = Object.entries(meta ?? {}).flatMap(([key, servers]) =>
      key.startsWith('sluice/') ? Object.keys(servers).map((name) => `${key.slice(7)} ${name}`) : [],
    );
    return [...tools.map(({ name }) => name), ...marks].join(', ');
  }
}

const BOTH = 'a__t, b__t';
const AT_ONCE_MS = LIMITS.silenceGraceMs + 1;

describe.each(ERAS)('a server that hangs, %s', (era) => {
  test('is waited for once; then there is what it gave last, or word that it is missing, at once', async () => {
    const world = new World();
    const session = await world.begin(era);
    world.hang('tools/list');
    expect(await world.names(era, session, BOUND_MS - 1)).toBeNull();
    await world.lab.sim.advance(AT_ONCE_MS);
    for (let n = 0; n < 3; n++) expect(await world.names(era, session, AT_ONCE_MS)).toBe('a__t, missing b');
    // The same for one that was well before.
    const other = new World();
    const second = await other.begin(era);
    expect(await other.names(era, second, 20)).toBe(BOTH);
    other.hang('tools/list');
    await other.names(era, second, BOUND_MS + AT_ONCE_MS);
    expect(await other.names(era, second, 1)).toBe('a__t, b__t, stale b');
  });

  test('is asked by one at a time, not again for a while after each try, and no more once nobody wants to know', async () => {
    const world = new World();
    const session = await world.begin(era);
    world.hang('tools/list');
    await world.names(era, session, BOUND_MS + 10);
    expect(world.asked('tools/list')).toBe(2);
    for (let n = 0; n < 20; n++) world.list(era, session);
    await world.lab.sim.advance(BOUND_MS);
    expect(world.asked('tools/list')).toBe(2);
    await world.lab.sim.advance(LIMITS.silencePauseMs);
    expect(world.asked('tools/list')).toBe(3);
    await world.lab.sim.advance(LIMITS.silenceWantedMs + LIMITS.silencePauseMs + BOUND_MS);
    const asked = world.asked('tools/list');
    expect(asked).toBeLessThan(60);
    await world.lab.sim.advance(LIMITS.silenceWantedMs);
    expect(world.asked('tools/list')).toBe(asked);
    // Whoever comes then waits for it, since it may be well.
    world.odd = () => null;
    expect(await world.names(era, session, 20)).toBe(BOTH);
  });

  test('is there again as soon as it answers, and those that went without hear of it', async () => {
    const world = new World();
    const session = await world.begin(era);
    const heard = listener(world, era, session);
    await world.lab.sim.advance(20);
    world.hang('tools/list');
    await world.names(era, session, BOUND_MS + 10);
    expect(changes(heard)).toBe(0);
    world.odd = () => null;
    await world.lab.sim.advance(BOUND_MS + LIMITS.silencePauseMs + 50);
    expect(changes(heard)).toBe(1);
    expect(await world.names(era, session, 20)).toBe(BOTH);
    await world.lab.sim.advance(60_000);
    expect(changes(heard)).toBe(1);
  });

  test('one that is slow once is back by the next list', async () => {
    const world = new World();
    const session = await world.begin(era);
    let times = 0;
    world.odd = (method) => (method === 'tools/list' && times++ === 0 ? { hang: true } : null);
    expect(await world.names(era, session, BOUND_MS + 10)).toBe('a__t, missing b');
    expect(await world.names(era, session, 20)).toBe(BOTH);
    expect(world.asked('tools/list')).toBe(3);
  });

  test('pages that came in time stay when a later try brings fewer', async () => {
    const world = new World();
    const session = await world.begin(era);
    world.odd = (method) => (method === 'tools/list' ? firstPage(world) : null);
    expect(await world.names(era, session, BOUND_MS + 10)).toBe('a__t, b__first, missing b');
    world.hang('tools/list');
    for (let n = 0; n < 3; n++) {
      await world.lab.sim.advance(BOUND_MS + LIMITS.silencePauseMs);
      expect(await world.names(era, session, AT_ONCE_MS)).toBe('a__t, b__first, missing b');
    }
  });

  test('one that refuses, or cannot be reached, is asked every time', async () => {
    const world = new World();
    const session = await world.begin(era);
    for (const wrong of [{ fail: 'GW_UPSTREAM_CONNECT' }, { status: 403, body: 'no' }] as const) {
      world.odd = (method) => (method === 'tools/list' ? wrong : null);
      const before = world.asked('tools/list');
      for (let n = 0; n < 3; n++) expect(await world.names(era, session, 20)).toBe('a__t, missing b');
      expect(world.asked('tools/list') - before).toBe(3);
    }
  });

  test('other lists of the same server are waited for, unless it does not even begin', async () => {
    const world = new World();
    const session = await world.begin(era);
    world.hang('tools/list');
    await world.names(era, session, BOUND_MS + 10);
    const prompts = world.lab.fake('b').sent.length;
    const method = 'resources/list';
    if (era === 'modern') world.lab.modern(900, method);
    else world.lab.post({ jsonrpc: '2.0', id: 900, method }, { session });
    await world.lab.sim.advance(20);
    if (era === 'modern') expect(world.lab.fake('b').sent.length).toBe(prompts + 1);
    const dead = new World();
    dead.odd = () => ({ hang: true });
    if (era === 'modern') dead.lab.modern(1, 'server/discover');
    else dead.lab.post(INITIALIZE);
    await dead.lab.sim.advance(BOUND_MS + AT_ONCE_MS);
    const lists = dead.asked('tools/list');
    const fresh = era === 'modern' ? '' : await dead.lab.initialize();
    expect(await dead.names(era, fresh, 1)).toBe('a__t, missing b');
    expect(dead.asked('tools/list')).toBe(lists);
  });
});

test('a session that begins meanwhile begins at once, and has the server once it is back', async () => {
  const world = new World();
  world.odd = () => ({ hang: true });
  const first = world.lab.post(INITIALIZE);
  await world.lab.sim.advance(BOUND_MS - 1);
  expect(first.replies).toBe(0);
  await world.lab.sim.advance(AT_ONCE_MS + 1);
  expect(first.replies).toBe(1);
  const second = world.lab.post(INITIALIZE);
  await world.lab.sim.advance(1);
  expect(JSON.stringify(second.json.result)).toContain('sluice/missing');
  const session = second.headers['mcp-session-id'] ?? '';
  const stream = world.lab.get(session);
  world.odd = () => null;
  await world.lab.sim.advance(BOUND_MS + LIMITS.silencePauseMs + 50);
  expect(changes(stream)).toBe(1);
  expect(await world.names('legacy', session, 50)).toBe(BOTH);
});

test('when all are silent, each is waited for: there is nothing that could be said at once', async () => {
  const hang: FakeScript = () => ({ hang: true });
  const lab = new Lab({ servers: { a: hang, b: hang }, tools: { memberTimeoutMs: BOUND_MS } });
  const first = lab.post(INITIALIZE);
  await lab.sim.advance(BOUND_MS + 1);
  expect(first.replies).toBe(1);
  const second = lab.post(INITIALIZE);
  await lab.sim.advance(AT_ONCE_MS);
  expect(second.replies).toBe(0);
  await lab.sim.advance(BOUND_MS);
  expect(second.replies).toBe(1);
});

test('an endpoint that ends, or loses the server, asks it no more', async () => {
  const world = new World();
  world.hang('tools/list');
  world.list('modern', '');
  await world.lab.sim.advance(BOUND_MS + 10);
  world.lab.target.close();
  await world.lab.sim.advance(BOUND_MS);
  const asked = world.asked('tools/list');
  await world.lab.sim.advance(60_000);
  expect(world.asked('tools/list')).toBe(asked);
});

/** A first page, behind which nothing comes. */
function firstPage(world: World): FakeReply {
  const { body } = world.lab.fake('b').sent.at(-1) ?? { body: new Uint8Array() };
  const { id, params } = jsonOf(body);
  if (params !== undefined && 'cursor' in params) return { hang: true };
  const result = { tools: [{ name: 'first' }], nextCursor: 'more', ttlMs: 0, cacheScope: 'private' };
  return json({ jsonrpc: '2.0', id, result: { ...result, resultType: 'complete' } });
}

function acknowledged(id: unknown): FakeReply {
  const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
  const params = { notifications: { toolsListChanged: true }, _meta };
  const message = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params };
  return eventStream([eventOf(message)], { hang: true });
}

function listener(world: World, era: Era, session: string): Seen {
  if (era === 'legacy') return world.lab.get(session);
  return world.lab.modern(800, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
}

function changes(seen: Seen): number {
  return seen.events.filter(({ method }) => method === CHANGED).length;
}
