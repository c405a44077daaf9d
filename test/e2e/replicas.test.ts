// A server in three places behind a plane, over real sockets: who gets what when one is slow, dead, drained or a canary, and how soon one that is back is found.
// Runs src/upstream/replicas.ts and all that it puts together. No timed assertions but the one that the project promises: found again within 100 ms, as a median.
import { afterEach, describe, expect, test } from 'bun:test';
import type { HttpTarget, ReplicationSpec, ServerSpec } from '../../src/upstream/spec.ts';
import { modernHeaders } from '../fixtures/messages.ts';
import {
  type ByteServer,
  echoId,
  type Plane,
  startByteServer,
  startPlane,
  targetOf,
} from '../fixtures/plane.ts';

const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

const REPLICATION: ReplicationSpec = {
  weights: [],
  balance: { policy: 'least-busy', hashOn: 'session', slowStartMs: 0 },
  outliers: null,
  health: null,
};
const BREAKER = { failures: 3, sharePercent: 50, windowMs: 1_000, openMs: 50, trials: 1, trialMs: 1_000 };
const RETRIES = { max: 2, budgetPercent: 100, perSecondMin: 1_000, backoffMs: 1, backoffMaxMs: 5 };
const POLICY: NonNullable<ServerSpec['policy']> = {
  retries: RETRIES,
  hedge: { enabled: false, afterPercentile: 95, minMs: 10, budgetPercent: 5 },
  idempotencyKey: 'never',
  concurrencyMax: 0,
  tools: [],
};

/** A place that can be killed, and brought back at the same port. */
class Place {
  port = 0;
  calls = 0;
  delayMs = 0;
  #server: ReturnType<typeof Bun.serve> | null = null;

  constructor() {
    this.start();
    open.push(this);
  }

  start(): void {
    this.#server = Bun.serve({
      port: this.port,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const text = await request.text();
        const { id, method } = JSON.parse(text) as { id?: unknown; method?: string };
        if (method === 'server/discover')
          return Response.json({
            jsonrpc: '2.0',
            id,
            result: { supportedVersions: ['2026-07-28'], capabilities: {} },
          });
        this.calls++;
        if (this.delayMs > 0) await Bun.sleep(this.delayMs);
        return Response.json({ jsonrpc: '2.0', id, result: { resultType: 'complete' } });
      },
    });
    this.port = this.#server.port ?? 0;
  }

  stop(): void {
    void this.#server?.stop(true);
    this.#server = null;
  }

  get target(): HttpTarget {
    return targetOf({ url: `http://127.0.0.1:${this.port}/mcp` }) as HttpTarget;
  }
}

function planeOf(
  places: readonly Place[],
  replication: Partial<ReplicationSpec> = {},
  spec: Partial<ServerSpec> = {},
): Plane {
  const [first, ...replicas] = places.map(({ target }) => target);
  const weights = places.map(() => 100);
  const plane = startPlane({
    servers: { docs: { url: first?.url ?? '' } },
    spec: { replicas, era: 'modern', replication: { ...REPLICATION, weights, ...replication }, ...spec },
  });
  open.push(plane);
  return plane;
}

async function call(plane: Plane, id: number, args: object = {}): Promise<number> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const reply = await fetch(`${plane.url}/mcp`, {
    method: 'POST',
    headers: modernHeaders('tools/call', 'x'),
    body: JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'x', arguments: args, _meta },
    }),
  });
  const answer = (await reply.json()) as { id?: unknown };
  expect(answer.id).toBe(id);
  return reply.status;
}

/** `count` calls, `wide` at a time; the statuses that are not 200. */
async function many(plane: Plane, count: number, wide: number): Promise<number[]> {
  const bad: number[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) {
      const status = await call(plane, next++);
      if (status !== 200) bad.push(status);
    }
  };
  await Promise.all(Array.from({ length: wide }, client));
  return bad;
}

const callsOf = (places: readonly Place[]): number[] => places.map(({ calls }) => calls);

test('of three places the slow one gets little', async () => {
  const places = [new Place(), new Place(), new Place()];
  const [slow] = places;
  if (slow !== undefined) slow.delayMs = 100;
  const plane = planeOf(places);
  expect(await many(plane, 600, 8)).toEqual([]);
  const [little = 0, ...others] = callsOf(places);
  expect(little).toBeLessThan(150);
  for (const count of others) expect(count).toBeGreaterThan(200);
});

