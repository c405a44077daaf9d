// Listens to the lists of tools that pass by, so that it is known which tools may be called twice.
// Called by policies.ts, innermost of all. Promises: the reply passes as it came, whatever is found in it; anything but a tools/list costs one look at one byte;
// what is held of a list is bounded.
import { concat, EMPTY } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Message, readMessage } from '../mcp/envelope.ts';
import { EventReader } from '../mcp/sse.ts';
import type { Scanner } from '../scan/contract.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import { isToolsList } from './asked.ts';
import { Layer } from './layer.ts';
import type { ToolNotes } from './tool-notes.ts';

/** Takes notes of the lists of an upstream. */
export class ListEar extends Layer {
  readonly #notes: ToolNotes;
  readonly #scanner: Scanner;

  constructor(inner: Upstream, notes: ToolNotes, scanner: Scanner) {
    super(inner);
    this.#notes = notes;
    this.#scanner = scanner;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (!isToolsList(request)) return this.inner.send(request, sink);
    const learn = (message: Message): void => this.#notes.learn(request, message);
    return this.inner.send(request, new ListSink(sink, this.#scanner, learn));
  }
}

/** Passes a reply on, and reads along. */
class ListSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #scanner: Scanner;
  readonly #learn: (message: Message) => void;
  #reader: EventReader | null = null;
  /** Null when nothing is to be learnt of this reply. */
  #parts: Uint8Array[] | null = null;
  #bytes = 0;

  constructor(sink: UpstreamSink, scanner: Scanner, learn: (message: Message) => void) {
    this.#sink = sink;
    this.#scanner = scanner;
    this.#learn = learn;
  }

  onHead(head: ReplyHead): void {
    if (head.status === 200 && head.media === 'event-stream') this.#reader = new EventReader(this.#scanner);
    else if (head.status === 200 && head.media === 'json') this.#parts = [];
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.#reader !== null) this.#readEvents(bytes, false);
    else if (this.#parts !== null) {
      this.#bytes += bytes.length;
      if (this.#bytes > LIMITS.messageBytesMax) this.#parts = null;
      else this.#parts.push(bytes);
    }
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    if (this.#reader !== null) this.#readEvents(EMPTY, true);
    else if (this.#parts !== null) this.#read(concat(this.#parts));
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#sink.onFail(error);
  }

  #readEvents(bytes: Uint8Array, isLast: boolean): void {
    try {
      this.#reader?.push(bytes, (event) => event.data.length > 0 && this.#read(event.data), isLast);
    } catch {
      // An event beyond all bounds: whoever is to have it judges that.
      this.#reader = null;
    }
  }

  #read(bytes: Uint8Array): void {
    const message = readMessage(this.#scanner, bytes);
    if ('bytes' in message) this.#learn(message);
  }
}
