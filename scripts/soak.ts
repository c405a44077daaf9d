// A long run under mixed real traffic, with faults: `npm run soak -- --minutes N [--seed S] [--workers W] [--clients C] [--small] [--whole-heap] [--verbose]`.
// Called by people and .ci/run. Promises: one line every few seconds, a report at the end, exit code 1 when it was not good; the seed is printed
// first and draws what each client does and which faults come when; everything that was started is ended, also by Ctrl-C.
import { parseArgs } from 'node:util';
import { stopAll } from '../test/fixtures/harness.ts';
import { faultsOf, reportOf } from './soak/report.ts';
import { soak } from './soak/run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '2' },
    clients: { type: 'string', default: '24' },
    small: { type: 'boolean', default: false },
    'whole-heap': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

/** A number above zero, or the end. */
function number(name: string, value: string): number {
  const found = Number(value);
  if (found > 0 && Number.isFinite(found)) return found;
  console.error(`Cannot use --${name} ${value}: say a number above 0`);
  process.exit(2);
}

const seed = number('seed', values.seed ?? String(1 + Math.floor(Math.random() * 2 ** 31)));
const minutes = number('minutes', values.minutes);
console.log(`soak: ${minutes} minutes, seed ${seed} (--seed ${seed} draws the same again)`);
try {
  const run = await soak({
    seconds: minutes * 60,
    seed,
    workers: number('workers', values.workers),
    clients: number('clients', values.clients),
    small: values.small,
    wholeHeap: values['whole-heap'],
    verbose: values.verbose,
    say: (line) => console.log(line),
  });
  console.log(reportOf(run));
  process.exitCode = faultsOf(run).length === 0 ? 0 : 1;
} finally {
  await stopAll();
}
process.exit();
