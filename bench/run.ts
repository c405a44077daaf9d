// Runs the benches: `npm run bench [-- NAME …] [--json]`, compares two runs (`compare OLD NEW`), or puts one into the docs
// (`paste RESULT`).
// NAME is a bench, or micro, macro, targets, budgets for several. Called by people and by .ci/run; SLUICE_BENCH=full asks for real sizes, =toy for
// the size of the tests. Promises: prints a table a bench, each with a checksum, then the targets and the budgets; keeps all of it as JSON and as one
// HTML page in bench/results/; a bench that cannot run here is named with the reason; exit code 1 when one fails.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { BUDGET_BENCHES, budgetsOf } from './budgets.ts';
import { loadCharts } from './charts.ts';
import { type BenchRun, renderComparison } from './compare.ts';
import { benchBridging } from './macro/bridging.ts';
import { benchCached } from './macro/cached.ts';
import { benchCapacity } from './macro/capacity.ts';
import { benchEchoKinds } from './macro/echo-kinds.ts';
import { benchObserving } from './macro/observing.ts';
import { benchRegistry } from './macro/registry.ts';
import { benchRouted } from './macro/routed.ts';
import { benchSessions } from './macro/sessions.ts';
import { benchStartup } from './macro/startup.ts';
import { benchSteady } from './macro/steady.ts';
import { benchSuite } from './macro/suite.ts';
import { benchToy } from './macro/toy.ts';
import { benchTransports } from './macro/transports.ts';
import { pasted } from './markdown.ts';
import { benchCells } from './micro/cells.ts';
import { benchHandover } from './micro/handover.ts';
import { benchLimits } from './micro/limits.ts';
import { benchInnerObserving } from './micro/observing.ts';
import { benchPool } from './micro/pool.ts';
import { benchRing } from './micro/ring.ts';
import { benchRoute } from './micro/route.ts';
import { benchRouteReaders } from './micro/route-readers.ts';
import { benchKernels, benchScan } from './micro/scan.ts';
import { benchSeal } from './micro/seal.ts';
import { renderPage } from './page.ts';
import { type BenchResult, figureOf, renderTable } from './report.ts';
import { targetsOf } from './targets.ts';

type Size = 'toy' | 'short' | 'full';
type Results = Record<string, BenchResult>;

/** A bench gives one result or several, by name. */
type Bench = (size: Size) => Promise<Results>;

/** The small parts, one line each: `-- micro` runs them all. The names are what the command line takes. */
const MICRO: Readonly<Record<string, Bench>> = {
  scan: async (size) => ({ scan: await benchScan({ toy: size === 'toy' }) }),
  kernels: async (size) => ({ kernels: await benchKernels({ toy: size === 'toy' }) }),
  route: async (size) => ({
    route: await benchRoute({ toy: size === 'toy' }),
    'route-readers': await benchRouteReaders({ size }),
  }),
  pool: async (size) => ({ pool: await benchPool({ toy: size === 'toy' }) }),
  cells: async (size) => ({ cells: await benchCells({ size }) }),
  ring: async (size) => ({ ring: await benchRing({ size }) }),
  handover: async (size) => ({ handover: await benchHandover({ size }) }),
  seal: async (size) => ({ seal: await benchSeal({ toy: size === 'toy' }) }),
  limits: async (size) => ({ limits: benchLimits({ toy: size === 'toy' }) }),
};

