// How long a call may wait, from the server's configured time-outs and the call's own.
// Called by pool.ts, http-connection.ts and fetch.ts. Promises: pure.
import type { ServerSpec } from './spec.ts';
import type { UpstreamRequest } from './upstream.ts';

/** Longest wait of a call for the first byte of its reply, waiting for a connection included. */
export function firstByteBoundMs(spec: ServerSpec, request: UpstreamRequest): number {
  const configuredMs = Math.min(spec.firstByteTimeoutMs, spec.totalTimeoutMs);
  return request.timeoutMs > 0 ? Math.min(request.timeoutMs, configuredMs) : configuredMs;
}

/** Longest tick: deadlines are late by at most two. */
const TICK_MS_MAX = 50;
const TICK_MS_MIN = 5;

/** Milliseconds between looks at a server's deadlines: short against the shortest of them. */
export function tickMsFor(spec: ServerSpec): number {
  const { connectTimeoutMs, firstByteTimeoutMs, replyIdleTimeoutMs, totalTimeoutMs } = spec;
  const shortestMs = Math.min(connectTimeoutMs, firstByteTimeoutMs, replyIdleTimeoutMs, totalTimeoutMs);
  return Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(shortestMs / 4)));
}
