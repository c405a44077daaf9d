// How the gateway speaks in one session at a legacy server: headers, ids, messages that ask something and messages that do not.
// Called by session.ts. Promises: ids are unique in the session; a question is answered, refused or given up within LIMITS.memberTimeoutMs; what the server
// says besides, and that it does not know the session, is told to the session.
import { encode } from '../../base/bytes.ts';
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { isRecord, kindOf, type Message, objectAt } from '../../mcp/envelope.ts';
import { describeError } from '../../mcp/errors.ts';
import { isSafeToken } from '../../mcp/headers.ts';
import type { Log } from '../../observe/log.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import type {
  ClientKey,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../../upstream/upstream.ts';
import { bareRequest, type Draft, type MemberCall, postRequest } from '../member.ts';
import { type Listener, type ReadingTools, ReplyReader } from './reading.ts';
import { type Refusal, refusalOf } from './reply.ts';

/** What sessions need of their surroundings. */
export interface SessionTools extends ReadingTools {
  readonly log: Log;
  readonly inner: Upstream;
}

/** Whom a session is for. */
export interface SessionOwner {
  readonly client: ClientKey;
  /** Headers that stand for the client at the server: name, value, … */
  readonly credentials: readonly string[];
  /** As `initialize` declares them. */
  readonly capabilities: Readonly<Record<string, unknown>>;
}

/** What is known of a session while it is open: one of its lives. */
export interface Life {
  /** Mcp-Session-Id; null where the server keeps none. */
  readonly id: string | null;
  readonly version: string;
  readonly result: Readonly<Record<string, unknown>>;
  readonly serverInfo: Uint8Array;
}

/** Who hears what comes besides answers. */
export interface TalkEvents {
  /** False asks for a pause. */
  onMessage(message: Message): boolean;
  /** The server does not know the session; `life` is the one that it was asked in. */
  onLost(life: Life | null): void;
}

/** A server's answer to a question of the gateway's own. */
export interface Reply {
  readonly message: Message;
  readonly sessionId: string | null;
}

/** Raw serverInfo of a server that does not say who it is. */
export const NAMELESS: Uint8Array = encode('{"name":"unknown","version":"0"}');

const ACCEPT = 'application/json, text/event-stream';
const EVENTS = 'text/event-stream';
/** Stands for the exchange of what no client asks for, in logs. */
const NO_EXCHANGE = 'bridge';

/** Speaks in one session. */
export class Talk {
  /** Null before it is open, and once the server has lost it. */
  life: Life | null = null;
  readonly #tools: SessionTools;
  readonly #owner: SessionOwner;
  readonly #events: TalkEvents;
  #nextId = 1;

  constructor(tools: SessionTools, owner: SessionOwner, events: TalkEvents) {
    this.#tools = tools;
    this.#owner = owner;
    this.#events = events;
  }

  /** A number that no other message of this session bears: id of a request, and its progress token. */
  nextId(): number {
    return this.#nextId++;
  }

