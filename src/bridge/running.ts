// The requests of one legacy session that run, or ran until their stream broke off.
// Called by session.ts and proxy/aggregate-legacy.ts. Promises: a request is found by its id as the client spelled it; bounded: the oldest gives way; what was
// answered is forgotten.
import { type Message, rawKey } from '../mcp/envelope.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Leg } from './leg.ts';

interface Running {
  readonly leg: Leg;
  readonly method: string;
}

const RUNNING_MAX = 1_024;

/** Requests by raw id, for cancellation and for streams that are taken up again. */
export class RunningCalls {
  /** Made for the first request: most sessions wait most of the time. */
  #byId: Map<string, Running> | null = null;
  #open = 0;
  readonly #onOver: () => void;

  /** `onOver` hears of each request whose stream is over. */
  constructor(onOver: () => void = () => undefined) {
    this.#onOver = onOver;
  }

  /** Requests under way. */
  get open(): number {
    return this.#open;
  }

  /** A request begins at a leg. Returns what to call, once or more often, when its stream is over: it is remembered until it is answered. */
  begin(id: string, leg: Leg, method: string): (isAnswered: boolean) => void {
    const own: Running = { leg, method };
    const byId = this.#byId ?? new Map<string, Running>();
    this.#byId = byId;
    this.#open++;
    byId.delete(id);
    if (byId.size >= RUNNING_MAX) byId.delete(byId.keys().next().value ?? '');
    byId.set(id, own);
    let isOver = false;
    return (isAnswered) => {
      if (!isOver) {
        this.#open--;
        this.#onOver();
      }
      isOver = true;
      if (isAnswered && byId.get(id) === own) byId.delete(id);
    };
  }

  /** The session is in use until this is done, which has no leg, or none yet. */
  during<T>(work: Promise<T>): Promise<T> {
    this.#open++;
    return work.finally(() => {
      this.#open--;
      this.#onOver();
    });
  }

  /** Where a request runs, or null. */
  legOf(id: string | null): Leg | null {
    return this.#byId?.get(id ?? '')?.leg ?? null;
  }

  /** Method of the request that a response answers, '' when it is not known; it is forgotten with that. */
  answered(response: Message): string {
    const id = rawKey(response.bytes, response.envelope, ENVELOPE.id) ?? '';
    const method = this.#byId?.get(id)?.method ?? '';
    this.#byId?.delete(id);
    return method;
  }
}
