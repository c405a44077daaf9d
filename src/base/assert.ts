// Assertions for programmer faults: they end the exchange (or the process), never describe a client's mistake.
// Called everywhere below the front. Promises: costs one branch when it holds.
import { GatewayError } from './errors.ts';

/** Throws GW_BASE_INTERNAL with the claim when it does not hold. */
export function assert(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new GatewayError('GW_BASE_INTERNAL', `assertion failed: ${claim}`);
}

/** Returns the value, or throws GW_BASE_INTERNAL naming what was missing. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new GatewayError('GW_BASE_INTERNAL', `missing: ${what}`);
  return value;
}
