// The replicas of one server: made, watched, asked whether they are up, compared with each other, and put together as one upstream.
// Called by create.ts for servers with several. Promises: nothing is connected before the first request, but for questions whether a replica is up, which begin
// with the server; those, and the comparison, are one worker's; what it finds counts for all.
import { must } from '../base/assert.ts';
import { soloCell } from '../memory/cells.ts';
import { cellOffsetMs, type PlaneMemory } from '../memory/memory.ts';
import { ReplicaCell } from '../memory/replica-cell.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { type Replica, withReplicas } from './balance.ts';
import { createFetchUpstream } from './fetch.ts';
import { createHttpUpstream } from './http.ts';
import { OutlierJudge } from './outliers.ts';
import { homeOf } from './peer.ts';
import { Prober } from './probes.ts';
import { withWatch } from './replica-watch.ts';
import type { HttpTarget, ReplicationSpec, ServerSpec } from './spec.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';

/** What the replicas of one server take of their data plane. */
export interface ReplicaParts {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly log: Log;
  readonly memory: PlaneMemory;
  readonly worker: number;
}

/** A replica with its breaker, and without. */
export interface MadeReplica extends Pick<Replica, 'upstream' | 'load' | 'refuses'> {
  readonly plain: Upstream;
}

/** Makes one, by the spec of the server with the replica's own target; `onRecovered` hears when its breaker has closed. */
export type ReplicaMaker = (
  spec: ServerSpec,
  cell: number,
  onRecovered: (nowMs: number) => void,
) => MadeReplica;

/** What all places of one server have in common. */
interface Common extends ReplicaParts {
  readonly spec: ServerSpec;
  /** Left out where nothing is said of them. */
  readonly settings: ReplicationSpec | undefined;
  /** Added to the clock's now() it gives ms since the memory was made. */
  readonly offsetMs: number;
}

/** Makes the upstream of a server with several places; `cells` are those of the places, in their order. */
export function createReplicas(
  parts: ReplicaParts,
  spec: ServerSpec,
  cells: readonly number[],
  make: ReplicaMaker,
): Upstream {
  const { clock, random } = parts.runtime;
  const { target, replicas = [], replication } = spec;
  const first = must(target.kind === 'http' ? target : null, 'replicas are places');
  const common: Common = {
    ...parts,
    log: parts.log.with({ server: spec.name }),
    spec,
    settings: replication,
    offsetMs: cellOffsetMs(parts.memory, clock.wall(), clock.now()),
  };
  const places = [first, ...replicas].map(
    (own, index): Place => ({
      target: own,
      cell: new ReplicaCell(parts.memory, must(cells[index], 'a cell of a replica'), parts.worker),
      cellIndex: cells[index] ?? 0,
      weight: replication?.weights[index],
      name: nameOf(own),
    }),
  );
  const made = places.map((place) => createReplica(common, place, make));
  const companions = [...made.flatMap(({ prober }) => prober ?? []), ...judges(common, places)];
  return withReplicas(
    made.map(({ replica }) => replica),
    {
      ...{ clock, random, scanner: parts.scanner, companions },
      ...(replication !== undefined && { balance: replication.balance }),
    },
  );
}

/** One place of the server. */
interface Place {
  readonly target: HttpTarget;
  readonly cell: ReplicaCell;
  readonly cellIndex: number;
  readonly weight: number | undefined;
  readonly name: string;
}

/** Where it is: for the log, and what hashing knows it by. */
function nameOf({ url, unixPath }: HttpTarget): string {
  return unixPath === null ? url : `${url} ${unixPath}`;
}

function createReplica(
  common: Common,
  place: Place,
  make: ReplicaMaker,
): { readonly replica: Replica; readonly prober: Prober | null } {
  const { spec, settings, offsetMs, runtime } = common;
  const { cell, cellIndex, name, weight, target } = place;
  const slowStartMs = settings?.balance.slowStartMs ?? 0;
  const made = make({ ...spec, target }, cellIndex, (nowMs) => cell.recovered(nowMs));
  const prober = createProber(common, place, made.plain);
  const { upstream } = made;
  const replica: Replica = {
    name,
    ...(weight !== undefined && { weight }),
    upstream: settings?.outliers ? withWatch(upstream, cell, runtime.clock) : upstream,
    load: made.load,
    refuses: made.refuses,
    standing: (nowMs) => cell.standing(nowMs + offsetMs, slowStartMs),
    ...(prober !== null && { onSession: (request: UpstreamRequest) => prober.noteSession(request) }),
  };
  return { replica, prober };
}

/** Asks the replica, when it is this worker that does. */
function createProber(common: Common, place: Place, shared: Upstream): Prober | null {
  const { settings, spec, memory, worker, runtime, scanner, offsetMs, log } = common;
  const health = settings?.health ?? null;
  if (health === null || homeOf(`${spec.name} ${place.name}`, memory.plan.workers) !== worker) return null;
  const { timeoutMs } = health;
  const own = {
    ...{ ...spec, target: { ...place.target, connectionsMax: 1 } },
    ...{ connectTimeoutMs: timeoutMs, firstByteTimeoutMs: timeoutMs },
    ...{ replyIdleTimeoutMs: timeoutMs, totalTimeoutMs: timeoutMs, queueDepthMax: 1 },
  };
  const create = place.target.client === 'fetch' ? createFetchUpstream : createHttpUpstream;
  return new Prober({
    name: place.name,
    settings: health,
    era: spec.era,
    cell: place.cell,
    own: create({ runtime, scanner, spec: own, log, cell: soloCell() }),
    shared,
    clock: runtime.clock,
    random: runtime.random,
    scanner,
    offsetMs,
    log,
  });
}

/** Compares the replicas, when it is this worker that does. */
function judges(common: Common, places: readonly Place[]): readonly OutlierJudge[] {
  const { settings, spec, memory, worker, runtime, offsetMs, log } = common;
  const outliers = settings?.outliers ?? null;
  if (outliers === null || homeOf(spec.name, memory.plan.workers) !== worker) return [];
  const { clock } = runtime;
  return [new OutlierJudge({ suspects: places, settings: outliers, clock, offsetMs, log })];
}
