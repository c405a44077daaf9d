// One thread of cells-threads.test.ts: works on the shared cells as its order says, and looks for anything that must not be.
// Called as a Worker. Promises: bounded in operations; every fault is told in words, a few at most.
import { BreakerCell, REFUSED } from '../../src/memory/breaker-cell.ts';
import { PoolCell } from '../../src/memory/cells.ts';
import { CounterStripe } from '../../src/memory/counters.ts';
import { mergedHistogram, sharedHistogram } from '../../src/memory/histogram.ts';
import {
  blankEntry,
  type JournalEntry,
  type JournalRecord,
  JournalWriter,
  readJournal,
} from '../../src/memory/journal.ts';
import { COUNTER } from '../../src/memory/layout.ts';
import { attachMemory, type PlaneMemory, type SharedMemory } from '../../src/memory/memory.ts';

/** What a thread is told. */
export interface CellsOrder {
  readonly work:
    | 'permits'
    | 'permits to die with'
    | 'tickets'
    | 'counters'
    | 'histogram'
    | 'breaker'
    | 'journal'
    | 'read journal';
  readonly shared: SharedMemory;
  /** Words that threads check each other by; the cells know nothing of them. */
  readonly check: SharedArrayBuffer;
  readonly worker: number;
  readonly operations: number;
  /** Bound of the permits. */
  readonly bound: number;
}

/** What it answers. */
export interface CellsReport {
  readonly worker: number;
  readonly faults: readonly string[];
  /** Operations that got somewhere: permits taken, trials let through, records read. */
  readonly done: number;
  readonly tickets: Int32Array | null;
}

/** Words of the check memory. */
export const CHECK = Object.freeze({
  inside: 0,
  clock: 1,
  over: 2,
  holding: 3,
  trials: 16,
  trialSlots: 65_536,
});
/** Trials of the breaker under way at once, and its settings. */
export const TRIALS = 2;
const BREAKER_SETTINGS = Object.freeze({
  failures: 3,
  sharePercent: 30,
  windowMs: 50,
  openMs: 1,
  trials: TRIALS,
  trialMs: 3_600_000,
});
const FAULTS_MAX = 5;
/**
 * The breaker's clock counts turns of all threads. Its promise holds while no thread is a second behind (SKEW_MS): a round of fewer turns than make
 * a second cannot break that, however long the machine holds a thread up.
 */
const TURNS_PER_MS = 128;
/** Turns of all threads together in one round: 120 000 / 128 = 937 ms. */
export const BREAKER_TURNS_MAX = 120_000;

