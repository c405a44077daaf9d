// The configuration of a running gateway, read anew when its file changes or when it is asked to.
// Called by cli/lifecycle.ts. Promises: one reload at a time, and one more for whatever was asked meanwhile; a configuration that is refused changes nothing, and the
// log says why in the words of `sluice check`; each reload is one line in the log.
import { GatewayError } from '../base/errors.ts';
import type { Fields, Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Snapshot } from '../snapshot.ts';
import { isIdle, type Plan, planReload, planRows, type Settings, type Wanted } from './plan.ts';
import type { Environment } from './references.ts';

/** What reloads need of their surroundings. */
export interface ReloaderParts {
  /** The configuration as it is now, or every reason why there is none. */
  load(): Promise<Wanted | readonly string[]>;
  /** Puts a snapshot in force; rejects, and nothing has changed, when that cannot be done. */
  apply(snapshot: Snapshot): Promise<void>;
  readonly env: Environment;
  readonly log: Log;
  readonly clock: Clock;
}

/** Who asks for a reload: somebody does, or the file has changed. */
export type ReloadCause = 'signal' | 'file';

/** Reloads the configuration of one gateway. */
export class Reloader {
  readonly #parts: ReloaderParts;
  #running: Settings;
  #work: Promise<void> | null = null;
  #next: ReloadCause | null = null;

  /** `running` is what the gateway was started with. */
  constructor(parts: ReloaderParts, running: Settings) {
    this.#parts = parts;
    this.#running = running;
  }

  /** Reloads now, or once more when the present reload is over; resolves when nothing is left to do. */
  request(cause: ReloadCause): Promise<void> {
    if (this.#next !== 'signal') this.#next = cause;
    this.#work ??= this.#run();
    return this.#work;
  }

  async #run(): Promise<void> {
    try {
      for (let cause = this.#take(); cause !== null; cause = this.#take()) await this.#reload(cause);
    } finally {
      this.#work = null;
    }
  }

  #take(): ReloadCause | null {
    const cause = this.#next;
    this.#next = null;
    return cause;
  }

  async #reload(cause: ReloadCause): Promise<void> {
    const { log, clock, env } = this.#parts;
    const beganAtMs = clock.now();
    try {
      const wanted = await this.#parts.load();
      if (!('config' in wanted)) {
        for (const problem of wanted)
          log.error('the configuration is refused, nothing has changed', { problem });
        return;
      }
      const { plan, next } = planReload(this.#running, wanted, env);
      if (isIdle(plan)) return this.#tellIdle(plan, cause);
      await this.#parts.apply(next.snapshot);
      this.#running = next;
      const ms = Math.round(clock.now() - beganAtMs);
      log.info('reloaded', { ...fieldsOf(plan), epoch: next.snapshot.epoch, ms });
      tellWaits(log, plan);
    } catch (thrown) {
      const reason = thrown instanceof GatewayError ? thrown.message : String(thrown);
      log.error('the configuration could not be taken up, nothing has changed', { reason });
    }
  }

  #tellIdle(plan: Plan, cause: ReloadCause): void {
    const { log } = this.#parts;
    if (plan.waits.length > 0) tellWaits(log, plan);
    else if (cause === 'signal') log.info('the configuration is the one in force');
  }
}

function fieldsOf(plan: Plan): Fields {
  return Object.fromEntries(planRows(plan).filter(([what]) => what !== 'waits'));
}

function tellWaits(log: Log, { waits }: Plan): void {
  if (waits.length > 0) log.warn('some of what has changed waits for a restart', { keys: waits });
}
