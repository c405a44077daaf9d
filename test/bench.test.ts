// Every bench at toy size, so that none can rot: it runs, prints its checksum, and that checksum is the known one.
// Called by `bun test`. Promises: no timed assertion, and neither wrk nor nginx is needed. With SLUICE_BENCH=short or =full in the environment the
// benches themselves run too, at that size: `SLUICE_BENCH=full bun test bench`.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { budgetsOf } from '../bench/budgets.ts';
import { loadCharts } from '../bench/charts.ts';
import { compareRuns, renderComparison } from '../bench/compare.ts';
import { answerTo } from '../bench/macro/answer.ts';
import { benchBridging } from '../bench/macro/bridging.ts';
import { benchCached } from '../bench/macro/cached.ts';
import { CALL_BODY, REPLY_BODY } from '../bench/macro/call.ts';
import { latenciesIn } from '../bench/macro/h2load.ts';
import { http2Request } from '../bench/macro/http2-bytes.ts';
import { runLoad } from '../bench/macro/load.ts';
import { ECHO_KINDS } from '../bench/macro/other-servers.ts';
import { firstLine, obtain } from '../bench/macro/peer.ts';
import { PEERS } from '../bench/macro/peer-list.ts';
import { isStdioEcho, STDIO_ECHO, startEcho } from '../bench/macro/peers.ts';
import { benchRegistry } from '../bench/macro/registry.ts';
import { scenariosOf } from '../bench/macro/scenarios.ts';
import { benchSessions } from '../bench/macro/sessions.ts';
import { benchStartup } from '../bench/macro/startup.ts';
import { benchSteady, slopeOf } from '../bench/macro/steady.ts';
import { benchSuite } from '../bench/macro/suite.ts';
import { cpuMs, treeOf, treeUse } from '../bench/macro/target.ts';
import { benchToy } from '../bench/macro/toy.ts';
import { wrkScript } from '../bench/macro/wrk.ts';
import { pasted } from '../bench/markdown.ts';
import { benchCells } from '../bench/micro/cells.ts';
import { benchHandover } from '../bench/micro/handover.ts';
import { benchLimits } from '../bench/micro/limits.ts';
import { benchInnerObserving } from '../bench/micro/observing.ts';
import { benchPool } from '../bench/micro/pool.ts';
import { benchRing } from '../bench/micro/ring.ts';
import { benchRoute } from '../bench/micro/route.ts';
import { benchRouteReaders } from '../bench/micro/route-readers.ts';
import { benchKernels, benchScan } from '../bench/micro/scan.ts';
import { benchSeal } from '../bench/micro/seal.ts';
import { renderPage } from '../bench/page.ts';
import {
  type BenchResult,
  checksumOf,
  figureOf,
  formatFigure,
  median,
  renderTable,
  rowOf,
  skippedBench,
  spreadOf,
} from '../bench/report.ts';
import { targetsOf } from '../bench/targets.ts';

function show(result: BenchResult): void {
  console.log(renderTable(result));
}

test('observing inside, toy size: each kind answers, and the first adds nothing to itself', async () => {
  const result = await benchInnerObserving({ rounds: 1, callsPerRound: 64, routedUs: 50 });
  expect(result.rows.map(({ figures }) => Number.isFinite(figures['µs/call']))).not.toContain(false);
  expect(figureOf(result, 'off', 'added µs')).toBe(0);
  expect(result.rows.map(({ name }) => name)).toContain('everything, 1 % traced');
});

test('registry, toy size: registrations are acknowledged and take effect', async () => {
  const result = await benchRegistry({ registrations: 5, effects: 1, servers: 0 });
  show(result);
  expect(result.rows).toHaveLength(6);
  expect(targetsOf({ registry: result }).rows[0]?.figures.ours).toContain('HTTP, one client');
}, 120_000);

