// Whether one more exchange may come: how many there are, of one endpoint and of one principal too, and how far behind its events the worker is.
// Called by http.ts. Promises: judged before a body is read; counts only what is bounded; no timer runs in a worker that is not watched or has nothing to do.
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { FrontSpec } from '../snapshot.ts';

/** Between two looks at the lag while requests come. */
const LOOK_MS = 10;

/** Counts by endpoint and by principal, and a look at the clock. */
export class Crowd {
  readonly #clock: Clock;
  #front: FrontSpec;
  #ofEndpoint = new Map<string, number>();
  #ofPrincipal = new Map<string, number>();
  /** When the look that is under way is due; 0 when none is. */
  #dueMs = 0;
  /** How late the last one was. */
  #lagMs = 0;

  constructor(clock: Clock, front: FrontSpec) {
    this.#clock = clock;
    this.#front = front;
  }

  /** Other bounds hold from now on; `active`: those that are there already. */
  use(front: FrontSpec, active: readonly Exchange[]): void {
    this.#front = front;
    this.#ofEndpoint = new Map();
    this.#ofPrincipal = new Map();
    for (const exchange of active) if (!exchange.isAdopted) this.enter(exchange);
  }

  /** Why no more exchanges may come at all, when so many are under way; null when they may. */
  refusal(active: number): GatewayError | null {
    const { exchangesMax, lagMaxMs = 0 } = this.#front;
    if (active >= exchangesMax) return new GatewayError('GW_SERVER_BUSY', `${active} are under way`);
    if (lagMaxMs === 0) return null;
    const lagMs = this.#look(this.#clock.now(), lagMaxMs);
    if (lagMs <= lagMaxMs) return null;
    return new GatewayError('GW_SERVER_OVERLOAD', `it is ${Math.round(lagMs)} ms behind`);
  }

  /** Counts an exchange whose client is known. Why it is one too many of its endpoint or its principal, or null; it is to leave() in either case. */
  enter({ endpoint, principal }: Exchange): GatewayError | null {
    const { perEndpointMax = 0, perPrincipalMax = 0 } = this.#front;
    if (perEndpointMax === 0 && perPrincipalMax === 0) return null;
    const here = add(this.#ofEndpoint, endpoint.path);
    const own = add(this.#ofPrincipal, principal);
    if (perEndpointMax > 0 && here > perEndpointMax)
      return tooMany(`${endpoint.path} has ${perEndpointMax} under way (limits.perEndpointMax)`);
    if (perPrincipalMax > 0 && own > perPrincipalMax)
      return tooMany(`its principal has ${perPrincipalMax} under way (limits.perPrincipalMax)`);
    return null;
  }

  /** An exchange that was counted is over. */
  leave({ endpoint, principal }: Exchange): void {
    if (this.#ofEndpoint.size === 0) return;
    remove(this.#ofEndpoint, endpoint.path);
    remove(this.#ofPrincipal, principal);
  }

  /** How late events are: as late as the last look was, or as the one is that should have come by now. */
  #look(nowMs: number, lagMaxMs: number): number {
    if (this.#dueMs === 0) this.#watch(nowMs, lagMaxMs);
    return Math.max(this.#lagMs, nowMs - this.#dueMs);
  }

  /** Looks again until it is no longer late: a worker that rests afterwards is not taken for one that is behind. */
  #watch(nowMs: number, lagMaxMs: number): void {
    this.#dueMs = nowMs + LOOK_MS;
    this.#clock.after(LOOK_MS, () => {
      const atMs = this.#clock.now();
      this.#lagMs = Math.max(0, atMs - this.#dueMs);
      this.#dueMs = 0;
      if (this.#lagMs > lagMaxMs / 2) this.#watch(atMs, lagMaxMs);
    });
  }
}

function tooMany(why: string): GatewayError {
  return new GatewayError('GW_SERVER_BUSY', why);
}

function add(counts: Map<string, number>, key: string): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}

function remove(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0;
  if (count > 1) counts.set(key, count - 1);
  else counts.delete(key);
}
