// Finds the replica of a server that fails more often, or answers later, than the others, and leaves it out for a while.
// Called by replicas.ts, in one worker for each server: it judges what all have counted. Promises: never more than half of the replicas that may have requests are
// out at a time; a replica that was out is judged by what it does afterwards.
import { bucketMiddleMs, OUTCOME_NUMBERS, type ReplicaCell } from '../memory/replica-cell.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { OutlierSettings } from './spec.ts';

/** One that is judged. */
export interface Suspect {
  /** For the log. */
  readonly name: string;
  /** 0: it gets nothing that it could be judged by. */
  readonly weight: number | undefined;
  readonly cell: ReplicaCell;
}

/** What judging takes. */
export interface OutlierParts {
  readonly suspects: readonly Suspect[];
  readonly settings: OutlierSettings;
  readonly clock: Pick<Clock, 'now' | 'after' | 'cancel'>;
  /** Added to the clock's now() it gives ms since the memory of the cells was made. */
  readonly offsetMs: number;
  readonly log: Log;
}

/** What counted before a judgement counts half as much at the next. */
const FADING = 0.5;

/** Judges until it is stopped. */
export class OutlierJudge {
  readonly #parts: OutlierParts;
  readonly #records: readonly Conduct[];
  #timer: TimerId = 0;

  constructor(parts: OutlierParts) {
    this.#parts = parts;
    this.#records = parts.suspects.filter(({ weight }) => weight !== 0).map((one) => new Conduct(one));
    this.#arm();
  }

  stop(): void {
    this.#parts.clock.cancel(this.#timer);
  }

  #arm(): void {
    const { clock, settings } = this.#parts;
    this.#timer = clock.after(settings.windowMs, () => {
      this.#arm();
      this.#judge(clock.now() + this.#parts.offsetMs);
    });
  }

  #judge(nowMs: number): void {
    for (const record of this.#records) record.take();
    for (const record of this.#records) this.#return(record, nowMs);
    // The worst first, and each time anew: it no longer counts among the others' siblings.
    for (let out = this.#outNow(nowMs); out < Math.floor(this.#records.length / 2); out++) {
      const serving = this.#records.filter((record) => !record.isOut(nowMs));
      const worst = this.#worst(serving);
      if (worst === null) return;
      this.#eject(worst, nowMs);
    }
  }

  #outNow(nowMs: number): number {
    return this.#records.filter((record) => record.isOut(nowMs)).length;
  }

  #worst(serving: readonly Conduct[]): Verdict | null {
    const verdicts = serving.flatMap((record) => {
      const siblings = serving.filter((one) => one !== record);
      return verdictOn(record, siblings, this.#parts.settings) ?? [];
    });
    return verdicts.reduce<Verdict | null>((worst, one) => (isWorse(one, worst) ? one : worst), null);
  }

  #eject({ record, reason, own, theirs }: Verdict, nowMs: number): void {
    const { settings, log } = this.#parts;
    const { cell, name } = record.suspect;
    const before = cell.ejections;
    const forMs = Math.min(settings.ejectMaxMs, settings.ejectMs * 2 ** Math.min(before, 30));
    cell.eject(nowMs + forMs, before + 1);
    record.isEjected = true;
    log.warn('a replica does worse than the others: it is left out for a while', {
      ...{ replica: name, reason, own: Math.round(own), others: Math.round(theirs), forMs },
    });
  }

  /** Once it is over, an ejection is told of, and in the end forgotten. */
  #return(record: Conduct, nowMs: number): void {
    const { settings, log } = this.#parts;
    const { cell, name } = record.suspect;
    if (record.isOut(nowMs)) return record.forget();
    if (record.isEjected) {
      record.isEjected = false;
      log.info('a replica that was left out gets requests again', { replica: name });
    }
    if (cell.ejections > 0 && nowMs - cell.ejectedUntilMs >= settings.ejectMaxMs)
      cell.eject(cell.ejectedUntilMs, 0);
  }
}

/** What speaks against a replica: `own` against `theirs`, in per cent or ms. */
interface Verdict {
  readonly record: Conduct;
  readonly reason: 'failures' | 'latency';
  readonly own: number;
  readonly theirs: number;
}

/** Failures are worse than slowness. */
function isWorse(one: Verdict, other: Verdict | null): boolean {
  if (other === null) return true;
  if (one.reason !== other.reason) return one.reason === 'failures';
  return one.own - one.theirs > other.own - other.theirs;
}

function verdictOn(record: Conduct, siblings: readonly Conduct[], settings: OutlierSettings): Verdict | null {
  const { requestsMin, failurePoints, latencyFactor, latencyMinMs } = settings;
  const counted = siblings.reduce((sum, one) => sum + one.count, 0);
  if (record.count < requestsMin || counted < requestsMin) return null;
  const own = (record.failed * 100) / record.count;
  const theirs = (siblings.reduce((sum, one) => sum + one.failed, 0) * 100) / counted;
  if (own - theirs >= failurePoints) return { record, reason: 'failures', own, theirs };
  const medians = siblings.flatMap((one) => one.medianMs ?? []).sort((a, b) => a - b);
  // Of an even number the shorter one: what is normal is what half of them keep to.
  const normal = medians[Math.floor((medians.length - 1) / 2)];
  const median = record.medianMs;
  if (normal === undefined || median === null) return null;
  if (median < normal * latencyFactor || median - normal < latencyMinMs) return null;
  return { record, reason: 'latency', own: median, theirs: normal };
}

/** What one replica did lately. */
class Conduct {
  readonly suspect: Suspect;
  isEjected = false;
  readonly #before = new Int32Array(OUTCOME_NUMBERS);
  readonly #now = new Int32Array(OUTCOME_NUMBERS);
  /** Failures, then successes by time; what is older counts less. */
  readonly #lately = new Float64Array(OUTCOME_NUMBERS);

  constructor(suspect: Suspect) {
    this.suspect = suspect;
    suspect.cell.readOutcomes(this.#before);
  }

  /** Takes in what was counted since the last time. */
  take(): void {
    this.suspect.cell.readOutcomes(this.#now);
    for (let i = 0; i < OUTCOME_NUMBERS; i++) {
      const since = ((this.#now[i] ?? 0) - (this.#before[i] ?? 0)) | 0;
      this.#lately[i] = (this.#lately[i] ?? 0) * FADING + since;
    }
    this.#before.set(this.#now);
  }

  forget(): void {
    this.#lately.fill(0);
  }

  isOut(nowMs: number): boolean {
    const { cell } = this.suspect;
    return cell.isDown || nowMs < cell.ejectedUntilMs;
  }

  get failed(): number {
    return this.#lately[0] ?? 0;
  }

  get count(): number {
    return this.#lately.reduce((sum, one) => sum + one, 0);
  }

  /** Null when nothing went well. */
  get medianMs(): number | null {
    let left = (this.count - this.failed) / 2;
    if (left <= 0) return null;
    let bucket = 1;
    for (; bucket < OUTCOME_NUMBERS - 1; bucket++) {
      left -= this.#lately[bucket] ?? 0;
      if (left <= 0) break;
    }
    return bucketMiddleMs(bucket - 1);
  }
}
