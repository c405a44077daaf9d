// One exchange with one server, passed through: bytes go up as they came and come back as they came.
// Called by pipeline.ts for endpoints with a single, unprefixed server. Promises: nothing is re-encoded; a reply that came whole goes
// out whole, any other is streamed under back-pressure; a failure becomes an error with the request's id, or breaks the stream.
import { concat } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { SealSession } from '../bridge/handles.ts';
import type { Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { kindOf, messageError, scanError, span } from '../mcp/envelope.ts';
import { readString } from '../mcp/json.ts';
import { NO_SERVER } from '../observe/timing.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';
import { ContainedSink } from '../upstream/contained-sink.ts';
import type { ReplyHead, UpstreamRequest } from '../upstream/upstream.ts';
import { requestHeaders } from './headers.ts';
import { StreamBody } from './relay.ts';

/** Of these, what a refusal in place of an unusable body still says. */
const CARRIED: readonly string[] = ['www-authenticate', 'retry-after', 'allow'];

/** JSON bodies up to this size are gathered and sent with their length; larger ones are streamed. */
const GATHER_BYTES_MAX = 256 * 1024;

/** Reply headers that pass through to the client. */
const PASSED: readonly string[] = [
  'cache-control',
  'www-authenticate',
  'retry-after',
  'allow',
  'x-accel-buffering',
];

const NO_EDITS: UpstreamRequest['edits'] = Object.freeze([]);

/** Before the head has come. */
const NO_HEADERS: Record<string, string> = Object.freeze({});

/** What passing an exchange through takes. */
export interface ForwardTools {
  readonly scanner: Scanner;
  /** Seals the server's session id for the client. */
  readonly sealSession: SealSession;
  /** The same for a session that lives in this worker. */
  readonly sealHere: SealSession;
}

type Mode = 'head' | 'gather' | 'stream' | 'replace' | 'over';

/** Receives the upstream's reply of one exchange and turns it into the client's. */
class ForwardSink extends ContainedSink {
  readonly #exchange: Exchange;
  #mode: Mode = 'head';
  #status = 0;
  #headers: Record<string, string> = NO_HEADERS;
  /** What was gathered: the first piece, which is mostly all of it, and those that follow. */
  #first: Uint8Array | null = null;
  #rest: Uint8Array[] | null = null;
  #partBytes = 0;
  #stream: StreamBody | null = null;
  #replacement: GatewayError | null = null;
  #isAnswer = false;
  readonly #tools: ForwardTools;

  constructor(exchange: Exchange, tools: ForwardTools) {
    super();
    this.#exchange = exchange;
    this.#tools = tools;
  }

  protected head(head: ReplyHead): void {
    this.#status = head.status;
    this.#isAnswer = head.media === 'json' && head.status === 200 && this.#exchange.kind === KIND.request;
    this.#headers = passedHeaders(head);
    if (head.sessionId !== null) this.#headers['mcp-session-id'] = this.#sealSession(head, head.sessionId);
    this.#replacement = unusable(this.#exchange, head);
    if (this.#replacement !== null) this.#mode = 'replace';
    else if (head.whole || (head.media !== 'event-stream' && head.contentLength <= GATHER_BYTES_MAX))
      this.#mode = 'gather';
    else this.#openStream(head.media === 'event-stream' ? 'events' : 'bytes');
  }

  #sealSession(head: ReplyHead, inner: string): string {
    const { sealSession, sealHere } = this.#tools;
    return head.homed === true ? sealHere(this.#exchange, inner) : sealSession(this.#exchange, inner);
  }

  protected data(bytes: Uint8Array): boolean {
    if (this.#mode === 'stream') return this.#stream?.write(bytes) ?? true;
    if (this.#mode === 'gather') {
      if (this.#first === null) this.#first = bytes;
      else if (this.#rest === null) this.#rest = [bytes];
      else this.#rest.push(bytes);
      this.#partBytes += bytes.length;
      if (this.#partBytes > GATHER_BYTES_MAX) return this.#spill();
    }
    return true;
  }

  protected ended(): void {
    const mode = this.#mode;
    this.#mode = 'over';
    if (mode === 'stream') {
      this.#stream?.end();
      this.#exchange.finish('ok');
    } else if (mode === 'replace' && this.#replacement !== null) {
      const keep = this.#status >= 400 && this.#status < 500;
      for (const name of CARRIED) {
        const value = this.#headers[name];
        if (value !== undefined) this.#exchange.carry({ [name]: value });
      }
      this.#exchange.refuse(this.#replacement, {}, keep ? this.#status : this.#replacement.row.http);
    } else this.#answerWhole();
  }

  #answerWhole(): void {
    const body = this.#rest === null ? this.#first : concat(this.#gathered());
    const fault = this.#isAnswer ? answerFault(this.#exchange, body, this.#tools.scanner) : null;
    if (fault === null) this.#exchange.reply(this.#status, this.#headers, body);
    else this.#exchange.refuse(fault);
  }

  protected failed(error: GatewayError): void {
    this.#exchange.refuse(error);
  }

  #openStream(kind: 'events' | 'bytes'): void {
    const stream = new StreamBody(kind);
    this.#stream = stream;
    this.#mode = 'stream';
    stream.onRoom(() => this.#exchange.resume());
    this.#exchange.reply(this.#status, this.#headers, stream);
  }

  #gathered(): Uint8Array[] {
    return this.#first === null ? [] : [this.#first, ...(this.#rest ?? [])];
  }

  #spill(): boolean {
    const parts = this.#gathered();
    this.#first = null;
    this.#rest = null;
    this.#openStream('bytes');
    let room = true;
    for (const part of parts) room = this.#stream?.write(part) ?? true;
    return room;
  }
}

/** Scratch of answerFault, which is synchronous. */
const ANSWER = new Int32Array(ENVELOPE.length);

/**
 * Why a whole reply is not the answer to the exchange's request, or null when it is. Bytes that a server sent unasked can, in a rare race, sit unread in the
 * kernel when their connection is used again: the id tells them from the answer.
 */
function answerFault(exchange: Exchange, body: Uint8Array | null, scanner: Scanner): GatewayError | null {
  if (body === null) return new GatewayError('GW_UPSTREAM_MESSAGE', 'it is empty');
  const fault = scanError(scanner.scan(body, 0, body.length, ANSWER)) ?? messageError(ANSWER);
  if (fault !== null) return new GatewayError('GW_UPSTREAM_MESSAGE', fault.message);
  const kind = kindOf(ANSWER);
  if (kind !== KIND.result && kind !== KIND.error)
    return new GatewayError('GW_UPSTREAM_MESSAGE', 'it is no response');
  exchange.isRpcError = kind === KIND.error;
  return isSameId(exchange, body)
    ? null
    : new GatewayError('GW_UPSTREAM_MESSAGE', 'it answers another request');
}

/** Ids are compared byte by byte; a server may spell a string's escapes differently, so that is looked at too. */
function isSameId(exchange: Exchange, body: Uint8Array): boolean {
  const { envelope } = exchange;
  const asked = envelope === null ? null : span(envelope, ENVELOPE.id);
  const given = span(ANSWER, ENVELOPE.id);
  if (asked === null || given === null) return false;
  const length = asked.end - asked.start;
  let i = given.end - given.start === length ? 0 : length + 1;
  while (i < length && exchange.body[asked.start + i] === body[given.start + i]) i++;
  if (i === length) return true;
  const text = readString(exchange.body, asked.start, asked.end);
  return text !== null && text === readString(body, given.start, given.end);
}

function passedHeaders(head: ReplyHead): Record<string, string> {
  const headers: Record<string, string> = {};
  const type = head.header('content-type');
  if (type !== null) headers['content-type'] = type;
  // An answer in JSON is not to be cached, retried or kept from buffering: nothing else of it matters to the client.
  if (head.status === 200 && head.media === 'json') return headers;
  for (const name of PASSED) {
    const value = head.header(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

/** Why the body of a reply must not reach the client, or null when it may. */
function unusable(exchange: Exchange, head: ReplyHead): GatewayError | null {
  if (head.media === 'json' || head.media === 'event-stream') return null;
  if (head.status === 202 || head.status === 204) return null;
  const isCall = exchange.verb === 'POST' && exchange.requestId !== null;
  const isEmpty = head.media === 'none' && head.contentLength <= 0;
  if (isEmpty && !isCall) return null;
  if (head.status >= 200 && head.status < 300 && exchange.verb === 'DELETE') return null;
  const type = head.header('content-type') ?? 'no Content-Type';
  return new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${head.status} with ${type.slice(0, 80)}`);
}

/** Sends the exchange to its one server. */
export function forward(exchange: Exchange, member: Member, tools: ForwardTools): void {
  const { upstream, spec } = member;
  exchange.server = member.cell ?? NO_SERVER;
  const request: UpstreamRequest = {
    verb: exchange.verb,
    era: exchange.era,
    body: exchange.body,
    envelope: exchange.envelope,
    edits: NO_EDITS,
    headers: requestHeaders(exchange, spec.forwardHeaders),
    session: exchange.session,
    exchangeId: exchange.id,
    client: exchange.client,
    // Whoever speaks HTTP names a host.
    isUnmirrored: exchange.headers.host === null,
    timeoutMs: 0,
    startedAtMs: exchange.startedAtMs,
    marks: exchange,
  };
  exchange.hold(upstream.send(request, new ForwardSink(exchange, tools)));
}
