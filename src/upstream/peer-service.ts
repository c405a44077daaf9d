// The home's end of an exchange between workers: gathers the request, then sends what its handler answers.
// Called by peer-link.ts. Promises: the handler gets a body that is complete and its own; it is paused while the caller reads slowly, and hears once when nobody
// waits for its reply any more.
import { EMPTY } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import type { PeerReply, PeerSide, SideTools } from './peer-calls.ts';
import { Flow } from './peer-flow.ts';
import { FRAME, type PeerHead, packHead, type RequestWords } from './peer-frames.ts';
import type { UpstreamCall } from './upstream.ts';

/** The home's end. */
export class PeerService implements PeerReply, PeerSide {
  readonly flow: Flow;
  /** The life of the caller that asked. */
  readonly generation: number;
  readonly #tools: SideTools;
  readonly #exchange: number;
  readonly #request: RequestWords;
  readonly #start: (body: Uint8Array, reply: PeerReply) => UpstreamCall;
  #body: Uint8Array = EMPTY;
  #bodyAt = 0;
  #call: UpstreamCall | null = null;
  #isWhole = false;
  #wantsRoom = false;
  /** The reply has an end or a failure: what still comes of the request is not wanted. */
  #isEnding = false;
  #isGone = false;

  constructor(
    tools: SideTools,
    exchange: number,
    request: RequestWords,
    start: (body: Uint8Array, reply: PeerReply) => UpstreamCall,
  ) {
    this.#tools = tools;
    this.#exchange = exchange;
    this.#request = request;
    this.#start = start;
    this.generation = request.fromGeneration;
    this.flow = new Flow(tools.ring, exchange);
  }

  // ── from the caller ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The first frame's body: all of it, or none. */
  begin(first: Uint8Array): void {
    const { bodyBytes } = this.#request;
    if (first.length === bodyBytes) return this.#serve(first.slice());
    this.#body = new Uint8Array(bodyBytes);
  }

  chunk(view: Uint8Array): void {
    if (this.#isEnding) return;
    if (this.#bodyAt + view.length > this.#body.length)
      return this.fail(new GatewayError('GW_BASE_INTERNAL', 'a peer sent more than it announced'));
    this.#body.set(view, this.#bodyAt);
    this.#bodyAt += view.length;
    this.flow.owe(view.length);
    if (this.flow.hasWork) this.#tools.pump(this);
  }

  /** The request is complete. */
  bodyEnd(): void {
    if (this.#isEnding) return;
    const body = this.#body;
    this.#body = EMPTY;
    if (this.#bodyAt === body.length) this.#serve(body);
    else this.fail(new GatewayError('GW_BASE_INTERNAL', 'a peer sent less than it announced'));
  }

  credit(bytes: number): void {
    this.flow.credit(bytes);
    if (this.flow.hasWork) this.#tools.pump(this);
  }

  /** Nobody waits for the reply any more. */
  leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.flow.drop();
    this.#tools.forget(this.#exchange);
    this.#call?.abort();
    this.#call = null;
  }

  #serve(body: Uint8Array): void {
    try {
      this.#call = this.#start(body, this);
    } catch (thrown) {
      this.fail(toGatewayError(thrown));
    }
  }

  // ── from the handler ─────────────────────────────────────────────────────────────────────────────────────────────

  head(head: PeerHead): void {
    if (this.#isGone) return;
    this.#isWhole = head.whole;
    this.flow.open({ kind: FRAME.head, pack: () => packHead(head) });
    if (!this.#isWhole) this.#tools.pump(this);
  }

  data(bytes: Uint8Array): boolean {
    if (this.#isGone) return true;
    this.flow.add(bytes);
    if (this.#isWhole) return true;
    this.#tools.pump(this);
    this.#wantsRoom = this.flow.hasPieces;
    return !this.#wantsRoom;
  }

  end(): void {
    if (this.#isGone) return;
    this.#isEnding = true;
    this.flow.end();
    this.#tools.pump(this);
  }

  fail(error: GatewayError): void {
    if (this.#isGone) return;
    this.#isEnding = true;
    this.flow.fail(error);
    this.#tools.pump(this);
  }

  pumped(): void {
    if (this.#isGone) return;
    if (this.flow.complete) {
      this.#isGone = true;
      this.#call = null;
      this.#tools.forget(this.#exchange);
    } else if (this.#wantsRoom && !this.flow.hasPieces) {
      this.#wantsRoom = false;
      this.#call?.resume();
    }
  }
}
