// A streamed reply on node:http.
// Called by node-http.ts. Promises: bytes of one turn leave together, the first with the head; what is ended before it began goes out whole; a full client shows as
// false and later onDrain; fail() closes the connection before the last chunk, so that the client sees a broken body.
import { concat, EMPTY } from '../base/bytes.ts';
import type { NodeHttpInbound } from './node-http-inbound.ts';
import type { Reply, ReplySink, ReplyStream } from './runtime.ts';

/** Bytes that are gathered before they are sent within a turn. */
const GATHERED_BYTES_MAX = 64 * 1024;

class NodeHttpSink implements ReplySink {
  private readonly inbound: NodeHttpInbound;
  private reply: Reply | null;
  private parts: Uint8Array[] = [];
  private partBytes = 0;
  private isEnded = false;
  private isFull = false;
  private isScheduled = false;
  private drainCallback: (() => void) | null = null;

  constructor(inbound: NodeHttpInbound, reply: Reply) {
    this.inbound = inbound;
    this.reply = reply;
    inbound.response.on('drain', () => {
      this.isFull = false;
      if (!this.isDeaf) this.drainCallback?.();
    });
  }

  private get isDeaf(): boolean {
    return this.isEnded || this.inbound.ended;
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
    if (this.isDeaf) return;
    this.isEnded = true;
    this.inbound.finish();
    this.inbound.response.destroy();
  }

  onDrain(callback: () => void): void {
    this.drainCallback = callback;
  }

  /** open() has returned: the head leaves, with what is there. */
  flushSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(this.flush);
  }

  private readonly flush = (): void => {
    this.isScheduled = false;
    const { inbound, reply } = this;
    if (inbound.ended) return;
    const { response } = inbound;
    const body = this.parts.length === 0 ? EMPTY : concat(this.parts);
    this.parts = [];
    this.partBytes = 0;
    this.reply = null;
    if (reply !== null)
      response.writeHead(reply.status, {
        ...reply.headers,
        ...(this.isEnded && { 'content-length': body.length }),
      });
    if (this.isEnded) response.end(body);
    else if (body.length === 0) response.flushHeaders();
    else if (!response.write(body)) this.isFull = true;
  };
}

/** Opens the stream; what that throws is thrown on. */
export function streamOnNodeHttp(inbound: NodeHttpInbound, reply: Reply, stream: ReplyStream): void {
  const sink = new NodeHttpSink(inbound, reply);
  stream.open(sink);
  sink.flushSoon();
}
