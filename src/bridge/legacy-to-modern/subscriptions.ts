// What the client of one legacy session has subscribed to, and who waits to hear that the server listens for it.
// Called by session-stream.ts. Promises: bounded; every wait ends exactly once.
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Clock, TimerId } from '../../runtime/runtime.ts';

/** Told once what became of a subscription: null, or why there is none. */
export type Subscribed = (error: GatewayError | null) => void;

interface Waiter {
  readonly uri: string;
  readonly version: number;
  readonly timer: TimerId;
  readonly done: Subscribed;
}

/** The subscriptions of one session. */
export class Subscriptions {
  readonly #clock: Clock;
  readonly #wanted = new Set<string>();
  /** Those that were granted while nobody listened, so that a change may have been missed. */
  readonly #unheard = new Set<string>();
  #waiters: Waiter[] = [];
  #version = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts the changes of what is wanted. */
  get version(): number {
    return this.#version;
  }

  /** True while somebody waits. */
  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  get uris(): readonly string[] {
    return [...this.#wanted];
  }

  /** Adds one; says why it cannot. */
  add(uri: string): GatewayError | null {
    if (this.#wanted.has(uri)) return null;
    if (this.#wanted.size >= LIMITS.sessionSubscriptionsMax)
      return new GatewayError('GW_MCP_PARAMS', `${this.#wanted.size} resources are subscribed to already`);
    this.#wanted.add(uri);
    this.#version++;
    return null;
  }

  /** Takes one back; false when there is none. */
  remove(uri: string): boolean {
    if (!this.#wanted.delete(uri)) return false;
    this.#unheard.delete(uri);
    this.#version++;
    return true;
  }

  /** Grants one that the server does not know of yet. */
  grantUnheard(uri: string): void {
    this.#unheard.add(uri);
  }

  /** Waits until the server listens for it; `onLate` is called instead when that takes longer than `withinMs`. */
  wait(uri: string, withinMs: number, done: Subscribed, onLate: () => void): void {
    const timer = this.#clock.after(withinMs, () => {
      const at = this.#waiters.indexOf(waiter);
      if (at >= 0) this.#waiters.splice(at, 1);
      if (at >= 0) onLate();
    });
    const waiter: Waiter = { uri, version: this.#version, timer, done };
    this.#waiters.push(waiter);
  }

  /** The server listens for these, asked with what was wanted at a version. Returns those that may have changed before it did. */
  granted(version: number, uris: readonly string[]): readonly string[] {
    const heard = new Set(uris);
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.version > version);
    for (const waiter of waiters)
      if (waiter.version <= version) this.#settle(waiter, this.#fault(waiter, heard));
    const missed = uris.filter((uri) => this.#unheard.has(uri));
    this.#unheard.clear();
    return missed;
  }

  #fault({ uri }: Waiter, heard: ReadonlySet<string>): GatewayError | null {
    // It may have been taken back meanwhile.
    if (heard.has(uri) || !this.#wanted.has(uri)) return null;
    this.#wanted.delete(uri);
    return new GatewayError('GW_MCP_PARAMS', 'the server takes no subscription to this resource');
  }

  /** Nobody who waits gets what they want. */
  refuse(error: GatewayError): void {
    for (const waiter of this.#waiters.splice(0)) {
      this.#wanted.delete(waiter.uri);
      this.#settle(waiter, error);
    }
  }

  #settle(waiter: Waiter, error: GatewayError | null): void {
    this.#clock.cancel(waiter.timer);
    waiter.done(error);
  }
}