test('of three places a slow one gets nothing for a while once it is known for it', async () => {
  const places = [new Place(), new Place(), new Place()];
  const [slow] = places;
  if (slow !== undefined) slow.delayMs = 60;
  const outliers = {
    ...{ windowMs: 100, requestsMin: 5, failurePoints: 30, latencyFactor: 3, latencyMinMs: 20 },
    ...{ ejectMs: 60_000, ejectMaxMs: 60_000 },
  };
  const plane = planeOf(places, { balance: { ...REPLICATION.balance, policy: 'round-robin' }, outliers });
  for (let rounds = 0, before = -1; slow !== undefined && slow.calls !== before && rounds < 100; rounds++) {
    before = slow.calls;
    expect(await many(plane, 60, 12)).toEqual([]);
  }
  const before = slow?.calls;
  expect(await many(plane, 60, 12)).toEqual([]);
  expect(slow?.calls).toBe(before ?? -1);
});

test('a dead place costs no more than what was under way there, and is found within 100 ms of its return', async () => {
  const places = [new Place(), new Place(), new Place()];
  const plane = planeOf(places, {}, { breaker: BREAKER, policy: POLICY });
  const [dying] = places;
  if (dying === undefined) throw new Error('there are three');
  expect(await many(plane, 60, 4)).toEqual([]);
  const foundAfterMs: number[] = [];
  let isOver = false;
  let id = 1_000;
  const bad: number[] = [];
  const client = async (): Promise<void> => {
    while (!isOver) {
      const status = await call(plane, id++);
      if (status !== 200) bad.push(status);
      await Bun.sleep(1);
    }
  };
  const clients = [client(), client(), client(), client()];
  for (let kills = 0; kills < 9; kills++) {
    dying.stop();
    await Bun.sleep(150);
    const before = dying.calls;
    dying.start();
    const since = performance.now();
    for (let looks = 0; dying.calls === before && looks < 5_000; looks++) await Bun.sleep(1);
    foundAfterMs.push(performance.now() - since);
    await Bun.sleep(30);
  }
  isOver = true;
  await Promise.all(clients);
  const median = foundAfterMs.toSorted((a, b) => a - b)[4] ?? Infinity;
  console.info(`a place that is back was found after ${median.toFixed(0)} ms (median of 9)`);
  expect(median).toBeLessThan(100);
  // What was under way when it died may have been executed, so that it is not sent again.
  expect(bad.length).toBeLessThanOrEqual(9 * 4);
});

test('probes find a place that is down, and find it again', async () => {
  const places = [new Place(), new Place()];
  const health = {
    ...{ intervalMs: 40, downIntervalMs: 20, timeoutMs: 100, unhealthyAfter: 2, healthyAfter: 1 },
  };
  const plane = planeOf(places, { balance: { ...REPLICATION.balance, policy: 'round-robin' }, health });
  const [dying, other] = places;
  expect(await many(plane, 20, 1)).toEqual([]);
  dying?.stop();
  // Round robin goes by turns: as long as every second call fails it is not known.
  let failures = 0;
  for (let streak = 0, n = 0; streak < 10 && n < 2_000; n++) {
    const isGood = (await call(plane, 5_000 + n)) === 200;
    streak = isGood ? streak + 1 : 0;
    if (!isGood) {
      failures++;
      await Bun.sleep(5);
    }
  }
  const before = other?.calls ?? 0;
  expect(await many(plane, 50, 4)).toEqual([]);
  expect(other?.calls).toBe(before + 50);
  expect(failures).toBeLessThan(100);
  const asleep = dying?.calls ?? 0;
  dying?.start();
  for (let n = 0; dying?.calls === asleep && n < 2_000; n++) expect(await call(plane, 9_000 + n)).toBe(200);
  expect(dying?.calls).toBeGreaterThan(asleep);
});

test('weights hold, a drained place gets nothing', async () => {
  const places = [new Place(), new Place(), new Place()];
  const plane = planeOf(places, { weights: [90, 10, 0] });
  expect(await many(plane, 1_000, 1)).toEqual([]);
  const [much = 0, little = 0, none = 0] = callsOf(places);
  expect([much + little, none]).toEqual([1_000, 0]);
  // 100 ± five standard deviations.
  console.info(`a canary of 10 % got ${little} of 1000`);
  expect(little).toBeGreaterThan(100 - 5 * Math.sqrt(90));
  expect(little).toBeLessThan(100 + 5 * Math.sqrt(90));
});

