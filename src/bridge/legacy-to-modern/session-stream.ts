// The event stream of a legacy session at a modern server: the client's GET, fed by one subscriptions/listen.
// Called by session.ts (owns it) and face.ts. Promises: the listen covers what the server announces and what the client subscribed to; a new one is acknowledged before the
// old one is let go; the client's newest GET takes an older one's place; after a gap everything is told to have changed; what comes while the client reconnects is kept within bounds.
import { encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { METHOD } from '../../mcp/protocol.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import type { ClientKey } from '../../upstream/upstream.ts';
import type { FaceParts } from '../face.ts';
import { postRequest } from '../member.ts';
import { type EventLog, type EventPlace, SESSION_STREAM } from './events.ts';
import { type Filter, Listen, type ListenOwner } from './listen.ts';
import { notification, Outlet } from './outlet.ts';
import type { ClientProfile } from './profile.ts';
import type { LegacyReply, ReplyOwner } from './reply.ts';
import { modernHeaders, ownRequest } from './requests.ts';
import { type Subscribed, Subscriptions } from './subscriptions.ts';

/** What a server announces of itself. */
export interface Offers {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  readonly subscribe: boolean;
}

/** The session, as its stream sees it. */
export interface StreamSession {
  readonly parts: FaceParts;
  readonly client: ClientKey;
  readonly profile: ClientProfile;
  readonly offers: Offers;
  readonly events: EventLog;
  /** The client's stream came or went. */
  touch(): void;
}

/** What its server's side needs of the client's GET: the headers by which the server knows whom it serves, and an id for logs. */
export interface StreamRequest {
  readonly credentials: string;
  readonly carried: readonly string[];
  readonly exchangeId: string;
}

const REOPEN_FIRST_MS = 1_000;
const REOPEN_LAST_MS = 30_000;
/** The listen goes on for this long when the client's stream is gone: SDK clients are back after a second. */
const LINGER_MS = 30_000;
/** SDK clients open their stream while they go on: a first subscription waits so long for it. */
const FIRST_STREAM_MS = 500;

/** The stream of one session. */
export class SessionStream implements ReplyOwner, ListenOwner {
  readonly #session: StreamSession;
  readonly #outlet: Outlet;
  readonly #subscriptions: Subscriptions;
  #listen: Listen | null = null;
  /** Opened and not acknowledged yet; takes the other one's place. */
  #next: Listen | null = null;
  /** What the server listens for, as it last said. */
  #granted: Filter | null = null;
  #from: StreamRequest = { credentials: '', carried: [], exchangeId: '' };
  #opened = 0;
  /** Nobody listened for a while. */
  #hasGap = false;
  /** The client was waited for and opened no stream. */
  #isAlone = false;
  #isRefused = false;
  #reopenMs = REOPEN_FIRST_MS;
  #timer: TimerId = 0;
  #lingering: TimerId = 0;
  #isOver = false;

  constructor(session: StreamSession) {
    this.#session = session;
    const { events: log, profile, parts } = session;
    this.#outlet = new Outlet({ log, clock: parts.clock, profile, owner: this }, SESSION_STREAM);
    this.#subscriptions = new Subscriptions(parts.clock);
  }

  /** True while the client listens. */
  get isOpen(): boolean {
    return this.#outlet.attached;
  }

  // ── the client's side ────────────────────────────────────────────────────────────────────────────────────────────

  /** The client's GET; `place` is where it was. It takes the place of one that is open still: a client that is back may not be known yet to have left. */
  open(reply: LegacyReply, from: StreamRequest, place: EventPlace | null): void {
    const isOther = this.#opened > 0 && from.credentials !== this.#from.credentials;
    // What the server said to whom it knew by other credentials is not for these.
    if (isOther) this.#startOver();
    this.#stopLingering();
    this.#isAlone = false;
    this.#from = from;
    const missed = place === null || isOther ? null : this.#session.events.after(place);
    if (place !== null && missed !== null) this.#outlet.takeUp(reply, place, missed);
    else this.#outlet.begin(reply);
    // Some of what the client missed is no longer there.
    if (place !== null && missed === null && this.#granted !== null) this.#tellAll(this.#granted);
    this.#isRefused = false;
    this.#session.touch();
    // It may be paused for the one before.
    this.#listen?.resume();
    this.#adjust();
  }

  #startOver(): void {
    this.#drop();
    this.#granted = null;
    this.#outlet.skip();
  }

  /** Subscribes; `done` hears of it once the server listens, or at once when the client does not. */
  subscribe(uri: string, done: Subscribed): void {
    const subscriptions = this.#subscriptions;
    const isOffered = this.#session.offers.subscribe;
    const fault = isOffered
      ? subscriptions.add(uri)
      : new GatewayError('GW_MCP_METHOD', 'the server has no subscriptions');
    if (fault !== null) return done(fault);
    if (this.#listen?.version === subscriptions.version) return done(null);
    if (!this.isOpen && this.#isAlone) return this.#grant(uri, done);
    const withinMs = this.isOpen ? LIMITS.memberTimeoutMs : FIRST_STREAM_MS;
    subscriptions.wait(uri, withinMs, done, () => this.#tooLate(uri, done));
    this.#adjust();
  }

  /** Takes a subscription back. */
  unsubscribe(uri: string): void {
    if (this.#subscriptions.remove(uri)) this.#adjust();
  }

  #grant(uri: string, done: Subscribed): void {
    this.#subscriptions.grantUnheard(uri);
    done(null);
  }

  #tooLate(uri: string, done: Subscribed): void {
    if (!this.isOpen) {
      this.#isAlone = true;
      return this.#grant(uri, done);
    }
    this.unsubscribe(uri);
    done(new GatewayError('GW_UPSTREAM_TIMEOUT', 'the subscription was not acknowledged'));
  }

  onLeft(): void {
    this.#session.touch();
    // What was paused for a slow client goes on: it is kept for the next.
    this.#listen?.resume();
    this.#lingering = this.#session.parts.clock.after(LINGER_MS, () => this.#drop());
  }

  onRoom(): void {
    this.#listen?.resume();
  }

  /** Ends the client's stream; the session goes on. */
  endStream(): void {
    this.#outlet.end();
    this.#drop();
  }

  /** The session is over. */
  close(): void {
    this.#isOver = true;
    this.endStream();
    this.#subscriptions.refuse(new GatewayError('GW_SESSION_UNKNOWN', 'it ended meanwhile'));
  }

  // ── the server's side ────────────────────────────────────────────────────────────────────────────────────────────

  #filter(): Filter | null {
    const { offers } = this.#session;
    const { uris } = this.#subscriptions;
    const filter = {
      ...(offers.tools ? { toolsListChanged: true } : {}),
      ...(offers.prompts ? { promptsListChanged: true } : {}),
      ...(offers.resources ? { resourcesListChanged: true } : {}),
      ...(uris.length > 0 ? { resourceSubscriptions: uris } : {}),
    };
    return Object.keys(filter).length === 0 ? null : filter;
  }

  /** Makes the listen what it should be, if it can be now. */
  #adjust(): void {
    const { version, isAwaited } = this.#subscriptions;
    const isWanted = !this.#isOver && (this.isOpen || this.#lingering !== 0);
    if (!isWanted || this.#next !== null || this.#listen?.version === version) return;
    if (this.#isRefused && !isAwaited) return;
    const filter = this.#filter();
    if (filter === null) this.#letGo();
    else this.#open(filter, version);
  }

  #open(filter: Filter, version: number): void {
    const { parts, client, profile } = this.#session;
    const { carried, exchangeId } = this.#from;
    parts.clock.cancel(this.#timer);
    const next = new Listen(this, parts.scanner, version);
    this.#next = next;
    this.#opened++;
    const draft = ownRequest(parts.scanner, {
      id: `sluice:listen:${this.#opened}`,
      method: METHOD.listen,
      params: encode(`"notifications":${JSON.stringify(filter)}`),
      meta: profile.meta,
    });
    const headers = modernHeaders(carried, METHOD.listen);
    const call = { era: 'modern', headers, session: null, exchangeId, client } as const;
    next.start(parts.inner.send(postRequest(call, draft), next));
  }

  /** Nobody reads any more. */
  #drop(): void {
    this.#stopLingering();
    if (this.#listen !== null) this.#hasGap = true;
    this.#letGo();
  }

  #letGo(): void {
    this.#session.parts.clock.cancel(this.#timer);
    this.#listen?.stop();
    this.#next?.stop();
    this.#listen = null;
    this.#next = null;
  }

  #stopLingering(): void {
    this.#session.parts.clock.cancel(this.#lingering);
    this.#lingering = 0;
  }

  onAcknowledged(listen: Listen, granted: Filter): void {
    if (listen !== this.#next) return;
    const before = this.#listen;
    this.#listen = listen;
    this.#next = null;
    before?.stop();
    this.#reopenMs = REOPEN_FIRST_MS;
    this.#isRefused = false;
    this.#granted = granted;
    const missed = this.#subscriptions.granted(listen.version, granted.resourceSubscriptions ?? []);
    // A modern server repeats nothing: what may have changed unheard is told to have changed.
    if (this.#hasGap) this.#tellAll(granted);
    else for (const uri of missed) this.#tellUpdated(uri);
    this.#hasGap = false;
    this.#adjust();
  }

  #tellAll(granted: Filter): void {
    const tell = (method: string): boolean => this.#outlet.event(notification(method, null));
    if (granted.toolsListChanged === true) tell(METHOD.toolsChanged);
    if (granted.promptsListChanged === true) tell(METHOD.promptsChanged);
    if (granted.resourcesListChanged === true) tell(METHOD.resourcesChanged);
    for (const uri of granted.resourceSubscriptions ?? []) this.#tellUpdated(uri);
  }

  #tellUpdated(uri: string): void {
    this.#outlet.event(notification(METHOD.resourceUpdated, { uri }));
  }

  onNotification(message: Uint8Array): boolean {
    return this.#outlet.event(message);
  }

  onClosed(listen: Listen, isRefused: boolean, error: GatewayError | null): void {
    const isNext = listen === this.#next;
    if (!isNext && listen !== this.#listen) return;
    if (isNext) {
      this.#next = null;
      this.#isRefused = isRefused;
      this.#subscriptions.refuse(
        error ?? new GatewayError('GW_UPSTREAM_CLOSED', 'it takes no subscriptions now'),
      );
    } else {
      this.#listen = null;
      this.#hasGap = true;
    }
    if (this.#listen === null && !this.#isRefused && error?.code !== 'GW_BASE_INTERNAL') this.#reopenLater();
  }

  #reopenLater(): void {
    const { clock, random } = this.#session.parts;
    const waitMs = this.#reopenMs * (0.75 + random.fraction() / 2);
    this.#reopenMs = Math.min(REOPEN_LAST_MS, this.#reopenMs * 2);
    clock.cancel(this.#timer);
    this.#timer = clock.after(waitMs, () => this.#adjust());
  }
}
