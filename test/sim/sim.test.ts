// The whole gateway in a simulated world: a few seeds of every run, others each time, and the proof that a bug would be found.
// Called by bun test; `npm run sim` plays many more. Promises: a seed that fails is printed with the rule that it broke and its last events.
import { describe, expect, test } from 'bun:test';
import { planOf } from './plan.ts';
import { PLANTS } from './plants.ts';
import { runSeed } from './world.ts';

/** Seeds that once found something, and a few that cover every mood. */
const FIXED = [1, 2, 3, 4, 5, 6, 10, 17, 51, 67, 91, 170, 356, 394];
const RANDOM_COUNT = 12;
/** Seeds within which every planted bug must be found. */
const PLANT_SEEDS_MAX = 200;

/** Plays a seed; on failure its last events are in the message. */
async function expectGood(seed: number): Promise<void> {
  const { violations, trace } = await runSeed(seed);
  if (violations.length === 0) return;
  const broken = violations.map(({ rule, detail }) => `${rule}: ${detail}`).join('\n');
  throw new Error(
    `seed ${seed} (npm run sim -- --seed ${seed})\n${broken}\nlast events:\n${trace.tail(30).join('\n')}`,
  );
}

describe('seeds', () => {
  for (const seed of FIXED) test(`${seed}`, () => expectGood(seed));

  const from = Math.floor(Math.random() * 1_000_000_000);
  for (let seed = from; seed < from + RANDOM_COUNT; seed++) test(`random: ${seed}`, () => expectGood(seed));
});

test('a seed plays the same run each time, to the last event, and another seed another one', async () => {
  for (const seed of [6, 10, 17, 67, 394]) {
    const [one, again] = [await runSeed(seed), await runSeed(seed)];
    expect(again.trace.hash).toBe(one.trace.hash);
    expect(again.requests).toBe(one.requests);
    expect((await runSeed(seed + 1)).trace.hash).not.toBe(one.trace.hash);
  }
});

test('noting where timers come from changes nothing', async () => {
  expect((await runSeed(17, { isVerbose: true })).trace.hash).toBe((await runSeed(17)).trace.hash);
});

test('plans are of every kind', () => {
  const plans = Array.from({ length: 300 }, (_, seed) => planOf(seed));
  const kinds = (
    pick: (plan: (typeof plans)[number]) => readonly (string | number)[],
  ): Set<string | number> => new Set(plans.flatMap(pick));
  expect(kinds(({ mood }) => [mood]).size).toBe(3);
  expect(kinds(({ workers }) => [workers]).size).toBe(3);
  expect(kinds(({ servers }) => servers.map(({ kind, speaks }) => `${kind} ${speaks}`)).size).toBe(6);
  expect(kinds(({ clients }) => clients.map(({ era, path }) => `${era} ${path === '/mcp'}`)).size).toBe(4);
  expect(kinds(({ servers }) => servers.flatMap(({ faults }) => Object.keys(faults))).size).toBeGreaterThan(
    25,
  );
  expect(plans.some(({ drainAtMs }) => drainAtMs !== null)).toBe(true);
  expect(plans.some(({ deaths }) => deaths.length > 0)).toBe(true);
  expect(plans.some(({ reloads }) => reloads.length > 0)).toBe(true);
});

describe('a bug that is planted is found', () => {
  /** What finds each of them. */
  const RULES = {
    'id-mix-up': 'replies bear the id of their request',
    'leaked-permit': 'nothing is left behind',
    'double-execution': 'no execution twice',
  } as const;

  for (const plant of PLANTS)
    test(plant, async () => {
      for (let seed = 0; seed < PLANT_SEEDS_MAX; seed++) {
        const { violations } = await runSeed(seed, { plant });
        if (violations.some(({ rule }) => rule === RULES[plant])) return;
      }
      throw new Error(`${plant} was not found within ${PLANT_SEEDS_MAX} seeds`);
    });
});
