// The shapes of everything that the admin API says: the one source of its validation, of its OpenAPI document and of its callers' types.
// Called by the routes beside it; src/ui/ and cli/ import the types. Promises: times are ISO 8601 texts in UTC unless a name ends in Ms; secrets never appear:
// where a setting holds one, MASK stands for it.
import { z } from '@hono/zod-openapi';
import { MASK } from '../registry/registry.ts';

const text = z.string();
const count = z.number().int().nonnegative();
const time = z.iso.datetime();
const names = z.array(text);

/** Why a request was refused. */
export const Problem = z
  .strictObject({
    type: text,
    title: text,
    status: z.number().int().min(400).max(599),
    detail: text,
    instance: text,
    code: text.optional(),
    errors: z.array(z.strictObject({ key: text, detail: text })).optional(),
  })
  .openapi('Problem', { description: 'Why a request was refused (RFC 9457).' });

/** What a change does. */
export const Plan = z
  .strictObject({
    starts: names,
    stops: names,
    changes: z.array(z.strictObject({ server: text, keys: names })),
    applies: names.openapi({ description: 'Keys outside the servers that are taken up.' }),
    waits: names.openapi({ description: 'Keys that stay as they were until a restart.' }),
    notes: names,
  })
  .openapi('Plan', { description: 'What a change does to the running gateway.' });

const Worker = z
  .strictObject({
    index: count,
    generation: count,
    state: z.enum(['starting', 'serving', 'down', 'ended']),
    restarts: count,
    activeExchanges: count,
  })
  .openapi('Worker');

const ReadinessCheck = z.strictObject({ check: text, ok: z.boolean(), detail: text });

/** Whether it is ready, and every check. */
export const Readiness = z
  .strictObject({ isReady: z.boolean(), isDraining: z.boolean(), checks: z.array(ReadinessCheck) })
  .openapi('Readiness');

/** What runs, and how it does. Memory in bytes, processor time in ms. */
export const Status = z
  .strictObject({
    version: text,
    runtime: z.enum(['bun', 'node', 'sim']),
    pid: count,
    startedAt: time,
    uptimeMs: count,
    url: text,
    adminUrl: text,
    scanner: z.strictObject({ name: text, kernel: text, reason: text }),
    configPath: text.nullable(),
    epoch: count,
    isReady: z.boolean(),
    isDraining: z.boolean(),
    readiness: z.array(ReadinessCheck),
    registry: z.strictObject({
      state: z.enum(['ok', 'read-only', 'damaged', 'absent']),
      path: text.nullable(),
      detail: text,
    }),
    workers: z.array(Worker),
    memory: z.strictObject({ rssBytes: count, sharedBytes: count, heapBytes: count }),
    cpu: z.strictObject({ userMs: count, systemMs: count }),
  })
  .openapi('Status');

/** Exchanges by how they ended, since the start. */
export const Counts = z
  .strictObject({ exchanges: count, ok: count, refused: count, failed: count, abandoned: count })
  .openapi('Counts');

const BreakerStateName = z.enum(['closed', 'open', 'half-open']);

/** One place of a server. */
export const Replica = z
  .strictObject({
    index: count,
    address: text,
    weight: z.number().nonnegative(),
    breaker: z.strictObject({
      state: BreakerStateName,
      isForced: z.boolean(),
      failures: count,
      successes: count,
      sinceMs: z.number().nonnegative().nullable(),
    }),
    pool: z.strictObject({
      total: count,
      busy: count,
      idle: count,
      waiting: count,
      connects: count,
      reuses: count,
      failures: count,
    }),
    isEjected: z.boolean(),
  })
  .openapi('Replica');

const Child = z.strictObject({
  worker: count,
  pid: count,
  sharing: z.enum(['shared', 'session']),
  rssBytes: count.nullable(),
});

/** What a cache of answers did. */
export const Cache = z
  .strictObject({
    hits: count,
    misses: count,
    shared: count,
    stale: count,
    evictions: count,
    entries: count,
    bytes: count,
  })
  .openapi('Cache');

const Fault = z.strictObject({ at: time, code: text, detail: text });

