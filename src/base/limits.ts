// Every bound and derived size, in one place, with units last in the name and the arithmetic beside it.
// Called by every room; native/core/limits.h mirrors the rows marked "native" and a test keeps them equal.
// Promises: relations between rows are asserted when the module loads. Rows that an operator may change are the
// defaults of control/schema.ts.
import { assert } from './assert.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every bound; `…Ms` are milliseconds, `…BytesMax` bytes, the rest counts. */
export const LIMITS = Object.freeze({
  // ── downstream ──
  /** Largest request body: what both official SDKs accept. */
  bodyBytesMax: 4 * MIB,
  /** Most request header lines; uWebSockets itself stops near 100. */
  headerCountMax: 96,
  /** All request header bytes together (Bun's own ceiling is 16 KiB unless told otherwise). */
  headerBytesMax: 16 * KIB,
  /** Exchanges of one worker under way at once. */
  exchangesMax: 16_384,
  /** Messages in one legacy batch (the SDK's cap). */
  batchMessagesMax: 100,
  /** A stream that carries nothing gets a comment line this often; below the 30 s that load balancers allow. */
  keepAliveCommentMs: 15_000,
  /** Time that running exchanges get to finish when draining. */
  drainMs: 10_000,
  /** Bytes waiting for one slow client before the upstream is paused. */
  downstreamBufferBytesMax: 256 * KIB,

  // ── scan (native) ──
  /** Nesting of one message, containers counted from 1 (native). */
  jsonDepthMax: 256,
  /** Longest key the scanner looks at after unescaping; all known keys are shorter (native). */
  jsonKnownKeyBytesMax: 64,

  // ── upstream HTTP ──
  /** Status line and headers of one reply (native parses within it). */
  replyHeadBytesMax: 32 * KIB,
  /** Header lines of one reply (native). */
  replyHeaderCountMax: 100,
  /** One reply body that must be held whole (lists, merges); streams are not bounded by it. */
  replyBodyBytesMax: 64 * MIB,
  /** One event of an event stream, or one line of a stdio server. */
  messageBytesMax: 16 * MIB,
  /** Connections per server and worker. */
  connectionsMax: 256,
  /** Exchanges that may wait for a connection per server and worker. */
  queueDepthMax: 4_096,
  connectTimeoutMs: 5_000,
  /** Until the first byte of a reply; long tool calls need this, progress will extend it (issue 5). */
  firstByteTimeoutMs: 120_000,
  /** Silence inside a reply; event streams are exempt, their servers may be quiet for hours. */
  replyIdleTimeoutMs: 120_000,
  /** The whole exchange, streams exempt. */
  totalTimeoutMs: 600_000,
  /** Idle pooled connection; below the 5 s keep-alive of node:http servers. */
  connectionIdleMs: 4_000,

  // ── upstream stdio ──
  /** Requests in flight or queued on one child. */
  childQueueDepthMax: 4_096,
  /** Bytes accepted for a child that does not read; then requests are refused. */
  childQueueBytesMax: 32 * MIB,
  /** Time from the close of stdin to SIGTERM, and from SIGTERM to SIGKILL. */
  childStopGraceMs: 2_000,
  childKillGraceMs: 2_000,
  /** Restart back-off after a child died young: doubles from the first to the last. */
  childBackoffFirstMs: 100,
  childBackoffLastMs: 30_000,
  /** A child that lived this long starts again without back-off. */
  childHealthyMs: 10_000,

  // ── sessions ──
  /** An initialize that the gateway keeps for as long as its session lives, to heal it; clients send about 200 bytes. */
  initializeBytesMax: 64 * KIB,
  sessionsMax: 10_000,
  sessionIdleMs: 30 * 60_000,
  /** Messages kept for a legacy session's event stream while none is open. */
  sessionBacklogMax: 256,

  // ── aggregation ──
  /** Pages followed of one upstream list. */
  listPagesMax: 1_000,
  /** Longest wait for one member server in initialize, discover and lists. */
  memberTimeoutMs: 10_000,
});

assert(
  LIMITS.connectTimeoutMs < LIMITS.firstByteTimeoutMs,
  'a connect deadline lies within the first-byte deadline',
);
assert(
  LIMITS.firstByteTimeoutMs <= LIMITS.totalTimeoutMs,
  'a first-byte deadline lies within the total deadline',
);
assert(LIMITS.bodyBytesMax <= LIMITS.messageBytesMax, 'a request fits in one line of a stdio server');
assert(LIMITS.messageBytesMax <= LIMITS.replyBodyBytesMax, 'a message fits in one reply');
assert(LIMITS.keepAliveCommentMs < 30_000, 'keep-alive comments come before load balancers give up');
