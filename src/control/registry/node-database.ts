// SQLite as Node brings it (node:sqlite, from 22.5 on).
// Called by drivers.ts where the runtime is Node. Promises: database.ts.
import type { DatabaseSync } from 'node:sqlite';
import type { Database, OpenDatabase, Row, SqlValue, Statement } from './database.ts';

/** What opens files with Node's SQLite; null where this Node has none. */
export async function nodeDatabases(): Promise<OpenDatabase | null> {
  try {
    const { DatabaseSync: Connection } = await import('node:sqlite');
    return (path, access) => wrap(new Connection(path, { readOnly: access === 'read' }));
  } catch {
    return null;
  }
}

function wrap(connection: DatabaseSync): Database {
  return {
    exec: (sql) => connection.exec(sql),
    prepare(sql): Statement {
      const statement = connection.prepare(sql);
      return {
        run: (...values) => {
          statement.run(...values);
        },
        all: (...values) => statement.all(...values).map(plain),
      };
    },
    close: () => connection.close(),
  };
}

/** A row holds what was put in: text, numbers and null. */
function plain(row: object): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]): [string, SqlValue] => [
      name,
      typeof value === 'string' || typeof value === 'number' ? value : null,
    ]),
  );
}
