// The load of the suite: `sluice bench` in a process of its own, asked for JSON.
// Called by suite.ts and capacity.ts. Promises: bounded in time; a run with failures is a result with its errors, one without any call throws.
import { join } from 'node:path';
import { linesOf } from './target.ts';

/** What to ask for, in words of the command line. */
export interface Asked {
  readonly era: 'modern' | 'legacy';
  readonly method: 'call' | 'list';
  readonly connections: number;
  readonly payloadBytes: number;
  readonly ratePerSecond?: number;
  /** Name of the tool that echoes, as it is called behind this URL; left out: `echo`. */
  readonly tool?: string;
}

/** What one run of `sluice bench` showed. Latencies in µs. */
export interface Measured {
  readonly calls: number;
  readonly failed: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly errors: Readonly<Record<string, number>>;
  /** CPU time of the load as a share of one core. */
  readonly ownCpuShare: number;
}

const MAIN = join(import.meta.dir, '..', '..', 'src', 'main.ts');
/** Longest time that preparing, ending and one slow answer may take beyond the run itself. */
const GRACE_MS = 20_000;

/** Runs it; `onPhase` is told when it begins to count and when it stops. Throws with what it printed when it has no result. */
export async function runLoad(
  url: string,
  asked: Asked,
  time: { readonly seconds: number; readonly warmUpSeconds: number; readonly count?: number },
  onPhase: (phase: string) => void = () => undefined,
): Promise<Measured> {
  const options = [
    ['--era', asked.era],
    ['--method', asked.method],
    ['-c', asked.connections],
    ['--duration', time.seconds],
    ['--warm-up', time.warmUpSeconds],
    ['--timeout', 10],
    ...(asked.payloadBytes > 0 ? [['--payload', asked.payloadBytes]] : []),
    ...(asked.ratePerSecond === undefined ? [] : [['--rate', asked.ratePerSecond]]),
    ...(asked.tool === undefined ? [] : [['--tool', asked.tool]]),
    ...(time.count === undefined ? [] : [['--count', time.count]]),
  ];
  const child = Bun.spawn(
    [process.execPath, MAIN, 'bench', url, '--json', '--progress', ...options.flat().map(String)],
    {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: (time.seconds + time.warmUpSeconds) * 1000 + GRACE_MS,
      killSignal: 'SIGKILL',
    },
  );
  let err = '';
  const watch = async (): Promise<void> => {
    for await (const line of linesOf(child.stderr)) {
      if (line === 'counting' || line === 'counted') onPhase(line);
      else err += `${line}\n`;
    }
  };
  const [out] = await Promise.all([new Response(child.stdout).text(), watch()]);
  await child.exited;
  if (out === '') throw new Error(`sluice bench ${url} had no result: ${err.trim() || 'it was ended'}`);
  // our own program wrote it
  const found = JSON.parse(out) as {
    calls: number;
    failed: number;
    seconds: number;
    latencyUs: Record<string, number | null>;
    errors: Record<string, number>;
    ownCpuShare: number;
  };
  const percentile = (name: string): number => found.latencyUs[name] ?? Number.NaN;
  const { calls, failed, seconds, errors, ownCpuShare } = found;
  return {
    calls,
    failed,
    seconds,
    errors,
    ownCpuShare,
    p50Us: percentile('p50'),
    p90Us: percentile('p90'),
    p99Us: percentile('p99'),
    p999Us: percentile('p99.9'),
  };
}
