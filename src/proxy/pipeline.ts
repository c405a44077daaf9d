// The pipeline: takes an admitted exchange through its phases and hands it to the endpoint's target.
// Called by server/http.ts and server/stdio.ts. Promises: never throws; every exchange is answered exactly once.
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Tracer } from '../observe/trace.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import { runBatch } from './batch.ts';
import type { Envelopes } from './envelopes.ts';
import { classifyExchange, scan, type WholeScan } from './phases.ts';
import type { Target } from './target.ts';
import { beginSpan } from './tracing.ts';

/** Takes exchanges to the targets of their endpoints. */
export class Pipeline {
  readonly #scanner: Scanner;
  #targets: ReadonlyMap<string, Target>;
  readonly #spare: Envelopes;
  /** Null when no traces are wanted. */
  readonly #tracer: Tracer | null;
  /** Scans where nothing is to be looked up. */
  readonly #whole: WholeScan;

  /** `targets` by endpoint path. */
  constructor(
    scanner: Scanner,
    targets: ReadonlyMap<string, Target>,
    spare: Envelopes,
    tracer: Tracer | null = null,
  ) {
    this.#tracer = tracer;
    this.#scanner = scanner;
    this.#targets = targets;
    this.#spare = spare;
    this.#whole = { scan: (bytes, envelope) => scanner.scan(bytes, 0, bytes.length, envelope) };
  }

  /** Paths lead elsewhere from now on. */
  use(targets: ReadonlyMap<string, Target>): void {
    this.#targets = targets;
  }

  /** Takes an admitted exchange on its way; `body` is a POST's, whole. */
  serve(exchange: Exchange, body: Uint8Array): void {
    if (exchange.verb === 'POST') this.post(exchange, body);
    else if (exchange.verb === 'GET') this.stream(exchange);
    else this.end(exchange);
  }

  /** A POST whose body is whole. */
  post(exchange: Exchange, body: Uint8Array): void {
    exchange.body = body;
    try {
      // A path without a target is found out once the message has an id to answer to.
      const scanner = this.#targets.get(exchange.endpoint.path)?.routes ?? this.#whole;
      const fault = scan(exchange, scanner, this.#spare.take()) ?? classifyExchange(exchange, this.#scanner);
      if (this.#tracer !== null) beginSpan(exchange, this.#tracer);
      if (fault !== null) return exchange.refuse(fault);
      const target = this.#target(exchange);
      if (target.keepsSessions && isTooLongToKeep(exchange))
        return exchange.refuse(tooLongToKeep(body.length));
      if (exchange.kind === KIND.batch && (target.keepsSessions || exchange.home !== null))
        runBatch(exchange, this.#scanner, (one, bytes) => this.post(one, bytes));
      else if (needsLostSession(exchange)) exchange.refuse(new GatewayError('GW_SESSION_UNKNOWN'));
      else target.post(exchange);
    } catch (thrown) {
      exchange.refuse(toGatewayError(thrown));
    }
  }

  /** A GET: the legacy session's event stream. */
  stream(exchange: Exchange): void {
    this.#run(exchange, (target) => target.stream(exchange));
  }

  /** A DELETE: the legacy session's end. */
  end(exchange: Exchange): void {
    this.#run(exchange, (target) => target.end(exchange));
  }

  #run(exchange: Exchange, action: (target: Target) => void): void {
    try {
      if (exchange.isSessionLost) exchange.refuse(new GatewayError('GW_SESSION_UNKNOWN'));
      else action(this.#target(exchange));
    } catch (thrown) {
      exchange.refuse(toGatewayError(thrown));
    }
  }

  #target(exchange: Exchange): Target {
    const target = this.#targets.get(exchange.endpoint.path);
    if (target === undefined)
      throw new GatewayError('GW_SERVER_PATH', 'it was taken out of the configuration');
    return target;
  }
}

/** True for a legacy message of a session that is gone. An initialize begins a new one, whatever its client still shows. */
function needsLostSession(exchange: Exchange): boolean {
  return exchange.isSessionLost && exchange.era === 'legacy' && exchange.method !== METHOD.initialize;
}

/** An initialize is kept as long as its session: were it as large as any body, a few thousand sessions could fill the memory. */
function isTooLongToKeep(exchange: Exchange): boolean {
  return exchange.method === METHOD.initialize && exchange.body.length > LIMITS.initializeBytesMax;
}

function tooLongToKeep(bytes: number): GatewayError {
  return new GatewayError(
    'GW_SERVER_BODY_SIZE',
    `initialize has ${bytes} bytes, at most ${LIMITS.initializeBytesMax} are kept for a session`,
  );
}
