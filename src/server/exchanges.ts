// The exchanges under way at one front: a doubly linked list through the exchanges themselves.
// Called by http.ts. Promises: adding and removing allocate nothing and cost the same however many there are; event streams, which have no end of their own,
// are told apart from the rest.
import { EMPTY } from '../base/bytes.ts';
import type { Exchange } from '../exchange.ts';
import { listenResult } from '../mcp/merge.ts';
import { METHOD } from '../mcp/protocol.ts';
import { messageEvent } from '../mcp/sse.ts';
import type { Clock } from '../runtime/runtime.ts';
import { SsePlace } from './sse-place.ts';

/** Counts exchanges in and out. */
export class ExchangeList {
  #first: Exchange | null = null;
  #size = 0;
  /** Exchanges that somebody waits for, and who it is. */
  readonly #awaited = new Map<Set<Exchange>, () => void>();

  get size(): number {
    return this.#size;
  }

  add(exchange: Exchange): void {
    exchange.after = this.#first;
    if (this.#first !== null) this.#first.before = exchange;
    this.#first = exchange;
    this.#size++;
  }

  /** False when it is not in the list. */
  remove(exchange: Exchange): boolean {
    const { before, after } = exchange;
    if (before === null && this.#first !== exchange) return false;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after !== null) after.before = before;
    exchange.before = null;
    exchange.after = null;
    this.#size--;
    if (this.#awaited.size > 0) this.#tell(exchange);
    return true;
  }

  #tell(over: Exchange): void {
    for (const [some, onOver] of this.#awaited) if (some.delete(over) && some.size === 0) onOver();
  }

  /** All of them, newest first. */
  all(): readonly Exchange[] {
    const found: Exchange[] = [];
    for (let one = this.#first; one !== null; one = one.after) found.push(one);
    return found;
  }

  /** Resolves when those at these paths are over, event streams aside, or the time is up. */
  async settled(paths: ReadonlySet<string>, clock: Clock, withinMs: number): Promise<void> {
    const some = new Set(this.all().filter((one) => paths.has(one.endpoint.path) && !isEndless(one)));
    if (some.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(withinMs, resolve);
    this.#awaited.set(some, resolve);
    await promise;
    clock.cancel(timer);
    this.#awaited.delete(some);
  }

  /** Ends event streams at these paths (null: at all), as their servers would. A connection over HTTP+SSE ends its own. */
  endStreams(paths: ReadonlySet<string> | null): void {
    for (const exchange of this.all()) {
      const { endpoint, verb, requestId } = exchange;
      if (endpoint instanceof SsePlace || !isEndless(exchange)) continue;
      if (paths === null || paths.has(endpoint.path))
        exchange.close(verb === 'GET' ? null : messageEvent(listenResult(requestId ?? EMPTY)));
    }
  }
}

/** True for event streams: they last until somebody ends them. */
function isEndless({ verb, method }: Exchange): boolean {
  return verb === 'GET' || method === METHOD.listen;
}
