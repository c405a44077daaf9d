// Calls that fail, hang or are too many, through the whole gateway, each with the number of times that the fixture executed it.
// Run by bun test against bin/sluice and the fixture. Promises: waits for events, never for an amount of time; no process outlives the file.
import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type FixtureEras,
  type ServerEntry,
  startFixture,
  startGateway,
  stopAll,
} from '../fixtures/harness.ts';
import { type Journal, readJournal } from '../fixtures/journal.ts';
import { MODERN_META, modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { RpcClient, readEvents } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'sluice-retries-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
let files = 0;

afterEach(stopAll);

/** One journal for all processes of a test. */
class Book {
  readonly file = join(folder, `journal-${files++}`);

  read(): Journal {
    return readJournal(this.file);
  }

  times(key: string): number {
    return this.read().executions.get(key) ?? 0;
  }

  /** The process that executed it last. */
  pidOf(key: string): number {
    const lines = readFileSync(this.file, 'utf8').split('\n');
    return Number(lines.findLast((line) => line.startsWith(`${key} `))?.split(' ')[2]);
  }
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly result?: { readonly content?: readonly { readonly text?: string }[]; readonly isError?: boolean };
  readonly error?: { readonly code: number; readonly data?: { readonly gw?: string } };
}

let ids = 0;

/** A call of a modern client. */
async function call(
  url: string,
  name: string,
  args: object,
  meta: Record<string, unknown> = {},
): Promise<Answer> {
  const params = { name, arguments: args, _meta: { ...MODERN_META, ...meta } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'tools/call', params });
  return answerOf(await fetch(url, { method: 'POST', headers: modernHeaders('tools/call', name), body }));
}

async function answerOf(reply: Response): Promise<Answer> {
  const head = { status: reply.status, retryAfter: reply.headers.get('retry-after') };
  if (reply.headers.get('content-type')?.startsWith('text/event-stream') !== true)
    return { ...head, ...(JSON.parse(await reply.text()) as object) };
  let last: object = {};
  await readEvents(reply, (message) => {
    if (message.method === undefined) last = message;
  });
  return { ...head, ...last };
}

async function list(url: string): Promise<void> {
  const body = modernRequest(++ids, 'tools/list');
  const answer = await answerOf(
    await fetch(url, { method: 'POST', headers: modernHeaders('tools/list'), body }),
  );
  expect(answer.status).toBe(200);
}

async function gatewayTo(server: ServerEntry): Promise<string> {
  return `${(await startGateway({ far: server })).url}/mcp/far`;
}

const codeOf = ({ result, error }: Answer): unknown => (result === undefined ? error?.data?.gw : 'done');

describe('a server that dies in the middle of a call', () => {
  const reads = ['look', 'slow'] as const;

  /** Calls a tool, kills who executes it, and lets `revive` do something about that. */
  async function killed(
    book: Book,
    url: string,
    { tool, key }: { readonly tool: string; readonly key: string },
    revive: (pid: number) => Promise<void>,
  ): Promise<readonly [unknown, number]> {
    const calling = call(url, tool, { ms: 1_000, key });
    await eventually('it is being executed', () => book.times(`${tool} ${key}`) === 1);
    const pid = book.pidOf(`${tool} ${key}`);
    process.kill(pid, 'SIGKILL');
    await revive(pid);
    return [codeOf(await calling), book.times(`${tool} ${key}`)];
  }

  const EXPECTED = { look: ['done', 2], slow: ['GW_UPSTREAM_CLOSED', 1] } as const;

  test(
    'what only reads is done again by another replica; anything else is executed once',
    async () => {
      const book = new Book();
      const start = (port = 0) => startFixture('modern', { journal: book.file, port });
      const fixtures = [await start(), await start()];
      const url = await gatewayTo({ replicas: fixtures.map((one) => ({ url: one.url })), era: 'modern' });
      await list(url);
      for (const tool of reads) {
        const revive = async (pid: number): Promise<void> => {
          const dead = fixtures.findIndex((one) => one.pid === pid);
          const { url: place = '' } = fixtures[dead] ?? {};
          await fixtures[dead]?.stop();
          // The other one has it by now, or nobody will.
          if (tool === 'look') await eventually('it is done again', () => book.times('look k') === 2);
          fixtures[dead] = await start(Number(new URL(place).port));
        };
        expect(await killed(book, url, { tool, key: 'k' }, revive)).toEqual(EXPECTED[tool]);
      }
    },
    TEST_MS_MAX,
  );

  for (const eras of ['modern', 'legacy'] satisfies FixtureEras[])
    test(
      `or by the same server once it is back (${eras})`,
      async () => {
        const book = new Book();
        const start = (port = 0) => startFixture(eras, { journal: book.file, port });
        let fixture = await start();
        const retries = { max: 10, backoffMs: 400, backoffMaxMs: 1_000 };
        const url = await gatewayTo({ url: fixture.url, era: eras, retries });
        await list(url);
        for (const tool of reads) {
          const revive = async (): Promise<void> => {
            await fixture.stop();
            fixture = await start(Number(new URL(fixture.url).port));
          };
          expect(await killed(book, url, { tool, key: eras }, revive)).toEqual(EXPECTED[tool]);
        }
      },
      TEST_MS_MAX,
    );
});

test(
  'a server that is away: a call that nothing was executed of waits for it, whatever its tool is',
  async () => {
    const book = new Book();
    const gone = await startFixture('modern', { journal: book.file });
    const port = Number(new URL(gone.url).port);
    const retries = { max: 10, backoffMs: 400, backoffMaxMs: 1_000 };
    const url = await gatewayTo({ url: gone.url, era: 'modern', retries });
    await gone.stop();
    const calling = call(url, 'slow', { ms: 1, key: 'late' });
    await startFixture('modern', { journal: book.file, port });
    expect([codeOf(await calling), book.times('slow late')]).toEqual(['done', 1]);
  },
  TEST_MS_MAX,
);

