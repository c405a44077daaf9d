// subscriptions/listen of modern clients at a legacy server: acknowledged by what the server declares, fed by what its session says.
// Called by face.ts. Promises: the acknowledgement is the stream's first message; every message bears the listen's id; when the gateway ends it, it ends with a
// result; a client that does not read loses its stream; one that leaves is unsubscribed. Source: MCP 2026-07-28, subscriptions.
import { EMPTY, splice } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { type Message, raw, readMessage } from '../../mcp/envelope.ts';
import { listenResult } from '../../mcp/merge.ts';
import {
  acknowledgement,
  honourable,
  type ListenFilter,
  listenNotification,
  tagged,
} from '../../mcp/subscriptions.ts';
import { ENVELOPE, type Scanner } from '../../scan/contract.ts';
import type { UpstreamCall, UpstreamRequest, UpstreamSink } from '../../upstream/upstream.ts';
import { overrunError } from '../session-stream.ts';
import { type Listener, ListenHub } from './listen-hub.ts';
import { ModernReply, type Refusal } from './reply.ts';
import type { HeldSession } from './sessions.ts';
import { SubscribedResources } from './subscribed.ts';

/** Resources that the server is asked for at once on behalf of one listen. */
const AT_ONCE_MAX = 16;

/** Where sessions are had. */
export interface ListenSource {
  /** The session for a modern request, opened if there is none; to be released once. Never rejects. */
  open(request: UpstreamRequest): Promise<HeldSession | Refusal>;
}

/** All listens at one server. */
export class Listens {
  readonly #source: ListenSource;
  readonly #scanner: Scanner;
  readonly #open = new Set<Listen>();
  readonly #hubs = new Map<HeldSession, ListenHub>();
  readonly #resources = new WeakMap<HeldSession, SubscribedResources>();
  #isClosed = false;

  constructor(source: ListenSource, scanner: Scanner) {
    this.#source = source;
    this.#scanner = scanner;
  }

