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
  /** Messages of one HTTP+SSE client under way. */
  connectionMessagesMax: 1_024,
  /** Bytes that such a client may leave unread: the whole answers of several calls come at once, on one stream; replies that are streams wait long before. */
  connectionUnreadBytesMax: 4 * MIB,

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
  /** Attempts to connect that took too long may be left to the kernel in this number, or that of the server's connections if there are more: a host that swallows
   * packets is given up after 127 s (Linux), so 26 of these time-outs, during which a small pool must not be blocked: the server may be back. */
  connectsLostMin: 32,
  /** Until the first byte of a reply; a call that reports progress is past it with the first report, and has until totalTimeoutMs. */
  firstByteTimeoutMs: 120_000,
  /** Silence inside a reply; event streams are exempt, their servers may be quiet for hours. */
  replyIdleTimeoutMs: 120_000,
  /** The whole exchange, event streams of calls too: silence ends it long before, so this is for calls that go on reporting. Exempt are the event streams of sessions,
   * subscriptions, and calls that wait for their client. */
  totalTimeoutMs: 60 * 60_000,
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

  // ── replicas of a server ──
  /** A server that was restarted fills its caches meanwhile. */
  slowStartMs: 10_000,
  /** Two judgements of 5 s weigh three quarters of all: a fault of some seconds is seen, a slow moment is not. */
  outlierWindowMs: 5_000,
  outlierRequestsMin: 20,
  /** Of 20 requests 6 more than of the siblings': by chance, with 1 % failing everywhere, once in 40 000 judgements. */
  outlierFailurePoints: 30,
  outlierLatencyFactor: 3,
  outlierLatencyMinMs: 50,
  outlierEjectMs: 10_000,
  outlierEjectMaxMs: 5 * 60_000,
  healthIntervalMs: 5_000,
  /** As often as a breaker tries, so that a replica that is back is found as soon. */
  healthDownIntervalMs: 50,
  healthTimeoutMs: 2_000,
  healthUnhealthyAfter: 3,
  /** One answer is enough, since what it gets then grows from little. */
  healthHealthyAfter: 1,
  /** Largest reply to a probe that is read. */
  healthReplyBytesMax: 256 * KIB,
  /** Copies under way, of each worker; others are not made. */
  mirrorConnectionsMax: 8,

  // ── requests that are sent again ──
  /** Two repeats after 25 and 50 ms outlast the restart of a server that was replaced; more help only one that is down, which they keep down. */
  retriesMax: 2,
  /** A tenth more requests at most when everything fails, and so many a second where there are few. */
  retryBudgetPercent: 10,
  retriesPerSecondMin: 3,
  retryBackoffMs: 25,
  retryBackoffMaxMs: 1_000,
  /** Repeats, and second requests, that quiet times may save up. */
  retryBurstMax: 100,
  /** The head of an event stream waits so long for its first byte, in case the call must be sent again; then it goes out, in time for a comment to keep it open. */
  retryHoldMs: 5_000,
  /** Names of tools, with what their server says of them, remembered per server and worker, of all kinds of clients together: about 100 bytes each. */
  toolNotesMax: 20_000,

  // ── second requests beside slow ones ──
  hedgeAfterPercentile: 95,
  hedgeMinMs: 10,
  hedgeBudgetPercent: 5,
  /** Tools per server and worker whose times are kept, 8.6 KB each. */
  hedgeToolsMax: 256,

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
  /** Children that die young in a row before it is called a crash loop: by then the back-off has come to 0.8 s, and chance is ruled out. */
  childCrashLoopDeaths: 5,
  /** A shared child that nobody calls and nobody listens to is ended; it starts again on demand. */
  childIdleMs: 10 * 60_000,
  /** A new child must have answered its first request by then: `npx` and `uvx` may have to download it first. */
  childStartMs: 30_000,
  /** Between two looks at the memory of children: one pass over the process table each. */
  childMemoryCheckMs: 2_000,
  /** Time that calls on a child over its memory cap get to finish. */
  childRetireMs: 10_000,
  /** Children kept started for sessions to come. */
  childWarmMax: 64,

  // ── upstream HTTP+SSE ──
  /** Longest pause before the event stream of an open session is tried again; the first are as with children. */
  sseBackoffLastMs: 1_000,
  /** An event stream on which nothing came for so long after a request is asked with a ping, and is dead when that, too, brings nothing for so long. */
  sseSilenceMs: 10_000,
  /** A server that was found to speak HTTP+SSE is asked after this whether it has come to speak Streamable HTTP. */
  sseVerdictMs: 10 * 60_000,

  // ── sessions ──
  /** An initialize that the gateway keeps for as long as its session lives, to heal it; clients send about 200 bytes. */
  initializeBytesMax: 64 * KIB,
  /** What is kept of what a client set in one session (level, subscriptions), to be said again to a new one: about 400 subscriptions. */
  sessionNotesBytesMax: 64 * KIB,
  sessionsMax: 10_000,
  sessionIdleMs: 30 * 60_000,
  /** Messages kept for a legacy session's event stream while none is open. */
  sessionBacklogMax: 256,
  /** Events kept for one legacy session at a modern server, whose client may take up a stream where it broke off; the oldest go first. */
  resumeEventsMax: 256,
  resumeBytesMax: 256 * KIB,
  /** The same of all sessions of one worker at one server: 256 that fill theirs. */
  resumeBytesTotalMax: 64 * MIB,
  /** Once a call is over its events are kept for this long: both SDKs give up long before. */
  resumeKeptMs: 60_000,
  /** Rounds of questions that a modern server may ask in one call of a legacy client, and the time for the answers of one (as the official SDK has it). */
  inputRoundsMax: 8,
  inputRoundMs: 10 * 60_000,
  /** Resources that one such session may subscribe to. */
  sessionSubscriptionsMax: 1_024,
  /** Longest id of a session at an HTTP server together with what it began with, which goes along in the sealed id so that the session can be begun again: usual
   * clients make 150 to 400 characters. */
  sessionHealCharsMax: 1_024,
  /** A sealed session id is good for this long, used or not: longer than a laptop stays closed. Sessions of the gateway's own end by sessionIdleMs long before. */
  handleLifeMs: 30 * DAY_MS,
  /** Sealed ids that one worker remembers having opened, in two generations: the younger alone has room for sessionsMax. About 400 bytes each. */
  handlesRememberedMax: 2 * 16_384,
  /** A generation takes up no more after this: one that nobody has shown for twice as long is opened anew, which costs some microseconds. */
  handlesRememberedMs: 60_000,
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

  // ── calls of modern clients at legacy servers ──
  /** Calls of one worker that wait for their clients' answers, each with its event stream at the server. */
  parkedMax: 1_024,
  /** Then the call is cancelled at the server: people answer within minutes or not at all. */
  parkedMs: 10 * 60_000,
  /** Sessions at one server for one principal; several only where credentials or capabilities differ, or where each is a process. */
  bridgeSessionsMax: 64,
  /** Processes of one legacy server that serve clients which can be asked, one call each, and the same capabilities. */
  bridgeChildrenMax: 32,
  /** Attempts in a row to take up a broken event stream, when none of them brings an event. */
  resumeTriesMax: 5,

  // ── data workers ──
  /** Data workers of one gateway: memory/layout.ts's WORKERS_MAX. */
  workersMax: 64,
  /** Data bytes of one ring between two workers, and of all rings together. N workers have N × (N − 1) rings: 12 × 256 KiB = 3 MiB for 4,
   * 240 × 256 KiB = 60 MiB for 16, 4032 × 16 KiB = 63 MiB for 64. Memory that was never written costs nothing. */
  ringBytesMax: 256 * KIB,
  ringsBytesMax: 64 * MIB,
  /** Records of one worker's journal: 256 × 512 B = 128 KiB. */
  journalRecords: 256,
  /** Tools that one worker counts by name, and what that may be set to: 512 × 1 280 B = 640 KiB, of which only what is used takes memory. */
  metricTools: 512,
  metricToolsMax: 65_536,
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

  // ── end ──
  /** Replies that are on their way out when all exchanges are over get so long to leave. */
  listenerCloseMs: 1_000,

  // ── admin listener ──
  /** Largest request body: a few thousand servers to import. */
  adminBodyBytesMax: MIB,
  /** An idle connection of a browser or a scraper is closed after this. */
  adminIdleMs: 75_000,
  /** A browser that logged in may go on for so long without doing so again. */
  adminSessionMs: 7 * 24 * 3_600_000,
  /** Ended log-ins that are remembered until they would have expired by themselves. */
  adminLogoutsMax: 1_024,
  /** Wrong tokens in a row that are answered at once; each one more waits twice as long as the one before, up to adminTryLastMs. */
  adminTriesFree: 4,
  adminTryFirstMs: 100,
  adminTryLastMs: 2_000,
  /** Wrong tokens whose answers wait at a time; more are told so at once. */
  adminTriesMax: 16,
  /** Event streams at once: dashboards, `sluice top`, `sluice tail`. */
  adminStreamsMax: 32,
  /** Bytes of events that wait for one slow reader before its stream ends. */
  adminStreamBytesMax: 256 * KIB,
  /** How often figures are taken while somebody looks. */
  adminSampleMs: 1_000,
  /** Exchanges in one event; the rest is in the journal. */
  adminTrafficMax: 50,
  /** Endpoints whose times of the last second are told apart from all before. */
  adminTimesMax: 256,
  /** Longest wait for one server's list of tools, servers that are asked at once, and how long an answer is good. */
  adminToolsMs: 10_000,
  adminToolsAtOnce: 16,
  adminToolsKeptMs: 5_000,
  /** Bytes of all pages of one server's list of tools. */
  adminToolsBytesMax: 16 * MIB,

  // ── reload ──
  /** Cells for servers, and for endpoints, that a gateway has at least; it has twice as many as it starts with if that is more. Those of a server take
   * 64 B × (2 + workers), those of an endpoint 8.6 KB × workers, of which memory is used only once it is written to. */
  reloadCellsMin: 64,
  /** A configuration file that changed is read once it has not changed again for so long. */
  reloadQuietMs: 100,
  /** It is looked at this often, whatever the system tells of changes: not every file system tells. */
  reloadLookMs: 2_000,

  // ── registry ──
  /** An answer to a change waits this long at most until it is in force. */
  adminInForceMs: 2_000,
  /** Servers that a gateway with a registry has room for, unless it starts with more than half as many: their cells, and those of their endpoints, of which memory is
   * used only once it is written to (for 2 workers 1000 × (4 + 2 × 8.6 KB) = 18 MB of addresses). */
  registryServersMax: 1000,
  /** Pause between two reloads that the registry leads to: as long as the last one took, within these bounds. One alone never waits; of thousands of registrations in a row
   * each would otherwise wait for a reload. */
  registryPauseMinMs: 4,
  registryPauseMaxMs: 250,
  /** Addresses that the endpoints' cells may take; with many workers there is room for fewer of them. */
  registryRoomBytesMax: 1024 * MIB,
  /** Writes that wait to be committed, and those that are committed together at most. */
  registryQueueMax: 8_192,
  registryGroupMax: 1_000,
  /** Another process may hold the write lock: SQLite waits for so long with everything else of the control plane waiting too, then it is tried again after a pause… */
  registryLockMs: 10,
  registryRetryMs: 10,
  /** …and given up after this. A write of another gateway takes a few milliseconds. */
  registryBusyMs: 2_000,
  /** A file that is missing is made so long after the start, or at the first write: syncing it takes 10 to 50 ms, which are not for the start. */
  registryMakeMs: 1_000,
  /** It is looked this often whether another gateway has written; one look is a read of shared memory. */
  registryLookMs: 250,
  /** The copy beside the registry is written so long after a change: a power cut that damages the file loses no more. */
  registryCopyMs: 2_000,
  /** Files up to here are checked whole at the start (15 ms for 4 MiB), larger ones without their indexes, the largest in the part that is served. */
  registryCheckWholeBytesMax: 4 * MIB,
  registryCheckQuickBytesMax: 64 * MIB,
  /** Events kept where there is no file to keep them, and those given out at once. */
  registryEventsMax: 10_000,
  registryPageMax: 1_000,
  /** Settings of one server as text, and all of an import. */
  registrySettingsBytesMax: 64 * KIB,

  // ── eras of a server ──
  /** Longest wait for the reply to a probe; shorter than childStartMs, so that a process which ignores it is let go before that ends it as a failure. */
  eraProbeMs: 20_000,
  /** A process that has said nothing for so long is taken for a legacy one, which ignores what it does not know. */
  eraProcessProbeMs: 5_000,
  /** A server that lacks an era is asked again after this, ± a quarter: it may have been replaced by one that has it. */
  eraNoMs: 5 * 60_000,
  /** A server is not asked on mere suspicion more often. */
  eraCalmMs: 30_000,
  /** Sets of clients' credentials whose facts are kept per server and worker. */
  eraRecordsMax: 1_024,
  /** Largest reply to discover that is looked at, and to initialize that is held back. */
  eraReplyBytesMax: 256 * KIB,

  // ── cache of answers ──
  /** Bytes of answers kept of one server, in each worker: 100 lists of 100 KiB and as much again of resources. */
  cacheBytesMax: 16 * MIB,
  /** An answer stands in for a server that is down for this long after it has ceased to hold: a restart, or a deployment. */
  cacheStaleMs: 60_000,
  /** An answer that nobody asked for in so long does not keep a subscription open. */
  cacheIdleMs: 10 * 60_000,
  /** Subscriptions that one worker holds at one server, one for each set of credentials; what is kept for others holds by its time alone. */
  cacheListensMax: 256,
  /** Resources in one of them. */
  cacheSubscriptionsMax: 256,
  /** A server that has no subscriptions is asked again after this, ± a quarter. */
  cacheListenCalmMs: 5 * 60_000,
  /** A question whose answer may not be kept: for so long, nobody waits for another's answer to it. */
  cacheUnsharedMs: 10_000,
  cacheUnsharedMax: 4_096,

  // ── aggregation ──
  /** Pages followed of one upstream list. */
  listPagesMax: 1_000,
  /** All pages of one server's list together: ten times what 5 000 tools with large schemas take; a server that sends more is cut off there. */
  listBytesMax: 16 * MIB,
  /** Longest that initialize, discover and lists wait when all servers are asked. */
  memberTimeoutMs: 10_000,
  /** Part of that bound that servers get: the rest is for the gateway to join what came and send it, also while it is busy. */
  memberShare: 0.85,
  /** A server's last list stands in for it for this long while it is down or slow: a restart or a deployment takes minutes. */
  listGraceMs: 10 * 60_000,
  /** A server that did not answer a list in time is asked again in the background, so long after the last try has failed. */
  silencePauseMs: 1_000,
  /** Whoever asks meanwhile waits for such a try while it is younger than this: a server that is well again answers well within it. */
  silenceGraceMs: 100,
  /** For so long after the last client wanted to know, since it is one client's credentials that it is asked with. */
  silenceWantedMs: 60_000,
  /** Questions of one endpoint that are held unanswered: each is a copy of one small request. Beyond that, each waits for itself. */
  silencesMax: 1_024,
  /** Clients that are told when one of them is answered. */
  silenceWaitingMax: 1_024,
  /** All that a worker keeps of such lists. */
  listsKeptBytesMax: 64 * MIB,
  /** Elements on a page of a joined list: more than most gateways have, since some clients read the first page only. */
  pageSize: 1_000,
  /** Time between two looks at whether a required server is in use, and between two questions to one that does not answer, which doubles. */
  requiredLookMs: 500,
  requiredRetryFirstMs: 250,
  requiredRetryLastMs: 4_000,
  /** Failures that each worker remembers of a server, the same one counted once: what an operator looks back on. */
  faultsKeptMax: 8,
  /** Characters kept of what is said of one. */
  faultCharsMax: 400,
  /** Lines of exchanges that wait to be written together: characters, and for how long. */
  accessLogCharsMax: 16 * 1024,
  accessLogFlushMs: 100,
  /** Lines of refused and failed exchanges that a worker writes in that time, where only those get lines; the rest are counted in one. */
  accessLogFailuresMax: 50,
  /** Places (endpoint, server, method) whose text is kept for the next line. */
  accessLogPlacesMax: 1_024,
  /** Spans of one worker that wait for their way to the main thread: at most, when they go at once, and for how long. */
  spansWaitingMax: 4096,
  spansBatch: 256,
  spansFlushMs: 500,
  /** Spans of all workers that wait for the collector, those of one request to it, and how long it may take. */
  spansQueuedMax: 16_384,
  spansSent: 512,
  spansSendMs: 10_000,
  /** Larger arguments are not shown in a line. */
  accessLogArgumentsBytesMax: 16 * 1024,
  /** The next page of a joined list is cut from what was asked for the page before, if that was asked at most so long ago. */
  listContinuedMs: 60_000,
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
assert(
  LIMITS.eraProcessProbeMs < LIMITS.eraProbeMs && LIMITS.eraProbeMs < LIMITS.childStartMs,
  'a process that ignores a probe is taken for a legacy one, and let go of, before it counts as one that failed',
);
assert(
  2 * LIMITS.retryHoldMs < LIMITS.keepAliveCommentMs,
  'a head that waits, for one attempt and then for the call, goes out before its stream needs a comment',
);
assert(LIMITS.keepAliveCommentMs < 30_000, 'keep-alive comments come before load balancers give up');
