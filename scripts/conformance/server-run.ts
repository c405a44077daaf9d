// One run of the suite's server scenarios through one leg, judged.
// Called by scripts/conformance.ts. Promises: every scored scenario that fails without being listed is a fault, and so is one that is listed and passes.
import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from '../../test/fixtures/harness.ts';
import type { Leg } from './legs.ts';
import type { Outcome } from './outcome.ts';
import {
  compareReports,
  type Report,
  readExpected,
  readReport,
  readRequired,
  scoreReport,
  warningsOf,
} from './reports.ts';
import { OUT, runSuite, SUITE } from './suite.ts';

/** The scenario that is about the gateway itself, which rewrites Host: it must be there and pass. */
const OWN_SCENARIO = 'dns-rebinding-protection';

/** Starts the leg, runs the set, stops what was started. */
export async function runLeg(leg: Leg, set: string): Promise<Outcome> {
  const startedMs = performance.now();
  const folder = join(OUT, leg.name, set);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const faults: string[] = [];
  let report: Report | null = null;
  let scored = '-';
  let excused: readonly string[] = [];
  try {
    const { url, served } = await leg.start();
    const flags = ['--requirements', set, '-o', folder, '--expected-failures', leg.expected];
    const code = await runSuite(['server', '--url', url, ...flags], `${folder}.log`);
    for (const one of served) {
      const exit = await one.stop();
      if (exit !== 0)
        faults.push(`a process of this run ended with code ${exit}: ${one.stderr().slice(-500)}`);
    }
    if (code !== 0)
      faults.push(`the suite ended with ${code ?? 'a time-out'}: see ${relative(ROOT, folder)}.log`);
    report = readReport(folder);
    const required = readRequired(SUITE, set).server;
    const expected = readExpected(leg.expected).server;
    const score = scoreReport(report, required, expected);
    excused = score.excused;
    scored = `${score.passed.length}/${required.length}`;
    for (const scenario of score.failed) faults.push(`scored scenario failed: ${scenario}`);
    for (const entry of score.stale) faults.push(`listed to fail, but passes: take "${entry}" off the list`);
    if (!score.passed.includes(OWN_SCENARIO)) faults.push(`${OWN_SCENARIO} did not pass`);
    const warnings = warningsOf(report, required);
    if (warnings.length > 0) console.log(`conformance: ${leg.name} ${set} warned of: ${warnings.join(', ')}`);
  } catch (error) {
    faults.push(String(error));
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  return { leg: leg.name, set, seconds, scored, excused, report, faults };
}

/** Adds a fault for each check that differs from the direct run. */
export function compareWithDirect(outcomes: readonly Outcome[], legs: readonly Leg[]): void {
  for (const outcome of outcomes) {
    const leg = legs.find((one) => one.name === outcome.leg);
    const direct = outcomes.find((one) => one.leg === 'direct' && one.set === outcome.set);
    if (leg?.isCompared !== true || outcome.report === null) continue;
    if (direct === undefined || direct.report === null) {
      outcome.faults.push('there is no direct run to compare with');
      continue;
    }
    const differences = compareReports(direct.report, outcome.report);
    const verdict =
      differences.length === 0
        ? `identical: ${direct.report.size} keys`
        : `${differences.length} differences`;
    console.log(`conformance: ${outcome.leg} ${outcome.set} beside direct: ${verdict}`);
    outcome.faults.push(...differences);
  }
}
