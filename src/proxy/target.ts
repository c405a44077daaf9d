// What an endpoint leads to, as the pipeline sees it: one server passed through, or an aggregate.
// Called by pipeline.ts; implemented by single.ts and aggregate.ts. Promises: every call ends in the exchange's one reply.

import { GatewayError, toGatewayError } from '../base/errors.ts';
import { AskScope } from '../bridge/collect.ts';
import type { SealSession } from '../bridge/handles.ts';
import type { Draft } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import type { SelfInfo } from '../mcp/merge.ts';
import type { View } from '../mcp/view.ts';
import type { LiveSession } from '../observe/ledger.ts';
import type { EndpointRoutes } from '../route/match.ts';
import type { JoinedLists, ListBounds } from './joined-lists.ts';
import type { ListMemory } from './list-memory.ts';

/** Where an endpoint's exchanges go. */
export interface Target {
  /** True when it keeps legacy sessions itself. What is behind then takes single messages only, so batches are split. */
  readonly keepsSessions: boolean;
  /** Where its calls are looked up while they are scanned; null when they all go to one server. */
  readonly routes: EndpointRoutes | null;
  post(exchange: Exchange): void;
  stream(exchange: Exchange): void;
  end(exchange: Exchange): void;
  /** Called every few seconds: idle sessions end. */
  sweep(): void;
  /** Number of legacy sessions held. */
  readonly sessions: number;
  /** The same, for somebody who looks; absent: it has none. */
  live?(): readonly LiveSession[];
  close(): void;
}

/** What an aggregate is given of its endpoint. */
export interface AggregateFace {
  readonly routes: EndpointRoutes;
  readonly sealSession: SealSession;
  /** What it shows of its servers; null: everything. */
  readonly view: View | null;
  /** What is kept of the servers' lists, for all endpoints of the worker. */
  readonly memory: ListMemory;
  readonly path: string;
  readonly listBounds: ListBounds;
}

/** What each face of an aggregate is given besides its members. */
export interface JoinedFace extends AggregateFace {
  readonly self: SelfInfo;
  readonly lists: JoinedLists;
}

/** Questions asked for one exchange: they end when nobody waits for its reply any more. */
export function scopeOf(exchange: Exchange): AskScope {
  const scope = new AskScope();
  exchange.whenGone(() => scope.end());
  return scope;
}

/** A callback of a timer: what it throws ends the exchange instead of surfacing in the event loop. */
export function contained(exchange: Exchange, work: () => void): () => void {
  return () => {
    try {
      work();
    } catch (thrown) {
      exchange.refuse(toGatewayError(thrown));
    }
  };
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
