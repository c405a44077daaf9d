// wrk as the load: one thread, keep-alive connections, the same tools/call over and over.
// Called by routed.ts. Promises: figures come from wrk's own summary through a Lua script of ours; a reply other than 200
// or a socket error fails the run, so that no ratio rests on refusals.
import { CALL_BODY, CALL_HEADERS } from './call.ts';

/** What one run of wrk measured. Latencies in µs. */
export interface Load {
  readonly calls: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** The Lua script: wrk formats the request once, and prints its summary as one JSON line. */
export function wrkScript(): string {
  // Lua's long brackets take the text as it stands
  const headers = Object.entries(CALL_HEADERS).map(
    ([name, value]) => `wrk.headers[ [==[${name}]==] ] = [==[${value}]==]`,
  );
  return `-- The load of bench/macro: a tools/call per request. Written by wrk.ts for one run.
-- Promises: one summary line, in JSON, at the end.
wrk.method = "POST"
wrk.body = [==[${CALL_BODY}]==]
${headers.join('\n')}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"calls":%d,"us":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
`;
}

/** Runs wrk for some seconds. Throws when a call was refused or broken. */
export async function runWrk(
  program: string,
  script: string,
  url: string,
  connections: number,
  seconds: number,
): Promise<Load> {
  const child = Bun.spawn([program, '-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  const line = stdout.split('\n').find((one) => one.startsWith('{'));
  if (code !== 0 || line === undefined) throw new Error(`wrk ended with code ${code}:\n${stdout}${stderr}`);
  // the script above wrote the line
  const found = JSON.parse(line) as {
    calls: number;
    us: number;
    p50: number;
    p99: number;
    refused: number;
    broken: number;
  };
  if (found.refused + found.broken > 0)
    throw new Error(`${url}: ${found.refused} calls refused, ${found.broken} broken`);
  return { calls: found.calls, seconds: found.us / 1e6, p50Us: found.p50, p99Us: found.p99 };
}
