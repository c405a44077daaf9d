// What a reload would do: servers that start, stop and change, keys that are taken up or wait, and the settings that come of it.
// Runs control/plan.ts and control/reload.ts.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { compile } from '../../../src/control/compile.ts';
import {
  isIdle,
  type Plan,
  planReload,
  planRows,
  type Settings,
  type Wanted,
} from '../../../src/control/plan.ts';
import { Reloader } from '../../../src/control/reload.ts';
import { configSchema } from '../../../src/control/schema.ts';
import { createLog } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import type { Snapshot } from '../../../src/snapshot.ts';

const ENV = { PATH: '/bin' };
const A = { url: 'http://a.example/mcp' };
const B = { command: 'b', args: ['--token', 'secret'], env: { TOKEN: 'secret' } };

function wanted(value: unknown, material: Readonly<Record<string, string>> = {}): Wanted {
  return { config: configSchema.parse(value), material: new Map(Object.entries(material)) };
}

function running(value: unknown, material: Readonly<Record<string, string>> = {}): Settings {
  const { config, material: texts } = wanted(value, material);
  return { config, material: texts, snapshot: compile({ config, material: texts, env: ENV, epoch: 1 }) };
}

const NONE: Plan = { starts: [], stops: [], changes: [], applies: [], waits: [] };

describe('a plan', () => {
  test('of the same configuration is idle', () => {
    const { plan, next } = planReload(running({ servers: { A, B } }), wanted({ servers: { A, B } }), ENV);
    expect([plan, isIdle(plan), planRows(plan), next.snapshot.epoch]).toEqual([NONE, true, [], 2]);
  });

  test('names what starts, stops and changes, by keys and never by values', () => {
    const before = running({
      servers: { A, B, C: { url: 'http://c.example/' }, off: { ...A, disabled: true } },
    });
    const after = wanted({
      servers: {
        A: { ...A, timeouts: { totalMs: 700_000 }, headers: { Authorization: 'Bearer secret' } },
        B: { ...B, args: ['--token', 'other'] },
        D: { url: 'http://c.example/' },
        off: A,
      },
    });
    const { plan } = planReload(before, after, ENV);
    expect(plan).toEqual({
      ...NONE,
      starts: ['D', 'off'],
      stops: ['C'],
      changes: [
        { server: 'A', keys: ['headers.Authorization', 'timeouts.totalMs'] },
        { server: 'B', keys: ['args'] },
      ],
    });
    expect(JSON.stringify(planRows(plan))).not.toContain('secret');
    expect(planRows(plan).find(([what]) => what === 'changes')?.[1][1]).toBe('B (args)');
  });

  test('tells what is taken up from what waits, and leaves the latter as it was', () => {
    const servers = { A };
    const before = running({ servers, listen: { port: 1000 }, limits: { sessionsMax: 5 } });
    const after = wanted({
      servers,
      listen: {
        port: 2000,
        host: '0.0.0.0',
        allowedHosts: ['x.example'],
        allowedOrigins: ['https://x.example'],
      },
      limits: { sessionsMax: 6, drainMs: 77, exchangesMax: 9, pageSize: 5, listGraceMs: 6 },
      workers: 3,
      dataDir: '/elsewhere',
      log: { level: 'debug' },
      prefix: 'always',
    });
    const { plan, next } = planReload(before, after, ENV);
    expect(plan.applies).toEqual([
      'listen.allowedOrigins',
      'listen.allowedHosts',
      'limits.exchangesMax',
      'limits.listGraceMs',
      'limits.pageSize',
      'limits.drainMs',
      'prefix',
    ]);
    expect(plan.waits).toEqual([
      'listen.host',
      'listen.port',
      'workers',
      'limits.sessionsMax',
      'log.level',
      'dataDir',
    ]);
    const { listen, front, endpoints } = next.snapshot;
    expect(listen).toEqual(before.snapshot.listen);
    expect(front).toEqual({
      ...before.snapshot.front,
      allowedHosts: ['x.example'],
      allowedOrigins: ['https://x.example'],
      drainMs: 77,
      exchangesMax: 9,
      pageSize: 5,
      listGraceMs: 6,
    });
    expect(endpoints[0]?.prefixed).toBe(true);
    // What waits still does the next time.
    expect(planReload(next, after, ENV).plan).toEqual({ ...NONE, waits: plan.waits });
    // Hosts that are accepted by default are those of the address that is still listened on.
    const plain = planReload(before, wanted({ servers, listen: { host: '10.0.0.9' } }), ENV).next;
    expect(plain.snapshot.front.allowedHosts).toEqual(before.snapshot.front.allowedHosts ?? []);
  });

  test('takes up endpoints, which may be about servers that come with them', () => {
    const after = wanted({ servers: { A, B }, endpoints: { both: { servers: ['B', 'A'] } } });
    const { plan, next } = planReload(running({ servers: { A } }), after, ENV);
    expect([plan.starts, plan.applies, plan.waits]).toEqual([['B'], ['endpoints.both'], []]);
    expect(next.snapshot.endpoints.map(({ path }) => path)).toContain('/mcp/both');
    expect(planReload(next, wanted({ servers: { A } }), ENV).plan).toEqual({
      ...NONE,
      stops: ['B'],
      applies: ['endpoints.both'],
    });
  });

  test('sees files that changed behind the same name, and servers in another order', () => {
    const tls = { cert: '/c.pem', key: '/k.pem' };
    const far = { url: 'https://far.example/mcp', tls: { ca: '/ca.pem' } };
    const files = { '/c.pem': 'one', '/k.pem': 'one', '/ca.pem': 'one' };
    const before = running({ listen: { tls }, servers: { far, A } }, files);
    const value = { listen: { tls }, servers: { A, far } };
    const { plan, next } = planReload(
      before,
      wanted(value, { ...files, '/ca.pem': 'two', '/c.pem': 'two' }),
      ENV,
    );
    expect(plan).toEqual({
      ...NONE,
      changes: [{ server: 'far', keys: ['files that it names'] }],
      applies: ['the order of the servers'],
      waits: ['the files of listen.tls'],
    });
    expect(next.snapshot.listen).toEqual(before.snapshot.listen);
    expect(next.snapshot.servers.map(({ name }) => name)).toEqual(['A', 'far']);
    // A listener that shall speak plainly waits as well, and needs its files no more.
    expect(planReload(before, wanted({ servers: { far: A, A } }), ENV).plan.waits).toEqual(['listen.tls']);
  });
});