/** A stream of numbers of its own for each thread. */
function randomFrom(seed: number): () => number {
  let state = (seed + 1) * 0x9e37_79b1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** What the n-th record of a journal is: each part says the same n, so that a mixture of two shows. */
export function entryOf(n: number, into: JournalEntry): JournalEntry {
  into.wallMs = n;
  into.durationUs = n * 3;
  into.status = n & 0x7fff;
  into.outcome = n & 3;
  into.endpoint = n >>> 3;
  into.server = n >>> 2;
  into.upstreamUs = n * 5;
  into.replyBytes = n * 7;
  into.method = `m${n}`;
  into.id = `i${n}`;
  into.body.fill(n & 0xff);
  into.nameStart = n % 7;
  into.nameEnd = into.nameStart + 5;
  return into;
}

function faultOf(record: JournalRecord): string | null {
  const n = record.wallMs;
  const byte = n & 0xff;
  const isWhole =
    record.durationUs === n * 3 &&
    record.status === (n & 0x7fff) &&
    record.outcome === (n & 3) &&
    record.endpoint === n >>> 3 &&
    record.server === n >>> 2 &&
    record.upstreamUs === n * 5 &&
    record.replyBytes === n * 7 &&
    record.method === `m${n}` &&
    record.id === `i${n}` &&
    record.body.every((one) => one === byte);
  return isWhole
    ? null
    : `a record is torn: ${JSON.stringify({ ...record, body: [...record.body.subarray(0, 8)] })}`;
}

class Thread {
  readonly #order: CellsOrder;
  readonly #memory: PlaneMemory;
  readonly #check: Int32Array;
  readonly #random: () => number;
  readonly #faults: string[] = [];
  #done = 0;
  #tickets: Int32Array | null = null;

  constructor(order: CellsOrder) {
    this.#order = order;
    this.#memory = attachMemory(order.shared);
    this.#check = new Int32Array(order.check);
    this.#random = randomFrom(order.worker);
  }

  run(): CellsReport {
    const works: Record<CellsOrder['work'], () => void> = {
      permits: () => this.#permits(),
      'permits to die with': () => this.#die(),
      tickets: () => this.#drawTickets(),
      counters: () => this.#counters(),
      histogram: () => this.#histogram(),
      breaker: () => this.#breaker(),
      journal: () => this.#journal(),
      'read journal': () => this.#readJournal(),
    };
    works[this.#order.work]();
    return { worker: this.#order.worker, faults: this.#faults, done: this.#done, tickets: this.#tickets };
  }

  #fault(text: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(text);
  }

  #permits(): void {
    const { operations, bound, worker } = this.#order;
    const cell = new PoolCell(this.#memory, 0, worker);
    let held = 0;
    for (let n = 0; n < operations; n++) {
      if (held > 0 && this.#random() % 2 === 0) {
        Atomics.sub(this.#check, CHECK.inside, 1);
        cell.release();
        held--;
      } else if (cell.acquire(bound)) {
        held++;
        this.#done++;
        const inside = Atomics.add(this.#check, CHECK.inside, 1) + 1;
        if (inside > bound) this.#fault(`${inside} permits of ${bound}`);
      }
    }
    for (; held > 0; held--) {
      Atomics.sub(this.#check, CHECK.inside, 1);
      cell.release();
    }
  }

  /** Keeps one permit for good and goes on with others until it is ended. */
  #die(): void {
    const { bound, worker } = this.#order;
    const cell = new PoolCell(this.#memory, 0, worker);
    while (!cell.acquire(bound));
    Atomics.store(this.#check, CHECK.holding, 1);
    for (;;) if (cell.acquire(bound)) cell.release();
  }

  #drawTickets(): void {
    const { operations, worker } = this.#order;
    const cell = new PoolCell(this.#memory, 0, worker);
    const tickets = new Int32Array(operations);
    for (let n = 0; n < operations; n++) {
      const ticket = cell.drawTicket();
      tickets[n] = ticket;
      cell.setOldest(n % 3 === 0 ? 0 : ticket);
      cell.isNext(ticket);
    }
    cell.setOldest(0);
    this.#tickets = tickets;
    this.#done = operations;
  }

  #counters(): void {
    const { operations, worker } = this.#order;
    const stripe = new CounterStripe(this.#memory, worker);
    for (let n = 0; n < operations; n++) {
      stripe.bump(n & 1, COUNTER.exchanges);
      stripe.bump(n & 1, COUNTER.replyBytes, n);
    }
    this.#done = operations;
  }

  #histogram(): void {
    const { operations, worker } = this.#order;
    const own = sharedHistogram(this.#memory, worker, 0);
    for (let n = 0; n < operations; n++) {
      own.record(1 + (n % 10_000));
      if (n % 10_000 !== 9_999) continue;
      // Others are recording: what is read is of some moment, and no nonsense.
      const merged = mergedHistogram(this.#memory, 0);
      const median = merged.percentileUs(50);
      if (!(merged.minUs === 1 && merged.maxUs <= 10_000 && median >= 1 && median <= 10_000))
        this.#fault(`median ${median} between ${merged.minUs} and ${merged.maxUs}`);
    }
    this.#done = operations;
  }

  #breaker(): void {
    const { operations, worker } = this.#order;
    const cell = new BreakerCell(this.#memory, 0, worker, BREAKER_SETTINGS);
    const pending: number[] = [];
    for (let n = 0; n < operations; n++) {
      const nowMs = Atomics.add(this.#check, CHECK.clock, 1) / TURNS_PER_MS;
      if (pending.length < 8 && this.#random() % 2 === 0) {
        const token = cell.permit(nowMs);
        if (token === REFUSED) continue;
        pending.push(token);
        if (cell.isTrial(token)) this.#trial(token, 1);
      } else this.#tell(cell, pending.shift(), nowMs);
    }
    for (const token of pending)
      this.#tell(cell, token, Atomics.load(this.#check, CHECK.clock) / TURNS_PER_MS);
  }

  #tell(cell: BreakerCell, token: number | undefined, nowMs: number): void {
    if (token === undefined) return;
    if (cell.isTrial(token)) this.#trial(token, -1);
    const draw = this.#random() % 8;
    if (draw === 0 && cell.isTrial(token)) cell.undecided(token);
    else if (draw < 4) cell.failed(token, nowMs);
    else cell.succeeded(token);
  }

  /** Counts trials of one half-open time in and out. */
  #trial(token: number, by: number): void {
    const slot = CHECK.trials + ((token >>> 8) % CHECK.trialSlots);
    const under = Atomics.add(this.#check, slot, by) + by;
    if (by > 0) this.#done++;
    if (under > TRIALS) this.#fault(`${under} trials of ${TRIALS}`);
  }

  #journal(): void {
    const { operations, worker } = this.#order;
    const writer = new JournalWriter(this.#memory, worker);
    const entry: JournalEntry = { ...blankEntry(), body: new Uint8Array(300) };
    for (let n = 1; n <= operations; n++) writer.write(entryOf(n, entry));
    Atomics.add(this.#check, CHECK.over, 1);
    this.#done = operations;
  }

  /** Reads all other workers' journals until they have ended; this thread is the last worker, and writes none. */
  #readJournal(): void {
    const writers = this.#order.worker;
    const last = new Float64Array(writers);
    do {
      for (let worker = 0; worker < writers; worker++) {
        const records = readJournal(this.#memory, worker, 64);
        for (const record of records) {
          this.#done++;
          const fault = faultOf(record);
          if (fault !== null) this.#fault(fault);
        }
        const newest = records[0]?.wallMs ?? last[worker] ?? 0;
        if (newest < (last[worker] ?? 0) - this.#memory.plan.journalRecords)
          this.#fault(`the newest record went back from ${last[worker]} to ${newest}`);
        last[worker] = Math.max(last[worker] ?? 0, newest);
      }
    } while (Atomics.load(this.#check, CHECK.over) < writers);
  }
}

declare const self: Worker;

if (!Bun.isMainThread) {
  self.onmessage = ({ data }: MessageEvent<CellsOrder>) => {
    self.postMessage(new Thread(data).run());
  };
}
