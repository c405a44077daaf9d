// The suite of gateways: the same calls through every gateway that can be had, before the same upstream, in interleaved rounds.
// Called by bench/run.ts and, at toy size, by the tests. Promises: who cannot run is named with the reason; ratios are taken within a round;
// CPU is that of the gateway's whole process tree but the MCP servers in it, while calls are counted.
import { type BenchResult, type BenchRow, checksumOf, median, type Plot, rowOf } from '../report.ts';
import { type Entrant, enterAll, leaveAll } from './entrants.ts';
import { type Measured, runLoad } from './load.ts';
import { firstLine, type UpstreamKind } from './peer.ts';
import { isStdioEcho } from './peers.ts';
import { type Scenario, scenariosOf } from './scenarios.ts';
import { treeUse } from './target.ts';

/** How long, how wide, and with whom. */
export interface SuiteOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  /** Calls of a round at most; for toy sizes. */
  readonly callsMax?: number;
  /** Also the widest loads (c = 1024), and the installation of peers. */
  readonly full: boolean;
  /** Only the gateway and the direct way, a few small scenarios. */
  readonly toy?: boolean;
}

interface Round extends Measured {
  readonly cpuUs: number;
}

/** Gateways that answer a few calls a second get longer rounds. */
const SLOW_TIMES = 2;
const KINDS: readonly UpstreamKind[] = ['http', 'stdio'];
/** Ratios of the rows are against this one. */
const BASE: Readonly<Record<UpstreamKind, string>> = { http: 'nginx', stdio: 'mcp-proxy' };

/** Runs the suite: results by name. */
export async function benchSuite(options: SuiteOptions): Promise<Record<string, BenchResult>> {
  const scenarios = scenariosOf(options);
  const circle = { mayInstall: options.full, toy: options.toy === true };
  const results: Record<string, BenchResult> = {};
  const processes: BenchRow[] = [];
  for (const upstream of KINDS) {
    const notes: string[] = [];
    const entrants = await enterAll(upstream, circle, notes);
    try {
      const mine = scenarios.filter((scenario) => scenario.upstream === upstream);
      results[`peers-${upstream}`] = await measureAll(upstream, mine, entrants, { options, notes });
    } finally {
      await leaveAll(entrants);
    }
    for (const entrant of entrants) if (entrant.isProxy) processes.push(processRow(entrant));
  }
  results['peers-processes'] = {
    title: 'gateways as processes',
    method:
      'ready: from the start of the process to its first answered call; drained: from SIGTERM to its end; RSS of the process tree but the MCP servers, before and after the loads',
    rows: processes,
    checksum: checksumOf(processes.map((row) => row.name).join()),
  };
  return results;
}

async function measureAll(
  upstream: UpstreamKind,
  scenarios: readonly Scenario[],
  entrants: readonly Entrant[],
  { options, notes }: { readonly options: SuiteOptions; readonly notes: string[] },
): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  for (const entrant of entrants) await warmUp(entrant, options);
  for (const scenario of scenarios) {
    const able = entrants.filter((one) => isAble(one, scenario));
    const rounds = await interleave(scenario, able, options, notes);
    rows.push(...rowsOf(scenario, able, rounds, BASE[upstream]));
  }
  for (const entrant of entrants) entrant.loadedMb = treeUse(entrant.target.pid, isStdioEcho).residentMb;
  return {
    title: upstream === 'http' ? 'gateways before an HTTP server' : 'gateways before a stdio server',
    method: `sluice bench as the load; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s after ${options.warmUpSeconds} s; medians; CPU of the process tree from /proc; × is against ${BASE[upstream]} within each round`,
    rows,
    checksum: checksumOf(scenarios.map((scenario) => scenario.name).join()),
    plots: plotsOf(scenarios, entrants, rows),
    ...(notes.length > 0 && { notes }),
  };
}

function isAble(entrant: Entrant, scenario: Scenario): boolean {
  return (
    scenario.asked.connections <= entrant.connectionsMax &&
    (!scenario.streamed || entrant.streamUrl !== null) &&
    (scenario.basic || entrant.share === 'all')
  );
}

/** Programs with a compiler at run time need more than the moment before each round to be at their best. */
async function warmUp({ target, tool, share }: Entrant, { warmUpSeconds }: SuiteOptions): Promise<void> {
  if (warmUpSeconds === 0 || share === 'basic') return;
  const asked = { method: 'call', connections: 16, payloadBytes: 0, tool } as const;
  for (const era of ['modern', 'legacy'] as const)
    await runLoad(target.url, { ...asked, era }, { seconds: 2 * warmUpSeconds, warmUpSeconds }).catch(
      () => undefined,
    );
}

