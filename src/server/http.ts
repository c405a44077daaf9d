// The front over HTTP: admits each request, makes its exchange, hands it to the pipeline, and records how it ended.
// Called by worker.ts. Promises: a request is refused by its head before its body is read; every admitted exchange is counted out again exactly once.
import { EMPTY, encode } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import type { Handles } from '../bridge/handles.ts';
import type { ClientHeaders } from '../exchange/client-headers.ts';
import { Exchange, type ExchangeOwner } from '../exchange.ts';
import { listenResult } from '../mcp/merge.ts';
import { METHOD } from '../mcp/protocol.ts';
import { messageEvent } from '../mcp/sse.ts';
import type { Log } from '../observe/log.ts';
import type { Adopt, Handover } from '../proxy/handover.ts';
import type { Pipeline } from '../proxy/pipeline.ts';
import type { Clock, Inbound, Reply, RequestHandler } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';
import { checkBodyHead, checkStreamHead, Door } from './admit.ts';
import { corsHeaders, preflight } from './cors.ts';
import { ExchangeList } from './exchanges.ts';
import { Failures } from './failures.ts';
import { readHeaders } from './headers.ts';
import type { Recorder } from './record.ts';
import { refusal } from './refusal.ts';
import { SseFront } from './sse.ts';
import { SsePlace } from './sse-place.ts';

/** What the front needs. */
export interface FrontOptions {
  readonly snapshot: Snapshot;
  readonly pipeline: Pipeline;
  readonly handles: Handles;
  readonly scanner: Scanner;
  /** To and from the other workers; left out or null when there are none. */
  readonly handover?: Handover | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Makes a correlation id. */
  readonly newId: () => string;
  /** Where exchanges that are over are recorded; left out: nowhere. */
  readonly recorder?: Recorder;
}

const JSON_TYPE = 'application/json';
const ALIVE = encode('{"status":"ok"}');
const NOT_READY = encode('{"status":"draining"}');
const METHODS: readonly string[] = Object.freeze(['POST', 'GET', 'DELETE']);

/** Admits requests and counts exchanges in and out. */
export class Front implements ExchangeOwner {
  readonly #snapshot: Snapshot;
  readonly #pipeline: Pipeline;
  readonly #handles: Handles;
  readonly #handover: Handover | null;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #newId: () => string;
  readonly #recorder: Recorder | null;
  readonly #endpoints: ReadonlyMap<string, EndpointSpec>;
  readonly #optional: ReadonlySet<string>;
  readonly #active = new ExchangeList();
  readonly #door: Door;
  readonly #sse: SseFront;
  readonly #failures: Failures;
  #isDraining = false;
  #onIdle: (() => void) | null = null;

  constructor(options: FrontOptions) {
    this.#snapshot = options.snapshot;
    this.#pipeline = options.pipeline;
    this.#handles = options.handles;
    this.#handover = options.handover ?? null;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#newId = options.newId;
    this.#recorder = options.recorder ?? null;
    this.#endpoints = new Map(options.snapshot.endpoints.map((endpoint) => [endpoint.path, endpoint]));
    this.#door = new Door(options.snapshot.front);
    this.#optional = new Set(options.snapshot.servers.flatMap((server) => server.forwardHeaders));
    this.#sse = new SseFront({ ...options, owner: this, serve: this.#enter });
    this.#failures = new Failures(options.log, options.clock);
  }

  /** Exchanges under way. */
  get active(): number {
    return this.#active.size;
  }

  /** The listener's handler. */
  readonly handle: RequestHandler = (inbound) => {
    const { path, method } = inbound;
    const endpoint = this.#endpoints.get(path) ?? this.#sse.at(path);
    if (endpoint === null) return this.#elsewhere(path);
    const methods = endpoint instanceof SsePlace ? endpoint.methods : METHODS;
    const headers = readHeaders(inbound, this.#optional);
    const stranger = this.#door.check(headers);
    if (method === 'OPTIONS')
      return stranger === null ? preflight(headers.origin, this.#snapshot.front) : refusal(stranger);
    const id = this.#newId();
    // Both keys from the start: every reply has them, and the shape of the record then never changes.
    const replyHeaders: Record<string, string> = { 'x-request-id': id, 'content-type': JSON_TYPE };
    // Pages of an allowed origin may read refusals as well.
    if (headers.origin !== null && stranger === null)
      Object.assign(replyHeaders, corsHeaders(headers.origin));
    const fault = stranger ?? this.#admitMethod(methods, method, headers) ?? this.#room();
    if (fault !== null) return refusal(fault, replyHeaders, methods);
    return new Promise<Reply>((answer) => {
      this.#start(inbound, {
        id,
        verb: verbOf(method),
        snapshot: this.#snapshot,
        endpoint,
        headers,
        startedAtMs: this.#clock.now(),
        owner: this,
        replyHeaders,
        answer,
      });
    });
  };

