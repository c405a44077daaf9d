// The suite of gateways: the same calls through every gateway that can be had, before the same upstream, in interleaved rounds.
// Called by bench/run.ts and, at toy size, by the tests. Promises: who cannot run is named with the reason; ratios are taken within a round;
// CPU is that of the gateway's whole process tree but the MCP servers in it, while calls are counted.
import { type BenchResult, type BenchRow, checksumOf, median, rowOf } from '../report.ts';
import { type Asked, type Measured, runLoad } from './load.ts';
import { findNpmPeers, NPM_PEERS, startNpmPeer } from './npm-peers.ts';
import { isStdioEcho, STDIO_ECHO, startEcho, startGatewayWith, startHaproxy, startNginx } from './peers.ts';
import { type Target, treeUse, which } from './target.ts';

/** How long, how wide, and with whom. */
export interface SuiteOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  /** Calls of a round at most; for toy sizes. */
  readonly callsMax?: number;
  /** Also the widest loads (c = 1024) and the installation of peers from npm. */
  readonly full: boolean;
  /** Only the gateway and the direct way, a few small scenarios. */
  readonly toy?: boolean;
}

/** One thing that is measured. */
export interface Scenario {
  readonly name: string;
  readonly upstream: 'http' | 'stdio';
  /** True: the upstream answers with an event stream. */
  readonly streamed: boolean;
  readonly asked: Asked;
}

/** One way to the upstream. */
interface Entrant {
  readonly target: Target;
  readonly upstream: 'http' | 'stdio';
  /** Most connections that it can be asked to serve, for a reason that `notes` names. */
  readonly connectionsMax: number;
  /** False for the direct way, whose process is the upstream itself. */
  readonly isProxy: boolean;
  readyMs: number;
  idleMb: number;
  loadedMb: number;
}

interface Round extends Measured {
  readonly cpuUs: number;
}

const KB = 1024;
/** An entrant with a process for each session gets no more of them. */
const PROCESSES_MAX = 16;
const READY_WITHIN_MS = 20_000;
const SETTLE_MS = 300;

/** Everything that is measured at a size. */
export function scenariosOf(options: Pick<SuiteOptions, 'full' | 'toy'>): Scenario[] {
  const widths = options.toy === true ? [4] : options.full ? [1, 16, 128, 1024] : [1, 16, 128];
  const list: Scenario[] = [];
  const add = (upstream: 'http' | 'stdio', name: string, asked: Partial<Asked>, streamed = false): void => {
    const full: Asked = { era: 'modern', method: 'call', connections: 16, payloadBytes: 0, ...asked };
    list.push({ name: `${name}, ${full.era}, c=${full.connections}`, upstream, streamed, asked: full });
  };
  for (const upstream of ['http', 'stdio'] as const) {
    // The open model: calls are due whether the ones before were answered or not.
    if (options.toy !== true)
      add(upstream, 'call, 1,000 due a second', { connections: 64, ratePerSecond: 1_000 });
    for (const connections of widths) add(upstream, 'call', { connections });
    add(upstream, 'call', { era: 'legacy', connections: widths.includes(16) ? 16 : 4 });
    add(upstream, 'list', { method: 'list', connections: widths.includes(16) ? 16 : 4 });
  }
  add('http', 'streamed call', { connections: widths.includes(16) ? 16 : 4 }, true);
  add('http', 'call of 64 KB', { payloadBytes: 64 * KB, connections: widths.includes(16) ? 16 : 4 });
  if (options.toy !== true) add('http', 'call of 1 MB', { payloadBytes: KB * KB, connections: 4 });
  return list;
}

/** Runs the suite: results by name. */
export async function benchSuite(options: SuiteOptions): Promise<Record<string, BenchResult>> {
  const notes: string[] = [];
  const scenarios = scenariosOf(options);
  const results: Record<string, BenchResult> = {};
  const processes: BenchRow[] = [];
  for (const upstream of ['http', 'stdio'] as const) {
    const entrants: Entrant[] = [];
    try {
      await (upstream === 'http'
        ? enterHttp(entrants, notes, options)
        : enterStdio(entrants, notes, options));
      const mine = scenarios.filter((scenario) => scenario.upstream === upstream);
      results[`peers-${upstream}`] = await measureAll(upstream, mine, entrants, options, notes.splice(0));
      for (const entrant of entrants) if (entrant.isProxy) processes.push(processRow(upstream, entrant));
    } finally {
      for (const { target } of entrants.reverse()) await target.stop();
    }
  }
  results['peers-processes'] = {
    title: 'gateways as processes',
    method:
      'ready: from the start of the process to its first answer through to the upstream; RSS of the process tree but the MCP servers, before and after the loads',
    rows: processes,
    checksum: checksumOf(processes.map((row) => row.name).join()),
  };
  return results;
}

// ── who takes part ────────────────────────────────────────────────────────────────────────────────────────────────

async function enter(
  entrants: Entrant[],
  start: () => Promise<Target>,
  parts: Partial<Entrant> = {},
): Promise<void> {
  const target = await start();
  const entrant: Entrant = {
    target,
    upstream: 'http',
    connectionsMax: Number.POSITIVE_INFINITY,
    isProxy: true,
    readyMs: Number.NaN,
    idleMb: Number.NaN,
    loadedMb: Number.NaN,
    ...parts,
  };
  entrants.push(entrant);
  entrant.readyMs = (await firstAnswer(target)) - target.startedMs;
  await Bun.sleep(SETTLE_MS);
  entrant.idleMb = treeUse(target.pid, isStdioEcho).residentMb;
}

