// What several workers say of themselves, put together; deeds that all of them do; a server that is begun anew.
// Runs gateway.ts and gateway/ with threads that the test plays.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { joinInspections } from '../../../src/gateway/survey.ts';
import { type Gateway, startGateway } from '../../../src/gateway.ts';
import { forceBreaker, isForced } from '../../../src/memory/breaker-control.ts';
import { noteAnswer } from '../../../src/memory/required.ts';
import type { Inspection, ServerInspection } from '../../../src/observe/inspection.ts';
import { SILENT } from '../../../src/observe/log.ts';
import type { Report } from '../../../src/thread.ts';
import { snapshotOf } from '../../fixtures/plane.ts';
import { codeOf, type Life, READY, scripted } from '../../fixtures/threads.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const server = (more: Partial<ServerInspection> = {}): ServerInspection => ({
  ...{ name: 'a', era: 'unknown', sessions: 0, children: [], faults: [] },
  ...more,
});
const inspection = (servers: readonly ServerInspection[]): Inspection => ({
  sessions: [],
  parked: [],
  servers,
});
const fault = (atMs: number) =>
  ({ atMs, code: 'GW_UPSTREAM_CONNECT', detail: `at ${atMs}`, times: 1 }) as const;

async function serving(workers: number, servers: readonly string[] = ['a']) {
  const world = scripted();
  const urls = Object.fromEntries(servers.map((name) => [name, { url: 'http://127.0.0.1:9/mcp' }]));
  const snapshot = snapshotOf({ servers: urls, spec: { required: true } });
  const options = {
    runtime: world.runtime,
    snapshot,
    log: SILENT,
    scan: 'auto',
    logLevel: 'silent',
    workers,
  } as const;
  const starting = startGateway(options);
  const heard = new Map<Life, number>();
  const answer = async (by: (kind: string, at: number) => Report): Promise<void> => {
    world.lives.forEach((life, at) => {
      for (const { kind } of life.orders.slice(heard.get(life) ?? 0)) life.report(by(kind, at));
      heard.set(life, life.orders.length);
    });
    await settle();
  };
  const noted = (kind: string): Report => (kind === 'start' ? READY : { kind: 'noted' });
  await answer(noted);
  await answer(noted);
  const gateway: Gateway = await starting;
  return { world, gateway, answer, noted };
}

describe('a survey', () => {
  test('joins what workers say of a server, and tells what its processes hold', () => {
    const child = (worker: number, pid: number) =>
      ({ worker, pid, sharing: 'shared', rssBytes: null }) as const;
    const joined = joinInspections(
      [
        inspection([server({ sessions: 2, children: [child(0, 10)], faults: [5, 3].map(fault) })]),
        inspection([
          server({ era: 'legacy', sessions: 1, children: [child(1, 11)], faults: [9, 4, 2, 1].map(fault) }),
          server({ name: 'b', era: 'modern' }),
        ]),
        inspection([server({ faults: [8, 7, 6].map(fault) }), server({ name: 'b', era: 'legacy' })]),
      ],
      new Map([[11, 4_096]]),
    );
    expect(joined.servers.map(({ name, era, sessions }) => [name, era, sessions])).toEqual([
      ['a', 'legacy', 3],
      ['b', 'modern', 0],
    ]);
    expect(joined.servers[0]?.children).toEqual([child(0, 10), { ...child(1, 11), rssBytes: 4_096 }]);
    expect(joined.servers[0]?.faults.map(({ atMs }) => atMs)).toEqual(
      [9, 8, 7, 6, 5, 4, 3, 2].slice(0, LIMITS.faultsKeptMax),
    );
  });

  test('asks the workers that serve, and sums up what they have done', async () => {
    const { world, gateway, answer } = await serving(2);
    const found = gateway.inspect();
    await answer((_, at) => ({
      kind: 'inspection',
      inspection: inspection(at === 0 ? [server({ sessions: 4 })] : []),
    }));
    expect((await found).servers).toMatchObject([{ name: 'a', sessions: 4 }]);
    const done = gateway.act({ kind: 'purge-cache', server: null });
    await answer((_, at) => ({ kind: 'done', count: at + 1 }));
    expect([await done, world.kinds(1).at(-1)]).toEqual([3, 'act']);
    const odd = codeOf(gateway.inspect());
    await answer(() => ({ kind: 'drained' }));
    expect(await odd).toBe('GW_RUNTIME_WORKER');
    gateway.stop();
    expect(await codeOf(gateway.inspect())).toBe('GW_RUNTIME_WORKER');
    expect(await codeOf(gateway.act({ kind: 'restart-server', server: 'a' }))).toBe('GW_SERVER_DRAINING');
  });

  test('tells why it is not ready', async () => {
    const { gateway } = await serving(1);
    expect((await gateway.readiness()).filter(({ ok }) => !ok)).toEqual([
      { check: 'server a', ok: false, detail: 'it has not answered yet' },
    ]);
    noteAnswer(gateway.memory, 0);
    expect((await gateway.readiness()).every(({ ok }) => ok)).toBe(true);
    gateway.stop();
    expect((await gateway.readiness()).filter(({ ok }) => !ok).map(({ check }) => check)).toEqual([
      ...['listener', 'workers'],
    ]);
  });
});

describe('a server that is begun anew', () => {
  test('is another one in the next snapshot, with its breaker as an operator left it; those beside it stay', async () => {
    const { world, gateway, answer, noted } = await serving(1, ['a', 'b']);
    forceBreaker(gateway.memory, 0, world.runtime.clock.wall());
    const done = [1, 2].map(() => gateway.act({ kind: 'restart-server', server: 'a' }));
    for (let turn = 0; turn < 6; turn++) await answer(noted);
    expect(await Promise.all(done)).toEqual([1, 1]);
    const { snapshot } = gateway;
    expect([snapshot.epoch, snapshot.servers.map(({ renewals }) => renewals)]).toEqual([3, [2, undefined]]);
    const [[own = -1] = [], others] = snapshot.places?.servers ?? [];
    expect([own > 1, others]).toEqual([true, [1]]);
    expect([isForced(gateway.memory, own), isForced(gateway.memory, 1)]).toEqual([true, false]);
    expect(await gateway.act({ kind: 'restart-server', server: 'c' })).toBe(0);
    gateway.stop();
  });

  test('stays as it was when a worker cannot', async () => {
    const { gateway, answer, noted } = await serving(1);
    const refused = codeOf(gateway.act({ kind: 'restart-server', server: 'a' }));
    await settle();
    await answer((kind) =>
      kind === 'prepare' ? { kind: 'failed', code: 'GW_BASE_INTERNAL', detail: 'no' } : noted(kind),
    );
    await answer(noted);
    expect(await refused).toBe('GW_BASE_INTERNAL');
    const reloaded = gateway.reload({ ...gateway.snapshot, epoch: 1 });
    await settle();
    await answer(noted);
    await answer(noted);
    await reloaded;
    expect([gateway.snapshot.epoch, gateway.snapshot.servers[0]?.renewals]).toEqual([2, undefined]);
    gateway.stop();
  });
});
