// Reload and drain of a gateway that works: 200 reloads under 64 clients of both eras and two workers, a process that follows its file, and a drain under load.
// Run by bun test. Promises: every call is known by a key and executed once; waits for states, never for an amount of time; no process outlives the file.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  fixtureCommand,
  type Served,
  startFixture,
  startGateway as startProcess,
  stopAll,
} from '../fixtures/harness.ts';
import { readJournal } from '../fixtures/journal.ts';
import {
  answerOf,
  fileOf,
  modernCall,
  nextKey,
  running,
  type Servers,
  Stream,
  startLive,
  streamOf,
} from '../fixtures/live.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 120_000;
const RELOADS = 200;
const BROKEN_EVERY = 10;
/** An argument that nothing reads: children are known by it. */
const MARK = `reload-${crypto.randomUUID()}`;

afterAll(async () => {
  for (const gateway of running) gateway.stop();
  await stopAll();
});

/** Calls without a pause until told to stop; `tools` are called in turn, each under a key of its own, so that each answers `1`. */
class Caller {
  answered = 0;
  readonly faults: string[] = [];
  #isOver = false;
  readonly #call: (tool: string, key: string) => Promise<string>;
  readonly #tools: readonly string[];
  readonly ended: Promise<void>;

  constructor(tools: readonly string[], call: (tool: string, key: string) => Promise<string>) {
    this.#tools = tools;
    this.#call = call;
    this.ended = this.#work();
  }

  async #work(): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      const tool = this.#tools[n % this.#tools.length] ?? '';
      const answer = await this.#call(tool, nextKey()).catch((thrown: unknown) => String(thrown));
      if (answer === '1') this.answered++;
      else this.faults.push(`${tool}: ${answer.slice(0, 300)}`);
    }
  }

  stop(): Promise<void> {
    this.#isOver = true;
    return this.ended;
  }
}

/** Processes that bear the mark. */
function children(): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(MARK);
    } catch {
      return false;
    }
  }).length;
}

