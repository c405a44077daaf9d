// The keys of session ids: made once, kept, replaced in time, and never a reason not to serve.
// Runs control/keys.ts over the simulated runtime's files and clock, and over real files in a temporary folder. Promises: no lock file is left behind.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIMITS } from '../../../src/base/limits.ts';
import { KeyKeeper, type KeyTools } from '../../../src/control/keys.ts';
import { createLog, SILENT } from '../../../src/observe/log.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import type { Files } from '../../../src/runtime/runtime.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import type { KeyRing } from '../../../src/snapshot.ts';

const DIR = '/data/sluice';
const FILE = `${DIR}/keys.json`;
const DAY = 24 * 60 * 60_000;

interface Written {
  readonly version: number;
  readonly keys: readonly { readonly id: number; readonly madeAtMs: number; readonly key: string }[];
}

/** One machine: keepers started on it share its files and its clock. */
function machine(change: (files: Files) => Partial<Files> = () => ({})) {
  const sim = createSimRuntime({ seed: 11 });
  const logged: string[] = [];
  const tools: KeyTools = {
    ...sim,
    files: { ...sim.files, ...change(sim.files) },
    log: createLog('debug', { write: (line) => logged.push(line), wall: () => 0 }),
  };
  const keeper = (folder: string | null = DIR): KeyKeeper => new KeyKeeper(tools, folder);
  const start = (folder?: string | null): Promise<KeyRing> => keeper(folder).refresh();
  const written = async (): Promise<Written> => JSON.parse(await sim.files.readText(FILE)) as Written;
  const warnings = (): string[] => logged.filter((line) => line.includes('"level":"warn"'));
  return { sim, logged, keeper, start, written, warnings };
}

const ids = (ring: KeyRing): number[] => [...ring.older, ring.current].map((key) => key.id);

describe('one gateway', () => {
  test('makes a key at its first start and has the same at the next', async () => {
    const { start, written, logged } = machine();
    const first = await start();
    expect([ids(first), first.current.bytes.length]).toEqual([[1], 32]);
    expect(await start()).toEqual(first);
    const { version, keys } = await written();
    expect([version, keys.length]).toEqual([1, 1]);
    expect(Buffer.from(keys[0]?.key ?? '', 'base64url')).toEqual(Buffer.from(first.current.bytes));
    expect(logged).toEqual([]);
  });

  test('without a folder has a key of its own each time, and says nothing', async () => {
    const { start, logged, sim } = machine();
    expect((await start(null)).current.bytes).not.toEqual((await start(null)).current.bytes);
    expect([logged, await sim.files.exists(FILE)]).toEqual([[], false]);
  });

  test('a new key becomes current after 30 days; the old one opens for 60 more and is then forgotten', async () => {
    const { sim, start, written } = machine();
    const first = await start();
    await sim.advance(LIMITS.sealKeyCurrentMs - 1);
    expect(await start()).toEqual(first);
    await sim.advance(1);
    const second = await start();
    expect([ids(second), second.older]).toEqual([[1, 2], [first.current]]);
    await sim.advance(LIMITS.sealKeyCurrentMs);
    expect(ids(await start())).toEqual([1, 2, 3]);
    await sim.advance(LIMITS.sealKeyKeptMs - LIMITS.sealKeyCurrentMs - 1);
    expect(ids(await start())).toEqual([1, 2, 3]);
    await sim.advance(1);
    expect(ids(await start())).toEqual([2, 3, 4]);
    expect((await written()).keys.map((key) => key.id)).toEqual([2, 3, 4]);
  });

  test('a key that sealed until long after its time is kept from when it was replaced', async () => {
    const { sim, start } = machine();
    await start();
    await sim.advance(400 * DAY);
    expect(ids(await start())).toEqual([1, 2]);
  });

  test('ids go round within a byte and are never shared', async () => {
    const { sim, start } = machine();
    const madeAtMs = sim.clock.wall() - 30 * DAY;
    const key = Buffer.alloc(32, 7).toString('base64url');
    const keys = [1, 255].map((id) => ({ id, madeAtMs, key }));
    await sim.files.writeText(FILE, JSON.stringify({ version: 1, keys }));
    expect(ids(await start())).toEqual([1, 255, 2]);
  });

  test('while it runs: a change is handed over once, and nothing where nothing changed', async () => {
    const { sim, keeper } = machine();
    const one = keeper();
    await one.refresh();
    const rings: number[][] = [];
    one.watch((ring) => rings.push(ids(ring)));
    await sim.advance(29 * DAY);
    expect(rings).toEqual([]);
    await sim.advance(2 * DAY);
    expect(rings).toEqual([[1, 2]]);
    // Another gateway replaces the key: this one takes it over.
    await sim.advance(LIMITS.sealKeyCurrentMs - DAY - 1);
    one.close();
    await sim.advance(40 * DAY);
    expect(rings.length).toBe(1);
  });
});

