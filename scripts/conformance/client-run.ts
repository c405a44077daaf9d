// The suite's client scenarios but for the OAuth ones: its servers on one side, our conformance client on the other, directly and with a gateway
// between them.
// Called by scripts/conformance.ts. Promises: a scenario has passed when the suite says so, warnings and the client's exit code included.
import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from '../../test/fixtures/harness.ts';
import type { Outcome } from './outcome.ts';
import { type Report, readReport, readRequired } from './reports.ts';
import { OUT, runSuite, SUITE } from './suite.ts';

/** The two ways, by the name of their row. */
export const CLIENT_WAYS = ['client-direct', 'client-gateway'];
/** OAuth clients see that a gateway is another resource than the server behind it. */
const AUTH = /^auth\//;
/** Came after the sets were frozen: not required, but ours to pass. */
const LATER = ['json-schema-2020-12-preservation'];

function commandOf(way: string): string {
  const client = relative(ROOT, join(ROOT, 'test', 'fixtures', 'conformance-client.ts'));
  const between = relative(ROOT, join(import.meta.dir, 'via-gateway.ts'));
  const own = [process.execPath, client];
  return (way === 'client-direct' ? own : [process.execPath, between, ...own]).join(' ');
}

/** Runs all of a set's scenarios in one of the ways, one after the other. */
export async function runClient(way: string, set: string): Promise<Outcome> {
  const startedMs = performance.now();
  const folder = join(OUT, way, set);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const scenarios = [...readRequired(SUITE, set).client.filter((one) => !AUTH.test(one)), ...LATER];
  const faults: string[] = [];
  let passed = 0;
  for (const scenario of scenarios) {
    const log = join(OUT, way, `${set}-${scenario}.log`);
    const flags = ['--scenario', scenario, '--spec-version', set, '-o', folder];
    const code = await runSuite(['client', '--command', commandOf(way), ...flags], log);
    if (code === 0) passed++;
    else faults.push(`scenario failed: ${scenario}, see ${relative(ROOT, log)}`);
  }
  let report: Report | null = null;
  try {
    report = readReport(folder);
  } catch (error) {
    faults.push(String(error));
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  return { leg: way, set, seconds, scored: `${passed}/${scenarios.length}`, excused: [], report, faults };
}
