// The legacy session of a client that is connected for as long as it lasts: its id, its version, its own stream, and its second life.
// Called by message-front.ts. Promises: one stream at a time, opened again when it ends; a session that its server has lost is begun anew once for all who wait,
// with what the client had said (initialize, initialized, level, subscriptions); its end is told to the server.
import { EMPTY } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { kindOf, readMessage } from '../mcp/envelope.ts';
import { isLostSession, isLostStream } from '../mcp/lost-session.ts';
import { SessionNotes, sessionNote } from '../mcp/session-notes.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Reply } from '../runtime/runtime.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import { readTold, type Told } from './message-asked.ts';
import { mirrorHeaders } from './message-mirror.ts';
import { isEventStream, type RelayEnd, versionIn } from './message-relay.ts';

/** What a session needs of its front. */
export interface SessionLine {
  readonly scanner: Scanner;
  readonly clock: Clock;
  readonly log: Log;
  /** A fresh exchange of the session. */
  exchange(verb: 'POST' | 'GET' | 'DELETE', answer: (reply: Reply) => void): Exchange;
  serve(exchange: Exchange, body: Uint8Array): void;
  /** Relays a reply's body: messages go to the client unless `onMessage` takes them. */
  relay(reply: Reply, body: NonNullable<Reply['body']>, to: SessionRelay): void;
}

/** Who hears of a session's own replies. */
export interface SessionRelay {
  /** True when it kept the message for itself. */
  onMessage(message: Uint8Array): boolean;
  onEnd(end: RelayEnd): void;
}

/** What follows when a lost session has been begun anew, or could not be. */
interface AfterHealing {
  again(): void;
  otherwise(): void;
}

/** What became of a message that was said again. */
interface Said {
  readonly session: string | null;
  /** The response, or null. */
  readonly answer: Uint8Array | null;
}

/** Wait before an event stream that ended is opened again, unless its server wants another. */
export const REOPEN_MS = 1_000;

/** True when a reply to a legacy message says that its server does not know the session, so that nothing was executed. */
function isSessionLost(reply: Reply, exchange: Exchange): boolean {
  if (exchange.era !== 'legacy' || exchange.headers.session === null) return false;
  return isLostSession(reply.status, reply.body instanceof Uint8Array ? reply.body : EMPTY);
}

/** A front's legacy session. */
export class FrontSession {
  readonly #line: SessionLine;
  #id: string | null = null;
  #version: string | null = null;
  #stream: Exchange | null = null;
  /** The session's stream was open once: a 404 to the next one then means that the session is gone, and not that there are no streams. */
  #hasStreamed = false;
  #isOver = false;
  #initialize: Uint8Array | null = null;
  #initialized: Uint8Array | null = null;
  /** What the client set in it. */
  #notes = new SessionNotes();
  #healing: Promise<boolean> | null = null;

  constructor(line: SessionLine) {
    this.#line = line;
  }

  /** As the pipeline's clients show it; null without one. */
  get id(): string | null {
    return this.#id;
  }

  get version(): string | null {
    return this.#version;
  }

  /** The client's initialize was answered; the stream of a session before is let go of, so that the next `initialized` opens its own. */
  begin(initialize: Uint8Array, id: string | null): void {
    if (id === null) return;
    this.#id = id;
    this.#initialize = initialize.length <= LIMITS.initializeBytesMax ? initialize.slice() : null;
    this.#initialized = null;
    this.#notes = new SessionNotes();
    this.#dropStream();
  }

  /** Takes the version from the answer to initialize; false when the message is no answer. */
  agree(answer: Uint8Array): boolean {
    const message = readMessage(this.#line.scanner, answer);
    const kind = 'envelope' in message ? kindOf(message.envelope) : KIND.none;
    if (kind === KIND.result) this.#version = versionIn(answer) ?? this.#version;
    return kind === KIND.result || kind === KIND.error;
  }

  /** The client's `initialized` was taken: servers may speak from now on. */
  initialized(body: Uint8Array): void {
    if (body.length <= LIMITS.initializeBytesMax) this.#initialized = body.slice();
    if (this.#stream === null) this.#openStream(null);
  }

  /** Keeps a request that sets something in the session, so that it can be said again. */
  note(told: Told): void {
    const note = sessionNote(this.#line.scanner, told);
    if (note !== null) this.#notes.take(note);
  }

  /** Ends it; resolves when its server has heard so, or when that took too long. */
  end(): Promise<void> {
    this.#isOver = true;
    this.#dropStream();
    return this.#id === null ? Promise.resolve() : this.#delete(this.#id);
  }

  #delete(id: string): Promise<void> {
    const { clock } = this.#line;
    return new Promise((resolve) => {
      const timer = clock.after(LIMITS.childStopGraceMs, resolve);
      const exchange = this.#line.exchange('DELETE', () => {
        clock.cancel(timer);
        resolve();
      });
      exchange.headers.session = id;
      this.#line.serve(exchange, EMPTY);
    });
  }

