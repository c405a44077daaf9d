// One legacy client's session on a child that it shares with others.
// Called by stdio-together.ts (makes it) and legacy-sessions.ts (through client-session.ts). Promises: what it asks goes to the child under ids
// of the pipe's own; it may cancel and answer only what is its own; once it has ended the child hears nothing of it any more.
import { decode, EMPTY, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';
import type { ClientSession, SessionEvents } from './client-session.ts';
import { Asked } from './stdio-asked.ts';
import type { Call } from './stdio-call.ts';
import type { StdioCore } from './stdio-core.ts';
import { idKey } from './stdio-ids.ts';
import { Inbox } from './stdio-inbox.ts';
import type { Keeper, Shift } from './stdio-keeper.ts';
import {
  editOf,
  fitAll,
  isMethod,
  joinEdits,
  kindOf,
  type Message,
  place,
  response,
  spanOf,
} from './stdio-message.ts';
import { BatchReply, CANCEL_GRACE_MS, type CallReply, type Reply } from './stdio-reply.ts';
import { newestOf, Share } from './stdio-share.ts';
import { Wishes } from './stdio-wishes.ts';
import type { Waiter } from './supervise.ts';

/** What a session has in common with the others. */
export interface Commune {
  readonly core: StdioCore;
  readonly keeper: Keeper;
  readonly members: Set<TogetherSession>;
  /** What the server answered to initialize; once the keeper has handed out a process. */
  readonly answer: { readonly line: Uint8Array; readonly envelope: Int32Array };
  /** A client's initialize, which the server gets to see if it is the first. */
  propose(initialize: Message): void;
  /** As OthersWishes. */
  isTold(level: number): boolean;
  told(level: number): void;
  /** True when another session than this one is subscribed to the resource. */
  holds(uri: string, except: TogetherSession): boolean;
  /** The session gave up a call, which the server may still be at. */
  abandoned(member: TogetherSession): void;
  /** The session is over. */
  left(member: TogetherSession): void;
}

const NOTHING = '"result":{}';

/** A session. */
export class TogetherSession implements ClientSession {
  readonly wishes: Wishes;
  /** What the child has asked its client. */
  readonly asked = new Asked();
  /** Names of the capabilities that its client declared. */
  readonly capabilities = new Set<string>();
  readonly inbox: Inbox;
  readonly #commune: Commune;
  readonly #core: StdioCore;
  readonly #events: SessionEvents;
  readonly #shares = new Set<Share<TogetherSession>>();
  readonly #waiters = new Set<Waiter<Shift>>();
  #isOver = false;
  #usedAt = 0;

  constructor(commune: Commune, events: SessionEvents) {
    this.#commune = commune;
    this.#core = commune.core;
    this.#events = events;
    this.inbox = new Inbox(this.#core.runtime.clock);
    this.wishes = new Wishes({
      isTold: (level) => commune.isTold(level),
      told: (level) => commune.told(level),
      holds: (uri) => commune.holds(uri, this),
    });
    this.#touch();
  }

  get awaited(): number {
    return [...this.#shares].filter(({ open }) => open).length;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  get busy(): boolean {
    return this.#shares.size > 0;
  }

  /** True while its event stream is open. */
  get listens(): boolean {
    return this.inbox.open;
  }

  idleMs(): number {
    if (this.awaited > 0 || this.waiting > 0 || this.inbox.open) this.#touch();
    return this.#core.runtime.clock.now() - this.#usedAt;
  }

  initialize(message: Message, reply: Reply, firstByteMs: number): void {
    const fits = fitAll([message]);
    const [fit] = fits instanceof GatewayError ? [] : fits;
    if (fits instanceof GatewayError || fit === undefined) {
      const error = fits instanceof GatewayError ? fits : new GatewayError('GW_MCP_MESSAGE');
      reply.fail(error);
      this.end(error);
      return;
    }
    this.#commune.propose(fit);
    const id = (spanOf(fit.body, fit.envelope, ENVELOPE.id) ?? EMPTY).slice();
    this.#declare(fit);
    const deadline = this.#core.deadlines.set(firstByteMs, () => {
      this.#withdraw(waiter);
      failed(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its process did not start in time'));
    });
    const failed = (error: GatewayError): void => {
      this.#core.deadlines.clear(deadline);
      reply.fail(error);
      this.end(error);
    };
    const waiter = this.#use(() => {
      this.#core.deadlines.clear(deadline);
      this.#welcome(id, reply);
    }, failed);
  }

  post(messages: readonly Message[], reply: Reply, firstByteMs: number): void {
    this.#touch();
    const fits = fitAll(messages);
    if (fits instanceof GatewayError) return reply.fail(fits);
    const requests = fits.filter((fit) => kindOf(fit) === KIND.request).length;
    const batch = fits.length > 1 && requests > 0 ? new BatchReply(reply, requests) : null;
    const shares: CallReply[] = [];
    for (const fit of fits) {
      if (kindOf(fit) !== KIND.request) this.#pass(fit, reply);
      else shares.push(this.#request(fit, batch?.share() ?? reply, firstByteMs));
    }
    // What needs no answer is taken (202); after a failure this says nothing.
    if (requests === 0) return reply.empty(202);
    reply.ownedBy({
      onLeft: () => this.asked.left(shares, ({ calls }) => newestOf(calls.all(), this), this.inbox),
    });
  }

  listen(reply: Reply): void {
    this.inbox.attach(reply, () => this.#touch());
  }

  endStream(): void {
    this.inbox.close();
  }

  end(error: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const waiters = [...this.#waiters];
    for (const waiter of waiters) this.#withdraw(waiter);
    for (const waiter of waiters) waiter.failed(error);
    for (const [call, { calls }] of [...this.#commune.keeper.calls()]) {
      if (!(call.reply instanceof Share) || call.reply.owner !== this) continue;
      calls.giveUp(call, error);
    }
    this.asked.close();
    this.inbox.close();
    this.#commune.left(this);
    this.#events.onEnd(this);
    this.#core.changed();
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  #touch(): void {
    this.#usedAt = this.#core.runtime.clock.now();
  }

  #declare({ body, envelope }: Message): void {
    const raw = spanOf(body, envelope, ENVELOPE.capabilities);
    const declared: unknown = raw === null ? null : JSON.parse(decode(raw));
    if (typeof declared !== 'object' || declared === null) return;
    for (const [name, value] of Object.entries(declared))
      if (typeof value === 'object' && value !== null) this.capabilities.add(name);
  }

  #welcome(id: Uint8Array, reply: Reply): void {
    const { line, envelope } = this.#commune.answer;
    const isAccepted = place(envelope, ENVELOPE.kind) === KIND.result && reply.open;
    let sessionId: string | null = null;
    if (isAccepted) {
      this.#commune.members.add(this);
      sessionId = this.#events.onOpen(this);
    }
    reply.answer(line, [editOf(envelope, ENVELOPE.id, id)], 200, sessionId);
    if (!isAccepted) this.end(new GatewayError('GW_UPSTREAM_CLOSING'));
  }

  /** Waits for the child; told one of the two, unless it withdraws. */
  #use(ready: (shift: Shift) => void, failed: (error: GatewayError) => void): Waiter<Shift> {
    const waiter: Waiter<Shift> = {
      ready: (shift) => {
        this.#waiters.delete(waiter);
        ready(shift);
      },
      failed: (error) => {
        this.#waiters.delete(waiter);
        failed(error);
      },
    };
    this.#waiters.add(waiter);
    this.#commune.keeper.use(waiter);
    return waiter;
  }

  #withdraw(waiter: Waiter<Shift>): void {
    this.#waiters.delete(waiter);
    this.#commune.keeper.withdraw(waiter);
  }

  /** Sends it; the stream on which the client may be asked while it runs. */
  #request(message: Message, reply: CallReply, firstByteMs: number): CallReply {
    const concerns = this.wishes.take(message);
    if (concerns === null) {
      this.#answerHere(message, reply);
      return reply;
    }
    const { cell, deadlines } = this.#core;
    if (this.#commune.keeper.current !== null) cell.bumpReuses();
    const share = new Share<TogetherSession>(this, reply, (over, isAnswered) => {
      this.#shares.delete(over);
      if (!isAnswered && sent !== null) this.#commune.abandoned(this);
      this.#touch();
    });
    let sent: { readonly call: Call | null; readonly shift: Shift } | null = null;
    const deadline = deadlines.set(firstByteMs, () => {
      this.#withdraw(waiter);
      if (sent === null)
        share.fail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'its process did not start in time'));
      else if (sent.call !== null) sent.shift.calls.expire(sent.call);
    });
    const failed = (error: GatewayError): void => {
      deadlines.clear(deadline);
      share.fail(error);
    };
    this.#shares.add(share);
    const waiter = this.#use((shift) => {
      const onAnswer = (_line: Uint8Array, envelope: Int32Array): null => {
        if (place(envelope, ENVELOPE.kind) === KIND.result) concerns();
        return null;
      };
      sent = { call: shift.calls.send(message, { reply: share, deadline, onAnswer }), shift };
    }, failed);
    return share;
  }

  #answerHere({ body, envelope }: Message, reply: CallReply): void {
    const id = (spanOf(body, envelope, ENVELOPE.id) ?? EMPTY).slice();
    this.#core.runtime.clock.soon(() => reply.answer(response(id, NOTHING), [], 200, null));
  }

  /** A notification or a response of the client. */
  #pass(message: Message, reply: Reply): void {
    const { body, edits } = message;
    if (kindOf(message) !== KIND.notification) return this.#respond(message);
    if (isMethod(message, METHOD.cancelled)) return this.#cancel(message);
    // The server was told once that it is initialised, and asks no session for its roots unasked.
    if (isMethod(message, METHOD.initialized) || isMethod(message, METHOD.rootsChanged)) return;
    // Progress is of a request of the child: of none, when it has asked this session nothing.
    if (isMethod(message, METHOD.progress) && this.asked.size === 0) return;
    this.#use(
      ({ pipe }) => {
        if (pipe.hasRoom(body.length)) pipe.write(body, edits);
        else reply.fail(new GatewayError('GW_UPSTREAM_BUSY'));
      },
      (error) => reply.fail(error),
    );
  }

  #respond({ body, envelope, edits }: Message): void {
    if (!this.asked.answer(spanOf(body, envelope, ENVELOPE.id) ?? EMPTY, body, edits))
      this.#core.log.debug('dropped a response that the MCP server does not wait for');
  }

  /** The client cancels one of its own calls, which it names by its own id. */
  #cancel(message: Message): void {
    const raw = spanOf(message.body, message.envelope, ENVELOPE.requestId);
    if (raw === null) return;
    const key = idKey(raw);
    for (const [call, { calls, pipe }] of [...this.#commune.keeper.calls()].reverse()) {
      if (!(call.reply instanceof Share) || call.reply.owner !== this || idKey(call.idRaw) !== key) continue;
      const own = editOf(message.envelope, ENVELOPE.requestId, encode(String(call.id)));
      const edits = joinEdits(message.edits, [own]);
      if (!(edits instanceof GatewayError)) pipe.write(message.body, edits);
      calls.awaitLate(call, CANCEL_GRACE_MS);
      return;
    }
  }
}
