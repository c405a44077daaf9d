// One subscriptions/listen at a modern server, whose notifications a legacy session's stream repeats.
// Called by session-stream.ts. Promises: nothing is handed on before the acknowledgement; its end is told exactly once unless it was stopped; what only modern clients
// understand is taken out of the notifications. Source: MCP 2026-07-28, subscriptions.
import { type Edit, EMPTY, splice } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { kindOf, type Message, objectAt, readMessage, span, text } from '../../mcp/envelope.ts';
import { isObject } from '../../mcp/json.ts';
import { editObject } from '../../mcp/object-edits.ts';
import { META_PREFIX, METHOD } from '../../mcp/protocol.ts';
import { EventReader } from '../../mcp/sse.ts';
import { ENVELOPE, KIND, type Scanner } from '../../scan/contract.ts';
import { ContainedSink } from '../../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamCall } from '../../upstream/upstream.ts';

/** What a listen asks for, or what the server grants. */
export interface Filter {
  readonly toolsListChanged?: boolean;
  readonly promptsListChanged?: boolean;
  readonly resourcesListChanged?: boolean;
  readonly resourceSubscriptions?: readonly string[];
}

/** Who hears of a listen. */
export interface ListenOwner {
  onAcknowledged(listen: Listen, granted: Filter): void;
  /** False asks for a pause. */
  onNotification(message: Uint8Array): boolean;
  /** `isRefused`: the server does not want it, so that asking again would bring the same. */
  onClosed(listen: Listen, isRefused: boolean, error: GatewayError | null): void;
}

/** Reads one listen. */
export class Listen extends ContainedSink {
  /** Version of the session's wishes that it was opened with. */
  readonly version: number;
  readonly #owner: ListenOwner;
  readonly #scanner: Scanner;
  readonly #reader: EventReader;
  #call: UpstreamCall | null = null;
  #isStream = false;
  #isAcknowledged = false;

  constructor(owner: ListenOwner, scanner: Scanner, version: number) {
    super();
    this.#owner = owner;
    this.#scanner = scanner;
    this.#reader = new EventReader(scanner);
    this.version = version;
  }

  /** The call that it reads. */
  start(call: UpstreamCall): void {
    if (this.over) call.abort();
    else this.#call = call;
  }

  /** Nobody wants it any more; its end is not told. */
  stop(): void {
    this.leave();
    this.#call?.abort();
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#call?.resume();
  }

  protected head(head: ReplyHead): void {
    this.#isStream = head.status === 200 && head.media === 'event-stream';
  }

  protected data(bytes: Uint8Array): boolean {
    return !this.#isStream || this.#read(bytes, false);
  }

  protected ended(): void {
    if (this.#isStream) this.#read(EMPTY, true);
    // What is no stream is a refusal; a stream that ends without a word broke.
    if (!this.over) this.#owner.onClosed(this, !this.#isStream, null);
  }

  protected failed(error: GatewayError): void {
    this.#call?.abort();
    this.#owner.onClosed(this, false, error);
  }

  #read(bytes: Uint8Array, isLast: boolean): boolean {
    let hasRoom = true;
    this.#reader.push(
      bytes,
      (event) => {
        if (!this.over && event.data.length > 0) hasRoom = this.#event(event.data) && hasRoom;
      },
      isLast,
    );
    return hasRoom;
  }

  #event(data: Uint8Array): boolean {
    const message = readMessage(this.#scanner, data);
    if (message instanceof GatewayError) throw message;
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) this.#close(kind === KIND.error);
    else if (kind === KIND.notification) return this.#notification(message);
    return true;
  }

  #notification(message: Message): boolean {
    const { bytes, envelope } = message;
    const method = text(bytes, envelope, ENVELOPE.method);
    if (method === METHOD.cancelled) this.#close(false);
    else if (method === METHOD.acknowledged) {
      if (this.#isAcknowledged) return true;
      this.#isAcknowledged = true;
      this.#owner.onAcknowledged(this, filterOf(objectAt(bytes, envelope, ENVELOPE.notifications)));
    } else if (this.#isAcknowledged) return this.#owner.onNotification(legacyNotification(message));
    return true;
  }

  #close(isRefused: boolean): void {
    this.leave();
    this.#call?.abort();
    this.#owner.onClosed(this, isRefused, null);
  }
}

function filterOf(granted: Readonly<Record<string, unknown>>): Filter {
  const { toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions } = granted;
  return {
    toolsListChanged: toolsListChanged === true,
    promptsListChanged: promptsListChanged === true,
    resourcesListChanged: resourcesListChanged === true,
    ...(Array.isArray(resourceSubscriptions)
      ? { resourceSubscriptions: resourceSubscriptions.filter((uri) => typeof uri === 'string') }
      : {}),
  };
}

/** A notification without the keys of `_meta` that legacy clients do not know. */
export function legacyNotification({ bytes, envelope }: Message): Uint8Array {
  const params = span(envelope, ENVELOPE.params);
  const meta = span(envelope, ENVELOPE.meta);
  if (params === null || meta === null || !isObject(bytes, meta.start)) return bytes;
  const edits: Edit[] = [];
  editObject(bytes, params.start, edits, {
    fate: (key, value) => {
      if (key !== '_meta' || !isObject(bytes, value.start)) return 'keep';
      const inner: Edit[] = [];
      const left = editObject(bytes, value.start, inner, {
        fate: (name) => (name.startsWith(META_PREFIX) ? 'drop' : 'keep'),
      });
      if (left === 0 && inner.length > 0) return 'drop';
      edits.push(...inner);
      return 'keep';
    },
  });
  return splice(bytes, edits);
}
