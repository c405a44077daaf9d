// SQLite as it is compiled into Bun.
// Called by drivers.ts, on Bun only. Promises: database.ts.
import { Database as BunSqlite } from 'bun:sqlite';
import type { Database, Row, SqlValue, Statement } from './database.ts';

/** Opens a file with Bun's SQLite. */
export function openBunDatabase(path: string, access: 'read' | 'write'): Database {
  const connection = new BunSqlite(path, access === 'read' ? { readonly: true } : { readwrite: true });
  const ends: (() => void)[] = [];
  return {
    exec: (sql) => {
      connection.run(sql);
    },
    prepare(sql): Statement {
      const statement = connection.prepare<Row, SqlValue[]>(sql);
      ends.push(() => statement.finalize());
      return {
        run: (...values) => {
          statement.run(...values);
        },
        all: (...values) => statement.all(...values),
      };
    },
    close() {
      // With a statement left the connection stays open behind the scenes, and the log beside the file is not folded into it.
      for (const end of ends.splice(0)) end();
      connection.close();
    },
  };
}
