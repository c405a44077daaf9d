// Reads one HTTP/1.1 reply at a time from the bytes of a connection: interim replies, head, body.
// Called by http-connection.ts. Promises: pure and synchronous; the same reply comes out however its bytes were cut; a head is parsed in
// the buffer that it arrived in and joined only when it was cut; whatever could be read in two ways is a fault.
import { EMPTY } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { BodyDecoder } from '../base/http-body.ts';
import { LIMITS } from '../base/limits.ts';
import { HEAD, HEAD_RESULT, MEDIA, type Scanner } from '../scan/contract.ts';
import { framingOf, headFault, isRefusal, refusalDetail } from './reply-head.ts';

const LF = 10;

/** What feed() found. */
export const READ = Object.freeze({
  /** Nothing to tell yet, or a fault (see `fault`). */
  nothing: 0,
  /** The head, and in `body` what came of the body. */
  head: 1,
  /** A piece of the body. */
  body: 2,
});

/** One per connection; reset() makes it ready for the next reply. */
export class ReplyReader {
  /** The last event's body bytes, EMPTY when there were none. */
  body: Uint8Array = EMPTY;
  /** The reply is complete. */
  complete = false;
  /** Bytes came behind the complete reply. */
  junk = false;
  /** Why the reply cannot be used, or null. `body` may still hold bytes that came before the fault. */
  fault: ErrorCode | null = null;
  detail = '';
  /** Known body length, or -1; after READ.head. */
  length = -1;
  /** The connection can be used again, as far as the reply says; after READ.head. */
  reusable = false;
  /** The reply is an event stream; after READ.head. */
  streaming = false;
  /** The bytes that the scanner's numbers are about; for the turn of READ.head only. */
  headBytes: Uint8Array = EMPTY;

  private readonly scanner: Scanner;
  private readonly head: Int32Array;
  private readonly decoder = new BodyDecoder();
  private inBody = false;
  private held: Uint8Array | null = null;
  private heldBytes = 0;
  private interimBytes = 0;

  /** `head` takes the scanner's numbers; several readers may share it, since it is only read in the turn of READ.head. */
  constructor(scanner: Scanner, head: Int32Array) {
    this.scanner = scanner;
    this.head = head;
  }

  reset(): void {
    this.body = EMPTY;
    this.headBytes = EMPTY;
    this.complete = false;
    this.junk = false;
    this.fault = null;
    this.inBody = false;
    this.interimBytes = 0;
    if (this.held !== null) this.forgetHeld();
  }

  /** Lets go of the last event's bytes: a connection that waits for the next ones holds none. */
  forgetEvent(): void {
    this.body = EMPTY;
    this.headBytes = EMPTY;
  }

  /** True between the head and the end of the body. */
  get midBody(): boolean {
    return this.inBody && !this.complete;
  }

  /** True while not a single byte of a reply has come. */
  get silent(): boolean {
    return !this.inBody && this.held === null && this.interimBytes === 0;
  }

  /** Takes the bytes of one read and returns a READ code; look at `fault` and `complete` then. Not to be called after either. */
  feed(bytes: Uint8Array): number {
    if (this.inBody) {
      this.decode(bytes, 0);
      return READ.body;
    }
    if (this.held === null) return this.readHead(bytes);
    this.hold(bytes);
    // A head only ends with a newline: parsing again without one would make slow heads quadratic.
    const worthIt = bytes.includes(LF) || this.heldBytes > LIMITS.replyHeadBytesMax;
    return worthIt ? this.readHead(this.holding()) : READ.nothing;
  }

  /** The peer ended the connection; sets `complete` when that ends the reply, else `fault`. `broken`: it was not a proper end. */
  endOfConnection(broken: boolean): void {
    if (this.inBody && this.decoder.endsWithConnection && !broken) {
      this.body = EMPTY;
      this.complete = true;
      return;
    }
    const result = this.inBody || this.silent ? HEAD_RESULT.more : this.parse(this.holding());
    if (result === HEAD_RESULT.more) this.refuse('GW_UPSTREAM_CLOSED', this.whereEnded());
    else this.refuse(...headFault(result));
  }

