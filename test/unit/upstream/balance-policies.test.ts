// Which replica a request goes to: weights, canaries, drained ones, round robin, rendezvous hashing, and what is left when some are out.
// Runs src/upstream/balance.ts, choice.ts and rendezvous.ts over scripted upstreams on a simulated clock. Statistics come from a printed seed, their bounds are five standard
// deviations wide.
import { describe, expect, test } from 'bun:test';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { withReplicas } from '../../../src/upstream/balance.ts';
import { createFakeUpstream, type FakeUpstream } from '../../../src/upstream/fake.ts';
import { hashText, ownerOf } from '../../../src/upstream/rendezvous.ts';
import type { BalanceSettings } from '../../../src/upstream/spec.ts';
import type { Upstream, UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { messageOf } from '../../fixtures/messages.ts';
import { Caught } from '../../fixtures/stdio-world.ts';
import { requestOf } from './http-world.ts';

const scanner = chooseScanner('portable').scanner;
const SEED = Number(Bun.env.SEED ?? 20_260_728);

interface Options {
  readonly weights: readonly number[];
  readonly balance?: Partial<BalanceSettings>;
  readonly names?: readonly string[];
}

class World {
  readonly sim = createSimRuntime({ seed: SEED });
  readonly fakes: readonly FakeUpstream[];
  readonly upstream: Upstream;
  /** By replica. */
  readonly loads: number[];
  readonly standings: number[];
  readonly out: boolean[];
  sent = 0;

  constructor({ weights, balance = {}, names = [] }: Options) {
    this.loads = weights.map(() => 0);
    this.standings = weights.map(() => 1);
    this.out = weights.map(() => false);
    const headers = (index: number) => ({
      'content-type': 'application/json',
      'mcp-session-id': `s-${index}`,
    });
    this.fakes = weights.map((_, index) =>
      createFakeUpstream({
        clock: this.sim.clock,
        name: 'docs',
        script: () => ({ headers: headers(index), body: '{}' }),
      }),
    );
    const replicas = this.fakes.map((upstream, index) => ({
      upstream,
      name: names[index] ?? `http://10.0.0.${index}/mcp`,
      weight: weights[index] ?? 0,
      load: () => this.loads[index] ?? 0,
      refuses: () => this.out[index] ?? false,
      standing: () => this.standings[index] ?? 1,
    }));
    this.upstream = withReplicas(replicas, {
      ...{ clock: this.sim.clock, random: this.sim.random, scanner },
      balance: { policy: 'least-busy', hashOn: 'session', slowStartMs: 0, ...balance },
    });
  }

  /** Sends and says which replica got it. */
  async send(parts: Partial<UpstreamRequest> = {}): Promise<number> {
    const before = this.counts();
    this.upstream.send({ ...requestOf(), era: 'modern', ...parts }, new Caught());
    await this.sim.advance(1);
    return this.counts().findIndex((count, index) => count > (before[index] ?? 0));
  }

  async many(count: number, parts: (n: number) => Partial<UpstreamRequest> = () => ({})): Promise<number[]> {
    for (let n = 0; n < count; n++)
      this.upstream.send({ ...requestOf(), era: 'modern', ...parts(n) }, new Caught());
    await this.sim.advance(5);
    return this.counts();
  }

  counts(): number[] {
    return this.fakes.map(({ sent }) => sent.length);
  }
}

/** Five standard deviations around what is expected of `count` draws. */
function expectShare(found: number, share: number, count: number): void {
  const off = 5 * Math.sqrt(count * share * (1 - share)) + 1;
  if (Math.abs(found - count * share) > off) console.error(`seed ${SEED}`);
  expect(found).toBeGreaterThan(count * share - off);
  expect(found).toBeLessThan(count * share + off);
}

/** A call of a tool with one argument. */
function callWith(name: string, value: unknown): Partial<UpstreamRequest> {
  const params = { name: 'x', arguments: { other: 1, [name]: value } };
  const { bytes, envelope } = messageOf(
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  );
  return { body: bytes, envelope };
}

describe('weights', () => {
  test.each([[[95, 5]], [[100, 100, 50]], [[1, 1, 1, 1]], [[3, 0, 1]]])(
    '%p are the parts that idle replicas get',
    async (weights) => {
      const world = new World({ weights });
      const counts = await world.many(4_000);
      const sum = weights.reduce((a, b) => a + b);
      for (const [index, weight] of weights.entries()) expectShare(counts[index] ?? 0, weight / sum, 4_000);
    },
  );

  test('a canary gets no more because the others are busy as usual, and more once they are busy beyond their part', async () => {
    const world = new World({ weights: [95, 5] });
    world.loads[0] = 10;
    expectShare((await world.many(2_000))[1] ?? 0, 0.05, 2_000);
    world.loads[0] = 40;
    const before = world.counts();
    expect((await world.many(100))[1]).toBe((before[1] ?? 0) + 100);
  });

  test('a canary that is busy beyond its part gets nothing', async () => {
    const world = new World({ weights: [95, 5] });
    world.loads[0] = 10;
    world.loads[1] = 2;
    expect((await world.many(500))[1]).toBe(0);
  });

  test('0 gets nothing new, even when all others refuse; its sessions go on', async () => {
    const world = new World({ weights: [0, 100, 100] });
    expect((await world.many(200))[0]).toBe(0);
    world.out.fill(true, 1);
    expect((await world.many(200))[0]).toBe(0);
    const sink = new Caught();
    world.upstream.send({ ...requestOf(), era: 'legacy', session: '0.s-0' }, sink);
    await world.sim.advance(5);
    expect([sink.head?.status, sink.head?.sessionId, world.counts()[0]]).toEqual([200, '0.s-0', 1]);
  });
});

describe('standing', () => {
  test('one that is out gets nothing, one that is back its part of its part', async () => {
    const world = new World({ weights: [100, 100, 100] });
    world.standings.splice(0, 2, 0, 0.1);
    const counts = await world.many(4_000);
    expect(counts[0]).toBe(0);
    expectShare(counts[1] ?? 0, 0.1 / 1.1, 4_000);
  });

  test('when all are out, those whose breakers let them serve', async () => {
    const world = new World({ weights: [100, 100, 100] });
    world.standings.fill(0);
    world.out[1] = true;
    const counts = await world.many(300);
    expect(counts[1]).toBe(0);
    expect(Math.min(counts[0] ?? 0, counts[2] ?? 0)).toBeGreaterThan(50);
  });

  test('whom a request was not sent to comes first, as long as it is well', async () => {
    const world = new World({ weights: [100, 1, 1] });
    const tried = [0];
    expect(await world.send({ tried })).toBeGreaterThan(0);
    expect(await world.send({ tried })).toBeGreaterThan(0);
    expect(tried.toSorted()).toEqual([0, 1, 2]);
    expect(await world.send({ tried })).toBeGreaterThanOrEqual(0);
    world.standings.fill(0, 1);
    expect(await world.send({ tried: [0] })).toBe(0);
  });
});

describe('round robin', () => {
  test('each in turn, whatever their loads', async () => {
    const world = new World({ weights: [1, 1, 1], balance: { policy: 'round-robin' } });
    world.loads[0] = 50;
    const order: number[] = [];
    for (let n = 0; n < 9; n++) order.push(await world.send());
    expect(new Set(order.slice(0, 3)).size).toBe(3);
    expect(order.slice(3)).toEqual([...order.slice(0, 3), ...order.slice(0, 3)]);
  });

  test('weights exactly, spread out; none for one that is out, and its turns to the others', async () => {
    const world = new World({ weights: [4, 2, 1], balance: { policy: 'round-robin' } });
    expect(await world.many(700)).toEqual([400, 200, 100]);
    const next: number[] = [];
    for (let n = 0; n < 7; n++) next.push(await world.send());
    expect(next.join('')).not.toContain('000');
    world.out[0] = true;
    const before = world.counts();
    const counts = await world.many(300);
    expect(counts.map((count, index) => count - (before[index] ?? 0))).toEqual([0, 200, 100]);
  });
});

describe('hash', () => {
  const hashed = (hashOn: string, weights: readonly number[], names?: readonly string[]): World =>
    new World({ weights, balance: { policy: 'hash', hashOn }, ...(names && { names }) });

  test('the same argument goes to the same replica, others elsewhere; spelling does not count', async () => {
    const world = hashed('argument:path', [1, 1, 1, 1]);
    const homes = new Map<string, number>();
    for (let n = 0; n < 60; n++) homes.set(`/f/${n}`, await world.send(callWith('path', `/f/${n}`)));
    expect(new Set(homes.values())).toEqual(new Set([0, 1, 2, 3]));
    for (const [path, home] of homes) expect(await world.send(callWith('path', path))).toBe(home);
    const plain = callWith('path', { a: 1, b: 'x' });
    const params = '{"name":"y","arguments":{"path":{ "b": "\\u0078", "a": 1 }}}';
    const { bytes, envelope } = messageOf(
      `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":${params}}`,
    );
    expect(await world.send({ body: bytes, envelope })).toBe(await world.send(plain));
  });

  test('a request without the key goes to the less busy of two', async () => {
    const world = hashed('argument:path', [1, 1]);
    world.loads[0] = 1;
    for (let n = 0; n < 10; n++) expect(await world.send(callWith('elsewhere', 'x'))).toBe(1);
    const principal = hashed('principal', [1, 1]);
    principal.loads[0] = 1;
    for (let n = 0; n < 10; n++) expect(await principal.send()).toBe(1);
  });

  test('principals and credentials', async () => {
    const by = (principal: string, token: string): Partial<UpstreamRequest> => ({
      client: { principal, endpoint: '/mcp' },
      headers: ['mcp-method', `m-${Math.floor(token.length)}`, 'authorization', token],
    });
    const principal = hashed('principal', [1, 1, 1, 1, 1, 1, 1, 1]);
    const first = await principal.send(by('ann', 'a'));
    for (const token of ['bb', 'ccc', 'dddd']) expect(await principal.send(by('ann', token))).toBe(first);
    const session = hashed('session', [1, 1, 1, 1, 1, 1, 1, 1]);
    const homes = new Set<number>();
    for (let n = 0; n < 16; n++) {
      const home = await session.send(by('ann', `t${n}`));
      expect(await session.send(by('ann', `t${n}`))).toBe(home);
      homes.add(home);
    }
    expect(homes.size).toBeGreaterThan(3);
  });

  test('when one of ten goes the other nine keep every key, and it finds its own again', async () => {
    const world = hashed(
      'argument:k',
      Array.from({ length: 10 }, () => 1),
    );
    const keys = Array.from({ length: 500 }, (_, n) => callWith('k', n));
    const homes: number[] = [];
    for (const key of keys) homes.push(await world.send(key));
    world.out[3] = true;
    let moved = 0;
    for (const [n, key] of keys.entries()) {
      const home = await world.send(key);
      if (home !== homes[n]) moved++;
      if (homes[n] !== 3) expect(home).toBe(homes[n] ?? -1);
      else expect(home).not.toBe(3);
    }
    expect(moved).toBe(homes.filter((home) => home === 3).length);
    expectShare(moved, 0.1, 500);
    world.out[3] = false;
    for (const [n, key] of keys.entries()) expect(await world.send(key)).toBe(homes[n] ?? -1);
  });

  test('another order in the configuration moves nothing, another member only what is to be its own', () => {
    const names = Array.from({ length: 10 }, (_, n) => `http://10.0.0.${n}/mcp`);
    const ownerAmong = (all: readonly string[], key: number): string =>
      all[ownerOf(key, Uint32Array.from(all, hashText), new Float64Array(all.length).fill(1))] ?? '';
    let moved = 0;
    for (let n = 0; n < 10_000; n++) {
      const key = hashText(`key ${n}`);
      const owner = ownerAmong(names, key);
      expect(ownerAmong(names.toReversed(), key)).toBe(owner);
      const grown = ownerAmong([...names, 'http://10.0.0.77/mcp'], key);
      if (grown !== owner) {
        moved++;
        expect(grown).toBe('http://10.0.0.77/mcp');
      }
    }
    expectShare(moved, 1 / 11, 10_000);
  });

  test('keys are spread by weight', () => {
    const weights = Float64Array.of(50, 0, 100, 100, 250);
    const seeds = Uint32Array.from(weights, (_, n) => hashText(`place ${n}`));
    const counts = [0, 0, 0, 0, 0];
    for (let n = 0; n < 20_000; n++) {
      const owner = ownerOf(hashText(`user-${n}`), seeds, weights);
      counts[owner] = (counts[owner] ?? 0) + 1;
    }
    for (const [index, weight] of weights.entries()) expectShare(counts[index] ?? 0, weight / 500, 20_000);
    expect(ownerOf(1, seeds, new Float64Array(5))).toBe(-1);
  });
});
