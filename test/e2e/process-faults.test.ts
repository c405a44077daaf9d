// Processes that end without asking: a stdio child under load, the gateway itself, and the gateway told to stop, once and twice.
// Run by bun test against bin/sluice. Promises: waits for events, never for an amount of time; no process outlives the file.
import { afterEach, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning } from '../fixtures/alive.ts';
import { type Served, type StdioCommand, startGateway, stopAll } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { startByteServer } from '../fixtures/plane.ts';
import { readEvents } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 30_000;
const CALLERS = 32;
const MODERN = '2026-07-28';
const ACCEPT = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

afterEach(stopAll);

/** An argument that nothing reads: children are known by it. */
const MARK = `faults-${crypto.randomUUID()}`;

function scripted(env: Record<string, string> = {}): StdioCommand {
  const script = join(import.meta.dir, '../fixtures/stdio-scripted.ts');
  return { command: process.execPath, args: [script, MARK], env };
}

/** Children that run, by the process table where there is one to read. */
function marked(): string[] {
  const commandOf = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return '';
    }
  };
  try {
    return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(MARK));
  } catch {
    return [];
  }
}

/** These have ended, and so has every other child that was started. */
async function allGone(pids: readonly number[]): Promise<void> {
  expect(pids.every((pid) => Number.isInteger(pid) && pid > 1)).toBe(true);
  await eventually('no process is left', () => !pids.some(isRunning) && marked().length === 0);
}

/** The reply to a request, and its HTTP status. */
interface Answer {
  readonly status: number;
  readonly id?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
  readonly result?: {
    readonly pid: number;
    readonly grandchild: number;
    readonly args: { readonly n: number };
    readonly seen: readonly { readonly params?: { readonly name?: string } }[];
  };
}

/** Whoever calls tools at one path; `session` is null in the modern era. */
class Caller {
  readonly url: string;
  readonly session: string | null;

  constructor(url: string, session: string | null = null) {
    this.url = url;
    this.session = session;
  }

  /** A caller in a new legacy session. */
  static async legacy(url: string): Promise<Caller> {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 'i', method: 'initialize', params });
    const reply = await fetch(url, { method: 'POST', headers: ACCEPT, body });
    await reply.arrayBuffer();
    const caller = new Caller(url, reply.headers.get('mcp-session-id'));
    expect(caller.session).not.toBeNull();
    const note = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await (await fetch(url, { method: 'POST', headers: caller.headers(), body: note })).arrayBuffer();
    return caller;
  }

  headers(method = '', name: string | null = null): Record<string, string> {
    if (this.session !== null)
      return { ...ACCEPT, 'mcp-session-id': this.session, 'mcp-protocol-version': '2025-11-25' };
    return {
      ...ACCEPT,
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(name !== null && { 'mcp-name': name }),
    };
  }

  post(id: string | number, method: string, params: Record<string, unknown>): Promise<Response> {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': MODERN,
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const sent = this.session === null ? { ...params, _meta: meta } : params;
    const name = typeof params.name === 'string' ? params.name : null;
    return fetch(this.url, {
      method: 'POST',
      headers: this.headers(method, name),
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params: sent }),
    });
  }

  async call(id: string | number, name: string, args: Record<string, unknown> = {}): Promise<Answer> {
    const reply = await this.post(id, 'tools/call', { name, arguments: args });
    return { ...((await reply.json()) as Omit<Answer, 'status'>), status: reply.status };
  }

  async pid(): Promise<number> {
    return (await this.call('pid', 'echo')).result?.pid ?? 0;
  }

  /** Waits until the child has got as many calls of the tool. */
  seen(name: string, count: number): Promise<void> {
    return eventually(`the child got ${count} calls of ${name}`, async () => {
      const seen = (await this.call('seen', 'seen')).result?.seen ?? [];
      return seen.filter(({ params }) => params?.name === name).length >= count;
    });
  }
}

/** A call that its child has got and will never answer: at least one is in flight when the child is killed. */
async function holdCall(caller: Caller): Promise<{ readonly answer: Promise<Answer> }> {
  const answer = caller.call('held', 'never');
  await caller.seen('never', 1);
  return { answer };
}

/** Callers that call without a pause until they are stopped. */
class Load {
  /** Per worker: every failed answer. */
  readonly failures: Answer[][] = [];
  /** Per worker: calls answered, and which of them since the last mark. */
  readonly answered: number[] = [];
  readonly #running: Promise<void>[] = [];
  #isOver = false;