/** A reloader whose configuration the test sets, and which takes as long as it likes. */
function world(first: unknown) {
  const { clock } = createSimRuntime({ seed: 1 });
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', { write: (line) => lines.push(JSON.parse(line)), wall: () => 0 });
  const applied: Snapshot[] = [];
  const file: { now: Wanted | readonly string[]; loads: number } = { now: wanted(first), loads: 0 };
  let apply = (snapshot: Snapshot): Promise<void> => {
    applied.push(snapshot);
    return Promise.resolve();
  };
  const load = (): Promise<Wanted | readonly string[]> => {
    file.loads++;
    return Promise.resolve(file.now);
  };
  const reloader = new Reloader(
    { load, apply: (snapshot) => apply(snapshot), env: ENV, log, clock },
    running(first),
  );
  const onApply = (other: typeof apply): void => {
    apply = other;
  };
  return { reloader, lines, applied, file, onApply, messages: () => lines.map(({ msg }) => msg) };
}

describe('a reloader', () => {
  test('applies what differs, in one line, and the next difference counts from there', async () => {
    const { reloader, lines, applied, file } = world({ servers: { A } });
    file.now = wanted({ servers: { A, B }, workers: 4 });
    await reloader.request('file');
    file.now = wanted({ servers: { B } });
    await reloader.request('file');
    expect(applied.map(({ epoch, servers }) => [epoch, servers.map(({ name }) => name)])).toEqual([
      [2, ['A', 'B']],
      [3, ['B']],
    ]);
    expect(lines.map(({ time: _, ...line }) => line)).toEqual([
      { level: 'info', msg: 'reloaded', starts: ['B'], epoch: 2, ms: 0 },
      { level: 'warn', msg: 'some of what has changed waits for a restart', keys: ['workers'] },
      { level: 'info', msg: 'reloaded', stops: ['A'], epoch: 3, ms: 0 },
    ]);
  });

  test('changes nothing by a configuration that is refused, or cannot be taken up, and says why', async () => {
    const { reloader, lines, applied, file, onApply } = world({ servers: { A } });
    file.now = ['sluice.yaml:1: one', 'sluice.yaml:2: two'];
    await reloader.request('file');
    file.now = wanted({ servers: { A, B } });
    onApply(() => Promise.reject(new GatewayError('GW_CONFIG_ROOM', 'too many')));
    await reloader.request('signal');
    onApply(() => Promise.reject(new TypeError('odd')));
    await reloader.request('signal');
    expect(lines.map(({ level, problem, reason }) => [level, problem ?? reason])).toEqual([
      ['error', 'sluice.yaml:1: one'],
      ['error', 'sluice.yaml:2: two'],
      ['error', 'Cannot take up the configuration while running: restart the gateway: too many'],
      ['error', 'TypeError: odd'],
    ]);
    onApply((snapshot) => {
      applied.push(snapshot);
      return Promise.resolve();
    });
    await reloader.request('signal');
    expect(applied.map(({ epoch }) => epoch)).toEqual([2]);
  });

  test('is silent about a file that was only touched, and answers who asks', async () => {
    const { reloader, messages, applied } = world({ servers: { A } });
    await reloader.request('file');
    expect(messages()).toEqual([]);
    await reloader.request('signal');
    expect([messages(), applied]).toEqual([['the configuration is the one in force'], []]);
  });

  test('reloads once more for all that was asked meanwhile, never two at a time', async () => {
    const { reloader, file, onApply, messages } = world({ servers: { A } });
    let atOnce = 0;
    let most = 0;
    const release: (() => void)[] = [];
    onApply(async () => {
      most = Math.max(most, ++atOnce);
      await new Promise<void>((resolve) => release.push(resolve));
      atOnce--;
    });
    file.now = wanted({ servers: { A, B } });
    const first = reloader.request('file');
    await Bun.sleep(0);
    file.now = wanted({ servers: { B } });
    const others = [reloader.request('file'), reloader.request('signal'), reloader.request('file')];
    while (release.length < 2) {
      release[0]?.();
      await Bun.sleep(0);
    }
    release[1]?.();
    await Promise.all([first, ...others]);
    expect([most, file.loads, messages()]).toEqual([1, 2, ['reloaded', 'reloaded']]);
  });
});
