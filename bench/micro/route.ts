// Routing one message: bytes in, scan, era and headers checked, the server told by the name; with few and with many servers.
// Called by bench/run.ts and, at toy size, by the tests. Promises: what is timed are the functions that the pipeline itself calls; the rival is
// what one would write without them: JSON.parse and a Map.
import { encode } from '../../src/base/bytes.ts';
import { classify, type MirroredHeaders } from '../../src/mcp/classify.ts';
import { text } from '../../src/mcp/envelope.ts';
import { joinName, splitName } from '../../src/mcp/names.ts';
import { META } from '../../src/mcp/protocol.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { type BenchResult, type BenchRow, checksumOf } from '../report.ts';
import { measureTasks } from './measure.ts';

const VERSION = '2026-07-28';
const CALLS = 200;

function serverNames(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `server-${n}`);
}

interface Message {
  readonly bytes: Uint8Array;
  readonly headers: MirroredHeaders;
}

function messageFor(name: string): Message {
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
  };
}

/** Index of the server that a message is for, -1 when it cannot be routed. */
function route(
  scanner: Scanner,
  names: readonly string[],
  { bytes, headers }: Message,
  envelope: Int32Array,
): number {
  if (scanner.scan(bytes, 0, bytes.length, envelope) !== SCAN.ok) return -1;
  if (typeof classify(bytes, envelope, headers) !== 'string') return -1;
  const full = text(bytes, envelope, ENVELOPE.name);
  return full === null ? -1 : (splitName(names, full)?.index ?? -1);
}

/** Only what the budget of ARCHITECTURE.md names: the scan, and the server by the name. */
function scanAndSplit(
  scanner: Scanner,
  names: readonly string[],
  { bytes }: Message,
  envelope: Int32Array,
): number {
  if (scanner.scan(bytes, 0, bytes.length, envelope) !== SCAN.ok) return -1;
  const full = text(bytes, envelope, ENVELOPE.name);
  return full === null ? -1 : (splitName(names, full)?.index ?? -1);
}

/** Measures it with 10, 1 000 and 10 000 servers. */
export async function benchRoute(options: { readonly toy: boolean }): Promise<BenchResult> {
  const { scanner: addon } = loadAddon();
  const scanner = addon ?? portableScanner();
  const envelope = new Int32Array(ENVELOPE.length);
  const decoder = new TextDecoder();
  const rows: BenchRow[] = [];
  let checksum = checksumOf('route');
  for (const count of options.toy ? [10] : [10, 1_000, 10_000]) {
    const names = serverNames(count);
    const wanted = Math.floor(count * 0.7);
    const message = messageFor(joinName(names[wanted] ?? '', 'add'));
    const byName = new Map(names.map((name, index) => [name, index]));
    const naive = (): number => {
      const parsed: { params: { name: string } } = JSON.parse(decoder.decode(message.bytes));
      const { name } = parsed.params;
      return byName.get(name.slice(0, name.indexOf('__'))) ?? -1;
    };
    const ours = (): number => route(scanner, names, message, envelope);
    if (ours() !== wanted || naive() !== wanted)
      throw new Error(`a message is routed to ${ours()}, not to ${wanted}`);
    checksum = checksumOf(`${count} ${ours()}`, checksum);
    const bare = (): number => scanAndSplit(scanner, names, message, envelope);
    const calls = count > 100 && !options.toy ? CALLS / 10 : CALLS;
    const ns = await measureTasks({ ours, bare, naive }, { calls, toy: options.toy });
    rows.push({
      name: `${count} servers`,
      figures: {
        bytes: message.bytes.length,
        routeNs: ns.ours ?? Number.NaN,
        scanAndNameNs: ns.bare ?? Number.NaN,
        parseAndMapNs: ns.naive ?? Number.NaN,
        'messages/s': 1e9 / (ns.ours ?? Number.NaN),
      },
    });
  }
  const single = rows[0]?.figures.routeNs;
  return {
    title: 'route: one message to its server',
    method: `scan (${scanner.name}), era and mirrored headers checked, name split; best median of the rounds; scanAndName = without era and headers; parseAndMap = TextDecoder, JSON.parse, Map of servers, no checks`,
    rows,
    checksum,
    published: [
      {
        what: 'message routing, single',
        theirs: '1.18 µs (847,000 messages/s)',
        ours:
          typeof single === 'number' ? `${(single / 1000).toFixed(2)} µs with 10 servers` : 'not measured',
      },
    ],
  };
}
