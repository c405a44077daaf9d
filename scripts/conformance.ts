// The official conformance suite, against the fixture directly and through the gateway in each of its ways, compared.
// Called by `npm run conformance` and CI; flags: --only direct,http,aggregate,stdio  --set 2025-11-25,2026-07-28  --workers 1,2,4  --keep.
// Promises: one line a run and a table; exit code 1 on any deviation. Reports stay in out/conformance/LEG/SET until the next
// run, which empties the folder first (with --keep: only what it is about to write).
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import {
  fixtureCommand,
  ROOT,
  type Served,
  startFixture,
  startGateway,
  stopAll,
} from '../test/fixtures/harness.ts';
import {
  compareReports,
  type Report,
  readExpected,
  readReport,
  readRequired,
  scoreReport,
} from './conformance/reports.ts';

const SUITE = join(ROOT, 'node_modules', '@modelcontextprotocol', 'conformance');
const OUT = join(ROOT, 'out', 'conformance');
const NONE_EXPECTED = join(ROOT, 'test', 'conformance', 'expected-none.yml');
const STDIO_EXPECTED = join(ROOT, 'test', 'conformance', 'expected-stdio.yml');
const SETS = ['2025-11-25', '2026-07-28'];
/** Data workers of the gateways: each way through a gateway is tried with each of these numbers. */
const WORKERS = ['1', '2', '4'];
const RUN_MS_MAX = 180_000;
/** The scenario that is about the gateway itself, which rewrites Host: it must be there and pass. */
const OWN_SCENARIO = 'dns-rebinding-protection';

/** One way to reach the fixture. */
interface Leg {
  readonly name: string;
  /** The flag's name for it, without the number of workers. */
  readonly way: string;
  /** Whether the report has to equal the direct one. */
  readonly isCompared: boolean;
  readonly expected: string;
  /** Starts what is needed; resolves with the endpoint's URL and with what to stop, in that order. */
  start(): Promise<{ readonly url: string; readonly served: readonly Served[] }>;
}

type Started = Awaited<ReturnType<Leg['start']>>;

async function behindGateway(path: string, workers: number): Promise<Started> {
  const fixture = await startFixture();
  const gateway = await startGateway({ everything: { url: fixture.url } }, { workers });
  return { url: `${gateway.url}${path}`, served: [gateway, fixture] };
}

const DIRECT: Leg = {
  name: 'direct',
  way: 'direct',
  isCompared: false,
  expected: NONE_EXPECTED,
  start: async () => {
    const fixture = await startFixture();
    return { url: fixture.url, served: [fixture] };
  },
};

/** The ways through a gateway with so many workers. */
function legsWith(workers: string): readonly Leg[] {
  const count = Number(workers);
  const compared = (way: string, path: string): Leg => ({
    name: `${way}-${workers}w`,
    way,
    isCompared: true,
    expected: NONE_EXPECTED,
    start: () => behindGateway(path, count),
  });
  const stdio: Leg = {
    name: `stdio-${workers}w`,
    way: 'stdio',
    isCompared: false,
    expected: STDIO_EXPECTED,
    start: async () => {
      const gateway = await startGateway({ everything: fixtureCommand() }, { workers: count });
      return { url: `${gateway.url}/mcp/everything`, served: [gateway] };
    },
  };
  return [compared('http', '/mcp/everything'), compared('aggregate', '/mcp'), stdio];
}

const WAYS = ['direct', 'http', 'aggregate', 'stdio'];

/** What one run of one set through one leg came to. */
interface Outcome {
  readonly leg: string;
  readonly set: string;
  readonly seconds: number;
  readonly scored: string;
  readonly excused: readonly string[];
  readonly report: Report | null;
  readonly faults: string[];
}

