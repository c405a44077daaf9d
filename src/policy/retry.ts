// Requests that are sent again: whatever nothing was executed of, and what may be executed twice, as long as its client has nothing of a reply.
// Called by policies.ts. Promises: the contract of upstream.ts; a request that may have been executed, and may not be executed twice, is sent once; nothing is
// sent again for a client that left, beyond the deadline, or beyond the budget. A call that succeeds at once costs one object.
import type { ErrorCode, GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Random } from '../runtime/runtime.ts';
import type { RetrySettings } from '../upstream/spec.ts';
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { isContinued } from './asked.ts';
import { Budget } from './budget.ts';
import { Layer } from './layer.ts';
import { RetryCall, type RetryOwner, type RetryWorld } from './retry-call.ts';
import type { ToolBook } from './tool-book.ts';

/** What repeating takes. */
export interface RetryParts extends RetryWorld {
  readonly settings: RetrySettings;
  readonly book: ToolBook;
  readonly random: Pick<Random, 'fraction'>;
  /** True when there is another place to try. */
  readonly hasReplicas: boolean;
}

/**
 * Failures that come before the server can have begun: its row says so, and it is one of the way to the server. Refusals that are meant (shutting down, a
 * limit on sessions) are not worth another try. That a breaker is open is meant as well, unless another replica may serve.
 */
const UNEXECUTED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'GW_UPSTREAM_CONNECT',
  'GW_UPSTREAM_SEND',
  'GW_UPSTREAM_BUSY',
  'GW_UPSTREAM_STREAM',
  'GW_UPSTREAM_SPAWN',
  'GW_UPSTREAM_BACKOFF',
]);

/** Failures after which nobody knows whether the server has done it. */
const BREAKS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_TIMEOUT',
  'GW_UPSTREAM_IDLE',
  'GW_UPSTREAM_FRAMING',
  'GW_UPSTREAM_EXITED',
  'GW_PEER_LOST',
]);

/** No wait at all: it is not sent again. */
const NEVER = -1;

/** Sends requests again. */
export class RetryLayer extends Layer implements RetryOwner {
  readonly parts: RetryParts;
  readonly #budget: Budget;
  readonly #waiting = new Set<RetryCall>();

  constructor(inner: Upstream, parts: RetryParts) {
    super(inner);
    this.parts = parts;
    const { budgetPercent, perSecondMin } = parts.settings;
    this.#budget = new Budget({
      percent: budgetPercent,
      perSecond: perSecondMin,
      burstMax: LIMITS.retryBurstMax,
    });
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (request.verb !== 'POST') return this.inner.send(request, sink);
    this.#budget.earn();
    const { hasReplicas, clock } = this.parts;
    const first = hasReplicas ? { ...request, tried: [] } : request;
    const call = new RetryCall(this, first, sink, request.startedAtMs ?? clock.now());
    call.begin(this.inner.send(first, call));
    return call;
  }

  /** Lets go of what waits to be sent again: it fails as it last did. */
  override close(withinMs: number): Promise<void> {
    for (const call of this.#waiting) call.giveUp();
    return this.inner.close(withinMs);
  }

  again(request: UpstreamRequest, call: RetryCall): UpstreamCall {
    this.#waiting.delete(call);
    return this.inner.send(request, call);
  }

  forget(call: RetryCall): void {
    this.#waiting.delete(call);
  }

  isRepeatable(request: UpstreamRequest): boolean {
    return this.parts.book.isRepeatable(request);
  }

  waitAfter(error: GatewayError, call: RetryCall, request: UpstreamRequest, tries: number): number {
    if (!this.#isWorthIt(error, request)) return NEVER;
    return this.#waitFor(call, request, tries, 0);
  }

  waitAfterStatus(call: RetryCall, request: UpstreamRequest, tries: number, afterMs: number): number {
    if (afterMs > this.parts.settings.backoffMaxMs || !this.isRepeatable(request)) return NEVER;
    return this.#waitFor(call, request, tries, afterMs);
  }

  #isWorthIt({ code }: GatewayError, request: UpstreamRequest): boolean {
    if (UNEXECUTED.has(code)) return !isContinued(request);
    if (code === 'GW_UPSTREAM_OPEN') return this.#mayMove(request) && !isContinued(request);
    return BREAKS.has(code) && this.isRepeatable(request);
  }

  /** True when another replica may serve it: a session is where it is. */
  #mayMove(request: UpstreamRequest): boolean {
    return this.parts.hasReplicas && request.session === null;
  }

  #waitFor(call: RetryCall, request: UpstreamRequest, tries: number, leastMs: number): number {
    const { settings, book, clock, random, totalMs } = this.parts;
    if (tries >= (book.ruleOf(request)?.retries ?? settings.max)) return NEVER;
    const isElsewhere = tries === 0 && leastMs === 0 && this.#mayMove(request);
    const backoffMs = Math.min(settings.backoffMaxMs, settings.backoffMs * 2 ** tries);
    const waitMs = isElsewhere ? 0 : Math.max(leastMs, backoffMs * (0.5 + random.fraction()));
    const nowMs = clock.now();
    if (nowMs + waitMs >= call.startedMs + totalMs || !this.#budget.take(nowMs)) return NEVER;
    this.#waiting.add(call);
    return waitMs;
  }
}
