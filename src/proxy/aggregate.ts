// An aggregated endpoint: many servers as one, for clients of both eras.
// Called by worker.ts (makes it) and pipeline.ts. Promises: a member that fails is named in the answer and hurts no other; no wait is longer than the
// bound; messages are changed by splicing only.
import type { Member } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import type { SelfInfo } from '../mcp/merge.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { LegacyAggregate } from './aggregate-legacy.ts';
import { ModernAggregate } from './aggregate-modern.ts';
import type { AggregateFace, Target } from './target.ts';

/** Joins its members' tools, prompts and resources under marked names. */
export class Aggregate implements Target {
  readonly keepsSessions = true;
  readonly routes: EndpointRoutes;
  readonly #modern: ModernAggregate;
  readonly #legacy: LegacyAggregate;

  constructor(members: readonly Member[], tools: SessionTools, self: SelfInfo, face: AggregateFace) {
    this.routes = face.routes;
    this.#modern = new ModernAggregate(members, tools, self, face.routes);
    this.#legacy = new LegacyAggregate(members, tools, self, face);
  }

  get sessions(): number {
    return this.#legacy.sessions;
  }

  post(exchange: Exchange): void {
    if (exchange.era === 'modern') this.#modern.post(exchange);
    else this.#legacy.post(exchange);
  }

  stream(exchange: Exchange): void {
    this.#legacy.stream(exchange);
  }

  end(exchange: Exchange): void {
    this.#legacy.end(exchange);
  }

  sweep(): void {
    this.#legacy.sweep();
  }

  close(): void {
    this.#legacy.close();
  }
}
