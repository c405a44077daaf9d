// What one worker remembers of sessions that may have to be begun again: their newest ids, what their clients set, and heals under way.
// Called by healing.ts. Promises: one heal of a session at a time, shared by all who wait; bounded: the oldest gives way; resolves with a session that has heard
// all that the old one had heard through this worker.
import { encode, ownCopy } from '../base/bytes.ts';
import { digest } from '../base/digest.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { readMessage, span } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { SessionNotes, sessionNote } from '../mcp/session-notes.ts';
import type { Log } from '../observe/log.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import { type Collected, type CollectTools, collect } from './collect.ts';

/** A session as its client's handle has it. */
export interface SealedSession {
  /** Id that the server gave it first. */
  readonly id: string;
  /** That id, and when the session began: a server that counts its sessions gives the same ids again once it was restarted. */
  readonly key: string;
  /** Params of the client's initialize, as JSON. */
  readonly params: string;
  /** All of that, as it is sealed. */
  readonly shown: string;
}

/** What heals take. */
export interface HealTools extends CollectTools {
  readonly inner: Upstream;
  readonly log: Log;
  /** Longest wait for each answer of the server. */
  readonly timeoutMs: number;
}

const INITIALIZED = encode(`{"jsonrpc":"2.0","method":"${METHOD.initialized}"}`);

/** The sessions of one server, as one worker knows them. */
export class HealedSessions {
  readonly #tools: HealTools;
  /** Key → newest id. */
  readonly #current = new Map<string, string>();
  /** What their clients set at the server. */
  readonly #notes = new Map<string, SessionNotes>();
  readonly #healing = new Map<string, Promise<string | GatewayError | null>>();
  /** Digests of the keys of sessions that another worker has healed, and of those that ended; one taken for another (a chance of 10^-12) costs its client an `initialize`. */
  readonly #moved = new Set<number>();
  readonly #ended = new Set<number>();
  #count = 0;

  constructor(tools: HealTools) {
    this.#tools = tools;
  }

  currentId({ id, key }: SealedSession): string {
    return this.#current.size === 0 ? id : (this.#current.get(key) ?? id);
  }

  hasMoved({ key }: SealedSession): boolean {
    return this.#moved.size > 0 && this.#moved.has(digest(key));
  }

  move({ key }: SealedSession): void {
    makeRoom(this.#moved);
    this.#moved.add(digest(key));
  }

  /** Its client ended it. */
  end({ key }: SealedSession): void {
    const short = digest(key);
    makeRoom(this.#ended);
    this.#ended.add(short);
    this.#moved.delete(short);
    this.#current.delete(key);
    this.#notes.delete(key);
  }

  /** Remembers what a request sets at the server. */
  note({ key }: SealedSession, request: UpstreamRequest): void {
    const note = sessionNote(this.#tools.scanner, request);
    if (note === null) return;
    const notes = this.#notes.get(key) ?? new SessionNotes();
    notes.take(note);
    if (notes.isEmpty) {
      this.#notes.delete(key);
    } else if (!this.#notes.has(key)) {
      makeRoom(this.#notes);
      this.#notes.set(ownCopy(key), notes);
    }
  }

  /** Begins a session again, unless that happened since `used` was the newest id. Null: the server refuses to, or its client had ended it. */
  heal(
    request: UpstreamRequest,
    session: SealedSession,
    used: string,
  ): Promise<string | GatewayError | null> {
    if (this.#ended.has(digest(session.key))) return Promise.resolve(null);
    const newest = this.currentId(session);
    if (newest !== used) return Promise.resolve(newest);
    const running = this.#healing.get(session.key);
    if (running !== undefined) return running;
    const heal = this.#begin(request, session).finally(() => this.#healing.delete(session.key));
    this.#healing.set(session.key, heal);
    return heal;
  }

  async #begin(request: UpstreamRequest, session: SealedSession): Promise<string | GatewayError | null> {
    const headers = bareHeaders(request.headers);
    const began = await this.#send({ ...request, headers, session: null }, this.#initialize(session.params));
    if (began instanceof GatewayError) return began;
    const { sessionId, message, status } = began;
    const isBegun = message !== null && span(message.envelope, ENVELOPE.result) !== null;
    if (!isBegun || sessionId === null) {
      this.#tools.log.warn('a lost session could not be begun again', { status });
      return null;
    }
    makeRoom(this.#current);
    this.#current.set(ownCopy(session.key), ownCopy(sessionId));
    await this.#repeat({ ...request, session: sessionId }, session.key);
    this.#tools.log.info('a session that its server had lost was begun again');
    return sessionId;
  }

  /** Tells a new session what the old one had been told. What fails here, the client finds out as it would have. */
  async #repeat(request: UpstreamRequest, key: string): Promise<void> {
    const messages = [INITIALIZED, ...(this.#notes.get(key)?.repeats() ?? [])];
    for (const body of messages) if ((await this.#send(request, body)) instanceof GatewayError) return;
  }

  #initialize(params: string): Uint8Array {
    const id = `sluice:heal:${++this.#count}`;
    return encode(`{"jsonrpc":"2.0","id":"${id}","method":"${METHOD.initialize}","params":${params}}`);
  }

  /** Sends a message of the gateway's own under the client's headers. */
  #send(request: UpstreamRequest, body: Uint8Array): Promise<Collected | GatewayError> {
    const { scanner, inner, timeoutMs } = this.#tools;
    const message = readMessage(scanner, body);
    if (message instanceof GatewayError) return Promise.resolve(message);
    const own = {
      ...request,
      verb: 'POST',
      body,
      envelope: message.envelope,
      edits: [],
      timeoutMs: 0,
    } as const;
    return collect(this.#tools, inner, own, { timeoutMs });
  }
}

/** Client headers of a message of the gateway's own: what mirrored the client's message does not fit it. */
function bareHeaders(headers: readonly string[]): readonly string[] {
  const bare: string[] = ['accept', 'application/json, text/event-stream'];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (name !== 'accept' && name !== 'last-event-id' && !name.startsWith('mcp-'))
      bare.push(name, headers[i + 1] ?? '');
  }
  return bare;
}

/** The oldest of so many gives way. */
function makeRoom<Key>(kept: Map<Key, unknown> | Set<Key>): void {
  if (kept.size < LIMITS.sessionsMax) return;
  const oldest = kept.keys().next().value;
  if (oldest !== undefined) kept.delete(oldest);
}
