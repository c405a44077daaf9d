// stdio servers as a product, through bin/sluice and real processes: hundreds of abandoned sessions, one process for many, what starts early,
// what grows too large, and what is left of it all.
// Run by bun test. Promises: waits for events, never for an amount of time; no process outlives the file.
import { afterEach, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../../src/base/assert.ts';
import { isRunning } from '../fixtures/alive.ts';
import { type Served, type ServerEntry, startGateway, stopAll } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { readEvents } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;
const MIB = 1024 * 1024;
const MODERN = '2026-07-28';
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
/** An argument that nothing reads: children are known by it. */
const MARK = `product-${crypto.randomUUID()}`;

afterEach(async () => {
  await stopAll();
  await eventually('no child is left', () => children().length === 0);
});

function tiny(...args: string[]): { readonly command: string; readonly args: readonly string[] } {
  return { command: '/bin/sh', args: [join(import.meta.dir, '../fixtures/tiny-server.sh'), MARK, ...args] };
}

function scripted(): { readonly command: string; readonly args: readonly string[] } {
  return { command: process.execPath, args: [join(import.meta.dir, '../fixtures/stdio-scripted.ts'), MARK] };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Children that run, zombies included: a zombie has no command line, but its state says so. */
function children(): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && textOf(`/proc/${pid}/cmdline`).includes(MARK))
    .map(Number);
}

/** Processes that have ended and that their parent, this one, has not collected. */
function zombiesOf(parent: number): number {
  return readdirSync('/proc').filter((pid) => {
    const fields = /\) (.) (\d+) /.exec(textOf(`/proc/${pid}/stat`));
    return fields?.[1] === 'Z' && Number(fields[2]) === parent;
  }).length;
}

function residentMib(pid: number): number {
  return Math.round(Number(/VmRSS:\s*(\d+)/.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) / 1024);
}

interface Rpc {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly progressToken?: unknown; readonly progress?: number };
  readonly error?: { readonly code: number; readonly message: string };
  readonly result?: {
    readonly pid: number;
    readonly cwd: string;
    readonly names: string;
    readonly args: { readonly n: number };
    readonly seen: readonly {
      readonly id?: number;
      readonly method?: string;
      readonly params?: {
        readonly name?: string;
        readonly arguments?: { readonly n: number };
        readonly requestId?: number;
      };
    }[];
  };
}

/** A legacy client that never says goodbye. */
class Client {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  #stream: AbortController | null = null;

  private constructor(url: string, session: string) {
    this.#url = url;
    this.#headers = { ...HEADERS, 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
  }

  static async open(url: string): Promise<Client> {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    const reply = await fetch(url, { method: 'POST', headers: HEADERS, body });
    const answer = await reply.text();
    const session = reply.headers.get('mcp-session-id');
    if (session === null) throw new Error(`no session was opened: ${reply.status} ${answer}`);
    const client = new Client(url, session);
    await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return client;
  }

  post(message: object): Promise<Response> {
    return fetch(this.#url, { method: 'POST', headers: this.#headers, body: JSON.stringify(message) });
  }

  async call(
    id: string | number,
    name: string,
    args: object = {},
  ): Promise<Rpc & { readonly status: number }> {
    const reply = await this.post({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name, arguments: args },
    });
    return { ...((await reply.json()) as Rpc), status: reply.status };
  }

  /** Opens the session's stream, which keeps the session in use. */
  async listen(): Promise<void> {
    this.#stream = new AbortController();
    const reply = await fetch(this.#url, { headers: this.#headers, signal: this.#stream.signal });
    expect(reply.status).toBe(200);
  }

  leave(): void {
    this.#stream?.abort();
  }
}

function modern(
  url: string,
  id: unknown,
  params: { readonly name: string } & Record<string, unknown>,
  meta: object = {},
  signal?: AbortSignal,
): Promise<Response> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
    ...meta,
  };
  const headers = {
    ...HEADERS,
    'mcp-protocol-version': MODERN,
    'mcp-method': 'tools/call',
    'mcp-name': params.name,
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { ...params, _meta } });
  return fetch(url, { method: 'POST', headers, body, ...(signal !== undefined && { signal }) });
}

async function start(
  server: ServerEntry,
  settings: Record<string, unknown> = {},
): Promise<{ readonly gateway: Served; readonly url: string }> {
  const gateway = await startGateway({ only: server }, settings);
  return { gateway, url: `${gateway.url}/mcp/only` };
}

