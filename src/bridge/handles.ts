// The session ids of one worker, on their way in and out: clients get sealed handles, owners of sessions their own ids.
// Called by server/ (admits), proxy/ (seals replies) and worker.ts (makes it). Promises: no id of an MCP server or of a session table ever reaches a
// client; what does not open is told apart from no session at all.
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Home } from '../snapshot.ts';
import { ANY_WORKER, type Binding, type Handle, type Sealer } from './seal.ts';

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
    if (handle?.kind !== 'session') return exchange.loseSession();
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

  /** What a client posts its messages under whose HTTP+SSE connection is in this worker; `binding` is for the path that it posts to. */
  connection(binding: Binding, inner: string): string {
    const { node, worker, generation } = this.#self;
    return this.#sealer.seal(
      { kind: 'sse', node, worker, generation, expiresAtS: this.#endOfLife, inner },
      binding,
    );
  }

  /** Opens what a message of HTTP+SSE was posted under; what is none leaves the exchange without a session. */
  admitMessage(exchange: Exchange, shown: string): void {
    const handle = this.#sealer.open(shown, bindingOf(exchange));
    if (handle?.kind !== 'sse') return;
    exchange.session = handle.inner;
    exchange.home = handle;
  }

  /** A requestState that only this worker can go on with, good for `lifeMs`. */
  sealState(binding: Binding, inner: string, lifeMs: number): string {
    const { node, worker, generation } = this.#self;
    const expiresAtS = Math.ceil((this.#clock.wall() + lifeMs) / 1000);
    return this.#sealer.seal({ kind: 'state', node, worker, generation, expiresAtS, inner }, binding);
  }

  /** What a client's requestState stands for; null when it is none that was sealed for it here, or has expired. */
  openState(binding: Binding, text: string): Handle | null {
    const handle = this.#sealer.open(text, binding);
    return handle?.kind === 'state' ? handle : null;
  }

  /** Where a handle's state lives: in this worker, in another one, or nowhere any more. */
  placeOf(home: Home): 'here' | 'away' | 'gone' {
    const { node, worker, generation } = this.#self;
    if (home.node !== node) return 'gone';
    if (home.worker !== worker) return 'away';
    return home.generation === generation ? 'here' : 'gone';
  }

  get #endOfLife(): number {
    return Math.floor((this.#clock.wall() + LIMITS.handleLifeMs) / 1000);
  }

  #seal(exchange: Exchange, inner: string, home: Home): string {
    // Many servers repeat the id with each reply: the client's own handle stays as good as it is, and costs nothing.
    if (inner === exchange.session && exchange.headers.session !== null) return exchange.headers.session;
    const { node, worker, generation } = home;
    return this.#sealer.seal(
      { kind: 'session', node, worker, generation, expiresAtS: this.#endOfLife, inner },
      bindingOf(exchange),
    );
  }
}

function bindingOf(exchange: Exchange): Binding {
  return { endpoint: exchange.endpoint.path, principal: exchange.principal };
}
