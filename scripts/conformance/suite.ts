// The conformance suite as a process: where it is, which sets it has, how it is run to its end.
// Called by scripts/conformance.ts and the files beside it. Promises: a run that hangs is killed after RUN_MS_MAX; what it said is kept.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/fixtures/harness.ts';

/** The suite's folder. */
export const SUITE = join(ROOT, 'node_modules', '@modelcontextprotocol', 'conformance');
/** Where all reports go: LEG/SET/. */
export const OUT = join(ROOT, 'out', 'conformance');
/** The frozen requirement sets, by the revision they belong to. */
export const SETS = ['2025-11-25', '2026-07-28'] as const;
const RUN_MS_MAX = 180_000;

/** Path of a list of scored scenarios that may fail. */
export function listFile(name: string): string {
  return join(ROOT, 'test', 'conformance', `${name}.yml`);
}

/** Runs the suite with these arguments; returns its exit code, null when it had to be ended. `log` gets all it said. */
export async function runSuite(args: readonly string[], log: string): Promise<number | null> {
  const script = join(SUITE, 'dist', 'index.js');
  const child = Bun.spawn([process.execPath, script, ...args], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  writeFileSync(log, `${out}\n${err}`);
  return child.exitCode;
}
