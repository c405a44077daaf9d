// The base of every sink of ours: what its own code throws ends its exchange instead of surfacing in the event handler of some socket.
// Called by upstreams (events) through bridge/ and proxy/ (subclasses). Promises: after `ended` or `failed` nothing more is handed on; a throw becomes
// `failed` with GW_BASE_INTERNAL and its cause, exactly once.
import { type GatewayError, toGatewayError } from '../base/errors.ts';
import type { ReplyHead, UpstreamSink } from './upstream.ts';

/** Hands an upstream's events to a subclass, until the first end of any kind. `Head` is what its upstream's heads are besides. */
export abstract class ContainedSink<Head extends ReplyHead = ReplyHead> implements UpstreamSink {
  #isOver = false;

  /** True after the end: the subclass hears no more. */
  protected get over(): boolean {
    return this.#isOver;
  }

  protected abstract head(head: Head): void;
  /** False asks the upstream to pause. */
  protected abstract data(bytes: Uint8Array): boolean;
  protected abstract ended(): void;
  /** The reply failed, or this sink's own code did. Whoever overrides it lets go of a call that may still run. */
  protected abstract failed(error: GatewayError): void;

  /** The subclass found that it cannot go on. */
  protected breakOff(error: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.failed(error);
  }

  /** The subclass has all that it wants. */
  protected leave(): void {
    this.#isOver = true;
  }

  onHead(head: Head): void {
    if (this.#isOver) return;
    try {
      this.head(head);
    } catch (thrown) {
      this.breakOff(toGatewayError(thrown));
    }
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    try {
      return this.data(bytes);
    } catch (thrown) {
      this.breakOff(toGatewayError(thrown));
      return true;
    }
  }

  onEnd(): void {
    if (this.#isOver) return;
    try {
      this.ended();
      this.#isOver = true;
    } catch (thrown) {
      this.breakOff(toGatewayError(thrown));
    }
  }

  onFail(error: GatewayError): void {
    this.breakOff(error);
  }
}
