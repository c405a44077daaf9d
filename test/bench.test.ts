// Every bench at toy size, so that none can rot: it runs, prints its checksum, and that checksum is the known one.
// Called by `bun test`. Promises: no timed assertion, and neither wrk nor nginx is needed.
import { expect, test } from 'bun:test';
import { compareRuns, renderComparison } from '../bench/compare.ts';
import { answerTo } from '../bench/macro/answer.ts';
import { CALL_BODY, REPLY_BODY } from '../bench/macro/call.ts';
import { runLoad } from '../bench/macro/load.ts';
import { NPM_PEERS } from '../bench/macro/npm-peers.ts';
import { isStdioEcho, STDIO_ECHO, startEcho } from '../bench/macro/peers.ts';
import { benchSuite, scenariosOf } from '../bench/macro/suite.ts';
import { cpuMs, treeOf, treeUse } from '../bench/macro/target.ts';
import { benchToy } from '../bench/macro/toy.ts';
import { wrkScript } from '../bench/macro/wrk.ts';
import { benchPool } from '../bench/micro/pool.ts';
import { benchRoute } from '../bench/micro/route.ts';
import { benchScan } from '../bench/micro/scan.ts';
import { renderPage } from '../bench/page.ts';
import {
  type BenchResult,
  checksumOf,
  formatFigure,
  median,
  renderTable,
  rowOf,
  skippedBench,
  spreadOf,
} from '../bench/report.ts';

function show(result: BenchResult): void {
  console.log(renderTable(result));
}

test('scan, toy size', async () => {
  const result = await benchScan({ toy: true });
  show(result);
  expect(result.rows.length).toBeGreaterThan(0);
  expect(result.checksum).not.toBe(0);
}, 30_000);

test('route, toy size: the message comes to its server', async () => {
  const result = await benchRoute({ toy: true });
  show(result);
  expect(result.rows.map((row) => row.name)).toEqual(['10 servers']);
  expect(result.checksum).toBe(checksumOf('10 7', checksumOf('route')));
  expect(renderTable(result)).toContain('the report says 1.18 µs');
}, 30_000);

test('pool, toy size: it balances', async () => {
  const result = await benchPool({ toy: true });
  show(result);
  expect(result.checksum).toBe(checksumOf('10 1000', checksumOf('pool')));
  expect(renderTable(result)).toContain('83, 85, 92 ns');
}, 30_000);

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
  for (const peer of NPM_PEERS)
    expect(peer.arguments(8080, ['bun', 'echo.ts']).join(' ')).toContain('bun echo.ts');
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
