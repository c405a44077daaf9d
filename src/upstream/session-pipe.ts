// The pipe of one legacy session, and its successors: opened with the first message, healed with the client's own handshake, replaced when it
// has grown too large.
// Called by stdio-session.ts. Promises: the session outlives its pipe; a heal is shared by all who wait for it; what the server still waited
// for is forgotten with the pipe.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { SessionNote } from '../mcp/session-notes.ts';
import type { Gone, MessagePipe, SessionCore } from './message-pipe.ts';
import type { CallTable } from './stdio-calls.ts';
import { Handshake } from './stdio-handshake.ts';
import { type Message, MessageReader } from './stdio-message.ts';
import type { SessionVoice } from './stdio-voice.ts';
import { type Backoff, type StartFailed, Supervisor, type Waiter } from './supervise.ts';

/** Pause after an attempt to heal that nobody had asked for. */
const HEAL_AGAIN_MS = 1_000;

const NO_HEADERS: readonly string[] = Object.freeze([]);

/** Whose pipe it is. */
export interface PipeOwner {
  readonly calls: CallTable;
  readonly voice: SessionVoice;
  /** True while its client listens. */
  readonly listens: boolean;
  /** The session cannot go on. */
  end(error: GatewayError): void;
  /** The pipe is gone, and its calls have failed. */
  onGone(error: GatewayError): void;
}

/** The pipe. */
export class SessionPipe {
  /** Headers of the session's newest request: what the session asks by itself goes in its name. */
  headers: readonly string[] = NO_HEADERS;
  readonly #core: SessionCore;
  readonly #births: Backoff;
  readonly #owner: PipeOwner;
  readonly #supervisor: Supervisor<MessagePipe>;
  readonly #handshake = new Handshake();
  #pipe: MessagePipe | null = null;
  /** Tells the supervisor that a heal failed; null when none is under way. */
  #healFailed: StartFailed | null = null;
  /** The pipe when its process has grown too large. */
  #spent: MessagePipe | null = null;
  #isClosed = false;

  /** `births` backs off new sessions of a server that cannot start; an open session has its own. */
  constructor(core: SessionCore, births: Backoff, owner: PipeOwner) {
    this.#core = core;
    this.#births = births;
    this.#owner = owner;
    this.#supervisor = new Supervisor(core.runtime.clock, births, core.depthMax, (opened, failed) =>
      this.#open(opened, failed),
    );
  }

  /** True when it can be written to now. */
  get isUp(): boolean {
    return this.#supervisor.current !== null;
  }

  /** How many wait for it. */
  get waiting(): number {
    return this.#supervisor.waiting;
  }

  /** True once a server has accepted initialize. */
  get isOpen(): boolean {
    return this.#handshake.done;
  }

  /** Hands the pipe over, at once or once there is one, or says why not. */
  use(waiter: Waiter<MessagePipe>): void {
    this.#supervisor.use(waiter);
  }

  /** The waiter wants nothing any more. */
  withdraw(waiter: Waiter<MessagePipe>): void {
    this.#supervisor.withdraw(waiter);
  }

  /** Writes a line, if there is a pipe. */
  write(line: Uint8Array): void {
    this.#pipe?.write(line, []);
  }

  /** The server accepted this initialize. */
  accepted(initialize: Message): void {
    this.#handshake.keepInitialize(initialize);
    this.#births.reset();
    this.#supervisor.countOn(this.#core.newBackoff());
  }

  /** The client sent this notifications/initialized. */
  initialized(note: Message): void {
    this.#handshake.keepInitialized(note);
  }

  /** The server consented to what the client set: its successors are told as well. */
  noted(note: SessionNote): void {
    this.#handshake.notes.take(note);
  }

  /** A call ended. */
  settled(): void {
    const spent = this.#spent;
    if (spent !== null && spent === this.#pipe && this.#owner.calls.size === 0) this.#replace(spent);
  }

  /** A client that listens would otherwise wait for messages of a server that no longer knows it. */
  healUnasked(): void {
    const { healsUnasked, deadlines } = this.#core;
    const isMissed = healsUnasked || this.#handshake.notes.subscribes;
    if (!isMissed || this.#isClosed || !this.#owner.listens || this.isUp) return;
    const failed = (): void => void deadlines.set(HEAL_AGAIN_MS, () => this.healUnasked());
    this.#supervisor.use({ ready: () => undefined, failed }, Number.POSITIVE_INFINITY);
  }

  /** Whoever waits hears the error; calls fail with it; the pipe is stopped with the graces given in ms. */
  close(error: GatewayError, stopGraceMs?: number, killGraceMs?: number): void {
    this.#isClosed = true;
    this.#supervisor.close(error);
    this.#owner.calls.failAll(error);
    this.#pipe?.stop(stopGraceMs, killGraceMs);
    this.#pipe = null;
  }

  #open(opened: (pipe: MessagePipe) => void, failed: StartFailed): void {
    let pipe: MessagePipe;
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
    this.#handshake.repeat(
      this.#core,
      this.#owner.calls,
      { pipe, headers: this.headers },
      {
        healed: () => {
          this.#healFailed = null;
          opened(pipe);
        },
        refused: (error) => {
          this.#healFailed = null;
          this.#pipe = null;
          pipe.stop();
          failed(error);
        },
        lost: () =>
          this.#owner.end(
            new GatewayError('GW_SESSION_UNKNOWN', 'its server refused to be initialised again'),
          ),
      },
    );
  }

  #start(): MessagePipe {
    const reader = new MessageReader(this.#core.scanner, this.#core.log, this.#owner.voice);
    const pipe: MessagePipe = this.#core.open(
      {
        onLine: (line) => reader.read(line),
        onGone: (gone) => this.#gone(pipe, gone),
        onSpent: (error) => this.#onSpent(pipe, error),
      },
      this.headers,
    );
    this.#pipe = pipe;
    this.#owner.calls.attach(pipe);
    return pipe;
  }

  #gone(pipe: MessagePipe, { error, unready, livedMs, last }: Gone): void {
    if (this.#pipe !== pipe || this.#isClosed) return;
    this.#pipe = null;
    this.#owner.voice.forgetAsked();
    const healFailed = this.#healFailed;
    this.#healFailed = null;
    if (healFailed === null) this.#supervisor.died(livedMs, last);
    else healFailed(unready, last);
    this.#owner.calls.failAll(error);
    this.#owner.onGone(error);
    this.healUnasked();
  }

  // ── a process that has grown too large ───────────────────────────────────────────────────────────────────────────

  /** The next use begins a new one; calls under way get a moment to finish on this one. */
  #onSpent(pipe: MessagePipe, error: GatewayError): void {
    if (this.#pipe !== pipe || this.#supervisor.current !== pipe) return;
    const { calls } = this.#owner;
    if (calls.size === 0) return this.#replace(pipe);
    this.#spent = pipe;
    this.#core.deadlines.set(LIMITS.childRetireMs, () => {
      if (this.#pipe === pipe) calls.failAll(error);
    });
  }

  #replace(pipe: MessagePipe): void {
    this.#spent = null;
    this.#pipe = null;
    this.#owner.voice.forgetAsked();
    this.#supervisor.letGo();
    pipe.stop();
    this.healUnasked();
  }
}
