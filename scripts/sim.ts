// Plays the whole gateway in a simulated world, one seed after the other: `npm run sim -- --seeds N [--seed S] [--plant BUG]`.
// Called by people, .ci/run, and by itself, once a processor. Promises: `--seed S` alone plays that one seed and shows what happened; a seed that fails is named with
// the rule that it broke and its last events, and plays the same again; with a bug planted, success is that it was found.
import { PLANTS, type Plant } from '../test/sim/plants.ts';
import { type RunResult, runSeed } from '../test/sim/world.ts';

interface Wanted {
  readonly from: number;
  readonly count: number;
  readonly plant: Plant | null;
  /** One seed, to be looked at. */
  readonly isReplay: boolean;
  /** Plays every so many-th seed: a part of a run. */
  readonly part: { readonly index: number; readonly of: number } | null;
}

const USAGE = `say --seeds N, --seed S or both, and perhaps --plant ${PLANTS.join('|')}`;
const SEEDS = 200;
/** Of each run of several. */
const SHOWN_EVENTS = 25;
const REPLAYED_EVENTS = 400;
/** Failing seeds that are shown with their events. */
const SHOWN_SEEDS = 3;
const PROCESSES_MAX = 8;

function refuse(why: string): never {
  console.error(`Cannot use ${why}: ${USAGE}`);
  process.exit(2);
}

function wantedOf(args: readonly string[]): Wanted {
  let seeds: number | null = null;
  let seed: number | null = null;
  let plant: Plant | null = null;
  let part: Wanted['part'] = null;
  for (let i = 0; i < args.length; i += 2) {
    const [flag = '', value = ''] = args.slice(i, i + 2);
    const number = Number(value);
    if (flag === '--plant') plant = PLANTS.find((name) => name === value) ?? refuse(`the bug "${value}"`);
    else if (flag === '--part') {
      const [index = 0, of = 1] = value.split('/').map(Number);
      part = { index, of };
    } else if (!Number.isInteger(number) || number < 0 || value === '') refuse(`"${flag} ${value}"`);
    else if (flag === '--seeds') seeds = number;
    else if (flag === '--seed') seed = number;
    else refuse(`"${flag}"`);
  }
  const isReplay = seed !== null && seeds === null && part === null;
  // Without a seed every run sees others.
  const from = seed ?? Math.floor(Math.random() * 1_000_000_000);
  return { from, count: isReplay ? 1 : (seeds ?? SEEDS), plant, isReplay, part };
}

function show(result: RunResult, events: number): void {
  const { seed, plan, violations, trace } = result;
  console.log(
    `\nseed ${seed} FAILED (${plan.mood}, ${plan.workers} workers, ${plan.servers.length} servers)`,
  );
  for (const { rule, detail } of violations) console.log(`  ${rule}: ${detail}`);
  console.log('  last events:');
  for (const line of trace.tail(events)) console.log(`    ${line.slice(0, 200)}`);
  console.log(`  again: npm run sim -- --seed ${seed}`);
}

/** Plays one seed and tells all of it. */
async function replay({ from, plant }: Wanted): Promise<number> {
  const result = await runSeed(from, { plant, isVerbose: true });
  for (const server of result.plan.servers) console.log(JSON.stringify(server));
  for (const line of result.trace.tail(REPLAYED_EVENTS)) console.log(line.slice(0, 240));
  for (const { rule, detail } of result.violations) console.log(`BROKEN ${rule}: ${detail}`);
  const { requests, virtualMs, trace, violations } = result;
  console.log(
    `seed ${from}: ${requests} requests, ${Math.round(virtualMs / 1000)} simulated s, trace ${trace.hash}`,
  );
  return violations.length === 0 ? 0 : 1;
}

/** Plays every so many-th seed; the last line is for whoever started this part. */
async function playPart({ from, count, plant, part }: Wanted): Promise<number> {
  const { index, of } = part ?? { index: 0, of: 1 };
  let failed = 0;
  let requests = 0;
  let played = 0;
  for (let at = index; at < count; at += of) {
    const result = await runSeed(from + at, { plant });
    played++;
    requests += result.requests;
    if (result.violations.length === 0) continue;
    failed++;
    if (plant !== null) {
      const [first] = result.violations;
      console.log(`\nseed ${from + at} finds the bug: ${first?.rule}: ${first?.detail.slice(0, 200)}`);
      break;
    }
    // Again, to say where what is left came from.
    if (failed <= SHOWN_SEEDS) show(await runSeed(from + at, { isVerbose: true }), SHOWN_EVENTS);
    else console.log(`\nseed ${from + at} FAILED: ${result.violations[0]?.rule}`);
  }
  console.log(`part ${JSON.stringify({ played, failed, requests })}`);
  return 0;
}

interface Tally {
  played: number;
  failed: number;
  requests: number;
}

/** Starts a part in a process of its own; its output goes through but for the line with its counts. */
async function partOf(wanted: Wanted, index: number, of: number, tally: Tally): Promise<void> {
  const { from, count, plant } = wanted;
  const args = ['--seed', String(from), '--seeds', String(count), '--part', `${index}/${of}`];
  const child = Bun.spawn(
    [process.execPath, import.meta.path, ...args, ...(plant === null ? [] : ['--plant', plant])],
    { stdout: 'pipe', stderr: 'inherit' },
  );
  const lines = (await new Response(child.stdout).text()).split('\n');
  for (const line of lines) {
    if (!line.startsWith('part ')) {
      if (line !== '') console.log(line);
      continue;
    }
    // Written by playPart() above.
    const part = JSON.parse(line.slice(5)) as Tally;
    tally.played += part.played;
    tally.failed += part.failed;
    tally.requests += part.requests;
  }
  if ((await child.exited) !== 0) {
    console.log(`a part of the run ended with code ${child.exitCode}`);
    tally.failed++;
  }
}

async function playAll(wanted: Wanted): Promise<number> {
  const { from, count, plant } = wanted;
  const startedMs = performance.now();
  const parts = Math.min(PROCESSES_MAX, navigator.hardwareConcurrency, Math.max(1, count));
  const tally: Tally = { played: 0, failed: 0, requests: 0 };
  console.log(`seeds ${from} to ${from + count - 1}, ${parts} at a time`);
  await Promise.all(Array.from({ length: parts }, (_, index) => partOf(wanted, index, parts, tally)));
  const { played, failed, requests } = tally;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`\n${played} seeds, ${requests} requests, ${seconds} s: ${failed} failed`);
  if (plant === null) return failed === 0 && played === count ? 0 : 1;
  console.log(failed > 0 ? `${plant} was found` : `${plant} was NOT found`);
  return failed > 0 ? 0 : 1;
}

const wanted = wantedOf(process.argv.slice(2));
process.exit(
  await (wanted.part !== null ? playPart(wanted) : wanted.isReplay ? replay(wanted) : playAll(wanted)),
);