test('kernels, toy size: every one gives the same', async () => {
  const result = await benchKernels({ toy: true });
  show(result);
  expect(result.skipped === undefined ? result.rows.length : 1).toBeGreaterThan(0);
}, 30_000);

test('scan, toy size', async () => {
  const result = await benchScan({ toy: true });
  show(result);
  expect(result.rows.length).toBeGreaterThan(0);
  expect(result.checksum).not.toBe(0);
}, 30_000);

test('steady, toy size: a line through points has its slope, and calls through two workers are sampled', async () => {
  const exact = slopeOf([
    [0, 1],
    [1, 3],
    [2, 5],
  ]);
  expect([exact.slope, exact.error]).toEqual([2, 0]);
  const wavering = slopeOf([
    [0, 0],
    [1, 1],
    [2, 0],
    [3, 1],
  ]);
  expect(wavering.slope).toBeCloseTo(0.2);
  expect(wavering.error).toBeGreaterThan(0.2);
  const result = await benchSteady({ calls: 2, secondsPerPart: 1, workers: 2 });
  show(result);
  expect(result.skipped === undefined ? result.rows.length : 2).toBe(2);
}, 30_000);

test('route, toy size: the message comes to its server', async () => {
  const result = await benchRoute({ toy: true });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual(['10 names']);
  // Of 64 messages, the n-th is for the name (n × 15 485 863 + 7) mod 10.
  const wanted = Array.from({ length: 64 }, (_, n) => (n * 15_485_863 + 7) % 10);
  const sum = wanted.reduce((all, one) => all + one, 0);
  expect(result.checksum).toBe(checksumOf(String(checksumOf(`10 ${sum}`)), checksumOf('route')));
  expect(renderTable(result)).toContain('the report says 1.18 µs');
}, 30_000);

test('route readers, toy size: no name is missed', async () => {
  const result = await benchRouteReaders({ size: 'toy' });
  show(result);
  expect(result.rows.length).toBe(5);
  expect(renderTable(result)).toContain('the report says 3.2 M');
}, 30_000);

test('cells, toy size: every operation of every thread is counted', async () => {
  const result = await benchCells({ size: 'toy' });
  show(result);
  expect(result.rows.map((row) => row.name)).toContain('2 threads: breaker');
  expect(result.checksum).toBe(checksumOf('7 2000', checksumOf('cells')));
  const table = renderTable(result);
  for (const theirs of ['the report says 3.2 M operations/s', 'the report says 40 % fewer misses'])
    expect(table).toContain(theirs);
}, 30_000);

test('pool, toy size: it balances', async () => {
  const result = await benchPool({ toy: true });
  show(result);
  expect(result.checksum).toBe(checksumOf('10 1000', checksumOf('pool')));
  expect(renderTable(result)).toContain('83, 85, 92 ns');
}, 30_000);

test('hand-over, toy size: every call is answered', async () => {
  const result = await benchHandover({ size: 'toy' });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual([
    'link, 1 at once',
    'link, 16 at once',
    'link, 256 at once',
    'exchange at home',
    'exchange handed over',
  ]);
  expect(result.checksum).toBe(checksumOf('handover 400'));
}, 30_000);

test('seal, toy size: every session opens as it was sealed', async () => {
  const result = await benchSeal({ toy: true });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual(['10 sessions']);
  // 1 + 12 + 12 + 36 + 16 bytes are 103 characters.
  expect(result.checksum).toBe(checksumOf('10 10 103', checksumOf('seal')));
}, 30_000);

test('ring, toy size: every message reaches every thread, by each way', async () => {
  const result = await benchRing({ size: 'toy' });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual([
    'ring, 1 to 1',
    'postMessage, cloned, 1 to 1',
    'postMessage, cloned in hundreds, 1 to 1',
    'postMessage, transferred, 1 to 1',
    'rings, 1 to 10 threads',
    'postMessage, cloned, 1 to 10 threads',
    'rings, 1 to 10, one thread puts and takes',
  ]);
  const sum = (name: string, messages: number, from: number) =>
    checksumOf(`${name} ${(messages * (messages - 1)) / 2 + 7 * messages}`, from);
  let checksum = checksumOf('ring');
  for (const [index, messages] of [4000, 2000, 2000, 2000, 500, 32].entries())
    checksum = sum(result.rows[index]?.name ?? '', messages, checksum);
  expect(result.checksum).toBe(checksum);
  expect(renderTable(result)).toContain('the report says 3.45 µs');
}, 60_000);

