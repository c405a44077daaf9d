// The front over HTTP: admits each request, makes its exchange, hands it to the pipeline, and records how it ended.
// Called by worker.ts. Promises: a request is refused by its head before its body is read; every admitted exchange is counted out again exactly once.
import { EMPTY } from '../base/bytes.ts';
import { GatewayError, toGatewayError } from '../base/errors.ts';
import type { Handles } from '../bridge/handles.ts';
import type { ClientHeaders } from '../exchange/client-headers.ts';
import { Exchange, type ExchangeOwner } from '../exchange.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import type { LiveSession } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Adopt, Handover } from '../proxy/handover.ts';
import type { Pipeline } from '../proxy/pipeline.ts';
import type { Clock, Inbound, Reply, RequestHandler } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Admits, admitsOf, checkBodyHead, checkStreamHead, METHODS, verbOf } from './admit.ts';
import { corsHeaders, preflight } from './cors.ts';
import { Crowd } from './crowd.ts';
import { ExchangeList } from './exchanges.ts';
import { Failures } from './failures.ts';
import { readHeaders } from './headers.ts';
import { Readiness } from './readiness.ts';
import type { Recorder } from './record.ts';
import { refusal } from './refusal.ts';
import { timeReply } from './server-timing.ts';
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
  /** Tells what is ready; left out: nothing else than this has to be. */
  readonly memory?: PlaneMemory | undefined;
}

const JSON_TYPE = 'application/json';

/** Admits requests and counts exchanges in and out. */
export class Front implements ExchangeOwner {
  #admits: Admits;
  readonly #pipeline: Pipeline;
  readonly #handles: Handles;
  readonly #handover: Handover | null;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #newId: () => string;
  readonly #recorder: Recorder | null;
  readonly #active = new ExchangeList();
  readonly #crowd: Crowd;
  readonly #sse: SseFront;
  readonly #failures: Failures;
  readonly #readiness: Readiness;
  /** Tells clients where the time went, where that is wanted. */
  readonly onReply?: NonNullable<ExchangeOwner['onReply']>;
  #isDraining = false;
  #onIdle: (() => void) | null = null;

  constructor(options: FrontOptions) {
    this.#admits = admitsOf(options.snapshot);
    this.#pipeline = options.pipeline;
    this.#handles = options.handles;
    this.#handover = options.handover ?? null;
    this.#clock = options.clock;
    this.#crowd = new Crowd(options.clock, options.snapshot.front);
    this.#log = options.log;
    this.#newId = options.newId;
    this.#recorder = options.recorder ?? null;
    this.#sse = new SseFront({ ...options, owner: this, serve: this.#enter });
    if (options.snapshot.front.serverTiming === true)
      this.onReply = (exchange, headers, body) => timeReply(this.#clock, exchange, headers, body);
    this.#failures = new Failures(options.log, options.clock);
    this.#readiness = new Readiness(options.memory ?? null, options.snapshot);
  }

  /** Exchanges that begin from now on are born with this snapshot. */
  use(snapshot: Snapshot): void {
    this.#admits = admitsOf(snapshot);
    this.#sse.use(snapshot);
    this.#readiness.use(snapshot);
    this.#crowd.use(snapshot.front, this.#active.all());
  }

  /** Clients that are connected over HTTP+SSE, for somebody who looks. */
  readonly live = (): readonly LiveSession[] => this.#sse.live();

  /** Exchanges under way. */
  get active(): number {
    return this.#active.size;
  }

  /** The listener's handler. */
  readonly handle: RequestHandler = (inbound) => {
    const { path, method } = inbound;
    const { endpoints } = this.#admits;
    const endpoint = endpoints.get(path) ?? this.#sse.at(path, endpoints);
    if (endpoint === null) return this.#elsewhere(path);
    const methods = endpoint instanceof SsePlace ? endpoint.methods : METHODS;
    const headers = readHeaders(inbound, this.#admits.optional);
    const stranger = this.#admits.door.check(headers);
    if (method === 'OPTIONS')
      return stranger === null ? preflight(headers.origin, this.#admits.snapshot.front) : refusal(stranger);
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
        snapshot: this.#admits.snapshot,
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
    const crowded = this.#crowd.enter(exchange);
    if (crowded !== null) return exchange.refuse(crowded);
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
    const crowded = this.#crowd.enter(exchange);
    if (crowded !== null) exchange.refuse(crowded);
    else this.#serve(exchange, body);
  };

  /** Runs an exchange that another worker has admitted and whose session lives here; throws when there is no room. It counts like any other. */
  readonly adopt: Adopt = (admitted, body, answer) => {
    const { id, verb, headers, path, principal, session } = admitted;
    const { endpoints } = this.#admits;
    const endpoint = endpoints.get(path) ?? this.#sse.at(path, endpoints);
    const fault = endpoint === null ? new GatewayError('GW_SERVER_PATH') : this.#room();
    if (fault !== null || endpoint === null) throw fault;
    const exchange: Exchange = new Exchange({
      id,
      verb,
      snapshot: this.#admits.snapshot,
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
    if (this.#isDraining) return new GatewayError('GW_SERVER_DRAINING');
    return this.#crowd.refusal(this.#active.size);
  }

  #admitMethod(methods: readonly string[], method: string, headers: ClientHeaders): GatewayError | null {
    if (!methods.includes(method))
      return new GatewayError('GW_SERVER_METHOD', `it is ${method.slice(0, 20)}`);
    if (method === 'POST') return checkBodyHead(headers, this.#admits.snapshot.front);
    return method === 'GET' ? checkStreamHead(headers) : null;
  }

  /** Paths that are no MCP endpoint. */
  #elsewhere(path: string): Reply {
    const vital = this.#readiness.reply(path, this.#isDraining);
    if (vital !== null) return vital;
    const known = this.#admits.snapshot.endpoints.map((endpoint) => endpoint.path).slice(0, 8);
    return refusal(new GatewayError('GW_SERVER_PATH', `known paths are ${known.join(', ')}`));
  }

  onFinish(exchange: Exchange): void {
    if (!this.#active.remove(exchange)) return;
    // The worker that has the client records it whole.
    if (exchange.isAdopted) this.#recorder?.tookOver(exchange);
    else {
      this.#crowd.leave(exchange);
      this.#recorder?.record(exchange);
    }
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

  /** Ends event streams at these paths, properly; what else runs there goes on. */
  endStreams(paths: ReadonlySet<string>): void {
    this.#sse.drain(paths);
    this.#active.endStreams(paths);
  }

  /** Resolves when the exchanges that run at these paths are over, event streams aside, or the time is up. */
  settled(paths: ReadonlySet<string>, withinMs: number): Promise<void> {
    return this.#active.settled(paths, this.#clock, withinMs);
  }

  /** Takes no new exchanges; resolves when the running ones are over or the time is up. Event streams, which have no end of their own, are ended. */
  drain(withinMs: number): Promise<void> {
    this.#isDraining = true;
    this.#sse.drain();
    this.#active.endStreams(null);
    if (this.#active.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.after(withinMs, () => {
        const stopped = new GatewayError('GW_SERVER_STOPPED');
        for (const one of this.#active.all()) (this.#handover?.identified(one) ?? one).refuse(stopped);
        resolve();
      });
      this.#onIdle = () => {
        this.#clock.cancel(timer);
        resolve();
      };
    });
  }
}

/** A function of its own, because it lives as long as the exchange and would hold on to all that its surroundings know. */
function abandonmentOf(exchange: Exchange): () => void {
  return () => exchange.abandon();
}
