// The state of one request from its admission to its record: what came in, what it was found to be, what became of it.
// Called by server (makes it), proxy and bridge (work on it). Promises: answered at most once; `finish` runs exactly once however
// the exchange ends, and gives back what it held; keeps the snapshot it was born with.
import { EMPTY } from './base/bytes.ts';
import { type ErrorCode, GatewayError, toGatewayError } from './base/errors.ts';
import { type ClientHeaders, NO_CLIENT_HEADERS } from './exchange/client-headers.ts';
import { errorHeaders } from './exchange/error-headers.ts';
import { raw } from './mcp/envelope.ts';
import { errorMessage } from './mcp/errors.ts';
import { messageEvent } from './mcp/sse.ts';
import { ExchangeTiming } from './observe/timing.ts';
import type { HeaderRecord, Reply, ReplyStream } from './runtime/runtime.ts';
import { ENVELOPE, FLAG, KIND } from './scan/contract.ts';
import type { EndpointSpec, Home, Snapshot } from './snapshot.ts';
import type { ClientKey, Era, UpstreamCall } from './upstream/upstream.ts';

const NO_HEADERS: Record<string, string> = Object.freeze({});

/** How an exchange ended. */
export type Outcome = 'ok' | 'refused' | 'failed' | 'abandoned';

/** A reply body that is produced over time, as the exchange sees it. */
export interface LiveBody extends ReplyStream {
  /** Bytes written so far. */
  readonly bytes: number;
  /** Completes the body properly. */
  end(): void;
  /** Completes an event stream with one last event; false, and nothing is done, when this is none or an event is half sent. */
  endWith(event: Uint8Array): boolean;
  /** Breaks the connection, so that the client can tell that the body is cut. */
  fail(): void;
  /** Sends a comment, if this is an event stream that its client reads and no event is half sent. */
  keepAlive(): void;
}

/** What an exchange needs of its surroundings. */
export interface ExchangeOwner {
  /** Called once per exchange when everything about it is over. */
  onFinish(exchange: Exchange): void;
  /** Called when a reply leaves: may add to its headers, and give it another whole body. */
  readonly onReply?: (
    exchange: Exchange,
    headers: Record<string, string>,
    body: Reply['body'],
  ) => Reply['body'];
}

/** What is known when an exchange is admitted. */
export interface ExchangeStart {
  readonly id: string;
  readonly verb: 'POST' | 'GET' | 'DELETE';
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  readonly headers: ClientHeaders;
  readonly startedAtMs: number;
  readonly owner: ExchangeOwner;
  /** Headers that every reply of this exchange carries (request id, CORS). The exchange's own to add to. */
  readonly replyHeaders: Record<string, string>;
  readonly answer: (reply: Reply) => void;
}

const UNSURE_ID = FLAG.badId | FLAG.duplicateTop;
const JSON_TYPE = 'application/json';
/** Status of a reply that nobody reads (nginx's number for it). */
const CLIENT_GONE = 499;

/** One request from admission to record. */
export class Exchange extends ExchangeTiming {
  readonly id: string;
  readonly verb: 'POST' | 'GET' | 'DELETE';
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  /** The client's; once a GET's stream has begun, which may last for days, there are none any more. */
  headers: ClientHeaders;
  /** Who the client is, as handles are bound to it; '' for everyone where nobody is asked. */
  principal = '';
  /** Id of the legacy session as its owner gave it; null without one. Opened at admission. */
  session: string | null = null;
  /** The worker that the session lives in; null when every worker can serve it. */
  home: Home | null = null;
  /** True when the client named a session that is none (any more). Modern requests have no session, so it means nothing to them. */
  isSessionLost = false;
  body: Uint8Array = EMPTY;
  envelope: Int32Array | null = null;
  kind: number = KIND.none;
  era: Era = 'legacy';
  /** Unescaped method, '' for responses and before the scan. */
  method = '';
  outcome: Outcome = 'ok';
  status = 0;
  /** Bytes of the reply's body; a streamed one's are known at the end. */
  replyBytes = 0;
  /** Code of the error that ended it, or null. */
  errorCode: ErrorCode | null = null;
  /** What our own code threw when it ended the exchange, for the log; null when it did not. */
  fault: unknown = null;
  /** True once the client went away. */
  gone = false;
  /** True when another worker has the client, and this one only the session. */
  isAdopted = false;
  /** Takes the envelope back at the end, when whoever runs the exchange keeps no hold on it. */
  recycle: ((envelope: Int32Array) => void) | null = null;
  /** Neighbours in its owner's list of exchanges under way; the owner's to set. */
  before: Exchange | null = null;
  after: Exchange | null = null;
  readonly #owner: ExchangeOwner;
  #replyHeaders: Record<string, string>;
  /** Null once it was called, as it holds on to the whole reply. */
  #answer: ((reply: Reply) => void) | null;
  #call: UpstreamCall | null = null;
  #onGone: (() => void) | null = null;
  #body: LiveBody | null = null;
  #answered = false;
  #finished = false;

  constructor(start: ExchangeStart) {
    super(start.startedAtMs);
    this.id = start.id;
    this.verb = start.verb;
    this.snapshot = start.snapshot;
    this.endpoint = start.endpoint;
    this.headers = start.headers;
    this.#owner = start.owner;
    this.#replyHeaders = start.replyHeaders;
    this.#answer = start.answer;
  }

  /** Whom it is for, as its servers' upstreams are told. */
  get client(): ClientKey {
    return { principal: this.principal, endpoint: this.endpoint.path };
  }

