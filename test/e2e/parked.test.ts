// Calls that wait for their modern client at a legacy server: many at once, answered in any order through any worker; and requestStates that are no good.
// Run by `bun test`: three workers' planes in process over real sockets, the test choosing whom a request reaches. Promises: prints the seed of its shuffle
// (SLUICE_SEED repeats it); leaves nothing parked.
import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { AskingServer } from '../fixtures/asking-server.ts';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { modernHeaders } from '../fixtures/messages.ts';
import { Planes } from '../fixtures/planes.ts';
import { readEvents, until } from '../fixtures/rpc-client.ts';

const WORKERS = 3;
const CALLS = 1_000;
const TEST_MS_MAX = 60_000;
const server = new AskingServer();
const planes = new Planes({
  servers: { alpha: { url: server.url } },
  workers: WORKERS,
  spec: { era: 'legacy' },
  front: { exchangesMax: 4_096, parkedMax: 512, parkedMs: 30_000 },
});
afterAll(async () => {
  await planes.stop();
  server.stop();
});

type Reply = Rpc & { readonly error?: { code: number; message: string }; readonly status: number };

/** What a call's result says when it asks for input. */
interface Asked {
  readonly resultType: string;
  readonly inputRequests: Record<string, { method: string; params: Record<string, unknown> }>;
  readonly requestState: string;
}

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
};

/** How a request differs from the plain call of `ask`. */
interface CallOptions {
  readonly path?: string;
  readonly name?: string;
  readonly args?: unknown;
  readonly retry?: Record<string, unknown>;
  readonly of?: Planes;
  readonly signal?: AbortSignal;
}

let lastId = 0;

async function call(worker: number, options: CallOptions = {}): Promise<Reply> {
  const { path = '/mcp/alpha', name = 'ask', args = {}, retry = {}, of = planes, signal } = options;
  const id = ++lastId;
  const response = await fetch(`${of.url(worker)}${path}`, {
    method: 'POST',
    headers: modernHeaders('tools/call', name),
    body: JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name, arguments: args, ...retry, _meta: META },
    }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
    const reply = (await response.json()) as Reply;
    expect(reply.id).toBe(id);
    return { ...reply, status: response.status };
  }
  let last: Reply | null = null;
  await readEvents(response, (message) => {
    if (message.id === id) last = { ...message, status: response.status };
  });
  if (last === null) throw new Error('no response');
  return last;
}

function asked(reply: Reply): Asked {
  const result = reply.result as Asked;
  expect(result).toMatchObject({ resultType: 'input_required' });
  return result;
}

/** A retry's fields: an answer to every question. */
function answering({ inputRequests, requestState }: Asked, name: string): Record<string, unknown> {
  const answer = { action: 'accept', content: { name } };
  const inputResponses = Object.fromEntries(Object.keys(inputRequests).map((key) => [key, answer]));
  return { inputResponses, requestState };
}

/** What a call that is over says it was called with, and what it was answered. */
function told(reply: Reply): { arguments: unknown; answers: unknown[] } {
  const { content } = reply.result as { content: { text: string }[] };
  return JSON.parse(content[0]?.text ?? '') as { arguments: unknown; answers: unknown[] };
}

function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const REFUSED = { status: 200, error: { code: -32602 } };