  constructor(callers: readonly Caller[]) {
    callers.forEach((caller, index) => {
      this.failures.push([]);
      this.answered.push(0);
      this.#running.push(this.#work(caller, index));
    });
  }

  async #work(caller: Caller, index: number): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const id = n % 2 === 0 ? `${index}/${n}` : index * 1_000_000 + n;
      const answer = await caller.call(id, 'work', { n, steps: 1, ms: n % 20 });
      // its own id, whatever became of it
      expect(answer.id).toBe(id);
      if (answer.error !== undefined) this.failures[index]?.push(answer);
      else {
        expect(answer.result?.args.n).toBe(n);
        this.answered[index] = (this.answered[index] ?? 0) + 1;
      }
    }
  }

  /** Every worker gets as many more answers. */
  async goesOn(calls: number): Promise<void> {
    const goals = this.answered.map((count) => count + calls);
    await Promise.race([
      eventually('every caller is answered', () =>
        this.answered.every((count, index) => count >= (goals[index] ?? 0)),
      ),
      // a worker that fails ends the wait
      Promise.all(this.#running),
    ]);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }
}

describe('kill -9 of a stdio child under load', () => {
  test(
    'modern: calls in flight get an error with their id, the next are served by a new child, other servers notice nothing',
    async () => {
      const gateway = await startGateway({ doomed: scripted(), other: scripted() });
      const doomed = new Caller(`${gateway.url}/mcp/doomed`);
      const other = new Caller(`${gateway.url}/mcp/other`);
      const load = new Load([...Array(CALLERS).fill(doomed), ...Array(8).fill(other)]);
      await load.goesOn(10);
      const pids = [await doomed.pid()];
      const otherPid = await other.pid();
      for (let kill = 1; kill <= 3; kill++) {
        const held = await holdCall(doomed);
        process.kill(pids.at(-1) ?? 0, 'SIGKILL');
        expect(await held.answer).toMatchObject({ id: 'held', status: 502 });
        await load.goesOn(10);
        pids.push(await doomed.pid());
      }
      await load.stop();
      expect(new Set(pids).size).toBe(4);
      const failures = load.failures.slice(0, CALLERS);
      // one call in flight per caller: each kill costs it one at most
      for (const ofOne of failures) expect(ofOne.length).toBeLessThanOrEqual(3);
      for (const { status, error } of failures.flat()) {
        expect([status, error?.code]).toEqual([502, -32603]);
        expect(error?.message).toContain('process ended');
      }
      expect(load.failures.slice(CALLERS).flat()).toEqual([]);
      expect(await other.pid()).toBe(otherPid);
      expect(await gateway.stop()).toBe(0);
      await allGone([...pids, otherPid]);
    },
    TEST_MS_MAX,
  );

  test(
    'legacy: the session goes on with a new child, other sessions notice nothing',
    async () => {
      const gateway = await startGateway({ doomed: scripted() });
      const url = `${gateway.url}/mcp/doomed`;
      const sessions = await Promise.all(Array.from({ length: 4 }, () => Caller.legacy(url)));
      const load = new Load(Array.from({ length: CALLERS }, (_, n) => sessions[n % 4] ?? new Caller(url)));
      await load.goesOn(5);
      const before = await Promise.all(sessions.map((session) => session.pid()));
      expect(new Set(before).size).toBe(4);
      const held = await holdCall(sessions[0] ?? new Caller(url));
      process.kill(before[0] ?? 0, 'SIGKILL');
      expect(await held.answer).toMatchObject({ id: 'held', status: 502 });
      await load.goesOn(10);
      await load.stop();
      const after = await Promise.all(sessions.map((session) => session.pid()));
      expect(after.slice(1)).toEqual(before.slice(1));
      expect(after[0]).not.toBe(before[0]);
      expect(isRunning(after[0] ?? 0)).toBe(true);
      load.failures.forEach((ofOne, index) => {
        expect(ofOne.length).toBeLessThanOrEqual(index % 4 === 0 ? 1 : 0);
        for (const { status } of ofOne) expect(status).toBe(502);
      });
      expect(await gateway.stop()).toBe(0);
      await allGone([...before, ...after]);
    },
    TEST_MS_MAX,
  );
});

/** Starts a child of each era, each with a grandchild; gives all their process ids. */
async function startFamilies(gateway: Served): Promise<number[]> {
  const url = `${gateway.url}/mcp/family`;
  const callers = [new Caller(url), await Caller.legacy(url)];
  const families = await Promise.all(callers.map((caller) => caller.call(1, 'child')));
  const pids = families.flatMap(({ result }) => [result?.pid ?? 0, result?.grandchild ?? 0]);
  expect(pids.every(isRunning)).toBe(true);
  expect(marked().length).toBeGreaterThanOrEqual(2);
  return pids;
}

