// Legacy sessions at an HTTP server that outlive the server's memory of them: what a session began with goes along in its sealed id, so that it can be
// begun again.
// Called by worker/members.ts, around the upstream of a server behind HTTP. Promises: the contract of upstream.ts; a session is begun again only after its server
// said that it does not know it, so nothing is executed twice; one heal serves everyone who waits, whichever worker they reached; a client sees one id throughout.
import { decode } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { raw, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { setsSession } from '../mcp/session-notes.ts';
import { ENVELOPE } from '../scan/contract.ts';
import { homeOf, sendToHome } from '../upstream/peer.ts';
import type { PeerLink } from '../upstream/peer-link.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from '../upstream/upstream.ts';
import type { CollectTools } from './collect.ts';
import { HealedSessions, type HealTools, type SealedSession } from './healed-sessions.ts';
import { HealingCall, renamed, type SessionHealer } from './healing-call.ts';
import { PatientStream } from './patient-stream.ts';

/** What healing takes. */
export interface HealingParts extends CollectTools {
  readonly inner: Upstream;
  readonly log: HealTools['log'];
  readonly timeoutMs: number;
  /** To the other workers; null when there are none. */
  readonly link: PeerLink | null;
}

/** Makes the sessions of an upstream heal. */
export function withHealing(parts: HealingParts): Upstream {
  return new HealingUpstream(parts);
}

/** Between a server's session id, which as a header's value has no line ends, and when the session began and with which params. */
const LINE_END = '\n';
/** Params are an object; when it began holds none of these. */
const PARAMS_START = '{';

/** A session as it is sealed; null for one that cannot be begun again, whose text is the server's own id. Those sealed before 2026-11-23 say no time. */
function sealedSession(shown: string): SealedSession | null {
  const at = shown.indexOf(LINE_END);
  if (at < 0) return null;
  const params = shown.indexOf(PARAMS_START, at);
  return { id: shown.slice(0, at), key: shown.slice(0, params), params: shown.slice(params), shown };
}

class HealingUpstream implements Upstream, SessionHealer {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #inner: Upstream;
  readonly #link: PeerLink | null;
  readonly #clock: HealingParts['clock'];
  readonly #healed: HealedSessions;

  constructor(parts: HealingParts) {
    this.name = parts.inner.name;
    this.transport = parts.inner.transport;
    this.#inner = parts.inner;
    this.#link = parts.link;
    this.#clock = parts.clock;
    this.#healed = new HealedSessions(parts);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (request.era !== 'legacy') return this.#inner.send(request, sink);
    const { session, body, envelope } = request;
    if (session === null) {
      const isFirst = envelope !== null && text(body, envelope, ENVELOPE.method) === METHOD.initialize;
      const params = isFirst ? raw(body, envelope, ENVELOPE.params) : null;
      const said = params === null ? '' : decode(params);
      if (!said.startsWith(PARAMS_START)) return this.#inner.send(request, sink);
      return this.#inner.send(request, new BeginningSink(sink, this.#clock.wall().toString(36) + said));
    }
    const sealed = sealedSession(session);
    if (request.verb !== 'GET') return this.#sendIn(sealed, request, sink);
    return new PatientStream((to) => this.#sendIn(sealed, request, to), sink, this.#clock).start();
  }

  #sendIn(sealed: SealedSession | null, request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (sealed === null) return this.#inner.send(request, sink);
    return new HealingCall(this, request, sealed, sink).start();
  }

  sendHere(request: UpstreamRequest, session: SealedSession, sink: UpstreamSink): UpstreamCall {
    const id = this.#healed.currentId(session);
    if (request.verb === 'DELETE') this.#healed.end(session);
    else this.#healed.note(session, request);
    return this.#inner.send({ ...request, session: id }, sink);
  }

  sendAway(request: UpstreamRequest, { id }: SealedSession, sink: UpstreamSink): UpstreamCall | null {
    const link = this.#link;
    if (link === null) return null;
    const worker = homeOf(id, link.place.count);
    if (worker === link.place.index) return null;
    return sendToHome(link, { worker, generation: 0 }, { server: this.name, request }, sink);
  }

  isAway(request: UpstreamRequest, session: SealedSession): boolean {
    if (this.#link === null) return false;
    if (this.#healed.hasMoved(session)) return true;
    const { envelope, body, verb } = request;
    // What its client ended is not begun again.
    if (verb === 'DELETE') return true;
    return envelope !== null && setsSession(text(body, envelope, ENVELOPE.method));
  }

  moved(session: SealedSession): void {
    this.#healed.move(session);
  }

  heal(
    request: UpstreamRequest,
    session: SealedSession,
    used: string,
  ): Promise<string | GatewayError | null> {
    return this.#healed.heal(request, session, used);
  }

  currentId(session: SealedSession): string {
    return this.#healed.currentId(session);
  }

  stats(): UpstreamStats {
    return this.#inner.stats();
  }

  isPiped(): boolean {
    return this.#inner.isPiped?.() === true;
  }

  nudged(): void {
    this.#inner.nudged?.();
  }

  sweep(): void {
    this.#inner.sweep?.();
  }

  close(withinMs: number): Promise<void> {
    return this.#inner.close(withinMs);
  }
}

/** Puts when and with what a session begins behind its id. */
class BeginningSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #beginning: string;

  constructor(sink: UpstreamSink, beginning: string) {
    this.#sink = sink;
    this.#beginning = beginning;
  }

  onHead(head: ReplyHead): void {
    const { sessionId, homed } = head;
    const isKept = sessionId !== null && homed !== true;
    const shown = `${sessionId}${LINE_END}${this.#beginning}`;
    // A client that says a great deal of itself would pay for it with every request: its sessions end with the server's memory of them.
    this.#sink.onHead(isKept && shown.length <= LIMITS.sessionHealCharsMax ? renamed(head, shown) : head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    this.#sink.onFail(error);
  }
}
