// One thread of route-threads.test.ts: looks names up while the table is published anew, and checks each answer against its publication.
// Called as a Worker. Promises: every answer is checked, by both ways to look up; ends when it has looked up often enough and has seen enough
// publications, or when it is told that time is up.
import { ROUTE_HEAD } from '../../src/memory/route-layout.ts';
import type { RouteEntry } from '../../src/route/table.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, ROUTE, ROUTE_KIND, type RouteScan, SCAN } from '../../src/scan/contract.ts';
import { ownerOf, RouteLookup } from '../../src/scan/lookup.ts';
import { portableScanner } from '../../src/scan/portable.ts';

/** What a thread is told. */
export interface LookOrder {
  readonly table: SharedArrayBuffer;
  /** Word 0: threads that have ended; word 1: 1 when time is up. */
  readonly signals: SharedArrayBuffer;
  readonly names: number;
  readonly lookUps: number;
  readonly publicationsMin: number;
  readonly seed: number;
}

/** What it answers. */
export interface LookReport {
  readonly lookUps: number;
  readonly publications: number;
  readonly faults: readonly string[];
  readonly scanners: readonly string[];
}

/** Names of a publication leave some out, and say in the answer which publication and which name they are of. */
const GENERATIONS = 1 << 16;

/** Whether a name is left out of a publication. */
export function isMissing(name: number, epoch: number): boolean {
  return (name + epoch) % 7 === 0;
}

/** What a publication answers for a name. */
export function answerOf(name: number, epoch: number): number {
  return (epoch % GENERATIONS) * (1 << 14) + name;
}

/** A name as clients spell it. Odd ones are prefixes in the table, even ones whole. */
export function spell(name: number): string {
  return name % 2 === 0 ? `server-${name % 97}__tool_${name}` : `srv-${name}__tool`;
}

/** Entries of a publication, in an order and with gaps of its own, so that nothing stays at its place. */
export function entriesOf(names: number, epoch: number): RouteEntry[] {
  const entries: RouteEntry[] = [];
  for (let i = 0; i < names; i++) {
    const name = (i * 7 + epoch * 13) % names;
    const entry = { endpoint: 3, kind: 'name', upstream: answerOf(name, epoch) } as const;
    if (isMissing(name, epoch)) continue;
    if (name % 2 === 0) entries.push({ ...entry, match: 'exact', text: spell(name), strip: epoch % 5 });
    else entries.push({ ...entry, match: 'prefix', text: `srv-${name}__` });
  }
  // Records of another length at the front move all that follow.
  entries.unshift({ endpoint: 0, kind: 'uri', match: 'exact', text: 'x'.repeat(epoch % 29), upstream: 0 });
  return entries;
}

declare const self: Worker;

interface Answer {
  upstream: number;
  strip: number;
  epoch: number;
}

/** The ways to look a name up. */
function waysTo(
  table: SharedArrayBuffer,
): { label: string; ask(name: Uint8Array, message: Uint8Array): Answer }[] {
  const lookup = new RouteLookup(table);
  const envelope = new Int32Array(ENVELOPE.length);
  const answer: Answer = { upstream: 0, strip: 0, epoch: 0 };
  const scanning = (scan: RouteScan) => (_name: Uint8Array, message: Uint8Array) => {
    if (scan.scan(message, envelope, 3) !== SCAN.ok) throw new Error('the message does not scan');
    answer.upstream = envelope[ENVELOPE.route] ?? 0;
    answer.strip = envelope[ENVELOPE.routeStrip] ?? 0;
    answer.epoch = envelope[ENVELOPE.routeEpoch] ?? 0;
    return answer;
  };
  const ways = [
    {
      label: 'look-up',
      ask: (name: Uint8Array) => {
        answer.upstream = lookup.find(ownerOf(3, ROUTE_KIND.name), name, 0, name.length)
          ? lookup.upstream
          : ROUTE.unknown;
        answer.strip = lookup.strip;
        answer.epoch = lookup.epoch;
        return answer;
      },
    },
    { label: 'portable', ask: scanning(portableScanner().withRoutes(table)) },
  ];
  const { scanner } = loadAddon();
  // Most of the look-ups are the addon's, where there is one.
  if (scanner !== null)
    for (let i = 0; i < 3; i++) ways.push({ label: 'addon', ask: scanning(scanner.withRoutes(table)) });
  return ways;
}

function judge(name: number, { upstream, strip, epoch }: Answer, before: number): string | null {
  if (epoch < before) return `${spell(name)}: publication ${epoch}, but ${before} was in force before`;
  if (epoch === 0) return upstream === ROUTE.unknown ? null : `${spell(name)}: found in an empty table`;
  const wanted = isMissing(name, epoch) ? ROUTE.unknown : answerOf(name, epoch);
  if (upstream !== wanted) return `${spell(name)}: ${upstream} in publication ${epoch}, not ${wanted}`;
  const front = name % 2 === 0 ? epoch % 5 : `srv-${name}__`.length;
  return upstream === ROUTE.unknown || strip === front
    ? null
    : `${spell(name)}: strips ${strip}, not ${front}`;
}

function look(order: LookOrder): LookReport {
  const words = new Int32Array(order.table);
  const signals = new Int32Array(order.signals);
  const ways = waysTo(order.table);
  const encoder = new TextEncoder();
  const names = Array.from({ length: order.names }, (_, name) => encoder.encode(spell(name)));
  const messages = Array.from({ length: order.names }, (_, name) =>
    encoder.encode(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${spell(name)}"}}`),
  );
  const faults: string[] = [];
  let lookUps = 0;
  let publications = 0;
  let last = -1;
  let at = order.seed;
  while (lookUps < order.lookUps || publications < order.publicationsMin) {
    if ((lookUps & 1023) === 0 && Atomics.load(signals, 1) === 1) break;
    at = (Math.imul(at, 1_664_525) + 1_013_904_223) | 0;
    const name = (at >>> 8) % order.names;
    const way = ways[lookUps % ways.length];
    const before = Atomics.load(words, ROUTE_HEAD.epoch);
    const answer = way?.ask(names[name] ?? new Uint8Array(0), messages[name] ?? new Uint8Array(0));
    const fault = answer === undefined ? 'no answer' : judge(name, answer, before);
    if (fault !== null && faults.length < 10) faults.push(`${way?.label}: ${fault}`);
    if (answer !== undefined && answer.epoch !== last) {
      last = answer.epoch;
      publications++;
    }
    lookUps++;
  }
  return { lookUps, publications, faults, scanners: ways.map(({ label }) => label) };
}

// Imported by the test for its names as well.
if (!Bun.isMainThread)
  self.onmessage = ({ data }: MessageEvent<LookOrder>) => {
    const report = look(data);
    Atomics.add(new Int32Array(data.signals), 0, 1);
    self.postMessage(report);
  };
