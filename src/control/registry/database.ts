// What the registry asks of an SQLite binding, and what its failures mean.
// Called by sqlite.ts; implemented by bun-database.ts and node-database.ts, which differ in nothing else. Promises: plain synchronous calls; values are text, numbers
// and null; whatever a binding throws is sorted by SQLite's own result codes, never by its words.

/** What is put into statements and comes out of them. */
export type SqlValue = string | number | null;
/** One row, by the names of its columns. */
export type Row = Readonly<Record<string, SqlValue>>;

/** A prepared statement. */
export interface Statement {
  run(...values: SqlValue[]): void;
  all(...values: SqlValue[]): readonly Row[];
}

/** One connection to one file. Every call may throw what faultOf() sorts. */
export interface Database {
  /** Runs statements that give nothing back. */
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

/** Opens a file that is there, for reading or for writing as well. */
export type OpenDatabase = (path: string, access: 'read' | 'write') => Database;

/** What a failure means: no room left, locked by somebody else, damaged, not writable, cannot be opened, the disk failed, or a fault of ours. */
export type DatabaseFault = 'full' | 'busy' | 'damaged' | 'read-only' | 'unopened' | 'disk' | 'other';

/** SQLite's primary result codes (sqlite.org/rescode.html). */
const FAULTS: Readonly<Record<number, DatabaseFault>> = {
  3: 'read-only',
  5: 'busy',
  6: 'busy',
  8: 'read-only',
  10: 'disk',
  11: 'damaged',
  13: 'full',
  14: 'unopened',
  26: 'damaged',
};

/** The result code of a failure, extended bits included, or 0. */
function codeOf(thrown: unknown): number {
  if (!(thrown instanceof Error)) return 0;
  for (const key of ['errno', 'errcode']) {
    const code: unknown = Reflect.get(thrown, key);
    if (typeof code === 'number') return code;
  }
  return 0;
}

/** Sorts what a binding threw. */
export function faultOf(thrown: unknown): DatabaseFault {
  // The lower eight bits are the primary code.
  return FAULTS[codeOf(thrown) & 0xff] ?? 'other';
}

/** SQLITE_READONLY_ROLLBACK. */
const UNFINISHED = 776;

/** True when a connection that only reads has found a transaction that its process, killed, left half done: one that writes undoes it. */
export function isUnfinished(thrown: unknown): boolean {
  return codeOf(thrown) === UNFINISHED;
}

/** Runs `body` in one transaction that has the write lock from its first statement on; what it throws undoes everything. */
export function inTransaction<T>(database: Database, body: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    database.exec('COMMIT');
    return result;
  } catch (thrown) {
    rollBack(database);
    throw thrown;
  }
}

/** SQLite has undone some failures by itself (a full disk): then there is nothing to undo, and that is no failure. */
function rollBack(database: Database): void {
  try {
    database.exec('ROLLBACK');
  } catch {
    // The failure that led here is the one to tell of.
  }
}
