// Routing one message: bytes in, scan and look-up in one call, era and headers checked; with few and with very many names.
// Called by bench/run.ts and, at toy size, by the tests. Promises: what is timed are the functions that the pipeline itself calls; messages take
// turns, so that no branch is learned by heart; the rival is what one would write without them: JSON.parse and a Map.
import { encode } from '../../src/base/bytes.ts';
import { classify, type MirroredHeaders } from '../../src/mcp/classify.ts';
import { META } from '../../src/mcp/protocol.ts';
import { type RouteEntry, RouteTable } from '../../src/route/table.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, type RouteScan, SCAN } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { type BenchResult, type BenchRow, checksumOf } from '../report.ts';
import { measureTasks } from './measure.ts';

const VERSION = '2026-07-28';
const CALLS = 256;
/** Different messages of one row; a power of two. */
const MESSAGES = 64;
const ENDPOINT = 0;

interface Message {
  readonly bytes: Uint8Array;
  readonly headers: MirroredHeaders;
  readonly wanted: number;
}

/** Names of tools as an aggregate has them, all of one length, so that rows differ in their number alone. */
export function toolName(index: number): string {
  return `server-${index % 97}__tool_${String(index).padStart(6, '0')}`;
}

/** A table of so many tools. */
export function toolTable(count: number): RouteTable {
  const table = RouteTable.create(count, count * toolName(96).length);
  if (!table.publish(toolEntries(count))) throw new Error(`${count} names do not fit in their table`);
  return table;
}

/** The entries of so many tools. */
export function toolEntries(count: number): RouteEntry[] {
  return Array.from({ length: count }, (_, index): RouteEntry => {
    const text = toolName(index);
    const entry = { endpoint: ENDPOINT, kind: 'name', match: 'exact' } as const;
    return { ...entry, text, upstream: index, strip: text.indexOf('__') + 2 };
  });
}

function messageFor(index: number): Message {
  const name = toolName(index);
  const body = {
    method: 'tools/call',
    params: {
      name,
      arguments: { a: 17, b: 25, unit: 'kg' },
      _meta: {
        [META.protocolVersion]: VERSION,
        [META.clientInfo]: { name: 'bench', version: '1' },
        [META.clientCapabilities]: {},
      },
    },
    jsonrpc: '2.0',
    id: 42,
  };
  return {
    bytes: encode(JSON.stringify(body)),
    headers: { protocolVersion: VERSION, mcpMethod: 'tools/call', mcpName: name },
    wanted: index,
  };
}

/** Upstream of a message, -1 when it cannot be routed: what the budget of ARCHITECTURE.md names. */
function scanned(scan: RouteScan, { bytes }: Message, envelope: Int32Array): number {
  return scan.scan(bytes, envelope, ENDPOINT) === SCAN.ok ? (envelope[ENVELOPE.route] ?? -1) : -1;
}

/** The same, with era and headers checked: all that the pipeline does before it sends. */
function routed(scan: RouteScan, message: Message, envelope: Int32Array): number {
  const upstream = scanned(scan, message, envelope);
  return typeof classify(message.bytes, envelope, message.headers) === 'string' ? upstream : -1;
}

/** Measures one number of names. */
async function measureRow(count: number, toy: boolean): Promise<{ row: BenchRow; checksum: number }> {
  const { memory } = toolTable(count);
  const { scanner } = loadAddon();
  const portable = portableScanner().withRoutes(memory);
  const best = scanner?.withRoutes(memory) ?? portable;
  const envelope = new Int32Array(ENVELOPE.length);
  const decoder = new TextDecoder();
  // Spread over the whole table, in no order that a cache could guess.
  const messages = Array.from({ length: MESSAGES }, (_, n) => messageFor((n * 15_485_863 + 7) % count));
  const byName = new Map(Array.from({ length: count }, (_, index) => [toolName(index), index]));
  const naive = ({ bytes }: Message): number => {
    const parsed: { params: { name: string } } = JSON.parse(decoder.decode(bytes));
    return byName.get(parsed.params.name) ?? -1;
  };
  let turn = 0;
  const inTurn = (work: (message: Message) => number) => (): number =>
    // the mask keeps it within the array
    work(messages[turn++ & (MESSAGES - 1)] as Message);
  const tasks = {
    route: inTurn((message) => routed(best, message, envelope)),
    scanAndName: inTurn((message) => scanned(best, message, envelope)),
    portable: inTurn((message) => scanned(portable, message, envelope)),
    naive: inTurn(naive),
  };
  let sum = 0;
  for (const message of messages) {
    for (const found of [
      routed(best, message, envelope),
      scanned(portable, message, envelope),
      naive(message),
    ])
      if (found !== message.wanted) throw new Error(`a message for ${message.wanted} is routed to ${found}`);
    sum += message.wanted;
  }
  const ns = await measureTasks(tasks, { calls: CALLS, toy });
  const figures = {
    bytes: messages[0]?.bytes.length ?? 0,
    routeNs: ns.route ?? Number.NaN,
    scanAndNameNs: ns.scanAndName ?? Number.NaN,
    portableNs: ns.portable ?? Number.NaN,
    parseAndMapNs: ns.naive ?? Number.NaN,
    'messages/s': 1e9 / (ns.route ?? Number.NaN),
    tableMB: memory.byteLength / 1e6,
  };
  return { row: { name: `${count} names`, figures }, checksum: checksumOf(`${count} ${sum}`) };
}

/** Measures it with 10 to 1 000 000 names. */
export async function benchRoute(options: { readonly toy: boolean }): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  let checksum = checksumOf('route');
  for (const count of options.toy ? [10] : [10, 1_000, 10_000, 1_000_000]) {
    const measured = await measureRow(count, options.toy);
    rows.push(measured.row);
    checksum = checksumOf(String(measured.checksum), checksum);
  }
  const single = rows[0]?.figures.routeNs;
  const name = loadAddon().scanner?.name ?? 'portable';
  return {
    title: 'route: one message to its server',
    method: `scanAndName: scan and look-up in one call (${name}); route: with era and mirrored headers checked; best median of the rounds; ${MESSAGES} messages take turns; parseAndMap = TextDecoder, JSON.parse, Map of names, no checks`,
    rows,
    checksum,
    published: [
      {
        what: 'message routing, single',
        theirs: '1.18 µs (847,000 messages/s)',
        ours: typeof single === 'number' ? `${(single / 1000).toFixed(2)} µs with 10 names` : 'not measured',
      },
    ],
  };
}
