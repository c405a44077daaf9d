// Whether memory stays flat: calls by the million through two data workers of this process, with samples in between.
// Called by bench/run.ts. Promises: load and upstream are other processes, so nothing of theirs is measured; the slope of RSS and heap is that of a
// straight line through the samples after the warm-up, beside how far the samples lie from it; a refused or broken call fails the bench.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '../../src/control/compile.ts';
import { configSchema } from '../../src/control/schema.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { type BenchResult, type BenchRow, checksumOf, skippedBench } from '../report.ts';
import { CALL_BODY } from './call.ts';
import { startEcho } from './peers.ts';
import { residentMb, which } from './target.ts';
import { runWrk, wrkScript } from './wrk.ts';

/** How much to send, in parts with a sample after each. */
export interface SteadyOptions {
  readonly calls: number;
  readonly secondsPerPart: number;
  readonly workers: number;
}

/** Samples of this first share of the calls are the warm-up: code is being compiled, pools fill. */
const WARM_SHARE = 0.2;
const CONNECTIONS = 64;
const TITLE = 'memory over many calls';

interface Sample {
  /** Calls done by then, in millions. */
  readonly calls: number;
  readonly rssMb: number;
  readonly heapMb: number;
}

/** A straight line through points by least squares: its slope, and the standard error of that slope. */
export function slopeOf(points: readonly (readonly [number, number])[]): { slope: number; error: number } {
  const count = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  const spreadX = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spreadX;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / Math.max(1, count - 2) / spreadX) };
}

async function sample(gateway: Gateway, calls: number): Promise<Sample> {
  const { heapBytes } = await gateway.stats();
  return { calls: calls / 1e6, rssMb: residentMb(process.pid), heapMb: heapBytes / 2 ** 20 };
}

function rowOf(name: string, samples: readonly Sample[], figure: (sample: Sample) => number): BenchRow {
  const total = samples.at(-1)?.calls ?? 0;
  const settled = samples.filter((one) => one.calls >= total * WARM_SHARE);
  const { slope, error } = slopeOf(settled.map((one) => [one.calls, figure(one)]));
  const values = settled.map(figure);
  return {
    name,
    figures: {
      'first MB': values[0] ?? Number.NaN,
      'last MB': values.at(-1) ?? Number.NaN,
      'least MB': Math.min(...values),
      'most MB': Math.max(...values),
      'slope MB/M calls': slope,
      'its standard error': error,
      samples: values.length,
    },
  };
}

/** Sends the calls and samples; the last word is whether the slopes lie within their own noise. */
export async function benchSteady(options: SteadyOptions): Promise<BenchResult> {
  const wrk = which('wrk');
  if (wrk === null) return skippedBench(TITLE, 'wrk is not installed (Debian: apt-get install wrk)');
  const script = join(tmpdir(), `sluice-steady-${process.pid}.lua`);
  writeFileSync(script, wrkScript());
  const echo = await startEcho();
  let gateway: Gateway | null = null;
  try {
    const config = configSchema.parse({ listen: { port: 0 }, servers: { echo: { url: echo.url } } });
    const snapshot = compile({ config, material: new Map(), env: {}, epoch: 1 });
    const runtime = createBunRuntime();
    const { workers } = options;
    gateway = await startGateway({
      runtime,
      snapshot,
      log: SILENT,
      scan: 'auto',
      logLevel: 'error',
      workers,
    });
    const url = `${gateway.url}/mcp/echo`;
    const samples: Sample[] = [];
    let calls = 0;
    while (calls < options.calls) {
      calls += (await runWrk(wrk, script, url, CONNECTIONS, options.secondsPerPart)).calls;
      const now = await sample(gateway, calls);
      samples.push(now);
      if (process.stderr.isTTY)
        process.stderr.write(
          `\r${now.calls.toFixed(2)} M calls, RSS ${now.rssMb.toFixed(0)} MB, heap ${now.heapMb.toFixed(1)} MB `,
        );
    }
    return summarise(samples, options);
  } finally {
    gateway?.stop();
    await echo.stop();
    rmSync(script, { force: true });
  }
}

function summarise(samples: readonly Sample[], options: SteadyOptions): BenchResult {
  const last = samples.at(-1) ?? { calls: 0, rssMb: 0, heapMb: 0 };
  const total = last.calls;
  const first = samples.find((one) => one.calls >= total * WARM_SHARE) ?? last;
  return {
    title: TITLE,
    method: `wrk -t1 -c${CONNECTIONS} through ${options.workers} data workers, ${total.toFixed(2)} M calls, a sample every ${options.secondsPerPart} s; least squares over the samples after the first ${WARM_SHARE * 100} % of the calls`,
    rows: [rowOf('RSS', samples, (one) => one.rssMb), rowOf('JavaScript heap', samples, (one) => one.heapMb)],
    plots: [
      {
        title: 'Memory over calls',
        x: { label: 'million calls', values: samples.map((one) => one.calls) },
        y: { label: 'MB' },
        series: [
          { name: 'RSS', values: samples.map((one) => one.rssMb) },
          { name: 'JavaScript heap', values: samples.map((one) => one.heapMb) },
        ],
      },
    ],
    published: [
      {
        what: 'pooling: allocations on the hot path',
        theirs: '95 % fewer; zero on the hot path',
        ours: `${(((last.heapMb - first.heapMb) * 2 ** 20) / ((last.calls - first.calls) * 1e6)).toFixed(2)} B of heap kept per call`,
      },
    ],
    checksum: checksumOf(CALL_BODY),
  };
}
