// A legacy client's handshake, kept so that it can be repeated with a new child, and what the client has set since.
// Called by stdio-session.ts. Promises: the child gets the client's own bytes again (edits applied, a new id); its reply
// reaches nobody; the copies outlive the request that brought them.
import { GatewayError } from '../base/errors.ts';
import { SessionNotes } from '../mcp/session-notes.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { MessagePipe, SessionCore } from './message-pipe.ts';
import type { CallTable } from './stdio-calls.ts';
import { type Message, place } from './stdio-message.ts';
import { Reply } from './stdio-reply.ts';
import type { UpstreamSink } from './upstream.ts';

/** Takes the reply of what the gateway asks by itself. */
export const NOBODY: UpstreamSink = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};

/** A message that outlives the request that brought it. */
export function copyOf(message: Message): Message {
  return { ...message, body: message.body.slice(), envelope: message.envelope.slice() };
}

/** How a repeated handshake ends; none of them is called when the pipe breaks meanwhile. */
export interface RepeatOutcome {
  healed(): void;
  /** The server refuses or stays silent. */
  lost(): void;
  /** The message did not reach the server's program. */
  refused(error: GatewayError): void;
}

/** The two messages that begin a session, and what is to be said again behind them. */
export class Handshake {
  readonly notes = new SessionNotes();
  #initialize: Message | null = null;
  #initialized: Message | null = null;

  /** True once a server has accepted initialize. */
  get done(): boolean {
    return this.#initialize !== null;
  }

  /** The server accepted this initialize. */
  keepInitialize(message: Message): void {
    this.#initialize = copyOf(message);
  }

  /** The client sent this notifications/initialized; the first one counts. */
  keepInitialized(message: Message): void {
    this.#initialized ??= copyOf(message);
  }

  /** Repeats it with a new pipe, in the name of a request with these headers. */
  repeat(
    core: SessionCore,
    calls: CallTable,
    to: { readonly pipe: MessagePipe; readonly headers: readonly string[] },
    outcome: RepeatOutcome,
  ): void {
    const { pipe, headers } = to;
    const initialize = this.#initialize;
    if (initialize === null) throw new GatewayError('GW_BASE_INTERNAL', 'no handshake to repeat');
    const reply = new Reply(NOBODY, core.runtime.clock);
    reply.release();
    const deadline = core.deadlines.set(core.spec.firstByteTimeoutMs, () => outcome.lost());
    const onAnswer = (_line: Uint8Array, envelope: Int32Array): null => {
      if (place(envelope, ENVELOPE.kind) === KIND.result) {
        // In order, and before any call. What its server answers to the notes reaches nobody: their ids are of no call.
        const posting = { headers, ordered: true, refused: () => undefined };
        const initialized = this.#initialized;
        if (initialized !== null) pipe.write(initialized.body, initialized.edits, posting);
        for (const line of this.notes.repeats()) pipe.write(line, [], posting);
        outcome.healed();
      } else {
        core.runtime.clock.soon(() => outcome.lost());
      }
      return null;
    };
    const onRefused = (error: GatewayError): void => {
      core.deadlines.clear(deadline);
      outcome.refused(error);
    };
    calls.send({ ...initialize, headers }, { reply, deadline, onAnswer, onRefused });
  }
}
