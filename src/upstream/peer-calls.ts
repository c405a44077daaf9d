// The caller's end of an exchange between workers, and what both ends are to those who use them.
// Called by peer-link.ts. Promises: the sink hears what upstream.ts promises to any sink; what a sink that reads slowly leaves waiting here is at most
// one window of bytes.
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { Flow, type FlowRing } from './peer-flow.ts';
import { FRAME, type PeerHead, type PeerReplyHead, type PeerRequest, packRequest } from './peer-frames.ts';
import type { UpstreamCall, UpstreamSink } from './upstream.ts';

/** Who receives a peer's reply; the rules of UpstreamSink hold, and any UpstreamSink will do. */
export interface PeerSink extends Omit<UpstreamSink, 'onHead'> {
  onHead(head: PeerReplyHead): void;
}

/** Where a handler puts its reply: a head, data, and one end or failure. After the caller has left nothing is sent. */
export interface PeerReply {
  /** A whole reply's data and end follow in the same turn. */
  head(head: PeerHead): void;
  /** Kept as they are until they are sent. False asks to wait for the call's resume(). */
  data(bytes: Uint8Array): boolean;
  end(): void;
  fail(error: GatewayError): void;
}

/** Serves a peer's request: body complete and the handler's to keep. Returns the hold that the peer has on it. */
export type PeerHandler = (
  from: number,
  request: PeerRequest,
  body: Uint8Array,
  reply: PeerReply,
) => UpstreamCall;

/** One end of an exchange, as the link moves it on. */
export interface PeerSide {
  readonly flow: Flow;
  /** Something of the flow was sent. */
  pumped(): void;
}

/** What both ends need. */
export interface SideTools {
  readonly ring: FlowRing;
  readonly clock: Clock;
  /** Sends what can be sent, now or when there is room. */
  pump(side: PeerSide): void;
  /** No frame will concern it any more. */
  forget(exchange: number): void;
}

/** The caller's end. */
export class PeerCall implements UpstreamCall, PeerSide {
  readonly flow: Flow;
  /** The life of the peer that it is for; 0 = whichever. */
  readonly generation: number;
  readonly #tools: SideTools;
  readonly #exchange: number;
  readonly #sink: PeerSink;
  #held: Uint8Array[] = [];
  #isPaused = false;
  /** Bytes taken by a sink that then asked to wait: their credit waits too. */
  #unpaid = 0;
  /** The reply has ended, perhaps behind bytes that are still held. */
  #ending: 'none' | 'end' | GatewayError = 'none';
  #isOver = false;
  #timer: TimerId = 0;

  constructor(tools: SideTools, exchange: number, request: PeerRequest, sink: PeerSink) {
    this.#tools = tools;
    this.#exchange = exchange;
    this.#sink = sink;
    this.generation = request.generation;
    this.flow = new Flow(tools.ring, exchange);
  }

  /** Starts it; `lives` says which lives of caller and home are speaking when it is sent. */
  start(request: PeerRequest, body: Uint8Array, lives: () => { from: number; to: number }): void {
    const pack = (): Uint8Array => {
      const { from, to } = lives();
      return packRequest({ ...request, fromGeneration: from, generation: to, bodyBytes: body.length });
    };
    this.flow.open({ kind: FRAME.request, pack });
    this.flow.add(body);
    this.flow.end();
    this.#tools.pump(this);
    if (this.flow.begun) return;
    this.#timer = this.#tools.clock.after(LIMITS.peerWaitMs, () => {
      if (!this.flow.begun) this.fail(new GatewayError('GW_PEER_DOWN', 'it takes nothing'));
    });
  }

  pumped(): void {
    this.#unwatch();
  }

  // ── from the peer ────────────────────────────────────────────────────────────────────────────────────────────────

  head(head: PeerReplyHead): void {
    if (!this.#isOver) this.#sink.onHead(head);
  }

  /** Bytes of the reply, the call's to keep. */
  data(bytes: Uint8Array): void {
    if (this.#isOver || bytes.length === 0) return;
    if (this.#isPaused || this.#held.length > 0) this.#held.push(bytes);
    else this.#deliver(bytes);
  }

  end(): void {
    this.#end('end');
  }

  fail(error: GatewayError): void {
    this.#end(error);
  }

  credit(bytes: number): void {
    this.flow.credit(bytes);
    if (this.flow.hasWork) this.#tools.pump(this);
  }

  #end(ending: 'end' | GatewayError): void {
    if (this.#isOver || this.#ending !== 'none') return;
    this.#ending = ending;
    this.#unwatch();
    this.flow.drop();
    this.#tools.forget(this.#exchange);
    if (this.#held.length === 0) this.#finish();
  }

  #finish(): void {
    const ending = this.#ending;
    if (this.#isOver || ending === 'none') return;
    this.#isOver = true;
    if (ending === 'end') this.#sink.onEnd();
    else this.#sink.onFail(ending);
  }

  #deliver(bytes: Uint8Array): void {
    this.#isPaused = !this.#sink.onData(bytes);
    if (this.#isPaused) this.#unpaid += bytes.length;
    else this.#pay(bytes.length);
  }

  #pay(bytes: number): void {
    this.flow.owe(bytes);
    if (this.flow.hasWork) this.#tools.pump(this);
  }

  // ── from the sink's side ─────────────────────────────────────────────────────────────────────────────────────────

  resume(): void {
    if (this.#isOver || !this.#isPaused) return;
    this.#isPaused = false;
    const unpaid = this.#unpaid;
    this.#unpaid = 0;
    this.#pay(unpaid);
    // Not at once: the sink may be in the middle of something.
    if (this.#held.length > 0) this.#tools.clock.soon(this.#deliverHeld);
  }

  readonly #deliverHeld = (): void => {
    try {
      while (!this.#isOver && !this.#isPaused) {
        const bytes = this.#held.shift();
        if (bytes === undefined) break;
        this.#deliver(bytes);
      }
      if (this.#held.length === 0) this.#finish();
    } catch (thrown) {
      this.#held = [];
      this.fail(toGatewayError(thrown));
    }
  };

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#held = [];
    this.#unwatch();
    if (this.#ending !== 'none') return;
    this.flow.abort();
    this.#tools.forget(this.#exchange);
    if (this.flow.hasWork) this.#tools.pump(this);
  }

  #unwatch(): void {
    if (this.#timer === 0) return;
    this.#tools.clock.cancel(this.#timer);
    this.#timer = 0;
  }
}