test('the suite of gateways, toy size: every scenario is answered without an error', async () => {
  const results = await benchSuite({
    rounds: 1,
    secondsPerRound: 10,
    warmUpSeconds: 0,
    callsMax: 20,
    full: false,
    toy: true,
  });
  const scenarios = scenariosOf({ full: false, toy: true });
  for (const result of Object.values(results)) show(result);
  for (const upstream of ['http', 'stdio']) {
    const result = results[`peers-${upstream}`];
    const who = upstream === 'http' ? ['direct', 'sluice'] : ['sluice'];
    const names = scenarios.filter((scenario) => scenario.upstream === upstream).map(({ name }) => name);
    expect(result?.rows.map((row) => row.name)).toEqual(
      names.flatMap((name) => who.map((one) => `${name}: ${one}`)),
    );
    expect(result?.rows.map((row) => row.figures.errors)).toEqual(result?.rows.map(() => 0));
    expect(result?.notes).toBeUndefined();
  }
  expect(results['peers-processes']?.rows.map((row) => row.name)).toEqual(['sluice, http', 'sluice, stdio']);
}, 90_000);

test('the suite at full size asks for what it promises', () => {
  const full = scenariosOf({ full: true });
  const widths = full.filter((one) => one.name.startsWith('call, modern,') && one.upstream === 'http');
  expect(widths.map((one) => one.asked.connections)).toEqual([1, 16, 128, 1024]);
  expect(new Set(full.map((one) => one.asked.payloadBytes))).toEqual(new Set([0, 65_536, 1_048_576]));
  expect(new Set(full.map((one) => one.name + one.upstream)).size).toBe(full.length);
  expect(full.filter((one) => one.asked.era === 'legacy').map((one) => one.upstream)).toEqual([
    'http',
    'stdio',
  ]);
  expect(full.filter((one) => one.streamed).length).toBe(1);
  expect(full.filter((one) => one.basic).length).toBe(6);
});

test('peers: every one has a name of its own, and one that is not there is a reason', async () => {
  const names = [
    ...PEERS.map((peer) => `${peer.name} ${peer.version}`),
    ...ECHO_KINDS.map(({ name }) => name),
  ];
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(10);
  const [peer] = PEERS;
  if (peer === undefined) throw new Error('there are no peers');
  const absent = { ...peer, isHere: () => false };
  expect(await obtain(absent, false)).toContain('SLUICE_BENCH=full');
  expect(await obtain({ ...absent, install: () => Promise.reject(new Error('no toolchain')) }, true)).toBe(
    'no toolchain',
  );
  expect(await obtain({ ...absent, install: () => Promise.resolve() }, true)).toContain('left nothing');
  expect(await obtain({ ...peer, isHere: () => true }, false)).toBeNull();
  expect(firstLine(new Error('a\nb'))).toBe('a b');
});

test('idle sessions, toy size: they open on the aggregate and through to the upstream', async () => {
  const result = await benchSessions({ steps: [10, 20], toy: true, mayInstall: false });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual(['sluice, its own session', 'sluice, passed through']);
  for (const row of result.rows)
    expect(Object.keys(row.figures)).toEqual([
      'RSS MB idle',
      'RSS MB at 10',
      'KB a session to 10',
      'RSS MB at 20',
      'KB a session to 20',
    ]);
  expect(result.notes?.length).toBe(1);
}, 60_000);

