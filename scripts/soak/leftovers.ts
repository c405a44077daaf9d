// What is left when all clients have gone and every idle time has passed: nothing, or it leaks.
// Called by run.ts. Promises: waits as long as idle times need, and no longer than told; asks the servers themselves, not the gateway.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { commandOf, treeOf } from '../../bench/macro/target.ts';
import type { Place } from './places.ts';
import { LegacyClient, modern } from './rpc.ts';
import type { Look } from './watch.ts';
import { lookAt } from './watch.ts';

/** What is still there. */
export interface Leftovers {
  /** Legacy sessions open at healthy servers over HTTP. */
  readonly sessions: number;
  /** Calls that these are still working on, or that wait for their clients' answers. */
  readonly calls: number;
  /** Processes of the gateway beyond those it began with, and beyond one for each worker that ends its children should it die. */
  readonly children: number;
  /** Open handles beyond those it began with, and beyond the connections that clients keep open. */
  readonly handles: number;
  /** What those processes and handles are, for people. */
  readonly what: readonly string[];
}

/** Handles that come with the first use of a thing and stay: a poll for each thread, a pipe to what ends its children should it die. */
const HANDLES_SPARE = 16;
const LOOK_EVERY_MS = 500;

/** True when nothing is left that matters. */
export function isClean(left: Leftovers): boolean {
  return left.sessions === 0 && left.calls === 0 && left.children === 0 && left.handles <= HANDLES_SPARE;
}

/** Where to look: the servers, the gateway's process and port, what it was like at first, and its workers. */
export interface Remains {
  readonly places: readonly Place[];
  readonly pid: number;
  readonly port: number;
  readonly before: Look;
  readonly workers: number;
}

/** Waits until nothing is left, at most so long; tells what is left then. */
export async function awaitLeftovers(remains: Remains, ms: number): Promise<Leftovers> {
  const until = performance.now() + ms;
  for (;;) {
    const left = await look(remains);
    if (isClean(left) || performance.now() > until) return left;
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

async function look({ places, pid, port, before, workers }: Remains): Promise<Leftovers> {
  let sessions = 0;
  let calls = 0;
  const where: string[] = [];
  for (const place of places) {
    const { kind, directUrl, health } = place;
    // A fault may keep a session's id from ever reaching the gateway; and HTTP+SSE is not spoken here.
    if (kind !== 'fixture' || directUrl === null || health === 'faulty' || directUrl.endsWith('/sse'))
      continue;
    const stats = await statsOf(directUrl, place.era === 'legacy');
    sessions += stats.sessions;
    calls += stats.calls;
    if (stats.sessions + stats.calls > 0)
      where.push(`at ${place.name}: ${stats.sessions} sessions, ${stats.calls} calls`);
  }
  const now = lookAt(pid, 0);
  const what = [...where, ...commandsOf(pid), ...handleKinds(pid)];
  return {
    what,
    sessions,
    calls,
    children: Math.max(0, now.children - before.children - workers),
    handles: now.handles - before.handles - keptByClients(port),
  };
}

/** What a fixture counts of itself; the session that asks it is not among them. */
async function statsOf(url: string, isLegacy: boolean): Promise<{ sessions: number; calls: number }> {
  const params = { name: 'stats', arguments: {} };
  const client = isLegacy ? new LegacyClient(url) : null;
  await client?.begin();
  const result =
    client === null ? await modern(url, 'tools/call', params) : await client.request('tools/call', params);
  await client?.end(false);
  // The fixture's tool says so.
  const { sessionsOpen, calls } = result.structuredContent as {
    sessionsOpen: number;
    calls: Record<string, { started: number; finished: number; cancelled: number }>;
  };
  const running = Object.values(calls).reduce(
    (sum, { started, finished, cancelled }) => sum + started - finished - cancelled,
    0,
  );
  return { sessions: sessionsOpen - (client === null ? 0 : 1), calls: running };
}

/** Connections to a port of this machine that neither side has closed, as the server of them sees it. */
function keptByClients(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'latin1').trim().split('\n').slice(1);
  // The fields: number, own address, the other's, state (01: established).
  return lines.filter((line) => {
    const [, own = '', , state] = line.trim().split(/\s+/);
    return own.endsWith(local) && state === '01';
  }).length;
}

/** Commands of all that descends from a process. */
function commandsOf(pid: number): string[] {
  return treeOf(pid)
    .slice(1)
    .map((child) => commandOf(child).slice(-60));
}

/** Open handles of a process by their kind, as `12 socket`. */
function handleKinds(pid: number): string[] {
  const counts = new Map<string, number>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = targetOf(`/proc/${pid}/fd/${fd}`).replace(/:?\[?\d+\]?$/, '');
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${count} ${kind}`);
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // It was closed in the meantime.
    return 'closed';
  }
}
