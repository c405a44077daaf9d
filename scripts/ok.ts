// The gate: `npm run ok` runs format check, lint, typecheck, native build and all fast tests; aim: below 60 s.
// Called by people before each commit, and in slices by .ci/run (`bun scripts/ok.ts format types`). Promises: one line a step
// with its time; steps that do not need each other run side by side; the first failure shows its output, ends the others and the run.
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '..');
const BIN = join(ROOT, 'node_modules', '.bin');
const CORES_USED = 2;
/** The steps write into pipes: they are told whether a person looks on in the end. */
const COLOUR: Readonly<Record<string, string>> = process.stdout.isTTY
  ? { FORCE_COLOR: '1' }
  : { NO_COLOR: '1' };

/** One step. `after` names the steps that must be done before. */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly after: readonly string[];
}

const STEPS: readonly Step[] = [
  { name: 'format', command: [join(BIN, 'biome'), 'ci', '--error-on-warnings', '.'], after: [] },
  { name: 'types', command: [join(BIN, 'tsc'), '-p', '.'], after: [] },
  // builds nothing when nothing changed, and says so when there is no compiler
  { name: 'native', command: ['node', 'scripts/install.mjs'], after: [] },
  {
    name: 'tests',
    command: [process.execPath, 'test', `--parallel=${CORES_USED}`, '--path-ignore-patterns=test/e2e/**'],
    after: ['format', 'types', 'native'],
  },
];

interface Outcome {
  readonly step: Step;
  readonly ok: boolean;
  readonly seconds: number;
  readonly output: string;
}

/** Counts of a bun test run, as bun prints them at its end. */
function countsIn(output: string): string {
  const count = (word: string): string => new RegExp(`^\\s*(\\d+) ${word}\\b`, 'm').exec(output)?.[1] ?? '0';
  return /^\s*\d+ pass\b/m.test(output)
    ? `  ${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`
    : '';
}

const running = new Set<Bun.Subprocess>();

async function runStep(step: Step): Promise<Outcome> {
  const from = performance.now();
  const child = Bun.spawn([...step.command], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, ...COLOUR },
  });
  running.add(child);
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  running.delete(child);
  return { step, ok: code === 0, seconds: (performance.now() - from) / 1000, output: `${stdout}${stderr}` };
}

function report(outcome: Outcome): void {
  const { step, ok, seconds, output } = outcome;
  console.log(
    `${ok ? 'ok  ' : 'FAIL'}  ${step.name.padEnd(8)}${seconds.toFixed(1).padStart(6)} s${countsIn(output)}`,
  );
  if (!ok) console.log(output.trimEnd());
}

/** Runs the steps, each as soon as those it comes after are done. Returns the exit code. */
async function main(wanted: readonly string[]): Promise<number> {
  const from = performance.now();
  const unknown = wanted.find((name) => !STEPS.some((step) => step.name === name));
  if (unknown !== undefined) {
    console.error(`Cannot run "${unknown}": the steps are ${STEPS.map((step) => step.name).join(', ')}`);
    return 2;
  }
  const steps = STEPS.filter((step) => wanted.length === 0 || wanted.includes(step.name));
  const promises = new Map<string, Promise<boolean>>();
  let failed = false;
  for (const step of steps) {
    const before = step.after.map((name) => promises.get(name)).filter((one) => one !== undefined);
    const done = Promise.all(before).then(async () => {
      if (failed) return false;
      const outcome = await runStep(step);
      if (failed) return false;
      report(outcome);
      if (!outcome.ok) {
        failed = true;
        for (const child of running) child.kill();
      }
      return outcome.ok;
    });
    promises.set(step.name, done);
  }
  await Promise.all(promises.values());
  console.log(
    `${failed ? 'FAIL' : 'ok  '}  all     ${((performance.now() - from) / 1000).toFixed(1).padStart(6)} s`,
  );
  return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
