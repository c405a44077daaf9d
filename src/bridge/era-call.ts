// A request of which it is not decided yet who serves it.
// Called by era.ts. Promises: what the client does meanwhile (leave, go on reading) reaches whoever serves it in the end; what the client left is never sent.
import type { UpstreamCall } from '../upstream/upstream.ts';

/** The client's hold on it. */
export class EraCall implements UpstreamCall {
  #server: UpstreamCall | null = null;
  #onLeft: (() => void) | null = null;
  #isOver = false;

  /** True once the client left. */
  get over(): boolean {
    return this.#isOver;
  }

  /** It is served by this call from now on. */
  follow(call: UpstreamCall): void {
    this.#onLeft = null;
    if (this.#isOver) call.abort();
    else this.#server = call;
  }

  /** Nobody serves it for now; `onLeft` is called when the client leaves. */
  pause(onLeft: (() => void) | null): void {
    this.#server = null;
    this.#onLeft = onLeft;
  }

  resume(): void {
    this.#server?.resume();
  }

  outlast(): void {
    this.#server?.outlast?.();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const onLeft = this.#onLeft;
    this.#onLeft = null;
    this.#server?.abort();
    onLeft?.();
  }
}
