// Every bound and derived size, in one place, with units last in the name and the arithmetic beside it.
// Called by every room; native/core/limits.h mirrors the rows marked "native" and a test keeps them equal.
// Promises: relations between rows are asserted when the module loads. Rows that an operator may change are the
// defaults of control/schema.ts.
import { assert } from './assert.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const DAY_MS = 24 * 60 * 60_000;

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

  // ── routing (native) ──
  /** Longest server's name that a mark is looked for behind; a configuration allows half of it (native). */
  serverNameBytesMax: 64,

  // ── upstream HTTP ──
  /** Status line and headers of one reply (native parses within it). */
  replyHeadBytesMax: 32 * KIB,
  /** Header lines of one reply (native). */
  replyHeaderCountMax: 100,
  /** One reply body that must be held whole (lists, merges); streams are not bounded by it. */
  replyBodyBytesMax: 64 * MIB,
  /** One event of an event stream, or one line of a stdio server. */
  messageBytesMax: 16 * MIB,
  /** Connections per server, of all workers together. */
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

  // ── breaker of a server: it opens only in a clear outage ──
  /** Failures within a window that open it. 20 in 10 s with half of all failing are no accident of a few bad requests. */
  breakerFailures: 20,
  breakerSharePercent: 50,
  breakerWindowMs: 10_000,
  /** Short, so that a server that is back is found within 100 ms. It may be: only one trial is under way at a time, so a server that is down sees
   * 1 000 / 50 = 20 requests a second at most, and one that hangs sees one per window. */
  breakerOpenMs: 50,
  breakerTrials: 1,

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
  /** A sealed session id is good for this long, used or not: longer than a laptop stays closed. Sessions of the gateway's own end by sessionIdleMs long before. */
  handleLifeMs: 30 * DAY_MS,
  /** Sealed ids that one worker remembers having opened, in two generations: the younger alone has room for sessionsMax. About 400 bytes each. */
  handlesRememberedMax: 2 * 16_384,
  /** Then a new key seals. Random nonces allow 2^32 seals with one key (NIST SP 800-38D, 8.3): 1 600 new sessions a second for so long. */
  sealKeyCurrentMs: 30 * DAY_MS,
  /** A replaced key opens for this long: as long as its last handle lives, and as long again for clocks that were wrong. */
  sealKeyKeptMs: 60 * DAY_MS,
  /** Keys in the file at most: one of every 30 days that the longest life allows, and room for those that restarts with wrong clocks made. */
  sealKeysMax: 16,
  /** A running gateway looks this often whether its key is due. */
  sealKeyCheckMs: DAY_MS,
  /** Longest wait for another gateway that is writing the keys; it takes a few milliseconds. */
  sealKeyLockMs: 2_000,

  // ── data workers ──
  /** Data workers of one gateway: memory/layout.ts's WORKERS_MAX. */
  workersMax: 64,
  /** Data bytes of one ring between two workers, and of all rings together. N workers have N × (N − 1) rings: 12 × 256 KiB = 3 MiB for 4,
   * 240 × 256 KiB = 60 MiB for 16, 4032 × 16 KiB = 63 MiB for 64. Memory that was never written costs nothing. */
  ringBytesMax: 256 * KIB,
  ringsBytesMax: 64 * MIB,
  /** Records of one worker's journal: 256 × 512 B = 128 KiB. */
  journalRecords: 256,
  /** Bytes of one body under way from worker to worker, or waiting there for a client that reads slowly. */
  peerWindowBytes: 64 * KIB,
  /** Longest wait of a request for a worker that is being started anew; it serves again within a second. */
  peerWaitMs: 2_000,
  /** Longest wait until the other workers have let go of one that died. */
  workerFarewellMs: 300,
  /** Restart back-off after a worker died young: at once, then from the first, doubling, to the last. */
  workerBackoffFirstMs: 100,
  workerBackoffLastMs: 5_000,
  /** A worker that served this long starts again without back-off. */
  workerHealthyMs: 10_000,
  /** A worker that dies so often in a row without having served in between ends the gateway: starting it once more would not help. */
  workerStartsMax: 5,

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
assert(
  LIMITS.workersMax * (LIMITS.workersMax - 1) * 4 * KIB <= LIMITS.ringsBytesMax,
  'the most workers have a ring of the least size, 4 KiB, each',
);
assert(LIMITS.sessionsMax <= LIMITS.handlesRememberedMax / 2, 'sessions in use are remembered');
assert(LIMITS.handleLifeMs <= LIMITS.sealKeyKeptMs, 'a handle opens for as long as it is good');
assert(LIMITS.keepAliveCommentMs < 30_000, 'keep-alive comments come before load balancers give up');