  /** Serves a `subscriptions/listen`; as Upstream.send(). */
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const reply = new ModernReply(sink);
    const listen = new Listen(reply, {
      hubOf: (session) => this.#hubOf(session),
      onOver: (over) => this.#open.delete(over),
    });
    this.#open.add(listen);
    reply.ownedBy(listen);
    this.#begin(listen, request).catch((thrown: unknown) => listen.over(toGatewayError(thrown)));
    return reply;
  }

  /** Ends every listen with its result, and takes no new ones. */
  close(): void {
    this.#isClosed = true;
    // Their sessions end as well, and their subscriptions with them.
    for (const { resources } of this.#hubs.values()) resources.forget();
    for (const listen of [...this.#open]) listen.over(null);
  }

  async #begin(listen: Listen, request: UpstreamRequest): Promise<void> {
    // The body is the client's, the filter perhaps not: an aggregate leaves a server only its own resources.
    const message = readMessage(this.#scanner, splice(request.body, request.edits));
    if (message instanceof GatewayError) throw message;
    if (this.#isClosed) throw new GatewayError('GW_UPSTREAM_CLOSING');
    const session = await this.#source.open(request);
    if (!('result' in session)) return listen.refuse(session, message);
    try {
      if (!listen.isOver) await listen.serve(session, message);
    } finally {
      session.release();
    }
  }

  #hubOf(session: HeldSession): ListenHub {
    const known = this.#hubs.get(session);
    if (known !== undefined) return known;
    const resources = this.#resourcesOf(session);
    const hub = new ListenHub(session, resources, () => this.#hubs.delete(session));
    this.#hubs.set(session, hub);
    return hub;
  }

  /** They outlive a hub: what the last one still tells the server must not overtake what the next one does. */
  #resourcesOf(session: HeldSession): SubscribedResources {
    const known = this.#resources.get(session);
    if (known !== undefined && !known.isOver) return known;
    const resources = new SubscribedResources(session);
    this.#resources.set(session, resources);
    return resources;
  }
}

interface ListenOwner {
  hubOf(session: HeldSession): ListenHub;
  onOver(listen: Listen): void;
}

/** One client's listen. */
class Listen implements Listener {
  filter: ListenFilter = { flags: [], uris: [] };
  readonly #reply: ModernReply;
  readonly #owner: ListenOwner;
  #hub: ListenHub | null = null;
  /** Raw id, which every message of the stream bears. */
  #id: Uint8Array = EMPTY;
  /** Resources that it keeps subscribed. */
  #uris: readonly string[] = [];
  /** What waits for the acknowledgement, or for a client that is slow. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isHeldUp = true;
  #finish: () => void = () => undefined;

  constructor(reply: ModernReply, owner: ListenOwner) {
    this.#reply = reply;
    this.#owner = owner;
  }

  get isOver(): boolean {
    return this.#reply.over;
  }

  /** There is no session for it. */
  refuse(refusal: Refusal, { bytes, envelope }: Message): void {
    if (this.isOver) return;
    this.#reply.refuse(refusal, raw(bytes, envelope, ENVELOPE.id));
    this.onLeft();
  }

  /** Serves it from a session, which is in use until this resolves: when the listen is over. */
  async serve(session: HeldSession, message: Message): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#finish = resolve;
    this.#id = (raw(message.bytes, message.envelope, ENVELOPE.id) ?? EMPTY).slice();
    this.filter = honourable(message, session.result.capabilities);
    this.#reply.stream();
    const hub = this.#owner.hubOf(session);
    this.#hub = hub;
    hub.join(this);
    await this.#subscribe(hub);
    if (!this.isOver) this.#acknowledge();
    await promise;
  }

  /** Leaves the resources in the filter that the server will tell of. */
  async #subscribe(hub: ListenHub): Promise<void> {
    const asked = this.filter.uris;
    const granted: string[] = [];
    for (let at = 0; at < asked.length && !this.isOver; at += AT_ONCE_MAX) {
      const some = asked.slice(at, at + AT_ONCE_MAX);
      this.#uris = [...this.#uris, ...some];
      const answers = await Promise.all(some.map((uri) => hub.resources.acquire(uri)));
      granted.push(...some.filter((_, i) => answers[i] === true));
    }
    if (this.isOver) return;
    for (const uri of this.#uris) if (!granted.includes(uri)) hub.resources.release(uri);
    this.#uris = granted;
    this.filter = { flags: this.filter.flags, uris: granted };
  }

  #acknowledge(): void {
    this.#isHeldUp = !this.#reply.event(acknowledgement(this.#id, this.filter));
    this.#flush();
  }

  // ── from the session ─────────────────────────────────────────────────────────────────────────────────────────────

  hear(message: Message): void {
    this.#send(tagged(message, this.#id));
  }

  tell(method: string, params: Readonly<Record<string, unknown>>): void {
    this.#send(listenNotification(this.#id, method, params));
  }

  over(error: GatewayError | null): void {
    if (this.isOver) return;
    if (error !== null) this.#reply.fail(error);
    else if (this.#hub === null) this.#reply.fail(new GatewayError('GW_UPSTREAM_CLOSING'));
    else this.#reply.answer(listenResult(this.#id));
    this.onLeft();
  }

  #send(message: Uint8Array): void {
    if (this.isOver) return;
    if (!this.#isHeldUp) {
      this.#isHeldUp = !this.#reply.event(message);
      return;
    }
    this.#waiting.push(message);
    this.#waitingBytes += message.length;
    if (this.#waitingBytes > LIMITS.downstreamBufferBytesMax) this.over(overrunError());
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  onRoom(): void {
    this.#isHeldUp = false;
    this.#flush();
  }

  #flush(): void {
    while (!this.#isHeldUp) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#waitingBytes -= next.length;
      this.#isHeldUp = !this.#reply.event(next);
    }
  }

  /** It is over, whoever ended it. */
  onLeft(): void {
    const hub = this.#hub;
    const uris = this.#uris;
    this.#hub = null;
    this.#uris = [];
    this.#waiting = [];
    for (const uri of uris) hub?.resources.release(uri);
    hub?.leave(this);
    this.#owner.onOver(this);
    this.#finish();
  }
}
