// How often a request may be sent once more: so many per hundred requests, and so many a second besides.
// Called by retry.ts and hedge.ts. Promises: counting a request reads no clock and allocates nothing; quiet times save up a bounded amount.

/** Bounds of what is given out. */
export interface BudgetSettings {
  /** Per hundred requests. */
  readonly percent: number;
  /** Besides, however few requests there are. */
  readonly perSecond: number;
  /** Most that is saved up of the hundredths. */
  readonly burstMax: number;
}

/** Gives out permits. Source of the idea: token buckets, ITU-T I.371; retry budgets as in Finagle's documentation. */
export class Budget {
  private readonly share: number;
  private readonly settings: BudgetSettings;
  private earned = 0;
  private floor: number;
  private atMs = 0;

  constructor(settings: BudgetSettings) {
    this.settings = settings;
    this.share = settings.percent / 100;
    this.floor = settings.perSecond;
  }

  /** A request was sent for the first time. */
  earn(): void {
    this.earned += this.share;
    if (this.earned > this.settings.burstMax) this.earned = this.settings.burstMax;
  }

  /** True when one may be sent once more, which is then counted. */
  take(nowMs: number): boolean {
    const { perSecond } = this.settings;
    this.floor = Math.min(perSecond, this.floor + (Math.max(0, nowMs - this.atMs) / 1_000) * perSecond);
    this.atMs = nowMs;
    if (this.floor >= 1) {
      this.floor--;
      return true;
    }
    // What was added up in hundredths comes out a little below: 10 × 0.1 < 1.
    if (this.earned < 1 - 1e-9) return false;
    this.earned--;
    return true;
  }
}
