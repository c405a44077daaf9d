// What one worker remembers of sessions that may have to be begun again: their newest ids, what their clients set, and heals under way.
// Called by healing.ts. Promises: one heal of a session at a time, shared by all who wait; bounded: the oldest gives way; resolves with a session that has heard
// all that the old one had heard through this worker.
import { decode, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { readMessage, span, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Log } from '../observe/log.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import { type Collected, type CollectTools, collect } from './collect.ts';

/** A session as its client's handle has it. */
export interface SealedSession {
  /** Id that the server gave it first. */
  readonly id: string;
  /** Params of the client's initialize, as JSON. */
  readonly params: string;
  /** Both, as they are sealed. */
  readonly shown: string;
}

/** What heals take. */
export interface HealTools extends CollectTools {
  readonly inner: Upstream;
  readonly log: Log;
  /** Longest wait for each answer of the server. */
  readonly timeoutMs: number;
}

/** What a session's client set at its server, as the messages that set it. */
interface Notes {
  level: string | null;
  readonly subscriptions: Map<string, string>;
}

const URIS_MAX = 256;

/** The sessions of one server, as one worker knows them. */
export class HealedSessions {
  readonly #tools: HealTools;
  /** First id → newest id. */
  readonly #current = new Map<string, string>();
  readonly #notes = new Map<string, Notes>();
  readonly #healing = new Map<string, Promise<string | GatewayError | null>>();
  /** Sessions that another worker has healed. */
  readonly #moved = new Set<string>();
  readonly #ended = new Set<string>();
  #count = 0;

  constructor(tools: HealTools) {
    this.#tools = tools;
  }

  currentId(id: string): string {
    return this.#current.size === 0 ? id : (this.#current.get(id) ?? id);
  }

  hasMoved(id: string): boolean {
    return this.#moved.size > 0 && this.#moved.has(id);
  }

  move(id: string): void {
    makeRoom(this.#moved);
    this.#moved.add(id);
  }

  /** Its client ended it. */
  end(id: string): void {
    makeRoom(this.#ended);
    this.#ended.add(id);
    this.#current.delete(id);
    this.#notes.delete(id);
    this.#moved.delete(id);
  }

  /** Remembers what a request sets at the server. */
  note(id: string, method: string, { body, envelope }: UpstreamRequest): void {
    const params = envelope === null ? null : span(envelope, ENVELOPE.params);
    if (envelope === null || params === null) return;
    makeRoom(this.#notes);
    const notes = this.#notes.get(id) ?? { level: null, subscriptions: new Map<string, string>() };
    this.#notes.set(id, notes);
    const said = decode(body, params.start, params.end);
    if (method === METHOD.setLevel) notes.level = said;
    const uri = text(body, envelope, ENVELOPE.uri);
    if (uri === null) return;
    if (method === METHOD.unsubscribe) notes.subscriptions.delete(uri);
    else if (notes.subscriptions.size < URIS_MAX) notes.subscriptions.set(uri, said);
  }

  /** Begins a session again, unless that happened since `used` was the newest id. Null: the server refuses to, or its client had ended it. */
  heal(
    request: UpstreamRequest,
    session: SealedSession,
    used: string,
  ): Promise<string | GatewayError | null> {
    if (this.#ended.has(session.id)) return Promise.resolve(null);
    const newest = this.currentId(session.id);
    if (newest !== used) return Promise.resolve(newest);
    const running = this.#healing.get(session.id);
    if (running !== undefined) return running;
    const heal = this.#begin(request, session).finally(() => this.#healing.delete(session.id));
    this.#healing.set(session.id, heal);
    return heal;
  }

  async #begin(request: UpstreamRequest, session: SealedSession): Promise<string | GatewayError | null> {
    const headers = bareHeaders(request.headers);
    const began = await this.#ask({ ...request, headers, session: null }, METHOD.initialize, session.params);
    if (began instanceof GatewayError) return began;
    const { sessionId, message, status } = began;
    const isBegun = message !== null && span(message.envelope, ENVELOPE.result) !== null;
    if (!isBegun || sessionId === null) {
      this.#tools.log.warn('a lost session could not be begun again', { status });
      return null;
    }
    makeRoom(this.#current);
    this.#current.set(session.id, sessionId);
    await this.#repeat({ ...request, session: sessionId }, session.id);
    this.#tools.log.info('a session that its server had lost was begun again');
    return sessionId;
  }

  /** Tells a new session what the old one had been told. What fails here, the client finds out as it would have. */
  async #repeat(request: UpstreamRequest, id: string): Promise<void> {
    await this.#ask(request, METHOD.initialized, null);
    const notes = this.#notes.get(id);
    if (notes === undefined) return;
    if (notes.level !== null) await this.#ask(request, METHOD.setLevel, notes.level);
    for (const params of notes.subscriptions.values()) await this.#ask(request, METHOD.subscribe, params);
  }

  /** Sends a message of the gateway's own under the client's headers; notifications have no params here. */
  #ask(request: UpstreamRequest, method: string, params: string | null): Promise<Collected | GatewayError> {
    const isRequest = params !== null;
    const id = isRequest ? `"id":"sluice:heal:${++this.#count}",` : '';
    const body = encode(
      `{"jsonrpc":"2.0",${id}"method":${JSON.stringify(method)}${isRequest ? `,"params":${params}` : ''}}`,
    );
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
function makeRoom(kept: Map<string, unknown> | Set<string>): void {
  if (kept.size < LIMITS.sessionsMax) return;
  const oldest = kept.keys().next().value;
  if (oldest !== undefined) kept.delete(oldest);
}