/** Runs the suite; returns its exit code, null when it had to be ended. */
async function runSuite(url: string, set: string, folder: string, expected: string): Promise<number | null> {
  const script = join(SUITE, 'dist', 'index.js');
  const child = Bun.spawn(
    [
      process.execPath,
      script,
      'server',
      '--url',
      url,
      '--requirements',
      set,
      '-o',
      folder,
      '--expected-failures',
      expected,
    ],
    {
      cwd: ROOT,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: RUN_MS_MAX,
      killSignal: 'SIGKILL',
    },
  );
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  writeFileSync(`${folder}.log`, `${out}\n${err}`);
  return child.exitCode;
}

async function runLeg(leg: Leg, set: string): Promise<Outcome> {
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
    const code = await runSuite(url, set, folder, leg.expected);
    for (const one of served) {
      const exit = await one.stop();
      if (exit !== 0)
        faults.push(`a process of this run ended with code ${exit}: ${one.stderr().slice(-500)}`);
    }
    if (code !== 0)
      faults.push(`the suite ended with ${code ?? 'a time-out'}: see ${relative(ROOT, folder)}.log`);
    report = readReport(folder);
    const required = readRequired(SUITE, set);
    const score = scoreReport(report, required, readExpected(leg.expected));
    excused = score.excused;
    scored = `${score.passed.length}/${required.length}`;
    for (const scenario of score.failed) faults.push(`scored scenario failed: ${scenario}`);
    if (!score.passed.includes(OWN_SCENARIO)) faults.push(`${OWN_SCENARIO} did not pass`);
  } catch (error) {
    faults.push(String(error));
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  return { leg: leg.name, set, seconds, scored, excused, report, faults };
}

/** Adds a fault for each check that differs from the direct run. */
function compareWithDirect(outcomes: readonly Outcome[], legs: readonly Leg[]): void {
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

function printTable(outcomes: readonly Outcome[]): void {
  const rows = outcomes.map((one) => [
    one.leg,
    one.set,
    one.scored,
    String(one.report?.size ?? 0),
    String(one.excused.length),
    `${one.seconds.toFixed(1)} s`,
    one.faults.length === 0 ? 'ok' : `${one.faults.length} FAULTS`,
  ]);
  const table = [['leg', 'set', 'scored', 'keys', 'expected', 'time', 'verdict'], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  console.log('');
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

function listOf(value: string | undefined, allowed: readonly string[], flag: string): string[] {
  const wanted = value === undefined ? [...allowed] : value.split(',');
  const unknown = wanted.find((one) => !allowed.includes(one));
  if (unknown === undefined) return wanted;
  console.error(`conformance: ${flag} does not know "${unknown}": choose from ${allowed.join(', ')}`);
  process.exit(2);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      set: { type: 'string' },
      workers: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  const ways = new Set(listOf(values.only, WAYS, '--only'));
  const sets = listOf(values.set, SETS, '--set');
  const counts = listOf(values.workers, WORKERS, '--workers');
  const through = counts.flatMap(legsWith).filter((leg) => ways.has(leg.way));
  const isDirectNeeded = ways.has('direct') || through.some((leg) => leg.isCompared);
  const legs = isDirectNeeded ? [DIRECT, ...through] : through;
  const names = legs.map((leg) => leg.name);
  if (!values.keep) rmSync(OUT, { recursive: true, force: true });

  const waiting = legs.flatMap((leg) => sets.map((set) => ({ leg, set })));
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const outcome = await runLeg(next.leg, next.set);
      outcomes.push(outcome);
      console.log(
        `conformance: ${outcome.leg} ${outcome.set}: ${outcome.scored} scored scenarios in ${outcome.seconds.toFixed(1)} s`,
      );
    }
  };
  // a run waits more than it computes
  const workers = Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: workers }, work));
  await stopAll();

  outcomes.sort((a, b) => names.indexOf(a.leg) - names.indexOf(b.leg) || a.set.localeCompare(b.set));
  compareWithDirect(outcomes, legs);
  printTable(outcomes);
  for (const outcome of outcomes)
    for (const fault of outcome.faults) console.error(`conformance: ${outcome.leg} ${outcome.set}: ${fault}`);
  return outcomes.some((outcome) => outcome.faults.length > 0) ? 1 : 0;
}

process.exit(await main());
