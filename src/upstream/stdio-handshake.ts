// A legacy client's handshake, kept so that it can be repeated with a new child.
// Called by stdio-session.ts. Promises: the child gets the client's own bytes again (edits applied, a new id); its reply
// reaches nobody; the copies outlive the request that brought them.
import { GatewayError } from '../base/errors.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { CallTable } from './stdio-calls.ts';
import type { ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import { type Message, place } from './stdio-message.ts';
import { Reply } from './stdio-reply.ts';
import type { UpstreamSink } from './upstream.ts';

/** Takes the reply of a repeated initialize. */
const NOBODY: UpstreamSink = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};

function copyOf(message: Message): Message {
  return { ...message, body: message.body.slice(), envelope: message.envelope.slice() };
}

/** The two messages that begin a session. */
export class Handshake {
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

  /** Repeats it with a new child. `lost` when the child refuses or stays silent; neither is called when it dies. */
  repeat(
    core: StdioCore,
    calls: CallTable,
    pipe: ChildPipe,
    outcome: { healed(): void; lost(): void },
  ): void {
    const initialize = this.#initialize;
    if (initialize === null) throw new GatewayError('GW_BASE_INTERNAL', 'no handshake to repeat');
    const reply = new Reply(NOBODY, core.runtime.clock);
    reply.release();
    const deadline = core.deadlines.set(core.spec.firstByteTimeoutMs, () => outcome.lost());
    const onAnswer = (_line: Uint8Array, envelope: Int32Array): null => {
      if (place(envelope, ENVELOPE.kind) === KIND.result) {
        if (this.#initialized !== null) pipe.write(this.#initialized.body, this.#initialized.edits);
        outcome.healed();
      } else {
        core.runtime.clock.soon(() => outcome.lost());
      }
      return null;
    };
    calls.send(initialize, { reply, deadline, onAnswer });
  }
}
