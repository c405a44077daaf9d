// Who was served and who was not, and how fast those are served again whom a fault befell.
// Called by scenes.ts, faults.ts and report.ts. Promises: a bounded number of kinds of failures, each counted, with when it was first seen.

/** Whether faults befall a server. */
export type Health = 'healthy' | 'faulty';

/** A kind of failure: where, at what, why. */
export interface Failure {
  readonly kind: string;
  count: number;
  /** Seconds into the run. */
  readonly firstSeconds: number;
}

/** Successes and failures of one sort of servers. */
export interface Score {
  succeeded: number;
  failed: number;
}

/** A fault that is over: how long until a call was answered again, in ms; null when none was. */
export interface Recovery {
  readonly server: string;
  readonly fault: string;
  readonly ms: number | null;
}

const KINDS_MAX = 500;

/** The account of one run. */
export class Ledger {
  readonly scores: Readonly<Record<Health, Score>> = {
    healthy: { succeeded: 0, failed: 0 },
    faulty: { succeeded: 0, failed: 0 },
  };
  readonly failures: Readonly<Record<Health, Map<string, Failure>>> = {
    healthy: new Map(),
    faulty: new Map(),
  };
  readonly recoveries: Recovery[] = [];
  /** By the name of the scene: how often it went well. */
  readonly scenes = new Map<string, number>();
  /** Calls and sessions that clients left on purpose. */
  left = 0;
  /** Replies that belong to somebody else: never allowed, of whatever server. */
  crossed = 0;
  readonly #fromMs = performance.now();
  readonly #onNew: (health: Health, kind: string) => void;

  /** `onNew` hears of each kind of failure when it is first seen. */
  constructor(onNew: (health: Health, kind: string) => void = () => undefined) {
    this.#onNew = onNew;
  }

  succeed(health: Health, scene: string): void {
    this.scores[health].succeeded++;
    this.scenes.set(scene, (this.scenes.get(scene) ?? 0) + 1);
  }

  fail(health: Health, kind: string): void {
    this.scores[health].failed++;
    if (kind.includes('CROSSED')) this.crossed++;
    const kinds = this.failures[health];
    const failure = kinds.get(kind);
    if (failure !== undefined) failure.count++;
    else if (kinds.size < KINDS_MAX) {
      kinds.set(kind, { kind, count: 1, firstSeconds: (performance.now() - this.#fromMs) / 1000 });
      this.#onNew(health, kind);
    }
  }
}

/** Share of what succeeded; 1 when nothing was tried. */
export function ratioOf({ succeeded, failed }: Score): number {
  return succeeded + failed === 0 ? 1 : succeeded / (succeeded + failed);
}
