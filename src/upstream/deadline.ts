// How long a call may wait, from the server's configured time-outs and the call's own.
// Called by pool.ts, http-connection.ts and fetch.ts. Promises: pure.
import type { ServerSpec } from './spec.ts';
import type { UpstreamRequest } from './upstream.ts';

/** Longest wait of a call for the first byte of its reply, waiting for a connection included. */
export function firstByteBoundMs(spec: ServerSpec, request: UpstreamRequest): number {
  const configuredMs = Math.min(spec.firstByteTimeoutMs, spec.totalTimeoutMs);
  return request.timeoutMs > 0 ? Math.min(request.timeoutMs, configuredMs) : configuredMs;
}
