// Durable registrations: over the admin API by one client and by several, and in process; how soon one takes effect; and a gateway that has ten thousand.
// Called by run.ts and, at toy size, by test/bench.test.ts. Promises: SQLite with a sync for each commit, on the disk of the temporary folder; every name is new; a
// registration counts when its 201 is there; what the disk alone takes is measured beside it.
import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRegistry } from '../../src/control/registry/open-registry.ts';
import { configSchema } from '../../src/control/schema.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { type RegistryGateway, startRegistryGateway } from '../../test/fixtures/registry-gateway.ts';
import { type BenchResult, type BenchRow, checksumOf, formatFigure } from '../report.ts';
import { CALL_BODY, CALL_HEADERS } from './call.ts';
import { startEcho } from './peers.ts';
import { residentMb } from './target.ts';

/** How much to measure. */
export interface RegistryPlan {
  /** Registrations of each row. */
  readonly registrations: number;
  /** Registrations whose first call is waited for. */
  readonly effects: number;
  /** Servers of the large registry; 0: none. */
  readonly servers: number;
}

/** Longest wait until a registration takes effect. */
const EFFECT_MS_MAX = 60_000;

type Register = (name: string) => Promise<void>;

/** Runs the plan. */
export async function benchRegistry(plan: RegistryPlan): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const rows: BenchRow[] = [diskRow(folder, plan.registrations)];
  try {
    const over = await overHttp(folder, plan, rows);
    await inProcess(folder, plan, rows);
    if (plan.servers > 0) rows.push(await manyServers(folder, plan.servers));
    const { figures } = over;
    return {
      title: 'registry: durable registrations',
      method: `${plan.registrations} new names a row, each acknowledged after its commit is synced (SQLite, WAL, synchronous=FULL); each is judged, compiled and audited, and the gateway takes them up meanwhile; takes effect: from the 201 to the first call that succeeds, ${plan.effects} times, 2 workers, each call on a connection of its own`,
      rows,
      checksum: checksumOf('registry'),
      published: [
        {
          what: 'server registration (durable)',
          theirs: '2,847 /s; p50 285 µs, p90 412, p99 897, p99.9 2.1 ms',
          ours: `${formatFigure(figures['per s'])} /s; p50 ${formatFigure(figures['p50 µs'])} µs, p90 ${formatFigure(figures['p90 µs'])}, p99 ${formatFigure(figures['p99 µs'])}, p99.9 ${formatFigure(figures['p99.9 µs'])} (HTTP, one client)`,
          alternative: `a bare append and fdatasync on this disk: p50 ${formatFigure(rows[0]?.figures['p50 µs'])} µs`,
        },
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the disk takes for so many small appends, each synced. */
function diskRow(folder: string, count: number): BenchRow {
  const file = openSync(join(folder, 'plain'), 'w');
  const line = 'x'.repeat(400);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    writeSync(file, line);
    fdatasyncSync(file);
    times.push((performance.now() - from) * 1000);
  }
  closeSync(file);
  return timesRow('append and fdatasync, nothing else', times, sum(times) / 1_000_000);
}

async function overHttp(folder: string, plan: RegistryPlan, rows: BenchRow[]): Promise<BenchRow> {
  const echo = await startEcho();
  const gateway = await startRegistryGateway({
    folder,
    settings: { workers: 2, log: { level: 'error' }, registry: { serversMax: 100_000 } },
  });
  try {
    const settings = { url: echo.url, era: 'modern' };
    const register: Register = async (name) => {
      const { status, body } = await gateway.api('POST', '/api/v1/servers', { name, settings });
      if (status !== 201)
        throw new Error(`a registration was refused with ${status}: ${JSON.stringify(body)}`);
    };
    await register('warm-up');
    const names = namesOf('h');
    rows.push(await effectRow(gateway, register, plan.effects));
    const one = await timed('over HTTP, 1 client', plan.registrations, 1, () => register(names()));
    rows.push(one, await timed('over HTTP, 16 clients', plan.registrations, 16, () => register(names())));
    return one;
  } finally {
    await gateway.kill();
    await echo.stop();
  }
}

async function effectRow(gateway: RegistryGateway, register: Register, count: number): Promise<BenchRow> {
  const names = namesOf('e');
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = names();
    await register(name);
    const from = performance.now();
    await until(() => answers(gateway, name));
    times.push((performance.now() - from) * 1000);
  }
  return timesRow('takes effect: first successful call', times, null);
}

async function answers(gateway: RegistryGateway, name: string): Promise<boolean> {
  const headers = { ...CALL_HEADERS, connection: 'close' };
  const reply = await fetch(`${gateway.url}/mcp/${name}`, { method: 'POST', headers, body: CALL_BODY });
  await reply.arrayBuffer();
  return reply.status === 200;
}

async function inProcess(folder: string, { registrations }: RegistryPlan, rows: BenchRow[]): Promise<void> {
  const base = {
    config: configSchema.parse({ servers: {}, registry: { serversMax: 100_000 } }),
    material: new Map<string, string>(),
  };
  const runtime = createBunRuntime();
  const dataDir = join(folder, 'in-process');
  const registry = await openRegistry({ runtime, log: SILENT, dataDir, env: {}, directory: folder, base });
  try {
    const names = namesOf('p');
    const register = async (): Promise<void> => {
      const settings = { url: 'http://127.0.0.1:9/mcp', era: 'modern' };
      const outcome = await registry.put(names(), settings, { actor: 'bench', expect: 'new' });
      if (!outcome.ok) throw new Error(outcome.detail);
    };
    await register();
    for (const width of [1, 64])
      rows.push(await timed(`in process, ${width} at once`, registrations, width, register));
  } finally {
    await registry.close();
  }
}

/** A gateway that starts with so many servers in its registry. */
async function manyServers(folder: string, count: number): Promise<BenchRow> {
  const place = join(folder, 'many');
  const first = await startManyIn(place);
  const servers = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`s${i}`, { url: `http://127.0.0.1:9/${i}`, era: 'modern' }]),
  );
  // An import takes 1 MiB at once.
  const names = Object.keys(servers);
  for (let from = 0; from < names.length; from += 5_000) {
    const part = Object.fromEntries(names.slice(from, from + 5_000).map((name) => [name, servers[name]]));
    const { status } = await first.api('POST', '/api/v1/import', { servers: part });
    if (status !== 200) throw new Error(`the import was refused with ${status}`);
  }
  await first.stop();
  const gateway = await startManyIn(place);
  try {
    // What loads at the first request is not what is asked for here.
    await gateway.api('GET', '/api/v1/status');
    const list = await spent(() => gateway.api('GET', '/api/v1/servers?limit=100'));
    const look = await spent(() => gateway.api('GET', `/api/v1/servers/s${count - 1}`));
    const from = performance.now();
    await gateway.api('POST', '/api/v1/servers', {
      name: 'one-more',
      settings: { url: 'http://127.0.0.1:9/' },
    });
    await until(() => answersAnything(gateway, 'one-more'));
    return {
      name: `${formatFigure(count)} servers in the registry`,
      figures: {
        'ready ms': gateway.readyMs,
        'list of 100 ms': list,
        'look-up ms': look,
        'one more takes effect ms': performance.now() - from,
        'RSS MB': residentMb(gateway.pid),
      },
    };
  } finally {
    await gateway.kill();
  }
}

