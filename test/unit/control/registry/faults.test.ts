// What goes wrong with a registry's file: garbage, missing pieces, a full disk, locks, two gateways at once. Nothing that was committed is lost, and no damaged file is touched.
// Runs control/registry/open.ts and sqlite.ts over real files.
import { afterAll, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openBunDatabase } from '../../../../src/control/registry/bun-database.ts';
import { type Database, faultOf, type OpenDatabase } from '../../../../src/control/registry/database.ts';
import { openStore } from '../../../../src/control/registry/open.ts';
import { copyPathOf, registryPath } from '../../../../src/control/registry/place.ts';
import type { Change, RegistryStore, Written } from '../../../../src/control/registry/store.ts';
import { createLog } from '../../../../src/observe/log.ts';
import { createBunRuntime } from '../../../../src/runtime/bun.ts';

const { files, clock } = createBunRuntime();
const folders: string[] = [];
const stores = new Set<RegistryStore>();

afterAll(async () => {
  for (const store of stores) await store.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
  folders.push(folder);
  return folder;
}

async function openIn(
  folder: string,
  open: OpenDatabase | null = openBunDatabase,
): Promise<RegistryStore & { readonly said: readonly string[] }> {
  const said: string[] = [];
  const log = createLog('info', { write: (line) => said.push(line), wall: () => 0 });
  const store = await openStore({ files, clock, log, open }, folder);
  stores.add(store);
  return Object.assign(store, { said });
}

function put(name: string): Change {
  return { kind: 'put', name, settings: { url: `http://${name}/` }, expect: null, actor: 'tester' };
}

function codeOf(written: Written): string {
  return written.ok ? 'written' : written.code;
}

function namesOf(store: RegistryStore): readonly string[] {
  return store.list().map(({ name }) => name);
}

/** A closed registry with some servers, and its copy. */
async function filled(count = 3): Promise<{ readonly folder: string; readonly path: string }> {
  const folder = folderOf();
  const store = await openIn(folder);
  await store.write(Array.from({ length: count }, (_, i) => put(`s${i}`)));
  await store.close();
  return { folder, path: registryPath(folder) };
}

test('what a process that was killed while it made the file left half done is undone, and the registry is made', async () => {
  const [folder, elsewhere] = [folderOf(), folderOf()];
  const path = registryPath(folder);
  const begun = join(elsewhere, 'begun.db');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(begun, '');
  const database = openBunDatabase(begun, 'write');
  // Room for so few pages that the transaction reaches the file before its end, as at the moment of the kill.
  database.exec('PRAGMA cache_size = 1');
  database.exec('BEGIN IMMEDIATE');
  database.exec('CREATE TABLE half (text TEXT)');
  for (let n = 0; n < 50; n++) database.exec(`INSERT INTO half VALUES ('${'x'.repeat(2_000)}')`);
  for (const ending of ['', '-journal']) copyFileSync(begun + ending, path + ending);
  database.close();
  expect(statSync(path).size).toBeGreaterThan(0);
  const store = await openIn(folder);
  expect(store.state.state).toBe('ok');
  expect(codeOf(await store.write([put('first')]))).toBe('written');
});

describe('a damaged file', () => {
  const hurt: readonly [string, (path: string) => void][] = [
    ['garbage', (path) => writeFileSync(path, 'this is no database '.repeat(500))],
    ['cut in the middle', (path) => truncateSync(path, Math.floor(statSync(path).size / 2))],
    [
      'a page of other bytes',
      (path) => {
        const bytes = readFileSync(path);
        bytes.fill(0xa5, 4096, 8192);
        writeFileSync(path, bytes);
      },
    ],
    [
      'settings that are no JSON',
      (path) => {
        const database = openBunDatabase(path, 'write');
        database.exec("UPDATE server SET settings = 'x' WHERE name = 's1'");
        database.close();
      },
    ],
  ];

  test.each(hurt)('%s: the copy serves, nothing is written, the file stays as it is', async (_, damage) => {
    const { folder, path } = await filled();
    damage(path);
    const before = readFileSync(path);
    const store = await openIn(folder);
    expect(store.state).toMatchObject({ state: 'damaged', path });
    expect(store.state.detail).toContain('move it away');
    expect(namesOf(store)).toEqual(['s0', 's1', 's2']);
    expect(codeOf(await store.write([put('new')]))).toBe('GW_REGISTRY_CLOSED');
    expect(store.audit(null, 9)).toEqual({ items: [], next: null });
    expect(store.said.join('')).toContain('the registry cannot be used');
    await store.close();
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test('moved away, a new one is made of the copy, and numbers go on', async () => {
    const { folder, path } = await filled();
    writeFileSync(path, 'garbage');
    await (await openIn(folder)).close();
    for (const ending of ['', '-wal', '-shm'])
      if (existsSync(path + ending)) renameSync(path + ending, `${path}.old${ending}`);
    const store = await openIn(folder);
    expect(store.state.state).toBe('ok');
    expect(namesOf(store)).toEqual(['s0', 's1', 's2']);
    expect(store.list().map(({ version }) => version)).toEqual([4, 5, 6]);
    expect(store.audit(0, 9).items.map(({ action }) => action)).toEqual(['restore', 'restore', 'restore']);
    expect(store.said.join('')).toContain('made of its copy');
  });

  test('without a copy: nothing serves, and it says so', async () => {
    const { folder, path } = await filled();
    writeFileSync(path, 'garbage');
    rmSync(copyPathOf(path));
    const store = await openIn(folder);
    expect([store.state.state, namesOf(store)]).toEqual(['damaged', []]);
    expect(store.said.join('')).toContain('there is no copy');
  });

  test('of a newer gateway is not touched', async () => {
    const { folder, path } = await filled();
    const database = openBunDatabase(path, 'write');
    database.exec('INSERT INTO migration (version, at_ms) VALUES (99, 0)');
    database.close();
    const before = readFileSync(path);
    const store = await openIn(folder);
    expect(store.state).toMatchObject({ state: 'read-only', detail: expect.stringContaining('newer') });
    expect(namesOf(store)).toEqual(['s0', 's1', 's2']);
    await store.close();
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test('that becomes so while it is open: what was read serves on', async () => {
    const { folder } = await filled();
    let isBroken = false;
    const store = await openIn(folder, (path, access) => {
      const database = openBunDatabase(path, access);
      const broken = (sql: string): void => {
        if (isBroken && sql === 'COMMIT') throw Object.assign(new TypeError('malformed'), { errno: 11 });
        database.exec(sql);
      };
      return { ...database, exec: broken };
    });
    isBroken = true;
    const outcomes = await Promise.all([store.write([put('a')]), store.write([put('b')])]);
    expect(outcomes.map(codeOf)).toEqual(['GW_REGISTRY_CLOSED', 'GW_REGISTRY_CLOSED']);
    expect([store.state.state, namesOf(store)]).toEqual(['damaged', ['s0', 's1', 's2']]);
    const again = await openIn(folder);
    expect([again.state.state, namesOf(again)]).toEqual(['ok', ['s0', 's1', 's2']]);
  });
});

describe('a full disk', () => {
  test('refuses writes, all else goes on, and room makes it well again', async () => {
    const folder = folderOf();
    let opened: Database | null = null;
    const store = await openIn(folder, (path, access) => {
      opened = openBunDatabase(path, access);
      return opened;
    });
    expect(codeOf(await store.write([put('first')]))).toBe('written');
    const limit = (pages: number): void => opened?.exec(`PRAGMA max_page_count = ${pages}`);
    limit(1);
    const big: Change = { ...put('big'), kind: 'put', settings: { url: 'x'.repeat(60_000) } } as Change;
    expect(codeOf(await store.write([big]))).toBe('GW_REGISTRY_FULL');
    expect(store.state).toMatchObject({
      state: 'read-only',
      detail: expect.stringContaining('disk is full'),
    });
    expect(namesOf(store)).toEqual(['first']);
    limit(1_000_000);
    expect(codeOf(await store.write([big]))).toBe('written');
    expect([store.state.state, namesOf(store)]).toEqual(['ok', ['first', 'big']]);
    expect(store.audit(0, 9).items.map(({ id, subject }) => [id, subject])).toEqual([
      [1, 'first'],
      [2, 'big'],
    ]);
  });

  test('a real one', async () => {
    const folder = folderOf();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'sluice', folder]).status === 0;
    if (!mounted)
      return console.log('registry: no file system can be mounted here, a real full disk is not tried');
    try {
      const store = await openIn(folder);
      const kept: string[] = [];
      let refusals = 0;
      for (let i = 0; refusals < 3 && i < 400; i++) {
        const name = `s${i}`;
        const settings = { url: `http://${name}/${'x'.repeat(4000)}` };
        const written = await store.write([{ kind: 'put', name, settings, expect: null, actor: 'tester' }]);
        if (written.ok) kept.push(name);
        else refusals++;
      }
      expect(refusals).toBe(3);
      expect(store.state.state).toBe('read-only');
      expect(namesOf(store)).toEqual(kept);
      await store.close();
      const database = openBunDatabase(registryPath(folder), 'read');
      const rows = database.prepare('SELECT name FROM server').all();
      expect(rows.map(({ name }) => String(name)).sort()).toEqual([...kept].sort());
      database.close();
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  });
});

describe('a place where nothing can be kept', () => {
  test('a data directory that cannot be made', async () => {
    const folder = join(folderOf(), 'file');
    writeFileSync(folder, '');
    const store = await openIn(join(folder, 'data'));
    expect(codeOf(await store.write([put('a')]))).toBe('GW_REGISTRY_CLOSED');
    expect(store.state.state).toBe('read-only');
    expect(namesOf(store)).toEqual([]);
  });

  test('a file that cannot be opened', async () => {
    const folder = folderOf();
    mkdirSync(registryPath(folder));
    const store = await openIn(folder);
    expect(store.state.state).toBe('read-only');
    expect(codeOf(await store.write([put('a')]))).toBe('GW_REGISTRY_CLOSED');
  });

  test('a runtime without SQLite keeps what it is told until it ends', async () => {
    const store = await openIn(folderOf(), null);
    expect(store.state).toMatchObject({ state: 'absent', detail: expect.stringContaining('Node 22.5') });
    expect(codeOf(await store.write([put('a')]))).toBe('written');
  });
});

describe('two gateways on one file', () => {
  test('see what the other one writes, and their conditions hold over both', async () => {
    const folder = folderOf();
    const one = await openIn(folder);
    expect(codeOf(await one.write([put('a')]))).toBe('written');
    const other = await openIn(folder);
    const heard = Promise.withResolvers<string>();
    one.onEvents(([event]) => {
      if (event?.subject === 'b') heard.resolve(event.subject);
    });
    expect(codeOf(await other.write([put('b')]))).toBe('written');
    expect(await heard.promise).toBe('b');
    expect(namesOf(one)).toEqual(['a', 'b']);
    const fresh = (store: RegistryStore): Promise<Written> =>
      store.write([{ ...put('c'), expect: 'new' } as Change]);
    const outcomes = await Promise.all([fresh(one), fresh(other), fresh(one), fresh(other)]);
    expect(outcomes.map(codeOf).sort()).toEqual([...Array(3).fill('GW_REGISTRY_EXISTS'), 'written']);
  });

  test('writing at once lose nothing', async () => {
    const folder = folderOf();
    const pair = [await openIn(folder), await openIn(folder)] as const;
    const rounds = Array.from({ length: 60 }, (_, i) => i);
    await Promise.all(
      pair.map(async (store, at) => {
        for (const i of rounds) expect(codeOf(await store.write([put(`w${at}-${i}`)]))).toBe('written');
      }),
    );
    for (const store of pair) await store.close();
    const store = await openIn(folder);
    expect(store.list()).toHaveLength(2 * rounds.length);
    expect(store.audit(0, 1_000).items.map(({ id }) => id)).toEqual(
      Array.from({ length: 2 * rounds.length }, (_, i) => i + 1),
    );
  });

  test('wait for each other', async () => {
    const { folder, path } = await filled();
    const store = await openIn(folder);
    const lock = openBunDatabase(path, 'write');
    lock.exec('BEGIN IMMEDIATE');
    const written = store.write([put('late')]);
    await Bun.sleep(60);
    expect(store.get('late')).toBeNull();
    lock.exec('COMMIT');
    lock.close();
    expect(codeOf(await written)).toBe('written');
  });
});

describe('the file', () => {
  test('and its copy are for this user alone', async () => {
    const { path } = await filled();
    for (const one of [path, copyPathOf(path)]) expect(statSync(one).mode & 0o777).toBe(0o600);
  });

  test('refuses changes of events', async () => {
    const { path } = await filled();
    const database = openBunDatabase(path, 'write');
    expect(() => database.exec("UPDATE event SET actor = 'x'")).toThrow('events are not changed');
    expect(() => database.exec('DELETE FROM event')).toThrow('events are not deleted');
    expect(database.prepare('SELECT count(*) AS n FROM event').all()).toEqual([{ n: 3 }]);
    database.close();
  });

  test('its copy follows changes, and is written when it is closed', async () => {
    const folder = folderOf();
    const store = await openIn(folder);
    await store.write([put('a')]);
    await store.close();
    expect(JSON.parse(readFileSync(copyPathOf(registryPath(folder)), 'utf8'))).toMatchObject({
      lastId: 1,
      servers: [{ name: 'a', version: 1 }],
    });
  });

  test('failures are sorted by their codes', () => {
    const faults = [
      { errno: 13 },
      { errcode: 266 },
      { errno: 5 },
      { errno: 517 },
      { errcode: 26 },
      { errno: 1 },
      {},
    ];
    expect(faults.map((fields) => faultOf(Object.assign(new TypeError(''), fields)))).toEqual([
      ...(['full', 'disk', 'busy', 'busy', 'damaged', 'other', 'other'] as const),
    ]);
    expect(faultOf('text')).toBe('other');
  });
});
