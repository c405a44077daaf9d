// A cache under random questions, answers, changes, gaps and outages, held against what is known of every answer that was ever given.
// Runs src/policy/cache.ts over a scripted server on a simulated clock; fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import type { FakeReply, FakeSent } from '../../src/upstream/fake.ts';
import { answer, CacheWorld, type Question, refusal } from '../fixtures/cache-world.ts';
import { jsonOf } from '../fixtures/lab.ts';
import type { Caught } from '../fixtures/stdio-world.ts';

/** What the server once said. */
interface Said {
  readonly what: string;
  readonly whose: string;
  readonly isPublic: boolean;
  readonly ttlMs: number;
  readonly atMs: number;
  /** The step in which it was told that it no longer holds. */
  voidStep: number;
  /** When, and in which step, what vouched for it broke off. */
  goneAtMs: number;
  goneStep: number;
}

/** One question under way. */
interface Asking {
  readonly what: string;
  readonly whose: string;
  readonly id: number;
  readonly atMs: number;
  readonly step: number;
  readonly sink: Caught;
}

const STALE_MS = 300;
const BYTES_MAX = 7_000;

const WHATS: Readonly<Record<string, Question>> = {
  tools: { method: 'tools/list' },
  page: { method: 'tools/list', params: { cursor: 'p' } },
  prompts: { method: 'prompts/list' },
  a: { method: 'resources/read', params: { uri: 'f:///a' } },
  b: { method: 'resources/read', params: { uri: 'f:///b' } },
  c: { method: 'resources/read', params: { uri: 'f:///c' } },
  discover: { method: 'server/discover' },
};

const USERS: readonly string[] = ['ann', 'bob', 'cid'];

/** Which questions a notification makes void. */
const CHANGES: readonly { method: string; params: Record<string, unknown>; whats: readonly string[] }[] = [
  { method: 'notifications/tools/list_changed', params: {}, whats: ['tools', 'page'] },
  { method: 'notifications/prompts/list_changed', params: {}, whats: ['prompts'] },
  { method: 'notifications/resources/updated', params: { uri: 'f:///a' }, whats: ['a'] },
  { method: 'notifications/resources/updated', params: { uri: 'f:///b' }, whats: ['b'] },
];

type Step =
  | { readonly do: 'ask'; readonly what: string; readonly whose: string; readonly count: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'change'; readonly index: number }
  | { readonly do: 'gap' }
  | { readonly do: 'leave' }
  | { readonly do: 'sweep' }
  | { readonly do: 'server'; readonly ttlMs: number; readonly isPublic: boolean; readonly delayMs: number }
  | { readonly do: 'mood'; readonly mood: Mood };
type Mood = 'well' | 'down' | 'refusing' | 'busy' | 'wordy';

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 16,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        what: fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom('tools', 'a') },
          { weight: 2, arbitrary: fc.constantFrom(...Object.keys(WHATS)) },
        ),
        whose: fc.constantFrom(...USERS),
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('wait' as const),
        ms: fc.constantFrom(1, 7, 7, 40, 40, 250, 700),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('change' as const), index: fc.nat(CHANGES.length - 1) }),
    },
    { weight: 1, arbitrary: fc.constant({ do: 'gap' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'leave' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'sweep' as const }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('server' as const),
        ttlMs: fc.constantFrom(0, 20, 200, 100_000),
        isPublic: fc.boolean(),
        delayMs: fc.constantFrom(0, 3, 30, 30),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('mood' as const),
        mood: fc.constantFrom<Mood>('well', 'well', 'down', 'refusing', 'busy', 'wordy'),
      }),
    },
  ),
  { minLength: 20, maxLength: 100 },
);

class Play {
  readonly world = new CacheWorld({ bytesMax: BYTES_MAX, staleOnErrorMs: STALE_MS });
  readonly #said: Said[] = [];
  readonly #asking: Asking[] = [];
  readonly #calls: { readonly call: { abort(): void }; readonly asking: Asking }[] = [];
  #server = { ttlMs: 200, isPublic: false, delayMs: 3 };
  #mood: Mood = 'well';
  #ids = 0;
  #steps = 0;

  constructor() {
    this.world.script = (sent) => this.#answer(sent);
  }

  #answer(sent: FakeSent): FakeReply {
    const { ttlMs, isPublic, delayMs } = this.#server;
    if (this.#mood === 'down') return { fail: 'GW_UPSTREAM_CONNECT', delayMs };
    if (this.#mood === 'busy') return { ...refusal(sent, -32603, 503), delayMs };
    if (this.#mood === 'refusing') return { ...refusal(sent, -32602), delayMs };
    const what = whatOf(sent);
    const whose = sent.headers[sent.headers.indexOf('authorization') + 1] ?? '';
    const said = this.#said.length;
    // What it says is true when the request is there, and may cease to be on its way.
    this.#said.push({
      what,
      whose,
      isPublic,
      ttlMs,
      atMs: this.#now + delayMs,
      ...{ voidStep: Infinity, goneAtMs: Infinity, goneStep: Infinity },
    });
    const cacheScope = isPublic ? 'public' : 'private';
    const padding = 'x'.repeat(said % 7 === 0 ? 3_000 : 100);
    const reply = { ...answer(sent, { said, ttlMs, cacheScope, padding }), delayMs };
    if (this.#mood === 'well') return reply;
    return {
      headers: { 'content-type': 'text/event-stream' },
      body: [': x\n\n', `data: ${String(reply.body)}\n\n`],
      ...{ delayMs: 0, gapMs: delayMs / 2 },
    };
  }

  get #now(): number {
    return this.world.sim.clock.now();
  }