/** Rounds of all entrants in turn: one list an entrant, in step; an entrant that fails has no more rounds and a note. */
async function interleave(
  scenario: Scenario,
  entrants: readonly Entrant[],
  options: SuiteOptions,
  notes: string[],
): Promise<Round[][]> {
  const rounds: Round[][] = entrants.map(() => []);
  const failed = new Set<Entrant>();
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, entrant] of entrants.entries()) {
      if (failed.has(entrant)) continue;
      try {
        rounds[index]?.push(await measure(scenario, entrant, options));
      } catch (error) {
        failed.add(entrant);
        notes.push(`${entrant.target.name} cannot do "${scenario.name}": ${firstLine(error)}`);
      }
    }
  }
  return rounds;
}

async function measure(scenario: Scenario, entrant: Entrant, options: SuiteOptions): Promise<Round> {
  const { target, tool } = entrant;
  const url = scenario.streamed ? (entrant.streamUrl ?? target.url) : target.url;
  let beforeMs = 0;
  let usedMs = 0;
  const patience = entrant.share === 'basic' ? SLOW_TIMES : 1;
  const time = {
    seconds: patience * options.secondsPerRound,
    warmUpSeconds: options.warmUpSeconds,
    ...(options.callsMax !== undefined && { count: options.callsMax }),
  };
  const measured = await runLoad(url, { ...scenario.asked, tool }, time, (phase) => {
    const { cpuMs } = treeUse(target.pid, isStdioEcho);
    if (phase === 'counting') beforeMs = cpuMs;
    else usedMs = cpuMs - beforeMs;
  });
  if (measured.calls + measured.failed === 0)
    throw new Error(`no call was answered in ${time.seconds} s, nor refused`);
  return { ...measured, cpuUs: (usedMs * 1000) / (measured.calls + measured.failed) };
}

function rowsOf(
  scenario: Scenario,
  entrants: readonly Entrant[],
  rounds: readonly Round[][],
  base: string,
): BenchRow[] {
  const baseRounds = rounds[entrants.findIndex((entrant) => entrant.target.name === base)] ?? [];
  return entrants.flatMap((entrant, index) => {
    const own = rounds[index] ?? [];
    if (own.length === 0) return [];
    const figure = (read: (round: Round) => number): number[] => own.map(read);
    const over = (read: (round: Round) => number): number | string =>
      baseRounds.length < own.length || !entrant.isProxy
        ? '-'
        : median(own.map((round, at) => read(round) / read(baseRounds[at] ?? round)));
    const row = rowOf(
      `${scenario.name}: ${entrant.target.name}`,
      {
        'calls/s': figure((round) => round.calls / round.seconds),
        'p50 µs': figure((round) => round.p50Us),
        'p90 µs': figure((round) => round.p90Us),
        'p99 µs': figure((round) => round.p99Us),
        'p99.9 µs': figure((round) => round.p999Us),
        'CPU µs/call': entrant.isProxy ? figure((round) => round.cpuUs) : [],
      },
      {
        'calls/s ×': over((round) => round.calls / round.seconds),
        'CPU ×': over((round) => round.cpuUs),
        errors: errorsOf(own),
      },
    );
    return [row];
  });
}

function errorsOf(rounds: readonly Round[]): number | string {
  const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
  const kinds = new Set(rounds.flatMap((round) => Object.keys(round.errors)));
  return failed === 0 ? 0 : `${failed} (${[...kinds].join(', ')})`;
}

/** Curves over the number of connections, from the rows of plain modern calls. */
function plotsOf(
  scenarios: readonly Scenario[],
  entrants: readonly Entrant[],
  rows: readonly BenchRow[],
): Plot[] {
  const plain = scenarios.filter((one) => one.name.startsWith('call, modern,'));
  if (plain.length < 2) return [];
  const values = plain.map((one) => one.asked.connections);
  const curve = (figure: string): Plot => ({
    title: `${figure}, modern calls`,
    x: { label: 'connections', values, log: true },
    y: { label: figure, log: true },
    series: entrants
      .map(({ target }) => ({
        name: target.name,
        values: plain.map((one) => {
          const value = rows.find((row) => row.name === `${one.name}: ${target.name}`)?.figures[figure];
          // a logarithmic scale has no place for nothing
          return typeof value === 'number' && value > 0 ? value : null;
        }),
      }))
      .filter(({ values: points }) => points.some((point) => point !== null)),
  });
  return ['calls/s', 'p50 µs', 'p99 µs', 'CPU µs/call'].map(curve);
}

function processRow(entrant: Entrant): BenchRow {
  return {
    name: `${entrant.target.name}, ${entrant.upstream}`,
    figures: {
      'ready ms': entrant.readyMs,
      'drained ms': entrant.drainedMs,
      'RSS idle MB': entrant.idleMb,
      'RSS loaded MB': entrant.loadedMb,
    },
  };
}
