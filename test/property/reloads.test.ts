// Reloads that take over what stays: after any sequence of changes of the file and the registry, what is merged, compiled, planned and told to workers is what it would be made from nothing.
// Runs control/registry/catalogue.ts, control/plan.ts, gateway/places.ts and worker/snapshot-change.ts together, as a running gateway does.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { compile } from '../../src/control/compile.ts';
import { planReload, type Settings, type Wanted } from '../../src/control/plan.ts';
import { Catalogue } from '../../src/control/registry/catalogue.ts';
import { MemoryStore } from '../../src/control/registry/memory-store.ts';
import { configSchema } from '../../src/control/schema.ts';
import { Places } from '../../src/gateway/places.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import { changeBetween, changed } from '../../src/worker/snapshot-change.ts';

const ENV = {};

type Servers = Readonly<Record<string, { readonly url: string; readonly disabled?: boolean }>>;

type Step =
  | { readonly kind: 'put'; readonly name: string; readonly port: number; readonly disabled: boolean }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'file'; readonly names: readonly string[]; readonly isGrouped: boolean };

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '7');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      name,
      // 0: what is kept cannot be served.
      port: fc.integer({ min: 0, max: 3 }),
      disabled: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), name }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('file' as const),
      names: fc.uniqueArray(name, { maxLength: 4 }),
      isGrouped: fc.boolean(),
    }),
  },
);

const urlOf = (port: number): string => `http://127.0.0.1:${port}/mcp`;

function fileOf(names: readonly string[], isGrouped: boolean): Wanted {
  const servers: Servers = Object.fromEntries(names.map((one) => [one, { url: urlOf(9) }]));
  const endpoints = isGrouped ? { group: { tools: { deny: ['x'] } } } : {};
  return { config: configSchema.parse({ servers, endpoints }), material: new Map() };
}

/** What takes over nothing. */
function fromNothing({ config, material }: Wanted, epoch: number): Snapshot {
  return compile({ config: structuredClone(config), material, env: ENV, epoch });
}

/** Everything, order included. */
const text = (value: unknown): string => JSON.stringify(value);

test('property: what is taken over is what would be made from nothing, in the control plane and in a worker', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const store = new MemoryStore(() => 0, '');
      const tools = { files: createSimRuntime({ seed: 1 }).files, env: ENV, directory: '/' };
      const catalogue = new Catalogue(store, tools, fileOf([], false));
      const first = catalogue.merged();
      let running: Settings = { ...first, snapshot: compile({ ...first, env: ENV, epoch: 1 }) };
      const places = new Places(64, 64);
      let inForce = claimed(places, running.snapshot, null);
      // The worker has a copy of the first, and hears of changes alone from then on.
      let inWorker = structuredClone(inForce);
      for (const one of steps) {
        if (one.kind === 'file') catalogue.rebase(fileOf(one.names, one.isGrouped));
        else if (one.kind === 'remove')
          await store.write([{ kind: 'remove', name: one.name, expect: null, actor: 't' }]);
        else {
          const settings = {
            url: one.port === 0 ? 'nowhere' : urlOf(one.port),
            ...(one.disabled && { disabled: true }),
          };
          await store.write([{ kind: 'put', name: one.name, settings, expect: null, actor: 't' }]);
        }
        await catalogue.refresh();
        const wanted = catalogue.merged();
        expect(text(wanted.config)).toBe(text(catalogue.mergedWith(null).config));

        const { plan, next } = planReload(running, wanted, ENV);
        const whole = fromNothing(wanted, next.snapshot.epoch);
        expect(text(next.snapshot)).toBe(text(whole));
        const before = running.snapshot.servers.map((spec) => spec.name);
        const after = whole.servers.map((spec) => spec.name);
        expect(plan.starts).toEqual(after.filter((each) => !before.includes(each)));
        expect(plan.stops).toEqual(before.filter((each) => !after.includes(each)));
        const isOther = (spec: Snapshot['servers'][number]): boolean => {
          const former = running.snapshot.servers.find((each) => each.name === spec.name);
          return former !== undefined && text(former) !== text(spec);
        };
        expect(plan.changes.map(({ server }) => server)).toEqual(
          whole.servers.filter(isOther).map((spec) => spec.name),
        );
        const stays = (list: readonly string[], other: readonly string[]): string =>
          list.filter((each) => other.includes(each)).join();
        expect(plan.applies.includes('the order of the servers')).toBe(
          stays(before, after) !== stays(after, before),
        );

        const claimedNext = claimed(places, next.snapshot, inForce);
        const former = inWorker;
        inWorker = changed(former, structuredClone(changeBetween(inForce, claimedNext)));
        expect(text(inWorker)).toBe(text({ ...claimedNext }));
        for (const spec of inWorker.servers) {
          const had = former.servers.find((each) => text(each) === text(spec));
          // What stays crosses no thread: it is the very object that the worker had.
          if (had !== undefined) expect(spec === had).toBe(true);
        }
        running = next;
        inForce = claimedNext;
      }
    }),
    { numRuns: 200 },
  );
});

function claimed(places: Places, snapshot: Snapshot, before: Snapshot | null): Snapshot {
  const claim = places.claim(snapshot, before);
  if (!('snapshot' in claim)) throw new Error('there is no room');
  places.give(claim.leaving);
  return claim.snapshot;
}

test('a change is laid over the snapshot that it follows and over no other', () => {
  const base = fileOf(['a'], false);
  const one = compile({ ...base, env: ENV, epoch: 1 });
  const two = compile({ ...fileOf(['a', 'b'], false), env: ENV, epoch: 2, former: one });
  expect(() => changed(two, changeBetween(one, two))).toThrow('follows');
});

test('thousands that stay are told to nobody: one more server is one more spec', () => {
  const names = Array.from({ length: 2_000 }, (_, at) => `s${at}`);
  const before: Settings = (() => {
    const base = fileOf(names, false);
    return { ...base, snapshot: compile({ ...base, env: ENV, epoch: 1 }) };
  })();
  const { next, plan } = planReload(before, fileOf([...names, 'more'], false), ENV);
  expect(plan.starts).toEqual(['more']);
  const { servers, endpoints } = changeBetween(before.snapshot, next.snapshot);
  const fresh = (pieces: readonly object[]): number =>
    pieces.reduce((sum, piece) => sum + ('fresh' in piece ? (piece.fresh as unknown[]).length : 0), 0);
  // Of the endpoints, its own and the one for all.
  expect([fresh(servers), fresh(endpoints)]).toEqual([1, 2]);
});