  #start(inbound: Inbound, start: ConstructorParameters<typeof Exchange>[0]): void {
    const exchange = new Exchange(start);
    this.#active.add(exchange);
    inbound.onAbort(abandonmentOf(exchange));
    const { endpoint } = exchange;
    if (endpoint instanceof SsePlace) this.#sse.admit(exchange, endpoint, inbound.query);
    else this.#handles.admit(exchange);
    const whole = exchange.verb === 'POST' ? inbound.wholeBody : null;
    if (whole !== null) this.#serve(exchange, whole);
    else if (exchange.verb === 'POST') {
      inbound.readBody().then(
        (body) => {
          if (!exchange.over) this.#serve(exchange, body);
        },
        (thrown: unknown) => exchange.refuse(toGatewayError(thrown)),
      );
    } else this.#serve(exchange, EMPTY);
  }

  /** The one place where it is decided who serves an admitted exchange: this worker, or the one that its session lives in. */
  #serve(exchange: Exchange, body: Uint8Array): void {
    if (!this.#handles.isAway(exchange)) return this.#run(exchange, body);
    // When the session's home is a former life of this gateway there is nobody to ask.
    const onLost = (): void => {
      exchange.loseSession();
      this.#run(exchange, body);
    };
    if (this.#handover?.take(exchange, body, onLost) === true) this.#recorder?.handedOver(exchange.endpoint);
    else onLost();
  }

  #run(exchange: Exchange, body: Uint8Array): void {
    const { endpoint } = exchange;
    if (endpoint instanceof SsePlace) this.#sse.serve(exchange, endpoint, body);
    else this.#pipeline.serve(exchange, body);
  }

  /** Serves what a message of a connected client became. It counts like any other. */
  readonly #enter = (exchange: Exchange, body: Uint8Array): void => {
    this.#active.add(exchange);
    this.#handles.admit(exchange);
    this.#serve(exchange, body);
  };

  /** Runs an exchange that another worker has admitted and whose session lives here; throws when there is no room. It counts like any other. */
  readonly adopt: Adopt = (admitted, body, answer) => {
    const { id, verb, headers, path, principal, session } = admitted;
    const endpoint = this.#endpoints.get(path) ?? this.#sse.at(path);
    const fault = endpoint === null ? new GatewayError('GW_SERVER_PATH') : this.#room();
    if (fault !== null || endpoint === null) throw fault;
    const exchange: Exchange = new Exchange({
      id,
      verb,
      snapshot: this.#snapshot,
      endpoint,
      headers,
      startedAtMs: this.#clock.now(),
      owner: this,
      replyHeaders: {},
      answer: (reply) => answer(reply, exchange),
    });
    exchange.isAdopted = true;
    exchange.principal = principal;
    exchange.session = session;
    this.#active.add(exchange);
    this.#run(exchange, body);
    return exchange;
  };

  /** Whether there is room for one more exchange. */
  #room(): GatewayError | null {
    const { front } = this.#snapshot;
    if (this.#isDraining) return new GatewayError('GW_SERVER_DRAINING');
    if (this.#active.size >= front.exchangesMax)
      return new GatewayError('GW_SERVER_BUSY', `${this.#active.size} are under way`);
    return null;
  }

  #admitMethod(methods: readonly string[], method: string, headers: ClientHeaders): GatewayError | null {
    if (!methods.includes(method))
      return new GatewayError('GW_SERVER_METHOD', `it is ${method.slice(0, 20)}`);
    if (method === 'POST') return checkBodyHead(headers, this.#snapshot.front);
    return method === 'GET' ? checkStreamHead(headers) : null;
  }

  /** Paths that are no MCP endpoint. */
  #elsewhere(path: string): Reply {
    if (path === '/healthz') return { status: 200, headers: { 'content-type': JSON_TYPE }, body: ALIVE };
    if (path === '/readyz') {
      return {
        status: this.#isDraining ? 503 : 200,
        headers: { 'content-type': JSON_TYPE },
        body: this.#isDraining ? NOT_READY : ALIVE,
      };
    }
    const known = this.#snapshot.endpoints.map((endpoint) => endpoint.path).slice(0, 8);
    return refusal(new GatewayError('GW_SERVER_PATH', `known paths are ${known.join(', ')}`));
  }

  onFinish(exchange: Exchange): void {
    if (!this.#active.remove(exchange)) return;
    // The worker that has the client records it whole.
    if (exchange.isAdopted) this.#recorder?.tookOver(exchange.endpoint);
    else this.#recorder?.record(exchange);
    if (exchange.outcome === 'failed') this.#failures.tell(exchange);
    if (this.#log.enabled('debug')) {
      this.#log.debug('exchange', {
        id: exchange.id,
        endpoint: exchange.endpoint.path,
        verb: exchange.verb,
        method: exchange.method,
        era: exchange.era,
        outcome: exchange.outcome,
        status: exchange.status,
        code: exchange.errorCode,
        ms: Math.round((this.#clock.now() - exchange.startedAtMs) * 1000) / 1000,
      });
    }
    if (this.#active.size === 0) this.#onIdle?.();
  }

  /** Keeps silent event streams open; called every few seconds. */
  keepAlive(): void {
    // The worker that has the client sees to that itself.
    for (const exchange of this.#active.all()) if (!exchange.isAdopted) exchange.keepAlive();
  }

  /** Takes no new exchanges; resolves when the running ones are over or the time is up. Event streams, which have no end of their own, are ended. */
  drain(withinMs: number): Promise<void> {
    this.#isDraining = true;
    this.#sse.drain();
    for (const exchange of this.#active.all()) {
      // A connection ends its own stream.
      if (exchange.endpoint instanceof SsePlace) continue;
      if (exchange.verb === 'GET') exchange.close(null);
      else if (exchange.method === METHOD.listen)
        exchange.close(messageEvent(listenResult(exchange.requestId ?? EMPTY)));
    }
    if (this.#active.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.after(withinMs, () => {
        for (const exchange of this.#active.all()) exchange.refuse(new GatewayError('GW_SERVER_STOPPED'));
        resolve();
      });
      this.#onIdle = () => {
        this.#clock.cancel(timer);
        resolve();
      };
    });
  }
}

/** Of the three that are let through; as a literal, because the method may be a piece of the whole head's text and keep it. */
function verbOf(method: string): Exchange['verb'] {
  if (method === 'POST') return 'POST';
  return method === 'GET' ? 'GET' : 'DELETE';
}

/** A function of its own, because it lives as long as the exchange and would hold on to all that its surroundings know. */
function abandonmentOf(exchange: Exchange): () => void {
  return () => exchange.abandon();
}
