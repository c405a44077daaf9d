// Runs the benches: `npm run bench [-- NAME …] [--json]`; SLUICE_BENCH=full for real sizes, =toy for the size of the tests.
// Called by people and by .ci/run. Promises: prints a table a bench, each with a checksum; keeps all of it as JSON in bench/results/;
// a bench that cannot run here is named with the reason; exit code 1 when one fails.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { benchRouted } from './macro/routed.ts';
import { benchToy } from './macro/toy.ts';
import { benchScan } from './micro/scan.ts';
import { type BenchResult, renderTable } from './report.ts';

type Size = 'toy' | 'short' | 'full';

/** name → bench. The names are what the command line takes. */
const BENCHES: Readonly<Record<string, (size: Size) => Promise<BenchResult>>> = {
  scan: async (size) => benchScan({ toy: size === 'toy' }),
  routed: (size) => {
    if (size === 'toy') return benchToy(200, 8);
    return benchRouted(
      size === 'full'
        ? { rounds: 9, secondsPerRound: 5, warmUpSeconds: 3 }
        : { rounds: 3, secondsPerRound: 2, warmUpSeconds: 1 },
    );
  },
};

function readSize(): Size {
  const asked = process.env.SLUICE_BENCH ?? 'short';
  if (asked === 'toy' || asked === 'short' || asked === 'full') return asked;
  throw new Error(`Cannot use SLUICE_BENCH="${asked}": it is toy, short or full`);
}

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const names = args.filter((arg) => arg !== '--json');
  const unknown = names.find((name) => BENCHES[name] === undefined);
  if (unknown !== undefined) {
    console.error(`Cannot run "${unknown}": the benches are ${Object.keys(BENCHES).join(', ')}`);
    return 2;
  }
  const size = readSize();
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    bun: Bun.version,
    size,
  };
  if (!json)
    console.log(
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Bun ${machine.bun}, size ${size}\n`,
    );
  const results: Record<string, BenchResult> = {};
  let failed = 0;
  for (const [name, run] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    try {
      const result = await run(size);
      results[name] = result;
      if (!json) console.log(renderTable(result));
    } catch (error) {
      failed++;
      console.error(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const text = JSON.stringify({ at: new Date().toISOString(), machine, results }, null, 2);
  const folder = join(import.meta.dir, 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${new Date().toISOString().replaceAll(':', '')}.json`), text);
  if (json) console.log(text);
  return failed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
