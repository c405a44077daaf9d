// The configuration of a running gateway, read anew when its file or its registry changes or when it is asked to.
// Called by cli/reloads.ts. Promises: one reload at a time, and one more for whatever was asked meanwhile; a configuration that is refused changes nothing, and the
// log says why in the words of `sluice check`; each reload is one line in the log.
import { GatewayError } from '../base/errors.ts';
import type { Fields } from '../observe/fields.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { Snapshot } from '../snapshot.ts';
import { isIdle, type Plan, planReload, planRows, type Settings, type Wanted } from './plan.ts';
import type { Environment } from './references.ts';

/** What reloads need of their surroundings. */
export interface ReloaderParts {
  /** The configuration as it is now, or every reason why there is none. `cause`: what has changed; the rest may be as it was. */
  load(cause: ReloadCause): Promise<Wanted | readonly string[]>;
  /** Puts a snapshot in force; rejects, and nothing has changed, when that cannot be done. */
  apply(snapshot: Snapshot): Promise<void>;
  readonly env: Environment;
  readonly log: Log;
  readonly clock: Clock;
}

/** What came of a reload, or would come of it: what it does, or every reason why it is refused. */
export type ReloadOutcome =
  | { readonly isRefused: false; readonly plan: Plan }
  | { readonly isRefused: true; readonly reasons: readonly string[] };

/** Who asks for a reload: somebody does, the file has changed, or the registry has. */
export type ReloadCause = 'signal' | 'file' | 'registry';

/** One of them stands for those before it. */
const CAUSES: readonly ReloadCause[] = ['registry', 'file', 'signal'];

/** Names that one line of the log tells at most: an import may bring thousands. */
const NAMES_MAX = 50;

/** Reloads the configuration of one gateway. */
export class Reloader {
  readonly #parts: ReloaderParts;
  #running: Settings;
  #work: Promise<void> | null = null;
  #next: ReloadCause | null = null;
  /** Why the last reload changed nothing; null: it was not refused. */
  #refusal: readonly string[] | null = null;

  /** `running` is what the gateway was started with. */
  constructor(parts: ReloaderParts, running: Settings) {
    this.#parts = parts;
    this.#running = running;
  }

  /** What the gateway runs by now. */
  get running(): Settings {
    return this.#running;
  }

  /** What taking up another configuration would do. */
  plan(wanted: Wanted): Plan {
    return planReload(this.#running, wanted, this.#parts.env).plan;
  }

  /** Reloads now, or once more when the present reload is over; resolves when nothing is left to do. */
  request(cause: ReloadCause): Promise<void> {
    if (this.#next === null || CAUSES.indexOf(cause) > CAUSES.indexOf(this.#next)) this.#next = cause;
    this.#work ??= this.#run();
    return this.#work;
  }

  /** What a reload would do by now; nothing changes. */
  async trial(): Promise<ReloadOutcome> {
    try {
      const wanted = await this.#parts.load('signal');
      if (!('config' in wanted)) return { isRefused: true, reasons: wanted };
      return { isRefused: false, plan: this.plan(wanted) };
    } catch (thrown) {
      return { isRefused: true, reasons: [reasonOf(thrown)] };
    }
  }

  /** Reloads as on a signal; resolves with what that did. */
  async ask(): Promise<ReloadOutcome> {
    const outlook = await this.trial();
    await this.request('signal');
    return this.#refusal === null ? outlook : { isRefused: true, reasons: this.#refusal };
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
    this.#refusal = null;
    try {
      const wanted = await this.#parts.load(cause);
      if (!('config' in wanted)) {
        this.#refusal = wanted;
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
      const reason = reasonOf(thrown);
      this.#refusal = [reason];
      log.error('the configuration could not be taken up, nothing has changed', { reason });
    }
  }

  #tellIdle(plan: Plan, cause: ReloadCause): void {
    const { log } = this.#parts;
    if (plan.waits.length > 0) tellWaits(log, plan);
    else if (cause === 'signal') log.info('the configuration is the one in force');
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof GatewayError ? thrown.message : String(thrown);
}

function fieldsOf(plan: Plan): Fields {
  const rows = planRows(plan).filter(([what]) => what !== 'waits');
  return Object.fromEntries(rows.map(([what, names]) => [what, shortened(names)]));
}

function shortened(names: readonly string[]): readonly string[] {
  const more = names.length - NAMES_MAX;
  return more > 0 ? [...names.slice(0, NAMES_MAX), `and ${more} more`] : names;
}

function tellWaits(log: Log, { waits }: Plan): void {
  if (waits.length > 0) log.warn('some of what has changed waits for a restart', { keys: waits });
}
