// How a registry's file is, and what each failure makes of that.
// Called by sqlite.ts and open.ts. Promises: a full disk passes; after any other failure of the disk or the file nothing is to be written until a start has read it anew;
// each change is one line of the log.
import type { ErrorCode } from '../../base/errors.ts';
import type { Log } from '../../observe/log.ts';
import { faultOf } from './database.ts';
import type { RegistryState } from './registry.ts';
import type { Written } from './store.ts';

/** Why a write was not done. */
export type Refused = Extract<Written, { ok: false }>;

/** Makes one. */
export function refused(code: ErrorCode, detail: string): Refused {
  return { ok: false, code, detail };
}

/** The condition of one file. */
export class Condition {
  readonly #log: Log;
  #state: RegistryState;

  constructor(log: Log, state: RegistryState) {
    this.#log = log;
    this.#state = state;
  }

  get state(): RegistryState {
    return this.#state;
  }

  /** What to tell writers while nothing can be written. */
  get closed(): Refused {
    return refused('GW_REGISTRY_CLOSED', this.#state.detail === '' ? 'it is closed' : this.#state.detail);
  }

  /** Takes a failure down: what to tell the writers, and whether the file is to be let go of. */
  failed(thrown: unknown): { readonly refusal: Refused; readonly isOver: boolean } {
    const fault = faultOf(thrown);
    if (fault === 'busy') {
      const refusal = refused('GW_REGISTRY_BUSY', 'another process has locked the file');
      return { refusal, isOver: false };
    }
    if (fault === 'full') {
      this.#becomes('read-only', 'the disk is full: make room, and changes are kept again');
      return { refusal: refused('GW_REGISTRY_FULL', 'make room for the data directory'), isOver: false };
    }
    if (fault === 'damaged') this.#becomes('damaged', damagedText(this.#state.path));
    else {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#becomes('read-only', `it failed (${fault}: ${reason}): mend that, then restart the gateway`);
    }
    // After a sync that failed nobody knows what is on the disk (sqlite.org/howtocorrupt.html, 3.1).
    return { refusal: this.closed, isOver: true };
  }

  /** Something was written. */
  recovered(): void {
    if (this.#state.state === 'ok') return;
    this.#state = { ...this.#state, state: 'ok', detail: '' };
    this.#log.info('the registry can be written to again', { file: this.#state.path });
  }

  #becomes(state: RegistryState['state'], detail: string): void {
    const { path, state: before } = this.#state;
    if (before !== state)
      this.#log.error('the registry cannot be written to', { state, file: path, reason: detail });
    this.#state = { path, state, detail };
  }
}

/** What to do about a damaged file. */
export function damagedText(path: string | null): string {
  return `the file is damaged and is left as it is: move it away together with ${path}-wal and ${path}-shm, then restart the gateway, which makes a new one of its copy`;
}
