// The pipeline: takes an admitted exchange through its phases and hands it to the endpoint's target.
// Called by server/http.ts and server/stdio.ts. Promises: never throws; every exchange is answered exactly once.
import { GatewayError, toGatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { METHOD } from '../mcp/protocol.ts';
import { KIND, type Scanner } from '../scan/contract.ts';
import { runBatch } from './batch.ts';
import type { Envelopes } from './envelopes.ts';
import { classifyExchange, scan } from './phases.ts';
import type { Target } from './target.ts';

/** Takes exchanges to the targets of their endpoints. */
export class Pipeline {
  readonly #scanner: Scanner;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #spare: Envelopes;

  /** `targets` by endpoint path. */
  constructor(scanner: Scanner, targets: ReadonlyMap<string, Target>, spare: Envelopes) {
    this.#scanner = scanner;
    this.#targets = targets;
    this.#spare = spare;
  }

  /** A POST whose body is whole. */
  post(exchange: Exchange, body: Uint8Array): void {
    exchange.body = body;
    try {
      const fault =
        scan(exchange, this.#scanner, this.#spare.take()) ?? classifyExchange(exchange, this.#scanner);
      if (fault !== null) return exchange.refuse(fault);
      const target = this.#target(exchange);
      if (target.keepsSessions && isTooLongToKeep(exchange))
        return exchange.refuse(tooLongToKeep(body.length));
      if (exchange.kind === KIND.batch && target.keepsSessions)
        runBatch(exchange, this.#scanner, (one, bytes) => this.post(one, bytes));
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
      action(this.#target(exchange));
    } catch (thrown) {
      exchange.refuse(toGatewayError(thrown));
    }
  }

  #target(exchange: Exchange): Target {
    const target = this.#targets.get(exchange.endpoint.path);
    if (target === undefined)
      throw new GatewayError('GW_BASE_INTERNAL', `no target for ${exchange.endpoint.path}`);
    return target;
  }
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