test('with hash, calls with one argument stay together', async () => {
  const places = [new Place(), new Place(), new Place()];
  const plane = planeOf(places, { balance: { policy: 'hash', hashOn: 'argument:path', slowStartMs: 0 } });
  const homes = new Set<number>();
  for (let path = 0; path < 12; path++) {
    const before = callsOf(places);
    for (let n = 0; n < 5; n++) expect(await call(plane, n, { path: `/${path}` })).toBe(200);
    const grown = callsOf(places).map((count, index) => count - (before[index] ?? 0));
    expect(grown.toSorted()).toEqual([0, 0, 5]);
    homes.add(grown.indexOf(5));
  }
  expect(homes.size).toBeGreaterThan(1);
});

test('a mirror that hangs costs the client nothing, and gets no more than it can have', async () => {
  const place = new Place();
  const shadow = new Place();
  shadow.delayMs = 60_000;
  const mirror = {
    target: { ...shadow.target, connectionsMax: 8 },
    percent: 100,
    all: true,
    forwardHeaders: [],
  };
  const plane = startPlane({ servers: { docs: { url: place.target.url } }, spec: { era: 'modern', mirror } });
  open.push(plane);
  expect(await many(plane, 100, 4)).toEqual([]);
  expect(place.calls).toBe(100);
  for (let n = 0; shadow.calls < 8 && n < 2_000; n++) await Bun.sleep(1);
  expect(shadow.calls).toBe(8);
});

describe('legacy sessions', () => {
  const legacy = (index: number): ByteServer => {
    const server = startByteServer((body, request) => {
      const { method, id } = JSON.parse(new TextDecoder().decode(body)) as { method?: string; id?: number };
      if (method !== 'initialize') {
        const isOwn = request.headers.get('mcp-session-id')?.startsWith(`r${index}-`) === true;
        return isOwn ? echoId(body) : new Response(null, { status: 404 });
      }
      const result = {
        protocolVersion: '2025-06-18',
        capabilities: {},
        serverInfo: { name: 'r', version: '1' },
      };
      return Response.json(
        { jsonrpc: '2.0', id, result },
        { headers: { 'mcp-session-id': `r${index}-${Math.floor(performance.now() * 1000)}` } },
      );
    });
    open.push(server);
    return server;
  };
  const post = (plane: Plane, message: object, session: string | null): Promise<Response> =>
    fetch(`${plane.url}/mcp`, {
      method: 'POST',
      headers: {
        ...{ 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        ...(session !== null && { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    });

  test('stay where they began under every policy, and a probe begins none', async () => {
    for (const policy of ['least-busy', 'round-robin', 'hash'] as const) {
      const servers = [legacy(0), legacy(1), legacy(2)];
      const targets = servers.map(({ url }) => targetOf({ url }) as HttpTarget);
      const health = {
        ...{ intervalMs: 20, downIntervalMs: 20, timeoutMs: 500, unhealthyAfter: 3, healthyAfter: 1 },
      };
      const plane = startPlane({
        servers: { docs: { url: servers[0]?.url ?? '' } },
        spec: {
          ...{ era: 'legacy', replicas: targets.slice(1) },
          replication: {
            ...REPLICATION,
            weights: [1, 1, 1],
            balance: { ...REPLICATION.balance, policy },
            health,
          },
        },
      });
      open.push(plane);
      const sessions: string[] = [];
      const params = {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
      };
      for (let n = 0; n < 12; n++) {
        const reply = await post(plane, { id: n, method: 'initialize', params }, null);
        expect(await reply.json()).toHaveProperty('result');
        sessions.push(reply.headers.get('mcp-session-id') ?? '');
      }
      for (let round = 0; round < 3; round++) {
        for (const session of sessions) {
          const reply = await post(plane, { id: 7, method: 'tools/call', params: { name: 'x' } }, session);
          expect([reply.status, await reply.json()]).toEqual([200, expect.objectContaining({ id: 7 })]);
        }
        await Bun.sleep(25);
      }
      const asked = servers.flatMap(({ bodies }) => bodies.map((body) => new TextDecoder().decode(body)));
      expect(asked.filter((text) => text.includes('"initialize"')).length).toBe(12);
      expect(asked.filter((text) => text.includes('"sluice:health"')).length).toBeGreaterThan(0);
      expect(asked.filter((text) => text.includes('"tools/call"')).length).toBe(36);
    }
  });
});