test('bounds on concurrency, toy size: each limiter before the same requests', () => {
  const result = benchLimits({ toy: true });
  show(result);
  expect(result.rows.length).toBe(30);
  // What a bound of twice the slots does under overload, and having none.
  const servedPerSecond = (row: string): number =>
    figureOf(result, `overload, 150 %: ${row}`, 'served/s') ?? 0;
  expect(servedPerSecond('fixed, 2 × slots')).toBeGreaterThan(700);
  expect(figureOf(result, 'overload, 150 %: none', 'p99 ms')).toBeGreaterThan(500);
  expect(result.checksum).toBe(benchLimits({ toy: true }).checksum);
});

test('start and stop, toy size: ready, drained, recovered, installed', async () => {
  const result = await benchStartup({ rounds: 1, toy: true, mayInstall: false });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual([
    'sluice, http',
    'sluice, stdio',
    'sluice, upstream back again',
    'sluice, one of two replicas back again',
    'sluice, installed',
  ]);
  expect(result.notes).toBeUndefined();
}, 60_000);

test('h2load: latencies come from its log, failures do not', () => {
  const log = `${Array.from({ length: 100 }, (_, n) => `1700000000\t200\t${n + 1}`).join('\n')}\n1700000000\t503\t9\n`;
  expect(latenciesIn(log)).toEqual({ calls: 100, p50Us: 50, p90Us: 90, p99Us: 99, p999Us: 100 });
});