describe('sessions that nobody ends', () => {
  test(
    '200 opened and abandoned: children and memory return to the idle figure',
    async () => {
      const { gateway, url } = await start(
        { ...tiny(), era: 'legacy' },
        { workers: 2, limits: { sessionIdleMs: 3_000 } },
      );
      const round = async (count: number): Promise<{ readonly peak: number; readonly peakMib: number }> => {
        const clients: Client[] = [];
        while (clients.length < count) {
          const group = await Promise.all(Array.from({ length: 20 }, () => Client.open(url)));
          await Promise.all(group.map((client) => client.listen()));
          clients.push(...group);
        }
        const pids = await Promise.all(
          clients.map(async (client, n) => (await client.call(n, 'echo')).result?.pid),
        );
        expect(new Set(pids).size).toBe(count);
        const peak = { peak: children().length, peakMib: residentMib(gateway.pid) };
        for (const client of clients) client.leave();
        await eventually('no child is left', () => children().length === 0);
        return peak;
      };
      // The first ones bring code and buffers that stay.
      await round(20);
      const idleMib = residentMib(gateway.pid);
      const { peak, peakMib } = await round(200);
      expect(peak).toBe(200);
      const afterMib = residentMib(gateway.pid);
      console.log(
        `200 abandoned sessions: gateway ${idleMib} MiB idle, ${peakMib} MiB at the peak, ${afterMib} MiB after`,
      );
      expect(afterMib - idleMib).toBeLessThan(128);
      await eventually('no zombie is left', () => zombiesOf(gateway.pid) === 0);
      expect((await (await Client.open(url)).call(1, 'echo')).status).toBe(200);
    },
    TEST_MS_MAX,
  );
});

describe('one process for many', () => {
  test(
    '64 modern callers with equal ids get their own answers, progress and cancellations',
    async () => {
      const { url } = await start({ ...scripted(), era: 'modern' }, { workers: 2 });
      const leaving = new AbortController();
      const callers = Array.from({ length: 64 }, async (_, n) => {
        if (n % 4 === 0) {
          const left = modern(
            url,
            7,
            { name: 'never', arguments: { n } },
            { progressToken: 't' },
            leaving.signal,
          );
          return left.then(
            () => 'answered',
            () => 'left',
          );
        }
        const reply = await modern(
          url,
          7,
          { name: 'work', arguments: { n, steps: 3, ms: n % 7 } },
          { progressToken: 't' },
        );
        const messages: Rpc[] = [];
        await readEvents(reply, (message) => void messages.push(message as Rpc));
        expect(messages.slice(0, -1).map(({ params }) => params)).toEqual(
          [1, 2, 3].map((progress) => ({ progressToken: 't', progress })) as never,
        );
        expect(messages.at(-1)).toMatchObject({ id: 7, result: { args: { n } } });
        return 'answered';
      });
      const seen = async () =>
        ((await (await modern(url, 7, { name: 'seen' })).json()) as Rpc).result?.seen ?? [];
      await eventually(
        'all of the others are in flight',
        async () => (await seen()).filter(({ params }) => params?.name === 'never').length === 16,
      );
      leaving.abort();
      const outcomes = await Promise.all(callers);
      expect(outcomes.filter((outcome) => outcome === 'left')).toHaveLength(16);
      await eventually('exactly the calls of those who left are cancelled', async () => {
        const messages = await seen();
        const left = messages.filter(({ params }) => params?.name === 'never').map(({ id }) => id);
        const cancelled = messages
          .filter(({ method }) => method === 'notifications/cancelled')
          .map(({ params }) => params?.requestId);
        return cancelled.length === 16 && cancelled.every((id) => left.includes(id));
      });
      expect(children()).toHaveLength(1);
    },
    TEST_MS_MAX,
  );

  test(
    'legacy sessions of a server that keeps nothing: one process, however many workers; kill -9 costs no session',
    async () => {
      const { url } = await start({ ...scripted(), era: 'legacy', sharing: 'shared' }, { workers: 4 });
      const clients = await Promise.all(Array.from({ length: 32 }, () => Client.open(url)));
      const everybody = async (): Promise<number> => {
        const answers = await Promise.all(clients.map((client, n) => client.call(1, 'echo', { n })));
        for (const [n, answer] of answers.entries())
          expect(answer).toMatchObject({ status: 200, id: 1, result: { args: { n } } });
        const pids = new Set(answers.map(({ result }) => result?.pid));
        expect(pids.size).toBe(1);
        return [...pids][0] ?? 0;
      };
      const pid = await everybody();
      expect(children()).toEqual([pid]);
      process.kill(pid, 'SIGKILL');
      // Until the gateway has heard of it, calls go to the one that is no more.
      const first = must(clients[0], 'a client');
      await eventually('calls get through', async () => (await first.call(0, 'echo')).status === 200);
      expect(await everybody()).not.toBe(pid);
      expect(children()).toHaveLength(1);
    },
    TEST_MS_MAX,
  );
});