  /** Raw bytes of the request's id, or null when there is none that could be told for sure. The id of a client's own answer names a server's request. */
  get requestId(): Uint8Array | null {
    if (this.kind === KIND.result || this.kind === KIND.error) return null;
    if (this.envelope === null || ((this.envelope[ENVELOPE.flags] ?? 0) & UNSURE_ID) !== 0) return null;
    return raw(this.body, this.envelope, ENVELOPE.id);
  }

  /** The session that the client named cannot be served: its id does not open, or its home is gone. */
  loseSession(): void {
    this.session = null;
    this.home = null;
    this.isSessionLost = true;
    this.isHandedOver = false;
  }

  /** Takes over what another exchange of the same client request was admitted with. */
  admitAs(other: Exchange): void {
    this.principal = other.principal;
    this.session = other.session;
    this.home = other.home;
    this.isSessionLost = other.isSessionLost;
  }

  get answered(): boolean {
    return this.#answered;
  }

  /** True once everything about it is over. */
  get over(): boolean {
    return this.#finished;
  }

  /** Names the upstream call that runs for this exchange; it is aborted when nobody needs it any more. */
  hold(call: UpstreamCall): void {
    if (this.#finished) call.abort();
    else this.#call = call;
  }

  /** Called when the client goes away or the exchange is refused, besides aborting the held call. */
  whenGone(callback: () => void): void {
    if (this.#finished) callback();
    else this.#onGone = callback;
  }

  /** Lets go of whatever works for this exchange: nobody needs it any more. */
  #letGo(): void {
    const call = this.#call;
    const onGone = this.#onGone;
    this.#call = null;
    this.#onGone = null;
    try {
      call?.abort();
      onGone?.();
    } catch (thrown) {
      this.fault ??= thrown;
    }
  }

  /** Goes on reading the upstream after back-pressure. */
  resume(): void {
    this.#call?.resume();
  }

  /** Sends the reply's head and body; a stream body finishes the exchange later through finish(). */
  reply(status: number, headers: HeaderRecord, body: Uint8Array | LiveBody | null): void {
    if (this.#answered || this.gone) return;
    this.#answered = true;
    this.status = status;
    const own = this.#replyHeaders;
    for (const name in headers) own[name] = headers[name] ?? '';
    const isWhole = body === null || body instanceof Uint8Array;
    if (!isWhole) this.#body = body;
    const { onReply } = this.#owner;
    const sent = onReply === undefined ? body : onReply(this, own, body);
    if (sent instanceof Uint8Array) this.replyBytes = sent.length;
    this.#send({ status, headers: own, body: sent });
    if (!isWhole && this.verb === 'GET') this.headers = NO_CLIENT_HEADERS;
    if (isWhole) this.finish(this.outcome);
  }

  #send(reply: Reply): void {
    const answer = this.#answer;
    this.#answer = null;
    this.#replyHeaders = NO_HEADERS;
    answer?.(reply);
  }

  /** Headers that the reply will carry besides those it is given. */
  carry(headers: HeaderRecord): void {
    if (this.#answered) return;
    for (const name in headers) this.#replyHeaders[name] = headers[name] ?? '';
  }

  /** Replies with one JSON-RPC message. */
  replyJson(status: number, message: Uint8Array): void {
    this.reply(status, { 'content-type': JSON_TYPE }, message);
  }

  /**
   * Ends it with an error that carries the request's id; `status` other than the table's serves legacy clients. When a stream has begun, a modern
   * client reads the error as its last event; for any other, and in the middle of an event, the connection is broken: it then knows.
   */
  refuse(error: GatewayError, extra: Readonly<Record<string, unknown>> = {}, status = error.row.http): void {
    if (this.#finished || this.gone) return;
    this.outcome = error.row.source === 'client' ? 'refused' : 'failed';
    this.errorCode = error.code;
    if (error.code === 'GW_BASE_INTERNAL') this.fault ??= error.cause ?? error;
    this.#letGo();
    if (!this.#answered)
      return this.reply(status, errorHeaders(error), errorMessage(this.requestId, error, extra));
    const id = this.era === 'modern' ? this.requestId : null;
    const body = this.#body;
    try {
      if (id === null || body?.endWith(messageEvent(errorMessage(id, error, extra))) !== true) body?.fail();
    } finally {
      this.finish('failed');
    }
  }

  /** Ends what never ends by itself, such as an event stream, properly: the gateway is shutting down. `last` is an event stream's last event. */
  close(last: Uint8Array | null): void {
    if (this.#finished) return;
    if (!this.#answered) return this.refuse(new GatewayError('GW_SERVER_DRAINING'));
    this.#letGo();
    if (last === null || this.#body?.endWith(last) !== true) this.#body?.end();
    this.finish('ok');
  }

  /** The client went away: whatever runs for it is let go of. */
  abandon(): void {
    if (this.#finished || this.gone) return;
    this.gone = true;
    this.outcome = 'abandoned';
    this.#letGo();
    if (!this.#answered) {
      this.#answered = true;
      // Nobody reads it; the runtime below needs an answer to let go of the request.
      this.#send({ status: CLIENT_GONE, headers: {}, body: null });
    }
    this.finish('abandoned');
  }

  /** Keeps a silent event stream open through proxies in between. */
  keepAlive(): void {
    try {
      this.#body?.keepAlive();
    } catch (thrown) {
      this.refuse(toGatewayError(thrown));
    }
  }

  /** Ends the exchange; later calls do nothing. */
  finish(outcome: Outcome): void {
    if (this.#finished) return;
    this.#finished = true;
    this.outcome = outcome;
    this.#call = null;
    this.#onGone = null;
    if (this.#body !== null) this.replyBytes = this.#body.bytes;
    this.#body = null;
    this.#owner.onFinish(this);
    if (this.recycle !== null && this.envelope !== null) {
      this.recycle(this.envelope);
      this.envelope = null;
    }
  }
}
