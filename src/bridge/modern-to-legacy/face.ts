// Serves modern clients by a server that speaks the legacy era only: what the gateway can say itself, it says; the rest becomes calls in sessions.
// Called by worker/members.ts through bridged.ts. Promises: what face.ts of the room promises; a request that comes back with a requestState reaches the call
// that waits for it, in whichever worker that is, or is refused and harms nothing.
import { encode } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { has, kindOf, raw, text } from '../../mcp/envelope.ts';
import { errorMessage, resultMessage } from '../../mcp/errors.ts';
import { METHOD, MODERN_VERSIONS } from '../../mcp/protocol.ts';
import { type Caching, discoverResult } from '../../mcp/to-modern.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type { Home } from '../../snapshot.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from '../../upstream/upstream.ts';
import type { Face, FaceParts } from '../face.ts';
import { type CallTools, LegacyCall } from './call.ts';
import { Listens } from './listen.ts';
import type { Parking } from './park.ts';
import { SessionPool } from './pool.ts';
import { ModernReply } from './reply.ts';
import { digestOf, openState, requestedOf, type State, type StateSealer } from './state.ts';

/** What the face is made of besides: what all faces of a worker share. */
export interface ModernFaceParts extends FaceParts {
  readonly parking: Parking<LegacyCall>;
  readonly sealer: StateSealer;
  /** Sends a request to the same server's upstream in another worker; null when there is none. */
  readonly away: ((home: Home, request: UpstreamRequest, sink: UpstreamSink) => UpstreamCall) | null;
}

/** Makes the face. */
export function createModernFace(parts: ModernFaceParts): Face {
  return new ModernFace(parts);
}

/** Methods that 2026-07-28 has no more. Tasks of 2025-11-25 are another thing than those of the extension of that name. */
const REMOVED: ReadonlySet<string> = new Set([
  METHOD.initialize,
  METHOD.ping,
  METHOD.setLevel,
  METHOD.subscribe,
  METHOD.unsubscribe,
]);
const TASKS = 'tasks/';

class ModernFace implements Face {
  readonly #parts: ModernFaceParts;
  readonly #pool: SessionPool;
  readonly #tools: CallTools;
  readonly #listens: Listens;

