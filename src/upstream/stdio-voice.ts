// Where what a legacy session's child says goes: to the stream of the call that it belongs to, else to the session's own.
// Called by stdio-session.ts. Promises: each message reaches exactly one stream (2025-11-25 §transports) or waits for
// one; requests of the child are remembered, so that only answers that it waits for reach it.
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { SessionCore } from './message-pipe.ts';
import type { Call } from './stdio-call.ts';
import type { CallTable } from './stdio-calls.ts';
import { idKey } from './stdio-ids.ts';
import type { Inbox } from './stdio-inbox.ts';
import { type ChildVoice, methodOf, response, spanOf } from './stdio-message.ts';
import type { CallReply } from './stdio-reply.ts';

/** Requests of the child that the client may leave unanswered; the oldest is forgotten beyond. */
const ASKED_MAX = 1_024;

/** Hears one session's children. */
export class SessionVoice implements ChildVoice {
  readonly #core: SessionCore;
  readonly #calls: CallTable;
  readonly #inbox: Inbox;
  readonly #write: (line: Uint8Array) => void;
  /** Requests of the child without an answer yet → the stream that carried them; null for the session's own. */
  readonly #asked = new Map<string, CallReply | null>();

  constructor(core: SessionCore, calls: CallTable, inbox: Inbox, write: (line: Uint8Array) => void) {
    this.#core = core;
    this.#calls = calls;
    this.#inbox = inbox;
    this.#write = write;
  }

  /** Takes a request of the child off the list of the unanswered; false when it is not on it. */
  takeAsked(rawId: Uint8Array): boolean {
    return this.#asked.delete(idKey(rawId));
  }

  /** The child ended: it waits for no answer any more, and its successor may use the same ids. */
  forgetAsked(): void {
    this.#asked.clear();
  }

  onAnswer(line: Uint8Array, envelope: Int32Array): void {
    if (!this.#calls.answer(line, envelope)) this.#core.log.debug('dropped a reply that no call waits for');
  }

  onRequest(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.id);
    if (id === null) return;
    const call = this.#callFor();
    if (call === null && !this.#inbox.open && methodOf(line, envelope) === METHOD.ping) {
      // A ping asks whether the other side is there; with no stream open the gateway is that side.
      this.#write(response(id, '"result":{}'));
      return;
    }
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size < ASKED_MAX) break;
      this.#asked.delete(oldest);
    }
    this.#asked.set(idKey(id), call?.reply ?? null);
    this.#deliver(call, line);
  }

  onNotification(line: Uint8Array, envelope: Int32Array): void {
    const method = methodOf(line, envelope);
    if (method === METHOD.progress) {
      const token = spanOf(line, envelope, ENVELOPE.progressToken);
      this.#deliver(token === null ? this.#callFor() : this.#calls.byToken(token), line);
      return;
    }
    if (method === METHOD.cancelled) {
      this.#withdrawn(line, envelope);
      return;
    }
    const ofSession = method.endsWith('/list_changed') || method === METHOD.resourceUpdated;
    this.#deliver(ofSession ? null : this.#callFor(), line);
  }

  /** The child withdraws a request of its own: the client hears it where it heard the request. */
  #withdrawn(line: Uint8Array, envelope: Int32Array): void {
    const id = spanOf(line, envelope, ENVELOPE.requestId);
    const key = id === null ? null : idKey(id);
    const stream = key === null ? undefined : this.#asked.get(key);
    if (key !== null) this.#asked.delete(key);
    if (stream?.open === true) {
      stream.event(line, []);
      return;
    }
    this.#deliver(null, line);
  }

  #deliver(call: Call | null, line: Uint8Array): void {
    if (call === null) this.#inbox.put(line);
    else this.#calls.event(call, line, []);
  }

  /**
   * The call that a message without an address belongs to. With one call in flight it is that one. With several the
   * child does not say: the newest whose stream is open already, else the session's stream, else the newest call. The
   * newest, since a client may have left an older one a moment ago, which shows only later: it would never hear the question.
   */
  #callFor(): Call | null {
    let newest: Call | null = null;
    let count = 0;
    let streaming: Call | null = null;
    for (const call of this.#calls.all()) {
      if (call.kind !== 'plain' || !call.reply.open) continue;
      count++;
      newest = call;
      if (call.reply.streaming) streaming = call;
    }
    if (count < 2) return newest;
    return streaming ?? (this.#inbox.open ? null : newest);
  }
}