describe('gateways that start together', () => {
  test('end up with one key, whoever is faster; no lock is left', async () => {
    for (let count = 2; count <= 9; count++) {
      const { sim, start, written } = machine((files) => ({
        // Every step takes a turn of its own, so that they meet in all places.
        readText: async (path) => {
          await Promise.resolve();
          return files.readText(path);
        },
        createPrivate: async (path, text) => {
          await Promise.resolve();
          return files.createPrivate(path, text);
        },
      }));
      const starting = Array.from({ length: count }, () => start());
      await sim.advance(1_000);
      const rings = await Promise.all(starting);
      for (const ring of rings) expect(ring).toEqual(rings[0] as KeyRing);
      expect((await written()).keys.length).toBe(1);
      expect([await sim.files.exists(`${FILE}.lock`), await sim.files.exists(`${FILE}.new`)]).toEqual([
        false,
        false,
      ]);
    }
  });

  test('replace a key once', async () => {
    const { sim, start, written } = machine();
    await start();
    await sim.advance(31 * DAY);
    const starting = [start(), start(), start()];
    await sim.advance(1_000);
    for (const ring of await Promise.all(starting)) expect(ids(ring)).toEqual([1, 2]);
    expect((await written()).keys.length).toBe(2);
  });

  test('a lock and a draft that a killed gateway left behind are removed after a while', async () => {
    const { sim, start, logged } = machine();
    await sim.files.createPrivate(`${FILE}.lock`, '');
    await sim.files.createPrivate(`${FILE}.new`, '{"version":1,"ke');
    const starting = start();
    await sim.advance(LIMITS.sealKeyLockMs + 100);
    const ring = await starting;
    expect(await start()).toEqual(ring);
    expect(logged.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'a lock that was left behind is removed',
    ]);
    expect(await sim.files.exists(`${FILE}.lock`)).toBe(false);
  });
});

