// Several data workers in real threads: they share a port, nobody else does, and the death of one is nobody else's business.
// Run by bun test. Promises: waits for states, never for an amount of time; every connection's worker is known by asking, not guessed.
import { afterAll, describe, expect, test } from 'bun:test';
import { encode } from '../../src/base/bytes.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { sumPool } from '../../src/memory/cells.ts';
import { createLog } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import { startGateway as startProcess, stopAll } from '../fixtures/harness.ts';
import { KeepAlive } from '../fixtures/keep-alive.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { snapshotOf, startByteServer } from '../fixtures/plane.ts';

const TEST_MS_MAX = 30_000;
const PATH = '/mcp/far';

/** Calls that the server holds until they are let go, by their argument. */
const held = new Map<string, () => void>();
/** Ends the streams. */
let endStreams: () => void = () => undefined;
const streamsEnd = new Promise<void>((resolve) => {
  endStreams = resolve;
});

/** `echo` answers at once, `hold` when it is let go, `stream` sends events until streams are ended. */
const server = startByteServer(async (body) => {
  const { id, params } = JSON.parse(new TextDecoder().decode(body)) as {
    id: string;
    params: { name: string; arguments: { key: string } };
  };
  const answer = { jsonrpc: '2.0', id, result: { resultType: 'complete', key: params.arguments.key } };
  if (params.name === 'hold') await new Promise<void>((resolve) => held.set(params.arguments.key, resolve));
  if (params.name !== 'stream') return Response.json(answer);
  let isOver = false;
  void streamsEnd.then(() => {
    isOver = true;
  });
  let progress = 0;
  const events = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await Bun.sleep(5);
      const params = { progressToken: 1, progress: progress++ };
      const message = isOver ? answer : { jsonrpc: '2.0', method: 'notifications/progress', params };
      controller.enqueue(encode(`data: ${JSON.stringify(message)}\n\n`));
      if (isOver) controller.close();
    },
  });
  return new Response(events, { headers: { 'content-type': 'text/event-stream' } });
});

const running = new Set<Gateway>();

afterAll(async () => {
  endStreams();
  for (const gateway of running) gateway.stop();
  server.stop();
  await stopAll();
});

const snapshot = snapshotOf({ servers: { far: { url: server.url } } });

async function start(workers: number, listen: Partial<Snapshot['listen']> = {}) {
  const lines: Record<string, unknown>[] = [];
  const gateway = await startGateway({
    runtime: createBunRuntime(),
    snapshot: { ...snapshot, listen: { ...snapshot.listen, ...listen } },
    log: createLog('info', { write: (line) => lines.push(JSON.parse(line)), wall: () => 0 }),
    scan: 'auto',
    logLevel: 'error',
    workers,
  });
  running.add(gateway);
  return { gateway, lines };
}

let lastKey = 0;

/** Calls a tool over a connection; the answer's own key, an HTTP status that is not 200, or null when the connection ended. */
async function call(on: KeepAlive, tool: string, key = `k${++lastKey}`): Promise<string | number | null> {
  const text = modernRequest(key, 'tools/call', { name: tool, arguments: { key } });
  const reply = await on.post(PATH, modernHeaders('tools/call', tool), text);
  if (reply === null || reply.status !== 200) return reply?.status ?? null;
  const answer = JSON.parse(reply.body) as { id: string; result: { key: string } };
  expect([answer.id, answer.result.key]).toEqual([key, key]);
  return key;
}

/** The worker that has a connection: the one that is busy while a call over it is held. Nothing else may be under way. */
async function workerOf(gateway: Gateway, on: KeepAlive): Promise<number> {
  const key = `k${++lastKey}`;
  const answered = call(on, 'hold', key);
  await eventually('the call is held', () => held.has(key));
  const { workers } = await gateway.stats();
  held.get(key)?.();
  expect(await answered).toBe(key);
  const busy = workers.filter((worker) => worker.activeExchanges > 0);
  expect(busy.length).toBe(1);
  return busy[0]?.index ?? -1;
}

/** Connections by worker, at least `each` of them with every worker. */
async function connect(gateway: Gateway, workers: number, each: number): Promise<KeepAlive[][]> {
  const byWorker: KeepAlive[][] = Array.from({ length: workers }, () => []);
  for (let n = 0; n < 200; n++) {
    if (byWorker.every((some) => some.length >= each)) return byWorker;
    const one = await KeepAlive.open(gateway.url);
    byWorker[await workerOf(gateway, one)]?.push(one);
  }
  throw new Error(`connections are not spread: ${byWorker.map((some) => some.length).join()}`);
}

/** Calls over a connection without a pause until told to stop or the connection ends; a lost connection is opened anew when asked for. */
class Caller {
  answered = 0;
  lost = 0;
  /** HTTP statuses that are no 200, and what was thrown. */
  readonly faults: unknown[] = [];
  #isOver = false;
  readonly #url: string;
  #on: KeepAlive;
  readonly ended: Promise<void>;

  constructor(url: string, on: KeepAlive) {
    this.#url = url;
    this.#on = on;
    this.ended = this.#work();
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      try {
        const answer = await call(this.#on, 'echo');
        if (typeof answer === 'string') this.answered++;
        else if (answer !== null) this.faults.push(answer);
        else {
          this.lost++;
          this.#on = await KeepAlive.open(this.#url);
        }
      } catch (thrown) {
        this.faults.push(thrown);
        return;
      }
    }
    this.#on.end();
  }