  /** Some ask, so that the server has something to tell of. */
  async begin(): Promise<void> {
    for (const whose of USERS.slice(1)) {
      this.#ask('tools', whose);
      this.#ask('a', whose);
    }
    await this.world.settle(1_000);
    this.#look();
  }

  async step(step: Step): Promise<void> {
    this.#steps++;
    if (step.do === 'ask') for (let i = 0; i < step.count; i++) this.#ask(step.what, step.whose);
    else if (step.do === 'wait') await this.world.settle(step.ms);
    else if (step.do === 'sweep') this.world.upstream.sweep?.();
    else if (step.do === 'server') this.#server = step;
    else if (step.do === 'mood') this.#mood = step.mood;
    else if (step.do === 'change') this.#change(CHANGES[step.index]);
    else if (step.do === 'gap') this.#gap();
    else this.#leave();
    this.#look();
  }

  #ask(what: string, whose: string): void {
    const id = ++this.#ids;
    const question = WHATS[what] ?? { method: '' };
    const { sink, call } = this.world.send({ ...question, as: whose, id });
    const asking = { what, whose, id, atMs: this.#now, step: this.#steps, sink };
    this.#asking.push(asking);
    this.#calls.push({ call, asking });
  }

  /** The server tells every listen that wants to hear; what nobody hears of makes nothing void. */
  #change(change: (typeof CHANGES)[number] | undefined): void {
    if (change === undefined) return;
    const { uri } = change.params;
    const hearing = this.world.opened.filter(({ isAborted, isAcknowledged, filter }) => {
      const uris = filter.resourceSubscriptions;
      const wants = uri === undefined || (Array.isArray(uris) && uris.includes(uri));
      return !isAborted && isAcknowledged && wants;
    });
    for (const listen of hearing) listen.tell(change.method, change.params);
    if (hearing.length === 0) return;
    for (const said of this.#said)
      if (change.whats.includes(said.what)) said.voidStep = Math.min(said.voidStep, this.#steps);
  }

  /** Every stream breaks off: what was asked by those whose stream it was holds no longer. */
  #gap(): void {
    for (const listen of this.world.opened) {
      if (listen.isAborted) continue;
      const whose = listen.request.client.principal;
      const concerned = this.#said.filter((said) => said.whose === whose && said.atMs < this.#now);
      if (listen.isAcknowledged)
        for (const said of concerned) {
          said.goneAtMs = Math.min(said.goneAtMs, this.#now);
          said.goneStep = Math.min(said.goneStep, this.#steps);
        }
      listen.end('GW_UPSTREAM_CLOSED');
    }
  }

  #leave(): void {
    const last = this.#calls.pop();
    if (last === undefined || last.asking.sink.over) return;
    last.call.abort();
    this.#asking.splice(this.#asking.indexOf(last.asking), 1);
  }

  /** Looks at every answer that has come. */
  #look(): void {
    expect(this.world.stats.bytes).toBeLessThanOrEqual(BYTES_MAX);
    for (const asking of this.#asking) if (asking.sink.over) this.#judge(asking);
    for (let i = this.#asking.length - 1; i >= 0; i--)
      if (this.#asking[i]?.sink.over) this.#asking.splice(i, 1);
  }

  #judge({ sink, id, what, whose, atMs, step }: Asking): void {
    if (sink.failed !== null) return;
    const text = sink.head?.media === 'event-stream' ? (sink.text.split('data: ')[1] ?? '') : sink.text;
    const { id: given, result } = jsonOf(new TextEncoder().encode(text)) as unknown as {
      id: unknown;
      result?: { said: number; ttlMs: number; _meta?: Record<string, unknown> };
    };
    expect(given).toBe(id);
    if (result === undefined) return;
    const said = this.#said[result.said];
    if (said === undefined) throw new Error('the server never said this');
    expect(said.what).toBe(what);
    if (said.whose !== whose) expect(said.isPublic).toBe(true);
    const isStale = result._meta?.['sluice/stale'] === true;
    // Whoever asks after a change was told does not hear what was asked before.
    expect(step).toBeLessThanOrEqual(said.voidStep);
    // Asked afresh, or while it was under way.
    if (said.atMs >= atMs) return;
    expect(said.ttlMs).toBeGreaterThan(0);
    if (isStale) {
      expect(result.ttlMs).toBe(0);
      expect(atMs).toBeLessThan(Math.min(said.atMs + said.ttlMs, said.goneAtMs) + STALE_MS);
    } else {
      expect(step).toBeLessThanOrEqual(said.goneStep);
      expect(atMs).toBeLessThan(said.atMs + said.ttlMs);
      expect(result.ttlMs).toBeLessThanOrEqual(said.atMs + said.ttlMs - atMs);
    }
  }

  async finish(): Promise<void> {
    await this.world.settle(500);
    this.#look();
    expect(this.#asking).toEqual([]);
    await this.world.upstream.close(1);
    expect(this.world.opened.every(({ isAborted }) => isAborted)).toBe(true);
    expect(this.world.stats.entries).toBe(0);
  }
}

/** Which of the questions it is. */
function whatOf({ body }: FakeSent): string {
  const { method, params } = jsonOf(body);
  const { _meta, ...asked } = params as Record<string, unknown>;
  const found = Object.entries(WHATS).find(
    ([, one]) => one.method === method && Bun.deepEquals(one.params ?? {}, asked),
  );
  return found?.[0] ?? '';
}

test('no answer reaches whom it is not for, none outlives its time or a change, and room is never exceeded', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const play = new Play();
      await play.begin();
      for (const step of list) await play.step(step);
      await play.finish();
    }),
    { numRuns: 1_000 },
  );
}, 60_000);
