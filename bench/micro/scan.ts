// Measures the scanners against JSON.parse on messages in the shape of tools/call and tools/list.
// Called by bench/run.ts and, at toy size, by the tests. Promises: every figure of a row is taken in the same run, in turns;
// the budgets of ARCHITECTURE.md are about the column `parseOverAddon`, which is JSON.parse of the same bytes, decoding included,
// since JSON.parse cannot read bytes. The stricter comparison with a text decoded beforehand stands beside it.
import { encode } from '../../src/base/bytes.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { type BenchResult, type BenchRow, checksumOf, renderTable } from '../report.ts';
import { measureTasks } from './measure.ts';

const KILO = 1000;

/** Bytes of one batch: long against the clock's own cost, short against the scheduler's slices. */
const BATCH_BYTES = 100 * KILO;
const BATCH_CALLS_MAX = 400;

/** A call whose arguments hold as many records as it takes to reach `bytes`. */
function callMessage(bytes: number): string {
  const rows: unknown[] = [];
  let size = 0;
  const message = () =>
    JSON.stringify({
      method: 'tools/call',
      params: {
        name: 'orders_update',
        arguments: { dryRun: false, limit: 25, rows },
        _meta: { progressToken: 7 },
      },
      jsonrpc: '2.0',
      id: 42,
    });
  for (size = message().length; size < bytes; size = message().length) {
    const missing = Math.max(1, Math.floor((bytes - size) / 150));
    for (let added = 0; added < missing; added++) {
      const n = rows.length;
      rows.push({
        id: 1000 + n,
        sku: `SKU-${n % 97}`,
        amount: n * 1.25,
        active: n % 3 === 0,
        note: null,
        tags: ['new', 'eu'],
        text: 'Deliver to the back door, please',
      });
    }
  }
  return message();
}

/** A call that writes a file, long enough to reach `bytes`: one string of source text, with the escapes that such text needs. */
function textMessage(bytes: number): string {
  const line = (n: number) =>
    `  log.info("step ${n} of the plan", { at: clock.now(), path: 'C:\\work\\${n % 17}' }); // and so on\n`;
  let content = '';
  for (let n = 0; content.length < bytes - 250; n++) content += line(n);
  return JSON.stringify({
    method: 'tools/call',
    params: { name: 'write_file', arguments: { path: '/src/plan.ts', content } },
    jsonrpc: '2.0',
    id: 42,
  });
}

/** A list of tools with schemas, as many as it takes to reach `bytes`. */
function listMessage(bytes: number): string {
  const tools: unknown[] = [];
  const message = () =>
    JSON.stringify({ jsonrpc: '2.0', id: 42, result: { tools, nextCursor: 'eyJvIjoxfQ==' } });
  for (let size = message().length; size < bytes; size = message().length) {
    const missing = Math.max(1, Math.floor((bytes - size) / 700));
    for (let added = 0; added < missing; added++) {
      const n = tools.length;
      tools.push({
        name: `warehouse_tool_${n}`,
        title: `Warehouse tool ${n}`,
        description: `Looks up stock number ${n} in the warehouse and answers with its place, its amount and the date of the next delivery.`,
        inputSchema: {
          type: 'object',
          properties: {
            sku: { type: 'string', description: 'The stock keeping unit to look for' },
            depth: { type: 'integer', minimum: 0, maximum: 100, default: 10 },
            places: { type: 'array', items: { type: 'string', enum: ['north', 'south', 'east'] } },
          },
          required: ['sku'],
          additionalProperties: false,
        },
        annotations: { readOnlyHint: true, openWorldHint: false },
      });
    }
  }
  return message();
}

/** What is measured: label and text. The smallest is a call as a modern SDK client sends it. */
function messages(toy: boolean): [string, string][] {
  const small = JSON.stringify({
    method: 'tools/call',
    params: {
      name: 'add',
      arguments: { a: 17, b: 25, unit: 'kg' },
      _meta: { progressToken: 3, traceparent: '00-4bf9-00f0-01' },
    },
    jsonrpc: '2.0',
    id: 42,
  });
  const rows: [string, string][] = [[`tools/call ${small.length} B`, small]];
  for (const size of toy ? [KILO] : [KILO, 10 * KILO, 100 * KILO, KILO * KILO]) {
    const label = size < KILO * KILO ? `${size / KILO} KB` : `${size / KILO / KILO} MB`;
    rows.push([`tools/call, text ${label}`, textMessage(size)]);
    rows.push(
      [`tools/call, records ${label}`, callMessage(size)],
      [`tools/list ${label}`, listMessage(size)],
    );
  }
  return rows;
}

function scanTask(scanner: Scanner, bytes: Uint8Array, envelope: Int32Array): () => number {
  return () => scanner.scan(bytes, 0, bytes.length, envelope);
}

/** Measures every message; `toy` makes it a matter of milliseconds and of the smallest messages. */
export async function benchScan(options: { toy: boolean }): Promise<BenchResult> {
  const { scanner: addon, failure } = loadAddon();
  const portable = portableScanner();
  const decoder = new TextDecoder();
  const envelope = new Int32Array(ENVELOPE.length);
  const rows: BenchRow[] = [];
  let checksum = checksumOf('scan');
  for (const [name, text] of messages(options.toy)) {
    const bytes = encode(text);
    for (const scanner of addon === null ? [portable] : [portable, addon]) {
      if (scanTask(scanner, bytes, envelope)() !== SCAN.ok)
        throw new Error(`the ${scanner.name} scanner refuses ${name}`);
    }
    // Both scanners give the same envelope, so the checksum does not depend on whether there is an addon.
    checksum = checksumOf(envelope.join(), checksum);
    const tasks: Record<string, () => unknown> = {
      portable: scanTask(portable, bytes, envelope),
      parse: () => JSON.parse(decoder.decode(bytes)),
      parseText: () => JSON.parse(text),
    };
    if (addon !== null) tasks.addon = scanTask(addon, bytes, envelope);
    const calls = Math.max(1, Math.min(BATCH_CALLS_MAX, Math.floor(BATCH_BYTES / bytes.length)));
    const ns = await measureTasks(tasks, { calls, toy: options.toy });
    const {
      portable: portableNs = Number.NaN,
      parse = Number.NaN,
      parseText = Number.NaN,
      addon: addonNs,
    } = ns;
    rows.push({
      name,
      figures: {
        bytes: bytes.length,
        addonNs: addonNs ?? '-',
        portableNs,
        parseNs: parse,
        parseTextNs: parseText,
        parseOverAddon: addonNs === undefined ? '-' : parse / addonNs,
        parseTextOverAddon: addonNs === undefined ? '-' : parseText / addonNs,
        parseOverPortable: parse / portableNs,
      },
    });
  }
  const kernel = addon === null ? `no addon: ${failure}` : `addon on ${addon.kernel} (${addon.build})`;
  return {
    title: 'scan: one message, against JSON.parse',
    method: `${kernel}; best median of the rounds; parse = TextDecoder and JSON.parse of the same bytes, parseText = JSON.parse alone`,
    rows,
    checksum,
    published: [
      {
        what: 'SIMD JSON',
        theirs: '3.5 × standard parsing',
        ours: `${rows.map((row) => shownRatio(row.figures.parseOverAddon)).join(', ')} × JSON.parse, row by row`,
      },
    ],
  };
}

function shownRatio(value: number | string | undefined): string {
  return typeof value === 'number' ? value.toFixed(1) : '-';
}

if (import.meta.main) console.log(renderTable(await benchScan({ toy: process.argv.includes('--toy') })));
