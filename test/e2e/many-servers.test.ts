// Twenty servers behind /mcp, of which one hangs, one flaps, one talks garbage, one answers with 50 MB and one has 5 000 tools on 100 pages.
// Run by `bun test`, over the whole program; figures are printed beside those of the same run without the sick ones, and nothing is asserted about time.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { ROOT, type ServerEntry, startGateway, stopAll } from '../fixtures/harness.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { type ByteServer, startByteServer } from '../fixtures/plane.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

/** Longest wait for one server (limits.memberTimeoutMs). */
const BOUND_MS = 500;
const HEALTHY = 15;
const TOOLS = 10;
const ROUNDS = 16;
/** A list that is waited for so long is lost. */
const LOST_MS = 20 * BOUND_MS;

const healthy: ByteServer[] = [];
const sick = Bun.spawn([process.execPath, join(ROOT, 'test', 'fixtures', 'sick-servers.ts')], {
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'inherit',
});

function healthyServer(name: string): ByteServer {
  return startByteServer((body) => {
    const { id, method, params } = JSON.parse(new TextDecoder().decode(body)) as {
      id?: unknown;
      method: string;
      params?: { name?: string };
    };
    const reply = (result: object): Response =>
      Response.json({ jsonrpc: '2.0', id, result: { ...result, resultType: 'complete' } });
    if (id === undefined) return new Response(null, { status: 202 });
    if (method === 'tools/list')
      return reply({
        tools: Array.from({ length: TOOLS }, (_, i) => ({ name: `t${i}`, inputSchema: { type: 'object' } })),
        ttlMs: 0,
        cacheScope: 'private',
      });
    if (method === 'initialize')
      return reply({
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name, version: '1' },
      });
    if (method === 'server/discover')
      return reply({ supportedVersions: ['2026-07-28'], capabilities: { tools: { listChanged: true } } });
    return reply({ content: [{ type: 'text', text: `${name}: ${params?.name}` }] });
  });
}

interface List {
  readonly tools: readonly { readonly name: string }[];
  readonly nextCursor?: string;
  readonly _meta?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

let sickUrls: Readonly<Record<string, string>> = {};
const entries: Record<string, ServerEntry> = {};
const SETTINGS = { limits: { memberTimeoutMs: BOUND_MS }, log: { level: 'error' } };

beforeAll(async () => {
  const reader = sick.stdout.getReader();
  let line = '';
  while (!line.includes('\n')) line += new TextDecoder().decode((await reader.read()).value);
  sickUrls = JSON.parse(line) as Record<string, string>;
  for (let i = 0; i < HEALTHY; i++) {
    const server = healthyServer(`h${i}`);
    healthy.push(server);
    entries[`h${i}`] = { url: server.url };
  }
});

afterAll(async () => {
  await stopAll();
  for (const server of healthy) server.stop();
  sick.stdin.end();
  await sick.exited;
});

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

function figures(what: string, times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => percentile(sorted, share).toFixed(1);
  return `${what.padEnd(12)} n=${String(times.length).padEnd(5)} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`;
}

async function timed<T>(times: number[], work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const value = await work();
  times.push(performance.now() - startMs);
  return value;
}

const lost = (): AbortSignal => AbortSignal.timeout(LOST_MS);

async function post(
  url: string,
  id: number,
  method: string,
  params: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const name = typeof params.name === 'string' ? params.name : undefined;
  const headers = modernHeaders(method, name);
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body: modernRequest(id, method, params),
    signal: lost(),
  });
  return (await response.json()) as Record<string, unknown>;
}

/** Every page of a legacy session's list. */
async function walk(client: RpcClient, onPage: (list: List) => void): Promise<readonly string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const reply = await client.request('tools/list', cursor === undefined ? {} : { cursor });
    if (reply.result === undefined) throw new Error(`no list: ${JSON.stringify(reply)}`);
    const list = reply.result as unknown as List;
    onPage(list);
    names.push(...list.tools.map(({ name }) => name));
    cursor = list.nextCursor;
  } while (cursor !== undefined && names.length < 20_000);
  return names;
}

interface Run {
  readonly initialize: number[];
  readonly lists: number[];
  readonly calls: number[];
  /** Names of each walk over all pages, and the first page of it. */
  readonly walks: {
    readonly names: readonly string[];
    readonly first: List;
    readonly opened: Record<string, unknown>;
  }[];
  readonly wrong: string[];
}