  constructor(parts: ModernFaceParts) {
    const { spec, inner, scanner, clock, log, bounds, parking, sealer } = parts;
    this.#parts = parts;
    this.#pool = new SessionPool({ scanner, clock, log, inner }, spec, bounds);
    this.#listens = new Listens(this.#pool, scanner);
    parts.ledger?.add({ sessions: () => this.#pool.live() });
    const { name: server, totalTimeoutMs } = spec;
    const caching = cachingOf(spec);
    const pool = this.#pool;
    this.#tools = { scanner, clock, server, totalTimeoutMs, caching, inner, pool, parking, sealer };
  }

  get sessions(): number {
    return this.#pool.size;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const { envelope, body } = request;
    if (isListen(request)) return this.#listens.send(request, sink);
    const state =
      envelope !== null && has(envelope, ENVELOPE.requestState)
        ? openState(this.#parts.sealer, request)
        : null;
    const { away } = this.#parts;
    if (state?.kind === 'parked' && state.place === 'away' && away !== null)
      return away(state.home, request, new HomeSink(sink));
    const reply = new ModernReply(sink, this.#parts.clock);
    try {
      if (envelope === null || request.verb !== 'POST') reply.fail(new GatewayError('GW_SERVER_METHOD'));
      // The core has no notifications of clients on HTTP: there is nothing that a server of before could do about one.
      else if (kindOf(envelope) !== KIND.request) reply.empty(202);
      else this.#serve(request, text(body, envelope, ENVELOPE.method) ?? '', { envelope, state, reply });
    } catch (thrown) {
      reply.fail(toGatewayError(thrown));
    }
    reply.release();
    return reply;
  }

  #serve(
    request: UpstreamRequest,
    method: string,
    known: { readonly envelope: Int32Array; readonly state: State | null; readonly reply: ModernReply },
  ): void {
    const { envelope, state, reply } = known;
    const version = text(request.body, envelope, ENVELOPE.metaProtocolVersion) ?? '';
    if (!MODERN_VERSIONS.includes(version)) return refuseVersion(request, reply, version);
    if (REMOVED.has(method) || method.startsWith(TASKS))
      return reply.fail(new GatewayError('GW_MCP_METHOD', `${method} is not served to this revision`));
    if (method === METHOD.discover) return void this.#discover(request, reply);
    if (has(envelope, ENVELOPE.requestState)) return this.#goOn(state, request, reply);
    new LegacyCall(this.#tools, method, request, reply).start();
  }

  async #discover(request: UpstreamRequest, reply: ModernReply): Promise<void> {
    const id = request.envelope === null ? null : raw(request.body, request.envelope, ENVELOPE.id);
    try {
      const session = await this.#pool.open(request);
      if (!('result' in session)) return reply.refuse(session, id);
      const result = encode(JSON.stringify(discoverResult(session.result, this.#tools.caching)));
      session.release();
      if (id !== null) reply.answer(resultMessage(id, result));
    } catch (thrown) {
      reply.fail(toGatewayError(thrown));
    }
  }

  // ── requests that come back ──────────────────────────────────────────────────────────────────────────────────────

  isOwn(request: UpstreamRequest): boolean {
    return openState(this.#parts.sealer, request) !== null;
  }

  #goOn(state: State | null, request: UpstreamRequest, reply: ModernReply): void {
    const { spec, parking } = this.#parts;
    const requested = requestedOf(request);
    if (state?.kind === 'again' && state.digest === digestOf(requested))
      return new LegacyCall(this.#tools, requested.method, request, reply).start();
    const isHere = state?.kind === 'parked' && state.place === 'here';
    const call = isHere ? parking.take(state.id, spec.name, requested) : null;
    if (call === null) reply.fail(new GatewayError('GW_BRIDGE_STATE', 'send the request again without it'));
    else call.goOn(request, reply);
  }

  sweep(): void {
    this.#pool.sweep();
  }

  async close(withinMs: number): Promise<void> {
    const { parking } = this.#parts;
    this.#listens.close();
    parking.clear(this.#tools);
    await this.#pool.close(withinMs);
    // What was asked meanwhile has nobody to come back to either.
    parking.clear(this.#tools);
  }
}

/** What clients are told of the results of a legacy server, which says nothing of it itself. */
function cachingOf({ cache }: FaceParts['spec']): Caching {
  return { ttlMs: cache?.defaultTtlMs ?? 0, cacheScope: cache?.defaultScope ?? 'private' };
}

function isListen({ verb, body, envelope }: UpstreamRequest): boolean {
  if (verb !== 'POST' || envelope === null || kindOf(envelope) !== KIND.request) return false;
  const version = text(body, envelope, ENVELOPE.metaProtocolVersion) ?? '';
  return MODERN_VERSIONS.includes(version) && text(body, envelope, ENVELOPE.method) === METHOD.listen;
}

function refuseVersion(request: UpstreamRequest, reply: ModernReply, version: string): void {
  const { body, envelope } = request;
  const supported = MODERN_VERSIONS;
  const why = `${version.slice(0, 40)} is not among ${supported.join(', ')}`;
  const error = new GatewayError('GW_MCP_VERSION', why);
  const id = envelope === null ? null : raw(body, envelope, ENVELOPE.id);
  reply.answer(errorMessage(id, error, { supported, requested: version }), error.row.http);
}

/** The reply of another worker: when that one is gone, so is what waited there. */
class HomeSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  #hasHead = false;

  constructor(sink: UpstreamSink) {
    this.#sink = sink;
  }

  onHead(head: ReplyHead): void {
    this.#hasHead = true;
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    const isGone = error.code === 'GW_SESSION_UNKNOWN' || error.code === 'GW_PEER_DOWN';
    const gone = new GatewayError('GW_BRIDGE_STATE', 'the data worker that knew it was started anew');
    this.#sink.onFail(isGone && !this.#hasHead ? gone : error);
  }
}
