// An endpoint that leads to one server, unprefixed: everything passes through.
// Called by pipeline.ts. Promises: no state of its own; the server (or its stdio face) keeps the sessions.
import type { Handles } from '../bridge/handles.ts';
import type { Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { MODERN_VERSIONS } from '../mcp/protocol.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import type { Envelopes } from './envelopes.ts';
import { type ForwardTools, forward } from './forward.ts';
import { refuseVersion, type Target } from './target.ts';

/** Passes everything to one server. */
export class Single implements Target {
  readonly keepsSessions: boolean;
  readonly routes = null;
  readonly member: Member;
  readonly #tools: ForwardTools;
  readonly #giveBack: ((envelope: Int32Array) => void) | null;

  constructor(member: Member, scanner: Scanner, spare: Envelopes, handles: Handles) {
    const { target } = member.spec;
    const isHttp = target.kind === 'http';
    const isEverywhere = isHttp || target.keep.sharing === 'shared';
    this.member = member;
    // The sessions of a server behind HTTP are reached from every worker; those of a process only from where it runs,
    // unless all sessions share it (upstream/peer.ts).
    this.#tools = {
      scanner,
      sealSession: isEverywhere ? handles.anywhere : handles.here,
      sealHere: handles.here,
    };
    // A server on stdio splices ids by the envelope until its call ends; one behind HTTP never looks at it.
    this.#giveBack = isHttp ? spare.giveBack : null;
    this.keepsSessions = !isHttp;
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
    forward(exchange, this.member, this.#tools);
  }

  stream(exchange: Exchange): void {
    forward(exchange, this.member, this.#tools);
  }

  end(exchange: Exchange): void {
    forward(exchange, this.member, this.#tools);
  }

  sweep(): void {}

  close(): void {}
}
