// Whether the gateway is alive, and whether it is ready: what it answers to those who ask (load balancers, Kubernetes).
// Called by http.ts (/healthz and /readyz of the data listener) and gateway/survey.ts (the same checks, for operators). Promises: reads the shared memory only, so that
// every worker says the same and none waits for another; what it says to anybody holds names and error codes, no addresses and no words of servers.
import { encode } from '../base/bytes.ts';
import { ERRORS } from '../base/errors.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import { isUsable, readRollCall } from '../memory/required.ts';
import { lifeOf } from '../memory/workers.ts';
import type { Reply } from '../runtime/runtime.ts';
import type { Snapshot } from '../snapshot.ts';
import { cellsInOrder } from '../upstream/spec.ts';

/** One thing without which the gateway is not ready. */
export interface ReadinessCheck {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

const HEADERS = Object.freeze({ 'content-type': 'application/json', 'cache-control': 'no-store' });
const ALIVE = encode('{"status":"ok"}');

/** Answers for one worker. */
export class Readiness {
  readonly #memory: PlaneMemory | null;
  #snapshot: Snapshot;

  /** `memory` null: nothing but draining can keep it from being ready. */
  constructor(memory: PlaneMemory | null, snapshot: Snapshot) {
    this.#memory = memory;
    this.#snapshot = snapshot;
  }

  /** From now on this snapshot counts. */
  use(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
  }

  /** The reply at a path, null when it is none of these. */
  reply(path: string, isDraining: boolean): Reply | null {
    if (path === '/healthz') return { status: 200, headers: HEADERS, body: ALIVE };
    if (path !== '/readyz') return null;
    const memory = this.#memory;
    const snapshot = this.#snapshot;
    const checks: ReadinessCheck[] = [
      { check: 'listener', ok: !isDraining, detail: isDraining ? 'the gateway is ending' : '' },
      snapshotCheck(snapshot),
      ...(memory === null ? [] : [startCheck(memory), ...serverChecks(memory, snapshot)]),
    ];
    const isReady = checks.every(({ ok }) => ok);
    const status = isReady ? 'ok' : isDraining ? 'draining' : 'unready';
    const body = encode(JSON.stringify({ status, checks }));
    const headers = isReady ? HEADERS : { ...HEADERS, 'retry-after': '1' };
    return { status: isReady ? 200 : 503, headers, body };
  }
}

/** Which snapshot is in force. */
export function snapshotCheck({ epoch, servers }: Snapshot): ReadinessCheck {
  return { check: 'snapshot', ok: true, detail: `epoch ${epoch}, ${servers.length} servers` };
}

/** Not before all data workers have begun to serve for the first time; one that dies later leaves the others. */
function startCheck(memory: PlaneMemory): ReadinessCheck {
  const { workers } = memory.plan;
  let starting = 0;
  for (let worker = 0; worker < workers; worker++) {
    const { generation, state } = lifeOf(memory, worker);
    if (generation === 1 && state === 'starting') starting++;
  }
  const detail = starting === 0 ? '' : `${starting} of ${workers} are starting`;
  return { check: 'workers', ok: starting === 0, detail };
}

/** One for each server that is required, in the snapshot's order. */
export function serverChecks(memory: PlaneMemory, snapshot: Snapshot): readonly ReadinessCheck[] {
  if (!snapshot.servers.some(({ required }) => required === true)) return [];
  const cells = snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
  return snapshot.servers.flatMap(({ name, required, replication }, at): readonly ReadinessCheck[] => {
    if (required !== true) return [];
    const own = cells[at] ?? [];
    const places = own.filter((_, index) => replication?.weights[index] !== 0);
    const { hasAnswered, lastFault } = readRollCall(memory, own[0] ?? 0);
    const check = `server ${name}`;
    const fault = lastFault === null ? '' : ` (${lastFault}: ${ERRORS[lastFault].message})`;
    if (!hasAnswered) return [{ check, ok: false, detail: `it has not answered yet${fault}` }];
    if (places.some((cell) => isUsable(memory, cell))) return [{ check, ok: true, detail: '' }];
    const where =
      places.length === 1 ? 'its breaker is open' : `none of its ${places.length} places is in use`;
    return [{ check, ok: false, detail: where + fault }];
  });
}
