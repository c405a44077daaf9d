// A stdio server whose shared process runs in one worker, whichever worker is asked: modern requests go there, legacy sessions stay where they began
// unless they share a process as well.
// Called by worker.ts (makes it, and serves the other workers). Promises: what upstream.ts promises; one process for all modern requests of
// a gateway, in a worker that every other one finds by the server's name alone.
import { EMPTY, encode, splice } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { ENVELOPE, KIND, SCAN, type Scanner } from '../scan/contract.ts';
import type { PeerReply } from './peer-calls.ts';
import type { PeerRequest } from './peer-frames.ts';
import type { PeerLink } from './peer-link.ts';
import type {
  Era,
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from './upstream.ts';

/** What a peer upstream is made of. */
export interface PeerUpstreamParts {
  readonly link: PeerLink;
  /** The server's upstream in this worker. */
  readonly local: Upstream;
  /** True when legacy sessions live in the home as well, since they share its process. */
  readonly sharesSessions: boolean;
}

/** The worker in which the shared process of a server lives: FNV-1a of its name, so that all workers agree without a word. */
export function homeOf(server: string, workers: number): number {
  let hash = 0x811c_9dc5;
  for (const byte of encode(server)) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash >>> 0) % workers;
}

/** Makes the upstream; in the server's home worker it is the local one itself. */
export function createPeerUpstream(parts: PeerUpstreamParts): Upstream {
  const { link, local } = parts;
  const home = homeOf(local.name, link.place.count);
  return home === link.place.index ? local : new PeerUpstream(parts, home);
}

/** In the place of a verb: Upstream.releaseShared(). */
const RELEASE = 'RELEASE';
/** Stands among the texts of a request that nobody but the gateway itself wants. */
const BACKGROUND = 'background';

/** For what has no reply that matters. */
const UNHEARD: UpstreamSink = Object.freeze({
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
});