describe('how processes are kept', () => {
  test(
    'warm ones are there before the first session, are replaced when taken, and end with a gateway that is killed',
    async () => {
      const { gateway, url } = await start({ ...tiny(), era: 'legacy', warm: 3 }, { workers: 1 });
      await eventually('three wait', () => children().length === 3);
      const before = children();
      const client = await Client.open(url);
      expect(before).toContain((await client.call(1, 'echo')).result?.pid ?? 0);
      await eventually('three wait again', () => children().length === 4);
      await client.call(2, 'hog');
      process.kill(gateway.pid, 'SIGKILL');
      await eventually('all are gone', () => children().length === 0);
    },
    TEST_MS_MAX,
  );

  test(
    'one that holds too much, what it has started included, is replaced; its session goes on',
    async () => {
      const { gateway, url } = await start(
        { ...tiny(), era: 'legacy', memoryMaxBytes: 48 * MIB },
        { workers: 1 },
      );
      const client = await Client.open(url);
      const pid = (await client.call(1, 'hog')).result?.pid ?? 0;
      await eventually('it is replaced', () => !isRunning(pid));
      const next = (await client.call(2, 'echo')).result?.pid;
      expect(next).toBeGreaterThan(0);
      expect(next).not.toBe(pid);
      expect(gateway.stderr()).toContain('holds too much memory');
      expect(children()).toHaveLength(1);
    },
    TEST_MS_MAX,
  );

  test(
    'a shared one that nobody needs ends by itself and comes back',
    async () => {
      const { url } = await start({ ...scripted(), era: 'modern', idleMs: 300 });
      const pid = async (): Promise<number> =>
        ((await (await modern(url, 1, { name: 'echo', arguments: {} })).json()) as Rpc).result?.pid ?? 0;
      const first = await pid();
      await eventually('it has ended', () => !isRunning(first));
      expect(await pid()).not.toBe(first);
    },
    TEST_MS_MAX,
  );

  test(
    'one that does not answer is killed in time, and the client is told which option says so',
    async () => {
      const { url } = await start({ ...tiny('mute'), era: 'legacy', startMs: 300 });
      await expect(Client.open(url)).rejects.toThrow('startMs');
      await eventually('it is gone', () => children().length === 0);
    },
    TEST_MS_MAX,
  );

  test(
    'one that keeps dying is a crash loop: logged once, told to clients, and not started in a storm',
    async () => {
      const command = ['-c', `echo "cannot find the model" >&2; exit 3; # ${MARK}`];
      const { gateway, url } = await start(
        { command: '/bin/sh', args: command, era: 'legacy' },
        { workers: 1 },
      );
      const told: string[] = [];
      await eventually('it says so', async () => {
        told.push(await Client.open(url).then(() => '', String));
        return told.at(-1)?.includes('times in a row') === true;
      });
      expect(told.at(-1)).toContain('it exited with code 3; its last words: \\"cannot find the model\\"');
      expect(gateway.stderr().split('is in a crash loop')).toHaveLength(2);
    },
    TEST_MS_MAX,
  );

  test(
    'working directory and environment are those that were configured, and nothing else',
    async () => {
      const cwd = realpathSync(tmpdir());
      const { url } = await start(
        { ...tiny(), era: 'legacy', cwd, env: { GIVEN: '1' }, inheritEnv: ['SLUICE_E2E_WANTED'] },
        {},
      );
      const { result } = await (await Client.open(url)).call(1, 'where');
      expect(result?.cwd).toBe(cwd);
      const allowed =
        /^(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TMPDIR|SHELL|TERM|TZ|PWD|OLDPWD|SHLVL|_|GIVEN)$/;
      const names = (result?.names ?? '').trim().split(' ');
      expect(names).toContain('GIVEN');
      expect(names.filter((name) => !allowed.test(name))).toEqual([]);
    },
    TEST_MS_MAX,
  );
});
