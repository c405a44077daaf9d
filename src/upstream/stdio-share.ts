// One call's reply that remembers whose call it is, on a child that many sessions share.
// Called by stdio-together-session.ts (makes it) and stdio-together-voice.ts (asks whose a call is). Promises: what CallReply promises; told once
// when the call is over, and whether the server has said so.
import type { Edit } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import type { Call } from './stdio-call.ts';
import type { CallReply } from './stdio-reply.ts';

/** A reply in the name of an `O`. */
export class Share<O> implements CallReply {
  readonly owner: O;
  readonly #inner: CallReply;
  #onOver: ((share: Share<O>, isAnswered: boolean) => void) | null;

  constructor(owner: O, inner: CallReply, onOver: (share: Share<O>, isAnswered: boolean) => void) {
    this.owner = owner;
    this.#inner = inner;
    this.#onOver = onOver;
  }

  get open(): boolean {
    return this.#inner.open;
  }

  get streaming(): boolean {
    return this.#inner.streaming;
  }

  get lasting(): boolean {
    return this.#inner.lasting;
  }

  event(line: Uint8Array, edits: readonly Edit[]): void {
    this.#inner.event(line, edits);
  }

  answer(line: Uint8Array, edits: readonly Edit[], status: number, sessionId: string | null): void {
    this.#over(true);
    this.#inner.answer(line, edits, status, sessionId);
  }

  end(): void {
    this.#over(false);
    this.#inner.end();
  }

  fail(error: GatewayError): void {
    this.#over(false);
    this.#inner.fail(error);
  }

  #over(isAnswered: boolean): void {
    const onOver = this.#onOver;
    this.#onOver = null;
    onOver?.(this, isAnswered);
  }
}

/**
 * Where an owner can be told something about one of its calls: the newest that it waits for and whose stream is open already, else the newest that it
 * waits for; null when there is none. The newest, since its client may have left an older one a moment ago, which shows only later.
 */
export function newestOf<O>(calls: Iterable<Call>, owner: O): Call | null {
  let newest: Call | null = null;
  for (const call of calls) {
    const { reply } = call;
    if (!(reply instanceof Share) || reply.owner !== owner || !reply.open) continue;
    if (newest === null || reply.streaming || !newest.reply.streaming) newest = call;
  }
  return newest;
}
