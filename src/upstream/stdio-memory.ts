// Watches what the processes of one server take of the memory.
// Called by stdio-core.ts (makes it, and names each process that starts). Promises: one look at the process table serves all of
// them; none is made while no process runs or no bound is set; each process is told at most once.
import type { Clock, Runtime } from '../runtime/runtime.ts';

/** A process to watch. */
export interface Watched {
  /** Its process group. */
  readonly pid: number;
  /** True until it is of no more interest. */
  readonly alive: boolean;
}

/** Watches processes. */
export class MemoryWatch {
  readonly #clock: Clock;
  readonly #measure: Runtime['groupMemory'];
  readonly #bytesMax: number;
  readonly #everyMs: number;
  readonly #watched = new Map<Watched, (bytes: number) => void>();
  #isLooking = false;

  /** `bytesMax` 0 watches nothing. */
  constructor(runtime: Pick<Runtime, 'clock' | 'groupMemory'>, bytesMax: number, everyMs: number) {
    this.#clock = runtime.clock;
    this.#measure = (groups) => runtime.groupMemory(groups);
    this.#bytesMax = bytesMax;
    this.#everyMs = everyMs;
  }

  /** `over` is told once when the process and its group hold more than the bound. */
  add(child: Watched, over: (bytes: number) => void): void {
    if (this.#bytesMax === 0) return;
    this.#watched.set(child, over);
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#isLooking || this.#watched.size === 0) return;
    this.#isLooking = true;
    this.#clock.after(this.#everyMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    for (const child of [...this.#watched.keys()]) if (!child.alive) this.#watched.delete(child);
    const groups = [...this.#watched.keys()].map(({ pid }) => pid);
    const held = groups.length === 0 ? null : await this.#measure(groups);
    this.#isLooking = false;
    for (const [child, over] of [...this.#watched]) {
      const bytes = held?.get(child.pid) ?? 0;
      if (bytes <= this.#bytesMax || !child.alive) continue;
      this.#watched.delete(child);
      over(bytes);
    }
    this.#lookLater();
  }
}
