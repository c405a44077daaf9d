// The registry in an SQLite file.
// Called by sqlite-open.ts. Promises: store.ts. Writes that are asked for in one turn of the loop, or while the disk is at work, are one transaction with one sync;
// a full disk refuses writes and nothing more; after any other failure of the disk or the file nothing is written any more, and what was read serves on.
import { assert } from '../../base/assert.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock, TimerId } from '../../runtime/runtime.ts';
import { Condition, type Refused, refused } from './condition.ts';
import type { CopyKeeper } from './copy.ts';
import { type Database, faultOf, inTransaction } from './database.ts';
import { Ledger, type Staged } from './ledger.ts';
import type { RegistryState } from './registry.ts';
import {
  dataVersionOf,
  eventOf,
  readServers,
  type Statements,
  statementsOf,
  writeStaged,
} from './sqlite-rows.ts';
import type { Change, RegistryStore, StoredEvent, StoredEvents, StoredServer, Written } from './store.ts';

/** What a store works with. */
export interface SqliteParts {
  /** Null: nothing can be written, and `state` says why. A promise's maker: the file is yet to be made, at the first write or a while after the start. */
  readonly database: Database | (() => Promise<Database>) | null;
  readonly state: RegistryState;
  readonly servers: readonly StoredServer[];
  readonly lastId: number;
  readonly copy: CopyKeeper;
  readonly clock: Clock;
  readonly log: Log;
}

/** A write that waits for its commit. */
interface Asked {
  readonly changes: readonly Change[];
  resolve(written: Written): void;
}

/** Keeps a registry in a file. */
export class SqliteStore implements RegistryStore {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #copy: CopyKeeper;
  readonly #condition: Condition;
  readonly #ledger: Ledger;
  readonly #listeners = new Set<(events: readonly StoredEvent[]) => void>();
  #database: Database | null = null;
  #statements: Statements | null = null;
  #make: (() => Promise<Database>) | null = null;
  #dataVersion = 0;
  readonly #queue: Asked[] = [];
  #isFlushAsked = false;
  #isBeginning = false;
  /** When the first write that finds the file locked gives up; null while none does. */
  #busyUntilMs: number | null = null;
  #lookTimer: TimerId = 0;

  constructor({ database, state, servers, lastId, copy, clock, log }: SqliteParts) {
    this.#condition = new Condition(log, state);
    this.#copy = copy;
    this.#clock = clock;
    this.#log = log;
    this.#ledger = new Ledger(servers, lastId);
    if (typeof database === 'function') {
      this.#make = database;
      this.#lookTimer = clock.after(LIMITS.registryMakeMs, () => void this.#begin());
    } else if (database !== null) this.#take(database);
    // It may be missing, or older than the last changes before a crash.
    if (database !== null && servers.length > 0) this.#touchCopy();
  }

  get state(): RegistryState {
    return this.#condition.state;
  }

  list(): readonly StoredServer[] {
    return this.#ledger.list();
  }

  get(name: string): StoredServer | null {
    return this.#ledger.get(name);
  }

