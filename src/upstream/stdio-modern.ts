// The children of a stdio server's modern clients: one for all of them, or one for each principal.
// Called by stdio.ts. Promises: with `sharing: session` no two principals meet in one process; how many there are is bounded; one whose
// process has ended is forgotten.
import { GatewayError } from '../base/errors.ts';
import type { ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import { SharedChild } from './stdio-shared.ts';

/** All children of modern clients. */
export class ModernChildren {
  readonly #core: StdioCore;
  /** By principal; '' is everybody's where processes are shared, or where nobody is asked who they are. */
  readonly #children = new Map<string, SharedChild>();

  constructor(core: StdioCore) {
    this.#core = core;
  }

  /** How many there are. */
  get size(): number {
    return this.#children.size;
  }

  /** The child of a principal, or why there can be none. `countMax` bounds how many there are. */
  of(principal: string, countMax: number): SharedChild | GatewayError {
    const key = this.#core.keep.sharing === 'session' ? principal : '';
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    // What an earlier principal left behind makes room for others before anybody is refused.
    for (const [idle, { keeper }] of this.#children) if (keeper.isDown) this.#children.delete(idle);
    if (key !== '' && this.#children.size >= countMax)
      return new GatewayError('GW_SESSION_LIMIT', `${countMax} principals have a process`);
    const child = new SharedChild(this.#core);
    this.#children.set(key, child);
    return child;
  }

  /** Calls that clients wait for, those that wait for a start included. */
  get awaited(): number {
    return this.#sum(({ keeper }) => keeper.awaited + keeper.waiting);
  }

  /** Calls that wait for a start. */
  get waiting(): number {
    return this.#sum(({ keeper }) => keeper.waiting);
  }

  /** Processes with calls in flight. */
  get busy(): number {
    return this.#sum(({ keeper }) => keeper.busy);
  }

  /** Processes that may still answer. */
  *pipes(): IterableIterator<ChildPipe> {
    for (const { keeper } of this.#children.values()) yield* keeper.pipes();
  }

  /** Ends every listen: they never end by themselves. */
  endListens(): void {
    for (const { keeper } of this.#children.values()) keeper.endListens();
  }

  /** Each process ends as soon as it has no calls. */
  release(): void {
    for (const { keeper } of this.#children.values()) keeper.release();
  }

  /** Fails what is in flight, stops the children with the graces given in ms, and starts none again. */
  stop(error: GatewayError, graceMs: number): void {
    for (const { keeper } of this.#children.values()) keeper.stop(error, graceMs, graceMs);
  }

  #sum(count: (child: SharedChild) => number): number {
    let sum = 0;
    for (const child of this.#children.values()) sum += count(child);
    return sum;
  }
}
