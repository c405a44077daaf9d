// Reads the reports of the conformance suite and compares two of them, check by check.
// Called by scripts/conformance.ts and test/conformance/. Promises: statuses are compared as lists per check, never as totals;
// remarks (INFO) count for nothing.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const TIME = /-\d{4}-\d\d-\d\dT[\d-]+Z$/;
const LEG = /^server-/;

/** Statuses of one scenario's check, sorted. */
export interface CheckStatuses {
  readonly scenario: string;
  readonly check: string;
  readonly statuses: readonly string[];
}

/** `scenario :: check` → its statuses. */
export type Report = ReadonlyMap<string, CheckStatuses>;

/** Reads one output folder of the suite; throws when it holds no results. */
export function readReport(folder: string): Report {
  const report = new Map<string, CheckStatuses>();
  for (const name of readdirSync(folder).sort()) {
    const file = join(folder, name, 'checks.json');
    if (!existsSync(file)) continue;
    const scenario = name.replace(TIME, '').replace(LEG, '');
    // written by the suite: a list of checks
    const checks = JSON.parse(readFileSync(file, 'utf8')) as { id: string; status: string }[];
    for (const { id, status } of checks) {
      if (status === 'INFO') continue;
      const key = `${scenario} :: ${id}`;
      const statuses = [...(report.get(key)?.statuses ?? []), status].sort();
      report.set(key, { scenario, check: id, statuses });
    }
  }
  if (report.size === 0) throw new Error(`no results of the conformance suite in ${folder}`);
  return report;
}

/** One line for each check that differs; none when the reports are equal. */
export function compareReports(before: Report, after: Report): string[] {
  const lines: string[] = [];
  const describe = (report: Report, key: string): string => report.get(key)?.statuses.join(',') ?? 'absent';
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [a, b] = [describe(before, key), describe(after, key)];
    if (a !== b) lines.push(`${key}: direct ${a}, through the gateway ${b}`);
  }
  return lines;
}

/** Scenarios by what they are about. */
export interface ScenarioNames {
  readonly server: readonly string[];
  readonly client: readonly string[];
}

/** The scenarios that a set requires. */
export function readRequired(suiteFolder: string, set: string): ScenarioNames {
  // the suite's own file, in the suite's own form
  return parse(readFileSync(join(suiteFolder, 'requirements', `${set}.yaml`), 'utf8')) as ScenarioNames;
}

/** Entries of an expected-failures file: `scenario` or `scenario:check`. */
export function readExpected(file: string): ScenarioNames {
  // our own file, in the form the suite asks for
  const parsed = parse(readFileSync(file, 'utf8')) as Partial<
    Record<keyof ScenarioNames, string[] | null>
  > | null;
  return { server: parsed?.server ?? [], client: parsed?.client ?? [] };
}

/** Checks of the given scenarios that warn, as `scenario:check`. */
export function warningsOf(report: Report, scenarios: readonly string[]): string[] {
  return [...report.values()]
    .filter(({ scenario, statuses }) => scenarios.includes(scenario) && statuses.includes('WARNING'))
    .map(({ scenario, check }) => `${scenario}:${check}`);
}

/** How the required scenarios of one report fared. */
export interface Score {
  readonly passed: readonly string[];
  /** Scenarios with a failed check that nobody expects, and those without any result. */
  readonly failed: readonly string[];
  /** Scenarios that failed as expected. */
  readonly excused: readonly string[];
  /** Expected entries under which nothing failed. */
  readonly stale: readonly string[];
}

/** Judges a report by itself, whatever the suite's exit code says. */
export function scoreReport(report: Report, required: readonly string[], expected: readonly string[]): Score {
  const passed: string[] = [];
  const failed: string[] = [];
  const excused: string[] = [];
  const rows = [...report.values()];
  for (const scenario of required) {
    const own = rows.filter((row) => row.scenario === scenario);
    const bad = own.filter((row) => row.statuses.includes('FAILURE'));
    const isExpected = (check: string): boolean =>
      expected.includes(scenario) || expected.includes(`${scenario}:${check}`);
    if (own.length > 0 && bad.length === 0) passed.push(scenario);
    else if (own.length > 0 && bad.every((row) => isExpected(row.check))) excused.push(scenario);
    else failed.push(scenario);
  }
  const stale = expected.filter((entry) => {
    const isOwn = (row: CheckStatuses): boolean =>
      entry === row.scenario || entry === `${row.scenario}:${row.check}`;
    return !rows.some((row) => isOwn(row) && row.statuses.includes('FAILURE'));
  });
  return { passed, failed, excused, stale };
}
