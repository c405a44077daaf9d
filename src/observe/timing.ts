// When one exchange was where: the marks that its way leaves, and the four times that they come to.
// Called by exchange.ts (an exchange is its own timing), upstream/ and bridge/ (leave marks), server/ (reads them). Promises: no object and no clock of its own: who
// leaves a mark has read the clock anyway, or reads it once; whatever was marked, the four times are never negative and come to the whole.
//
//   admitted ──gateway──▶ [queue] ─▶ [connect] ─▶ sent ──upstream──▶ replied (a whole reply) or ended (any other) ──gateway──▶ ended
import type { LiveSpan } from './trace.ts';

/** Server of an exchange that went to none. */
export const NO_SERVER = -1;

/** What the way to a server says of one request, however often that is sent. */
export interface CallMarks {
  /** Written, or handed to what carries it. The first time counts: what comes between that and another attempt is the server's doing. */
  sent(nowMs: number): void;
  /** It waited so long for a connection that others had. */
  queued(ms: number): void;
  /** So long a connection was made for it. */
  connected(ms: number): void;
  /** The head of the reply is there; `isWhole` when its body is, too. */
  replied(nowMs: number, isWhole: boolean): void;
  /** Which of the server's places has it. */
  replica: number;
  /** Answered from what was kept of an earlier answer. */
  isCached: boolean;
  /** The span that requests to servers are parts of; null while the exchange is not sampled. */
  readonly span: LiveSpan | null;
}

/** The marks of one exchange. All times are the runtime's monotonic ms; 0 until they come. */
export class ExchangeTiming implements CallMarks {
  readonly startedAtMs: number;
  /** The server's own cell in the shared memory; NO_SERVER for what the gateway answers itself, or asks several servers for. */
  server: number = NO_SERVER;
  replica = 0;
  isCached = false;
  /** Another worker has run it, and has counted it as its server's. */
  isHandedOver = false;
  /** The server's answer was a JSON-RPC error; false as well when it passed by unread. */
  isRpcError = false;
  span: LiveSpan | null = null;
  /** Id of the trace that it is part of, 32 hex digits; '' while it is not traced. */
  trace = '';
  /** How often it was sent: 0 for what was not, 2 and more when it was sent again or to two places. */
  sends = 0;
  sentAtMs = 0;
  repliedAtMs = 0;
  endedAtMs = 0;
  queueMs = 0;
  connectMs = 0;
  /** Of these two, what came after it had been sent for the first time. */
  private againMs = 0;
  private isWhole = false;

  constructor(startedAtMs: number) {
    this.startedAtMs = startedAtMs;
  }

  sent(nowMs: number): void {
    if (this.sends++ === 0) this.sentAtMs = nowMs;
  }

  queued(ms: number): void {
    this.queueMs += ms;
    if (this.sends > 0) this.againMs += ms;
  }

  connected(ms: number): void {
    this.connectMs += ms;
    if (this.sends > 0) this.againMs += ms;
  }

  replied(nowMs: number, isWhole: boolean): void {
    this.repliedAtMs = nowMs;
    this.isWhole = isWhole;
  }

  /** Fixes the end; before it, the times below are those of an exchange that ends at `endedAtMs` 0, and mean nothing. May be called again with a later time. */
  endAt(nowMs: number): void {
    this.endedAtMs = nowMs;
  }

  get durationMs(): number {
    return Math.max(0, this.endedAtMs - this.startedAtMs);
  }

  /** From its sending to the last that the server had to say; what was waited in between for a connection is not counted. */
  get upstreamMs(): number {
    if (this.sends === 0) return 0;
    const untilMs = this.isWhole ? this.repliedAtMs : this.endedAtMs;
    return Math.max(0, untilMs - this.sentAtMs - this.againMs);
  }

  /** The rest: what this gateway took. */
  get gatewayMs(): number {
    return Math.max(0, this.durationMs - this.queueMs - this.connectMs - this.upstreamMs);
  }
}
