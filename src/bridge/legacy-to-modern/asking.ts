// One round of questions to a legacy client, in the middle of its call.
// Called by call.ts. Promises: every question bears an id that nobody can guess; the round ends exactly once, with all answers, with the reason why they cannot be had, or
// silently when it is stopped; what is left open then is taken back.
import { LIMITS } from '../../base/limits.ts';
import { METHOD } from '../../mcp/protocol.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { answerOf, type InputRequest, type InputRound, questionMessage } from './input-rounds.ts';
import { notification, type Outlet } from './outlet.ts';
import type { LegacySession } from './session.ts';

/** What became of a round: raw answers by their keys, or why there are none. */
export type AskingEnd = ReadonlyMap<string, Uint8Array> | string;

const ID_BYTES = 18;

/** One round. */
export class Asking {
  readonly #session: LegacySession;
  readonly #credentials: string;
  readonly #outlet: Outlet;
  readonly #onEnd: (end: AskingEnd) => void;
  readonly #open = new Map<string, InputRequest>();
  readonly #answers = new Map<string, Uint8Array>();
  #timer: TimerId = 0;

  /** `credentials` are the call's: only who made it may answer. */
  constructor(session: LegacySession, credentials: string, outlet: Outlet, onEnd: (end: AskingEnd) => void) {
    this.#session = session;
    this.#credentials = credentials;
    this.#outlet = outlet;
    this.#onEnd = onEnd;
  }

  /** Asks everything of the round. */
  start({ requests }: InputRound): void {
    const { clock, random } = this.#session.parts;
    this.#timer = clock.after(LIMITS.inputRoundMs, () => this.#end('the client did not answer in time'));
    for (const request of requests) {
      const bytes = random.bytes(ID_BYTES);
      const id = `sluice~${bytes.toBase64({ alphabet: 'base64url', omitPadding: true })}`;
      this.#open.set(id, request);
      this.#session.ask(id, {
        credentials: this.#credentials,
        settle: (body, envelope) => this.#settle(id, body, envelope),
      });
    }
    // All are open before the first can be answered.
    for (const [id, request] of this.#open) this.#outlet.event(questionMessage(id, request));
  }

  /** Nobody wants the answers any more. */
  stop(): void {
    this.#session.parts.clock.cancel(this.#timer);
    for (const id of this.#open.keys()) this.#session.forget(id);
    this.#open.clear();
  }

  #settle(id: string, bytes: Uint8Array, envelope: Int32Array): void {
    const request = this.#open.get(id);
    if (request === undefined) return;
    this.#open.delete(id);
    const answer = answerOf(request, { bytes, envelope });
    if (answer === null) return this.#end(`the client did not answer ${request.method}`);
    this.#answers.set(request.key, answer);
    if (this.#open.size === 0) this.#end(this.#answers);
  }

  #end(end: AskingEnd): void {
    for (const id of this.#open.keys())
      this.#outlet.event(
        notification(METHOD.cancelled, { requestId: id, reason: 'the call cannot go on without the others' }),
      );
    this.stop();
    this.#onEnd(end);
  }
}
