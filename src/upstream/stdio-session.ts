// One legacy session of a stdio server: a child of its own, its calls, its event stream, and what heals it.
// Called by stdio.ts. Promises: the session outlives its child: a new one is initialised with the client's own
// initialize message before it gets the next call; a client that leaves cancels nothing (2025-11-25 §transports); the
// end comes once, and fails whatever is under way.
import { EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { sessionNote } from '../mcp/session-notes.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { ClientSession, SessionEvents } from './client-session.ts';
import type { MessagePipe, SessionCore } from './message-pipe.ts';
import { SessionPipe } from './session-pipe.ts';
import type { Call, CallOptions } from './stdio-call.ts';
import { CallTable } from './stdio-calls.ts';
import { Inbox } from './stdio-inbox.ts';
import {
  editOf,
  fitAll,
  forLine,
  isMethod,
  joinEdits,
  kindOf,
  type Message,
  place,
  spanOf,
} from './stdio-message.ts';
import { BatchReply, CANCEL_GRACE_MS, type CallReply, type Reply } from './stdio-reply.ts';
import { SessionVoice } from './stdio-voice.ts';
import type { Backoff } from './supervise.ts';

const NO_HEADERS: readonly string[] = Object.freeze([]);

/** A session from its initialize on. */
export class LegacySession implements ClientSession {
  readonly #core: SessionCore;
  readonly #events: SessionEvents;
  readonly #calls: CallTable;
  readonly #inbox: Inbox;
  readonly #voice: SessionVoice;
  readonly #pipe: SessionPipe;
  #ended = false;
  #usedAt = 0;

  /** `births` backs off new sessions of a server that cannot start; an open session has its own. */
  constructor(core: SessionCore, births: Backoff, events: SessionEvents) {
    const inbox = new Inbox(core.runtime.clock);
    this.#core = core;
    this.#events = events;
    this.#inbox = inbox;
    this.#calls = new CallTable(core, 'legacy', () => {
      this.#touch();
      this.#pipe.settled();
    });
    this.#voice = new SessionVoice(core, this.#calls, inbox, (line) => this.#pipe.write(line));
    this.#pipe = new SessionPipe(core, births, {
      calls: this.#calls,
      voice: this.#voice,
      get listens() {
        return inbox.open;
      },
      end: (error) => this.end(error),
      onGone: (error) => this.#endUnopened(error),
    });
    this.#touch();
  }

  /** Calls that the client waits for. */
  get awaited(): number {
    return this.#calls.awaited;
  }

  /** Calls that wait for a start. */
  get waiting(): number {
    return this.#pipe.waiting;
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
    this.#pipe.headers = message.headers ?? NO_HEADERS;
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
    this.#pipe.headers = messages[0]?.headers ?? NO_HEADERS;
    const fits = fitAll(messages);
    if (fits instanceof GatewayError) return reply.fail(fits);
    const requests = fits.filter((message) => kindOf(message) === KIND.request).length;
    const batch = fits.length > 1 && requests > 0 ? new BatchReply(reply, requests) : null;
    const streams: CallReply[] = [];
    for (const fit of fits) {
      if (kindOf(fit) === KIND.request) {
        const stream = batch?.share() ?? reply;
        streams.push(stream);
        this.#request(fit, stream, firstByteMs, this.#noting(fit));
      } else this.#pass(fit, reply);
    }
    if (requests > 0) return reply.ownedBy({ onLeft: () => this.#voice.left(streams) });
    // What needs no answer is taken (202) as soon as it is queued; after a failure this says nothing.
    if (this.#pipe.waiting > 0) this.#whenUp(reply, () => reply.empty(202));
    else reply.empty(202);
  }

  /** The client opens the session's event stream. */
  listen(reply: Reply): void {
    this.#inbox.attach(reply, () => this.#touch());
    this.#pipe.healUnasked();
  }

  /** Ends the event stream, which never ends by itself. */
  endStream(): void {
    this.#inbox.close();
  }

  /** Ends the session: calls fail with the error, the child is stopped with the graces given in ms. */
  end(error: GatewayError, stopGraceMs?: number, killGraceMs?: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pipe.close(error, stopGraceMs, killGraceMs);
    this.#inbox.close();
    this.#events.onEnd(this);
    this.#core.changed();
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  #touch(): void {
    this.#usedAt = this.#core.runtime.clock.now();
  }

  #request(message: Message, reply: CallReply, firstByteMs: number, onAnswer: CallOptions['onAnswer']): void {
    if (this.#pipe.isUp) this.#core.cell.bumpReuses();
    let call: Call | null = null;
    const deadline = this.#core.deadlines.set(firstByteMs, () => {
      this.#pipe.withdraw(waiter);
      if (call !== null) this.#calls.expire(call);
      else reply.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its server was not ready in time'));
      this.#endUnopened(new GatewayError('GW_UPSTREAM_TIMEOUT'));
    });
    const waiter = {
      ready: () => {
        call = this.#calls.send(message, { reply, deadline, onAnswer, onRefused });
        if (call === null) this.#endUnopened(new GatewayError('GW_UPSTREAM_CLOSING'));
      },
      failed: (error: GatewayError) => {
        this.#core.deadlines.clear(deadline);
        reply.fail(error);
        this.#endUnopened(error);
      },
    };
    // The server forgot the session: once the pipe is gone the call goes to the next one, which had none of it.
    let again = this.#pipe.isOpen;
    const onRefused = (error: GatewayError, unsent: boolean): void => {
      call = null;
      if (!unsent || !again) return waiter.failed(error);
      again = false;
      this.#core.runtime.clock.soon(() => this.#pipe.use(waiter));
    };
    this.#pipe.use(waiter);
  }

  #endUnopened(error: GatewayError): void {
    if (!this.#pipe.isOpen) this.end(error);
  }

  /** Remembers what a request sets in the session, once the server has consented; null for one that sets nothing. */
  #noting(message: Message): CallOptions['onAnswer'] {
    const note = sessionNote(this.#core.scanner, message);
    if (note === null) return null;
    return (_line, envelope) => {
      if (place(envelope, ENVELOPE.kind) === KIND.result) this.#pipe.noted(note);
      return null;
    };
  }

  #onInitialize(sent: Message, reply: Reply, envelope: Int32Array): string | null {
    const { clock } = this.#core.runtime;
    if (place(envelope, ENVELOPE.kind) !== KIND.result || !reply.open) {
      // Refused by the server, or nobody is left who could learn the session's id.
      clock.soon(() => this.end(new GatewayError('GW_UPSTREAM_CLOSING')));
      return null;
    }
    this.#pipe.accepted(sent);
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
    this.#whenUp(reply, () => this.#pipe.initialized(message));
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
      pipe.write(message.body, message.edits, {
        headers: message.headers,
        ordered: kindOf(message) === KIND.notification,
        refused: (error) =>
          this.#core.log.debug('a message was not taken by the MCP server', { code: error.code }),
      });
    });
  }

  #whenUp(reply: Reply, ready: (pipe: MessagePipe) => void): void {
    this.#pipe.use({ ready, failed: (error) => reply.fail(error) });
  }
}
