// An upstream without a world: scripted replies in memory, and a record of what was sent.
// Called by tests of everything above upstream/. Promises: the contract of upstream.ts, with times from the clock it is given, so that a
// simulated clock replays it exactly.
import { encode, splice } from '../base/bytes.ts';
import { type ErrorCode, GatewayError, toGatewayError } from '../base/errors.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from './upstream.ts';

/** One request as an MCP server would see it. */
export interface FakeSent {
  readonly verb: UpstreamRequest['verb'];
  readonly era: UpstreamRequest['era'];
  /** The body with the edits applied. */
  readonly body: Uint8Array;
  readonly headers: readonly string[];
  readonly session: string | null;
  readonly exchangeId: string;
  /** Becomes true when the caller aborted. */
  aborted: boolean;
  /** Becomes true when the call ended in whatever way. */
  done: boolean;
}

/** What to answer. Every field may be left out: an empty 200 then. */
export interface FakeReply {
  readonly status?: number;
  /** Lower-case names; content-type decides the media. */
  readonly headers?: Readonly<Record<string, string>>;
  /** One piece comes whole, in the turn of the head; a list comes piece by piece. */
  readonly body?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Wait before the head. */
  readonly delayMs?: number;
  /** Wait before the head until this resolves. */
  readonly until?: Promise<unknown>;
  /** Wait before each piece of a list. */
  readonly gapMs?: number;
  /** The call ends with this code: before the head, or behind the last piece when `failLate`. */
  readonly fail?: ErrorCode;
  readonly failLate?: boolean;
  /** Never ends: nothing comes (no head either unless a body is given), or nothing more after the body. */
  readonly hang?: boolean;
}

/** Decides the reply to a request; `index` counts requests from 0. What it throws fails the call with GW_BASE_INTERNAL. */
export type FakeScript = (sent: FakeSent, index: number) => FakeReply;

/** What a fake is made of; every delay runs on `clock`. */
export interface FakeUpstreamOptions {
  readonly clock: Clock;
  readonly name?: string;
  readonly script: FakeScript;
  /** Bound on the first byte for calls without one of their own; 0 or absent = none. */
  readonly firstByteTimeoutMs?: number;
}

/** An upstream that also shows what it was sent. */
export interface FakeUpstream extends Upstream {
  /** Requests in the order in which they reached the server: a call aborted at once does not. */
  readonly sent: readonly FakeSent[];
}

/** Makes a fake that answers each request as the script says. */
export function createFakeUpstream(options: FakeUpstreamOptions): FakeUpstream {
  return new ScriptedUpstream(options);
}

class ScriptedUpstream implements FakeUpstream {
  readonly name: string;
  readonly transport = 'fake' as const;
  readonly sent: FakeSent[] = [];
  private readonly clock: Clock;
  private readonly script: FakeScript;
  private readonly firstByteTimeoutMs: number;
  private readonly running = new Set<FakeCall>();
  private closing = false;
  private failures = 0;
  private whenEmpty: (() => void)[] = [];

  constructor(options: FakeUpstreamOptions) {
    this.name = options.name ?? 'fake';
    this.clock = options.clock;
    this.script = options.script;
    this.firstByteTimeoutMs = options.firstByteTimeoutMs ?? 0;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const call = new FakeCall(request, sink, this.clock, (ended, error) => this.ended(ended, error));
    this.running.add(call);
    const closing = this.closing;
    const timeoutMs = request.timeoutMs > 0 ? request.timeoutMs : this.firstByteTimeoutMs;
    this.clock.soon(() => {
      if (call.record.done) return;
      if (closing) call.fail(new GatewayError('GW_UPSTREAM_CLOSING'));
      else {
        this.sent.push(call.record);
        request.marks?.sent(this.clock.now());
        call.play(this.script, this.sent.length - 1, timeoutMs);
      }
    });
    return call;
  }

  stats(): UpstreamStats {
    const busy = this.running.size;
    const connects = this.sent.length;
    const { failures } = this;
    return { total: busy, busy, idle: 0, waiting: 0, connects, reuses: 0, failures, sessions: 0 };
  }

  close(withinMs: number): Promise<void> {
    this.closing = true;
    if (this.running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.clock.after(withinMs, () => {
        for (const call of this.running) call.fail(new GatewayError('GW_UPSTREAM_CLOSED'));
      });
      this.whenEmpty.push(() => {
        this.clock.cancel(timer);
        resolve();
      });
    });
  }

  private ended(call: FakeCall, error: GatewayError | null): void {
    this.running.delete(call);
    if (error?.row.source === 'upstream') this.failures++;
    if (this.running.size > 0) return;
    const callbacks = this.whenEmpty;
    this.whenEmpty = [];
    for (const callback of callbacks) callback();
  }
}

