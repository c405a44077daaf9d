// Runs the benches: `npm run bench [-- NAME …] [--json]`, or compares two runs: `npm run bench -- compare OLD NEW`.
// Called by people and by .ci/run; SLUICE_BENCH=full asks for real sizes, =toy for the size of the tests. Promises: prints a table a bench,
// each with a checksum; keeps all of it as JSON and as one HTML page in bench/results/; a bench that cannot run here is named with the reason;
// exit code 1 when one fails.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { type BenchRun, renderComparison } from './compare.ts';
import { benchCapacity } from './macro/capacity.ts';
import { benchRouted } from './macro/routed.ts';
import { benchSuite } from './macro/suite.ts';
import { benchToy } from './macro/toy.ts';
import { benchPool } from './micro/pool.ts';
import { benchRoute } from './micro/route.ts';
import { benchScan } from './micro/scan.ts';
import { renderPage } from './page.ts';
import { type BenchResult, renderTable } from './report.ts';

type Size = 'toy' | 'short' | 'full';
type Results = Record<string, BenchResult>;

/** name → bench, which gives one result or several. The names are what the command line takes. */
const BENCHES: Readonly<Record<string, (size: Size) => Promise<Results>>> = {
  scan: async (size) => ({ scan: await benchScan({ toy: size === 'toy' }) }),
  route: async (size) => ({ route: await benchRoute({ toy: size === 'toy' }) }),
  pool: async (size) => ({ pool: await benchPool({ toy: size === 'toy' }) }),
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
          ? { rounds: 9, secondsPerRound: 5, warmUpSeconds: 3 }
          : { rounds: 3, secondsPerRound: 2, warmUpSeconds: 1 },
      ),
    };
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
        ? { rounds: 5, secondsPerRound: 4, warmUpSeconds: 1, full: true }
        : { rounds: 3, secondsPerRound: 1, warmUpSeconds: 0.5, full: false },
    );
  },
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

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'compare') return compare(args.slice(1));
  const json = args.includes('--json');
  const names = args.filter((arg) => arg !== '--json');
  const unknown = names.find((name) => BENCHES[name] === undefined);
  if (unknown !== undefined) {
    console.error(
      `Cannot run "${unknown}": the benches are ${Object.keys(BENCHES).join(', ')}; or compare OLD NEW`,
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
  const { results, failed } = await runAll(names, size, json);
  const run: BenchRun = { at: new Date().toISOString(), machine, results };
  keep(run, json);
  return failed > 0 ? 1 : 0;
}

async function runAll(
  names: readonly string[],
  size: Size,
  quiet: boolean,
): Promise<{ readonly results: Results; readonly failed: number }> {
  const results: Results = {};
  let failed = 0;
  for (const [name, run] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    try {
      for (const [key, result] of Object.entries(await run(size))) {
        results[key] = result;
        if (!quiet) console.log(renderTable(result));
      }
    } catch (error) {
      failed++;
      console.error(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { results, failed };
}

function keep(run: BenchRun, print: boolean): void {
  const text = JSON.stringify(run, null, 2);
  const folder = join(import.meta.dir, 'results');
  const file = join(folder, run.at.replaceAll(':', ''));
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.json`, text);
  writeFileSync(`${file}.html`, renderPage(run));
  if (print) console.log(text);
  else console.log(`kept as ${file}.json and .html`);
}

process.exitCode = await main(process.argv.slice(2));
