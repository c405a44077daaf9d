// Joined lists and what comes of them: servers that are slow, down or wrong, pages, names that only lists tell, and what an endpoint hides.
// Runs proxy/joined-lists.ts behind the pipeline, for both eras, over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import type { NamedSpec, ViewSpec } from '../../../src/mcp/view.ts';
import type { FakeReply, FakeScript } from '../../../src/upstream/fake.ts';
import {
  eventOf,
  eventStream,
  json,
  jsonOf,
  Lab,
  type LabOptions,
  legacyScript,
  type Seen,
  textResult,
} from '../../fixtures/lab.ts';
import type { Rpc } from '../../fixtures/legacy-server.ts';

const ALL: NamedSpec = { allow: null, deny: [], rename: {}, override: {} };
const view = (parts: Partial<ViewSpec>): ViewSpec => ({
  ...{ names: 'own', tools: ALL, prompts: ALL, resources: { allow: null, deny: [] } },
  ...parts,
});

/** A server that speaks both eras: lists these tools, and says which of them was called. */
function toolServer(
  name: string,
  tools: () => readonly object[],
  wrong: () => FakeReply | null = () => null,
): FakeScript {
  const rest = (message: Rpc): FakeReply => {
    const bad = wrong();
    if (bad !== null) return bad;
    if (message.method === 'tools/list')
      return json({
        jsonrpc: '2.0',
        id: message.id,
        result: { tools: tools(), ttlMs: 9, cacheScope: 'public', resultType: 'complete' },
      });
    if (message.method === 'server/discover')
      return json({
        jsonrpc: '2.0',
        id: message.id,
        result: {
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: {}, [name]: {} },
          resultType: 'complete',
        },
      });
    return textResult(message, `${name}: ${String(message.params?.name ?? message.params?.uri)}`);
  };
  const legacy = legacyScript(name, rest);
  return (sent, index) => (sent.verb === 'POST' && wrong() !== null ? (wrong() ?? {}) : legacy(sent, index));
}

const named = (...names: string[]) => names.map((name) => ({ name }));
const DOWN: FakeReply = { fail: 'GW_UPSTREAM_CONNECT' };
type Era = 'legacy' | 'modern';
const ERAS = [['legacy' as Era], ['modern' as Era]] as const;

class Client {
  readonly lab: Lab;
  readonly #era: Era;
  #session = '';
  #id = 0;

  constructor(era: Era, options: LabOptions) {
    this.lab = new Lab(options);
    this.#era = era;
  }

