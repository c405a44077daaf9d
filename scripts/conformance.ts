// The official conformance suite, against the fixture directly and through the gateway in each of its ways, compared; across the eras; with a client.
// Called by `npm run conformance` and CI. Flags: --only WAY,…  --set 2025-11-25,2026-07-28  --workers 1,2,4  --keep; --bridge: each set against servers
// of the other era; --client: the client scenarios. Promises: one line a run and a table; exit code 1 on any deviation. Reports stay in
// out/conformance/LEG/SET until the next run, which empties the folder first (with --keep: only what it is about to write).
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { stopAll } from '../test/fixtures/harness.ts';
import { CLIENT_WAYS, runClient } from './conformance/client-run.ts';
import { BRIDGE_LEGS, BRIDGE_WAYS, DIRECT, type Leg, legsWith, WAYS, WORKERS } from './conformance/legs.ts';
import { type Outcome, printOutcomes } from './conformance/outcome.ts';
import { compareWithDirect, runLeg } from './conformance/server-run.ts';
import { OUT, SETS } from './conformance/suite.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    set: { type: 'string' },
    workers: { type: 'string' },
    keep: { type: 'boolean', default: false },
    bridge: { type: 'boolean', default: false },
    client: { type: 'boolean', default: false },
  },
});

/** One run to be made. */
interface Job {
  readonly leg: string;
  readonly set: string;
  run(): Promise<Outcome>;
}

function listOf(value: string | undefined, allowed: readonly string[], flag: string): string[] {
  const wanted = value === undefined ? [...allowed] : value.split(',');
  const unknown = wanted.find((one) => !allowed.includes(one));
  if (unknown === undefined) return wanted;
  console.error(`conformance: ${flag} does not know "${unknown}": choose from ${allowed.join(', ')}`);
  process.exit(2);
}

/** The ways that the flags speak of. */
function waysOf(): readonly string[] {
  if (!values.bridge && !values.client) return WAYS;
  return [...(values.bridge ? BRIDGE_WAYS : []), ...(values.client ? CLIENT_WAYS : [])];
}

/** The legs for server scenarios that the flags choose. */
function legsOf(ways: ReadonlySet<string>): readonly Leg[] {
  const counts = listOf(values.workers, WORKERS, '--workers');
  if (values.bridge) return BRIDGE_LEGS.filter((leg) => ways.has(leg.way) && counts.includes(leg.workers));
  if (values.client) return [];
  const through = counts.flatMap(legsWith).filter((leg) => ways.has(leg.way));
  const isDirectNeeded = ways.has('direct') || through.some((leg) => leg.isCompared);
  return isDirectNeeded ? [DIRECT, ...through] : through;
}

async function main(): Promise<number> {
  const allowed = waysOf();
  const ways = new Set(listOf(values.only, allowed, '--only'));
  const sets = listOf(values.set, SETS, '--set');
  const legs = legsOf(ways);
  const jobs: Job[] = legs.flatMap((leg) =>
    leg.sets
      .filter((set) => sets.includes(set))
      .map((set) => ({ leg: leg.name, set, run: () => runLeg(leg, set) })),
  );
  for (const way of CLIENT_WAYS.filter((one) => ways.has(one)))
    for (const set of sets) jobs.push({ leg: way, set, run: () => runClient(way, set) });
  if (!values.keep) rmSync(OUT, { recursive: true, force: true });

  const waiting = [...jobs];
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const outcome = await next.run();
      outcomes.push(outcome);
      const { leg, set, scored, seconds } = outcome;
      console.log(`conformance: ${leg} ${set}: ${scored} scored scenarios in ${seconds.toFixed(1)} s`);
    }
  };
  // a run waits more than it computes
  const workers = Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: workers }, work));
  await stopAll();

  const placeOf = ({ leg, set }: Outcome): number =>
    jobs.findIndex((job) => job.leg === leg && job.set === set);
  outcomes.sort((a, b) => placeOf(a) - placeOf(b));
  compareWithDirect(outcomes, legs);
  printOutcomes(outcomes);
  return outcomes.some((outcome) => outcome.faults.length > 0) ? 1 : 0;
}

process.exit(await main());
