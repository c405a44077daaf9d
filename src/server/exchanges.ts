// The exchanges under way at one front: a doubly linked list through the exchanges themselves.
// Called by http.ts. Promises: adding and removing allocate nothing and cost the same however many there are.
import type { Exchange } from '../exchange.ts';

/** Counts exchanges in and out. */
export class ExchangeList {
  #first: Exchange | null = null;
  #size = 0;

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
    return true;
  }

  /** All of them, newest first. */
  all(): readonly Exchange[] {
    const found: Exchange[] = [];
    for (let one = this.#first; one !== null; one = one.after) found.push(one);
    return found;
  }
}