  async begin(): Promise<this> {
    if (this.#era === 'legacy') this.#session = await this.lab.initialize();
    return this;
  }

  send(method: string, params: Record<string, unknown> = {}): Seen {
    const id = ++this.#id;
    const headers = { mcpName: String(params.name ?? params.uri ?? '') };
    if (this.#era === 'modern')
      return this.lab.modern(id, method, params, 'name' in params || 'uri' in params ? headers : {});
    return this.lab.post({ jsonrpc: '2.0', id, method, params }, { session: this.#session });
  }

  async ask(method: string, params: Record<string, unknown> = {}, ms = 50): Promise<Record<string, unknown>> {
    const seen = this.send(method, params);
    await this.lab.sim.advance(ms);
    return seen.json as Record<string, unknown>;
  }

  async tools(params: Record<string, unknown> = {}, ms = 50) {
    const { result } = (await this.ask('tools/list', params, ms)) as {
      result: {
        tools: { name: string }[];
        nextCursor?: string;
        ttlMs?: number;
        _meta?: Record<string, Record<string, unknown>>;
      };
    };
    return { ...result, names: result.tools.map(({ name }) => name), meta: result._meta ?? {} };
  }

  /** What answers a call, or the code of the refusal. */
  async call(name: string): Promise<unknown> {
    const reply = (await this.ask('tools/call', { name })) as {
      result?: { content: { text: string }[] };
      error?: { code: number };
    };
    return reply.result?.content[0]?.text ?? reply.error?.code;
  }
}

describe.each(ERAS)('a server that is out of order, %s', (era) => {
  test('its last list stands in for it, says how old it is, and for no longer than the grace', async () => {
    let wrong: FakeReply | null = null;
    const client = await new Client(era, {
      servers: {
        a: toolServer('a', () => named('x')),
        b: toolServer(
          'b',
          () => named('y', 'z'),
          () => wrong,
        ),
      },
    }).begin();
    expect((await client.tools()).names).toEqual(['a__x', 'b__y', 'b__z']);
    await client.lab.sim.advance(950);
    for (const bad of [
      DOWN,
      { fail: 'GW_UPSTREAM_TIMEOUT' },
      { status: 503, body: 'no' },
      { headers: { 'content-type': 'application/json' }, body: '{"x' },
    ] as const) {
      wrong = bad;
      const list = await client.tools();
      expect(list.names).toEqual(['a__x', 'b__y', 'b__z']);
      expect(Object.keys(list.meta['sluice/stale'] ?? {})).toEqual(['b']);
      expect(Number(list.meta['sluice/stale']?.b)).toBeGreaterThanOrEqual(1_000);
      expect([list.meta['sluice/missing'], list.ttlMs ?? 0]).toEqual([undefined, 0]);
    }
    await client.lab.sim.advance(LIMITS.listGraceMs);
    const late = await client.tools();
    expect([late.names, Object.keys(late.meta['sluice/missing'] ?? {}), late.meta['sluice/stale']]).toEqual([
      ['a__x'],
      ['b'],
      undefined,
    ]);
    wrong = null;
    await client.lab.sim.advance(30_000);
    expect((await client.tools()).meta).not.toHaveProperty('sluice/missing');
  });

  test('one that hangs costs the bound and no more; what refuses is no outage', async () => {
    let wrong: FakeReply | null = null;
    const client = await new Client(era, {
      servers: {
        a: toolServer('a', () => named('x')),
        b: toolServer(
          'b',
          () => named('y'),
          () => wrong,
        ),
      },
      tools: { memberTimeoutMs: 300 },
    }).begin();
    wrong = { hang: true };
    const seen = client.send('tools/list');
    await client.lab.sim.advance(299);
    expect(seen.finishes).toBe(0);
    await client.lab.sim.advance(2);
    expect(seen.finishes).toBe(1);
    expect(JSON.stringify(seen.json.result)).toContain('sluice/missing');
    wrong = null;
    // It is being asked already, in vain: that is waited for no longer than it takes to tell a server that is well.
    const again = client.send('tools/list');
    await client.lab.sim.advance(LIMITS.silenceGraceMs + 1);
    expect([again.finishes, JSON.stringify(again.json.result)]).toEqual([
      1,
      expect.stringContaining('sluice/missing'),
    ]);
    await client.lab.sim.advance(300 + LIMITS.silencePauseMs + 10);
    expect((await client.tools()).names).toEqual(['a__x', 'b__y']);
    // Whoever may not see the list any more sees no earlier one either.
    wrong = { status: 403, body: 'no' };
    const refused = await client.tools();
    expect([refused.names, Object.keys(refused.meta['sluice/missing'] ?? {})]).toEqual([['a__x'], ['b']]);
  });

  test('pages that go in a circle, or are too large, end there', async () => {
    let page = 0;
    const circling: FakeScript = legacyScript('b', (message) =>
      json({
        jsonrpc: '2.0',
        id: message.id,
        result: { tools: named(`t${page}`), nextCursor: `c${page++ % 3}` },
      }),
    );
    const large: FakeScript = legacyScript('c', (message) =>
      json({ jsonrpc: '2.0', id: message.id, result: { tools: [], x: 'x'.repeat(LIMITS.listBytesMax) } }),
    );
    const client = await new Client(era, {
      servers: { a: toolServer('a', () => named('x')), b: circling, c: large },
    }).begin();
    const { names, meta } = await client.tools();
    expect(names[0]).toBe('a__x');
    expect(page).toBeLessThan(12);
    expect(meta['sluice/missing']).toEqual({
      b: expect.stringContaining('circle'),
      c: expect.stringContaining(`larger than ${LIMITS.listBytesMax}`),
    });
  });
});

test('discover: a member that is down is spoken for by what it said last', async () => {
  let wrong: FakeReply | null = null;
  const client = new Client('modern', {
    servers: {
      a: toolServer('a', () => []),
      b: toolServer(
        'b',
        () => [],
        () => wrong,
      ),
    },
  });
  await client.ask('server/discover');
  wrong = DOWN;
  const { result } = (await client.ask('server/discover')) as {
    result: Record<string, Record<string, unknown>>;
  };
  expect(Object.keys(result.capabilities ?? {})).toEqual(['tools', 'a', 'b']);
  expect(result._meta).toHaveProperty('sluice/stale');
});

test('initialize: so is one of a legacy session', async () => {
  let wrong: FakeReply | null = null;
  const script: FakeScript = (sent, index) => {
    if (wrong !== null) return wrong;
    const result = {
      protocolVersion: '2025-06-18',
      capabilities: { prompts: {} },
      serverInfo: { name: 'b', version: '1' },
    };
    return jsonOf(sent.body).method === 'initialize'
      ? json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result })
      : legacyScript('b')(sent, index);
  };
  const lab = new Lab({ servers: { a: toolServer('a', () => []), b: script } });
  await lab.initialize();
  wrong = DOWN;
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } };
  const seen = lab.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
  await lab.sim.advance(50);
  expect(seen.json.result).toMatchObject({
    capabilities: { tools: {}, prompts: {} },
    _meta: { 'sluice/missing': { b: expect.any(String) } },
  });
});

