// What an endpoint leads to, as the pipeline sees it: one server passed through, or an aggregate.
// Called by pipeline.ts; implemented by single.ts and fanout.ts. Promises: every call ends in the exchange's one reply.

import { GatewayError, toGatewayError } from '../base/errors.ts';
import type { Draft } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';

/** Where an endpoint's exchanges go. */
export interface Target {
  /** True when batches must be split, because what is behind takes single messages only. */
  readonly splitsBatches: boolean;
  post(exchange: Exchange): void;
  stream(exchange: Exchange): void;
  end(exchange: Exchange): void;
  /** Called every few seconds: idle sessions end, idle streams get a comment. */
  sweep(): void;
  /** Number of legacy sessions held. */
  readonly sessions: number;
  close(): void;
}

/** The exchange's own message, unchanged, as a draft. */
export function draftOf(exchange: Exchange): Draft {
  return { body: exchange.body, envelope: exchange.envelope, edits: [] };
}

/** Watches over work that answers an exchange later: what it throws becomes the exchange's refusal instead of a hanging client. */
export function guard(exchange: Exchange, work: Promise<void>): void {
  work.catch((thrown: unknown) => exchange.refuse(toGatewayError(thrown)));
}

/** Refuses a protocol version that is not served here, naming those that are. */
export function refuseVersion(exchange: Exchange, version: string, supported: readonly string[]): void {
  const error = new GatewayError(
    'GW_MCP_VERSION',
    `${version.slice(0, 40)} is not among ${supported.join(', ')}`,
  );
  exchange.refuse(error, { supported, requested: version });
}
