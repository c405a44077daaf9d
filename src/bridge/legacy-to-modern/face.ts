// Serves legacy clients by a server that speaks the modern era only: the gateway is the session server, each request stands alone at the MCP server.
// Called by worker/members.ts through bridged.ts. Promises: what face.ts promises; what belongs to a session is answered here, the rest becomes a call; errors inside of a
// session travel with HTTP 200, since legacy clients take 404 for a lost session and any other 4xx for a broken transport.
import { encode } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { kindOf, type Message, raw, text } from '../../mcp/envelope.ts';
import { errorMessage, resultMessage } from '../../mcp/errors.ts';
import { member, readString } from '../../mcp/json.ts';
import { LEGACY_VERSIONS, LOG_LEVELS, METHOD } from '../../mcp/protocol.ts';
import { initializeResult } from '../../mcp/to-legacy.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type { UpstreamCall, UpstreamRequest, UpstreamSink } from '../../upstream/upstream.ts';
import type { Face, FaceParts } from '../face.ts';
import { Call } from './call.ts';
import type { CallStart } from './call-request.ts';
import { Discovery, declares } from './discovery.ts';
import { readEventId, SESSION_STREAM } from './events.ts';
import { Profiles } from './profile.ts';
import { LegacyReply } from './reply.ts';
import { carriedHeaders, credentialsOf, headerOf, ownedMessage, takesEvents } from './requests.ts';
import type { LegacySession } from './session.ts';
import { LegacySessions } from './sessions.ts';
import { type Asker, ToolBooks } from './tool-book.ts';

/** Makes the face. */
export function createLegacyFace(parts: FaceParts): Face {
  return new LegacyFace(parts);
}

const EMPTY_RESULT = encode('{}');

class LegacyFace implements Face {
  readonly #parts: FaceParts;
  readonly #sessions: LegacySessions;
  readonly #profiles = new Profiles();
  readonly #discovery: Discovery;
  readonly #books: ToolBooks;
  /** Initializes that wait for the server. */
  #opening = 0;
  #isClosing = false;

