// An endpoint that leads to one server, unprefixed: everything passes through.
// Called by pipeline.ts. Promises: no state of its own; the server (or its stdio face) keeps the sessions.
import type { Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { forward } from './forward.ts';
import type { Target } from './target.ts';

/** Passes everything to one server. */
export class Single implements Target {
  readonly splitsBatches: boolean;
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
    this.splitsBatches = member.spec.target.kind === 'stdio';
  }

  get sessions(): number {
    return 0;
  }

  post(exchange: Exchange): void {
    forward(exchange, this.#member.upstream, this.#member.spec.forwardHeaders);
  }

  stream(exchange: Exchange): void {
    forward(exchange, this.#member.upstream, this.#member.spec.forwardHeaders);
  }

  end(exchange: Exchange): void {
    forward(exchange, this.#member.upstream, this.#member.spec.forwardHeaders);
  }

  sweep(): void {}

  close(): void {}
}
