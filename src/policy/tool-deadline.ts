// Deadlines of single tools and of an endpoint's calls: a call that is not done in time is ended and cancelled at the server; a tool's time each report of progress starts anew.
// Called by policies.ts, where a tool or an endpoint has a time of its own. Promises: the contract of upstream.ts; however much progress comes, the call ends within the bound
// of the whole; a call whose server has asked its client something waits as long as that, since people answer when they like.
import { concat, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { kindOf, raw, readMessage, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { isEndless } from '../upstream/deadline.ts';
import type { ToolRule } from '../upstream/spec.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import { Layer } from './layer.ts';
import type { ToolBook } from './tool-book.ts';

/** What deadlines take. */
export interface DeadlineParts {
  readonly book: ToolBook;
  readonly clock: Clock;
  readonly scanner: Scanner;
  /** Bound of the whole, however much progress comes. */
  readonly totalMs: number;
  /** The option that says so. */
  readonly totalOption: string;
  /** Every call is watched: the bound is earlier than the one that the upstream keeps itself. */
  readonly isCeiling: boolean;
}

/** How long one call may take. */
interface CallTime {
  /** By then it is done, or has shown progress; null: only the whole is bounded. */
  readonly timeoutMs: number | null;
  readonly pattern: string;
}

const WHOLE: CallTime = Object.freeze({ timeoutMs: null, pattern: '' });

/** Bounds calls by the rules of their tools. */
export class DeadlineLayer extends Layer {
  readonly parts: DeadlineParts;

  constructor(inner: Upstream, parts: DeadlineParts) {
    super(inner);
    this.parts = parts;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const rule = this.parts.book.ruleOf(request);
    const time = rule?.timeoutMs === undefined ? this.#ceiling(request) : callTime(rule);
    const bounded = withFirstByte(request, rule?.firstByteMs ?? 0);
    if (time === null) return this.inner.send(bounded, sink);
    const call = new TimedCall(this, bounded, sink, time);
    call.begin(this.inner.send(bounded, call));
    return call;
  }

  #ceiling(request: UpstreamRequest): CallTime | null {
    const { envelope } = request;
    const isCall = envelope !== null && kindOf(envelope) === KIND.request && !isEndless(request);
    return this.parts.isCeiling && isCall ? WHOLE : null;
  }

  /** Tells a legacy server that nobody waits for a request any more: to it, the end of a connection says nothing of that (2025-11-25, cancellation). */
  cancel(request: UpstreamRequest): void {
    const { body, envelope, edits } = request;
    const id = envelope === null ? null : raw(body, envelope, ENVELOPE.id);
    if (request.era !== 'legacy' || request.session === null || envelope === null || id === null) return;
    // As the server knows it, which may be another id than the client's.
    const shown = edits.find(({ start }) => start === envelope[ENVELOPE.id])?.insert ?? id;
    const message = readMessage(this.parts.scanner, concat([CANCELLED, shown, BECAUSE]));
    if (message instanceof GatewayError) return;
    const { bytes, envelope: ownEnvelope } = message;
    this.inner.send({ ...request, body: bytes, envelope: ownEnvelope, edits: [] }, NOBODY);
  }
}

const CANCELLED = encode('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":');
const BECAUSE = encode(',"reason":"it took longer than the gateway allows"}}');

/** What becomes of a notification is nobody's concern. */
const NOBODY: UpstreamSink = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};

function callTime({ timeoutMs, pattern }: Pick<ToolRule, 'timeoutMs' | 'pattern'>): CallTime {
  return { timeoutMs: timeoutMs ?? null, pattern };
}

function withFirstByte(request: UpstreamRequest, firstByteMs: number): UpstreamRequest {
  const { timeoutMs } = request;
  if (firstByteMs === 0 || (timeoutMs > 0 && timeoutMs <= firstByteMs)) return request;
  return { ...request, timeoutMs: firstByteMs };
}

/** One call and its time. */
class TimedCall implements UpstreamCall, UpstreamSink {
  readonly #layer: DeadlineLayer;
  readonly #request: UpstreamRequest;
  readonly #sink: UpstreamSink;
  readonly #time: CallTime;
  readonly #endMs: number;
  /** By then it is done, unless progress comes. */
  #dueMs: number;
  #timer: TimerId = 0;
  #inner: UpstreamCall | null = null;
  #reader: EventReader | null = null;
  #isOver = false;

  constructor(layer: DeadlineLayer, request: UpstreamRequest, sink: UpstreamSink, time: CallTime) {
    this.#layer = layer;
    this.#request = request;
    this.#sink = sink;
    this.#time = time;
    const { clock, totalMs } = layer.parts;
    const startedMs = request.startedAtMs ?? clock.now();
    this.#endMs = startedMs + totalMs;
    this.#dueMs = startedMs + (time.timeoutMs ?? totalMs);
    this.#watch();
  }

  begin(inner: UpstreamCall): void {
    this.#inner = inner;
  }

  resume(): void {
    this.#inner?.resume();
  }

  outlast(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#inner?.outlast?.();
  }

  abort(): void {
    this.#settle();
    this.#inner?.abort();
  }

  onHead(head: ReplyHead): void {
    if (this.#isOver) return;
    const isTold = head.media === 'event-stream' && this.#time.timeoutMs !== null;
    if (isTold) this.#reader = new EventReader(this.#layer.parts.scanner);
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    try {
      this.#reader?.push(bytes, ({ data }) => data.length > 0 && this.#heard(data));
    } catch {
      // An event beyond all bounds: whoever is to have it judges that.
      this.#reader = null;
    }
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#settle();
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.#isOver) return;
    this.#settle();
    this.#sink.onFail(error);
  }

  #heard(bytes: Uint8Array): void {
    const { scanner, clock } = this.#layer.parts;
    const message = readMessage(scanner, bytes);
    if (message instanceof GatewayError || this.#dueMs === this.#endMs) return;
    const { envelope } = message;
    if (kindOf(envelope) === KIND.request) this.#dueMs = this.#endMs;
    else if (text(bytes, envelope, ENVELOPE.method) === METHOD.progress)
      this.#dueMs = clock.now() + (this.#time.timeoutMs ?? 0);
  }

  /** One timer that looks again when progress has put the end off: progress itself sets none. */
  #watch(): void {
    const { clock } = this.#layer.parts;
    const dueMs = Math.min(this.#dueMs, this.#endMs);
    this.#timer = clock.after(Math.max(0, dueMs - clock.now()), () => {
      this.#timer = 0;
      if (Number.isFinite(this.#dueMs)) this.#look();
    });
  }

  #look(): void {
    const { clock, totalMs, totalOption } = this.#layer.parts;
    const nowMs = clock.now();
    if (Math.min(this.#dueMs, this.#endMs) > nowMs + 1) return this.#watch();
    const { pattern, timeoutMs } = this.#time;
    const isEnd = nowMs + 1 >= this.#endMs;
    const why = isEnd
      ? `the whole call took longer than ${totalMs} ms (${totalOption})`
      : `nothing came of it for ${timeoutMs} ms (tools.${JSON.stringify(pattern)}.timeoutMs)`;
    const inner = this.#inner;
    this.#settle();
    this.#layer.cancel(this.#request);
    inner?.abort();
    this.#sink.onFail(new GatewayError('GW_UPSTREAM_TIMEOUT', why));
  }

  #settle(): void {
    this.#isOver = true;
    if (this.#timer !== 0) this.#layer.parts.clock.cancel(this.#timer);
    this.#timer = 0;
    this.#reader = null;
  }
}
