// Measures the scanners against JSON.parse on messages in the shape of tools/call and tools/list.
// Called by bench/run.ts and, at toy size, by the tests. Promises: every figure of a row is taken in the same run, in turns;
// the budgets of ARCHITECTURE.md are about the column `parseOverAddon`, which is JSON.parse of the same bytes, decoding included,
// since JSON.parse cannot read bytes. The stricter comparison with a text decoded beforehand stands beside it.
import { createRequire } from 'node:module';
import { encode } from '../../src/base/bytes.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import {
  type BenchResult,
  type BenchRow,
  checksumOf,
  type Plot,
  renderTable,
  skippedBench,
} from '../report.ts';
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

/** What the bench asks of the npm package `simdjson`, which reads texts, not bytes. */
interface NpmBinding {
  parse(text: string): unknown;
  lazyParse(text: string): { valueForKeyPath(path: string): unknown };
}

/** The package, which is optional: null where it was not built. */
function npmBinding(): NpmBinding | null {
  try {
    // its own declarations say as much
    return createRequire(import.meta.url)('simdjson') as NpmBinding;
  } catch {
    return null;
  }
}

function scanTask(scanner: Scanner, bytes: Uint8Array, envelope: Int32Array): () => number {
  return () => scanner.scan(bytes, 0, bytes.length, envelope);
}

/** Measures every message; `toy` makes it a matter of milliseconds and of the smallest messages. */
export async function benchScan(options: { toy: boolean }): Promise<BenchResult> {
  const { scanner: addon, failure } = loadAddon();
  const portable = portableScanner();
  const binding = npmBinding();
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
    if (binding !== null) {
      tasks.npmParse = () => binding.parse(decoder.decode(bytes));
      tasks.npmLazy = () => binding.lazyParse(decoder.decode(bytes)).valueForKeyPath('id');
    }
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
        npmParseNs: ns.npmParse ?? '-',
        npmLazyNs: ns.npmLazy ?? '-',
        parseOverAddon: addonNs === undefined ? '-' : parse / addonNs,
        parseTextOverAddon: addonNs === undefined ? '-' : parseText / addonNs,
        parseOverPortable: parse / portableNs,
      },
    });
  }
  const kernel = addon === null ? `no addon: ${failure}` : `addon on ${addon.kernel} (${addon.build})`;
  return {
    title: 'scan: one message, against JSON.parse',
    method: `${kernel}; best median of the rounds; parse = TextDecoder and JSON.parse of the same bytes, parseText = JSON.parse alone; npmParse, npmLazy = TextDecoder and the npm package simdjson, all values or only one`,
    rows,
    checksum,
    ...(binding === null && { notes: ['left out the npm package simdjson: it was not built here'] }),
    plots: options.toy ? [] : [plotOf(rows)],
    published: [
      {
        what: 'SIMD JSON',
        theirs: '3.5 × standard parsing',
        ours: `${rows.map((row) => shownRatio(row.figures.parseOverAddon)).join(', ')} × JSON.parse, row by row`,
        alternative: `npm simdjson, all values: ${rows.map(npmRatio).join(', ')} × JSON.parse`,
      },
    ],
  };
}

/** The npm package against JSON.parse of the same bytes. */
function npmRatio({ figures: { parseNs, npmParseNs } }: BenchRow): string {
  return typeof parseNs === 'number' && typeof npmParseNs === 'number'
    ? shownRatio(parseNs / npmParseNs)
    : '-';
}

/** Ratios over sizes, one curve a shape. */
function plotOf(rows: readonly BenchRow[]): Plot {
  const shapes = ['text', 'records', 'list'] as const;
  const sizes = [1_000, 10_000, 100_000, 1_000_000];
  const ratioAt = (shape: string, size: number): number | null => {
    const row = rows.find(
      ({ name, figures }) =>
        name.includes(shape) && Math.abs(Math.log10(Number(figures.bytes) / size)) < Math.log10(2),
    );
    const ratio = row?.figures.parseOverAddon;
    return typeof ratio === 'number' ? ratio : null;
  };
  return {
    title: 'scan: times as fast as JSON.parse of the same bytes',
    x: { label: 'bytes', values: sizes, log: true },
    y: { label: '×' },
    series: shapes.map((shape) => ({ name: shape, values: sizes.map((size) => ratioAt(shape, size)) })),
  };
}

/** Every kernel that this processor runs, on three messages. */
export async function benchKernels(options: { readonly toy: boolean }): Promise<BenchResult> {
  const title = 'scan: kernel by kernel';
  const { scanner, failure } = loadAddon();
  if (scanner === null) return skippedBench(title, `no addon: ${failure}`);
  const best = scanner.kernel;
  const envelope = new Int32Array(ENVELOPE.length);
  const rows: BenchRow[] = [];
  let checksum = checksumOf('kernels');
  try {
    for (const [name, text] of messages(options.toy).filter(([label]) => KERNEL_MESSAGES.test(label))) {
      const bytes = encode(text);
      const figures: Record<string, number> = { bytes: bytes.length };
      const calls = Math.max(1, Math.min(BATCH_CALLS_MAX, Math.floor(BATCH_BYTES / bytes.length)));
      for (const kernel of scanner.kernels) {
        if (!scanner.useKernel(kernel)) throw new Error(`the kernel ${kernel} cannot be used`);
        const task = scanTask(scanner, bytes, envelope);
        if (task() !== SCAN.ok) throw new Error(`the kernel ${kernel} refuses ${name}`);
        checksum = checksumOf(envelope.join(), checksum);
        const ns = await measureTasks({ task }, { calls, toy: options.toy });
        figures[`${kernel}Ns`] = ns.task ?? Number.NaN;
      }
      rows.push({ name, figures });
    }
  } finally {
    scanner.useKernel(best);
  }
  return {
    title,
    method: `the same addon, each kernel forced; ${best} is the one that is used; best median of the rounds`,
    rows,
    checksum,
  };
}

const KERNEL_MESSAGES = / \d+ B$|text 1 KB$|text 10 KB$|records 1 MB$/;

function shownRatio(value: number | string | undefined): string {
  return typeof value === 'number' ? value.toFixed(1) : '-';
}

if (import.meta.main) console.log(renderTable(await benchScan({ toy: process.argv.includes('--toy') })));