test('one HTTP/2 request, as a server reads it', async () => {
  const { createServer } = await import('node:http2');
  const server = createServer();
  const seen = new Promise<string>((resolve) => {
    server.on('request', (request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => {
        body += part.toString();
      });
      request.on('end', () => {
        response.end();
        resolve(`${request.method} ${request.url} ${request.headers.te} ${body}`);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const request = http2Request(
    new URL(`http://127.0.0.1:${port}/x`),
    { te: 'trailers' },
    Buffer.from('hello'),
  );
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: { data: () => undefined },
  });
  socket.write(request);
  expect(await seen).toBe('POST /x trailers hello');
  socket.terminate();
  server.close();
}, 20_000);

function resultOf(rows: Record<string, Record<string, number>>): BenchResult {
  return {
    title: 'T',
    method: '',
    checksum: 1,
    rows: Object.entries(rows).map(([name, figures]) => ({ name, figures })),
  };
}

test('budgets: the worst figure counts, and what no bench measured is said', () => {
  const empty = budgetsOf({});
  expect(empty.rows.every((row) => row.figures.verdict === '-')).toBe(true);
  const rows = budgetsOf({
    routed: resultOf({ 'sluice / nginx': { 'CPU µs/call': 1.2, 'added p50 µs, c=1': 1.4 } }),
    scan: resultOf({ 'text 10 KB': { parseOverAddon: 9 }, 'list 10 KB': { parseOverAddon: 5 } }),
    sessions: resultOf({
      'sluice, its own session': { 'KB a session to 10': 30, 'KB a session to 20': 4 },
    }),
    'peers-stdio': resultOf({
      'call, modern, c=16: sluice': { 'calls/s': 1_000 },
      'call, modern, c=16: mcp-proxy': { 'calls/s': 100 },
      'call, legacy, c=16: sluice': { 'calls/s': 600 },
      'call, legacy, c=16: mcp-proxy': { 'calls/s': 200 },
    }),
  }).rows;
  const verdict = (words: string) => {
    const row = rows.find(({ name }) => name.includes(words));
    return [row?.figures.measured, row?.figures.verdict, row?.figures['aim met']];
  };
  expect(verdict('CPU of a routed call')).toEqual(['1.20 ×', 'met', 'not met']);
  expect(verdict('added p50')).toEqual(['1.40 ×', 'not met', 'not met']);
  expect(verdict('10 KB')).toEqual(['5 ×', 'not met', 'not met']);
  expect(verdict('each idle session')).toEqual(['4 KB', 'met', 'met']);
  expect(verdict('from npm')).toEqual(['3 ×', 'not met', 'not met']);
  expect(verdict('compiled')).toEqual(['not measured in this run (bench peers)', '-', '-']);
});

test('targets: every row of the report, ours from what was measured', () => {
  const empty = targetsOf({});
  expect(empty.rows.length).toBeGreaterThan(20);
  expect(empty.rows.every((row) => String(row.figures.ours).length > 0)).toBe(true);
  const pool: BenchResult = {
    ...resultOf({ '10 connections': { arrayPopPushNs: 12 } }),
    published: [{ what: 'connection pool get', theirs: 'x', ours: '14 ns' }],
  };
  const row = targetsOf({ pool }).rows.find(({ name }) => name.startsWith('connection pool'));
  expect(row?.figures.ours).toBe('14 ns');
  expect(row?.figures.alternative).toContain('10 connections 12');
  expect(row?.figures.report).toContain('83');
});

test('the echo answers in both eras what its callers look for', () => {
  expect(answerTo(CALL_BODY)).toBe(REPLY_BODY);
  expect(answerTo('{"jsonrpc":"2.0","method":"notifications/initialized"}')).toBeNull();
  expect(
    JSON.parse(answerTo('{"method":"tools/call","params":{"arguments":{"text":"a"}},"id":"x"}') ?? ''),
  ).toEqual({
    jsonrpc: '2.0',
    id: 'x',
    result: { content: [{ type: 'text', text: 'a' }] },
  });
  const hello = '{"id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}';
  expect(JSON.parse(answerTo(hello) ?? '').result.protocolVersion).toBe('2025-06-18');
  expect(JSON.parse(answerTo('{"id":1,"method":"server/discover"}') ?? '').result.supportedVersions).toEqual([
    '2026-07-28',
  ]);
  expect(JSON.parse(answerTo('{"id":1,"method":"tools/list"}') ?? '').result.tools[0].name).toBe('echo');
});

test('the load tells of its phases, and the process tree is measured without the servers in it', async () => {
  const echo = await startEcho();
  const phases: string[] = [];
  const asked = { era: 'legacy', method: 'call', connections: 2, payloadBytes: 0 } as const;
  const measured = await runLoad(echo.url, asked, { seconds: 5, warmUpSeconds: 0, count: 50 }, (phase) =>
    phases.push(phase),
  );
  expect(phases).toEqual(['counting', 'counted']);
  expect(measured).toMatchObject({ calls: 50, failed: 0 });
  expect(treeOf(process.pid)).toContain(echo.pid);
  expect(treeUse(echo.pid, () => true)).toEqual({ cpuMs: 0, residentMb: 0 });
  expect(treeUse(echo.pid, () => false).residentMb).toBeGreaterThan(1);
  expect(cpuMs(echo.pid)).toBeGreaterThanOrEqual(0);
  expect([isStdioEcho(STDIO_ECHO.join(' ')), isStdioEcho(`sh -c ${STDIO_ECHO.join(' ')}`)]).toEqual([
    true,
    false,
  ]);
  await echo.stop();
  expect(treeOf(process.pid)).not.toContain(echo.pid);
}, 30_000);

function runWith(figure: number, spread: number | null, name = 'a') {
  const row = { name, figures: { x: figure, y: 'text' }, ...(spread !== null && { spread: { x: spread } }) };
  return {
    at: `run ${figure}`,
    machine: { cpu: 'c', cores: 2, size: 'short' },
    results: { b: { title: 'T <&>', method: '', checksum: 1, rows: [row] } },
  };
}

test('compare: only what moved beyond the noise of both runs', () => {
  const figures = (before: number, after: number, spread: number | null) =>
    compareRuns(runWith(before, spread), runWith(after, spread)).changes.map((change) => change.noise);
  expect(figures(100, 109, 5)).toEqual([]);
  expect(figures(100, 111, 5)).toEqual([10]);
  expect(figures(100, 102, 0)).toEqual([]);
  expect(figures(100, 109, null)).toEqual([]);
  expect(figures(100, 89, null)).toEqual([10]);
  expect(compareRuns(runWith(1, 0, 'old'), runWith(1, 0, 'new')).alone).toEqual([
    'new: b: new',
    'gone: b: old',
  ]);
  expect(renderComparison(runWith(100, 1), { ...runWith(200, 1), machine: { cpu: 'd', cores: 2 } })).toBe(
    'beware: cpu was c and is d\nbeware: size was short and is unknown\nrun 100 → run 200: 1 figures changed beyond noise\n  b: a: x 100 → 200 (+100 %), noise ± 3\n',
  );
});

test('compare: a machine that drifted is told by the rows that are not ours', () => {
  const named = (figure: number, name: string) => {
    const run = runWith(figure, 0);
    const rows = [{ name, figures: { 'calls/s': figure } }];
    return { ...run, results: { b: { title: 'T', method: '', checksum: 1, rows } } };
  };
  const shown = (name: string) => renderComparison(named(100, name), named(50, name));
  expect(shown('call: nginx')).toContain('beware: the yardsticks themselves');
  expect(shown('call: nginx')).toContain('0.50 × in calls/s');
  expect(shown('call: sluice')).not.toContain('yardsticks');
});

test('paste: a run takes the place of the one before, between the marks', () => {
  const paper = readFileSync(join(import.meta.dir, '..', 'docs', 'benchmark.md'), 'utf8');
  const once = pasted(paper, runWith(123.4, 1));
  expect(once).toContain('| a | 123 | text |');
  expect(once).not.toContain('From one short run');
  expect(pasted(once ?? '', runWith(123.4, 1))).toBe(once);
  expect(once?.startsWith(paper.slice(0, 1_000))).toBe(true);
  expect(pasted('no marks', runWith(1, 1))).toBeNull();
});

test('the page is one file, escaped, without requests', () => {
  const run = runWith(5, 1);
  const rows = [
    rowOf('m: nginx', { 'calls/s': [1, 2, 3] }),
    rowOf('m: sluice', { 'calls/s': [4, 5, 6] }, { errors: 0 }),
  ];
  const page = renderPage({
    ...run,
    results: {
      ...run.results,
      p: { title: 'P', method: 'M', checksum: 1, rows, notes: ['left out <x>'] },
      s: skippedBench('S', 'no wrk'),
    },
  });
  expect(page).toContain('T &#60;&#38;&#62;');
  expect(page).toContain('left out &#60;x&#62;');
  expect(page).toContain('Skipped: no wrk');
  expect(page).toContain('<rect class="own"');
  expect(page).toContain('5 <small>± 1</small>');
  expect(page).not.toMatch(/https?:|<script|src=|@import/);
});

test('the page draws curves with the library that it is given, inside itself', () => {
  const plot = {
    title: '</script>',
    x: { label: 'c', values: [1, 16], log: true },
    y: { label: 'y' },
    series: [{ name: 'sluice', values: [1, null] }],
  };
  const run = runWith(5, 1);
  const result = { title: 'T', method: '', checksum: 1, rows: [], plots: [plot] };
  const library = { notice: 'by N', script: 'var uPlot;', style: '.u{}' };
  const page = renderPage({ ...run, results: { b: result } }, library);
  expect(page).toContain('<div class="plot" id="plot-0">');
  expect(page).toContain('\\u003c/script>');
  expect(page).toContain('by N');
  expect(page).not.toMatch(/https?:|src=|@import/);
  expect(loadCharts('/nowhere')).toBeNull();
  const own = loadCharts();
  if (own === null) console.log('no curves here: the package uplot is not installed');
  else expect(renderPage({ ...run, results: { b: result } }, own)).not.toMatch(/https?:| src=|@import/);
});

test('routed tools/call, toy size: every reply comes through a real gateway unchanged', async () => {
  const calls = 200;
  const result = await benchToy(calls, 8);
  show(result);
  expect(result.rows.map((row) => [row.name, row.figures.calls])).toEqual([
    ['direct', calls],
    ['sluice', calls],
  ]);
  expect(result.checksum).toBe(checksumOf(`${calls} ${REPLY_BODY}`, checksumOf(`${calls} ${REPLY_BODY}`, 0)));
}, 30_000);

test('bridging, toy size: every pair of eras is served, over HTTP and over stdio', async () => {
  const options = { rounds: 1, secondsPerRound: 5, warmUpSeconds: 0, connections: 2, callsMax: 20 };
  const result = await benchBridging(options);
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual([
    'http: modern client, modern server',
    'http: modern client, legacy server (bridged)',
    'http: legacy client, legacy server',
    'http: legacy client, modern server (bridged)',
    'stdio: modern client, modern server',
    'stdio: modern client, legacy server (bridged)',
    'stdio: legacy client, legacy server',
    'stdio: legacy client, modern server (bridged)',
  ]);
  for (const row of result.rows) expect(Number(row.figures['calls/s'])).toBeGreaterThan(0);
}, 60_000);

test('cache, toy size: what is kept is served, and the server is not asked', async () => {
  const options = { rounds: 1, secondsPerRound: 5, warmUpSeconds: 0, connections: 4, callsMax: 100 };
  const result = await benchCached(options);
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual(
    ['tools/list', 'resources/read'].flatMap((method) => [
      `${method}, not cached`,
      `${method}, cached`,
      `${method}, cached / not cached`,
    ]),
  );
  for (const method of ['tools/list', 'resources/read']) {
    expect(figureOf(result, `${method}, not cached`, 'hit ratio')).toBe(0);
    // Asked once, and once again when the subscription begins; those that wait for the first answer count as hits.
    expect(figureOf(result, `${method}, cached`, 'hit ratio')).toBeGreaterThan(0.9);
  }
}, 60_000);

test('the load of wrk carries the headers that a modern call needs', () => {
  for (const name of ['mcp-protocol-version', 'mcp-method', 'mcp-name', 'content-type', 'accept']) {
    expect(wrkScript()).toContain(`wrk.headers[ [==[${name}]==] ]`);
  }
});

test('report: medians, figures, tables, skips', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect([spreadOf([]), spreadOf([5]), spreadOf([1, Number.NaN, 4])]).toEqual([0, 0, 1.5]);
  expect([1234.5, 123.4, 12.34, 1.234, 7, 'x', undefined, Number.NaN].map(formatFigure)).toEqual([
    '1,235',
    '123',
    '12.3',
    '1.23',
    '7',
    'x',
    '-',
    '-',
  ]);
  const table = renderTable({
    title: 'T',
    method: 'M',
    checksum: 9,
    rows: [
      { name: 'a', figures: { x: 1 } },
      { name: 'bb', figures: { y: 22 } },
    ],
  });
  expect(table).toBe('T\n  M\n      x   y\n  a   1   -\n  bb  -  22\n  checksum 9\n');
  expect(renderTable(skippedBench('T', 'no wrk'))).toContain('skipped: no wrk');
  expect(checksumOf('a')).not.toBe(checksumOf('b'));
});

const REAL_SIZES = ['short', 'full'];
const REAL_WITHIN_MS = 90 * 60_000;

if (REAL_SIZES.includes(process.env.SLUICE_BENCH ?? ''))
  test(
    `all benches, size ${process.env.SLUICE_BENCH}`,
    async () => {
      const child = Bun.spawn([process.execPath, join(import.meta.dir, '..', 'bench', 'run.ts')], {
        stdin: 'ignore',
        stdout: 'inherit',
        stderr: 'inherit',
      });
      expect(await child.exited).toBe(0);
    },
    REAL_WITHIN_MS,
  );
