// How long a call may wait, from the server's configured time-outs and the call's own.
// Called by the upstreams. Promises: pure.
//
// The rules, whatever the transport. The first byte (on stdio: the first message that belongs to the call) comes within `firstByteMs`. From then on
// a body that is no event stream is never silent for longer than `replyIdleMs`; an event stream may be, since progress comes when it comes and a
// server may wait for an answer of the client. The whole ends within `totalMs`, event streams of calls included, however busy they are. Exempt
// from that are what isEndless() says, and a call that waits for its client (UpstreamCall.outlast), which has bounds of its own.
import { equalsAscii } from '../base/bytes.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';
import type { ServerSpec } from './spec.ts';
import type { UpstreamRequest } from './upstream.ts';

/** Longest wait of a call for the first byte of its reply, waiting for a connection included. */
export function firstByteBoundMs(spec: ServerSpec, request: UpstreamRequest): number {
  const configuredMs = Math.min(spec.firstByteTimeoutMs, spec.totalTimeoutMs);
  return request.timeoutMs > 0 ? Math.min(request.timeoutMs, configuredMs) : configuredMs;
}

/** What a call is told that reached its bound. */
export function tookTooLong(totalTimeoutMs: number): string {
  return `the whole call took longer than ${totalTimeoutMs} ms (timeouts.totalMs)`;
}

/** True for what is meant to go on: a session's event stream, a subscription. Of every other exchange, events included, the whole is bounded. */
export function isEndless({ verb, body, envelope }: UpstreamRequest): boolean {
  if (verb === 'GET') return true;
  const start = envelope?.[ENVELOPE.method] ?? -1;
  return (
    start >= 0 && equalsAscii(body, start + 1, (envelope?.[ENVELOPE.method + 1] ?? 0) - 1, METHOD.listen)
  );
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
