// One thread of the bench of route readers: looks names up for a while, in the shared table or in a Map that control posts.
// Called as a Worker by route-readers.ts. Promises: counts only what it has found; looks at its messages between batches, whichever way it reads.
import { encode } from '../../src/base/bytes.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, ROUTE_KIND } from '../../src/scan/contract.ts';
import { ownerOf, RouteLookup } from '../../src/scan/lookup.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { toolName } from './route.ts';

/** How a thread reads. */
export type ReadWay = 'table' | 'message' | 'map';

/** What a thread is told. */
export interface ReadOrder {
  readonly way: ReadWay;
  readonly table: SharedArrayBuffer;
  /** Word 0: threads that are ready; word 1: 1 from the start of the clock, 2 when time is up; word 2: Maps taken. */
  readonly signals: SharedArrayBuffer;
  readonly names: number;
}

/** What it answers. */
export interface ReadReport {
  readonly reads: number;
  readonly missed: number;
  readonly ms: number;
}

const BATCH = 1_024;

declare const self: Worker;

let map: ReadonlyMap<string, number> = new Map();
let taken: Int32Array | null = null;

function reader({ way, table, names }: ReadOrder): (name: number) => number {
  if (way === 'map') {
    const texts = Array.from({ length: names }, (_, name) => toolName(name));
    return (name) => map.get(texts[name] ?? '') ?? -1;
  }
  if (way === 'table') {
    const lookup = new RouteLookup(table);
    const texts = Array.from({ length: names }, (_, name) => encode(toolName(name)));
    const owner = ownerOf(0, ROUTE_KIND.name);
    return (name) => {
      const text = texts[name];
      return text !== undefined && lookup.find(owner, text, 0, text.length) ? lookup.upstream : -1;
    };
  }
  const scan = (loadAddon().scanner ?? portableScanner()).withRoutes(table);
  const envelope = new Int32Array(ENVELOPE.length);
  const messages = Array.from({ length: names }, (_, name) =>
    encode(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${toolName(name)}"}}`),
  );
  return (name) => {
    const message = messages[name];
    if (message !== undefined) scan.scan(message, envelope, 0);
    return envelope[ENVELOPE.route] ?? -1;
  };
}

async function read(order: ReadOrder): Promise<void> {
  const signals = new Int32Array(order.signals);
  // The first Map came before the order.
  taken = signals;
  if (map.size > 0) Atomics.add(signals, 2, 1);
  const find = reader(order);
  let at = 1;
  let missed = 0;
  const batch = (): void => {
    for (let i = 0; i < BATCH; i++) {
      at = (Math.imul(at, 1_664_525) + 1_013_904_223) | 0;
      if (find((at >>> 8) % order.names) < 0) missed++;
    }
  };
  for (let i = 0; i < 50; i++) batch();
  Atomics.add(signals, 0, 1);
  while (Atomics.load(signals, 1) === 0) await Bun.sleep(0);
  missed = 0;
  let reads = 0;
  const startMs = performance.now();
  while (Atomics.load(signals, 1) === 1) {
    batch();
    reads += BATCH;
    // A turn of the event loop, as between two requests.
    if (reads % (16 * BATCH) === 0) await Bun.sleep(0);
  }
  const report: ReadReport = { reads, missed, ms: performance.now() - startMs };
  self.postMessage(report);
}

if (!Bun.isMainThread)
  self.onmessage = ({ data }: MessageEvent<ReadOrder | ReadonlyMap<string, number>>) => {
    if (data instanceof Map) {
      map = data;
      if (taken !== null) Atomics.add(taken, 2, 1);
    }
    // only the bench posts here: a Map or the order
    else void read(data as ReadOrder);
  };