async function enterHttp(entrants: Entrant[], notes: string[], options: SuiteOptions): Promise<void> {
  await enter(entrants, startEcho, { isProxy: false });
  const upstream = entrants[0]?.target.url ?? '';
  const blind = [
    ['nginx', startNginx, 'nginx-light'],
    ['haproxy', startHaproxy, 'haproxy'],
  ] as const;
  for (const [name, start, debian] of options.toy === true ? [] : blind) {
    const program = which(name);
    if (program === null) notes.push(`left out ${name}: not installed (Debian: apt-get install ${debian})`);
    else
      await enter(entrants, () => start(program, upstream)).catch((error: unknown) =>
        notes.push(`left out ${name}: ${firstLine(error)}`),
      );
  }
  const servers = { echo: { url: upstream }, stream: { url: streamUrl(upstream, false) } };
  await enter(entrants, () => startGatewayWith(servers));
}

async function enterStdio(entrants: Entrant[], notes: string[], options: SuiteOptions): Promise<void> {
  const upstream = 'stdio' as const;
  const [command = '', ...args] = STDIO_ECHO;
  await enter(entrants, () => startGatewayWith({ echo: { command, args } }), { upstream });
  if (options.toy === true) return;
  const { node, missing } = await findNpmPeers(options.full);
  for (const peer of NPM_PEERS) {
    const why = missing[peer.name];
    const label = `${peer.name} ${peer.version}`;
    if (why !== undefined) {
      notes.push(`left out ${label}: ${why}`);
      continue;
    }
    const connectionsMax = peer.processPerSession ? PROCESSES_MAX : Number.POSITIVE_INFINITY;
    if (peer.processPerSession)
      notes.push(`${label} has a process for each session: at most ${PROCESSES_MAX} connections`);
    await enter(entrants, () => startNpmPeer(peer, node), { upstream, connectionsMax }).catch(
      (error: unknown) => notes.push(`left out ${label}: ${firstLine(error)}`),
    );
  }
}

/** The place of the event streams: another path of the echo, another server of the gateway. */
function streamUrl(url: string, gateway: boolean): string {
  return gateway ? url.replace(/echo$/, 'stream') : url.replace(/\/mcp$/, '/stream');
}

const HELLO = {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'sluice-bench', version: '1' },
    },
  }),
};

/** When the first initialize was answered with 200, by performance.now(). The session is ended. */
async function firstAnswer(target: Target): Promise<number> {
  const untilMs = performance.now() + READY_WITHIN_MS;
  let said = 'nothing';
  while (performance.now() < untilMs) {
    const reply = await fetch(target.url, { ...HELLO, signal: AbortSignal.timeout(READY_WITHIN_MS) }).catch(
      () => null,
    );
    const text = (await reply?.text().catch(() => '')) ?? '';
    if (reply?.status === 200 && text.includes('protocolVersion')) {
      const at = performance.now();
      const session = reply.headers.get('mcp-session-id');
      if (session !== null)
        await fetch(target.url, { method: 'DELETE', headers: { 'mcp-session-id': session } }).catch(
          () => null,
        );
      return at;
    }
    said = `${reply?.status ?? 'no connection'} ${text.slice(0, 200)}`;
    await Bun.sleep(5);
  }
  throw new Error(`${target.name} did not answer initialize: ${said}`);
}

// ── the rounds ────────────────────────────────────────────────────────────────────────────────────────────────────

async function measureAll(
  upstream: 'http' | 'stdio',
  scenarios: readonly Scenario[],
  entrants: readonly Entrant[],
  options: SuiteOptions,
  notes: string[],
): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  for (const entrant of entrants) await warmUp(entrant, options);
  for (const scenario of scenarios) {
    const able = entrants.filter((one) => scenario.asked.connections <= one.connectionsMax);
    const rounds = await interleave(scenario, able, options, notes);
    rows.push(...rowsOf(scenario, able, rounds, upstream === 'http' ? 'nginx' : 'mcp-proxy'));
  }
  for (const entrant of entrants) entrant.loadedMb = treeUse(entrant.target.pid, isStdioEcho).residentMb;
  const base = upstream === 'http' ? 'nginx' : 'mcp-proxy';
  return {
    title: upstream === 'http' ? 'gateways before an HTTP server' : 'gateways before a stdio server',
    method: `sluice bench as the load; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s after ${options.warmUpSeconds} s; medians; CPU of the process tree from /proc; × is against ${base} within each round`,
    rows,
    checksum: checksumOf(scenarios.map((scenario) => scenario.name).join()),
    ...(notes.length > 0 && { notes }),
  };
}

/** Programs with a compiler at run time need more than the moment before each round to be at their best. */
async function warmUp({ target }: Entrant, { warmUpSeconds }: SuiteOptions): Promise<void> {
  if (warmUpSeconds === 0) return;
  const asked = { method: 'call', connections: 16, payloadBytes: 0 } as const;
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
  const { target } = entrant;
  const url = scenario.streamed ? streamUrl(target.url, target.name === 'sluice') : target.url;
  let beforeMs = 0;
  let usedMs = 0;
  const time = {
    seconds: options.secondsPerRound,
    warmUpSeconds: options.warmUpSeconds,
    ...(options.callsMax !== undefined && { count: options.callsMax }),
  };
  const measured = await runLoad(url, scenario.asked, time, (phase) => {
    const { cpuMs } = treeUse(target.pid, isStdioEcho);
    if (phase === 'counting') beforeMs = cpuMs;
    else usedMs = cpuMs - beforeMs;
  });
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

function processRow(upstream: string, entrant: Entrant): BenchRow {
  return {
    name: `${entrant.target.name}, ${upstream}`,
    figures: {
      'ready ms': entrant.readyMs,
      'RSS idle MB': entrant.idleMb,
      'RSS loaded MB': entrant.loadedMb,
    },
  };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ').slice(0, 200);
}
