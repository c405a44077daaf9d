// Calls that wait at their legacy server for an answer of their modern client.
// Called by call.ts (parks) and face.ts (takes them up again). Promises: bounded in number and time over all servers of a worker; an id is good for one
// retry; a call that waited for too long hears so once.
import { GatewayError } from '../../base/errors.ts';
import type { Clock, Random, TimerId } from '../../runtime/runtime.ts';
import { isSameRequest, type Requested } from './state.ts';

/** A call that can wait. */
export interface Parkable {
  /** The server's name, and what its client asked for: the retry must ask the same server the same. */
  readonly server: string;
  /** The face that it is a call of: a server that was reconfigured has another one. */
  readonly face: object;
  readonly requested: Requested;
  readonly method: string;
  /** Path that its client came by. */
  readonly endpoint: string;
  /** Methods of what its server asked. */
  readonly asked: readonly string[];
  /** Nobody came back in time. */
  expire(): void;
}

/** A call that waits; the time is the clock's, in ms. */
export interface Parked {
  readonly call: Parkable;
  readonly sinceMs: number;
}

interface Place extends Parked {
  readonly timer: TimerId;
}

/** Bounds of what a worker parks. */
export interface ParkingBounds {
  readonly parkedMax: number;
  readonly parkedMs: number;
}

const ID_BYTES = 18;

/** The parked calls of one worker. */
export class Parking<Call extends Parkable> {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #bounds: ParkingBounds;
  readonly #places = new Map<string, Place & { readonly call: Call }>();

  constructor(clock: Clock, random: Random, bounds: ParkingBounds) {
    this.#clock = clock;
    this.#random = random;
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#places.size;
  }

  /** For how long a call may wait. */
  get lifeMs(): number {
    return this.#bounds.parkedMs;
  }

  /** Every call that waits, for somebody who looks. */
  all(): readonly Parked[] {
    return [...this.#places.values()];
  }

  /** Ends one of all() as if nobody had come back in time; false when it waits no more. */
  end(parked: Parked): boolean {
    const found = [...this.#places].find(([, place]) => place === parked);
    if (found === undefined) return false;
    this.forget(found[0]);
    parked.call.expire();
    return true;
  }

  /** Lets a call wait; its id, or GW_BRIDGE_PARKED when too many do. */
  park(call: Call): string | GatewayError {
    const { parkedMax, parkedMs } = this.#bounds;
    if (this.#places.size >= parkedMax)
      return new GatewayError('GW_BRIDGE_PARKED', `${parkedMax} do; try again later`);
    const id = this.#random.bytes(ID_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true });
    const timer = this.#clock.after(parkedMs, () => {
      this.#places.delete(id);
      call.expire();
    });
    this.#places.set(id, { call, timer, sinceMs: this.#clock.now() });
    return id;
  }

  /** Takes up the call that waits under an id, if it is at this server and about this request; else null, and whatever waits goes on waiting. */
  take(id: string, server: string, requested: Requested): Call | null {
    const place = this.#places.get(id);
    if (place === undefined || place.call.server !== server) return null;
    if (!isSameRequest(place.call.requested, requested)) return null;
    this.forget(id);
    return place.call;
  }

  /** Nobody can come back to the calls of this face: they hear that they are over. */
  clear(face: object): void {
    for (const [id, { call }] of [...this.#places]) {
      if (call.face !== face) continue;
      this.forget(id);
      call.expire();
    }
  }

  /** The call under an id waits no more. */
  forget(id: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#clock.cancel(place.timer);
    this.#places.delete(id);
  }
}
