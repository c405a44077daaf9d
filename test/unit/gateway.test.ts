// The main thread's hold on the data plane: every order is answered or rejected, whatever becomes of the thread.
// Runs gateway.ts and thread.ts with a scripted worker, and once with a real one.
import { afterAll, describe, expect, test } from 'bun:test';
import { decode, encode } from '../../src/base/bytes.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { freshKeyRing } from '../../src/bridge/seal.ts';
import { memoryShape } from '../../src/gateway/shape.ts';
import { ThreadLink } from '../../src/gateway/thread-link.ts';
import { baseUrl, startGateway, startStdio, warmUp } from '../../src/gateway.ts';
import { createMemory, sharedOf } from '../../src/memory/memory.ts';
import { createLog, SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Runtime } from '../../src/runtime/runtime.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { type Notice, type Order, orderTaker, type Plane, type Report } from '../../src/thread.ts';
import { DataPlane } from '../../src/worker.ts';
import { jsonOf } from '../fixtures/lab.ts';
import { echoId, snapshotOf, startByteServer } from '../fixtures/plane.ts';
import { codeOf, DeadPort, READY, scripted, statsOf } from '../fixtures/threads.ts';

const snapshot = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });

describe('the link to the thread', () => {
  test('reports come back in the order of the orders', async () => {
    const world = scripted();
    const link = new ThreadLink(world.runtime);
    const asked = [link.ask({ kind: 'stats' }), link.ask({ kind: 'drain' })];
    world.life(0).report(READY);
    world.life(0).report({ kind: 'drained' });
    expect((await Promise.all(asked)).map((report) => report.kind)).toEqual(['ready', 'drained']);
  });

  test('regression: a death rejects every order that waits, and every later one', async () => {
    const world = scripted();
    const link = new ThreadLink(world.runtime);
    const asked = [link.ask({ kind: 'stats' }), link.ask({ kind: 'stats' })];
    world.life(0).die('boom');
    world.life(0).die('again');
    expect(await Promise.all(asked.map(codeOf))).toEqual(['GW_RUNTIME_WORKER', 'GW_RUNTIME_WORKER']);
    expect(await codeOf(link.ask({ kind: 'drain' }))).toBe('GW_RUNTIME_WORKER');
    expect((await link.died).message).toContain('boom');
  });

  test('regression: a thread that dies before its first order fails the start instead of hanging it', async () => {
    const world = scripted();
    const warm = warmUp(world.runtime);
    world.life(0).die('cannot load');
    const options = {
      runtime: world.runtime,
      snapshot,
      log: SILENT,
      scan: 'auto',
      logLevel: 'silent',
    } as const;
    expect(await codeOf(startGateway(options, warm))).toBe('GW_RUNTIME_WORKER');
  });

  test('a thread that is stopped on purpose has not died, one that is killed has; orders are rejected either way', async () => {
    const world = scripted();
    const links = [new ThreadLink(world.runtime), new ThreadLink(world.runtime)] as const;
    const asked = links.map((link) => codeOf(link.ask({ kind: 'stats' })));
    let hasDied = false;
    void links[0].died.then(() => {
      hasDied = true;
    });
    links[0].end();
    links[0].end();
    world.life(0).die(null);
    links[1].kill('on request');
    world.life(1).die(null);
    links[1].kill('again');
    expect(await Promise.all(asked)).toEqual(['GW_RUNTIME_WORKER', 'GW_RUNTIME_WORKER']);
    expect((await links[1].died).detail).toBe('on request');
    expect([hasDied, world.terminated()]).toEqual([false, 2]);
  });

  test('warm threads are taken first, those left over are ended', () => {
    const world = scripted();
    const warm = warmUp(world.runtime, 2);
    warm.take();
    expect(world.lives.length).toBe(2);
    warm.discard();
    warm.take();
    expect([world.lives.length, world.terminated(), world.life(1).isTerminated]).toEqual([3, 1, true]);
  });
});

const optionsOf = (runtime: Runtime) =>
  ({ runtime, snapshot, log: SILENT, scan: 'auto', logLevel: 'silent' }) as const;
