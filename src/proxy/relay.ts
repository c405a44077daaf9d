// A reply body that is produced over time: bytes go to the client as they come, with back-pressure, and end exactly once.
// Called by forward.ts, member-relay.ts, listen.ts, batch.ts and legacy-streams.ts. Promises: bytes written before the runtime opened the stream are kept
// in order; after the end nothing is sent; a producer that cannot be paused is told when its client has left too much unread.
import { LIMITS } from '../base/limits.ts';
import type { LiveBody } from '../exchange.ts';
import { KEEP_ALIVE } from '../mcp/sse.ts';
import type { ReplySink } from '../runtime/runtime.ts';

type State = 'open' | 'ended' | 'failed';

const LF_LF = 0x0a0a;
const CR_CR = 0x0d0d;
const LF_CR_LF = 0x0a0d0a;

/** A body that its producer writes to while the client reads it. */
export class StreamBody implements LiveBody {
  readonly #isEvents: boolean;
  #sink: ReplySink | null = null;
  /** What was written before the runtime opened the stream; null when nothing was. */
  #early: Uint8Array[] | null = null;
  #state: State = 'open';
  #onRoom: (() => void) | null = null;
  /** Bytes written since the client fell behind; what the runtime still holds is at most that. */
  #unread = 0;
  #isBehind = true;
  #isAwaitingRoom = false;
  /** The last bytes written, as a number: tells whether an event is half sent. */
  #tail = LF_LF;
  bytes = 0;

  /** `bytes` is for bodies that are no event stream: nothing is ever put between their bytes. */
  constructor(kind: 'events' | 'bytes' = 'events') {
    this.#isEvents = kind === 'events';
  }

  /** Called each time a slow client has room again. */
  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  open(sink: ReplySink): void {
    this.#sink = sink;
    const early = this.#early ?? [];
    this.#early = null;
    let hasRoom = true;
    for (const bytes of early) hasRoom = sink.write(bytes);
    if (this.#state === 'ended') sink.end();
    else if (this.#state === 'failed') sink.fail();
    else if (hasRoom) {
      this.#caughtUp();
      if (early.length > 0) this.#onRoom?.();
    } else this.#awaitRoom(sink);
  }

  /** Asked for only once the client is behind: most streams wait for events instead. */
  #awaitRoom(sink: ReplySink): void {
    if (this.#isAwaitingRoom) return;
    this.#isAwaitingRoom = true;
    sink.onDrain(() => {
      this.#caughtUp();
      this.#onRoom?.();
    });
  }

  #caughtUp(): void {
    this.#isBehind = false;
    this.#unread = 0;
  }

  /** Sends bytes; false when the client is slower than they come, or has not opened the stream yet. They are always taken. */
  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open' || bytes.length === 0) return true;
    this.#remember(bytes);
    this.bytes += bytes.length;
    if (this.#sink === null) this.#writeEarly(bytes);
    else if (this.#sink.write(bytes)) return true;
    else this.#awaitRoom(this.#sink);
    this.#isBehind = true;
    this.#unread += bytes.length;
    return false;
  }

  #writeEarly(bytes: Uint8Array): void {
    if (this.#early === null) this.#early = [bytes];
    else this.#early.push(bytes);
  }

  /** Sends an event of a producer that cannot be paused; false, and nothing is sent, when the client has left too much unread. */
  offer(event: Uint8Array): boolean {
    if (this.#unread > LIMITS.downstreamBufferBytesMax) return false;
    this.write(event);
    return true;
  }

  /** Sends a comment as the first bytes, so that the head leaves at once. */
  greet(): void {
    this.write(KEEP_ALIVE);
  }

  keepAlive(): void {
    if (this.#state !== 'open' || this.#isBehind || !this.#isBetweenEvents) return;
    this.write(KEEP_ALIVE);
  }

  endWith(event: Uint8Array): boolean {
    if (this.#state !== 'open' || !this.#isBetweenEvents) return false;
    this.write(event);
    this.end();
    return true;
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#sink?.end();
  }

  fail(): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#early = null;
    this.#sink?.fail();
  }

  get ended(): boolean {
    return this.#state !== 'open';
  }

  get #isBetweenEvents(): boolean {
    const two = this.#tail & 0xffff;
    return this.#isEvents && (two === LF_LF || two === CR_CR || (this.#tail & 0xffffff) === LF_CR_LF);
  }

  #remember(bytes: Uint8Array): void {
    for (let i = Math.max(0, bytes.length - 3); i < bytes.length; i++)
      this.#tail = ((this.#tail << 8) | (bytes[i] ?? 0)) & 0xffffff;
  }
}