  #callOf(more: readonly string[], accept = ACCEPT, exchangeId = NO_EXCHANGE): MemberCall {
    const { life } = this;
    const version = life === null ? [] : ['mcp-protocol-version', life.version];
    const headers = [...this.#owner.credentials, ...more, 'accept', accept, ...version];
    return { era: 'legacy', headers, session: life?.id ?? null, exchangeId, client: this.#owner.client };
  }

  /** Posts a client's request; `more` are headers that only this one bears. */
  post(draft: Draft, request: UpstreamRequest, more: readonly string[], reader: ReplyReader): void {
    const call = this.#callOf(more, ACCEPT, request.exchangeId);
    const own = { ...postRequest(call, draft), timeoutMs: request.timeoutMs, marks: request.marks };
    if (request.replyBytesMax !== undefined) reader.bytesMax = request.replyBytesMax;
    reader.start(this.#tools.inner.send(own, reader));
  }

  /** Opens an event stream: the session's own, or one that goes on behind an event. */
  listen(lastEventId: string | null, sink: UpstreamSink): UpstreamCall {
    const call = this.#callOf(lastEventId === null ? [] : ['last-event-id', lastEventId], EVENTS);
    return this.#tools.inner.send(bareRequest('GET', call), sink);
  }

  /** Ends the session at the server; resolves when that is done, or has taken too long. */
  end(): Promise<void> {
    if (this.life === null || this.life.id === null) return Promise.resolve();
    const { clock, inner } = this.#tools;
    const call = this.#callOf([]);
    this.life = null;
    return new Promise((resolve) => {
      const timer = clock.after(LIMITS.childStopGraceMs, resolve);
      const done = (): void => {
        clock.cancel(timer);
        resolve();
      };
      const sink = { onHead: () => undefined, onData: () => true, onEnd: done, onFail: done };
      inner.send(bareRequest('DELETE', call), sink);
    });
  }

  /** A reader of a reply in this session. `asked` is the id that the response bears. */
  reader(asked: Uint8Array | null, listener: Listener): ReplyReader {
    const hasSession = this.life !== null && this.life.id !== null;
    return new ReplyReader(this.#tools, asked, hasSession, listener);
  }

  #post(message: string, reader: ReplyReader): void {
    const body = encode(message);
    const envelope = new Int32Array(ENVELOPE.length);
    this.#tools.scanner.scan(body, 0, body.length, envelope);
    const request = postRequest(this.#callOf([]), { body, envelope, edits: [] });
    reader.start(this.#tools.inner.send(request, reader));
  }

  /** Sends a notification or an answer; resolves once the server has it. False: it does not, or not within `withinMs`; 0: no bound besides the server's. */
  tell(message: string, withinMs = 0): Promise<boolean> {
    const { life } = this;
    return new Promise((resolve) => {
      const end = (isThere: boolean): void => {
        this.#tools.clock.cancel(timer);
        resolve(isThere);
      };
      const fail = (error: GatewayError): void => {
        this.#tools.log.debug('a message did not reach its legacy server', { code: error.code });
        end(false);
      };
      const reader = this.reader(null, {
        onMessage: (other) => this.#events.onMessage(other),
        onResponse: () => end(true),
        onTaken: () => end(true),
        onLost: () => {
          this.#events.onLost(life);
          fail(new GatewayError('GW_SESSION_UNKNOWN'));
        },
        onRefused: (refusal) => fail(refusal.error),
        onBroken: ({ error }) => (error === null ? end(true) : fail(error)),
      });
      const late = (): void => {
        reader.stop();
        fail(new GatewayError('GW_UPSTREAM_TIMEOUT'));
      };
      const timer = withinMs > 0 ? this.#tools.clock.after(withinMs, late) : 0;
      this.#post(message, reader);
    });
  }

  /** Asks something on the gateway's own behalf. Never rejects. */
  ask(method: string, params: Readonly<Record<string, unknown>>): Promise<Refusal | Reply> {
    const id = this.nextId();
    const { life } = this;
    return new Promise((resolve) => {
      const end = (outcome: Refusal | Reply): void => {
        this.#tools.clock.cancel(timer);
        resolve(outcome);
      };
      const fail = (error: GatewayError): void => end(refusalOf(error));
      const reader = this.reader(encode(String(id)), {
        onMessage: (message) => this.#events.onMessage(message),
        onResponse: (message, sessionId) => end({ message, sessionId }),
        onTaken: () => fail(new GatewayError('GW_UPSTREAM_MESSAGE', `${method} got no answer`)),
        onLost: () => {
          this.#events.onLost(life);
          fail(new GatewayError('GW_SESSION_UNKNOWN', 'the MCP server ended it'));
        },
        onRefused: end,
        onBroken: ({ error }) =>
          fail(error ?? new GatewayError('GW_UPSTREAM_CLOSED', `it did not answer ${method}`)),
      });
      const timer = this.#tools.clock.after(LIMITS.memberTimeoutMs, () => {
        reader.stop();
        fail(new GatewayError('GW_UPSTREAM_TIMEOUT', `no answer to ${method}`));
      });
      this.#post(JSON.stringify({ jsonrpc: '2.0', id, method, params }), reader);
    });
  }
}

/** The life that begins with an answer to initialize. */
export function lifeOf({ message, sessionId: id }: Reply): Life | GatewayError {
  const { bytes, envelope } = message;
  if (kindOf(envelope) !== KIND.result) {
    const error = objectAt(bytes, envelope, ENVELOPE.error);
    return new GatewayError('GW_UPSTREAM_MESSAGE', `initialize was refused: ${describeError(error)}`);
  }
  const result = objectAt(bytes, envelope, ENVELOPE.result);
  const { protocolVersion, serverInfo } = result;
  if (typeof protocolVersion !== 'string' || !isSafeToken(protocolVersion))
    return new GatewayError(
      'GW_UPSTREAM_MESSAGE',
      'initialize was answered without a usable protocolVersion',
    );
  const named = isRecord(serverInfo) ? encode(JSON.stringify(serverInfo)) : NAMELESS;
  return { id, version: protocolVersion, result, serverInfo: named };
}
