// Servers and events as rows of the registry's file.
// Called by sqlite.ts and sqlite-open.ts. Promises: what is written comes out as it went in; a row that was not written by us is damage (FileRefused).
import type { Database, Row, Statement } from './database.ts';
import type { Staged } from './ledger.ts';
import type { Mapping } from './registry.ts';
import { isMapping, numberOf, parsed, textOf } from './rows.ts';
import { damaged } from './sqlite-file.ts';
import type { StoredEvent, StoredServer } from './store.ts';

/** Every server of a file, and the number of its last event. */
export function readServers(database: Database): {
  readonly servers: readonly StoredServer[];
  readonly lastId: number;
} {
  const rows = database.prepare('SELECT name, place, version, settings, changed_at_ms FROM server').all();
  const servers = rows.map((row) => ({
    name: textOf(row, 'name'),
    place: numberOf(row, 'place'),
    version: numberOf(row, 'version'),
    settings: settingsOf(textOf(row, 'settings')),
    changedAtMs: numberOf(row, 'changed_at_ms'),
  }));
  const lastId = numberOf(database.prepare('SELECT max(id) AS id FROM event').all()[0], 'id');
  return { servers, lastId };
}

/** A JSON object; what is none was not written by us. */
function settingsOf(text: string): Mapping {
  const value: unknown = parsed(text);
  if (isMapping(value)) return value;
  throw damaged('the settings of a server are no JSON object');
}

/** Everything that is said to the file over and over. */
export interface Statements {
  readonly addEvent: Statement;
  readonly putServer: Statement;
  readonly removeServer: Statement;
  readonly eventsAfter: Statement;
  readonly newest: Statement;
  readonly dataVersion: Statement;
}

/** Prepares them. */
export function statementsOf(database: Database): Statements {
  const columns = 'id, at_ms, actor, action, subject, before, after';
  return {
    addEvent: database.prepare(`INSERT INTO event (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`),
    putServer: database.prepare(
      'INSERT OR REPLACE INTO server (name, place, version, settings, changed_at_ms) VALUES (?, ?, ?, ?, ?)',
    ),
    removeServer: database.prepare('DELETE FROM server WHERE name = ?'),
    eventsAfter: database.prepare(`SELECT ${columns} FROM event WHERE id > ? ORDER BY id LIMIT ?`),
    newest: database.prepare(`SELECT ${columns} FROM event ORDER BY id DESC LIMIT ?`),
    dataVersion: database.prepare('PRAGMA data_version'),
  };
}

/** Differs from before when another connection has written (sqlite.org/pragma.html#pragma_data_version). */
export function dataVersionOf({ dataVersion }: Statements): number {
  return numberOf(dataVersion.all()[0], 'data_version');
}

/** Writes what a change comes to, inside a transaction. */
export function writeStaged({ addEvent, putServer, removeServer }: Statements, staged: Staged): void {
  for (const { id, atMs, actor, action, subject, before, after } of staged.events)
    addEvent.run(id, atMs, actor, action, subject, textOrNull(before), textOrNull(after));
  for (const [name, server] of staged.servers) {
    if (server === null) removeServer.run(name);
    else {
      const { place, version, settings, changedAtMs } = server;
      putServer.run(name, place, version, JSON.stringify(settings), changedAtMs);
    }
  }
}

function textOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** An event of its row. */
export function eventOf(row: Row): StoredEvent {
  return {
    id: numberOf(row, 'id'),
    atMs: numberOf(row, 'at_ms'),
    actor: textOf(row, 'actor'),
    action: textOf(row, 'action'),
    subject: textOf(row, 'subject'),
    before: parsed(textOf(row, 'before')),
    after: parsed(textOf(row, 'after')),
  };
}