describe('a file that cannot be used', () => {
  const good = { id: 1, madeAtMs: 1_767_225_600_000, key: Buffer.alloc(32, 1).toString('base64url') };
  const damaged: Readonly<Record<string, string>> = {
    empty: '',
    cut: '{"version":1,"keys":[{"id":1,',
    'no object': '[]',
    'no version': JSON.stringify({ keys: [good] }),
    'a later version': JSON.stringify({ version: 2, keys: [good] }),
    'no key': JSON.stringify({ version: 1, keys: [] }),
    'no list': JSON.stringify({ version: 1, keys: good }),
    'a short key': JSON.stringify({ version: 1, keys: [{ ...good, key: 'AAAA' }] }),
    'no base64': JSON.stringify({ version: 1, keys: [{ ...good, key: '*'.repeat(43) }] }),
    'two of one id': JSON.stringify({ version: 1, keys: [good, good] }),
    'an id beyond a byte': JSON.stringify({ version: 1, keys: [{ ...good, id: 256 }] }),
    'an id that is none': JSON.stringify({ version: 1, keys: [{ ...good, id: '1' }] }),
    'no date': JSON.stringify({ version: 1, keys: [{ ...good, madeAtMs: 'yesterday' }] }),
    'null as a key': JSON.stringify({ version: 1, keys: [null] }),
    'too many': JSON.stringify({
      version: 1,
      keys: Array.from({ length: LIMITS.sealKeysMax + 1 }, (_, id) => ({ ...good, id })),
    }),
  };
  for (const [name, text] of Object.entries(damaged))
    test(`${name}: one warning without a secret, keys in memory, the file as it was`, async () => {
      const { sim, start, warnings } = machine();
      await sim.files.writeText(FILE, text);
      const ring = await start();
      expect(ids(ring)).toEqual([1]);
      expect(warnings().length).toBe(1);
      expect(warnings()[0]).toContain(FILE);
      expect(warnings()[0]).toContain('damaged');
      expect(warnings()[0]).not.toContain(good.key);
      expect(await sim.files.readText(FILE)).toBe(text);
    });

  const failing = (code: string) => (): Promise<never> =>
    Promise.reject(Object.assign(new Error(code), { code }));

  test('unreadable, or in a folder that cannot be made or written: a warning that says why', async () => {
    const rows: readonly [Partial<Files>, string][] = [
      [{ readText: failing('EACCES') }, 'no permission'],
      [{ readText: failing('EISDIR') }, 'EISDIR'],
      [{ makePrivateFolder: failing('EROFS') }, 'read-only'],
      [{ makePrivateFolder: () => Promise.reject(new TypeError('odd')) }, 'unknown'],
      [{ createPrivate: failing('ENOSPC') }, 'ENOSPC'],
      [{ rename: failing('EPERM') }, 'no permission'],
    ];
    for (const [fault, said] of rows) {
      const { start, warnings, sim } = machine(() => fault);
      expect(ids(await start())).toEqual([1]);
      expect(warnings().length).toBe(1);
      expect(warnings()[0]).toContain(said);
      expect(await sim.files.exists(`${FILE}.lock`)).toBe(false);
    }
  });

  test('readable but not to be replaced: what it holds still opens', async () => {
    const one = machine();
    const before = await one.start();
    const text = await one.sim.files.readText(FILE);
    const { sim, keeper, warnings } = machine(() => ({ createPrivate: failing('EROFS') }));
    await sim.files.writeText(FILE, text);
    await sim.advance(31 * DAY);
    const held = keeper();
    const ring = await held.refresh();
    expect([ring.older, ids(ring), warnings().length]).toEqual([[before.current], [1, 2], 1]);
    // From now on it stands alone: the key that it made is in no file.
    expect(await held.refresh()).toEqual(ring);
    expect(warnings().length).toBe(1);
  });

  test('gone wrong while the gateway runs: it goes on with what it has', async () => {
    let broken = false;
    const { sim, keeper, warnings } = machine((files) => ({
      readText: (path) => (broken ? failing('EIO')() : files.readText(path)),
    }));
    const one = keeper();
    const ring = await one.refresh();
    broken = true;
    expect(await one.refresh()).toEqual(ring);
    expect(warnings().length).toBe(1);
    broken = false;
    await sim.advance(31 * DAY);
    expect(ids(await one.refresh())).toEqual([1, 2]);
  });
});

describe('real files', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('are for this user alone; a second start reads them; nothing else is left', async () => {
    const dir = join(folder, 'a', 'b');
    const runtime = createBunRuntime();
    const start = (): Promise<KeyRing> => new KeyKeeper({ ...runtime, log: SILENT }, dir).refresh();
    const rings = await Promise.all([start(), start(), start(), start()]);
    expect(new Set(rings.map((ring) => Buffer.from(ring.current.bytes).toString('hex'))).size).toBe(1);
    expect(await start()).toEqual(rings[0] as KeyRing);
    expect(readdirSync(dir)).toEqual(['keys.json']);
    expect([statSync(dir).mode & 0o777, statSync(join(dir, 'keys.json')).mode & 0o777]).toEqual([
      0o700, 0o600,
    ]);
    expect(readFileSync(join(dir, 'keys.json'), 'utf8')).toStartWith('{\n  "version": 1,\n');
  });

  test('a path that is a file, and one below a file: served all the same', async () => {
    const runtime = createBunRuntime();
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const dir of [file, join(file, 'below')]) {
      const ring = await new KeyKeeper({ ...runtime, log: SILENT }, dir).refresh();
      expect(ids(ring)).toEqual([1]);
    }
    expect(readFileSync(file, 'utf8')).toBe('');
  });
});
