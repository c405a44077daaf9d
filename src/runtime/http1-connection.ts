// One client's connection to the HTTP/1.1 listener: its requests, one after the other, and their replies.
// Called by http1-server.ts with the socket's events. Promises: the next request is looked at when the one before is answered and its body is
// through; no byte of a body is taken for a request; a whole reply leaves in one write; what a slow client leaves unread is kept in order.
// A state machine (head, body, waiting) over socket events, hence its length.
import { concat, EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { BodyDecoder } from '../base/http-body.ts';
import { BLANK_LINE, parseRequestHead, type RequestHead } from './http1-head.ts';
import { HEAD_ROOM_BYTES, Outgoing, scratch, type WritableSocket } from './http1-outgoing.ts';
import { copyText, writeReplyHead } from './http1-reply.ts';
import { ChunkedSink } from './http1-sink.ts';
import type { Inbound, Reply, ReplyStream, RequestHandler } from './runtime.ts';
import { mayWait, putOff } from './turn-end.ts';

/** The socket of a connection, as far as it is used: Bun's, or one that is simulated. */
export interface RawSocket extends WritableSocket {
  readonly remoteAddress: string;
  /** Ends after what was taken is sent; nothing more is read. */
  end(): void;
  /** Sends no more, and goes on reading. */
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** What all connections of one listener share. */
export interface Http1Shared {
  readonly handler: RequestHandler;
  readonly bodyBytesMax: number;
  /** The Date line. */
  date(): string;
  /** A fault of ours: the front answers its own. */
  fault(thrown: unknown): void;
}

const HEAD_BYTES_MAX = 16 * 1024;
/** Bytes of requests that come before it is their turn; the client is not read beyond. */
const AHEAD_BYTES_MAX = 64 * 1024;
/** So much of a body that is not wanted is read for the sake of the next request; beyond, the connection ends. */
const DISCARD_BYTES_MAX = 1024 * 1024;
/** A body that brings less than this within the idle timeout is silence: one that drips must not hold its place for ever. */
const BODY_STEP_BYTES = 16 * 1024;
const CLOSE_LINE = 'connection: close\r\n';
const CONTINUE = encode('HTTP/1.1 100 Continue\r\n\r\n');

/** What Bun's types leave out: much faster than toString() with the name of an encoding. */
interface Latin1 {
  latin1Slice(start: number, end: number): string;
}

/** Heads repeat, across connections too: the last one is known without being parsed. */
let known: RequestHead | null = null;

const AT = Object.freeze({ head: 0, body: 1, through: 2 });

/** A connection. As Inbound it is the request under way. */
export class Http1Connection implements Inbound {
  readonly raw: RawSocket;
  /** Sweeps that found it silent while it was not ours to speak. */
  silence = 0;
  /** Ends when what it is at is done. */
  closing = false;
  /** Ends with the reply, whatever is still to come. */
  private isRetired = false;
  /** We have ended, and let the client finish. */
  isLingering = false;
  /** Bytes are still to come that are no request. */
  private isLittered = false;
  private readonly shared: Http1Shared;
  private at: number = AT.head;
  private head: RequestHead | null = null;
  private answered = true;
  private gone = false;
  /** Bytes that are not used yet: a part of a head, or requests ahead of their turn. */
  private held: Uint8Array | null = null;
  private paused = false;
  private isPumping = false;
  private decoder: BodyDecoder | null = null;
  private whole: Uint8Array = EMPTY;
  private parts: Uint8Array[] | null = null;
  /** Bytes of a body that nobody wants: its request was answered without it. */
  private discarded = 0;
  /** Bytes of a body since it last counted as a sign of life. */
  private stepBytes = 0;
  private bodyFault: GatewayError | null = null;
  private resolveBody: ((body: Uint8Array) => void) | null = null;
  private rejectBody: ((error: GatewayError) => void) | null = null;
  private abortCallback: (() => void) | null = null;
  private readonly out: Outgoing;
  private sink: ChunkedSink | null = null;

  constructor(shared: Http1Shared, raw: RawSocket) {
    this.shared = shared;
    this.raw = raw;
    this.out = new Outgoing(raw);
  }

  // ── the request under way ──────────────────────────────────────────────────────────────────────

  get method(): string {
    return this.head?.method ?? '';
  }

  get path(): string {
    return this.head?.path ?? '';
  }

  get query(): string {
    return this.head?.query ?? '';
  }

  get peer(): string {
    return this.raw.remoteAddress;
  }

  header(name: string): string | null {
    const at = this.head?.names.indexOf(name) ?? -1;
    return at < 0 ? null : (this.head?.values[at] ?? null);
  }

  eachHeader(visit: (name: string, value: string) => void): void {
    if (this.head === null) return;
    const { names, values } = this.head;
    for (let i = 0; i < names.length; i++) visit(names[i] ?? '', values[i] ?? '');
  }

  get wholeBody(): Uint8Array | null {
    return this.at === AT.through && this.bodyFault === null ? this.whole : null;
  }

  readBody(): Promise<Uint8Array> {
    if (this.at === AT.through && this.bodyFault === null) return Promise.resolve(this.whole);
    if ((this.head?.length ?? 0) > this.shared.bodyBytesMax) return Promise.reject(this.tooLarge());
    if (this.bodyFault !== null) return Promise.reject(this.bodyFault);
    this.parts ??= [];
    if (this.head?.expects === true) this.send(CONTINUE);
    return new Promise((resolve, reject) => {
      this.resolveBody = resolve;
      this.rejectBody = reject;
    });
  }

  onAbort(callback: () => void): void {
    this.abortCallback = callback;
  }

  private tooLarge(): GatewayError {
    return new GatewayError('GW_SERVER_BODY_SIZE', `at most ${this.shared.bodyBytesMax} bytes are accepted`);
  }

  // ── what comes in ──────────────────────────────────────────────────────────────────────────────

  data(chunk: Uint8Array): void {
    this.hear(chunk.length);
    if (this.closing && this.at !== AT.body) return;
    if (this.at === AT.body) this.takeBody(chunk, 0);
    else this.keepAhead(this.held === null ? chunk : concat([this.held, chunk]));
    this.pump();
  }

  /** A head must come at once, and a body at some pace; what drips in byte by byte is silence. */
  private hear(count: number): void {
    if (this.at === AT.body) {
      this.stepBytes += count;
      if (this.stepBytes < BODY_STEP_BYTES) return;
      this.stepBytes = 0;
    } else if (this.closing || (this.at === AT.head && this.held !== null)) return;
    this.silence = 0;
  }

  private keepAhead(bytes: Uint8Array): void {
    this.held = bytes;
    if (bytes.length <= AHEAD_BYTES_MAX || this.paused) return;
    this.paused = true;
    this.raw.pause();
  }

  /** Takes up the requests that are there, as far as it is their turn. A loop: replies that come at once must not pile up on the stack. */
  private pump(): void {
    if (this.isPumping) return;
    this.isPumping = true;
    while (this.held !== null && this.isFree && this.takeHead(this.held));
    this.isPumping = false;
    if (!this.paused || (this.held !== null && this.held.length > AHEAD_BYTES_MAX)) return;
    this.paused = false;
    this.raw.resume();
  }

  /** The request before is over and its reply is with the kernel. */
  private get isFree(): boolean {
    return this.at === AT.head && this.answered && this.out.isEmpty && !this.closing;
  }

  /** Begins a request; false when its head has not come whole. */
  private takeHead(bytes: Uint8Array): boolean {
    let head = known;
    if (head === null || !startsWith(bytes, head.text)) {
      const text = asBuffer(bytes).latin1Slice(0, Math.min(bytes.length, HEAD_BYTES_MAX));
      const end = text.indexOf(BLANK_LINE);
      if (end < 0 && bytes.length < HEAD_BYTES_MAX) return false;
      head = end < 0 ? null : parseRequestHead(text.slice(0, end + BLANK_LINE.length), known);
      if (head === null) this.refuse(end < 0 ? 431 : 400);
      if (head === null) return false;
      known = head;
    }
    this.held = null;
    this.begin(head, bytes);
    return true;
  }

  private begin(head: RequestHead, bytes: Uint8Array): void {
    this.head = head;
    this.answered = false;
    this.closing = head.close;
    this.whole = EMPTY;
    this.discarded = 0;
    this.stepBytes = 0;
    this.silence = 0;
    this.bodyFault = null;
    const from = head.text.length;
    const end = from + head.length;
    if (head.length <= 0 && !head.chunked) this.through(bytes, from);
    else if (!head.chunked && end <= bytes.length && head.length <= this.shared.bodyBytesMax) {
      this.whole = bytes.subarray(from, end);
      this.through(bytes, end);
    } else this.beginBody(head);
    this.handle();
    // While the handler ran nothing else can have taken them: the body has just begun.
    if (this.at === AT.body && bytes.length > from) this.takeBody(bytes, from);
  }

  private beginBody(head: RequestHead): void {
    this.at = AT.body;
    this.decoder ??= new BodyDecoder();
    if (head.chunked) this.decoder.start('chunked', -1, this.shared.bodyBytesMax);
    else this.decoder.start('length', head.length, Number.MAX_SAFE_INTEGER);
  }

  /** The body is complete; what follows it is the next request's. */
  private through(bytes: Uint8Array, end: number): void {
    this.at = AT.through;
    if (end < bytes.length) this.keepAhead(bytes.subarray(end));
  }

  private handle(): void {
    try {
      const reply = this.shared.handler(this);
      if (reply instanceof Promise) reply.then(this.answerLate, this.broke);
      else this.answer(reply);
    } catch (thrown) {
      this.broke(thrown);
    }
  }

  private takeBody(bytes: Uint8Array, start: number): void {
    const { decoder } = this;
    if (decoder === null || this.bodyFault !== null) return;
    const piece = decoder.decode(bytes, start);
    if (this.parts !== null) this.parts.push(piece);
    else this.discarded += piece.length;
    if (this.discarded > DISCARD_BYTES_MAX) return this.abandonBody();
    if (decoder.fault !== null) this.breakBody(decoder.fault === 'GW_UPSTREAM_BODY_SIZE');
    else if (decoder.done) {
      this.whole = this.parts === null ? EMPTY : concat(this.parts);
      this.through(bytes, decoder.consumed);
      this.resolveBody?.(this.whole);
      this.forgetBody();
      if (this.answered) this.over();
    }
  }

  /** The rest of the body is not read, so that where the next request would begin cannot be told any more: there is none. */
  private giveUpBody(fault: GatewayError): void {
    this.bodyFault = fault;
    this.isLittered = true;
    this.closing = true;
    this.at = AT.through;
  }

  /** Nobody wants the body, and it does not end. */
  private abandonBody(): void {
    if (!this.answered) return this.breakOff();
    this.giveUpBody(new GatewayError('GW_SERVER_BODY_ABORTED'));
    this.over();
  }

  /** The body is not what its framing says, or more than we take. */
  private breakBody(isTooLarge: boolean): void {
    const fault = isTooLarge ? this.tooLarge() : new GatewayError('GW_SERVER_BODY_ABORTED');
    this.giveUpBody(fault);
    const reject = this.rejectBody;
    this.forgetBody();
    if (this.answered) this.over();
    else if (this.sink !== null) this.breakOff();
    else if (!isTooLarge) {
      this.answered = true;
      this.abortCallback?.();
      this.refuse(400);
    }
    reject?.(fault);
  }

  private forgetBody(): void {
    this.parts = null;
    this.resolveBody = null;
    this.rejectBody = null;
  }

  /** What came is no request. */
  private refuse(status: number): void {
    this.closing = true;
    this.isLittered = true;
    this.sendWhole(writeReplyHead(scratch, status, { connection: 'close' }), EMPTY, true);
    this.endWhenSent();
  }

  // ── what goes out ──────────────────────────────────────────────────────────────────────────────

  private readonly broke = (thrown: unknown): void => {
    this.shared.fault(thrown);
    this.answer({ status: 500, headers: {}, body: null });
  };

  private readonly answerLate = (reply: Reply): void => {
    if (mayWait(reply)) putOff(() => this.answer(reply));
    else this.answer(reply);
  };

  private readonly answer = (reply: Reply): void => {
    if (this.answered || this.gone) return;
    const { body, headers, status } = reply;
    let at = writeReplyHead(scratch, status, headers);
    if (at < 0 || at > HEAD_ROOM_BYTES)
      return this.broke(new GatewayError('GW_BASE_INTERNAL', 'a header cannot be sent'));
    // Who waits for 100 Continue may send its body now, or the next request: nobody could tell which.
    if (this.at === AT.body && this.head?.expects === true && this.parts === null)
      this.giveUpBody(new GatewayError('GW_SERVER_BODY_ABORTED'));
    if (headers.connection === 'close') this.closing = true;
    else if (this.closing) at = copyText(scratch, at, CLOSE_LINE);
    at = copyText(scratch, at, this.shared.date());
    if (body === null || body instanceof Uint8Array) {
      this.sendWhole(at, body ?? EMPTY, status !== 204 && status !== 304);
      this.finish();
      return;
    }
    const framing = this.head?.old === true ? 'close' : 'chunked';
    const isHead = this.method === 'HEAD';
    // The reply may last for days, and a head is many texts.
    if (!isHead && this.at === AT.through) this.head = null;
    this.open(body, new ChunkedSink(this, scratch.slice(0, at), framing, isHead));
  };

  private open(body: ReplyStream, sink: ChunkedSink): void {
    this.sink = sink;
    try {
      body.open(sink);
      sink.opened();
    } catch (thrown) {
      sink.left();
      this.sink = null;
      if (sink.isUnsent) return this.broke(thrown);
      this.shared.fault(thrown);
      this.breakOff();
    }
  }

  /** Sends the head in the scratch and a body. */
  private sendWhole(headEnd: number, body: Uint8Array, hasLength: boolean): void {
    this.out.sendWhole(headEnd, body, hasLength ? (this.method === 'HEAD' ? 'alone' : 'given') : 'none');
  }

  /** The same with a head that was kept. */
  sendKept(head: Uint8Array, body: Uint8Array): void {
    scratch.set(head, 0);
    this.sendWhole(head.length, body, true);
  }

  /** Sends bytes, which are kept until the kernel took them; false when they wait. */
  send(bytes: Uint8Array): boolean {
    return this.out.send(bytes);
  }

  /** The kernel has room again. */
  drain(): void {
    if (this.out.flush()) this.silence = 0;
    if (!this.out.isEmpty) return;
    if (this.sink !== null) this.sink.drained();
    else if (this.answered) this.over();
  }

  /** The reply is complete, as far as it is ours. */
  finish(): void {
    this.answered = true;
    this.abortCallback = null;
    this.sink = null;
    this.forgetBody();
    this.over();
  }

  /** The exchange is over: the next one, or the end. */
  private over(): void {
    if ((this.at === AT.body && !this.isRetired) || !this.out.isEmpty || this.gone) return;
    this.at = AT.head;
    this.silence = 0;
    this.head = null;
    this.whole = EMPTY;
    if (this.closing) return this.endWhenSent();
    this.pump();
  }

  /** A client that still sends would be reset, and lose the reply: what comes from it runs into the void for a moment. */
  private endWhenSent(): void {
    if (!this.out.isEmpty) return;
    if (!this.isLittered || this.isRetired) this.raw.end();
    else if (!this.isLingering) {
      this.isLingering = true;
      this.silence = 0;
      this.raw.shutdown();
    }
  }

  // ── ends ───────────────────────────────────────────────────────────────────────────────────────

  /** True while the client is to speak, or to take what is for it. A request that waits for its reply may take its time. */
  get isWaitedFor(): boolean {
    return this.answered || this.at === AT.body;
  }

  /** No request may begin any more: ends now, or with the reply. */
  retire(): void {
    this.closing = true;
    this.isRetired = true;
    if (this.answered) this.endWhenSent();
  }

  breakOff(): void {
    this.raw.terminate();
  }

  /** The socket's last event. */
  closed(): void {
    if (this.gone) return;
    this.gone = true;
    this.out.close();
    const isOpen = !this.answered;
    this.answered = true;
    this.sink?.left();
    if (isOpen) this.abortCallback?.();
    this.rejectBody?.(new GatewayError('GW_SERVER_BODY_ABORTED'));
    this.forgetBody();
  }
}

/** The bytes begin with the text, of one-byte characters. */
function startsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && asBuffer(bytes).latin1Slice(0, text.length) === text;
}

/** The bytes as a Buffer, which can be read as Latin-1. */
function asBuffer(bytes: Uint8Array): Latin1 {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // Bun's Buffer has it, as Node's has.
  return buffer as Buffer & Latin1;
}
