// h2load as the load: HTTP/1.1, HTTP/2 without TLS and gRPC by one program, so that servers of all three can be held against each other.
// Called by other-servers.ts. Promises: latencies come from its log of every request; a reply that is not a success fails the run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a server wants the call. */
export interface H2Call {
  readonly url: string;
  readonly http: '1.1' | '2';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a run showed. Latencies in µs. */
export interface H2Measured {
  readonly calls: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** Runs it for some seconds. Throws when a call was not answered well. */
export async function runH2load(
  program: string,
  call: H2Call,
  connections: number,
  seconds: number,
): Promise<H2Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const body = join(folder, 'body');
    const log = join(folder, 'log');
    writeFileSync(body, call.body);
    const headers = Object.entries(call.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const options = [
      ...(call.http === '1.1' ? ['--h1'] : []),
      ...['-t1', `-c${connections}`, '-m1', '-D', `${Math.round(seconds * 1000)}ms`],
      ...['-d', body, '--log-file', log, ...headers],
    ];
    const child = Bun.spawn([program, ...options, call.url], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: seconds * 1000 + 20_000,
    });
    const said = await new Response(child.stdout).text();
    const code = await child.exited;
    const found =
      /requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(said);
    const bad = found === null ? 1 : Number(found[3]) + Number(found[4]) + Number(found[5]);
    // calls under way when the time is over count as failed there
    if (code !== 0 || found === null || bad > connections)
      throw new Error(`h2load ${call.url} ended with code ${code}: ${said.slice(-600)}`);
    return { seconds, ...latenciesIn(readFileSync(log, 'utf8')) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The log has a line a request: when it began (µs since 1970), its status, how long it took (µs). */
export function latenciesIn(log: string): Omit<H2Measured, 'seconds'> {
  const times: number[] = [];
  for (const line of log.split('\n')) {
    const [, status, us] = line.split('\t');
    if (status === '200') times.push(Number(us));
  }
  const sorted = Float64Array.from(times).sort();
  const percentile = (percent: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
  return {
    calls: sorted.length,
    p50Us: percentile(50),
    p90Us: percentile(90),
    p99Us: percentile(99),
    p999Us: percentile(99.9),
  };
}
