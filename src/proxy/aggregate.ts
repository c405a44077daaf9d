// An aggregated endpoint: many servers as one, for clients of both eras.
// Called by worker.ts (makes it) and pipeline.ts. Promises: a member that fails is named in the answer and hurts no other; no wait is longer than the
// bound; messages are changed by splicing only.
import type { Member } from '../bridge/member.ts';
import type { SessionTools } from '../bridge/session.ts';
import type { Exchange } from '../exchange.ts';
import type { SelfInfo } from '../mcp/merge.ts';
import type { View } from '../mcp/view.ts';
import type { LiveSession } from '../observe/ledger.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { LegacyAggregate } from './aggregate-legacy.ts';
import { ModernAggregate } from './aggregate-modern.ts';
import { JoinedLists } from './joined-lists.ts';
import type { AggregateFace, Target } from './target.ts';

/** Joins its members' tools, prompts and resources under marked names. */
export class Aggregate implements Target {
  readonly keepsSessions = true;
  #routes: EndpointRoutes;
  readonly #lists: JoinedLists;
  readonly #modern: ModernAggregate;
  readonly #legacy: LegacyAggregate;

  constructor(members: readonly Member[], tools: SessionTools, self: SelfInfo, face: AggregateFace) {
    const { view, memory, path, listBounds: bounds } = face;
    const { clock, log } = tools;
    const lists = new JoinedLists(members, view, { clock, log, memory, path, bounds });
    const onListChanged = (member: Member, method: string): void => lists.changed(member, method);
    const heard: SessionTools = { ...tools, onListChanged };
    this.#routes = face.routes;
    this.#lists = lists;
    this.#modern = new ModernAggregate(members, heard, { self, lists, ...face });
    this.#legacy = new LegacyAggregate(members, heard, { self, lists, ...face });
  }

  get routes(): EndpointRoutes {
    return this.#routes;
  }

  /** The endpoint has these members, and shows this of them, from now on: sessions and listens go on, and hear that its lists have changed. */
  regroup(members: readonly Member[], routes: EndpointRoutes, view: View | null): void {
    this.#routes = routes;
    this.#lists.regroup(members, view);
    this.#modern.regroup(members, routes, view);
    this.#legacy.regroup(members, routes, view);
  }

  /** The same members, looked up in another table. */
  reroute(routes: EndpointRoutes): void {
    this.#routes = routes;
    this.#modern.reroute(routes);
    this.#legacy.reroute(routes);
  }

  /** Nothing runs any more that needs these former members: what sessions have there ends. */
  release(members: ReadonlySet<Member>): void {
    this.#legacy.release(members);
  }

  get sessions(): number {
    return this.#legacy.sessions;
  }

  live(): readonly LiveSession[] {
    return this.#legacy.live();
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
    this.#lists.sweep();
    this.#legacy.sweep();
  }

  close(): void {
    this.#lists.close();
    this.#legacy.close();
  }
}
