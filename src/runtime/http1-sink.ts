// A reply body that is produced over time, on an HTTP/1.1 connection.
// Called by http1-connection.ts and by whoever produces the body. Promises: bytes of one turn leave together, the first with the head; what is
// complete before it began goes out whole; a full client shows as false and later onDrain; fail() breaks the connection.
import { concat, encode } from '../base/bytes.ts';
import { GatheringSink } from './gathering-sink.ts';

/** The connection, as a sink sees it. */
export interface SinkConnection {
  send(bytes: Uint8Array): boolean;
  sendKept(head: Uint8Array, body: Uint8Array): void;
  finish(): void;
  breakOff(): void;
  closing: boolean;
}

const CRLF = encode('\r\n');
const LAST_CHUNK = encode('0\r\n\r\n');
const CHUNKED_LINE = encode('transfer-encoding: chunked\r\n\r\n');
/** Until the connection closes, which the head has said already. */
const BLANK_LINE = encode('\r\n');

/** One streamed body. */
export class ChunkedSink extends GatheringSink {
  private readonly connection: SinkConnection;
  private readonly framing: 'chunked' | 'close';
  private readonly headOnly: boolean;
  private head: Uint8Array | null;
  private over = false;

  constructor(connection: SinkConnection, head: Uint8Array, framing: 'chunked' | 'close', headOnly: boolean) {
    super();
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

  protected get isOver(): boolean {
    return this.over;
  }

  protected breakOff(): void {
    this.over = true;
    this.connection.breakOff();
  }

  /** The client took what waited. */
  drained(): void {
    if (!this.isFull) return;
    this.isFull = false;
    if (!this.isDeaf) this.drainCallback?.();
  }

  /** The client left. */
  left(): void {
    this.over = true;
  }

  protected send(body: Uint8Array): void {
    if (this.head !== null && this.isEnded) {
      this.connection.sendKept(this.head, body);
      return this.finish();
    }
    this.sendPart(body);
    if (this.isEnded) this.finish();
  }

  private sendPart(body: Uint8Array): void {
    const chunked = this.framing === 'chunked';
    const parts: Uint8Array[] = [];
    if (this.head !== null) parts.push(this.head, chunked ? CHUNKED_LINE : BLANK_LINE);
    this.head = null;
    if (!chunked) this.connection.closing = true;
    const isBare = body.length === 0 || this.headOnly;
    if (!isBare && chunked) parts.push(encode(`${body.length.toString(16)}\r\n`));
    if (!isBare) parts.push(body);
    if (!isBare && chunked) parts.push(CRLF);
    if (this.isEnded && chunked && !this.headOnly) parts.push(LAST_CHUNK);
    if (parts.length > 0 && !this.connection.send(concat(parts)) && !this.isEnded) this.isFull = true;
  }

  private finish(): void {
    this.over = true;
    this.connection.finish();
  }
}
