// The main thread's hold on the data plane: every order is answered or rejected, whatever becomes of the thread.
// Runs gateway.ts and thread.ts with a scripted worker, and once with a real one.
import { afterAll, describe, expect, test } from 'bun:test';
import { decode, encode } from '../../src/base/bytes.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { baseUrl, startGateway, startStdio, ThreadLink, warmUp } from '../../src/gateway.ts';
import { createLog, SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Runtime, WorkerHandler } from '../../src/runtime/runtime.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { type Order, orderTaker, type Plane, type Report } from '../../src/thread.ts';
import { DataPlane } from '../../src/worker.ts';
import { jsonOf } from '../fixtures/lab.ts';
import { echoId, snapshotOf, startByteServer } from '../fixtures/plane.ts';

const snapshot = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });
const READY: Report = { kind: 'ready', host: '127.0.0.1', port: 5, scanner: 's', kernel: 'k', reason: 'r' };

/** A runtime whose worker the test plays. */
function scripted() {
  const orders: Order[] = [];
  let handler: WorkerHandler = { onMessage: () => undefined, onExit: () => undefined };
  let terminated = 0;
  const runtime: Runtime = {
    ...createSimRuntime({ seed: 1 }),
    startWorker: (_url, given) => {
      handler = given;
      return {
        // Only orders are posted.
        post: (message) => orders.push(message as Order),
        terminate: () => {
          terminated++;
        },
      };
    },
  };
  return {
    runtime,
    orders,
    report: (report: Report) => handler.onMessage(report),
    die: (error: string | null) => handler.onExit(error),
    terminated: () => terminated,
  };
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
  );

describe('the link to the thread', () => {
  test('reports come back in the order of the orders', async () => {
    const world = scripted();
    const link = new ThreadLink(world.runtime);
    const asked = [link.ask({ kind: 'stats' }), link.ask({ kind: 'drain' })];
    world.report(READY);
    world.report({ kind: 'drained' });
    expect((await Promise.all(asked)).map((report) => report.kind)).toEqual(['ready', 'drained']);
  });

  test('regression: a death rejects every order that waits, and every later one', async () => {
    const world = scripted();
    const lines: string[] = [];
    const link = new ThreadLink(world.runtime);
    link.logTo(createLog('error', { write: (line) => lines.push(line), wall: () => 0 }));
    const asked = [link.ask({ kind: 'stats' }), link.ask({ kind: 'stats' })];
    world.die('boom');
    world.die('again');
    expect(await Promise.all(asked.map(codeOf))).toEqual(['GW_RUNTIME_WORKER', 'GW_RUNTIME_WORKER']);
    expect(await codeOf(link.ask({ kind: 'drain' }))).toBe('GW_RUNTIME_WORKER');
    expect((await link.died).message).toContain('boom');
    expect(lines.length).toBe(1);
  });

  test('regression: a thread that dies before its first order fails the start instead of hanging it', async () => {
    const world = scripted();
    const warm = warmUp(world.runtime);
    world.die('cannot load');
    const options = {
      runtime: world.runtime,
      snapshot,
      log: SILENT,
      scan: 'auto',
      logLevel: 'silent',
    } as const;
    expect(await codeOf(startGateway(options, warm))).toBe('GW_RUNTIME_WORKER');
  });

  test('a thread that is stopped on purpose has not died; its orders are rejected', async () => {
    const world = scripted();
    const warm = warmUp(world.runtime);
    const asked = codeOf(warm.link.ask({ kind: 'stats' }));
    let hasDied = false;
    void warm.link.died.then(() => {
      hasDied = true;
    });
    warm.discard();
    warm.discard();
    world.die(null);
    expect([await asked, hasDied, world.terminated()]).toEqual(['GW_RUNTIME_WORKER', false, 1]);
  });
});

describe('a gateway', () => {
  const options = (runtime: Runtime) =>
    ({ runtime, snapshot, log: SILENT, scan: 'auto', logLevel: 'silent' }) as const;

  test('starts, tells its stats, drains, and is terminated then', async () => {
    const world = scripted();
    const starting = startGateway(options(world.runtime));
    world.report(READY);
    const gateway = await starting;
    expect([gateway.url, gateway.scanner]).toEqual([
      'http://127.0.0.1:5',
      { name: 's', kernel: 'k', reason: 'r' },
    ]);
    const stats = gateway.stats();
    world.report({ kind: 'stats', stats: { activeExchanges: 1, sessions: 2, upstreams: {} } });
    expect((await stats).sessions).toBe(2);
    const odd = codeOf(gateway.stats());
    world.report({ kind: 'drained' });
    const failed = codeOf(gateway.stats());
    world.report({ kind: 'failed', code: 'GW_BASE_INTERNAL', detail: '' });
    expect([await odd, await failed]).toEqual(['GW_RUNTIME_WORKER', 'GW_BASE_INTERNAL']);
    const drained = gateway.drain();
    world.report({ kind: 'drained' });
    await drained;
    gateway.stop();
    expect([world.terminated(), world.orders.map((order) => order.kind)]).toEqual([
      1,
      ['start', 'stats', 'stats', 'stats', 'drain'],
    ]);
  });

  test('a start that fails is a rejection with its code, and the thread is ended', async () => {
    for (const [report, code] of [
      [{ kind: 'failed', code: 'GW_RUNTIME_LISTEN', detail: 'x' }, 'GW_RUNTIME_LISTEN'],
      [{ kind: 'drained' }, 'GW_RUNTIME_WORKER'],
    ] as const) {
      const world = scripted();
      const starting = codeOf(startGateway(options(world.runtime)));
      world.report(report);
      expect([await starting, world.terminated()]).toEqual([code, 1]);
    }
  });

  test('runs in a real thread: a taken port is told, a free one serves', async () => {
    const runtime = createBunRuntime();
    const gateway = await startGateway({ ...options(runtime), runtime });
    const taken = { ...snapshot, listen: { ...snapshot.listen, port: gateway.port } };
    expect(await codeOf(startGateway({ ...options(runtime), snapshot: taken }))).toBe('GW_RUNTIME_LISTEN');
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
    expect((await gateway.stats()).activeExchanges).toBe(0);
    await gateway.drain();
    expect(await codeOf(gateway.stats())).toBe('GW_RUNTIME_WORKER');
  });

  test('addresses as clients can use them', () => {
    expect(baseUrl('0.0.0.0', 1, false)).toBe('http://localhost:1');
    expect(baseUrl('::', 1, true)).toBe('https://localhost:1');
    expect(baseUrl('::1', 1, false)).toBe('http://[::1]:1');
  });
});

