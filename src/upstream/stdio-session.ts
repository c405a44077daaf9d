// One legacy session of a stdio server: a child of its own, its calls, its event stream, and what heals it.
// Called by stdio.ts. Promises: the session outlives its child: a new one is initialised with the client's own
// initialize message before it gets the next call; a client that leaves cancels nothing (2025-11-25 §transports); the
// end comes once, and fails whatever is under way.
import { EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import { type Call, type CallOptions, CallTable } from './stdio-calls.ts';
import type { ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import { Handshake } from './stdio-handshake.ts';
import { Inbox } from './stdio-inbox.ts';
import {
  editOf,
  forLine,
  isMethod,
  joinEdits,
  type Message,
  MessageReader,
  place,
  spanOf,
} from './stdio-message.ts';
import { BatchReply, type CallReply, type Reply } from './stdio-reply.ts';
import { SessionVoice } from './stdio-voice.ts';
import { Backoff, Supervisor } from './supervise.ts';

/** Time that a call cancelled by its client has for a late reply before its stream ends. */
const CANCEL_GRACE_MS = 1_000;

/** What the upstream hears of a session. */
export interface SessionEvents {
  /** initialize succeeded; gives the session's id. */
  onOpen(session: LegacySession): string;
  /** It is over, whoever ended it. Exactly once. */
  onEnd(session: LegacySession): void;
}

function kindOf(message: Message): number {
  return place(message.envelope, ENVELOPE.kind);
}

/** A session from its initialize on. */
export class LegacySession {
  readonly #core: StdioCore;
  readonly #births: Backoff;
  readonly #events: SessionEvents;
  readonly #calls: CallTable;
  readonly #inbox: Inbox;
  readonly #voice: SessionVoice;
  readonly #supervisor: Supervisor<ChildPipe>;
  readonly #handshake = new Handshake();
  #pipe: ChildPipe | null = null;
  /** Tells the supervisor that a heal failed; null when none is under way. */
  #healFailed: ((error: GatewayError) => void) | null = null;
  #ended = false;
  #usedAt = 0;

  /** `births` backs off new sessions of a server that cannot start; an open session has its own. */
  constructor(core: StdioCore, births: Backoff, events: SessionEvents) {
    const { clock } = core.runtime;
    this.#core = core;
    this.#births = births;
    this.#events = events;
    this.#calls = new CallTable(core, 'legacy', () => this.#touch());
    this.#inbox = new Inbox(clock);
    this.#voice = new SessionVoice(core, this.#calls, this.#inbox, (line) => this.#pipe?.write(line, []));
    this.#supervisor = new Supervisor(clock, births, core.depthMax, (opened, failed) =>
      this.#open(opened, failed),
    );
    this.#touch();
  }

  /** Calls that the client waits for. */
  get awaited(): number {
    return this.#calls.awaited;
  }

  /** Calls that wait for a start. */
  get waiting(): number {
    return this.#supervisor.waiting;
  }

  /** True when its child has calls in flight. */
  get busy(): boolean {
    return this.#calls.size > 0;
  }

  /** Milliseconds since it was last of use; 0 while a call or a stream is open. */
  idleMs(): number {
    if (this.awaited > 0 || this.waiting > 0 || this.#inbox.open) this.#touch();
    return this.#core.runtime.clock.now() - this.#usedAt;
  }

  /** The first message: starts the child with it. A failure of any kind ends the session. */
  initialize(message: Message, reply: Reply, firstByteMs: number): void {
    const fit = forLine(message);
    if (fit instanceof GatewayError) {
      reply.fail(fit);
      this.end(fit);
      return;
    }
    this.#request(fit, reply, firstByteMs, (_line, envelope) => this.#onInitialize(fit, reply, envelope));
  }

  /** One message, or the messages of a batch, that the client sent. */
  post(messages: readonly Message[], reply: Reply, firstByteMs: number): void {
    this.#touch();
    const fits: Message[] = [];
    for (const message of messages) {
      const fit = forLine(message);
      if (fit instanceof GatewayError) {
        reply.fail(fit);
        return;
      }
      fits.push(fit);
    }
    const requests = fits.filter((message) => kindOf(message) === KIND.request).length;
    const batch = fits.length > 1 && requests > 0 ? new BatchReply(reply, requests) : null;
    for (const fit of fits) {
      if (kindOf(fit) === KIND.request) this.#request(fit, batch?.share() ?? reply, firstByteMs, null);
      else this.#pass(fit, reply);
    }
    if (requests > 0) return;
    // What needs no answer is taken (202) as soon as it is queued; after a failure this says nothing.
    if (this.#supervisor.waiting > 0) this.#whenUp(reply, () => reply.empty(202));
    else reply.empty(202);
  }

  /** The client opens the session's event stream. */
  listen(reply: Reply): void {
    this.#inbox.attach(reply, () => this.#touch());
  }

  /** Ends the event stream, which never ends by itself. */
  endStream(): void {
    this.#inbox.close();
  }

  /** Ends the session: calls fail with the error, the child is stopped with the graces given in ms. */
  end(error: GatewayError, stopGraceMs?: number, killGraceMs?: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#supervisor.close(error);
    this.#calls.failAll(error);
    this.#inbox.close();
    this.#pipe?.stop(stopGraceMs, killGraceMs);
    this.#pipe = null;
    this.#events.onEnd(this);
    this.#core.changed();
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  #touch(): void {
    this.#usedAt = this.#core.runtime.clock.now();
  }

  #request(message: Message, reply: CallReply, firstByteMs: number, onAnswer: CallOptions['onAnswer']): void {
    if (this.#supervisor.current !== null) this.#core.cell.bumpReuses();
    let call: Call | null = null;
    const deadline = this.#core.deadlines.set(firstByteMs, () => {
      this.#supervisor.withdraw(waiter);
      if (call !== null) this.#calls.expire(call);
      else reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its process did not start in time'));
      this.#endUnopened(new GatewayError('GW_UPSTREAM_TIMEOUT'));
    });
    const waiter = {
      ready: () => {
        call = this.#calls.send(message, { reply, deadline, onAnswer });
        if (call === null) this.#endUnopened(new GatewayError('GW_UPSTREAM_CLOSING'));
      },
      failed: (error: GatewayError) => {
        this.#core.deadlines.clear(deadline);
        reply.fail(error);
        this.#endUnopened(error);
      },
    };
    this.#supervisor.use(waiter);
  }

  #endUnopened(error: GatewayError): void {
    if (!this.#handshake.done) this.end(error);
  }

  #onInitialize(sent: Message, reply: Reply, envelope: Int32Array): string | null {
    const { clock, random } = this.#core.runtime;
    if (place(envelope, ENVELOPE.kind) !== KIND.result || !reply.open) {
      // Refused by the server, or nobody is left who could learn the session's id.
      clock.soon(() => this.end(new GatewayError('GW_UPSTREAM_CLOSING')));
      return null;
    }
    this.#handshake.keepInitialize(sent);
    this.#births.reset();
    this.#supervisor.countOn(new Backoff(clock, random));
    return this.#events.onOpen(this);
  }

  /** A notification or a response of the client. */
  #pass(message: Message, reply: Reply): void {
    if (kindOf(message) === KIND.notification) {
      if (isMethod(message, METHOD.cancelled)) {
        this.#cancel(message, reply);
        return;
      }
      if (isMethod(message, METHOD.initialized)) this.#keepInitialized(message, reply);
    } else if (!this.#voice.takeAsked(spanOf(message.body, message.envelope, ENVELOPE.id) ?? EMPTY)) {
      this.#core.log.debug('dropped a response that the MCP server does not wait for');
      return;
    }
    this.#write(message, reply);
  }

  /** Kept once a child is up: a heal that is under way must not send it twice. */
  #keepInitialized(message: Message, reply: Reply): void {
    this.#whenUp(reply, () => this.#handshake.keepInitialized(message));
  }

  /** The client cancels one of its calls, which it names by its own id. A call that is over needs no cancel. */
  #cancel(message: Message, reply: Reply): void {
    const raw = spanOf(message.body, message.envelope, ENVELOPE.requestId);
    const call = raw === null ? null : this.#calls.byClientId(raw);
    if (call === null) return;
    const own = editOf(message.envelope, ENVELOPE.requestId, encode(String(call.id)));
    const edits = joinEdits(message.edits, [own]);
    if (edits instanceof GatewayError) {
      reply.fail(edits);
      return;
    }
    this.#write({ ...message, edits }, reply);
    this.#calls.awaitLate(call, CANCEL_GRACE_MS);
  }

  #write(message: Message, reply: Reply): void {
    this.#whenUp(reply, (pipe) => {
      if (!pipe.hasRoom(message.body.length)) return reply.fail(new GatewayError('GW_UPSTREAM_BUSY'));
      pipe.write(message.body, message.edits);
    });
  }

  #whenUp(reply: Reply, ready: (pipe: ChildPipe) => void): void {
    this.#supervisor.use({ ready, failed: (error) => reply.fail(error) });
  }

  // ── the child ────────────────────────────────────────────────────────────────────────────────────────────────────

  #open(opened: (pipe: ChildPipe) => void, failed: (error: GatewayError) => void): void {
    let pipe: ChildPipe;
    try {
      pipe = this.#start();
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      this.#core.cell.bumpFailures();
      failed(thrown);
      return;
    }
    if (!this.#handshake.done) {
      opened(pipe);
      return;
    }
    this.#healFailed = failed;
    this.#handshake.repeat(this.#core, this.#calls, pipe, {
      healed: () => {
        this.#healFailed = null;
        opened(pipe);
      },
      lost: () =>
        this.end(new GatewayError('GW_SESSION_UNKNOWN', 'its new process refused to be initialised again')),
    });
  }

  #start(): ChildPipe {
    const reader = new MessageReader(this.#core.scanner, this.#core.log, this.#voice);
    const pipe = this.#core.start({
      onLine: (line) => reader.read(line),
      onGone: (reason, lived) => this.#onGone(pipe, reason, lived),
    });
    this.#pipe = pipe;
    this.#calls.attach(pipe);
    return pipe;
  }

  #onGone(pipe: ChildPipe, reason: string, lived: number): void {
    if (this.#pipe !== pipe || this.#ended) return;
    this.#pipe = null;
    this.#voice.forgetAsked();
    const healFailed = this.#healFailed;
    this.#healFailed = null;
    const error = new GatewayError('GW_UPSTREAM_EXITED', reason);
    if (healFailed === null) this.#supervisor.died(lived);
    else healFailed(new GatewayError('GW_UPSTREAM_SPAWN', `the new one was not ready yet: ${reason}`));
    this.#calls.failAll(error);
    this.#endUnopened(error);
  }
}