/** Whole processes. */
const MACRO: Readonly<Record<string, Bench>> = {
  capacity: async (size) => {
    if (size === 'toy') return {};
    return {
      capacity: await benchCapacity(
        size === 'full' ? { rounds: 5, secondsPerRound: 4 } : { rounds: 3, secondsPerRound: 2 },
      ),
    };
  },
  routed: async (size) => {
    if (size === 'toy') return { routed: await benchToy(200, 8) };
    return {
      routed: await benchRouted(
        size === 'full'
          ? { rounds: 9, secondsPerRound: 4, warmUpSeconds: 2 }
          : { rounds: 3, secondsPerRound: 2, warmUpSeconds: 1 },
      ),
    };
  },
  observing: async (size) => {
    const whole = await benchObserving(
      size === 'full'
        ? { rounds: 30, secondsPerRound: 1, warmUpSeconds: 3, copies: 3 }
        : size === 'short'
          ? { rounds: 12, secondsPerRound: 1, warmUpSeconds: 2, copies: 2 }
          : { rounds: 1, secondsPerRound: 1, warmUpSeconds: 0, copies: 1 },
    );
    const [rounds, callsPerRound] = size === 'toy' ? [2, 64] : [200, 960];
    const routedUs = figureOf(whole, 'off', 'CPU µs/call');
    return {
      observing: whole,
      'observing-inside': await benchInnerObserving({ rounds, callsPerRound, routedUs }),
    };
  },
  transports: (size) => {
    if (size === 'toy')
      return benchTransports({ rounds: 1, secondsPerRound: 1, warmUpSeconds: 1, isToy: true });
    return benchTransports(
      size === 'full'
        ? { rounds: 9, secondsPerRound: 2, warmUpSeconds: 2 }
        : { rounds: 3, secondsPerRound: 2, warmUpSeconds: 1 },
    );
  },
  bridging: async (size) => {
    if (size === 'toy')
      return {
        bridging: await benchBridging({
          ...{ rounds: 1, secondsPerRound: 5, warmUpSeconds: 0 },
          connections: 2,
          callsMax: 20,
        }),
      };
    const time =
      size === 'full'
        ? { rounds: 7, secondsPerRound: 2, warmUpSeconds: 0.5 }
        : { rounds: 3, secondsPerRound: 1, warmUpSeconds: 0.3 };
    return { bridging: await benchBridging({ ...time, connections: 16 }) };
  },
  cache: async (size) => {
    if (size === 'toy')
      return {
        cache: await benchCached({
          ...{ rounds: 1, secondsPerRound: 5, warmUpSeconds: 0 },
          connections: 4,
          callsMax: 100,
        }),
      };
    const time =
      size === 'full'
        ? { rounds: 7, secondsPerRound: 2, warmUpSeconds: 0.5 }
        : { rounds: 3, secondsPerRound: 1, warmUpSeconds: 0.3 };
    return { cache: await benchCached({ ...time, connections: 16 }) };
  },
  peers: (size) => {
    if (size === 'toy')
      return benchSuite({
        rounds: 1,
        secondsPerRound: 5,
        warmUpSeconds: 0,
        callsMax: 50,
        full: false,
        toy: true,
      });
    return benchSuite(
      size === 'full'
        ? { rounds: 3, secondsPerRound: 1.2, warmUpSeconds: 0.4, full: true }
        : { rounds: 2, secondsPerRound: 0.8, warmUpSeconds: 0.3, full: false },
    );
  },
  servers: async (size) => {
    if (size === 'toy') return {};
    const time = size === 'full' ? { rounds: 3, secondsPerRound: 1.5 } : { rounds: 2, secondsPerRound: 1 };
    return { servers: await benchEchoKinds({ ...time, mayInstall: size === 'full' }) };
  },
  registry: async (size) => ({
    registry: await benchRegistry(
      size === 'toy'
        ? { registrations: 20, effects: 2, servers: 0 }
        : { registrations: size === 'full' ? 5_000 : 1_000, effects: 200, servers: 10_000 },
    ),
  }),
  sessions: async (size) => {
    const steps = size === 'toy' ? [20, 40] : size === 'full' ? [1_000, 10_000] : [500, 2_000];
    return {
      sessions: await benchSessions({ steps, toy: size === 'toy', mayInstall: size === 'full' }),
    };
  },
  startup: async (size) => {
    const rounds = size === 'toy' ? 1 : size === 'full' ? 9 : 5;
    return {
      startup: await benchStartup({ rounds, toy: size === 'toy', mayInstall: size === 'full' }),
    };
  },
  steady: async (size) => ({
    steady: await benchSteady(
      size === 'full'
        ? { calls: 10_000_000, secondsPerPart: 10, workers: 2 }
        : { calls: size === 'toy' ? 1 : 300_000, secondsPerPart: 1, workers: 2 },
    ),
  }),
};

const BENCHES: Readonly<Record<string, Bench>> = { ...MICRO, ...MACRO };

