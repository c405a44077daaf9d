// One call to a server that several clients wait for, since they asked the same at the same time.
// Called by cache.ts. Promises: the client that began it gets its reply as without a cache, events included; the others get the answer when it may be shared, or what
// stands in for a server that is down, and otherwise each makes its own call, once; who leaves takes nothing from the others, and with the last one the call ends.
import { concat, EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { isSameId, kindOf, type Message, raw, readMessage } from '../mcp/envelope.ts';
import { EventReader } from '../mcp/sse.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import type { CacheKey } from './cache-key.ts';
import type { CacheListen } from './cache-listen.ts';
import type { Cacheable } from './cache-reply.ts';
import { LONG_JSON_HEAD, type Shared, Waiter } from './cache-waiter.ts';

/** Who runs the flights of one server. */
export interface FlightOwner {
  /** The server answered with a result or an error. What may be shared of it is returned, kept already when it can be. */
  onAnswer(flight: Flight, message: Message): Cacheable | null;
  /** The server cannot be asked: what it said before, for a client with this raw id; null when nothing may stand in. */
  staleFor(flight: Flight, id: Uint8Array): Uint8Array | null;
  /** The server refuses the request on the level of HTTP. */
  onRefused(flight: Flight, status: number): void;
  /** Nobody may join it any more. At least once. */
  onClosed(flight: Flight): void;
}

/** What a flight is made of. */
export interface FlightPlan {
  readonly inner: Pick<Upstream, 'send'>;
  readonly scanner: Scanner;
  readonly owner: FlightOwner;
  readonly key: CacheKey;
  /** What told of every change when it began, and how many gaps there had been in that; null: nothing did. */
  readonly guard: CacheListen | null;
  readonly epoch: number;
  /** A longer reply is nobody's but that of the client that began. */
  readonly bytesMax: number;
}

/** `gather`: a JSON reply is kept back until it is whole. `tee`: an event stream goes on as it comes, and is read as well. `pass`: the rest is the first client's alone. */
type Mode = 'head' | 'gather' | 'tee' | 'pass';

const SERVER_ERROR = 500;

/** One call and who waits for it. */
export class Flight extends ContainedSink implements Shared {
  readonly plan: FlightPlan;
  /** True once the server has told that its answer may be out of date: it is for those who wait, and is not kept. */
  isOutdated = false;
  readonly #waiters = new Set<Waiter>();
  /** The client that began it; null when that has left. */
  #first: Waiter;
  #hasFirst = true;
  #call: UpstreamCall | null = null;
  #mode: Mode = 'head';
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #reader: EventReader | null = null;

  constructor(plan: FlightPlan, request: UpstreamRequest, sink: UpstreamSink) {
    super();
    this.plan = plan;
    this.#first = new Waiter(request, sink, this);
    this.#waiters.add(this.#first);
  }

  /** The request that it makes. */
  get request(): UpstreamRequest {
    return this.#first.request;
  }

  /** Makes the call; returns the first client's hold on it. */
  start(): UpstreamCall {
    const { request } = this.#first;
    // The call may outlive the first client, and with it the exchange that lent the numbers.
    const lasting = { ...request, envelope: request.envelope?.slice() ?? null };
    this.#call = this.plan.inner.send(lasting, this);
    return this.#first;
  }

  /** Another client that asks the same. */
  join(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const waiter = new Waiter(request, sink, this);
    this.#waiters.add(waiter);
    return waiter;
  }

  left(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (waiter === this.#first) this.#hasFirst = false;
    if (this.#waiters.size === 0) this.#cancel();
  }

  resumed(waiter: Waiter): void {
    // Before, nothing was paused.
    if (waiter === this.#first && this.#mode === 'pass') this.#call?.resume();
  }

  // ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────────

  protected head(head: ReplyHead): void {
    if (head.status >= SERVER_ERROR) {
      this.#standIn();
      if (this.#waiters.size === 0) return this.#cancel();
    }
    const isStream = head.media === 'event-stream';
    if (head.status !== 200) this.plan.owner.onRefused(this, head.status);
    if (head.status !== 200 || !(isStream || head.media === 'json')) this.#pass(head);
    else if (isStream) {
      this.#mode = 'tee';
      this.#reader = new EventReader(this.plan.scanner);
      this.#tellFirst((first) => first.head(head));
    } else if (head.contentLength > this.plan.bytesMax) this.#pass(head);
    else this.#mode = 'gather';
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#mode === 'pass') return this.#first.data(bytes);
    this.#bytes += bytes.length;
    if (this.#mode === 'gather') {
      this.#parts.push(bytes);
      return this.#bytes <= this.plan.bytesMax || this.#spill();
    }
    // What the first client leaves unread waits for it: the others do not.
    const hasRoom = !this.#hasFirst || this.#first.data(bytes);
    this.#read(bytes, false);
    if (this.over || this.#modeIs('pass')) return hasRoom;
    if (this.#bytes <= this.plan.bytesMax) return true;
    this.#disperse();
    return hasRoom;
  }

  protected ended(): void {
    if (this.#mode === 'gather') return this.#settle();
    if (this.#mode === 'tee') this.#read(EMPTY, true);
    this.#tellFirst((first) => first.end());
    this.#disperse();
  }

  protected failed(error: GatewayError): void {
    this.#call?.abort();
    const wasTold = this.#mode === 'tee' || this.#mode === 'pass';
    if (wasTold) this.#tellFirst((first) => first.fail(error));
    if (isOutage(error)) this.#standIn();
    this.#tellFirst((first) => first.fail(error));
    this.#disperse();
  }

  // ── what becomes of it ───────────────────────────────────────────────────────────────────────────────────────────────

  /** The whole JSON reply is there. */
  #settle(): void {
    const body = this.#parts.length === 0 ? EMPTY : concat(this.#parts);
    this.#parts = [];
    const found = this.#judge(body);
    this.#tellFirst((first) => first.answer(found?.isCompleted === true ? rendered(found, first) : body));
    this.#share(found);
  }

  /** What may be shared of a message that the server sent; null: nothing. */
  #judge(bytes: Uint8Array): Cacheable | null {
    const { scanner, owner } = this.plan;
    const message = readMessage(scanner, bytes);
    const found =
      message instanceof GatewayError || !this.#isAnswer(message) ? null : owner.onAnswer(this, message);
    owner.onClosed(this);
    return found;
  }

  #isAnswer({ bytes, envelope }: Message): boolean {
    const kind = kindOf(envelope);
    const given = raw(bytes, envelope, ENVELOPE.id);
    const asked = idOf(this.#first.request);
    return (kind === KIND.result || kind === KIND.error) && given !== null && isSameId(asked, given);
  }

  /** Everyone but the first client gets the answer, or makes a call of its own. */
  #share(found: Cacheable | null): void {
    if (found !== null)
      for (const waiter of this.#others()) {
        this.#waiters.delete(waiter);
        waiter.answer(rendered(found, waiter));
      }
    this.#disperse();
  }

  /** What the server said before goes to whoever may have it. */
  #standIn(): void {
    const { owner } = this.plan;
    owner.onClosed(this);
    for (const waiter of [...this.#waiters]) {
      const body = owner.staleFor(this, idOf(waiter.request));
      if (body === null) continue;
      const { marks } = waiter.request;
      if (marks !== undefined) marks.isCached = true;
      this.#waiters.delete(waiter);
      if (waiter === this.#first) this.#hasFirst = false;
      waiter.answer(body);
    }
  }

  /** What comes is the first client's alone. */
  #pass(head: ReplyHead): void {
    this.#tellFirst((first) => first.head(head));
    this.#disperse();
  }

  #spill(): boolean {
    const parts = this.#parts;
    this.#parts = [];
    this.#tellFirst((first) => first.head(LONG_JSON_HEAD));
    let hasRoom = true;
    for (const part of parts) hasRoom = this.#first.data(part);
    this.#disperse();
    return hasRoom;
  }

  /** The others go their own ways; without the first client, the call is for nobody. */
  #disperse(): void {
    this.plan.owner.onClosed(this);
    this.#mode = 'pass';
    this.#reader = null;
    for (const waiter of this.#others()) {
      this.#waiters.delete(waiter);
      waiter.alone(this.plan.inner);
    }
    if (!this.#hasFirst) this.#cancel();
  }

  #read(bytes: Uint8Array, isLast: boolean): void {
    this.#reader?.push(
      bytes,
      (event) => {
        // The first client's own view of it decides whether that is well-formed.
        if (this.#mode === 'tee' && event.data.length > 0) this.#event(event.data);
      },
      isLast,
    );
  }

  #event(data: Uint8Array): void {
    const { scanner } = this.plan;
    const message = readMessage(scanner, data);
    if (message instanceof GatewayError) return this.#disperse();
    const kind = kindOf(message.envelope);
    if (kind === KIND.result || kind === KIND.error) this.#share(this.#judge(data));
  }

  /** The others that wait; the set may change meanwhile. */
  #others(): readonly Waiter[] {
    return [...this.#waiters].filter((waiter) => waiter !== this.#first);
  }

  #tellFirst(tell: (first: Waiter) => void): void {
    if (this.#hasFirst) tell(this.#first);
  }

  #modeIs(mode: Mode): boolean {
    return this.#mode === mode;
  }

  /** Nobody waits any more. */
  #cancel(): void {
    if (this.over) return;
    this.leave();
    this.plan.owner.onClosed(this);
    this.#call?.abort();
  }
}

function rendered({ reply, ttlMs }: Cacheable, { request }: Waiter): Uint8Array {
  return reply.render(idOf(request), ttlMs);
}

/** Raw id of a request, which has one. */
export function idOf({ body, envelope }: UpstreamRequest): Uint8Array {
  return (envelope === null ? null : raw(body, envelope, ENVELOPE.id)) ?? EMPTY;
}

/** True for a failure that says that the server, or the way to it, is down or too slow. */
function isOutage({ code, row }: GatewayError): boolean {
  return (
    (row.source === 'upstream' && row.http >= SERVER_ERROR) ||
    code === 'GW_UPSTREAM_OPEN' ||
    code === 'GW_PEER_DOWN' ||
    code === 'GW_PEER_LOST'
  );
}
