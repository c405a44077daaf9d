// What shared children have asked one client and wait to hear.
// Called by stdio-together-session.ts. Promises: an answer goes to the process that asked, once; how many wait is bounded.
import type { Edit } from '../base/bytes.ts';
import { RPC } from '../base/errors.ts';
import { idKey } from './stdio-ids.ts';
import type { Shift } from './stdio-keeper.ts';
import { response } from './stdio-message.ts';
import type { CallReply } from './stdio-reply.ts';

/** Requests that a client may leave unanswered. */
const ASKED_MAX = 1_024;
const GONE = `"error":{"code":${RPC.internal},"message":"The client has left"}`;

interface Question {
  readonly shift: Shift;
  /** As the process spelled it. */
  readonly id: Uint8Array;
  readonly stream: CallReply;
}

/** One client's open questions. */
export class Asked {
  readonly #open = new Map<string, Question>();

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** The process asks on a call's stream. False when too much is open already, or the id is. */
  add(shift: Shift, id: Uint8Array, stream: CallReply): boolean {
    const key = idKey(id);
    if (this.#open.has(key) || this.#open.size >= ASKED_MAX) return false;
    this.#open.set(key, { shift, id: id.slice(), stream });
    return true;
  }

  /** Passes an answer on; false when nobody waits for one with this id. */
  answer(id: Uint8Array, body: Uint8Array, edits: readonly Edit[]): boolean {
    const key = idKey(id);
    const question = this.#open.get(key);
    if (question === undefined) return false;
    this.#open.delete(key);
    question.shift.pipe.write(body, edits);
    return true;
  }

  /** The process withdraws a question: the stream on which the client heard it, null when it is not open here. */
  withdrawn(shift: Shift, id: Uint8Array): CallReply | null {
    const key = idKey(id);
    const question = this.#open.get(key);
    if (question?.shift !== shift) return null;
    this.#open.delete(key);
    return question.stream;
  }

  /** The process ended: it waits for nothing any more. */
  forget(shift: Shift): void {
    for (const [key, question] of this.#open) if (question.shift === shift) this.#open.delete(key);
  }

  /** The client has left: whoever asked is told. */
  close(): void {
    for (const { shift, id } of this.#open.values()) shift.pipe.write(response(id, GONE), []);
    this.#open.clear();
  }
}