test(
  'where repeats are off, it fails at once and once',
  async () => {
    const book = new Book();
    const fixture = await startFixture('modern', { journal: book.file });
    const url = await gatewayTo({ url: fixture.url, era: 'modern', retries: { max: 0 } });
    await list(url);
    const calling = call(url, 'look', { ms: 5_000, key: 'k' });
    await eventually('it is being executed', () => book.times('look k') === 1);
    process.kill(fixture.pid, 'SIGKILL');
    expect([codeOf(await calling), book.times('look k')]).toEqual(['GW_UPSTREAM_CLOSED', 1]);
    expect(codeOf(await call(url, 'look', { ms: 1 }))).toBe('GW_UPSTREAM_CONNECT');
  },
  TEST_MS_MAX,
);

test(
  'a breaker that counts: errors of tools and of the protocol do not open it, a server that is gone does',
  async () => {
    const book = new Book();
    const fixture = await startFixture('modern', { journal: book.file });
    const url = await gatewayTo({ url: fixture.url, era: 'modern', retries: { max: 0 } });
    for (let n = 0; n < 30; n++) {
      expect((await call(url, 'test_error_handling', {})).result?.isError).toBe(true);
      expect((await call(url, 'no_such_tool', {})).error?.code).toBe(-32602);
    }
    expect([codeOf(await call(url, 'slow', { ms: 1, key: 'k' })), book.times('slow k')]).toEqual(['done', 1]);
    await fixture.stop();
    const codes = new Set<unknown>();
    for (let n = 0; n < 200; n++) codes.add(codeOf(await call(url, 'slow', { ms: 1, key: 'k' })));
    expect([...codes].sort()).toEqual(['GW_UPSTREAM_CONNECT', 'GW_UPSTREAM_OPEN']);
    expect(book.times('slow k')).toBe(1);
  },
  TEST_MS_MAX,
);

test(
  'a second request beside a slow one: two executions, one answer, the other is cancelled at the server',
  async () => {
    const book = new Book();
    const fixture = await startFixture('modern', { journal: book.file });
    const hedge = { enabled: true, budgetPercent: 100 };
    const url = await gatewayTo({ url: fixture.url, era: 'modern', hedge });
    await list(url);
    for (let n = 0; n < 32; n++) await call(url, 'look', { ms: 1 });
    expect(codeOf(await call(url, 'look', { ms: 3_000, key: 'k' }))).toBe('done');
    expect(book.times('look k')).toBe(2);
    await eventually('the other hears of it', () => book.read().cancelled.has('look k'));
    expect(codeOf(await call(url, 'slow', { ms: 1_500, key: 'k' }))).toBe('done');
    expect(book.times('slow k')).toBe(1);
  },
  TEST_MS_MAX,
);

describe('a tool with a time of its own', () => {
  const tools = { slow: { timeoutMs: 700 } };

  for (const eras of ['modern', 'legacy'] satisfies FixtureEras[])
    test(
      `is cancelled at the server; progress puts its end off (${eras} server)`,
      async () => {
        const book = new Book();
        const fixture = await startFixture(eras, { journal: book.file });
        const url = await gatewayTo({ url: fixture.url, era: eras, tools });
        const late = await call(url, 'slow', { ms: 30_000, key: 'late' });
        expect([late.status, codeOf(late), book.times('slow late')]).toEqual([504, 'GW_UPSTREAM_TIMEOUT', 1]);
        await eventually('the server hears of it', () => book.read().cancelled.has('slow late'));
        const meta = { progressToken: 'p' };
        const moving = await call(url, 'slow', { ms: 2_000, steps: 40, key: 'moving' }, meta);
        expect([codeOf(moving), book.times('slow moving')]).toEqual(['done', 1]);
      },
      TEST_MS_MAX,
    );

  test(
    'a legacy client’s call is cancelled as well, though its connection says nothing',
    async () => {
      const book = new Book();
      const fixture = await startFixture('legacy', { journal: book.file });
      const client = new RpcClient(await gatewayTo({ url: fixture.url, era: 'legacy', tools }));
      await client.request('initialize', {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 't', version: '1' },
      });
      await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
      const late = client.request('tools/call', { name: 'slow', arguments: { ms: 30_000, key: 'k' } });
      // Its event stream has begun: to a legacy client the end of it is a broken connection.
      await late.catch(() => null);
      await eventually('the server hears of it', () => book.read().cancelled.has('slow k'));
      expect(book.times('slow k')).toBe(1);
    },
    TEST_MS_MAX,
  );
});

test(
  'too many at once: refused with 503 and a time to come again, not executed',
  async () => {
    const book = new Book();
    const fixture = await startFixture('modern', { journal: book.file });
    const url = await gatewayTo({ url: fixture.url, era: 'modern', concurrencyMax: 2, retries: { max: 0 } });
    const running = [1, 2].map((n) => call(url, 'slow', { ms: 2_000, key: `k${n}` }));
    await eventually('both are being executed', () => book.times('slow k1') + book.times('slow k2') === 2);
    const third = await call(url, 'slow', { ms: 1, key: 'k3' });
    expect([third.status, third.retryAfter, codeOf(third), book.times('slow k3')]).toEqual([
      503,
      '1',
      'GW_POLICY_BUSY',
      0,
    ]);
    expect((await Promise.all(running)).map(codeOf)).toEqual(['done', 'done']);
    expect(codeOf(await call(url, 'slow', { ms: 1, key: 'k4' }))).toBe('done');
  },
  TEST_MS_MAX,
);