  stop(): Promise<void> {
    this.#isOver = true;
    return this.ended;
  }
}

async function stateOf(gateway: Gateway, worker: number): Promise<string> {
  const status = (await gateway.stats()).workers[worker];
  return `${status?.state} ${status?.generation} ${status?.restarts}`;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof GatewayError ? `${error.code}: ${error.detail}` : String(error)),
  );

describe('two workers', () => {
  test(
    'one that dies under load costs its own connections and nothing else, and is back',
    async () => {
      const { gateway, lines } = await start(2);
      const connections = await connect(gateway, 2, 7);
      const [watched = [], doomed = []] = connections;
      const stream = watched.pop();
      const seen: number[] = [];
      const text = modernRequest('s', 'tools/call', { name: 'stream', arguments: { key: 'end' } });
      const streamed = stream?.post(PATH, modernHeaders('tools/call', 'stream'), text, (body) => {
        seen.splice(0, seen.length, ...[...body.matchAll(/"progress":(\d+)/g)].map((m) => Number(m[1])));
      });
      const callers = [watched, doomed].map((some) => some.map((on) => new Caller(gateway.url, on)));
      const all = callers.flat();
      const goOn = (calls: number): Promise<void> => {
        const goals = all.map((caller) => caller.answered + calls);
        return eventually('every caller is answered', () =>
          all.every((caller, at) => caller.answered >= (goals[at] ?? 0)),
        );
      };
      await goOn(20);
      for (let death = 1; death <= 2; death++) {
        const endedAtMs = performance.now();
        expect(gateway.endWorker(1)).toBe(true);
        await eventually(
          'it is back',
          async () => (await stateOf(gateway, 1)) === `serving ${death + 1} ${death}`,
        );
        const line = lines.findLast((one) => one.msg === 'a data worker serves again');
        console.log(
          `workers: worker 1 was back ${Math.round(performance.now() - endedAtMs)} ms after its end under load, ${line?.downMs} ms by the log`,
        );
        expect(line).toMatchObject({ worker: 1, generation: death + 1 });
        await goOn(20);
      }
      const seenBefore = seen.length;
      await eventually('the stream goes on', () => seen.length > seenBefore);
      await Promise.all(all.map((caller) => caller.stop()));
      endStreams();
      expect((await streamed)?.status).toBe(200);
      // The new life gets its share of new connections.
      await connect(gateway, 2, 1);
      expect(seen).toEqual(seen.map((_, n) => n));
      expect(callers[0]?.map(({ lost, faults }) => [lost, faults])).toEqual(watched.map(() => [0, []]));
      // Bun answers what a thread had under way with a bare 503 when it ends.
      expect(new Set(callers[1]?.flatMap((caller) => caller.faults))).toBeOneOf([new Set([503]), new Set()]);
      expect(callers[1]?.every(({ faults }) => faults.length <= 2)).toBe(true);
      expect(callers[1]?.every((caller) => caller.lost >= 1)).toBe(true);
      const deaths = lines.filter((one) => one.msg === 'a data worker died');
      expect(
        deaths.map(({ level, worker, generation, reason }) => [level, worker, generation, reason]),
      ).toEqual([1, 2].map((generation) => ['error', 1, generation, 'it was ended on request']));
      expect(sumPool(gateway.memory, 0)).toMatchObject({ busy: 0, waiting: 0 });
      expect((await gateway.stats()).activeExchanges).toBe(0);
      await gateway.drain();
    },
    TEST_MS_MAX,
  );

  test('the port is theirs alone: nobody joins it, and they join nobody', async () => {
    for (const [first, second] of [
      [2, 2],
      [2, 1],
      [1, 2],
    ] as const) {
      const { gateway } = await start(first);
      const refused = await codeOf(start(second, { port: gateway.port }));
      expect(refused).toContain(`GW_RUNTIME_LISTEN: "127.0.0.1:${gateway.port}"`);
      expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
      await gateway.drain();
      expect(await codeOf(fetch(`${gateway.url}/healthz`))).not.toBe('resolved');
    }
  });

  test('as a process: it says how many serve, answers, and drains', async () => {
    const gateway = await startProcess({ far: { url: server.url } }, { workers: 2 });
    expect(JSON.parse(gateway.stderr().split('\n').at(-1) ?? '')).toMatchObject({ msg: 'ready', workers: 2 });
    const some = await Promise.all(Array.from({ length: 8 }, () => KeepAlive.open(gateway.url)));
    expect(
      (await Promise.all(some.map((on) => call(on, 'echo')))).every((key) => typeof key === 'string'),
    ).toBe(true);
    expect(await gateway.stop()).toBe(0);
  });
});

test(
  'a single worker is started anew as well, on its port',
  async () => {
    const { gateway, lines } = await start(1);
    const one = await KeepAlive.open(gateway.url);
    expect(await call(one, 'echo')).toBeString();
    for (let death = 1; death <= 2; death++) {
      gateway.endWorker(0);
      await eventually(
        'it is back',
        async () => (await stateOf(gateway, 0)) === `serving ${death + 1} ${death}`,
      );
      expect(await call(await KeepAlive.open(gateway.url), 'echo')).toBeString();
    }
    expect([one.isClosed, lines.filter((line) => line.level === 'error').length]).toEqual([true, 2]);
    await gateway.drain();
  },
  TEST_MS_MAX,
);