/** Names that stand for several benches, and for the table that sums them up. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  micro: Object.keys(MICRO),
  macro: Object.keys(MACRO),
  budgets: BUDGET_BENCHES.filter((name) => BENCHES[name] !== undefined),
  targets: Object.keys(BENCHES),
};

function readSize(): Size {
  const asked = process.env.SLUICE_BENCH ?? 'short';
  if (asked === 'toy' || asked === 'short' || asked === 'full') return asked;
  throw new Error(`Cannot use SLUICE_BENCH="${asked}": it is toy, short or full`);
}

function readRun(path: string): BenchRun {
  // bench/run.ts wrote it; a file of another kind fails in the comparison
  return JSON.parse(readFileSync(path, 'utf8')) as BenchRun;
}

function compare(files: readonly string[]): number {
  const [before, after] = files;
  if (before === undefined || after === undefined || files.length > 2) {
    console.error('Cannot compare: give two files of bench/results/, the older one first');
    return 2;
  }
  console.log(renderComparison(readRun(before), readRun(after)));
  return 0;
}

/** Puts a result into docs/benchmark.md. */
function paste(files: readonly string[]): number {
  const [file] = files;
  if (file === undefined || files.length > 1) {
    console.error('Cannot paste: give one file of bench/results/');
    return 2;
  }
  const paper = join(import.meta.dir, '..', 'docs', 'benchmark.md');
  const text = pasted(readFileSync(paper, 'utf8'), readRun(file));
  if (text === null) {
    console.error(`Cannot paste: ${paper} has lost the marks around its figures`);
    return 1;
  }
  writeFileSync(paper, text);
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'compare') return compare(args.slice(1));
  if (args[0] === 'paste') return paste(args.slice(1));
  const json = args.includes('--json');
  const names = args.filter((arg) => arg !== '--json');
  const known = { ...BENCHES, ...GROUPS };
  const unknown = names.find((name) => known[name] === undefined);
  if (unknown !== undefined) {
    console.error(
      `Cannot run "${unknown}": give ${Object.keys(known).join(', ')}; or compare OLD NEW, or paste RESULT`,
    );
    return 2;
  }
  const size = readSize();
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    bun: Bun.version,
    size,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
  if (!json)
    console.log(
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Bun ${machine.bun}, size ${size}, load ${machine.loadBefore} before\n`,
    );
  const at = new Date().toISOString();
  let file = '';
  // Kept after every bench: half an hour of work is not lost to an interruption.
  const failed = await runAll(names, size, json, (results) => {
    file = keep({ at, machine, results });
  });
  console.log(json ? readFileSync(`${file}.json`, 'utf8') : `kept as ${file}.json and .html`);
  return failed > 0 ? 1 : 0;
}

async function runAll(
  names: readonly string[],
  size: Size,
  quiet: boolean,
  keepThem: (results: Results) => void,
): Promise<number> {
  const results: Results = {};
  let failed = 0;
  const show = (key: string, result: BenchResult): void => {
    results[key] = result;
    if (!quiet) console.log(renderTable(result));
  };
  const wanted = names.flatMap((name) => GROUPS[name] ?? [name]);
  for (const [name, run] of Object.entries(BENCHES)) {
    if (names.length > 0 && !wanted.includes(name)) continue;
    try {
      for (const [key, result] of Object.entries(await run(size))) show(key, result);
      keepThem(results);
    } catch (error) {
      failed++;
      console.error(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const sums = (group: string): boolean => names.length === 0 || names.includes(group);
  if (sums('targets') || sums('micro')) show('targets', targetsOf(results));
  if (sums('budgets')) show('budgets', budgetsOf(results));
  keepThem(results);
  return failed;
}

/** Writes a run, as far as it has come; gives the files' name without its ending. */
function keep(run: BenchRun): string {
  const text = JSON.stringify(run, null, 2);
  const folder = join(import.meta.dir, 'results');
  const file = join(folder, run.at.replaceAll(':', ''));
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.json`, text);
  writeFileSync(`${file}.html`, renderPage(run, loadCharts()));
  return file;
}

process.exitCode = await main(process.argv.slice(2));
