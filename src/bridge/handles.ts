// The session ids of one worker, on their way in and out: clients get sealed handles, owners of sessions their own ids.
// Called by server/ (admits), proxy/ (seals replies) and worker.ts (makes it). Promises: no id of an MCP server or of a session table ever reaches a
// client; what does not open is told apart from no session at all.
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Home } from '../snapshot.ts';
import { ANY_WORKER, type Binding, type Sealer } from './seal.ts';

/** Gives an owner's session id the form in which the exchange's client may have it. */
export type SealSession = (exchange: Exchange, inner: string) => string;

/** Opens and seals session ids in the name of one worker. */
export class Handles {
  readonly #sealer: Sealer;
  readonly #clock: Pick<Clock, 'wall'>;
  readonly #self: Home;

  constructor(sealer: Sealer, clock: Pick<Clock, 'wall'>, self: Home) {
    this.#sealer = sealer;
    this.#clock = clock;
    this.#self = self;
  }

  /** Opens the client's session id, once for the whole exchange. */
  admit(exchange: Exchange): void {
    const shown = exchange.headers.session;
    if (shown === null) return;
    const handle = this.#sealer.open(shown, bindingOf(exchange));
    if (handle === null) return exchange.loseSession();
    exchange.session = handle.inner;
    exchange.home = handle.worker === ANY_WORKER ? null : handle;
  }

  /** True when the exchange's session lives in another worker, or lived in this one before it died. */
  isAway(exchange: Exchange): boolean {
    const { home } = exchange;
    if (home === null) return false;
    const { node, worker, generation } = this.#self;
    return home.worker !== worker || home.generation !== generation || home.node !== node;
  }

  /** For a session that lives in this worker. */
  readonly here: SealSession = (exchange, inner) => this.#seal(exchange, inner, this.#self);

  /** For a session whose owner every worker reaches: an MCP server behind HTTP. */
  readonly anywhere: SealSession = (exchange, inner) =>
    this.#seal(exchange, inner, { node: 0, worker: ANY_WORKER, generation: 0 });

  #seal(exchange: Exchange, inner: string, home: Home): string {
    // Many servers repeat the id with each reply: the client's own handle stays as good as it is, and costs nothing.
    if (inner === exchange.session && exchange.headers.session !== null) return exchange.headers.session;
    const expiresAtS = Math.floor((this.#clock.wall() + LIMITS.handleLifeMs) / 1000);
    const { node, worker, generation } = home;
    return this.#sealer.seal(
      { kind: 'session', node, worker, generation, expiresAtS, inner },
      bindingOf(exchange),
    );
  }
}

function bindingOf(exchange: Exchange): Binding {
  return { endpoint: exchange.endpoint.path, principal: exchange.principal };
}
