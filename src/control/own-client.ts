// The control plane's own HTTP client: what the gateway itself asks of a URL, for nobody's sake.
// Called by admin/loopback.ts (its own data listener) and traces/exporter.ts (a collector). Promises: no breaker, no retries and no sessions; bounds are the caller's.
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { portableScanner } from '../scan/portable.ts';
import { createHttpUpstream } from '../upstream/http.ts';
import type { HttpTarget, ServerSpec } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** Whom to ask, and how. */
export interface OwnClientParts {
  readonly runtime: Runtime;
  readonly log: Log;
  /** As messages call it. */
  readonly name: string;
  readonly url: URL;
  /** Sent with every request: name, value, name, value …; lower-case names. */
  readonly headers: readonly string[];
  /** False takes any certificate. */
  readonly verify: boolean;
  readonly connectionsMax: number;
  readonly queueDepthMax: number;
  /** Bound on each request, and on the silence in its reply. */
  readonly timeoutMs: number;
}

/** Makes it; nothing is connected yet. */
export function openOwnClient(parts: OwnClientParts): Upstream {
  const { runtime, log, name, url, headers, verify, connectionsMax, queueDepthMax, timeoutMs } = parts;
  const { protocol, hostname, port, pathname, search } = url;
  const secure = protocol === 'https:';
  const target: HttpTarget = {
    ...{ kind: 'http', client: 'http1', secure, unixPath: null, headers, connectionsMax },
    host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    port: port === '' ? (secure ? 443 : 80) : Number(port),
    path: pathname + search,
    url: url.href,
    tls: { serverName: null, ca: null, cert: null, key: null, verify },
  };
  const spec: ServerSpec = {
    ...{ name, target, era: 'auto', forwardHeaders: [], queueDepthMax, breaker: null },
    connectTimeoutMs: LIMITS.connectTimeoutMs,
    firstByteTimeoutMs: timeoutMs,
    replyIdleTimeoutMs: timeoutMs,
    totalTimeoutMs: timeoutMs,
  };
  return createHttpUpstream({ runtime, scanner: portableScanner(), spec, log });
}
