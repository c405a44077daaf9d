// The pool of upstream connections: a call gets an idle connection, the connection comes back; with 10, 100 and 1 000 of them.
// Called by bench/run.ts and, at toy size, by the tests. Promises: the pool is the real one; its connections have their sending taken out, so
// that its own bookkeeping is what is timed; the rival is a bare array used as a stack, which is the least that any pool can do.
import { soloCell } from '../../src/memory/cells.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createSimRuntime } from '../../src/runtime/sim.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { HttpCall } from '../../src/upstream/http-call.ts';
import type { HttpConnection } from '../../src/upstream/http-connection.ts';
import { HttpPool } from '../../src/upstream/pool.ts';
import { RequestHead } from '../../src/upstream/request-head.ts';
import type { HttpTarget, ServerSpec } from '../../src/upstream/spec.ts';
import type { UpstreamSink } from '../../src/upstream/upstream.ts';
import { type BenchResult, type BenchRow, checksumOf } from '../report.ts';
import { measureTasks } from './measure.ts';
import { REQUEST } from './request.ts';

const CALLS = 1_000;
const TIMEOUT_MS = 60_000;

function specOf(connectionsMax: number): { readonly spec: ServerSpec; readonly target: HttpTarget } {
  const target: HttpTarget = {
    kind: 'http',
    client: 'http1',
    secure: false,
    host: '127.0.0.1',
    port: 1,
    unixPath: null,
    path: '/mcp',
    url: 'http://127.0.0.1:1/mcp',
    headers: [],
    tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
    connectionsMax,
  };
  const spec: ServerSpec = {
    name: 'bench',
    target,
    forwardHeaders: [],
    connectTimeoutMs: TIMEOUT_MS,
    firstByteTimeoutMs: TIMEOUT_MS,
    replyIdleTimeoutMs: TIMEOUT_MS,
    totalTimeoutMs: TIMEOUT_MS,
    queueDepthMax: 0,
    breaker: null,
    era: 'auto',
  };
  return { spec, target };
}

const SINK: UpstreamSink = {
  onHead: () => undefined,
  onData: () => true,
  onEnd: () => undefined,
  onFail: () => undefined,
};

/** A pool whose connections are all open and idle, and a way to take one and give it back. */
function filledPool(connections: number): { readonly pool: HttpPool; readonly turn: () => void } {
  const { spec, target } = specOf(connections);
  const { clock } = createSimRuntime({ seed: 1 });
  const made: HttpConnection[] = [];
  let taken: HttpConnection | null = null;
  const pool = new HttpPool({
    wire: {
      spec,
      scanner: portableScanner(),
      head: new Int32Array(64),
      request: new RequestHead(target),
      log: SILENT,
      clock,
    },
    clock,
    connectionsMax: connections,
    cell: soloCell(),
    nudge: () => undefined,
    connect: (connection) => made.push(connection),
  });
  const call = new HttpCall(REQUEST, SINK, () => undefined);
  for (let n = 0; n < connections; n++) pool.start(call);
  for (const connection of made) {
    connection.begin = () => {
      taken = connection;
    };
    pool.connectionFree(connection);
  }
  const turn = (): void => {
    taken = null;
    pool.start(call);
    if (taken !== null) pool.connectionFree(taken);
  };
  return { pool, turn };
}

/** Measures get and return with pools of three sizes. */
export async function benchPool(options: { readonly toy: boolean }): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  let checksum = checksumOf('pool');
  for (const connections of options.toy ? [10] : [10, 100, 1_000]) {
    const { pool, turn } = filledPool(connections);
    const stack = Array.from({ length: connections }, (_, n) => ({ n }));
    const bare = (): void => {
      const one = stack.pop();
      if (one !== undefined) stack.push(one);
    };
    const before = pool.stats();
    for (let n = 0; n < CALLS; n++) turn();
    const after = pool.stats();
    if (after.idle !== connections || after.reuses - before.reuses !== CALLS)
      throw new Error(`a pool of ${connections} does not balance: ${JSON.stringify(after)}`);
    checksum = checksumOf(`${connections} ${after.reuses}`, checksum);
    const ns = await measureTasks({ turn, bare }, { calls: CALLS, toy: options.toy });
    const turnNs = ns.turn ?? Number.NaN;
    rows.push({
      name: `${connections} connections`,
      figures: { getAndReturnNs: turnNs, arrayPopPushNs: ns.bare ?? Number.NaN, 'M/s': 1e3 / turnNs },
    });
  }
  const shown = rows.map((row) => Number(row.figures.getAndReturnNs).toFixed(1)).join(', ');
  return {
    title: 'pool: a connection out and back',
    method: 'the HTTP pool with its connections idle, nothing sent; best median of the rounds',
    rows,
    checksum,
    published: [
      {
        what: 'connection pool get, with 10, 100, 1000 connections',
        theirs: '83, 85, 92 ns',
        ours: `${shown} ns for get and return`,
      },
    ],
  };
}