function recordOf(request: UpstreamRequest): FakeSent {
  const { verb, era, headers, session, exchangeId } = request;
  const body = splice(request.body, request.edits);
  return { verb, era, body, headers, session, exchangeId, aborted: false, done: false };
}

class FakeCall implements UpstreamCall {
  readonly record: FakeSent;
  private readonly sink: UpstreamSink;
  private readonly clock: Clock;
  private readonly ended: (call: FakeCall, error: GatewayError | null) => void;
  private goOn: (() => void) | null = null;
  private timer: TimerId = 0;

  constructor(
    request: UpstreamRequest,
    sink: UpstreamSink,
    clock: Clock,
    ended: (call: FakeCall, error: GatewayError | null) => void,
  ) {
    this.record = recordOf(request);
    this.sink = sink;
    this.clock = clock;
    this.ended = ended;
  }

  resume(): void {
    const goOn = this.goOn;
    this.goOn = null;
    if (goOn !== null) this.clock.soon(goOn);
  }

  abort(): void {
    if (this.record.done) return;
    this.record.aborted = true;
    this.finish(null);
  }

  fail(error: GatewayError): void {
    if (this.finish(error)) this.sink.onFail(error);
  }

  play(script: FakeScript, index: number, timeoutMs: number): void {
    if (timeoutMs > 0) {
      this.timer = this.clock.after(timeoutMs, () => this.fail(new GatewayError('GW_UPSTREAM_TIMEOUT')));
    }
    try {
      const reply = script(this.record, index);
      const begin = (): void => this.later(reply.delayMs ?? 0, () => this.begin(reply));
      if (reply.until === undefined) begin();
      else void reply.until.then(begin);
    } catch (thrown) {
      this.fail(toGatewayError(thrown));
    }
  }

  private begin(reply: FakeReply): void {
    if (this.record.done) return;
    if (reply.fail !== undefined && reply.failLate !== true) {
      this.fail(new GatewayError(reply.fail));
      return;
    }
    if (reply.hang === true && reply.body === undefined) return;
    const list = Array.isArray(reply.body);
    const pieces = piecesOf(reply.body);
    const whole = !list && reply.hang !== true && reply.fail === undefined;
    this.unwatch();
    this.sink.onHead(headOf(reply, pieces, whole));
    if (whole) {
      const piece = pieces[0];
      if (piece !== undefined && !this.record.done) this.sink.onData(piece);
      this.end();
    } else this.stream(reply, pieces, 0);
  }

  private stream(reply: FakeReply, pieces: readonly Uint8Array[], at: number): void {
    if (this.record.done) return;
    const piece = pieces[at];
    if (piece === undefined) {
      if (reply.fail !== undefined) this.fail(new GatewayError(reply.fail));
      else if (reply.hang !== true) this.end();
      return;
    }
    this.later(reply.gapMs ?? 0, () => {
      if (this.sink.onData(piece)) this.stream(reply, pieces, at + 1);
      else this.goOn = () => this.stream(reply, pieces, at + 1);
    });
  }

  private end(): void {
    if (this.finish(null)) this.sink.onEnd();
  }

  /** Runs a step now or later, unless the call has ended by then. */
  private later(ms: number, step: () => void): void {
    if (ms === 0) step();
    else
      this.clock.after(ms, () => {
        if (!this.record.done) step();
      });
  }

  private finish(error: GatewayError | null): boolean {
    if (this.record.done) return false;
    this.record.done = true;
    this.goOn = null;
    this.unwatch();
    this.ended(this, error);
    return true;
  }

  private unwatch(): void {
    if (this.timer !== 0) this.clock.cancel(this.timer);
    this.timer = 0;
  }
}

function piecesOf(body: FakeReply['body']): readonly Uint8Array[] {
  if (body === undefined) return [];
  const list = typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
  return list
    .map((piece) => (typeof piece === 'string' ? encode(piece) : piece))
    .filter((piece) => piece.length > 0);
}

function headOf(reply: FakeReply, pieces: readonly Uint8Array[], whole: boolean): ReplyHead {
  const headers = reply.headers ?? (pieces.length > 0 ? { 'content-type': 'application/json' } : {});
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  const empty = whole && pieces.length === 0;
  const media =
    type === 'application/json' ? 'json' : type === 'text/event-stream' ? 'event-stream' : 'other';
  return {
    status: reply.status ?? 200,
    media: empty ? 'none' : media,
    contentLength: whole ? (pieces[0]?.length ?? 0) : -1,
    whole,
    sessionId: headers['mcp-session-id'] ?? null,
    header: (name) => headers[name] ?? null,
  };
}