function startManyIn(folder: string): Promise<RegistryGateway> {
  mkdirSync(folder, { recursive: true });
  return startRegistryGateway({
    folder,
    settings: { workers: 1, log: { level: 'error' }, registry: { serversMax: 20_000 } },
  });
}

async function answersAnything(gateway: RegistryGateway, name: string): Promise<boolean> {
  const headers = { ...CALL_HEADERS, connection: 'close' };
  const reply = await fetch(`${gateway.url}/mcp/${name}`, { method: 'POST', headers, body: CALL_BODY });
  await reply.arrayBuffer();
  return reply.status !== 404;
}

/** Asks again and again, a minute at most. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + EFFECT_MS_MAX;
  while (!(await isSo())) if (performance.now() > end) throw new Error('a registration took no effect');
}

async function spent(work: () => Promise<unknown>): Promise<number> {
  await work();
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function namesOf(prefix: string): () => string {
  let number = 0;
  return () => `${prefix}-${number++}`;
}

/** Does something so many times, `width` at a time. */
async function timed(
  name: string,
  count: number,
  width: number,
  work: () => Promise<void>,
): Promise<BenchRow> {
  const times: number[] = [];
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const from = performance.now();
      await work();
      times.push((performance.now() - from) * 1000);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: width }, client));
  return timesRow(name, times, (performance.now() - began) / 1000);
}

/** `seconds` null: how many a second says nothing. */
function timesRow(name: string, times: readonly number[], seconds: number | null): BenchRow {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return {
    name,
    figures: {
      ...(seconds !== null && { 'per s': times.length / seconds }),
      'p50 µs': at(0.5),
      'p90 µs': at(0.9),
      'p99 µs': at(0.99),
      'p99.9 µs': at(0.999),
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
