// Makes the upstream of one server: the transport that its target wants, the way to its home in another worker, its breaker, its replicas.
// Called by worker.ts, once per server. Promises: nothing is connected or started before the first call.
import { BreakerCell } from '../memory/breaker-cell.ts';
import { PoolCell } from '../memory/cells.ts';
import { cellOffsetMs, type PlaneMemory } from '../memory/memory.ts';
import type { Ledger } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { withBreaker } from './breaker.ts';
import { createFetchUpstream } from './fetch.ts';
import { createHttpUpstream, type HttpUpstreamOptions } from './http.ts';
import { createPeerUpstream } from './peer.ts';
import type { PeerLink } from './peer-link.ts';
import { createReplicas, type MadeReplica, type ReplicaMaker } from './replicas.ts';
import type { HttpTarget, ServerSpec } from './spec.ts';
import { createSseUpstream, type SseUpstream, type SseUpstreamOptions } from './sse.ts';
import { createDetecting } from './sse-detect.ts';
import { createStdioUpstream } from './stdio.ts';
import type { Upstream } from './upstream.ts';

/** What all upstreams of one data plane have in common. */
export interface UpstreamParts {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly log: Log;
  readonly memory: PlaneMemory;
  /** Whose cells in the memory are this plane's. */
  readonly worker: number;
  /** To the other workers; null when there are none. */
  readonly link: PeerLink | null;
  /** Of the server that is made: hears what fails, and who has sessions and processes of it; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Tells another worker to look at its upstream of the server with this cell, see Upstream.nudged(). */
  nudge(worker: number, server: number): void;
  /** Told of an upstream that lives in this very worker while others reach it over the link. */
  onLocal(name: string, upstream: Upstream): void;
}

/** Makes the upstream of a server; `cells` are its own, by which other workers call it, and those of its further replicas. */
export function createUpstream(parts: UpstreamParts, spec: ServerSpec, cells: readonly number[]): Upstream {
  const [server = 0] = cells;
  const make: ReplicaMaker = (own, cell, onRecovered) => createOne(parts, own, { server, cell, onRecovered });
  if (spec.replicas === undefined || spec.replicas.length === 0)
    return make(spec, server, () => undefined).upstream;
  return createReplicas(parts, spec, cells, make);
}

/** One place of a server: which server, where the place's cells are, and who is told when its breaker has closed. */
interface Place {
  readonly server: number;
  readonly cell: number;
  onRecovered(nowMs: number): void;
}

function createOne(parts: UpstreamParts, spec: ServerSpec, place: Place): MadeReplica {
  const { memory, log, worker } = parts;
  const { clock } = parts.runtime;
  const pool = new PoolCell(memory, place.cell, worker);
  const upstream = createTransport(parts, spec, { ...place, pool });
  const load = (): number => pool.load();
  // Without a breaker it is one that opens only when an operator says so.
  const cell = new BreakerCell(memory, place.cell, worker, spec.breaker);
  const offsetMs = cellOffsetMs(memory, clock.wall(), clock.now());
  const guarded = withBreaker(upstream, {
    cell,
    clock,
    offsetMs,
    ledger: parts.ledger,
    onChange: (state) => log.warn('the breaker of a server changed', { server: spec.name, state }),
    onRecovered: (nowMs) => place.onRecovered(nowMs),
  });
  return { upstream: guarded, plain: upstream, load, refuses: (nowMs) => cell.refuses(nowMs + offsetMs) };
}

function createTransport(
  parts: UpstreamParts,
  spec: ServerSpec,
  { server, pool }: Pick<Place, 'server'> & { readonly pool: PoolCell },
): Upstream {
  const { runtime, scanner, link, sessionsMax, sessionIdleMs } = parts;
  const tools = {
    runtime,
    scanner,
    spec,
    log: parts.log.with({ server: spec.name }),
    ledger: parts.ledger,
    cell: pool,
    nudge: (to: number) => parts.nudge(to, server),
  };
  const { target } = spec;
  if (target.kind === 'http') return createHttp({ ...tools, sessionsMax, sessionIdleMs }, target);
  const local = createStdioUpstream({ ...tools, sessionsMax, sessionIdleMs });
  parts.onLocal(spec.name, local);
  if (link === null) return local;
  return createPeerUpstream({ link, local, sharesSessions: target.keep.sharing === 'shared' });
}

/** A server behind a URL, over whichever transport it speaks there. */
function createHttp(
  tools: HttpUpstreamOptions & Omit<SseUpstreamOptions, 'http'>,
  target: HttpTarget,
): Upstream {
  const http = target.client === 'fetch' ? createFetchUpstream(tools) : createHttpUpstream(tools);
  const { transport = 'streamable-http' } = target;
  if (transport === 'streamable-http') return http;
  const makeSse = (): SseUpstream => createSseUpstream({ ...tools, http });
  if (transport === 'sse') return makeSse();
  const { spec, scanner, log } = tools;
  return createDetecting({ spec, scanner, log, clock: tools.runtime.clock, http, makeSse });
}