  // ── a second life ────────────────────────────────────────────────────────────────────────────────────────────────

  /** True when the reply to a message says that the session is lost: it is then begun anew, once for one message, and one of the two is called. */
  heals(reply: Reply, told: Told, exchange: Exchange, then: AfterHealing): boolean {
    const lost = exchange.headers.session;
    if (told.isSentAgain || lost === null || !isSessionLost(reply, exchange)) return false;
    told.isSentAgain = true;
    this.#heal(lost).then((isHealed) => {
      if (isHealed && !this.#isOver) then.again();
      else then.otherwise();
    }, then.otherwise);
    return true;
  }

  /** Begins the session anew that `lost` was; false when that cannot be done. One renewal serves all who wait. */
  #heal(lost: string): Promise<boolean> {
    if (this.#isOver || this.#initialize === null) return Promise.resolve(false);
    // Another has taken its place: the client's own, or a renewed one.
    if (this.#id !== lost) return Promise.resolve(true);
    this.#healing ??= this.#renew(lost, this.#initialize).finally(() => {
      this.#healing = null;
    });
    return this.#healing;
  }

  async #renew(lost: string, initialize: Uint8Array): Promise<boolean> {
    const { session, answer } = await this.#say(initialize);
    if (session === null || answer === null || !this.#isResult(answer)) return false;
    if (this.#id !== lost || this.#isOver) {
      // The client has left, or has begun another one itself: this one is nobody's.
      void this.#delete(session);
      return !this.#isOver;
    }
    this.#id = session;
    this.agree(answer);
    this.#dropStream();
    if (this.#initialized !== null) await this.#say(this.#initialized);
    for (const body of this.#notes.repeats()) void this.#say(body);
    if (this.#initialized !== null) this.#openStream(null);
    this.#line.log.info('a session that its server had lost was begun anew');
    return true;
  }

  #isResult(answer: Uint8Array): boolean {
    const message = readMessage(this.#line.scanner, answer);
    return 'envelope' in message && kindOf(message.envelope) === KIND.result;
  }

  /** Says something again in the client's name; the client hears what else its server has to say, but not the response. */
  #say(body: Uint8Array): Promise<Said> {
    const { scanner } = this.#line;
    return new Promise((resolve) => {
      const exchange = this.#line.exchange('POST', (reply) => {
        const session = reply.headers['mcp-session-id'] ?? null;
        let answer: Uint8Array | null = null;
        if (reply.body === null) return resolve({ session, answer });
        this.#line.relay(reply, reply.body, {
          onMessage: (message) => {
            const read = readMessage(scanner, message);
            const kind = 'envelope' in read ? kindOf(read.envelope) : KIND.none;
            if (kind !== KIND.result && kind !== KIND.error) return false;
            answer = message;
            return true;
          },
          onEnd: () => resolve({ session, answer }),
        });
      });
      const told = readTold(scanner, body, exchange.headers);
      if ('body' in told) mirrorHeaders(exchange, told, null);
      this.#line.serve(exchange, body);
    });
  }

  // ── what servers say outside any call ────────────────────────────────────────────────────────────────────────────

  #dropStream(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#hasStreamed = false;
    stream?.abandon();
  }

  #openStream(lastEventId: string | null): void {
    const session = this.#id;
    if (this.#isOver || session === null || this.#stream !== null) return;
    const reopen = (end: Pick<RelayEnd, 'lastEventId' | 'retryMs'>): void => {
      if (this.#stream === exchange) this.#stream = null;
      const from = end.lastEventId ?? lastEventId;
      this.#line.clock.after(end.retryMs ?? REOPEN_MS, () => {
        if (this.#id === session) this.#openStream(from);
      });
    };
    const exchange = this.#line.exchange('GET', (reply) => {
      const { body, status } = reply;
      if (isLostStream(status) && this.#hasStreamed && this.#id === session) return void this.#heal(session);
      // A server that is away for a while comes back; one that refuses (405: it has no such stream) means it.
      if (status >= 500) return reopen({ lastEventId, retryMs: null });
      if (status !== 200 || body === null || !isEventStream(reply)) return;
      this.#hasStreamed = true;
      this.#line.relay(reply, body, { onMessage: () => false, onEnd: reopen });
    });
    exchange.headers.lastEventId = lastEventId;
    this.#stream = exchange;
    this.#line.serve(exchange, EMPTY);
  }
}
