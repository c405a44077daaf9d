// A streamed reply on node:http.
// Called by node-http.ts. Promises: bytes of one turn leave together, the first with the head; what is ended before it began goes out whole; a full client shows as
// false and later onDrain; fail() closes the connection before the last chunk, so that the client sees a broken body.
import { GatheringSink } from './gathering-sink.ts';
import type { NodeHttpInbound } from './node-http-inbound.ts';
import type { Reply, ReplyStream } from './runtime.ts';

class NodeHttpSink extends GatheringSink {
  private readonly inbound: NodeHttpInbound;
  private reply: Reply | null;

  constructor(inbound: NodeHttpInbound, reply: Reply) {
    super();
    this.inbound = inbound;
    this.reply = reply;
    inbound.response.on('drain', () => {
      this.isFull = false;
      if (!this.isDeaf) this.drainCallback?.();
    });
  }

  protected get isOver(): boolean {
    return this.inbound.ended;
  }

  protected breakOff(): void {
    this.isEnded = true;
    this.inbound.finish();
    this.inbound.response.destroy();
  }

  /** open() has returned: the head leaves, with what is there. */
  opened(): void {
    this.flushSoon();
  }

  protected send(body: Uint8Array): void {
    const { reply } = this;
    const { response } = this.inbound;
    this.reply = null;
    if (reply !== null)
      response.writeHead(reply.status, {
        ...reply.headers,
        ...(this.isEnded && { 'content-length': body.length }),
      });
    if (this.isEnded) response.end(body);
    else if (body.length === 0) response.flushHeaders();
    else if (!response.write(body)) this.isFull = true;
  }
}

/** Opens the stream; what that throws is thrown on. */
export function streamOnNodeHttp(inbound: NodeHttpInbound, reply: Reply, stream: ReplyStream): void {
  const sink = new NodeHttpSink(inbound, reply);
  stream.open(sink);
  sink.opened();
}
