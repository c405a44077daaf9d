// What shared children have asked one client and wait to hear.
// Called by stdio-together-session.ts and stdio-together-voice.ts. Promises: an answer goes to the process that asked, once; how many wait is
// bounded; a question on the stream of a call that its client has left is asked again where the client is, or answered.
import { type Edit, EMPTY } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import type { Call } from './stdio-call.ts';
import { idKey } from './stdio-ids.ts';
import type { Inbox } from './stdio-inbox.ts';
import type { Shift } from './stdio-keeper.ts';
import { response } from './stdio-message.ts';
import { type CallReply, REPLY_WAITING_BYTES_MAX } from './stdio-reply.ts';

/** Requests that a client may leave unanswered. */
const ASKED_MAX = 1_024;
const GONE = `"error":{"code":${RPC.internal},"message":"The client has left"}`;

interface Question {
  readonly shift: Shift;
  /** As the process spelled it. */
  readonly id: Uint8Array;
  /** The message; empty when it is not told again. */
  readonly line: Uint8Array;
  /** Where it was told; null for the session's own stream. */
  stream: CallReply | null;
}

/** One client's open questions. */
export class Asked {
  readonly #open = new Map<string, Question>();
  #bytes = 0;

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** The process asks on a call's stream. False when too much is open already, or the id is. */
  add(shift: Shift, id: Uint8Array, line: Uint8Array, stream: CallReply): boolean {
    const key = idKey(id);
    if (this.#open.has(key) || this.#open.size >= ASKED_MAX) return false;
    // What waits is bounded in bytes as well: beyond, a question is told once.
    const kept = this.#bytes + line.length > REPLY_WAITING_BYTES_MAX ? EMPTY : line.slice();
    this.#bytes += kept.length;
    this.#open.set(key, { shift, id: id.slice(), line: kept, stream });
    return true;
  }

  /**
   * The client has left these streams, maybe before it was asked there: it is asked where it is now. Where it is nowhere, nobody could be told what
   * the call brings either, and the process need not wait. `callOf`: a call at that process that it waits for.
   */
  left(streams: readonly CallReply[], callOf: (shift: Shift) => Call | null, inbox: Inbox): void {
    for (const [key, question] of [...this.#open]) {
      const { shift, id, line, stream } = question;
      if (stream === null || !streams.includes(stream)) continue;
      const call = callOf(shift);
      question.stream = call?.reply ?? null;
      if (line.length === 0 || (call === null && !inbox.open)) {
        this.#take(key);
        shift.pipe.write(response(id, GONE), []);
      } else if (call === null) inbox.put(line);
      else shift.calls.event(call, line, []);
    }
  }

  /** Passes an answer on; false when nobody waits for one with this id. */
  answer(id: Uint8Array, body: Uint8Array, edits: readonly Edit[]): boolean {
    const key = idKey(id);
    const question = this.#take(key);
    if (question === null) return false;
    question.shift.pipe.write(body, edits);
    return true;
  }

  /** The process withdraws a question: the stream on which the client heard it, null for the session's own; undefined when it is not open here. */
  withdrawn(shift: Shift, id: Uint8Array): CallReply | null | undefined {
    const key = idKey(id);
    const question = this.#open.get(key);
    if (question?.shift !== shift) return undefined;
    this.#take(key);
    return question.stream;
  }

  /** The process ended: it waits for nothing any more. */
  forget(shift: Shift): void {
    for (const [key, question] of this.#open) if (question.shift === shift) this.#take(key);
  }

  /** The client has left: whoever asked is told. */
  close(): void {
    for (const { shift, id } of this.#open.values()) shift.pipe.write(response(id, GONE), []);
    this.#open.clear();
    this.#bytes = 0;
  }

  #take(key: string): Question | null {
    const question = this.#open.get(key);
    if (question === undefined) return null;
    this.#open.delete(key);
    this.#bytes -= question.line.length;
    return question;
  }
}
