// A URL server of which it is not known whether it speaks Streamable HTTP or the HTTP+SSE transport of 2024-11-05: `transport: auto`.
// Called by create.ts. Promises: the contract of upstream.ts; Streamable HTTP is spoken until an initialize is refused as such servers refuse it and a GET of the
// same URL names an endpoint (the check of the specification, §transports, backwards compatibility); a refusal that was none of that reaches the client as it
// came; the verdict is looked into again after a while. Until then, and for servers of Streamable HTTP for good, a call costs one comparison.
import { LIMITS } from '../base/limits.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { firstByteBoundMs } from './deadline.ts';
import type { ServerSpec } from './spec.ts';
import type { SseUpstream } from './sse.ts';
import { AttemptSink, type Held, JudgingSink, SwitchedCall, WatchSink } from './sse-detect-sinks.ts';
import { place, spanIs } from './stdio-message.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink, UpstreamStats } from './upstream.ts';

/** What detection takes. */
export interface DetectParts {
  readonly spec: ServerSpec;
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly log: Log;
  readonly http: Upstream;
  /** Makes the other transport over the same `http`, which that one closes; called when it is first needed. */
  readonly makeSse: () => SseUpstream;
}

/** Makes one upstream of both transports. */
export function createDetecting(parts: DetectParts): Upstream {
  return new DetectingUpstream(parts);
}

class DetectingUpstream implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #parts: DetectParts;
  readonly #http: Upstream;
  #sse: SseUpstream | null = null;
  /** The server was found to speak HTTP+SSE; it is asked again after `recheckMs`. */
  #isSse = false;
  #recheckMs = 0;

  constructor(parts: DetectParts) {
    this.name = parts.spec.name;
    this.transport = parts.http.transport;
    this.#parts = parts;
    this.#http = parts.http;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { session, era, verb } = request;
    if (session === null && era === 'legacy' && verb === 'POST') {
      if (isInitialize(request)) return this.#initialize(request, sink);
    } else if (session !== null && this.#sse?.has(session) === true) return this.#sse.send(request, sink);
    return this.#spoken.send(request, sink);
  }

  get #spoken(): Upstream {
    return this.#isSse && this.#sse !== null ? this.#sse : this.#http;
  }

  #initialize(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { clock } = this.#parts;
    if (this.#isSse && clock.now() < this.#recheckMs)
      return this.#spoken.send(request, new WatchSink(sink, () => this.#doubt()));
    const startedAtMs = clock.now();
    const call = new SwitchedCall();
    const judging = new JudgingSink(sink, this.#parts.scanner, {
      onAccepted: () => {
        this.#isSse = false;
      },
      onRefused: (held) => {
        const leftMs = firstByteBoundMs(this.#parts.spec, request) - (clock.now() - startedAtMs);
        this.#trySse({ ...request, timeoutMs: Math.max(1, Math.floor(leftMs)) }, { sink, call, held });
      },
    });
    call.follow(this.#http.send(request, judging));
    return call;
  }

  #trySse(request: UpstreamRequest, { sink, call, held }: Attempt): void {
    if (call.isOver) return;
    this.#sse ??= this.#parts.makeSse();
    const sse = this.#sse;
    const before = sse.endpoints;
    const spoken = (): boolean => {
      const isFound = sse.endpoints > before;
      if (isFound) this.#found();
      else this.#isSse = false;
      return isFound;
    };
    call.follow(sse.send(request, new AttemptSink(sink, spoken, () => held.replay(sink, call))));
  }

  #found(): void {
    const { clock, log } = this.#parts;
    if (!this.#isSse) log.info('the MCP server speaks the HTTP+SSE transport of 2024-11-05');
    this.#isSse = true;
    this.#recheckMs = clock.now() + LIMITS.sseVerdictMs;
  }

  /** No event stream any more: it may speak the other transport now. */
  #doubt(): void {
    this.#recheckMs = 0;
  }

  isPiped(): boolean {
    return this.#isSse;
  }

  stats(): UpstreamStats {
    return (this.#sse ?? this.#http).stats();
  }

  nudged(): void {
    this.#http.nudged?.();
  }

  sweep(): void {
    (this.#sse ?? this.#http).sweep?.();
  }

  close(withinMs: number): Promise<void> {
    return (this.#sse ?? this.#http).close(withinMs);
  }
}

/** An initialize that goes over HTTP+SSE because of what Streamable HTTP said to it. */
interface Attempt {
  readonly sink: UpstreamSink;
  readonly call: SwitchedCall;
  readonly held: Held;
}

function isInitialize({ body, envelope }: UpstreamRequest): boolean {
  return (
    envelope !== null &&
    place(envelope, ENVELOPE.kind) === KIND.request &&
    spanIs(body, envelope, ENVELOPE.method, METHOD.initialize)
  );
}