describe.each(ERAS)('pages, %s', (era) => {
  const servers = {
    a: toolServer('a', () => named('1', '2', '3')),
    b: toolServer('b', () => named('4')),
    c: toolServer('c', () => named('5', '6')),
  };

  test('are cut from what was asked once, and servers that are done with are not asked again', async () => {
    const client = await new Client(era, { servers, pageSize: 2 }).begin();
    const found: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await client.tools(cursor === undefined ? {} : { cursor });
      found.push(page.names);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(found).toEqual([
      ['a__1', 'a__2'],
      ['a__3', 'b__4'],
      ['c__5', 'c__6'],
    ]);
    expect(['a', 'b', 'c'].map((name) => client.lab.asked(name, 'tools/list').length)).toEqual([1, 1, 1]);
  });

  test('what was asked long ago is asked again, and no member sees our cursor', async () => {
    const client = await new Client(era, { servers, pageSize: 3 }).begin();
    const { nextCursor } = await client.tools();
    await client.lab.sim.advance(LIMITS.listContinuedMs + 1_000);
    expect((await client.tools({ cursor: nextCursor })).names).toEqual(['b__4', 'c__5', 'c__6']);
    expect(client.lab.asked('b', 'tools/list').map(({ body }) => jsonOf(body).params?.cursor)).toEqual([
      undefined,
      undefined,
    ]);
    expect(client.lab.asked('a', 'tools/list').length).toBe(1);
  });

  test('a cursor that is none of this list is refused', async () => {
    const client = await new Client(era, { servers, pageSize: 2 }).begin();
    const { nextCursor } = await client.tools();
    for (const [method, cursor] of [
      ['tools/list', 'x'],
      ['tools/list', ''],
      ['tools/list', `${nextCursor}A`],
      ['resources/list', nextCursor],
    ] as const)
      expect(await client.ask(method, { cursor })).toMatchObject({ error: { code: -32602 } });
  });
});

describe.each(ERAS)('names that only lists tell, %s', (era) => {
  const long = 'n'.repeat(80);

  test('too long ones are shortened; calls find their way without a list before', async () => {
    const servers = { a: toolServer('a', () => named(long, 'x')), b: toolServer('b', () => named(long)) };
    const client = await new Client(era, { servers }).begin();
    const { names, meta } = await client.tools();
    expect(names.map(({ length }) => length)).toEqual([64, 4, 64]);
    expect(meta['sluice/renamed']).toEqual({
      [String(names[0])]: `a__${long}`,
      [String(names[2])]: `b__${long}`,
    });
    expect(client.lab.logged.filter((line) => line.includes('too long')).length).toBe(2);
    const other = await new Client(era, { servers }).begin();
    expect(await other.call(String(names[2]))).toBe(`b: ${long}`);
    expect(await other.call(String(names[0]))).toBe(`a: ${long}`);
    // It looks like a shortened name and is none.
    const real = `${'r'.repeat(52)}_abcdefgh`;
    expect(`a__${real}`.length).toBe(64);
    expect(await other.call(`a__${real}`)).toBe(`a: ${real}`);
    expect([other.lab.asked('a', 'tools/list').length, other.lab.asked('a', 'tools/call').length]).toEqual([
      1, 2,
    ]);
  });

  test('own names: the first of two alike keeps it, and unknown ones are looked for once a second', async () => {
    let more: string[] = [];
    const servers = {
      a: toolServer('a', () => named('search', ...more)),
      b: toolServer('b', () => named('search', 'only')),
    };
    const client = await new Client(era, { servers, view: view({}) }).begin();
    expect(await client.call('search')).toBe('a: search');
    expect([
      await client.call('b__search'),
      await client.call('only'),
      await client.call('a__search'),
    ]).toEqual(['b: search', 'b: only', -32602]);
    const { names, meta } = await client.tools();
    expect(names).toEqual(['search', 'b__search', 'only']);
    expect(meta['sluice/renamed']).toEqual({ b__search: 'b__search' });
    more = ['fresh'];
    await client.lab.sim.advance(LIMITS.listContinuedMs);
    expect(await client.call('fresh')).toBe('a: fresh');
    const asked = client.lab.asked('a', 'tools/list').length;
    for (let i = 0; i < 5; i++) expect(await client.call('none')).toBe(-32602);
    expect(client.lab.asked('a', 'tools/list').length).toBe(asked);
  });

  test('a member that is down keeps its names; the others answer', async () => {
    let wrong: FakeReply | null = null;
    const servers = {
      a: toolServer(
        'a',
        () => named('x'),
        () => wrong,
      ),
      b: toolServer('b', () => named('x', 'y')),
    };
    const client = await new Client(era, { servers, view: view({}) }).begin();
    expect((await client.tools()).names).toEqual(['x', 'b__x', 'y']);
    wrong = DOWN;
    expect((await client.tools()).names).toEqual(['x', 'b__x', 'y']);
    expect([await client.call('b__x'), await client.call('y')]).toEqual(['b: x', 'b: y']);
    expect(await client.call('x')).not.toBe('b: x');
  });
});