class PeerUpstream implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  readonly #link: PeerLink;
  readonly #local: Upstream;
  readonly #home: number;
  readonly #sharesSessions: boolean;
  readonly #running = new Set<RemoteCall>();
  #closing: GatewayError | null = null;
  /** Several may close it at once: a reload that has left it out, and the gateway's end. */
  #whenIdle: (() => void)[] = [];

  constructor({ link, local, sharesSessions }: PeerUpstreamParts, home: number) {
    this.name = local.name;
    this.transport = local.transport;
    this.#link = link;
    this.#local = local;
    this.#home = home;
    this.#sharesSessions = sharesSessions;
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (this.#isLocal(request)) return this.#local.send(request, sink);
    request.marks?.sent(this.#link.clock.now());
    const call = new RemoteCall(sink, (ended) => this.#ended(ended));
    this.#running.add(call);
    const body = splice(request.body, request.edits);
    const order = orderOf(this.name, request, { subject: 'upstream', generation: 0 });
    call.hold(this.#link.send(this.#home, order, body, call));
    return call;
  }

  /** A session's process is its own, and is here; what is refused is refused the same everywhere. But only the home knows sessions that share its process. */
  #isLocal(request: UpstreamRequest): boolean {
    if (request.era === 'legacy') return !this.#sharesSessions;
    return this.#closing !== null;
  }

  releaseShared(): void {
    const texts = [this.name, 'modern', RELEASE, null, '', '', '', '0'];
    this.#link.send(this.#home, { subject: 'upstream', generation: 0, texts }, EMPTY, UNHEARD);
  }

  #ended(call: RemoteCall): void {
    this.#running.delete(call);
    if (this.#running.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  isPiped(): boolean {
    return this.#local.isPiped?.() === true;
  }

  /** Of this worker's own processes: the others are counted where they run. */
  stats(): UpstreamStats {
    return this.#local.stats();
  }

  async close(withinMs: number): Promise<void> {
    this.#closing ??= new GatewayError('GW_UPSTREAM_CLOSING');
    const { clock } = this.#link;
    const closed = this.#local.close(withinMs);
    if (this.#running.size > 0) {
      const timer = clock.after(withinMs, () => {
        for (const call of [...this.#running]) call.breakOff(new GatewayError('GW_UPSTREAM_EXITED'));
      });
      await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
      clock.cancel(timer);
    }
    await closed;
  }
}

function orderOf(server: string, request: UpstreamRequest, to: Omit<PeerRequest, 'texts'>): PeerRequest {
  const { era, verb, session, exchangeId, client, timeoutMs, headers } = request;
  const { principal, endpoint } = client;
  const background = request.isBackground === true ? BACKGROUND : null;
  const bound = String(timeoutMs);
  const texts = [server, era, verb, session, exchangeId, principal, endpoint, bound, background, ...headers];
  return { ...to, texts };
}

/** Sends a request to the same server's upstream in another worker, in that life of it which knows what the request is about. */
export function sendToHome(
  link: PeerLink,
  home: { readonly worker: number; readonly generation: number },
  to: { readonly server: string; readonly request: UpstreamRequest },
  sink: UpstreamSink,
): UpstreamCall {
  const { server, request } = to;
  const order = orderOf(server, request, { subject: 'bridge', generation: home.generation });
  return link.send(home.worker, order, splice(request.body, request.edits), sink);
}

/** A call that runs in another worker; counted, so that close() can wait for it. */
class RemoteCall implements UpstreamCall, UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #onOver: (call: RemoteCall) => void;
  #call: UpstreamCall | null = null;
  #isOver = false;

  constructor(sink: UpstreamSink, onOver: (call: RemoteCall) => void) {
    this.#sink = sink;
    this.#onOver = onOver;
  }

  hold(call: UpstreamCall): void {
    this.#call = call;
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    if (!this.#end()) return;
    this.#call?.abort();
  }

  breakOff(error: GatewayError): void {
    this.#call?.abort();
    if (this.#end()) this.#sink.onFail(error);
  }

  onHead(head: ReplyHead): void {
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    if (this.#end()) this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.#end()) this.#sink.onFail(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#onOver(this);
    return true;
  }
}

/** Serves the other workers' requests to servers, or about calls, whose home this worker is. `find` gives the upstream of a server. */
export function servePeers(
  link: PeerLink,
  scanner: Scanner,
  find: (server: string) => Upstream | null,
  subject: 'upstream' | 'bridge' = 'upstream',
): void {
  link.serve(subject, (_from, { texts }, body, reply) => {
    const [server, era, verb, session, exchangeId, principal, endpoint, timeoutMs, background, ...headers] =
      // Only orderOf() of this program writes these texts; the session and what marks the background may be absent.
      texts as [
        string,
        Era,
        UpstreamRequest['verb'] | typeof RELEASE,
        string | null,
        string,
        string,
        string,
        string,
        string | null,
        ...string[],
      ];
    const upstream = find(server);
    if (upstream === null) throw new GatewayError('GW_BASE_INTERNAL', `no server ${server} in its home`);
    if (verb === RELEASE) return release(upstream, reply);
    const request: UpstreamRequest = {
      verb,
      era,
      body,
      envelope: scanned(scanner, body),
      edits: [],
      headers,
      session,
      exchangeId,
      client: { principal, endpoint },
      timeoutMs: Number(timeoutMs),
      isBackground: background === BACKGROUND,
    };
    return upstream.send(request, new ReplySink(reply));
  });
}

function release(upstream: Upstream, reply: PeerReply): UpstreamCall {
  upstream.releaseShared?.();
  reply.head({ status: 202, media: 'none', contentLength: 0, whole: true, sessionId: null, headers: {} });
  reply.end();
  return { resume: () => undefined, abort: () => undefined };
}

/** The envelope of a message that was scanned before; null for what has none. */
function scanned(scanner: Scanner, body: Uint8Array): Int32Array | null {
  if (body.length === 0) return null;
  const envelope = new Int32Array(ENVELOPE.length);
  const isMessage = scanner.scan(body, 0, body.length, envelope) === SCAN.ok;
  return isMessage && envelope[ENVELOPE.kind] !== KIND.batch ? envelope : null;
}

/** Headers of a reply that matter to a client; a server on stdio has but the first. */
const CROSSING = ['content-type', 'cache-control', 'x-accel-buffering', 'www-authenticate', 'retry-after'];

/** Sends a local upstream's reply to the worker that asked. */
class ReplySink implements UpstreamSink {
  readonly #reply: PeerReply;

  constructor(reply: PeerReply) {
    this.#reply = reply;
  }

  onHead(head: ReplyHead): void {
    const { status, media, contentLength, whole, sessionId } = head;
    const headers: Record<string, string> = {};
    for (const name of CROSSING) {
      const value = head.header(name);
      if (value !== null) headers[name] = value;
    }
    this.#reply.head({ status, media, contentLength, whole, sessionId, headers });
  }

  onData(bytes: Uint8Array): boolean {
    return this.#reply.data(bytes);
  }

  onEnd(): void {
    this.#reply.end();
  }

  onFail(error: GatewayError): void {
    this.#reply.fail(error);
  }
}
