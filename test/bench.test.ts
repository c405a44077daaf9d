// Every bench at toy size, so that none can rot: it runs, prints its checksum, and that checksum is the known one.
// Called by `bun test`. Promises: no timed assertion, and neither wrk nor nginx is needed.
import { expect, test } from 'bun:test';
import { REPLY_BODY } from '../bench/macro/call.ts';
import { benchToy } from '../bench/macro/toy.ts';
import { wrkScript } from '../bench/macro/wrk.ts';
import { benchScan } from '../bench/micro/scan.ts';
import {
  type BenchResult,
  checksumOf,
  formatFigure,
  median,
  renderTable,
  skippedBench,
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