describe('parked calls', () => {
  afterEach(() => until('nothing is parked', () => server.waiting === 0 && server.open === 0));

  test(
    `${CALLS} at once, answered in random order through any worker`,
    async () => {
      const seed = Number(Bun.env.SLUICE_SEED ?? Math.floor(Math.random() * 2 ** 31));
      console.log(`parked: seed ${seed} (SLUICE_SEED repeats it)`);
      const random = generator(seed);
      const anyWorker = (): number => Math.floor(random() * WORKERS);
      const executedBefore = server.executed.length;
      const parked = await Promise.all(
        Array.from({ length: CALLS }, async (_, i) => ({
          i,
          question: asked(await call(i % WORKERS, { args: { i } })),
        })),
      );
      expect(server.waiting).toBe(CALLS);
      expect(new Set(parked.map(({ question }) => question.requestState)).size).toBe(CALLS);
      const order = parked.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at);
      const answers = await Promise.all(
        order.map(async ({ one: { i, question } }) => {
          const retry = answering(question, `client ${i}`);
          return { i, reply: await call(anyWorker(), { args: { i }, retry }) };
        }),
      );
      for (const { i, reply } of answers)
        expect(told(reply)).toEqual({ arguments: { i }, answers: [{ name: `client ${i}` }] });
      expect(server.executed.length - executedBefore).toBe(CALLS);
    },
    TEST_MS_MAX,
  );

  test('rounds: each through another worker', async () => {
    const first = asked(await call(0, { name: 'twice' }));
    expect(Object.values(first.inputRequests)[0]).toEqual({
      method: 'elicitation/create',
      params: {
        message: 'who?',
        requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
        mode: 'form',
      },
    });
    const second = asked(await call(1, { name: 'twice', retry: answering(first, 'one') }));
    expect(Object.values(second.inputRequests)[0]?.params.message).toBe('why?');
    expect(second.requestState).not.toBe(first.requestState);
    const done = await call(2, { name: 'twice', retry: answering(second, 'two') });
    expect(told(done).answers).toEqual([{ name: 'one' }, { name: 'two' }]);
    expect(done.result).toMatchObject({ resultType: 'complete' });
  });

  test('missing answers are asked for again, unknown ones are not looked at', async () => {
    const first = asked(await call(0, { name: 'both' }));
    const keys = Object.keys(first.inputRequests);
    expect(keys).toHaveLength(2);
    const again = asked(
      await call(1, { name: 'both', retry: { inputResponses: { x: {} }, requestState: first.requestState } }),
    );
    expect(again.inputRequests).toEqual(first.inputRequests);
    const one = { [keys[0] ?? '']: { action: 'accept', content: { name: 'a' } } };
    const half = asked(
      await call(2, { name: 'both', retry: { inputResponses: one, requestState: again.requestState } }),
    );
    expect(Object.keys(half.inputRequests)).toEqual(keys.slice(1));
    const done = await call(0, { name: 'both', retry: answering(half, 'b') });
    expect(told(done).answers).toEqual([{ name: 'a' }, { name: 'b' }]);
  });

  test('altered, at another endpoint, for another request, replayed: refused, and the rightful retry goes on', async () => {
    const question = asked(await call(0, { args: { n: 1 } }));
    const retry = answering(question, 'me');
    const state = question.requestState;
    const executed = server.executed.length;
    for (let at = 0; at < state.length; at += 7) {
      const altered = `${state.slice(0, at)}${state[at] === 'A' ? 'B' : 'A'}${state.slice(at + 1)}`;
      expect(
        await call(at % WORKERS, { args: { n: 1 }, retry: { ...retry, requestState: altered } }),
      ).toMatchObject(REFUSED);
    }
    for (const worker of [0, 1]) {
      expect(await call(worker, { path: '/mcp', args: { n: 1 }, retry })).toMatchObject(REFUSED);
      expect(await call(worker, { args: { n: 2 }, retry })).toMatchObject(REFUSED);
      expect(await call(worker, { name: 'twice', args: { n: 1 }, retry })).toMatchObject(REFUSED);
      expect(
        await call(worker, { args: { n: 1 }, retry: { ...retry, requestState: 'something' } }),
      ).toMatchObject(REFUSED);
    }
    expect(told(await call(1, { args: { n: 1 }, retry })).answers).toEqual([{ name: 'me' }]);
    for (const worker of [0, 1, 2])
      expect(await call(worker, { args: { n: 1 }, retry })).toMatchObject(REFUSED);
    expect(server.executed.length).toBe(executed);
  });

  test('too late: refused, and the server has heard that the call is over', async () => {
    const short = new Planes({
      servers: { alpha: { url: server.url } },
      spec: { era: 'legacy' },
      front: { parkedMs: 300 },
    });
    try {
      const before = server.cancelled.length;
      const question = asked(await call(0, { of: short }));
      await until('the call is cancelled', () => server.cancelled.length === before + 1);
      for (const worker of [0, 1])
        expect(await call(worker, { of: short, retry: answering(question, 'late') })).toMatchObject(REFUSED);
    } finally {
      await short.stop();
    }
  });

  test('at the bound the call is refused and cancelled, and there is room again after an answer', async () => {
    const small = new Planes({
      servers: { alpha: { url: server.url } },
      spec: { era: 'legacy' },
      front: { parkedMax: 2 },
    });
    try {
      const before = server.cancelled.length;
      const [first, second] = [asked(await call(0, { of: small })), asked(await call(0, { of: small }))];
      const refused = await call(0, { of: small });
      expect(refused).toMatchObject({ status: 500, error: { code: -32603 } });
      expect(refused.error?.message).toContain('too many calls wait');
      await until('the server has heard of it', () => server.cancelled.length === before + 1);
      // Another worker has room of its own.
      const other = asked(await call(1, { of: small }));
      await call(1, { of: small, retry: answering(first, 'x') });
      const third = asked(await call(0, { of: small }));
      for (const one of [second, other, third])
        expect(told(await call(0, { of: small, retry: answering(one, 'x') })).answers).toHaveLength(1);
    } finally {
      await small.stop();
    }
  });

  test('a home that died: refused, the others go on', async () => {
    const mortal = new Planes({ servers: { alpha: { url: server.url } }, spec: { era: 'legacy' } });
    try {
      const lost = asked(await call(1, { of: mortal }));
      const kept = asked(await call(0, { of: mortal }));
      mortal.die(1);
      expect(await call(0, { of: mortal, retry: answering(lost, 'x') })).toMatchObject(REFUSED);
      mortal.start(1);
      for (const worker of [0, 1])
        expect(await call(worker, { of: mortal, retry: answering(lost, 'x') })).toMatchObject(REFUSED);
      expect(told(await call(1, { of: mortal, retry: answering(kept, 'x') })).answers).toHaveLength(1);
    } finally {
      await mortal.stop();
    }
    server.forgetWaiting();
  });

  test('a client that leaves in the middle of its retry cancels the call', async () => {
    const before = server.cancelled.length;
    const question = asked(await call(0, { name: 'both' }));
    const [key = ''] = Object.keys(question.inputRequests);
    const again = asked(
      await call(1, {
        name: 'both',
        retry: { inputResponses: { [key]: { action: 'accept' } }, requestState: question.requestState },
      }),
    );
    expect(Object.keys(again.inputRequests)).toHaveLength(1);
    server.hold = true;
    const abort = new AbortController();
    const leaving = call(1, { name: 'both', retry: answering(again, 'x'), signal: abort.signal });
    await until('the answer is there', () => server.waiting === 0);
    abort.abort();
    await expect(leaving).rejects.toThrow();
    await until('the call is cancelled', () => server.cancelled.length === before + 1);
    server.hold = false;
  });
});