  write(changes: readonly Change[]): Promise<Written> {
    if (this.#database === null && this.#make === null && !this.#isBeginning)
      return Promise.resolve(this.#condition.closed);
    if (this.#queue.length >= LIMITS.registryQueueMax)
      return Promise.resolve(refused('GW_REGISTRY_BUSY', `${LIMITS.registryQueueMax} changes wait already`));
    return new Promise((resolve) => {
      this.#queue.push({ changes, resolve });
      if (this.#database === null) void this.#begin();
      else this.#flushSoon();
    });
  }

  audit(after: number | null, limit: number): StoredEvents {
    const statements = this.#statements;
    if (statements === null) return { items: [], next: null };
    try {
      const rows =
        after === null
          ? statements.newest.all(limit).toReversed()
          : statements.eventsAfter.all(after, limit + 1);
      const isMore = after !== null && rows.length > limit;
      const items = rows.slice(0, limit).map(eventOf);
      return { items, next: isMore ? (items.at(-1)?.id ?? null) : null };
    } catch (thrown) {
      this.#failed(thrown);
      return { items: [], next: null };
    }
  }

  onEvents(callback: (events: readonly StoredEvent[]) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  async close(): Promise<void> {
    this.#clock.cancel(this.#lookTimer);
    while (this.#isBeginning) await this.#pause(1);
    this.#make = null;
    while (this.#queue.length > 0 && this.#database !== null) {
      this.#flush();
      if (this.#busyUntilMs !== null) await this.#pause(LIMITS.registryRetryMs);
    }
    await this.#copy.flush();
    this.#end();
    this.#listeners.clear();
  }

  /** The first write, or the time for it, has come: makes the file. */
  async #begin(): Promise<void> {
    const make = this.#make;
    if (make === null) return;
    this.#make = null;
    this.#isBeginning = true;
    this.#clock.cancel(this.#lookTimer);
    try {
      const database = await make();
      this.#take(database);
      // Another gateway may have been faster, and have written.
      const { servers, lastId } = readServers(database);
      this.#ledger.replace(servers, lastId);
    } catch (thrown) {
      this.#failed(thrown);
    } finally {
      this.#isBeginning = false;
    }
    if (this.#queue.length > 0) this.#flushSoon();
  }

  #take(database: Database): void {
    const statements = statementsOf(database);
    this.#database = database;
    this.#statements = statements;
    this.#dataVersion = dataVersionOf(statements);
    this.#lookLater();
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #flushSoon(): void {
    if (this.#isFlushAsked) return;
    this.#isFlushAsked = true;
    const flush = (): void => {
      this.#isFlushAsked = false;
      this.#flush();
      if (this.#queue.length > 0) this.#flushSoon();
    };
    if (this.#busyUntilMs === null) this.#clock.soon(flush);
    else this.#clock.after(LIMITS.registryRetryMs, flush);
  }

  /** Commits what waits, up to a group's bound. The writers hear of it only after the sync. */
  #flush(): void {
    const database = this.#database;
    const statements = this.#statements;
    if (database === null || statements === null || this.#queue.length === 0) return;
    const group = this.#queue.slice(0, LIMITS.registryGroupMax);
    let outcomes: readonly (Staged | Refused)[];
    try {
      outcomes = inTransaction(database, () => this.#stage(group, statements));
    } catch (thrown) {
      this.#ledger.drop();
      this.#flushFailed(group, thrown);
      return;
    }
    this.#ledger.take();
    this.#busyUntilMs = null;
    this.#queue.splice(0, group.length);
    this.#condition.recovered();
    group.forEach(({ resolve }, at) => {
      const outcome = outcomes[at];
      assert(outcome !== undefined, 'each write of a group has an outcome');
      resolve('ok' in outcome ? outcome : { ok: true, events: outcome.events });
    });
    this.#tell(outcomes.flatMap((outcome) => ('ok' in outcome ? [] : outcome.events)));
  }

  #stage(group: readonly Asked[], statements: Statements): readonly (Staged | Refused)[] {
    // Under the write lock: what another gateway wrote counts from here on.
    this.#takeOthers(statements);
    return group.map(({ changes }) => {
      const staged = this.#ledger.stage(changes, this.#clock.wall());
      if ('ok' in staged) return staged;
      writeStaged(statements, staged);
      return staged;
    });
  }

  #flushFailed(group: readonly Asked[], thrown: unknown): void {
    const now = this.#clock.now();
    if (faultOf(thrown) === 'busy') {
      this.#busyUntilMs ??= now + LIMITS.registryBusyMs;
      if (now < this.#busyUntilMs) return;
    }
    const refusal = this.#failed(thrown);
    this.#busyUntilMs = null;
    this.#queue.splice(0, group.length);
    for (const { resolve } of group) resolve(refusal);
  }

  /** Takes a failure down, and lets go of the file if nothing is to be written to it any more; what to tell the writers. */
  #failed(thrown: unknown): Refused {
    const { refusal, isOver } = this.#condition.failed(thrown);
    if (isOver) {
      this.#end();
      for (const { resolve } of this.#queue.splice(0)) resolve(refusal);
    }
    return refusal;
  }

  /** Lets go of the file. */
  #end(): void {
    this.#clock.cancel(this.#lookTimer);
    const database = this.#database;
    this.#database = null;
    this.#statements = null;
    try {
      database?.close();
    } catch (thrown) {
      this.#log.warn('the registry could not be closed properly', { reason: messageOf(thrown) });
    }
  }

  // ── other gateways on the same file ──────────────────────────────────────────────────────────────────────────────

  #lookLater(): void {
    this.#lookTimer = this.#clock.after(LIMITS.registryLookMs, () => {
      this.#look();
      if (this.#database !== null) this.#lookLater();
    });
  }

  #look(): void {
    const statements = this.#statements;
    if (statements === null || this.#queue.length > 0) return;
    try {
      this.#takeOthers(statements);
    } catch (thrown) {
      if (faultOf(thrown) !== 'busy') this.#failed(thrown);
    }
  }

  /** Takes up what others have written since the last look. */
  #takeOthers(statements: Statements): void {
    const dataVersion = dataVersionOf(statements);
    if (dataVersion === this.#dataVersion) return;
    this.#dataVersion = dataVersion;
    const database = this.#database;
    if (database === null) return;
    const since = this.#ledger.lastId;
    const { servers, lastId } = readServers(database);
    this.#ledger.replace(servers, lastId);
    if (lastId === since) return;
    const { items } = this.audit(since, LIMITS.registryPageMax);
    // In a turn of its own: whoever hears of it may write, and this may be the middle of a transaction.
    this.#clock.soon(() => this.#tell(items));
  }

  #tell(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    this.#touchCopy();
    for (const listener of this.#listeners) listener(events);
  }

  #touchCopy(): void {
    this.#copy.touch(() => ({ servers: this.list(), lastId: this.#ledger.lastId }));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