describe.each(ERAS)('what an endpoint shows, %s', (era) => {
  const tools: NamedSpec = {
    allow: ['get_*', 'b__x', '/list_(a|b)/'],
    deny: ['get_secret', 'a__get_no'],
    rename: { a__get_it: 'fetch' },
    override: { get_it: { description: 'ours', annotations: { readOnlyHint: true } } },
  };
  const element = { name: 'get_it', description: 'theirs', annotations: { title: 'T' }, n: 1.5 };
  const options = (names: ViewSpec['names']): LabOptions => ({
    servers: {
      a: toolServer('a', () => [element, ...named('get_secret', 'get_no', 'x', 'list_a', 'list_ab')]),
      b: toolServer('b', () => named('get_no', 'x', 'get_secret')),
    },
    view: view({ names, tools, resources: { allow: null, deny: ['file:///etc/*'] } }),
  });

  test('prefixed: hidden ones are neither listed nor called', async () => {
    const client = await new Client(era, options('prefixed')).begin();
    const list = await client.tools();
    expect(list.names).toEqual(['fetch', 'a__list_a', 'b__get_no', 'b__x']);
    expect(list.tools[0]).toEqual({
      name: 'fetch',
      description: 'ours',
      annotations: { title: 'T', readOnlyHint: true },
      n: 1.5,
    } as never);
    for (const [name, answer] of [
      ['fetch', 'a: get_it'],
      ['b__x', 'b: x'],
      ['b__get_no', 'b: get_no'],
      ['a__get_it', -32602],
      ['a__get_secret', -32602],
      ['a__x', -32602],
    ] as const)
      expect([name, await client.call(name)]).toEqual([name, answer]);
    expect(client.lab.asked('a', 'tools/call').length).toBe(1);
  });

  test('own names', async () => {
    const client = await new Client(era, options('own')).begin();
    expect((await client.tools()).names).toEqual(['fetch', 'list_a', 'get_no', 'x']);
    expect([await client.call('get_no'), await client.call('x'), await client.call('get_secret')]).toEqual([
      'b: get_no',
      'b: x',
      -32602,
    ]);
  });

  test('one server alone: its own names, without a list first', async () => {
    const client = await new Client(era, {
      servers: { a: toolServer('a', () => named('get_it', 'x')) },
      view: view({ tools: { ...ALL, deny: ['x'] } }),
    }).begin();
    expect([await client.call('get_it'), await client.call('x')]).toEqual(['a: get_it', -32602]);
    expect(client.lab.asked('a', 'tools/list').length).toBe(0);
    expect((await client.tools()).names).toEqual(['get_it']);
  });

  test('resources', async () => {
    const client = await new Client(era, options('prefixed')).begin();
    expect(await client.ask('resources/read', { uri: 'a+file:///etc/passwd' })).toMatchObject({
      error: { code: -32602 },
    });
    expect(await client.ask('resources/read', { uri: 'a+file:///tmp/x' })).toHaveProperty('result');
  });
});

describe('list_changed', () => {
  test('of a bridged or listened member: the list is asked anew, and the next call by name looks again', async () => {
    let tools = ['old'];
    const ack = eventOf({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: {} },
    });
    const changed = eventOf({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: {} },
    });
    const inner = toolServer('a', () => named(...tools));
    const script: FakeScript = (sent, index) =>
      jsonOf(sent.body).method === 'subscriptions/listen'
        ? eventStream([ack, ...(tools.length > 1 ? [changed] : [])], { hang: true })
        : inner(sent, index);
    const client = new Client('modern', {
      servers: { a: script, b: toolServer('b', () => []) },
      view: view({}),
    });
    expect(await client.call('old')).toBe('a: old');
    tools = ['old', 'new'];
    const seen = client.send('subscriptions/listen', { notifications: { toolsListChanged: true } });
    await client.lab.sim.advance(6_000);
    expect(seen.events.map(({ method }) => method)).toContain('notifications/tools/list_changed');
    expect(await client.call('old')).toBe('a: old');
    expect(client.lab.asked('a', 'tools/list').length).toBe(2);
    expect(await client.call('new')).toBe('a: new');
    expect(client.lab.asked('a', 'tools/list').length).toBe(2);
  });
});
