// Makes the upstream of one server: the transport that its target wants, the way to its home in another worker, its breaker.
// Called by worker.ts, once per server. Promises: nothing is connected or started before the first call.
import { BreakerCell } from '../memory/breaker-cell.ts';
import { PoolCell } from '../memory/cells.ts';
import { cellOffsetMs, type PlaneMemory } from '../memory/memory.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { withBreaker } from './breaker.ts';
import { createFetchUpstream } from './fetch.ts';
import { createHttpUpstream } from './http.ts';
import { createPeerUpstream } from './peer.ts';
import type { PeerLink } from './peer-link.ts';
import type { ServerSpec } from './spec.ts';
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
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Tells another worker to look at its upstream of this server, see Upstream.nudged(). */
  nudge(worker: number, server: number): void;
  /** Told of an upstream that lives in this very worker while others reach it over the link. */
  onLocal(name: string, upstream: Upstream): void;
}

/** Makes the upstream of a server; `server` is its index in the snapshot. */
export function createUpstream(parts: UpstreamParts, spec: ServerSpec, server: number): Upstream {
  const upstream = createTransport(parts, spec, server);
  if (spec.breaker === null) return upstream;
  const { memory, log } = parts;
  const { clock } = parts.runtime;
  return withBreaker(upstream, {
    cell: new BreakerCell(memory, server, parts.worker, spec.breaker),
    clock,
    offsetMs: cellOffsetMs(memory, clock.wall(), clock.now()),
    onChange: (state) => log.warn('the breaker of a server changed', { server: spec.name, state }),
  });
}

function createTransport(parts: UpstreamParts, spec: ServerSpec, server: number): Upstream {
  const { runtime, scanner, memory, worker, link, sessionsMax, sessionIdleMs } = parts;
  const tools = {
    runtime,
    scanner,
    spec,
    log: parts.log.with({ server: spec.name }),
    cell: new PoolCell(memory, server, worker),
    nudge: (to: number) => parts.nudge(to, server),
  };
  const { target } = spec;
  if (target.kind === 'http')
    return target.client === 'fetch' ? createFetchUpstream(tools) : createHttpUpstream(tools);
  const local = createStdioUpstream({ ...tools, sessionsMax, sessionIdleMs });
  parts.onLocal(spec.name, local);
  return link === null ? local : createPeerUpstream({ link, local });
}
