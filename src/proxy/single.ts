// An endpoint that leads to one server, unprefixed: everything passes through.
// Called by pipeline.ts. Promises: no state of its own; the server (or its stdio face) keeps the sessions.
import type { Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { MODERN_VERSIONS } from '../mcp/protocol.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import type { Envelopes } from './envelopes.ts';
import { forward } from './forward.ts';
import { refuseVersion, type Target } from './target.ts';

/** Passes everything to one server. */
export class Single implements Target {
  readonly keepsSessions: boolean;
  readonly #member: Member;
  readonly #scanner: Scanner;
  readonly #giveBack: ((envelope: Int32Array) => void) | null;

  constructor(member: Member, scanner: Scanner, spare: Envelopes) {
    this.#member = member;
    this.#scanner = scanner;
    // A server on stdio splices ids by the envelope until its call ends; one behind HTTP never looks at it.
    this.#giveBack = member.spec.target.kind === 'http' ? spare.giveBack : null;
    this.keepsSessions = member.spec.target.kind === 'stdio';
  }

  get sessions(): number {
    return 0;
  }

  post(exchange: Exchange): void {
    // A server behind HTTP judges versions itself; one on stdio was told its version when its process started, and looks no more.
    if (this.keepsSessions && exchange.era === 'modern' && exchange.kind === KIND.request) {
      const version = exchange.headers.protocolVersion ?? '';
      if (!MODERN_VERSIONS.includes(version)) return refuseVersion(exchange, version, MODERN_VERSIONS);
    }
    exchange.recycle = this.#giveBack;
    forward(exchange, this.#member, this.#scanner);
  }

  stream(exchange: Exchange): void {
    forward(exchange, this.#member, this.#scanner);
  }

  end(exchange: Exchange): void {
    forward(exchange, this.#member, this.#scanner);
  }

  sweep(): void {}

  close(): void {}
}
