// The HTTP/1.1 upstream: a client of our own on the runtime's raw sockets, because fetch() costs more than a whole proxied call may.
// Called by worker.ts, which makes one per server and worker. Promises: the contract of upstream.ts; no promise, closure or timer per call.
import { must } from '../base/assert.ts';
import { type PoolCell, soloCell } from '../memory/cells.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime, SocketAddress, TlsConnectOptions } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { HttpCall } from './http-call.ts';
import { HttpPool } from './pool.ts';
import { HEAD_NUMBERS } from './reply-head.ts';
import { RequestHead } from './request-head.ts';
import type { HttpTarget, ServerSpec } from './spec.ts';
import type { Upstream } from './upstream.ts';

/** What the upstream is made of. */
export interface HttpUpstreamOptions {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  /** Its target must be of kind `http`. */
  readonly spec: ServerSpec;
  readonly log: Log;
  /** What this worker tells the others, and the bound it shares with them; left out: it has the server to itself. */
  readonly cell?: PoolCell;
  /** Tells another worker to call nudged() on its upstream of this server. */
  readonly nudge?: (worker: number) => void;
}

/** Makes the upstream; nothing is connected before the first call. */
export function createHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const { runtime, scanner, spec } = options;
  const target = must(spec.target.kind === 'http' ? spec.target : null, 'an HTTP target');
  const address = addressOf(target);
  const tls = tlsOf(target);
  const log = options.log.with({ server: spec.name });
  const pool = new HttpPool({
    wire: {
      spec,
      scanner,
      head: new Int32Array(HEAD_NUMBERS),
      request: new RequestHead(target),
      log,
      clock: runtime.clock,
    },
    clock: runtime.clock,
    connectionsMax: target.connectionsMax,
    cell: options.cell ?? soloCell(),
    nudge: options.nudge ?? (() => undefined),
    connect: (connection) => runtime.connect(address, tls, connection),
  });
  const report = (thrown: unknown): void =>
    log.error('a consumer of a reply threw', { fault: String(thrown) });
  return {
    name: spec.name,
    transport: 'http',
    send(request, sink) {
      const call = new HttpCall(request, sink, report);
      pool.start(call);
      return call;
    },
    stats: () => pool.stats(),
    nudged: () => pool.nudged(),
    close: (withinMs) => pool.close(withinMs),
  };
}

/** Where to connect: host names of IPv6 addresses come without their brackets. */
function addressOf(target: HttpTarget): SocketAddress {
  if (target.unixPath !== null) return { unixPath: target.unixPath };
  return { host: bareHost(target.host), port: target.port };
}

function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

function tlsOf(target: HttpTarget): TlsConnectOptions | null {
  if (!target.secure) return null;
  const { serverName, ca, cert, key, verify } = target.tls;
  return { serverName: serverName ?? bareHost(target.host), ca, cert, key, verify };
}
