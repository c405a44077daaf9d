// Where what a legacy session's child says goes: to the stream of the call that it belongs to, else to the session's own.
// Called by stdio-session.ts. Promises: each message reaches exactly one stream (2025-11-25 §transports) or waits for
// one; requests of the child are remembered, so that only answers that it waits for reach it; one that was told to a client who had left its
// call is told again where the client still is, or is answered.
import { EMPTY } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { SessionCore } from './message-pipe.ts';
import type { Call } from './stdio-call.ts';
import type { CallTable } from './stdio-calls.ts';
import { idKey } from './stdio-ids.ts';
import type { Inbox } from './stdio-inbox.ts';
import { type ChildVoice, methodOf, response, spanOf } from './stdio-message.ts';
import { type CallReply, REPLY_WAITING_BYTES_MAX } from './stdio-reply.ts';

/** Requests of the child that the client may leave unanswered; the oldest is forgotten beyond. */
const ASKED_MAX = 1_024;
/** Bytes of requests that are kept to be told again; the oldest are told only once beyond. */
const ASKED_BYTES_MAX = REPLY_WAITING_BYTES_MAX;
const GONE = `"error":{"code":${RPC.internal},"message":"The client has left"}`;

/** A request of the child without an answer yet. */
interface Question {
  readonly id: Uint8Array;
  /** The message; empty when it is not told again. */
  line: Uint8Array;
  /** The stream that carried it; null for the session's own. */
  stream: CallReply | null;
}

/** Hears one session's children. */
export class SessionVoice implements ChildVoice {
  readonly #core: SessionCore;
  readonly #calls: CallTable;
  readonly #inbox: Inbox;
  readonly #write: (line: Uint8Array) => void;
  readonly #asked = new Map<string, Question>();
  #askedBytes = 0;

  constructor(core: SessionCore, calls: CallTable, inbox: Inbox, write: (line: Uint8Array) => void) {
    this.#core = core;
    this.#calls = calls;
    this.#inbox = inbox;
    this.#write = write;
  }

  /** Takes a request of the child off the list of the unanswered; false when it is not on it. */
  takeAsked(rawId: Uint8Array): boolean {
    return this.#take(idKey(rawId)) !== null;
  }

  /** The child ended: it waits for no answer any more, and its successor may use the same ids. */
  forgetAsked(): void {
    this.#asked.clear();
    this.#askedBytes = 0;
  }

  /**
   * The client has left these streams of its calls. It may have done so before it was asked there, in favour of a call that waits for this answer:
   * it is asked once more where it is now. Where it is nowhere, nobody could be told what the call brings either, and the child need not wait.
   */
  left(streams: readonly CallReply[]): void {
    for (const [key, question] of [...this.#asked]) {
      if (question.stream === null || !streams.includes(question.stream)) continue;
      const call = this.#callFor();
      const { id, line } = question;
      if (line.length === 0 || (call === null && !this.#inbox.open)) {
        this.#take(key);
        this.#write(response(id, GONE));
        continue;
      }
      question.stream = call?.reply ?? null;
      this.#deliver(call, line);
    }
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
    this.#keep(id, line, call?.reply ?? null);
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
    const stream = key === null ? null : (this.#take(key)?.stream ?? null);
    if (stream?.open === true) {
      stream.event(line, []);
      return;
    }
    this.#deliver(null, line);
  }

  /** Remembers a request that the child waits for. */
  #keep(id: Uint8Array, line: Uint8Array, stream: CallReply | null): void {
    const key = idKey(id);
    this.#take(key);
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size < ASKED_MAX) break;
      this.#take(oldest);
    }
    // What goes to the session's own stream is told once.
    const kept = stream === null ? EMPTY : line.slice();
    this.#asked.set(key, { id: id.slice(), line: kept, stream });
    this.#askedBytes += kept.length;
    for (const question of this.#asked.values()) {
      if (this.#askedBytes <= ASKED_BYTES_MAX) break;
      this.#askedBytes -= question.line.length;
      question.line = EMPTY;
    }
  }

  #take(key: string): Question | null {
    const question = this.#asked.get(key);
    if (question === undefined) return null;
    this.#asked.delete(key);
    this.#askedBytes -= question.line.length;
    return question;
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
