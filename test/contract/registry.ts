// What every store of the registry promises: reads, conditions, events, writes together.
// Called by registry.test.ts, and inside Node by runtime-node.ts, for each implementation. Promises: only the contract of src/control/registry/store.ts is used; what is kept over a restart is asked of those that say so.
import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenDatabase } from '../../src/control/registry/database.ts';
import { openStore } from '../../src/control/registry/open.ts';
import type { Change, RegistryStore, StoredEvent, Written } from '../../src/control/registry/store.ts';
import { SILENT } from '../../src/observe/log.ts';
import type { Runtime } from '../../src/runtime/runtime.ts';

/** One implementation: a place for a store, opened as often as asked. */
export interface StorePlace {
  /** Opens what is there. */
  open(): Promise<RegistryStore>;
  /** True when a store that is opened again has what was written before. */
  readonly isKept: boolean;
  remove(): void;
}

/** Places for files of one SQLite binding. */
export function inFile(
  { files, clock }: Pick<Runtime, 'files' | 'clock'>,
  open: OpenDatabase,
): () => StorePlace {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
    return {
      isKept: true,
      open: () => openStore({ files, clock, log: SILENT, open }, folder),
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  };
}

const ACTOR = 'tester';

function put(name: string, url: string, expect: number | 'new' | null = null): Change {
  return { kind: 'put', name, settings: { url }, expect, actor: ACTOR };
}

function remove(name: string, expect: number | null = null): Change {
  return { kind: 'remove', name, expect, actor: ACTOR };
}

function idsOf(written: Written): readonly number[] {
  if (!written.ok) throw new TypeError(`${written.code}: ${written.detail}`);
  return written.events.map(({ id }) => id);
}

function codeOf(written: Written): string {
  return written.ok ? 'written' : written.code;
}