  constructor(parts: FaceParts) {
    this.#parts = parts;
    this.#sessions = new LegacySessions(parts);
    this.#discovery = new Discovery(parts);
    this.#books = new ToolBooks(parts);
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  sweep(): void {
    this.#sessions.sweep();
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const reply = new LegacyReply(sink, this.#parts.clock, takesEvents(request.headers));
    try {
      const fault = request.verb === 'POST' ? this.#post(request, reply) : this.#bare(request, reply);
      if (fault !== null) reply.fail(fault);
    } catch (thrown) {
      reply.fail(toGatewayError(thrown));
    }
    reply.release();
    return reply;
  }

  // ── requests; each says why it is refused, or null ───────────────────────────────────────────────────────────────

  #post(request: UpstreamRequest, reply: LegacyReply): GatewayError | null {
    const message = ownedMessage(this.#parts.scanner, request);
    if (message === null)
      return new GatewayError(request.session === null ? 'GW_SESSION_MISSING' : 'GW_MCP_BATCH');
    const kind = kindOf(message.envelope);
    const method = text(message.bytes, message.envelope, ENVELOPE.method) ?? '';
    if (kind === KIND.request && method === METHOD.initialize)
      return this.#initialize(request, message, reply);
    const session = this.#session(request);
    const isPing = kind === KIND.request && method === METHOD.ping;
    // Before its session a client may ping, and nothing else.
    if (isPing && session instanceof GatewayError && session.code === 'GW_SESSION_MISSING') {
      answer(reply, message, EMPTY_RESULT);
      return null;
    }
    if (session instanceof GatewayError) return session;
    if (kind === KIND.request) {
      if (this.#isClosing) return new GatewayError('GW_UPSTREAM_CLOSING');
      this.#request(session, { request, message, method }, reply);
      return null;
    }
    // Of a client's notifications only this one means something to a server that keeps no sessions.
    const { bytes, envelope } = message;
    if (kind !== KIND.notification) session.answer(bytes, envelope, this.#credentials(request));
    else if (method === METHOD.cancelled) session.cancel(bytes, envelope, this.#credentials(request));
    reply.empty(202);
    return null;
  }

  /** GET and DELETE. */
  #bare(request: UpstreamRequest, reply: LegacyReply): GatewayError | null {
    const session = this.#session(request);
    if (session instanceof GatewayError) return session;
    if (request.verb === 'DELETE') {
      this.#sessions.end(session, new GatewayError('GW_SESSION_ENDED'));
      reply.empty(200);
      return null;
    }
    if (this.#isClosing) return new GatewayError('GW_UPSTREAM_CLOSING');
    const { headers, exchangeId } = request;
    const lastEventId = headerOf(headers, 'last-event-id');
    const place = lastEventId === null || !session.profile.resumes ? null : readEventId(lastEventId);
    const credentials = this.#credentials(request);
    const isCalls = place !== null && place.stream !== SESSION_STREAM;
    if (isCalls && session.takeUp(reply, place, credentials)) return null;
    const own = isCalls ? null : place;
    session.stream.open(reply, { credentials, carried: carriedHeaders(headers), exchangeId }, own);
    return null;
  }

  #session({ session, client, headers }: UpstreamRequest): LegacySession | GatewayError {
    const version = headerOf(headers, 'mcp-protocol-version');
    if (version !== null && !LEGACY_VERSIONS.includes(version))
      return new GatewayError(
        'GW_MCP_VERSION',
        `${version.slice(0, 40)} is not among ${LEGACY_VERSIONS.join(', ')}`,
      );
    const found = this.#sessions.find(session, client);
    return typeof found === 'string' ? new GatewayError(found) : found;
  }

  #credentials(request: UpstreamRequest): string {
    return credentialsOf(request, this.#parts.spec.forwardHeaders);
  }

  // ── initialize ───────────────────────────────────────────────────────────────────────────────────────────────────

  #initialize(request: UpstreamRequest, message: Message, reply: LegacyReply): GatewayError | null {
    const { bytes } = message;
    if (this.#isClosing) return new GatewayError('GW_UPSTREAM_CLOSING');
    if (bytes.length > LIMITS.initializeBytesMax)
      return new GatewayError(
        'GW_SERVER_BODY_SIZE',
        `initialize has ${bytes.length} bytes, at most ${LIMITS.initializeBytesMax} are taken`,
      );
    const full = this.#sessions.fault;
    if (full !== null) return full;
    this.#opening++;
    this.#open(request, message, reply)
      .catch((thrown: unknown) => reply.fail(toGatewayError(thrown)))
      .finally(() => {
        this.#opening--;
      });
    return null;
  }

  async #open(request: UpstreamRequest, message: Message, reply: LegacyReply): Promise<void> {
    const { client, headers, exchangeId } = request;
    const profile = this.#profiles.read(message.bytes, message.envelope);
    const carried = carriedHeaders(headers);
    const credentials = this.#credentials(request);
    const asker: Asker = { credentials, carried, meta: profile.meta, client, exchangeId };
    const found = await this.#discovery.find(asker);
    // A client that left could not learn the session's id.
    if (!reply.open) return;
    const id = raw(message.bytes, message.envelope, ENVELOPE.id);
    if ('refusal' in found) {
      const error = new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${found.refusal.status}`);
      return reply.json(found.refusal.status, errorMessage(id, error), { headers: found.refusal.headers });
    }
    const fault = 'error' in found ? found.error : this.#sessions.fault;
    if (fault !== null || !('result' in found) || id === null)
      return reply.fail(fault ?? new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
    const { result } = found;
    const session = this.#sessions.open({
      client,
      profile,
      offers: {
        tools: declares(result, 'tools', 'listChanged'),
        prompts: declares(result, 'prompts', 'listChanged'),
        resources: declares(result, 'resources', 'listChanged'),
        subscribe: declares(result, 'resources', 'subscribe'),
      },
    });
    const answered = encode(JSON.stringify(initializeResult(result, profile.version)));
    reply.json(200, resultMessage(id, answered), { sessionId: session.id });
  }

  // ── in a session ─────────────────────────────────────────────────────────────────────────────────────────────────

  #request(
    session: LegacySession,
    {
      request,
      message,
      method,
    }: { readonly request: UpstreamRequest; readonly message: Message; readonly method: string },
    reply: LegacyReply,
  ): void {
    switch (method) {
      case METHOD.ping:
        return answer(reply, message, EMPTY_RESULT);
      case METHOD.setLevel:
        return setLevel(session, message, reply);
      case METHOD.subscribe:
      case METHOD.unsubscribe:
        return subscribe(session, message, method, reply);
      case METHOD.discover:
      case METHOD.listen:
        return refuse(reply, message, new GatewayError('GW_MCP_METHOD', method));
    }
    // Tasks of 2025-11-25 have nothing but the name in common with the extension of later revisions.
    if (method.startsWith('tasks/')) return refuse(reply, message, new GatewayError('GW_MCP_METHOD', method));
    const { headers, exchangeId, timeoutMs, replyBytesMax, marks } = request;
    const start: CallStart = {
      session,
      message,
      method,
      carried: carriedHeaders(headers),
      credentials: this.#credentials(request),
      exchangeId,
      timeoutMs,
      marks,
      replyBytesMax,
    };
    new Call(start, this.#books).run(reply);
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async close(withinMs: number): Promise<void> {
    this.#isClosing = true;
    const { clock } = this.#parts;
    const endsAtMs = clock.now() + withinMs;
    for (const session of this.#sessions.all()) session.stream.endStream();
    while (this.#sessions.running + this.#opening > 0 && clock.now() < endsAtMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = clock.after(Math.min(CLOSE_LOOK_MS, endsAtMs - clock.now()), resolve);
      await promise;
      clock.cancel(timer);
    }
    // What still runs may have been executed.
    const letGo = new GatewayError('GW_UPSTREAM_CLOSED', 'the gateway let go of the server first');
    for (const session of this.#sessions.all()) this.#sessions.end(session, letGo);
  }
}

/** Between two looks at whether calls still run while the face is closing. */
const CLOSE_LOOK_MS = 20;

function answer(reply: LegacyReply, message: Message, result: Uint8Array): void {
  const id = raw(message.bytes, message.envelope, ENVELOPE.id);
  if (id === null) reply.fail(new GatewayError('GW_MCP_MESSAGE', 'it has no id'));
  else reply.json(200, resultMessage(id, result));
}

function refuse(reply: LegacyReply, message: Message, error: GatewayError): void {
  reply.json(200, errorMessage(raw(message.bytes, message.envelope, ENVELOPE.id), error));
}

/** `logging/setLevel`: each request says from now on which messages it wants. */
function setLevel(session: LegacySession, message: Message, reply: LegacyReply): void {
  const { bytes, envelope } = message;
  const params = envelope[ENVELOPE.params] ?? -1;
  const at = params < 0 || bytes[params] !== 0x7b ? null : member(bytes, params, 'level');
  const level = at === null ? null : readString(bytes, at.start, at.end);
  if (level === null || !LOG_LEVELS.includes(level))
    return refuse(
      reply,
      message,
      new GatewayError('GW_MCP_PARAMS', `level must be one of ${LOG_LEVELS.join(', ')}`),
    );
  session.level = level;
  answer(reply, message, EMPTY_RESULT);
}

function subscribe(session: LegacySession, message: Message, method: string, reply: LegacyReply): void {
  const uri = text(message.bytes, message.envelope, ENVELOPE.uri);
  if (uri === null) return refuse(reply, message, new GatewayError('GW_MCP_PARAMS', 'uri must be a string'));
  if (method === METHOD.unsubscribe) {
    session.stream.unsubscribe(uri);
    return answer(reply, message, EMPTY_RESULT);
  }
  session.stream.subscribe(uri, (error) => {
    if (error === null) answer(reply, message, EMPTY_RESULT);
    else refuse(reply, message, error);
  });
}
