// One subscriptions/listen as a cache reads it; and the same for a client's own listen that passes by.
// Called by cache-listen.ts and cache.ts. Promises: what a server tells is known before the client whose stream it is on reads it; the end of a stream of ours is told
// exactly once unless it was stopped. Source: MCP 2026-07-28, subscriptions.
import { EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { kindOf, objectAt, readMessage, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { EventReader } from '../mcp/sse.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../upstream/upstream.ts';
import { ASKS, type Asks } from './cache-key.ts';

/** What a server said it will tell of. */
export interface Granted {
  readonly lists: ReadonlySet<Asks>;
  readonly uris: ReadonlySet<string>;
}

/** Before it has said anything. */
export const NOTHING_GRANTED: Granted = Object.freeze({ lists: new Set<Asks>(), uris: new Set<string>() });

/** Who hears a stream. */
export interface StreamEvents {
  onAcknowledged(granted: Granted): void;
  /** A notification that may concern what is kept. */
  onChanged(method: string, uri: string | null): void;
  /** `isRefused`: the server does not want it, so that asking again would bring the same. */
  onClosed(isRefused: boolean): void;
}

/** Reads one listen. */
export class ListenStream extends ContainedSink {
  /** Resources that it asks for. */
  readonly asked: ReadonlySet<string>;
  isAcknowledged = false;
  readonly #scanner: Scanner;
  readonly #reader: EventReader;
  readonly #events: StreamEvents;
  #call: UpstreamCall | null = null;
  #isStream = false;
  #isDown = false;

  constructor(scanner: Scanner, uris: readonly string[], events: StreamEvents) {
    super();
    this.#scanner = scanner;
    this.#reader = new EventReader(scanner);
    this.#events = events;
    this.asked = new Set(uris);
  }

  /** The call that it reads. */
  start(call: UpstreamCall): void {
    if (this.over) call.abort();
    else this.#call = call;
  }

  /** It is of no use any more; its end is not told. */
  stop(): void {
    this.leave();
    this.#call?.abort();
  }

  protected head(head: ReplyHead): void {
    this.#isStream = head.status === 200 && head.media === 'event-stream';
    this.#isDown = head.status >= 500 || head.status === 429;
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#isStream) this.#read(bytes, false);
    return true;
  }

  protected ended(): void {
    if (this.#isStream) this.#read(EMPTY, true);
    // What is no stream is a refusal, unless the server is down; a stream that ends without a word broke.
    if (!this.over) this.#events.onClosed(!this.#isStream && !this.#isDown);
  }

  protected failed(_error: GatewayError): void {
    this.#call?.abort();
    this.#events.onClosed(false);
  }

  #read(bytes: Uint8Array, isLast: boolean): void {
    this.#reader.push(
      bytes,
      (event) => {
        if (!this.over && event.data.length > 0) this.#event(event.data);
      },
      isLast,
    );
  }

  #event(data: Uint8Array): void {
    const message = readMessage(this.#scanner, data);
    if (message instanceof GatewayError) throw message;
    const { bytes, envelope } = message;
    const kind = kindOf(envelope);
    if (kind === KIND.result || kind === KIND.error) return this.#close(kind === KIND.error);
    const method = text(bytes, envelope, ENVELOPE.method) ?? '';
    if (method === METHOD.cancelled) return this.#close(false);
    if (method !== METHOD.acknowledged)
      return this.#events.onChanged(method, text(bytes, envelope, ENVELOPE.uri));
    if (this.isAcknowledged) return;
    this.isAcknowledged = true;
    this.#call?.outlast?.();
    this.#events.onAcknowledged(grantedOf(objectAt(bytes, envelope, ENVELOPE.notifications)));
  }

  #close(isRefused: boolean): void {
    this.leave();
    this.#call?.abort();
    this.#events.onClosed(isRefused);
  }
}

function grantedOf(filter: Readonly<Record<string, unknown>>): Granted {
  const lists = new Set<Asks>();
  if (filter.toolsListChanged === true) lists.add(ASKS.tools);
  if (filter.promptsListChanged === true) lists.add(ASKS.prompts);
  if (filter.resourcesListChanged === true) lists.add(ASKS.resources).add(ASKS.templates);
  const uris: readonly unknown[] = Array.isArray(filter.resourceSubscriptions)
    ? filter.resourceSubscriptions
    : [];
  return { lists, uris: new Set(uris.filter((uri) => typeof uri === 'string')) };
}

/** A client's own listen on its way: it arrives as it came, and is read before. */
export class WatchedListen implements UpstreamSink {
  readonly #client: UpstreamSink;
  readonly #scanner: Scanner;
  readonly #onChanged: StreamEvents['onChanged'];
  #reader: EventReader | null = null;

  constructor(client: UpstreamSink, scanner: Scanner, onChanged: StreamEvents['onChanged']) {
    this.#client = client;
    this.#scanner = scanner;
    this.#onChanged = onChanged;
  }

  onHead(head: ReplyHead): void {
    if (head.media === 'event-stream') this.#reader = new EventReader(this.#scanner);
    this.#client.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    this.#read(bytes);
    return this.#client.onData(bytes);
  }

  onEnd(): void {
    this.#client.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#client.onFail(error);
  }

  #read(bytes: Uint8Array): void {
    try {
      this.#reader?.push(bytes, ({ data }) => {
        const message = data.length === 0 ? null : readMessage(this.#scanner, data);
        if (message === null || message instanceof GatewayError) return;
        if (kindOf(message.envelope) !== KIND.notification) return;
        const method = text(message.bytes, message.envelope, ENVELOPE.method) ?? '';
        this.#onChanged(method, text(message.bytes, message.envelope, ENVELOPE.uri));
      });
    } catch {
      // What cannot be read as events is for the client to judge.
      this.#reader = null;
    }
  }
}
