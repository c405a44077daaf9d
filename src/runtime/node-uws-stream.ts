// A streamed reply on uWebSockets.js.
// Called by node-uws-listener.ts. Promises: bytes of one turn leave together, the first with the head; what is ended before it began goes out whole; a full client
// shows as false and later onDrain; fail() closes the connection before the last chunk, so that the client sees a broken body.
import { encode } from '../base/bytes.ts';
import { GatheringSink } from './gathering-sink.ts';
import { sendWhole, writeHead } from './node-uws-head.ts';
import type { UwsInbound } from './node-uws-inbound.ts';
import type { Reply, ReplyStream } from './runtime.ts';

/**
 * The library completes a head with the first bytes of its body. An event stream may be silent for long while its client waits for the head: after this time a
 * comment line, which readers of event streams skip, is sent.
 */
const FIRST_BYTES_WAIT_MS = 3;
const OPENING_COMMENT = encode(':\n\n');

class UwsSink extends GatheringSink {
  private readonly inbound: UwsInbound;
  private reply: Reply | null;
  private hasWritable = false;

  constructor(inbound: UwsInbound, reply: Reply) {
    super();
    this.inbound = inbound;
    this.reply = reply;
  }

  /** Nothing has left yet. */
  get isUnsent(): boolean {
    return this.reply !== null;
  }

  protected get isOver(): boolean {
    return this.inbound.ended;
  }

  protected breakOff(): void {
    this.isEnded = true;
    const { response } = this.inbound;
    this.inbound.finish();
    response.close();
  }

  /** open() has returned. */
  opened(): void {
    if (
      this.isScheduled ||
      this.isDeaf ||
      this.reply?.headers['content-type']?.startsWith('text/event-stream') !== true
    )
      return;
    setTimeout(() => {
      if (this.isUnsent) this.write(OPENING_COMMENT);
    }, FIRST_BYTES_WAIT_MS);
  }

  protected send(body: Uint8Array): void {
    const { inbound, reply } = this;
    if (reply !== null && this.isEnded) {
      this.reply = null;
      return sendWhole(inbound, reply, body);
    }
    inbound.response.cork(() => this.sendPart(body));
  }

  private sendPart(body: Uint8Array): void {
    const { response } = this.inbound;
    if (this.reply !== null) {
      writeHead(response, this.reply);
      this.reply = null;
    }
    if (body.length > 0 && !response.write(body)) this.fill();
    if (this.isEnded && !this.isFull) this.finish();
  }

  /** The client is slow: what was written waits in the library until it has taken all of it. */
  private fill(): void {
    this.isFull = true;
    if (this.hasWritable) return;
    this.hasWritable = true;
    this.inbound.response.onWritable(() => {
      if (this.isFull) this.drained();
      return true;
    });
  }

  private drained(): void {
    this.isFull = false;
    if (this.isEnded) this.finish();
    else if (!this.inbound.ended) this.drainCallback?.();
  }

  private finish(): void {
    const { inbound } = this;
    if (inbound.ended) return;
    inbound.finish();
    inbound.response.cork(() => inbound.response.end('', inbound.mustClose));
  }
}

/** Opens the stream; what that throws is thrown on, and when bytes have left before the connection is closed. */
export function streamReply(inbound: UwsInbound, reply: Reply, stream: ReplyStream): void {
  const sink = new UwsSink(inbound, reply);
  try {
    stream.open(sink);
  } catch (thrown) {
    if (!sink.isUnsent) sink.fail();
    throw thrown;
  }
  sink.opened();
}
