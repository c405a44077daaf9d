// A reply body that is produced over time, on an HTTP/1.1 connection.
// Called by http1-connection.ts and by whoever produces the body. Promises: bytes of one turn leave together, the first with the head; what is
// complete before it began goes out whole; a full client shows as false and later onDrain; fail() breaks the connection.
import { concat, EMPTY, encode } from '../base/bytes.ts';
import type { ReplySink } from './runtime.ts';

/** The connection, as a sink sees it. */
export interface SinkConnection {
  send(bytes: Uint8Array): boolean;
  sendKept(head: Uint8Array, body: Uint8Array): void;
  finish(): void;
  breakOff(): void;
  closing: boolean;
}

/** Bytes that are gathered before they are sent within a turn. */
const GATHERED_BYTES_MAX = 64 * 1024;
const CRLF = encode('\r\n');
const LAST_CHUNK = encode('0\r\n\r\n');
const CHUNKED_LINE = encode('transfer-encoding: chunked\r\n\r\n');
/** Until the connection closes, which the head has said already. */
const BLANK_LINE = encode('\r\n');

/** One streamed body. */
export class ChunkedSink implements ReplySink {
  private readonly connection: SinkConnection;
  private readonly framing: 'chunked' | 'close';
  private readonly headOnly: boolean;
  private head: Uint8Array | null;
  private parts: Uint8Array[] = [];
  private partBytes = 0;
  private ended = false;
  private over = false;
  private isFull = false;
  private isScheduled = false;
  private drainCallback: (() => void) | null = null;

  constructor(connection: SinkConnection, head: Uint8Array, framing: 'chunked' | 'close', headOnly: boolean) {
    this.connection = connection;
    this.head = head;
    this.framing = framing;
    this.headOnly = headOnly;
  }

  /** Nothing has left yet. */
  get isUnsent(): boolean {
    return this.head !== null;
  }

  /** open() has returned: the head leaves, with what is there. */
  opened(): void {
    this.flushSoon();
  }

  write(bytes: Uint8Array): boolean {
    if (this.ended || this.over || bytes.length === 0) return !this.isFull;
    this.parts.push(bytes);
    this.partBytes += bytes.length;
    if (this.partBytes >= GATHERED_BYTES_MAX) this.flush();
    else this.flushSoon();
    return !this.isFull;
  }

  end(): void {
    if (this.ended || this.over) return;
    this.ended = true;
    this.flushSoon();
  }

  fail(): void {
    if (this.ended || this.over) return;
    this.over = true;
    this.connection.breakOff();
  }

  onDrain(callback: () => void): void {
    this.drainCallback = callback;
  }

  /** The client took what waited. */
  drained(): void {
    if (!this.isFull) return;
    this.isFull = false;
    if (!this.ended && !this.over) this.drainCallback?.();
  }

  /** The client left. */
  left(): void {
    this.over = true;
  }

  private flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(this.flush);
  }

  private readonly flush = (): void => {
    this.isScheduled = false;
    if (this.over) return;
    const body = this.parts.length === 0 ? EMPTY : concat(this.parts);
    this.parts = [];
    this.partBytes = 0;
    if (this.head !== null && this.ended) {
      this.connection.sendKept(this.head, body);
      return this.finish();
    }
    this.send(body);
    if (this.ended) this.finish();
  };

  private send(body: Uint8Array): void {
    const chunked = this.framing === 'chunked';
    const parts: Uint8Array[] = [];
    if (this.head !== null) parts.push(this.head, chunked ? CHUNKED_LINE : BLANK_LINE);
    this.head = null;
    if (!chunked) this.connection.closing = true;
    const isBare = body.length === 0 || this.headOnly;
    if (!isBare && chunked) parts.push(encode(`${body.length.toString(16)}\r\n`));
    if (!isBare) parts.push(body);
    if (!isBare && chunked) parts.push(CRLF);
    if (this.ended && chunked && !this.headOnly) parts.push(LAST_CHUNK);
    if (parts.length > 0 && !this.connection.send(concat(parts)) && !this.ended) this.isFull = true;
  }

  private finish(): void {
    this.over = true;
    this.connection.finish();
  }
}