/** One server: its entry, and what the gateway knows of it. */
export const Server = z
  .strictObject({
    name: text,
    origin: z.enum(['file', 'registry']),
    version: count.nullable(),
    isEnabled: z.boolean(),
    isShadowed: z
      .boolean()
      .openapi({ description: 'An entry of the registry that the file has an entry of the same name for.' }),
    problem: text.nullable().openapi({ description: 'Why an enabled entry is not served.' }),
    changedAt: time.nullable(),
    settings: z.record(text, z.unknown()).openapi({
      description: `As docs/config.md describes them; ${MASK} stands for a secret, and keeps it when it is sent back.`,
    }),
    transport: z.enum(['http', 'stdio', 'sse', 'auto']),
    era: z.enum(['legacy', 'modern', 'unknown']),
    state: z.enum(['serving', 'failing', 'disabled', 'waiting']),
    endpoint: text,
    replicas: z.array(Replica),
    children: z.array(Child),
    sessions: count,
    cache: z.union([Cache, z.null()]),
    faults: z.array(Fault),
    counts: Counts,
  })
  .openapi('Server');

/** One path that clients reach. */
export const Endpoint = z
  .strictObject({
    name: text,
    path: text,
    ssePath: text,
    servers: names,
    prefixed: z.boolean(),
    hasView: z.boolean(),
    counts: Counts,
    latencyMs: z
      .strictObject({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() })
      .nullable(),
  })
  .openapi('Endpoint');

/** One tool of one server. */
export const Tool = z
  .strictObject({
    server: text,
    name: text,
    shownAs: text.openapi({ description: 'Its name at /mcp.' }),
    title: text.nullable(),
    description: text.nullable(),
    inputSchema: z.unknown(),
    annotations: z.record(text, z.unknown()).nullable(),
  })
  .openapi('Tool');

/** A session of a client before MCP 2026-07-28. */
export const Session = z
  .strictObject({
    id: text,
    kind: z.enum(['joined', 'bridged', 'stdio', 'sse']),
    worker: count,
    endpoint: text,
    servers: names,
    startedAt: time.nullable(),
    lastUsedAt: time.nullable(),
    running: count,
  })
  .openapi('Session');

/** A call that waits for its client’s answers. */
export const Parked = z
  .strictObject({
    id: text,
    worker: count,
    server: text,
    endpoint: text,
    method: text,
    questions: names,
    parkedAt: time,
    expiresAt: time,
  })
  .openapi('Parked');

/** The breaker of one replica. */
export const Breaker = z
  .strictObject({
    server: text,
    replica: count,
    address: text,
    state: BreakerStateName,
    isForced: z.boolean(),
    failures: count,
    successes: count,
  })
  .openapi('Breaker');

/** One exchange, from the journals. */
export const Exchange = z
  .strictObject({
    key: text,
    at: time,
    worker: count,
    endpoint: text,
    server: text.nullable(),
    method: text,
    name: text,
    id: text,
    status: count,
    outcome: z.enum(['ok', 'refused', 'failed', 'abandoned']),
    errorCode: text.nullable(),
    durationMs: z.number().nonnegative(),
    phases: z
      .strictObject({
        gatewayMs: z.number(),
        queueMs: z.number(),
        connectMs: z.number(),
        upstreamMs: z.number(),
      })
      .nullable(),
    replica: count,
    sends: count.openapi({
      description: 'How often it was sent to its server: 2 and more when it was tried again.',
    }),
    isCached: z.boolean(),
    trace: text.nullable(),
    requestBytes: count,
    replyBytes: count,
    request: text.openapi({ description: 'The first bytes of the request.' }),
  })
  .openapi('Exchange');

/** One change. */
export const AuditEvent = z
  .strictObject({
    id: count,
    at: time,
    actor: text,
    action: text,
    subject: text,
    before: z.unknown(),
    after: z.unknown(),
  })
  .openapi('AuditEvent');

/** Figures of the last second. */
export const Overview = z
  .strictObject({
    at: time,
    exchangesPerSecond: z.number().nonnegative(),
    errorsPerSecond: z.number().nonnegative(),
    p50Ms: z.number().nullable(),
    p99Ms: z.number().nullable(),
    activeExchanges: count,
    cpuPercent: z.number().nonnegative(),
    rssBytes: count,
    sessions: count,
    workers: z.array(Worker),
  })
  .openapi('Overview', { description: 'Data of an `overview` event of /api/v1/events, one each second.' });
