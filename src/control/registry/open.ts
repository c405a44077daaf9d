// Opens the registry of a data directory, whatever state it is in.
// Called by cli/serve.ts on the main thread. Promises: never rejects: what cannot be used is said in the store's state and in the log, and the copy beside it stands in;
// a file that is missing while there is a copy is made of the copy; a file that is damaged is not touched.
import type { Log } from '../../observe/log.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { damagedText } from './condition.ts';
import { type CopiedServers, CopyKeeper, readCopy } from './copy.ts';
import { type Database, faultOf, inTransaction, type OpenDatabase } from './database.ts';
import { Ledger } from './ledger.ts';
import { MemoryStore } from './memory-store.ts';
import { copyPathOf, hasRegistry, registryPath } from './place.ts';
import type { RegistryState } from './registry.ts';
import { SqliteStore } from './sqlite.ts';
import { FileRefused, inspectFile, openFile } from './sqlite-file.ts';
import { readServers, statementsOf, writeStaged } from './sqlite-rows.ts';
import type { RegistryStore } from './store.ts';

/** What opening takes of the world. */
export interface StoreTools extends Pick<Runtime, 'files' | 'clock'> {
  readonly log: Log;
  /** Null: this runtime has no SQLite. */
  readonly open: OpenDatabase | null;
}

/** What opens SQLite's files on a runtime; null where it cannot. */
export async function databasesOf(runtime: Runtime['name']): Promise<OpenDatabase | null> {
  if (runtime === 'sim') return null;
  if (runtime === 'bun') return (await import('./bun-database.ts')).openBunDatabase;
  return (await import('./node-database.ts')).nodeDatabases();
}

/** Opens the registry of a data directory; null: there is none. */
export async function openStore(tools: StoreTools, dataDir: string | null): Promise<RegistryStore> {
  const { clock, open } = tools;
  const wall = (): number => clock.wall();
  if (dataDir === null)
    return new MemoryStore(wall, 'nothing is kept: set dataDir, or HOME in the environment');
  if (open === null)
    return new MemoryStore(wall, 'nothing is kept: this needs node:sqlite, so Node 22.5 or newer, or Bun');
  const path = registryPath(dataDir);
  try {
    return await openSound({ ...tools, open }, dataDir);
  } catch (thrown) {
    return standIn(tools, stateOf(path, thrown));
  }
}

type SoundTools = StoreTools & { readonly open: OpenDatabase };

async function openSound(tools: SoundTools, dataDir: string): Promise<RegistryStore> {
  const { files, clock, log, open } = tools;
  const path = registryPath(dataDir);
  if (!(await hasRegistry(files, dataDir)))
    return storeOf(tools, {
      path,
      database: () => make(tools, dataDir),
      state: sound(path),
      servers: [],
      lastId: 0,
    });
  const isNew = !(await files.exists(path)) || inspectFile(open, path);
  const copied = isNew ? await readCopy(files, path) : null;
  const database = await make(tools, dataDir);
  try {
    if (copied !== null && copied.servers.length > 0) restore(database, copied, clock.wall());
    const { servers, lastId } = readServers(database);
    if (copied !== null)
      log.warn('the registry was missing and is made of its copy', {
        file: path,
        copy: copyPathOf(path),
        servers: servers.length,
      });
    return storeOf(tools, { path, database, state: sound(path), servers, lastId });
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

function sound(path: string): RegistryState {
  return { state: 'ok', path, detail: '' };
}

/** Opens the file for writing; makes it, and the folder, when they are missing. */
async function make({ files, clock, open }: SoundTools, dataDir: string): Promise<Database> {
  const path = registryPath(dataDir);
  await files.makePrivateFolder(dataDir);
  await files.createPrivate(path, '').catch(ignoreExisting);
  return openFile(open, path, clock.wall());
}

/** The copy serves, and nothing is written. */
async function standIn(tools: StoreTools, state: RegistryState): Promise<RegistryStore> {
  const path = state.path ?? '';
  const copied = await readCopy(tools.files, path);
  tools.log.error('the registry cannot be used', {
    state: state.state,
    file: path,
    reason: state.detail,
    servesInstead: copied === null ? 'nothing: there is no copy' : `the copy ${copyPathOf(path)}`,
  });
  const { servers, lastId } = copied ?? { servers: [], lastId: 0 };
  return storeOf(tools, { path, database: null, state, servers, lastId });
}

function storeOf(
  { files, clock, log }: StoreTools,
  found: CopiedServers & {
    readonly path: string;
    readonly database: Database | (() => Promise<Database>) | null;
    readonly state: RegistryState;
  },
): RegistryStore {
  const copy = new CopyKeeper({ files, clock, log }, found.path);
  return new SqliteStore({ ...found, copy, clock, log });
}

/** Puts what a copy holds into a new file, each server with an event. */
function restore(database: Database, { servers, lastId }: CopiedServers, wallMs: number): void {
  // Numbers go on where they were: a version is never used twice.
  const staged = new Ledger([], lastId).stage(
    servers.map(({ name, settings }) => ({
      kind: 'put',
      name,
      settings,
      expect: null,
      actor: 'gateway',
      action: 'restore',
    })),
    wallMs,
  );
  if (!('ok' in staged)) inTransaction(database, () => writeStaged(statementsOf(database), staged));
}

function ignoreExisting(thrown: unknown): void {
  if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST')) throw thrown;
}

function stateOf(path: string, thrown: unknown): RegistryState {
  if (thrown instanceof FileRefused)
    return thrown.trouble === 'damaged'
      ? { state: 'damaged', path, detail: `${thrown.detail}; ${damagedText(path)}` }
      : { state: 'read-only', path, detail: `${thrown.detail}: use the newer gateway` };
  const fault = faultOf(thrown);
  if (fault === 'damaged') return { state: 'damaged', path, detail: damagedText(path) };
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    state: 'read-only',
    path,
    detail: `it cannot be opened for writing (${reason}): mend that, then restart the gateway`,
  };
}