describe('the thread', () => {
  const scanner = chooseScanner('portable').scanner;
  const start: Order = { kind: 'start', snapshot, scan: 'auto', level: 'silent' };
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function taker(plane: Partial<Plane>) {
    const reports: Report[] = [];
    const whole: Plane = {
      listen: () => ({ host: 'h', port: 1 }),
      stats: () => ({ activeExchanges: 0, sessions: 0, upstreams: {} }),
      drain: () => Promise.resolve(),
      ...plane,
    };
    return {
      reports,
      take: orderTaker(
        () => ({ plane: whole, scanner, reason: 'r' }),
        (report) => reports.push(report),
      ),
    };
  }

  test('regression: every order gets one report, faults and orders out of place included', async () => {
    const fault = (): never => {
      throw new Error('boom');
    };
    const faulty = taker({ stats: fault, drain: () => Promise.reject(new Error('late')) });
    for (const order of [{ kind: 'stats' }, start, { kind: 'stats' }, { kind: 'drain' }] as const)
      faulty.take(order);
    await settle();
    expect(faulty.reports.map((report) => (report.kind === 'failed' ? report.code : report.kind))).toEqual([
      'GW_RUNTIME_WORKER',
      'ready',
      'GW_BASE_INTERNAL',
      'GW_BASE_INTERNAL',
    ]);
    const unable = taker({
      listen: () => {
        throw new GatewayError('GW_RUNTIME_LISTEN', 'taken');
      },
    });
    unable.take(start);
    unable.take({ kind: 'drain' });
    await settle();
    expect(unable.reports).toEqual([
      { kind: 'failed', code: 'GW_RUNTIME_LISTEN', detail: 'taken' },
      { kind: 'drained' },
    ]);
  });

  test('regression: reports keep the order of the orders, though a drain takes its time', async () => {
    let drained: () => void = () => undefined;
    const slow = taker({
      drain: () =>
        new Promise((resolve) => {
          drained = resolve;
        }),
    });
    for (const order of [start, { kind: 'drain' }, { kind: 'stats' }] as const) slow.take(order);
    await settle();
    expect(slow.reports.map((report) => report.kind)).toEqual(['ready']);
    drained();
    await settle();
    expect(slow.reports.map((report) => report.kind)).toEqual(['ready', 'drained', 'stats']);
  });
});

describe('a data plane', () => {
  const server = startByteServer(echoId);
  afterAll(() => server.stop());

  test('over stdio: answers, and ends when its client does', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const plane = new DataPlane({
      runtime: sim,
      scanner: chooseScanner('portable').scanner,
      snapshot,
      log: SILENT,
    });
    const [endpoint] = snapshot.endpoints;
    if (endpoint === undefined) throw new Error('no endpoint');
    let isOver = false;
    void plane.serveStdio(endpoint).then(() => {
      isOver = true;
    });
    sim.feedStdin(encode('{"jsonrpc":"2.0","id":1,"method":"ping"}\n'));
    await sim.advance(3_000);
    sim.feedStdin(null);
    await sim.advance(10);
    expect([isOver, jsonOf(sim.written().stdout).id]).toEqual([true, 1]);
    const drained = plane.drain();
    await sim.advance(20_000);
    await drained;
  });

  test('regression: stopping ends the sweeping too', async () => {
    const sim = createSimRuntime({ seed: 1 });
    const lines: string[] = [];
    const log = createLog('error', { write: (line) => lines.push(line), wall: () => 0 });
    const plane = new DataPlane({
      runtime: sim,
      scanner: chooseScanner('portable').scanner,
      snapshot: snapshotOf({ servers: { a: { url: server.url }, b: { url: server.url } } }),
      log,
    });
    const { port } = plane.listen();
    expect(port).toBeGreaterThan(0);
    await sim.advance(40_000);
    expect(plane.stats()).toMatchObject({ activeExchanges: 0, sessions: 0 });
    plane.stop();
    // With a timer left this would never come to rest.
    await sim.runUntilIdle();
    expect(lines).toEqual([]);
  });
});

test('without a server there is nothing to serve on stdio', async () => {
  const runtime = createSimRuntime({ seed: 1 });
  const none = { ...snapshot, endpoints: [] };
  expect(
    await codeOf(startStdio({ runtime, snapshot: none, log: SILENT, scan: 'portable', logLevel: 'silent' })),
  ).toBe('GW_CONFIG_VALUE');
});

test('startStdio serves until stdin ends', async () => {
  const runtime = createSimRuntime({ seed: 1 });
  const ended = startStdio({ runtime, snapshot, log: SILENT, scan: 'portable', logLevel: 'silent' });
  runtime.feedStdin(encode('not json\n'));
  runtime.feedStdin(null);
  await runtime.advance(20_000);
  await ended;
  expect(decode(runtime.written().stdout)).toContain('-32700');
});
