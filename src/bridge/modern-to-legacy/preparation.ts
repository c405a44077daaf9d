// What must be true before a request can be sent in a session: it is open, the headers fit the tool's schema, the server knows the wanted log level.
// Called by passage.ts. Promises: each is seen to once; what cannot be had and is not needed does not keep the request back.
import { encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { readString } from '../../mcp/json.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import { type Refusal, refusalOf } from './reply.ts';
import type { UpstreamSession } from './session.ts';
import { targetOf } from './state.ts';

/** A request that is to be sent. */
export interface Prepared {
  readonly method: string;
  readonly request: UpstreamRequest;
  /** Least level of log messages that its client wants, of LOG_LEVELS; -1: none. */
  readonly level: number;
}

/** Prepares one request. */
export class Preparation {
  readonly #of: Prepared;
  #isChecked = false;
  #isLevelled = false;

  constructor(of: Prepared) {
    this.#of = of;
  }

  /** Null when the request can be sent; why it cannot; or the work after which to ask again, and what came of it. */
  next(session: UpstreamSession): Refusal | Promise<Refusal | null> | null {
    if (session.life === null) return session.open();
    return this.#check(session) ?? this.#setLevel(session);
  }

  /** It is to be sent in another life of the session, which knows no level yet. */
  again(): void {
    this.#isLevelled = false;
  }

  #check(session: UpstreamSession): Refusal | Promise<Refusal | null> | null {
    const { method, request } = this.#of;
    if (this.#isChecked || method !== METHOD.toolsCall || !session.facts.matter(request)) return null;
    this.#isChecked = true;
    const fault = session.facts.check(toolOf(request), request, session);
    if (fault === null || fault instanceof GatewayError) return fault === null ? null : refusalOf(fault);
    return fault.then((found) => (found === null ? null : refusalOf(found)));
  }

  #setLevel(session: UpstreamSession): Promise<null> | null {
    if (this.#of.level < 0 || this.#isLevelled) return null;
    this.#isLevelled = true;
    return session.setLevel()?.then(() => null) ?? null;
  }
}

/** Name of the tool that a request calls, as its server knows it. */
export function toolOf(request: UpstreamRequest): string {
  const target = encode(targetOf(request, ENVELOPE.name));
  return readString(target, 0, target.length) ?? '';
}
