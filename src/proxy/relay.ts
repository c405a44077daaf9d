// A reply body that is produced over time: bytes go to the client as they come, with back-pressure, and end exactly once.
// Called by forward.ts, member.ts and bridge/sessions through proxy. Promises: bytes written before the runtime opened the stream are kept
// in order; after the end nothing is sent.
import type { ReplySink, ReplyStream } from '../runtime/runtime.ts';

type State = 'open' | 'ended' | 'failed';

/** A body that its producer writes to while the client reads it. */
export class StreamBody implements ReplyStream {
  #sink: ReplySink | null = null;
  #early: Uint8Array[] = [];
  #state: State = 'open';
  #onRoom: (() => void) | null = null;

  /** Called each time a slow client has room again. */
  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  open(sink: ReplySink): void {
    this.#sink = sink;
    sink.onDrain(() => this.#onRoom?.());
    let room = true;
    for (const bytes of this.#early) room = sink.write(bytes);
    const waited = this.#early.length > 0;
    this.#early = [];
    if (this.#state === 'ended') sink.end();
    else if (this.#state === 'failed') sink.fail();
    else if (waited && room) this.#onRoom?.();
  }

  /** Sends bytes; false when the client is slower than they come, or has not opened the stream yet. They are always taken. */
  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return true;
    if (this.#sink !== null) return this.#sink.write(bytes);
    this.#early.push(bytes);
    return false;
  }

  /** Ends the body properly. */
  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#sink?.end();
  }

  /** Breaks the connection, so that the client can tell that the body is cut. */
  fail(): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#sink?.fail();
  }

  get ended(): boolean {
    return this.#state !== 'open';
  }
}