  private whereEnded(): string {
    if (this.inBody) return 'within the body of the reply';
    return this.silent ? 'before the reply began' : 'within the head of the reply';
  }

  private refuse(code: ErrorCode, detail: string): void {
    this.fault = code;
    this.detail = detail;
  }

  private parse(bytes: Uint8Array): number {
    return this.scanner.head(bytes, 0, bytes.length, this.head);
  }

  private readHead(received: Uint8Array): number {
    let bytes = received;
    for (;;) {
      const result = this.parse(bytes);
      if (result === HEAD_RESULT.more) {
        if (this.held === null) this.hold(bytes);
        return READ.nothing;
      }
      if (result !== HEAD_RESULT.ok) {
        this.refuse(...headFault(result));
        return READ.nothing;
      }
      const status = this.head[HEAD.status] ?? 0;
      this.forgetHeld();
      if (status >= 200 || status === 101) return this.startBody(bytes);
      const bodyStart = this.head[HEAD.bodyStart] ?? 0;
      this.skipInterim(bodyStart);
      bytes = bytes.subarray(bodyStart);
      if (this.fault !== null || bytes.length === 0) return READ.nothing;
    }
  }

  /** 1xx replies say nothing that matters here, but must not be endless or have a body. */
  private skipInterim(headBytes: number): void {
    this.interimBytes += headBytes;
    if ((this.head[HEAD.contentLength] ?? -1) >= 0 || this.head[HEAD.chunked] === 1) {
      this.refuse('GW_UPSTREAM_FRAMING', 'an interim reply announces a body');
    } else if (this.interimBytes > LIMITS.replyHeadBytesMax) {
      this.refuse('GW_UPSTREAM_HEAD_SIZE', 'too many interim replies');
    }
  }

  private startBody(bytes: Uint8Array): number {
    const head = this.head;
    const framing = framingOf(bytes, head, LIMITS.replyBodyBytesMax);
    if (isRefusal(framing)) {
      this.refuse(framing, refusalDetail(framing));
      return READ.nothing;
    }
    const announced = head[HEAD.contentLength] ?? -1;
    this.length = framing === 'none' ? 0 : framing === 'length' ? announced : -1;
    this.reusable =
      head[HEAD.keepAlive] === 1 && framing !== 'close' && !(framing === 'none' && announced > 0);
    this.streaming = head[HEAD.media] === MEDIA.eventStream;
    this.headBytes = bytes;
    this.inBody = true;
    const at = head[HEAD.bodyStart] ?? 0;
    if (this.length >= 0 && bytes.length - at >= this.length) {
      // The common reply, whole in one read, needs no decoder.
      this.body = this.length === 0 ? EMPTY : bytes.subarray(at, at + this.length);
      this.complete = true;
      this.junk = bytes.length - at > this.length;
      return READ.head;
    }
    const bytesMax = this.streaming ? Number.MAX_SAFE_INTEGER : LIMITS.replyBodyBytesMax;
    this.decoder.start(framing === 'none' ? 'length' : framing, this.length, bytesMax);
    this.decode(bytes, at);
    return READ.head;
  }

  private decode(bytes: Uint8Array, start: number): void {
    const decoder = this.decoder;
    this.body = decoder.decode(bytes, start);
    this.complete = decoder.done;
    this.junk = decoder.done && decoder.consumed < bytes.length;
    if (decoder.fault !== null) this.refuse(decoder.fault, refusalDetail(decoder.fault));
  }

  private hold(bytes: Uint8Array): void {
    const need = this.heldBytes + bytes.length;
    if (this.held === null || this.held.length < need) {
      const grown = new Uint8Array(Math.max(1024, 2 * need));
      grown.set(this.holding());
      this.held = grown;
    }
    this.held.set(bytes, this.heldBytes);
    this.heldBytes = need;
  }

  private holding(): Uint8Array {
    return this.held === null ? EMPTY : this.held.subarray(0, this.heldBytes);
  }

  private forgetHeld(): void {
    this.held = null;
    this.heldBytes = 0;
  }
}
