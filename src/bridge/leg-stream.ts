// Sinks of a session's legs: the event stream that a member server opened, and replies that nobody needs.
// Called by session.ts. Promises: a stream that cannot be used is drained quietly; its end is told exactly once.
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { type Message, readMessage } from '../mcp/envelope.ts';
import { EventReader, type StreamEvent } from '../mcp/sse.ts';
import type { Scanner } from '../scan/contract.ts';
import type { ReplyHead, UpstreamSink } from '../upstream/upstream.ts';

/** Reads a leg's event stream. */
export class LegStreamSink implements UpstreamSink {
  readonly #reader: EventReader;
  readonly #scanner: Scanner;
  readonly #onMessage: (message: Message, event: StreamEvent) => void;
  readonly #onOver: () => void;
  #usable = false;

  constructor(
    scanner: Scanner,
    onMessage: (message: Message, event: StreamEvent) => void,
    onOver: () => void,
  ) {
    this.#scanner = scanner;
    this.#reader = new EventReader(scanner);
    this.#onMessage = onMessage;
    this.#onOver = onOver;
  }

  onHead(head: ReplyHead): void {
    // 405 is how a server says that it offers no such stream.
    this.#usable = head.status === 200 && head.media === 'event-stream';
  }

  onData(bytes: Uint8Array): boolean {
    if (!this.#usable) return true;
    try {
      this.#reader.push(bytes, (event) => {
        if (event.data.length === 0) return;
        const message = readMessage(this.#scanner, event.data);
        if (!(message instanceof GatewayError)) this.#onMessage(message, event);
      });
    } catch (thrown) {
      this.#usable = false;
      this.onFail(toGatewayError(thrown));
    }
    return true;
  }

  onEnd(): void {
    this.#onOver();
  }

  onFail(_error: GatewayError): void {
    this.#onOver();
  }
}

/** For requests whose reply nobody needs. */
export class IgnoreSink implements UpstreamSink {
  onHead(): void {}
  onData(): boolean {
    return true;
  }
  onEnd(): void {}
  onFail(): void {}
}
