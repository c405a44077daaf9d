// The registry's file: opened, checked, brought to the present form.
// Called by sqlite-open.ts and sqlite.ts. Promises: a file that is damaged, or of a newer version, is left as it is, byte for byte; a migration happens whole or not at all; tables of
// events refuse every change and every deletion.
import { GatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { type Database, inTransaction, isUnfinished, type OpenDatabase } from './database.ts';
import { numberOf } from './rows.ts';

/** What brings a file from each version to the next: the first makes it. Entries are never changed, only added. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE server (
     name TEXT PRIMARY KEY,
     place INTEGER NOT NULL,
     version INTEGER NOT NULL,
     settings TEXT NOT NULL,
     changed_at_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE event (
     id INTEGER PRIMARY KEY,
     at_ms INTEGER NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     subject TEXT NOT NULL,
     before TEXT,
     after TEXT
   ) STRICT;
   CREATE TRIGGER event_stays BEFORE UPDATE ON event
     BEGIN SELECT RAISE(ABORT, 'events are not changed'); END;
   CREATE TRIGGER event_remains BEFORE DELETE ON event
     BEGIN SELECT RAISE(ABORT, 'events are not deleted'); END;`,
];

/** Why a file cannot be used. */
export type FileTrouble = 'damaged' | 'newer';

/** Thrown besides what the binding throws: GW_REGISTRY_CLOSED, with what is the matter in words. */
export class FileRefused extends GatewayError {
  readonly trouble: FileTrouble;

  constructor(trouble: FileTrouble, detail: string) {
    super('GW_REGISTRY_CLOSED', detail);
    this.trouble = trouble;
  }
}

/**
 * Looks at a file, which may be empty, without changing a byte of it; true when it holds nothing yet. Throws FileRefused, or what the binding throws. Who was killed
 * while the file was made, before it had its write-ahead log, left a transaction half done, and nobody can read it: that one is undone.
 */
export function inspectFile(open: OpenDatabase, path: string): boolean {
  try {
    // A connection that writes would tidy up when it is closed.
    return look(open(path, 'read'));
  } catch (thrown) {
    if (!isUnfinished(thrown)) throw thrown;
    // It undoes that by itself as it first reads.
    return look(open(path, 'write'));
  }
}

function look(database: Database): boolean {
  try {
    database.exec(`PRAGMA busy_timeout = ${LIMITS.registryBusyMs}`);
    const version = versionOf(database);
    if (version > MIGRATIONS.length) throw newer(version);
    if (version > 0) verify(database);
    return version === 0;
  } finally {
    database.close();
  }
}

/** Opens a file that was looked at, and brings it to the present form. Throws FileRefused, or what the binding throws. */
export function openFile(open: OpenDatabase, path: string, wallMs: number): Database {
  const database = open(path, 'write');
  try {
    database.exec(`PRAGMA busy_timeout = ${LIMITS.registryBusyMs}`);
    database.exec('PRAGMA journal_mode = WAL');
    // FULL: a commit is on the disk before it is told of. The schema of a file is not to call functions.
    database.exec('PRAGMA synchronous = FULL');
    database.exec('PRAGMA trusted_schema = OFF');
    if (versionOf(database) < MIGRATIONS.length) migrate(database, wallMs);
    database.exec(`PRAGMA busy_timeout = ${LIMITS.registryLockMs}`);
    return database;
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

/** A file that holds what was not written there by us. */
export function damaged(detail: string): FileRefused {
  return new FileRefused('damaged', detail);
}

function newer(version: number): FileRefused {
  return new FileRefused('newer', `it has version ${version}, and this gateway knows ${MIGRATIONS.length}`);
}

function versionOf(database: Database): number {
  const made = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").all();
  if (made.length === 0) return 0;
  return numberOf(database.prepare('SELECT max(version) AS version FROM migration').all()[0], 'version');
}

/** Throws FileRefused when the file holds what SQLite did not write there. */
function verify(database: Database): void {
  const pages = numberOf(database.prepare('PRAGMA page_count').all()[0], 'page_count');
  const pageBytes = numberOf(database.prepare('PRAGMA page_size').all()[0], 'page_size');
  const bytes = pages * pageBytes;
  const check =
    bytes <= LIMITS.registryCheckWholeBytesMax
      ? 'PRAGMA integrity_check(1)'
      : bytes <= LIMITS.registryCheckQuickBytesMax
        ? 'PRAGMA quick_check(1)'
        : "PRAGMA quick_check('server')";
  const [first] = database.prepare(check).all();
  const found = Object.values(first ?? {})[0];
  if (found !== 'ok') throw damaged(`SQLite says: ${String(found).slice(0, 200)}`);
}

function migrate(database: Database, wallMs: number): void {
  inTransaction(database, () => {
    database.exec(
      'CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT',
    );
    // Under the lock: another gateway may have been faster.
    const present = versionOf(database);
    if (present > MIGRATIONS.length) throw newer(present);
    for (const [at, statements] of MIGRATIONS.entries()) {
      if (at < present) continue;
      database.exec(statements);
      database.prepare('INSERT INTO migration (version, at_ms) VALUES (?, ?)').run(at + 1, wallMs);
    }
  });
}
