// What a bridge between the eras costs: the same call with client and server of one era, and of two, through gateways that stand side by side.
// Called by bench/run.ts as `bridging` and, at toy size, by the tests. Promises: rounds are interleaved; ratios are taken within a round, against
// the client's own era passed through; every reply is judged by the load; what is bridged is pinned in the gateway's configuration.
import { type BenchResult, type BenchRow, checksumOf, median, rowOf } from '../report.ts';
import { type Measured, runLoad } from './load.ts';
import { isStdioEcho, STDIO_ECHO, startEcho, startGatewayWith } from './peers.ts';
import { type Target, treeUse } from './target.ts';

/** How long to measure. */
export interface BridgingOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  /** Most calls of a round; left out: as many as fit in its time. */
  readonly callsMax?: number;
}

type Era = 'modern' | 'legacy';
type Transport = 'http' | 'stdio';

/** One client before one server. */
interface Pair {
  readonly transport: Transport;
  readonly client: Era;
  readonly server: Era;
}

interface Round extends Measured {
  readonly cpuUs: number;
}

const ERAS: readonly Era[] = ['modern', 'legacy'];
const TITLE = 'bridging the eras';

/** Measures every pair, or throws when a gateway does not serve one. */
export async function benchBridging(options: BridgingOptions): Promise<BenchResult> {
  const open: Target[] = [];
  try {
    const echo = await startEcho();
    open.push(echo);
    const [command = '', ...args] = STDIO_ECHO;
    const gateways = new Map<string, Target>();
    for (const transport of ['http', 'stdio'] as const)
      for (const era of ERAS) {
        const reached = transport === 'http' ? { url: echo.url } : { command, args };
        const gateway = await startGatewayWith({ echo: { ...reached, era } });
        open.push(gateway);
        gateways.set(`${transport} ${era}`, gateway);
      }
    const targetOf = ({ transport, server }: Pair): Target => gateways.get(`${transport} ${server}`) ?? echo;
    const pairs = pairsOf();
    const rounds: Round[][] = pairs.map(() => []);
    for (let round = 0; round < options.rounds; round++)
      for (const [at, pair] of pairs.entries())
        rounds[at]?.push(await measure(pair, targetOf(pair), options));
    return summarise(pairs, rounds, options);
  } finally {
    for (const target of open.reverse()) await target.stop();
  }
}

/** Each client first before a server of its own era, which the ratios are taken against. */
function pairsOf(): Pair[] {
  return (['http', 'stdio'] as const).flatMap((transport) =>
    ERAS.flatMap((client) => {
      const other: Era = client === 'modern' ? 'legacy' : 'modern';
      return [client, other].map((server) => ({ transport, client, server }));
    }),
  );
}

async function measure(pair: Pair, target: Target, options: BridgingOptions): Promise<Round> {
  const { secondsPerRound: seconds, warmUpSeconds, connections, callsMax } = options;
  const time = { seconds, warmUpSeconds, ...(callsMax !== undefined && { count: callsMax }) };
  const asked = { era: pair.client, method: 'call', connections, payloadBytes: 0 } as const;
  let beforeMs = 0;
  let usedMs = 0;
  const measured = await runLoad(target.url, asked, time, (phase) => {
    const { cpuMs } = treeUse(target.pid, isStdioEcho);
    if (phase === 'counting') beforeMs = cpuMs;
    else usedMs = cpuMs - beforeMs;
  });
  if (measured.failed > 0)
    throw new Error(
      `${nameOf(pair)}: ${measured.failed} calls failed: ${Object.keys(measured.errors).join(', ')}`,
    );
  return { ...measured, cpuUs: (usedMs * 1000) / measured.calls };
}

function nameOf({ transport, client, server }: Pair): string {
  return `${transport}: ${client} client, ${server} server${client === server ? '' : ' (bridged)'}`;
}

function summarise(
  pairs: readonly Pair[],
  rounds: readonly (readonly Round[])[],
  options: BridgingOptions,
): BenchResult {
  const rows = pairs.map((pair, at): BenchRow => {
    const own = rounds[at] ?? [];
    const base = rounds[pair.client === pair.server ? at : at - 1] ?? [];
    const over = (read: (round: Round) => number): number =>
      median(own.map((round, index) => read(round) / read(base[index] ?? round)));
    return rowOf(
      nameOf(pair),
      {
        'calls/s': own.map((round) => round.calls / round.seconds),
        'p50 µs': own.map((round) => round.p50Us),
        'p99 µs': own.map((round) => round.p99Us),
        'CPU µs/call': own.map((round) => round.cpuUs),
      },
      {
        'p50 ×': over((round) => round.p50Us),
        'CPU ×': over((round) => round.cpuUs),
      },
    );
  });
  return {
    title: TITLE,
    method: `sluice bench, ${options.connections} connections; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s; medians; CPU of the gateway's process, servers on stdio left out; × is against the row above, the same client before a server of its own era`,
    rows,
    checksum: checksumOf(pairs.map(nameOf).join()),
  };
}
