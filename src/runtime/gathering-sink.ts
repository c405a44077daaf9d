// The base of reply bodies that are produced over time and sent by ourselves: gathers what comes within a turn.
// Called by http1-sink.ts, node-http-stream.ts and node-uws-stream.ts, which send. Promises: runtime.ts's ReplySink as far as its subclass keeps it; bytes of one turn leave
// together, large ones at once; after the end, and once nobody takes anything any more, writes are ignored.
import { concat, EMPTY } from '../base/bytes.ts';
import type { ReplySink } from './runtime.ts';

/** Bytes that are gathered before they are sent within a turn. */
const GATHERED_BYTES_MAX = 64 * 1024;

/** Gathers bytes and hands them on once a turn. */
export abstract class GatheringSink implements ReplySink {
  protected isEnded = false;
  protected isFull = false;
  protected isScheduled = false;
  protected drainCallback: (() => void) | null = null;
  private parts: Uint8Array[] = [];
  private partBytes = 0;

  /** Nobody takes anything any more. */
  protected abstract get isOver(): boolean;
  /** Sends what was gathered, which may be nothing; isEnded says whether more follows. */
  protected abstract send(body: Uint8Array): void;
  /** Breaks the connection; nothing is to be sent afterwards. */
  protected abstract breakOff(): void;

  protected get isDeaf(): boolean {
    return this.isEnded || this.isOver;
  }

  write(bytes: Uint8Array): boolean {
    if (this.isDeaf || bytes.length === 0) return !this.isFull;
    this.parts.push(bytes);
    this.partBytes += bytes.length;
    if (this.partBytes >= GATHERED_BYTES_MAX) this.flush();
    else this.flushSoon();
    return !this.isFull;
  }

  end(): void {
    if (this.isDeaf) return;
    this.isEnded = true;
    this.flushSoon();
  }

  fail(): void {
    if (!this.isDeaf) this.breakOff();
  }

  onDrain(callback: () => void): void {
    this.drainCallback = callback;
  }

  protected flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(this.flush);
  }

  private readonly flush = (): void => {
    this.isScheduled = false;
    if (this.isOver) return;
    const body = this.parts.length === 0 ? EMPTY : concat(this.parts);
    this.parts = [];
    this.partBytes = 0;
    this.send(body);
  };
}