describe('the end of the gateway', () => {
  test(
    'kill -9 leaves neither child nor grandchild, however stubborn',
    async () => {
      const gateway = await startGateway({ family: scripted({ STUBBORN: '1' }) });
      const pids = await startFamilies(gateway);
      process.kill(gateway.pid, 'SIGKILL');
      await allGone([gateway.pid, ...pids]);
    },
    TEST_MS_MAX,
  );

  test(
    'SIGTERM lets running calls finish, takes no new ones, exit code 0, no child left',
    async () => {
      const { promise: isReleased, resolve: release } = Promise.withResolvers<void>();
      const held = startByteServer(async (body) => {
        await isReleased;
        const { id } = JSON.parse(new TextDecoder().decode(body));
        return Response.json({ jsonrpc: '2.0', id, result: { resultType: 'complete' } });
      });
      try {
        const gateway = await startGateway(
          { family: scripted(), held: { url: held.url, era: 'modern' } },
          { limits: { drainMs: 20_000 } },
        );
        const pids = await startFamilies(gateway);
        const near = new Caller(`${gateway.url}/mcp/family`);
        const session = await Caller.legacy(near.url);
        pids.push(await session.pid());
        const far = new Caller(`${gateway.url}/mcp/held`);
        const running = Array.from({ length: CALLERS }, (_, n) => {
          if (n % 4 === 0) return far.call(n, 'echo');
          return (n % 4 === 1 ? session : near).call(n, 'work', { n, steps: 4, ms: 200 });
        });
        await Promise.all([near.seen('work', 16), session.seen('work', 8)]);
        await eventually('the HTTP server has its calls', () => held.bodies.length === CALLERS / 4);
        const stopped = gateway.stop();
        await eventually(
          'it says that it is draining',
          async () => (await fetch(`${gateway.url}/readyz`)).status === 503,
        );
        const late = await near.call('late', 'echo');
        expect(late).toMatchObject({ status: 503, error: { code: expect.any(Number) } });
        release();
        const answers = await Promise.all(running);
        answers.forEach((answer, n) => {
          expect(answer).toMatchObject({ status: 200, id: n, result: expect.any(Object) });
        });
        expect(await stopped).toBe(0);
        await allGone(pids);
      } finally {
        release();
        held.stop();
      }
    },
    TEST_MS_MAX,
  );

  test(
    'a second SIGTERM ends it at once, and the children with it',
    async () => {
      const gateway = await startGateway(
        { family: scripted({ STUBBORN: '1' }) },
        { limits: { drainMs: 3_600_000 } },
      );
      const pids = await startFamilies(gateway);
      const caller = new Caller(`${gateway.url}/mcp/family`);
      const broken = caller.call(1, 'never').then(
        (answer) => answer.status,
        () => 'broken off',
      );
      await caller.seen('never', 1);
      const stopped = gateway.stop();
      await eventually('it is draining', async () => (await fetch(`${gateway.url}/readyz`)).status === 503);
      process.kill(gateway.pid, 'SIGTERM');
      expect(await stopped).toBe(128 + 15);
      expect(await broken).toBe('broken off');
      await allGone(pids);
    },
    TEST_MS_MAX,
  );

  test(
    'SIGTERM when idle does not wait for open event streams and subscriptions',
    async () => {
      const gateway = await startGateway(
        { family: scripted(), other: scripted() },
        { limits: { drainMs: 3_600_000 } },
      );
      const pids = await startFamilies(gateway);
      const streams = await Promise.all(
        ['/mcp/family', '/mcp'].flatMap((path) => {
          const url = gateway.url + path;
          const listen = new Caller(url).post(1, 'subscriptions/listen', {
            notifications: { toolsListChanged: true },
          });
          const get = Caller.legacy(url).then((caller) => fetch(url, { headers: caller.headers() }));
          return [listen, get];
        }),
      );
      const ended = streams.map((stream) => {
        expect(stream.status).toBe(200);
        expect(stream.headers.get('content-type')).toStartWith('text/event-stream');
        return readEvents(stream, () => undefined).catch(() => undefined);
      });
      expect(await gateway.stop()).toBe(0);
      await Promise.all(ended);
      await allGone(pids);
    },
    TEST_MS_MAX,
  );
});