/** Runs the suite. */
export function storeContract(what: string, placeOf: () => StorePlace): void {
  describe(`registry store: ${what}`, () => {
    let place = placeOf();
    let store: RegistryStore;
    const opened: { store: RegistryStore; place: StorePlace }[] = [];
    const open = async (): Promise<RegistryStore> => {
      const fresh = await place.open();
      opened.push({ store: fresh, place });
      return fresh;
    };
    beforeEach(async () => {
      place = placeOf();
      store = await open();
    });
    afterAll(async () => {
      for (const one of opened) await one.store.close();
      for (const one of opened) one.place.remove();
    });

    test('a new one is empty and says how it is', () => {
      expect(store.list()).toEqual([]);
      expect(store.get('a')).toBeNull();
      expect(store.audit(null, 10)).toEqual({ items: [], next: null });
      expect(store.state.state).toBe(place.isKept ? 'ok' : 'absent');
      expect(store.state.detail === '').toBe(place.isKept);
    });

    test('what is put can be read, in the order in which it came', async () => {
      await store.write([put('b', 'http://b')]);
      await store.write([put('a', 'http://a')]);
      await store.write([put('b', 'http://b2')]);
      expect(store.list().map(({ name, settings }) => [name, settings])).toEqual([
        ['b', { url: 'http://b2' }],
        ['a', { url: 'http://a' }],
      ]);
      expect(store.get('b')).toMatchObject({ name: 'b', version: 3, place: 1 });
    });

    test('one that was removed and came again is the newest, with a version of its own', async () => {
      await store.write([put('a', 'http://a')]);
      await store.write([put('b', 'http://b')]);
      await store.write([remove('a')]);
      expect(store.list().map(({ name }) => name)).toEqual(['b']);
      await store.write([put('a', 'http://a')]);
      expect(store.list().map(({ name, version }) => [name, version])).toEqual([
        ['b', 2],
        ['a', 4],
      ]);
      expect(codeOf(await store.write([put('a', 'http://x', 1)]))).toBe('GW_REGISTRY_VERSION');
    });

    test('conditions decide', async () => {
      expect(codeOf(await store.write([remove('a')]))).toBe('GW_REGISTRY_UNKNOWN');
      expect(codeOf(await store.write([put('a', 'http://a', 7)]))).toBe('GW_REGISTRY_UNKNOWN');
      const [version = 0] = idsOf(await store.write([put('a', 'http://a', 'new')]));
      expect(codeOf(await store.write([put('a', 'http://b', 'new')]))).toBe('GW_REGISTRY_EXISTS');
      expect(codeOf(await store.write([put('a', 'http://b', version + 1)]))).toBe('GW_REGISTRY_VERSION');
      expect(codeOf(await store.write([remove('a', version + 1)]))).toBe('GW_REGISTRY_VERSION');
      expect(store.get('a')?.settings).toEqual({ url: 'http://a' });
      expect(codeOf(await store.write([put('a', 'http://b', version)]))).toBe('written');
      expect(store.get('a')?.settings).toEqual({ url: 'http://b' });
    });

    test('a write is whole or not at all', async () => {
      await store.write([put('a', 'http://a')]);
      const written = await store.write([put('b', 'http://b'), put('a', 'http://x', 'new'), remove('a')]);
      expect(codeOf(written)).toBe('GW_REGISTRY_EXISTS');
      expect(store.list().map(({ name }) => name)).toEqual(['a']);
      expect(store.audit(0, 10).items.map(({ subject }) => subject)).toEqual(['a']);
    });

    test('changes of one write see each other', async () => {
      const ids = idsOf(
        await store.write([put('a', 'http://a', 'new'), remove('a'), put('a', 'http://b', 'new')]),
      );
      expect(ids).toEqual([1, 2, 3]);
      expect(store.get('a')).toMatchObject({ version: 3, place: 3, settings: { url: 'http://b' } });
    });

    test('writes that are asked for together see each other, and each has its own outcome', async () => {
      const asked = [
        store.write([put('a', 'http://1', 'new')]),
        store.write([put('a', 'http://2', 'new')]),
        store.write([put('a', 'http://3', 1)]),
        store.write([remove('b')]),
        store.write([put('b', 'http://b')]),
      ];
      const outcomes = await Promise.all(asked);
      expect(outcomes.map(codeOf)).toEqual([
        'written',
        'GW_REGISTRY_EXISTS',
        'written',
        'GW_REGISTRY_UNKNOWN',
        'written',
      ]);
      expect(store.list().map(({ name, settings }) => [name, settings])).toEqual([
        ['a', { url: 'http://3' }],
        ['b', { url: 'http://b' }],
      ]);
    });

    test('many at once', async () => {
      const asked = Array.from({ length: 3_000 }, (_, i) => store.write([put(`s${i}`, 'http://s', 'new')]));
      const ids = (await Promise.all(asked)).flatMap(idsOf);
      expect(new Set(ids).size).toBe(3_000);
      expect(store.list()).toHaveLength(3_000);
      expect(store.list().map(({ name }) => name)).toEqual(ids.map((_, i) => `s${i}`));
    });

    test('every write is an event: who, when, what before and after', async () => {
      const before = Date.now();
      await store.write([put('a', 'http://a')]);
      await store.write([{ ...put('a', 'http://b'), actor: 'somebody' }]);
      await store.write([remove('a')]);
      await store.write([
        { kind: 'note', actor: ACTOR, action: 'trip', subject: 'docs/0', after: { state: 'open' } },
      ]);
      const { items } = store.audit(0, 10);
      expect(
        items.map(({ id, actor, action, subject, before: was, after }) => [
          id,
          actor,
          action,
          subject,
          was,
          after,
        ]),
      ).toEqual([
        [1, ACTOR, 'create', 'a', null, { url: 'http://a' }],
        [2, 'somebody', 'replace', 'a', { url: 'http://a' }, { url: 'http://b' }],
        [3, ACTOR, 'remove', 'a', { url: 'http://b' }, null],
        [4, ACTOR, 'trip', 'docs/0', null, { state: 'open' }],
      ]);
      for (const { atMs } of items) expect(atMs >= before && atMs <= Date.now()).toBe(true);
    });

    test('events come in pages', async () => {
      for (let i = 0; i < 5; i++) await store.write([put(`s${i}`, 'http://s')]);
      expect(store.audit(0, 2)).toMatchObject({ items: [{ id: 1 }, { id: 2 }], next: 2 });
      expect(store.audit(2, 2)).toMatchObject({ items: [{ id: 3 }, { id: 4 }], next: 4 });
      expect(store.audit(4, 2)).toMatchObject({ items: [{ id: 5 }], next: null });
      expect(store.audit(5, 2)).toEqual({ items: [], next: null });
      expect(store.audit(null, 2)).toMatchObject({ items: [{ id: 4 }, { id: 5 }] });
    });

    test('listeners hear of what was written, in order, until they stop', async () => {
      const heard: StoredEvent[] = [];
      const end = store.onEvents((events) => heard.push(...events));
      await Promise.all([store.write([put('a', 'http://a')]), store.write([put('b', 'http://b')])]);
      await store.write([remove('c')]);
      expect(heard.map(({ id, subject }) => [id, subject])).toEqual([
        [1, 'a'],
        [2, 'b'],
      ]);
      end();
      await store.write([remove('a')]);
      expect(heard).toHaveLength(2);
    });

    test('what is kept is there when it is opened again', async () => {
      const settings = { url: 'http://a', headers: { Authorization: 'Bearer ümläut "quoted" \\ \u0000' } };
      await store.write([{ kind: 'put', name: 'a', settings, expect: null, actor: ACTOR }]);
      await store.write([put('b', 'http://b')]);
      await store.write([remove('b')]);
      await store.close();
      const again = await open();
      const wanted = place.isKept ? [{ name: 'a', version: 1, settings }] : [];
      expect(
        again.list().map(({ name, version, settings: kept }) => ({ name, version, settings: kept })),
      ).toEqual(wanted);
      expect(again.audit(0, 10).items).toHaveLength(place.isKept ? 3 : 0);
      const [id = 0] = idsOf(await again.write([put('c', 'http://c')]));
      expect(id).toBe(place.isKept ? 4 : 1);
    });
  });
}