/** Legacy clients that begin sessions and list, a modern one that lists, and calls to healthy servers all the while. */
async function load(url: string): Promise<Run> {
  const run: Run = { initialize: [], lists: [], calls: [], walks: [], wrong: [] };
  let isOver = false;
  const calling = (async () => {
    for (let i = 0; !isOver; i++) {
      const server = `h${i % HEALTHY}`;
      const reply = await timed(run.calls, () =>
        post(url, i, 'tools/call', { name: `${server}__t1`, arguments: {} }),
      );
      if (!JSON.stringify(reply).includes(`${server}: t1`))
        run.wrong.push(JSON.stringify(reply).slice(0, 300));
      await Bun.sleep(2);
    }
  })();
  for (let round = 0; round < ROUNDS; round++) {
    const client = new RpcClient(url);
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    };
    const opened = await timed(run.initialize, () => client.request('initialize', params));
    await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    let first: List | null = null;
    const names: string[] = [];
    const startMs = performance.now();
    const all = await walk(client, (list) => {
      if (first === null) run.lists.push(performance.now() - startMs);
      first ??= list;
    });
    names.push(...all);
    if (first !== null) run.walks.push({ names, first, opened: opened.result as Record<string, unknown> });
    await client.close();
    await timed(run.lists, () => post(url, round, 'tools/list', {}));
    // As often with and without the sick ones.
    await Bun.sleep(50);
  }
  isOver = true;
  await calling;
  return run;
}

const healthyNames = Array.from({ length: HEALTHY }, (_, i) =>
  Array.from({ length: TOOLS }, (__, t) => `h${i}__t${t}`),
).flat();

describe('twenty servers', () => {
  test('answers hold all that is knowable, say what is missing, and come within the bound; calls to healthy servers keep their latency', async () => {
    const well = await startGateway(entries, SETTINGS);
    const before = await load(`${well.url}/mcp`);
    await well.stop();
    const all = {
      ...entries,
      ...Object.fromEntries(Object.entries(sickUrls).map(([name, url]) => [name, { url }])),
    };
    const ill = await startGateway(all, SETTINGS);
    const after = await load(`${ill.url}/mcp`);
    for (const [name, run] of [
      [`without the sick ones (${HEALTHY} servers)`, before],
      [`with them (${HEALTHY + 5} servers, bound ${BOUND_MS} ms)`, after],
    ] as const)
      console.log(
        [
          `many servers, ${name}:`,
          figures('initialize', run.initialize),
          figures('tools/list', run.lists),
          figures('tools/call', run.calls),
        ].join('\n  '),
      );
    expect([...before.wrong, ...after.wrong]).toEqual([]);
    expect([before.walks.length, after.walks.length]).toEqual([ROUNDS, ROUNDS]);
    for (const { names, first } of before.walks) {
      expect(names).toEqual(healthyNames);
      expect(first._meta).toBeUndefined();
    }
    const hugeNames = Array.from({ length: 5_000 }, (_, i) => `huge__tool_${i}`);
    let flaps = 0;
    for (const { names, first, opened } of after.walks) {
      const own = names.filter((name) => !name.startsWith('flapping__'));
      const huge = own.filter((name) => name.startsWith('huge__'));
      // What could not be had within the bound is said to be missing; what is there is whole and in order.
      const missing = Object.keys(first._meta?.['sluice/missing'] ?? {});
      const stale = Object.keys(first._meta?.['sluice/stale'] ?? {});
      expect(own.slice(0, healthyNames.length)).toEqual(healthyNames);
      if (!missing.includes('huge')) expect(huge).toEqual(hugeNames);
      expect(missing).toEqual(expect.arrayContaining(['hanging', 'garbage', 'fat']));
      expect(missing.filter((name) => name.startsWith('h') && !['hanging', 'huge'].includes(name))).toEqual(
        [],
      );
      const isFlapThere = names.includes('flapping__flap');
      expect(isFlapThere || missing.includes('flapping')).toBe(true);
      flaps += isFlapThere ? 1 : 0;
      expect(stale.every((name) => ['flapping', 'huge'].includes(name))).toBe(true);
      expect(JSON.stringify(opened._meta)).toContain('hanging');
    }
    // One that hangs is waited for once, not each time.
    const median = (times: readonly number[]): number =>
      percentile(
        [...times].sort((a, b) => a - b),
        0.5,
      );
    expect(median(after.initialize)).toBeLessThan(BOUND_MS);
    expect(median(after.lists)).toBeLessThan(BOUND_MS);
    console.log(`  the flapping server was listed in ${flaps} of ${ROUNDS}`);
    expect(flaps).toBeGreaterThan(0);
  }, 180_000);
});
