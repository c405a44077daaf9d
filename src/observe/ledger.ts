// What one worker can tell of one server when somebody looks: who holds something of it, and what failed lately.
// Called by upstream/, bridge/ and policy/ (enter themselves, note failures) and worker/inspect.ts (reads). Promises: nothing is gathered before somebody
// asks; failures are bounded in number and length, the same one is remembered once; noting one never throws.
import { LIMITS } from '../base/limits.ts';
import type { FaultCode, ServerFault, SessionKind } from './inspection.ts';

/** A session as who holds it tells of it. Times are the monotonic clock's, in ms; null where it is not known. */
export interface LiveSession {
  /** Stands for it as long as it lives. */
  readonly self: object;
  readonly kind: SessionKind;
  readonly endpoint: string;
  readonly servers: readonly string[];
  readonly startedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
  readonly running: number;
  /** Ends it as its client would. */
  end(): void;
}

/** A process as who started it tells of it. */
export interface LiveChild {
  readonly pid: number;
  readonly sharing: 'shared' | 'session';
}

/** Who holds something of a server. */
export interface Source {
  sessions?(): readonly LiveSession[];
  children?(): readonly LiveChild[];
  era?(): 'legacy' | 'modern' | 'unknown';
  /** Forgets what is kept of the server's answers; how many there were. */
  purge?(): number;
}

/** What is known of one server in one worker. */
export class Ledger {
  readonly sources: Source[] = [];
  readonly #wall: () => number;
  /** Newest last. */
  readonly #faults: ServerFault[] = [];

  /** `wall` tells ms since the epoch. */
  constructor(wall: () => number) {
    this.#wall = wall;
  }

  add(source: Source): void {
    this.sources.push(source);
  }

  /** The last few failures, newest first. */
  get faults(): readonly ServerFault[] {
    return this.#faults.toReversed();
  }

  /** Something of the server failed. */
  fault(code: FaultCode, said: string): void {
    const detail = said.length > LIMITS.faultCharsMax ? `${said.slice(0, LIMITS.faultCharsMax)}…` : said;
    const at = this.#faults.findLastIndex((one) => one.code === code && one.detail === detail);
    const times = at < 0 ? 1 : (this.#faults[at]?.times ?? 0) + 1;
    if (at >= 0) this.#faults.splice(at, 1);
    this.#faults.push({ atMs: this.#wall(), code, detail, times });
    if (this.#faults.length > LIMITS.faultsKeptMax) this.#faults.shift();
  }
}