/** Numbers that look like chance and are the same each time. */
function chance(): (below: number) => number {
  let state = 12_345;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

const CHANGED = 'notifications/tools/list_changed';

describe('reload', () => {
  test(
    `${RELOADS} times under 64 clients of both eras: no call to a server that stays fails, sessions and streams go on`,
    async () => {
      const [dual, old] = await Promise.all([startFixture('dual'), startFixture('legacy')]);
      const stay: Servers = {
        one: { url: dual.url },
        two: { ...fixtureCommand('dual'), sharing: 'shared' },
        old: { url: old.url },
      };
      // What comes, goes and changes; servers on stdio among it.
      const tiny = join(import.meta.dir, '../fixtures/tiny-server.sh');
      const pool = Array.from({ length: 8 }, (_, n) => `x${n}`);
      const variant = (name: string, n: number): Servers[string] =>
        n % 3 === 0
          ? { command: '/bin/sh', args: [tiny, MARK, name, String(n)] }
          : { url: dual.url, timeouts: { totalMs: 600_000 + n } };
      const extra: Record<string, Servers[string]> = { x0: variant('x0', 1) };
      const { gateway, lines, reload } = await startLive(fileOf({ ...stay, ...extra }));
      const at = (path: string): string => gateway.url + path;

      const joined = ['one__count', 'two__count', 'old__count'];
      const callers: Caller[] = [];
      const modern = (path: string, tools: readonly string[]): void => {
        callers.push(new Caller(tools, (tool, key) => modernCall(at(path), tool, { key })));
      };
      const clients: RpcClient[] = [];
      const legacy = async (path: string, tools: readonly string[]): Promise<RpcClient> => {
        const client = new RpcClient(at(path));
        await client.initialize();
        clients.push(client);
        const call = async (tool: string, key: string): Promise<string> =>
          answerOf(await client.request('tools/call', { name: tool, arguments: { key } }));
        callers.push(new Caller(tools, call));
        return client;
      };
      for (let n = 0; n < 20; n++) modern('/mcp', joined);
      const sessions = await Promise.all(Array.from({ length: 20 }, () => legacy('/mcp', joined)));
      const singles: RpcClient[] = [];
      for (const name of ['one', 'two', 'old'])
        for (let n = 0; n < 4; n++) {
          modern(`/mcp/${name}`, ['count']);
          singles.push(await legacy(`/mcp/${name}`, ['count']));
        }
      expect(callers.length).toBe(64);

      const joinedStreams = sessions.map(streamOf);
      const singleStreams = singles.map(streamOf);
      const filter = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
      const listens = Array.from(
        { length: 4 },
        (_, n) =>
          new Stream(at('/mcp'), {
            method: 'POST',
            headers: modernHeaders('subscriptions/listen'),
            body: modernRequest(`listen${n}`, 'subscriptions/listen', { notifications: filter }),
          }),
      );
      const acknowledged = 'notifications/subscriptions/acknowledged';
      await eventually('the listens are acknowledged', () =>
        listens.every((one) => one.count(acknowledged) === 1),
      );

      const goOn = (calls: number): Promise<void> => {
        const goals = callers.map((caller) => caller.answered + calls);
        return eventually('every caller is answered', () => {
          const fault = callers.flatMap((caller) => caller.faults)[0];
          if (fault !== undefined) throw new Error(fault);
          return callers.every((caller, n) => caller.answered >= (goals[n] ?? 0));
        });
      };
      await goOn(2);
      const pick = chance();
      let broken = 0;
      const beganAtMs = performance.now();
      for (let n = 1; n <= RELOADS; n++) {
        if (n % BROKEN_EVERY === 0) {
          await reload(
            n % 20 === 0 ? '{ "servers": ' : fileOf({ ...stay, bad: { url: 'ftp://nowhere', what: 1 } }),
          );
          broken++;
        }
        const name = pool[pick(pool.length)] ?? '';
        const former = pool.find((one) => one !== name && extra[one] !== undefined);
        const what = pick(4);
        // Renamed: the same server under another name.
        if (what === 0 && former !== undefined && extra[name] === undefined) {
          extra[name] = extra[former] ?? {};
          delete extra[former];
        } else if (what === 1 && extra[name] !== undefined) delete extra[name];
        else extra[name] = variant(name, n);
        await reload(fileOf({ ...stay, ...extra }, { limits: { drainMs: 9_000 + n } }));
        // Those that come are used as well.
        if (n % 20 === 0) {
          const [client] = sessions;
          await client?.request('tools/list');
          await goOn(1);
        }
      }
      const reloadsMs = performance.now() - beganAtMs;
      await goOn(2);
      await Promise.all(callers.map((caller) => caller.stop()));
      const answered = callers.reduce((sum, caller) => sum + caller.answered, 0);
      console.log(
        `reload: ${RELOADS} reloads in ${Math.round(reloadsMs)} ms, ${answered} calls of 64 clients answered, ${callers.flatMap((one) => one.faults).length} failed`,
      );
      expect(callers.flatMap((caller) => caller.faults)).toEqual([]);
      expect(lines.filter((line) => line.msg === 'reloaded').length).toBe(RELOADS);
      const refusals = lines.filter((line) => String(line.msg).startsWith('the configuration is refused'));
      expect(new Set(refusals.map((line) => line.problem)).size).toBeGreaterThanOrEqual(2);
      expect(broken).toBe(20);

      // Streams of what stayed are the ones that were opened; those of joined endpoints have heard that lists changed.
      for (const stream of [...joinedStreams, ...singleStreams, ...listens])
        expect(stream.isOver).toBe(false);
      for (const stream of [...joinedStreams, ...listens])
        expect(stream.count(CHANGED)).toBeGreaterThan(RELOADS / 2);
      for (const stream of singleStreams) expect(stream.count(CHANGED)).toBe(0);

      // What is left out ends, children too; what stays has its own.
      await reload(fileOf(stay));
      await eventually('no child of what is gone is left', () => children() === 0);
      const { upstreams, workers } = await gateway.stats();
      expect(Object.keys(upstreams).sort()).toEqual(['old', 'one', 'two']);
      expect(workers.map(({ restarts }) => restarts)).toEqual([0, 0]);
      for (const stream of [...joinedStreams, ...singleStreams, ...listens]) stream.end();
      for (const client of clients) client.close();
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );
});

describe('what a reload leaves out', () => {
  test(
    'finishes what it runs, and is gone then; what was changed serves on under its name',
    async () => {
      const dual = await startFixture('dual');
      const local = { ...fixtureCommand('dual'), args: [...fixtureCommand('dual').args, '--page', '50'] };
      const servers: Servers = { far: { url: dual.url }, near: local, stay: { url: dual.url } };
      const { gateway, reload } = await startLive(fileOf(servers));
      const at = (path: string): string => gateway.url + path;
      const slow = { ms: 700, steps: 7 };
      const done = 'Took 7 steps.';
      const joined = new RpcClient(at('/mcp'));
      const single = new RpcClient(at('/mcp/near'));
      await Promise.all([joined.initialize(), single.initialize()]);
      const own = streamOf(single);
      const call = (client: RpcClient, tool: string): Promise<string> =>
        client.request('tools/call', { name: tool, arguments: slow }).then(answerOf);
      const calls = [
        modernCall(at('/mcp'), 'far__slow', slow),
        modernCall(at('/mcp/far'), 'slow', slow),
        modernCall(at('/mcp'), 'near__slow', slow),
        modernCall(at('/mcp/near'), 'slow', slow),
        call(joined, 'far__slow'),
        call(joined, 'near__slow'),
        call(single, 'slow'),
      ];
      await eventually('all calls run', async () => (await gateway.stats()).activeExchanges >= calls.length);

      await reload(fileOf({ near: { ...local, timeouts: { totalMs: 900_000 } }, stay: { url: dual.url } }));
      // The path is gone at once, and so is the name; the stream of a session whose process goes has ended as its server would end it.
      expect((await fetch(at('/mcp/far'), { method: 'POST' })).status).toBe(404);
      expect(await modernCall(at('/mcp'), 'far__echo', {})).toContain('GW_ROUTE_TOOL');
      await eventually('the stream has ended', () => own.isOver);
      expect(await Promise.all(calls)).toEqual(calls.map(() => done));

      // A session over many servers goes on, with a new one at the server that was changed; one that was the process's own is gone with it.
      expect(
        answerOf(await joined.request('tools/call', { name: 'near__count', arguments: { key: 'a' } })),
      ).toBe('1');
      expect(
        answerOf(await joined.request('tools/call', { name: 'stay__count', arguments: { key: nextKey() } })),
      ).toBe('1');
      expect((await single.post({ jsonrpc: '2.0', id: 9, method: 'tools/list' })).status).toBe(404);
      expect(await modernCall(at('/mcp/near'), 'count', { key: 'b' })).toBe('1');

      // One server alone is passed through under its own names: that is another endpoint, and sessions begin anew.
      await reload(fileOf({ stay: { url: dual.url } }));
      expect((await joined.post({ jsonrpc: '2.0', id: 10, method: 'tools/list' })).status).toBe(404);
      expect(await modernCall(at('/mcp'), 'count', { key: nextKey() })).toBe('1');
      joined.close();
      single.close();
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );

  test(
    'what clients cannot see is not told to them; what they can see is told once',
    async () => {
      const dual = await startFixture('dual');
      const servers: Servers = { one: { url: dual.url }, two: { url: dual.url } };
      const { gateway, reload } = await startLive(fileOf(servers));
      const joined = new RpcClient(`${gateway.url}/mcp`);
      await joined.initialize();
      const stream = streamOf(joined);
      const touched = () => joined.request('tools/call', { name: 'one__test_trigger_tool_change' });
      // The stream is open once something of a server's own comes through.
      await eventually('it listens', async () => {
        await touched();
        return stream.count(CHANGED) > 0;
      });
      await Bun.sleep(100);
      const before = stream.count(CHANGED);
      await reload(fileOf(servers, { limits: { drainMs: 5_000 } }));
      const picked = { servers: ['two'], prefix: 'never', tools: { allow: ['count'] } };
      await reload(fileOf(servers, { endpoints: { picked } }));
      expect(await modernCall(`${gateway.url}/mcp/picked`, 'count', { key: nextKey() })).toBe('1');
      await reload(fileOf({ ...servers, three: { url: dual.url } }, { endpoints: { picked } }));
      await eventually('it is told', () => stream.count(CHANGED) > before);
      await Bun.sleep(100);
      expect(stream.count(CHANGED)).toBe(before + 1);
      expect(await modernCall(`${gateway.url}/mcp/picked`, 'count', { key: nextKey() })).toBe('1');
      stream.end();
      joined.close();
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );

  test('a worker that dies in between comes back with the newest configuration', async () => {
    const dual = await startFixture('dual');
    const { gateway, reload } = await startLive(fileOf({ one: { url: dual.url } }));
    for (let n = 0; n < 6; n++) {
      expect(gateway.endWorker(n % 2)).toBe(true);
      await reload(fileOf({ one: { url: dual.url }, [`new${n}`]: { url: dual.url } }));
      await eventually('it is back', async () =>
        (await gateway.stats()).workers.every(({ state }) => state === 'serving'),
      );
      for (let turn = 0; turn < 8; turn++) {
        const key = nextKey();
        expect(await modernCall(`${gateway.url}/mcp/new${n}`, 'count', { key })).toBe('1');
      }
    }
    await gateway.drain();
    running.delete(gateway);
  }, 30_000);
});

function linesOf(served: Served, msg: string): Record<string, unknown>[] {
  return served
    .stderr()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line.msg === msg);
}

describe('a gateway that runs by a file', () => {
  test(
    'takes up what is written over it or put in its place, and says why it does not; SIGHUP asks for it',
    async () => {
      const dual = await startFixture('dual');
      const gateway = await startProcess(
        { a: { url: dual.url } },
        { workers: 2, limits: { drainMs: 1_000 } },
      );
      const serves = async (name: string): Promise<boolean> =>
        (await fetch(`${gateway.url}/mcp/${name}`, { method: 'OPTIONS' })).status !== 404;
      const text = (name: string, settings: Readonly<Record<string, unknown>> = {}): string =>
        fileOf(
          { a: { url: dual.url }, [name]: { url: dual.url } },
          { workers: 2, limits: { drainMs: 1_000 }, ...settings },
        );
      writeFileSync(gateway.config, text('b'));
      await eventually('b is served', () => serves('b'));
      writeFileSync(`${gateway.config}.new`, text('c', { log: { level: 'debug' } }));
      renameSync(`${gateway.config}.new`, gateway.config);
      await eventually('c is served instead', async () => (await serves('c')) && !(await serves('b')));
      expect(linesOf(gateway, 'reloaded').map(({ starts, stops }) => [starts, stops])).toEqual([
        [['b'], undefined],
        [['c'], ['b']],
      ]);
      expect(linesOf(gateway, 'some of what has changed waits for a restart')[0]?.keys).toEqual([
        'log.level',
      ]);
      writeFileSync(gateway.config, '{ "servers": { "a": { "url": 5 } } }');
      const refused = 'the configuration is refused, nothing has changed';
      await eventually('it is refused', () => linesOf(gateway, refused).length > 0);
      expect(String(linesOf(gateway, refused)[0]?.problem)).toMatch(
        /sluice\.json:1: servers\.a\.url: .*GW_CONFIG_VALUE/,
      );
      expect(await serves('c')).toBe(true);
      process.kill(gateway.pid, 'SIGHUP');
      await eventually('it says so once more', () => linesOf(gateway, refused).length > 1);
      expect(await gateway.stop()).toBe(0);
    },
    TEST_MS_MAX,
  );
});

describe('the end', () => {
  test(
    'a drain under load answers every call that was taken, ends event streams properly, and refuses the rest in words',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-drain-'));
      const journal = join(folder, 'journal');
      const dual = await startFixture('dual', { journal });
      const gateway = await startProcess(
        { one: { url: dual.url }, two: { ...fixtureCommand('dual', { journal }), sharing: 'shared' } },
        { workers: 2 },
      );
      const client = new RpcClient(`${gateway.url}/mcp`);
      await client.initialize();
      const streams = [
        streamOf(client),
        new Stream(`${gateway.url}/mcp`, {
          method: 'POST',
          headers: modernHeaders('subscriptions/listen'),
          body: modernRequest('listening', 'subscriptions/listen', {
            notifications: { toolsListChanged: true },
          }),
        }),
      ];
      await eventually('one listens', () => streams[1]?.heard.length === 1);

      const answered = new Set<string>();
      const refused: number[] = [];
      const broken: string[] = [];
      const strange: string[] = [];
      let isOver = false;
      const work = async (n: number): Promise<void> => {
        for (let turn = n; !isOver; turn++) {
          const key = nextKey();
          const tool = turn % 2 === 0 ? 'one__slow' : 'two__slow';
          const body = modernRequest(key, 'tools/call', { name: tool, arguments: { ms: 40, key } });
          try {
            const response = await fetch(`${gateway.url}/mcp`, {
              method: 'POST',
              headers: modernHeaders('tools/call', tool),
              body,
            });
            const reply = await response.text();
            if (response.status === 503 && response.headers.get('retry-after') !== null) refused.push(503);
            else if (response.status === 200 && reply.includes('Took 1 steps')) answered.add(`slow ${key}`);
            else strange.push(`${response.status} ${reply}`);
          } catch {
            // The listener is gone: whether it had taken the call, the server's own count says.
            broken.push(key);
            return;
          }
        }
      };
      const workers = Array.from({ length: 64 }, (_, n) => work(n));
      await eventually('they work', () => answered.size > 300);
      const readiness: number[] = [];
      const watch = (async () => {
        while (!isOver)
          readiness.push(
            await fetch(`${gateway.url}/readyz`).then(
              ({ status }) => status,
              () => 0,
            ),
          );
      })();
      const code = await gateway.stop();
      isOver = true;
      await Promise.all([...workers, watch]);
      const { executions } = readJournal(journal);
      rmSync(folder, { recursive: true });
      const lost = [...executions.keys()].filter((key) => !answered.has(key));
      console.log(
        `drain: ${answered.size} calls answered, ${refused.length} refused with 503, ${broken.length} found nobody; taken and not answered: ${lost.length}`,
      );
      expect([code, lost, strange]).toEqual([0, [], []]);
      expect([...executions.values()].every((count) => count === 1)).toBe(true);
      expect(executions.size).toBe(answered.size);
      expect(readiness.filter((status) => status === 200 || status === 503 || status === 0).length).toBe(
        readiness.length,
      );
      await eventually('the streams have ended', () => streams.every((stream) => stream.isOver));
      expect(streams[1]?.heard.at(-1)).toMatchObject({ id: 'listening', result: { resultType: 'complete' } });
    },
    TEST_MS_MAX,
  );

  test(
    'an idle gateway ends at once, its children too; a second signal ends one that is busy',
    async () => {
      const idle = await startProcess({ a: fixtureCommand('dual') }, { workers: 2 });
      expect(await modernCall(`${idle.url}/mcp/a`, 'count', { key: 'x' })).toBe('1');
      const beganAtMs = performance.now();
      expect(await idle.stop()).toBe(0);
      console.log(
        `drain: an idle gateway with one child ended after ${Math.round(performance.now() - beganAtMs)} ms`,
      );

      const folder = mkdtempSync(join(tmpdir(), 'sluice-drain-'));
      const journal = join(folder, 'journal');
      const busy = await startProcess(
        { a: fixtureCommand('dual', { journal }) },
        { workers: 2, limits: { drainMs: 60_000 } },
      );
      const call = modernCall(`${busy.url}/mcp/a`, 'slow', { ms: 60_000, key: 'long' }).catch(
        (thrown: unknown) => String(thrown),
      );
      await eventually('the call runs', () => readJournal(journal).executions.size === 1);
      rmSync(folder, { recursive: true });
      process.kill(busy.pid, 'SIGTERM');
      await eventually(
        'it is not ready any more',
        async () => (await fetch(`${busy.url}/readyz`)).status === 503,
      );
      const refusal = await fetch(`${busy.url}/mcp/a`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      });
      expect([refusal.status, refusal.headers.get('retry-after')]).toEqual([503, '1']);
      // stop() sends the second one.
      expect(await busy.stop()).toBe(143);
      expect(await call).not.toContain('Took');
    },
    TEST_MS_MAX,
  );
});
