// A bound on the requests that one server, or one endpoint, has under way at once, of all workers.
// Called by policies.ts, where there is such a bound. Promises: never more than the bound; what is refused was not sent; a place is given back exactly once,
// however the request ends. Event streams that last and notifications take none.
import { GatewayError } from '../base/errors.ts';
import { kindOf } from '../mcp/envelope.ts';
import type { CallCell } from '../memory/call-cell.ts';
import type { Clock } from '../runtime/runtime.ts';
import { KIND } from '../scan/contract.ts';
import { isEndless } from '../upstream/deadline.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import { Layer } from './layer.ts';

/** What the bound takes. */
export interface ConcurrencyParts {
  readonly max: number;
  readonly cell: CallCell;
  readonly clock: Pick<Clock, 'soon'>;
  /** What is bounded: a server or an endpoint, as messages name it. */
  readonly whose: string;
  /** Requests that take no place; left out: those alone that last. */
  readonly isExempt?: (request: UpstreamRequest) => boolean;
}

/** Refuses what is too much. */
export class ConcurrencyLayer extends Layer {
  readonly #parts: ConcurrencyParts;

  constructor(inner: Upstream, parts: ConcurrencyParts) {
    super(inner);
    this.#parts = parts;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { max, cell, clock, whose, isExempt } = this.#parts;
    const isRequest = request.envelope !== null && kindOf(request.envelope) === KIND.request;
    if (!isRequest || isEndless(request) || isExempt?.(request) === true)
      return this.inner.send(request, sink);
    if (cell.acquire(max)) {
      const call = new CountedCall(sink, cell);
      call.begin(this.inner.send(request, call));
      return call;
    }
    let isOver = false;
    clock.soon(() => {
      if (!isOver)
        sink.onFail(new GatewayError('GW_POLICY_BUSY', `${whose} has ${max} under way (concurrencyMax)`));
    });
    return {
      resume: () => undefined,
      abort: () => {
        isOver = true;
      },
    };
  }
}

/** One request that has a place. */
class CountedCall implements UpstreamCall, UpstreamSink {
  private readonly sink: UpstreamSink;
  private readonly cell: CallCell;
  private inner: UpstreamCall | null = null;
  private hasPlace = true;

  constructor(sink: UpstreamSink, cell: CallCell) {
    this.sink = sink;
    this.cell = cell;
  }

  begin(inner: UpstreamCall): void {
    this.inner = inner;
  }

  resume(): void {
    this.inner?.resume();
  }

  /** It waits for its client from now on: others may be served meanwhile. */
  outlast(): void {
    this.giveBack();
    this.inner?.outlast?.();
  }

  abort(): void {
    this.giveBack();
    this.inner?.abort();
  }

  onHead(head: ReplyHead): void {
    this.sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.sink.onData(bytes);
  }

  onEnd(): void {
    this.giveBack();
    this.sink.onEnd();
  }

  onFail(error: GatewayError): void {
    this.giveBack();
    this.sink.onFail(error);
  }

  private giveBack(): void {
    if (!this.hasPlace) return;
    this.hasPlace = false;
    this.cell.release();
  }
}