describe('a gateway', () => {
  test('starts, tells its stats, drains, and is terminated then', async () => {
    const world = scripted();
    const starting = startGateway(optionsOf(world.runtime));
    const life = world.life(0);
    life.report(READY);
    const gateway = await starting;
    expect([gateway.url, gateway.scanner]).toEqual([
      'http://127.0.0.1:5',
      { name: 's', kernel: 'k', reason: 'r' },
    ]);
    const stats = gateway.stats();
    life.report(statsOf(1));
    expect(await stats).toMatchObject({
      sessions: 2,
      workers: [{ index: 0, generation: 1, state: 'serving', restarts: 0, activeExchanges: 1 }],
    });
    const odd = codeOf(gateway.stats());
    life.report({ kind: 'drained' });
    const failed = codeOf(gateway.stats());
    life.report({ kind: 'failed', code: 'GW_BASE_INTERNAL', detail: '' });
    expect([await odd, await failed]).toEqual(['GW_RUNTIME_WORKER', 'GW_BASE_INTERNAL']);
    const drained = gateway.drain();
    life.report({ kind: 'drained' });
    await Bun.sleep(0);
    life.report({ kind: 'drained' });
    await drained;
    gateway.stop();
    expect([world.terminated(), world.kinds(0)]).toEqual([
      1,
      ['start', 'stats', 'stats', 'stats', 'drain', 'close'],
    ]);
    expect(world.startOf(0).address).toEqual({ port: 0, reusePort: false });
  });

  test('a start that fails is a rejection with its code, and the thread is ended', async () => {
    for (const [report, code] of [
      [{ kind: 'failed', code: 'GW_RUNTIME_LISTEN', detail: 'x' }, 'GW_RUNTIME_LISTEN'],
      [{ kind: 'drained' }, 'GW_RUNTIME_WORKER'],
    ] as const) {
      const world = scripted();
      const starting = codeOf(startGateway(optionsOf(world.runtime)));
      world.life(0).report(report);
      expect([await starting, world.terminated()]).toEqual([code, 1]);
    }
  });

  test('runs in a real thread: a taken port is told, a free one serves', async () => {
    const runtime = createBunRuntime();
    const gateway = await startGateway({ ...optionsOf(runtime), runtime });
    const taken = { ...snapshot, listen: { ...snapshot.listen, port: gateway.port } };
    expect(await codeOf(startGateway({ ...optionsOf(runtime), snapshot: taken }))).toBe('GW_RUNTIME_LISTEN');
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
  const start: Order = {
    kind: 'start',
    snapshot,
    scan: 'auto',
    level: 'silent',
    keys: freshKeyRing(createSimRuntime({ seed: 1 }).random),
    place: { index: 1, count: 3, generation: 1 },
    address: { port: 1, reusePort: true },
    memory: sharedOf(createMemory(memoryShape(snapshot, 3), 0)),
    routes: new SharedArrayBuffer(0),
    peers: [],
  };
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function taker(plane: Partial<Plane>) {
    const reports: (Report | Notice)[] = [];
    const whole: Plane = {
      listen: () => ({ host: 'h', port: 1 }),
      stats: () => ({ activeExchanges: 0, sessions: 0, heapBytes: 0, upstreams: {} }),
      quiesce: () => Promise.resolve(),
      close: () => Promise.resolve(),
      prepare: () => undefined,
      discard: () => undefined,
      commit: () => Promise.resolve(),
      retire: () => Promise.resolve(),
      renewKeys: () => undefined,
      inspector: {
        inspect: () => ({ sessions: [], parked: [], servers: [] }),
        act: () => 0,
      },
      peerUp: () => undefined,
      peerDown: () => undefined,
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

  test('what is looked at and what is done is reported, and so is that it cannot be', async () => {
    const sessions = { sessions: [], parked: [], servers: [] };
    const fault = (): never => {
      throw new Error('boom');
    };
    const inspector = { inspect: () => sessions, act: () => 3 };
    const deed = { kind: 'purge-cache', server: null } as const;
    for (const [parts, reported] of [
      [
        inspector,
        [
          { kind: 'inspection', inspection: sessions },
          { kind: 'done', count: 3 },
        ],
      ],
      [{ inspect: fault, act: fault }, [{ kind: 'failed' }, { kind: 'failed' }]],
    ] as const) {
      const { take, reports } = taker({ inspector: parts });
      for (const order of [start, { kind: 'inspect' }, { kind: 'act', deed }] as const) take(order);
      await settle();
      await settle();
      expect(reports.slice(1)).toMatchObject([...reported]);
    }
  });

  test('regression: every order gets one report, faults and orders out of place included', async () => {
    const fault = (): never => {
      throw new Error('boom');
    };
    const faulty = taker({ stats: fault, quiesce: () => Promise.reject(new Error('late')) });
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

  test('peers are met before it listens, with their ports; later ones come and go by order', async () => {
    const said: string[] = [];
    const social = taker({
      listen: () => {
        said.push('listen');
        return { host: 'h', port: 1 };
      },
      peerUp: (worker, generation, port) =>
        said.push(`up ${worker} ${generation} ${port === ports[said.length]}`),
      peerDown: (worker, generation) => said.push(`down ${worker} ${generation}`),
    });
    const ports = [new DeadPort(), new DeadPort(), new DeadPort(), new DeadPort()] as const;
    const peers = [
      { worker: 0, generation: 1 },
      { worker: 2, generation: 7 },
    ];
    social.take({ ...start, peers }, [ports[0], ports[1]]);
    social.take({ kind: 'peer-up', worker: 0, generation: 2 }, [ports[3]]);
    social.take({ kind: 'peer-down', worker: 2, generation: 7 });
    social.take({ kind: 'peer-up', worker: 2, generation: 8 });
    await settle();
    expect(said).toEqual(['up 0 1 true', 'up 2 7 true', 'listen', 'up 0 2 true', 'down 2 7']);
    expect(social.reports.map((report) => report.kind)).toEqual(['ready', 'noted', 'noted', 'failed']);
  });

  test('regression: reports keep the order of the orders, though a drain takes its time', async () => {
    let drained: () => void = () => undefined;
    const slow = taker({
      quiesce: () =>
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
  const options = { runtime, snapshot, log: SILENT, scan: 'portable', logLevel: 'silent' } as const;
  const { ended } = await startStdio(options);
  runtime.feedStdin(encode('not json\n'));
  runtime.feedStdin(null);
  await runtime.advance(20_000);
  await ended;
  expect(decode(runtime.written().stdout)).toContain('-32700');
});
