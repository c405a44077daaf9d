// Hands an exchange whose session lives in another worker over to it, whole, and serves what others hand over.
// Called by server/http.ts (hands over) and worker.ts (makes it). Promises: the client cannot tell which worker it reached: reply, stream, back-pressure,
// leaving and failure pass through; a home that is gone for good is no home; a home that dies breaks the reply so that the client can tell.
import { concat } from '../base/bytes.ts';
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type ClientHeaders, emptyHeaders } from '../exchange/client-headers.ts';
import type { Exchange, Outcome } from '../exchange.ts';
import { isModernVersion } from '../mcp/protocol.ts';
import { NO_SERVER } from '../observe/timing.ts';
import type { HeaderRecord, Reply, ReplySink } from '../runtime/runtime.ts';
import { ENVELOPE, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { PeerHandler, PeerReply } from '../upstream/peer-calls.ts';
import type { PeerReplyHead, Texts } from '../upstream/peer-frames.ts';
import type { PeerLink } from '../upstream/peer-link.ts';
import type { ReplyHead, UpstreamCall } from '../upstream/upstream.ts';
import { scan } from './phases.ts';
import { StreamBody } from './relay.ts';

/** An exchange as another worker has admitted it. */
export interface Admitted {
  readonly id: string;
  readonly verb: Exchange['verb'];
  /** Path of its endpoint. */
  readonly path: string;
  readonly principal: string;
  readonly session: string | null;
  /** What is read of them behind admission; the rest is as if the client had not sent it. */
  readonly headers: ClientHeaders;
}

/** Makes the home's own exchange and runs it; `answer` is told which exchange it answers. Throws the GatewayError that refuses it before it began. */
export type Adopt = (
  admitted: Admitted,
  body: Uint8Array,
  answer: (reply: Reply, exchange: Exchange) => void,
) => Exchange;

// In a head that crosses, beside the client's headers: what the exchange was and how it ended, for this worker's own records.
const OUTCOME = ':outcome';
const CODE = ':code';
const METHOD = ':method';
const SERVER = ':server';

/** One worker's hand-overs, both ways. */
export class Handover {
  readonly #link: PeerLink;
  readonly #scanner: Scanner;
  readonly #node: number;

  /** `node` is this gateway among those that share its work. */
  constructor(link: PeerLink, scanner: Scanner, node: number) {
    this.#link = link;
    this.#scanner = scanner;
    this.#node = node;
  }

  /**
   * Hands an exchange to its home; false when there is none to ask: no session, another gateway's, or a former life of a worker's. `onLost` is called instead of an answer when
   * that turns out later.
   */
  take(exchange: Exchange, body: Uint8Array, onLost: () => void): boolean {
    const { home, headers } = exchange;
    const { index, count } = this.#link.place;
    // Nothing modern has a session, whatever its client shows.
    if (isModernVersion(headers.protocolVersion ?? '')) return false;
    if (home === null || home.node !== this.#node || home.worker === index || home.worker >= count)
      return false;
    if (this.#link.isPast(home.worker, home.generation)) return false;
    exchange.body = body;
    exchange.isHandedOver = true;
    exchange.sent(this.#link.clock.now());
    const sink = new HandoverSink(exchange, this.#scanner, onLost);
    const request = {
      subject: 'exchange',
      generation: home.generation,
      texts: textsOf(exchange),
    } as const;
    exchange.hold(this.#link.send(home.worker, request, body, sink));
    return true;
  }

  /** An exchange that is to be refused here, whoever serves it: its id goes with the refusal. */
  identified(exchange: Exchange): Exchange {
    readId(exchange, this.#scanner);
    return exchange;
  }

  /** Serves what other workers hand over. */
  serve(adopt: Adopt): void {
    const handler: PeerHandler = (_from, { texts }, body, reply) => {
      const home = new HomeReply(reply);
      home.hold(adopt(admittedOf(texts), body, (given, exchange) => home.answer(given, exchange)));
      return home;
    };
    this.#link.serve('exchange', handler);
  }
}

function textsOf({ id, verb, endpoint, principal, session, headers }: Exchange): Texts {
  const { accept, protocolVersion, mcpMethod, mcpName, lastEventId, passed, optional } = headers;
  return [
    id,
    verb,
    endpoint.path,
    principal,
    session,
    headers.session,
    accept,
    protocolVersion,
    mcpMethod,
    mcpName,
    lastEventId,
    String(passed.length),
    ...passed,
    ...optional,
  ];
}

function admittedOf(texts: Texts): Admitted {
  // Only textsOf() of this program writes these texts.
  const [id, verb, path, principal, session, shown, ...rest] = texts as [
    string,
    Exchange['verb'],
    string,
    string,
    string | null,
    string | null,
    ...string[],
  ];
  // As above; the first five may be absent.
  const [accept, protocolVersion, mcpMethod, mcpName, lastEventId, count, ...lines] = rest as [
    string | null,
    string | null,
    string | null,
    string | null,
    string | null,
    string,
    ...string[],
  ];
  const headers: ClientHeaders = {
    ...emptyHeaders(),
    accept,
    protocolVersion,
    mcpMethod,
    mcpName,
    session: shown,
    lastEventId,
    passed: lines.slice(0, Number(count)),
    optional: lines.slice(Number(count)),
  };
  return { id, verb, path, principal, session, headers };
}

// ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Puts the reply of an adopted exchange on the ring. */
class HomeReply implements ReplySink, UpstreamCall {
  readonly #reply: PeerReply;
  #exchange: Exchange | null = null;
  #onDrain: (() => void) | null = null;

  constructor(reply: PeerReply) {
    this.#reply = reply;
  }

  hold(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  answer({ status, headers, body }: Reply, exchange: Exchange): void {
    this.#exchange = exchange;
    const isWhole = body === null || body instanceof Uint8Array;
    this.#reply.head({
      status,
      media: mediaOf(headers),
      contentLength: isWhole ? (body?.length ?? 0) : -1,
      whole: isWhole,
      sessionId: null,
      headers: {
        ...headers,
        [OUTCOME]: exchange.outcome,
        [CODE]: exchange.errorCode ?? '',
        [METHOD]: exchange.method,
        [SERVER]: String(exchange.server),
      },
    });
    if (!isWhole) return body.open(this);
    if (body !== null) this.#reply.data(body);
    this.#reply.end();
  }

  write(bytes: Uint8Array): boolean {
    return this.#reply.data(bytes);
  }

  end(): void {
    this.#reply.end();
  }

  fail(): void {
    this.#reply.fail(new GatewayError(this.#exchange?.errorCode ?? 'GW_BASE_INTERNAL'));
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback;
  }

  resume(): void {
    this.#onDrain?.();
  }

  abort(): void {
    this.#exchange?.abandon();
  }
}

function mediaOf(headers: HeaderRecord): ReplyHead['media'] {
  return headers['content-type']?.startsWith('text/event-stream') === true ? 'event-stream' : 'json';
}

// ── where the client is ─────────────────────────────────────────────────────────────────────────────────────────────

/** Turns the home's reply into the client's. */
class HandoverSink extends ContainedSink<PeerReplyHead> {
  readonly #exchange: Exchange;
  readonly #scanner: Scanner;
  readonly #onLost: () => void;
  #status = 0;
  #headers: Record<string, string> = {};
  #parts: Uint8Array[] = [];
  #stream: StreamBody | null = null;

  constructor(exchange: Exchange, scanner: Scanner, onLost: () => void) {
    super();
    this.#exchange = exchange;
    this.#scanner = scanner;
    this.#onLost = onLost;
  }

  protected head(head: PeerReplyHead): void {
    const { [OUTCOME]: outcome = 'ok', [CODE]: code = '', [METHOD]: method = '', ...more } = head.headers;
    const { [SERVER]: server = '', ...headers } = more;
    this.#exchange.method = method;
    this.#exchange.server = server === '' ? NO_SERVER : Number(server);
    // The two words are the home's own Outcome and ErrorCode.
    this.#exchange.outcome = outcome as Outcome;
    // As above.
    this.#exchange.errorCode = code === '' ? null : (code as ErrorCode);
    this.#status = head.status;
    this.#headers = headers;
    const isLong = head.contentLength < 0 || head.contentLength > LIMITS.downstreamBufferBytesMax;
    if (!head.whole && isLong) this.#openStream(head.media === 'event-stream' ? 'events' : 'bytes');
  }

  #openStream(kind: 'events' | 'bytes'): void {
    const stream = new StreamBody(kind);
    this.#stream = stream;
    stream.onRoom(() => this.#exchange.resume());
    this.#exchange.reply(this.#status, this.#headers, stream);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#stream !== null) return this.#stream.write(bytes);
    this.#parts.push(bytes);
    return true;
  }

  protected ended(): void {
    if (this.#stream === null) {
      const body = this.#parts.length === 0 ? null : concat(this.#parts);
      return this.#exchange.reply(this.#status, this.#headers, body);
    }
    this.#stream.end();
    this.#exchange.finish(this.#exchange.outcome);
  }

  protected failed(error: GatewayError): void {
    // What the home itself says of a session comes as a reply: this is the link's word that the home is gone for good.
    if (error.code === 'GW_SESSION_UNKNOWN' && !this.#exchange.answered) return this.#onLost();
    if (!this.#exchange.answered) readId(this.#exchange, this.#scanner);
    this.#exchange.refuse(error);
  }
}

/** The body was not looked at here; its id is wanted for the refusal. */
function readId(exchange: Exchange, scanner: Scanner): void {
  if (exchange.body.length === 0 || exchange.envelope !== null) return;
  const whole = { scan: (bytes: Uint8Array, to: Int32Array) => scanner.scan(bytes, 0, bytes.length, to) };
  scan(exchange, whole, new Int32Array(ENVELOPE.length));
}
