// The configuration that a plan is played with.
// Called by world.ts. Promises: bounds in time that let a run be over in a few virtual minutes; a reload changes one server, so that it is taken up anew.
import { LIMITS } from '../../src/base/limits.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import {
  type CacheSettings,
  type HttpTarget,
  KEEP_DEFAULTS,
  type PolicySpec,
  type ReplicationSpec,
  type ServerSpec,
  type StdioTarget,
} from '../../src/upstream/spec.ts';
import type { HttpPlan, Plan, ServerPlan } from './plan.ts';

/** Times of the configuration, ms. */
export const TIMES = Object.freeze({
  firstByte: 8_000,
  total: 20_000,
  sessionIdle: 20_000,
  childIdle: 10_000,
  parked: 8_000,
  /** Longer than a process may leave the question unanswered which era it speaks: calls wait for that. */
  drain: 7_000,
});

/** First of the ports of a server's replicas. */
export function portOf(index: number): number {
  return 9_000 + 10 * index;
}

function httpTarget(plan: HttpPlan, port: number): HttpTarget {
  return {
    kind: 'http',
    client: 'http1',
    secure: false,
    host: '127.0.0.1',
    port,
    unixPath: null,
    path: '/mcp',
    url: `http://127.0.0.1:${port}/mcp`,
    headers: [],
    tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
    connectionsMax: plan.connectionsMax,
  };
}

function targetOf(plan: ServerPlan, index: number): HttpTarget | StdioTarget {
  if (plan.kind === 'http') return httpTarget(plan, portOf(index));
  const keep = { ...KEEP_DEFAULTS, sharing: plan.sharing, warm: plan.warm, idleMs: TIMES.childIdle };
  return { kind: 'stdio', command: plan.name, args: [], cwd: null, env: {}, keep };
}

function policyOf({ retriesMax, isHedged }: ServerPlan): PolicySpec {
  return {
    retries: { max: retriesMax, budgetPercent: 100, perSecondMin: 10, backoffMs: 20, backoffMaxMs: 500 },
    hedge: { enabled: isHedged, afterPercentile: 50, minMs: 20, budgetPercent: 100 },
    idempotencyKey: 'all',
    concurrencyMax: 0,
    tools: [],
  };
}

const CACHE: CacheSettings = {
  bytesMax: 1_000_000,
  defaultTtlMs: 500,
  defaultScope: 'private',
  staleOnErrorMs: 5_000,
  tools: [],
};

function replicationOf({ replicas, balance, isWatched }: HttpPlan, isQuiet: boolean): ReplicationSpec {
  const outliers = {
    windowMs: 1_000,
    requestsMin: 3,
    failurePoints: 30,
    latencyFactor: 3,
    latencyMinMs: 100,
  };
  const health = {
    intervalMs: 2_000,
    downIntervalMs: 500,
    timeoutMs: 1_000,
    unhealthyAfter: 2,
    healthyAfter: 1,
  };
  return {
    weights: Array.from({ length: replicas }, () => 1),
    balance: { policy: balance, hashOn: 'argument:token', slowStartMs: 1_000 },
    outliers: isWatched && !isQuiet ? { ...outliers, ejectMs: 1_000, ejectMaxMs: 4_000 } : null,
    health: isWatched && !isQuiet ? health : null,
  };
}

function specOf(plan: ServerPlan, index: number, epoch: number, isQuiet: boolean): ServerSpec {
  const replicas =
    plan.kind === 'http' && plan.replicas > 1
      ? Array.from({ length: plan.replicas - 1 }, (_, at) => httpTarget(plan, portOf(index) + at + 1))
      : undefined;
  return {
    name: plan.name,
    target: targetOf(plan, index),
    ...(plan.kind === 'http' && replicas !== undefined
      ? { replicas, replication: replicationOf(plan, isQuiet) }
      : {}),
    ...(plan.hasCache ? { cache: CACHE } : {}),
    ...(plan.retriesMax > 0 || plan.isHedged ? { policy: policyOf(plan) } : {}),
    era: plan.configured,
    forwardHeaders: plan.kind === 'http' && plan.forwardsCredentials ? ['authorization'] : [],
    connectTimeoutMs: 1_000,
    firstByteTimeoutMs: TIMES.firstByte,
    replyIdleTimeoutMs: TIMES.firstByte,
    // What a reload changes.
    totalTimeoutMs: TIMES.total + epoch,
    queueDepthMax: 1_024,
    breaker: plan.hasBreaker
      ? { failures: 5, sharePercent: 50, windowMs: 5_000, openMs: 50, trials: 1, trialMs: 10_000 }
      : null,
  };
}

/** The snapshot of that epoch, from 1 on: each differs from the one before in one server. `isQuiet`: nobody is asked anything without need. */
export function snapshotOf(plan: Plan, epoch: number, isQuiet = false): Snapshot {
  const count = plan.servers.length;
  const servers = plan.servers.map((server, index) => {
    // How often this one was changed by then.
    const changes = Math.floor((epoch - 1 + count - 1 - index) / count);
    return specOf(server, index, changes, isQuiet);
  });
  return {
    epoch,
    listen: {
      transport: plan.transport,
      ...{ host: '127.0.0.1', port: 0, idleTimeoutMs: 60_000, tls: null, http2: false, http3: false },
    },
    front: {
      bodyBytesMax: LIMITS.bodyBytesMax,
      headerCountMax: LIMITS.headerCountMax,
      headerBytesMax: LIMITS.headerBytesMax,
      exchangesMax: 1_024,
      allowedHosts: ['localhost'],
      allowedOrigins: [],
      corsHeaders: [],
      sessionsMax: 100,
      sessionIdleMs: TIMES.sessionIdle,
      memberTimeoutMs: 2_000,
      parkedMax: 100,
      parkedMs: TIMES.parked,
      drainMs: TIMES.drain,
    },
    servers,
    endpoints: [
      { name: '', path: '/mcp', members: servers.map((_, index) => index), prefixed: count !== 1 },
      ...servers.map(({ name }, index) => ({
        name,
        path: `/mcp/${name}`,
        members: [index],
        prefixed: false,
      })),
    ],
  };
}
