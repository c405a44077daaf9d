// The policies of one server, in their order around it: only those that its configuration asks for.
// Called by worker/members.ts. Promises: a server without policies is returned as it is; the contract of upstream.ts otherwise.
//
// From the client inwards: how many at once · how long one tool may take · the key that repeats share · repeats · second requests beside slow ones · what the
// server says of its tools. So a repeat counts as the same call, shares its key and its deadline; and each attempt may have a second request.
import type { CallCell } from '../memory/call-cell.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ConcurrencyLayer } from './concurrency.ts';
import { HedgeLayer } from './hedge.ts';
import { KeyLayer } from './idempotency-key.ts';
import { ListEar } from './list-ear.ts';
import { RetryLayer } from './retry.ts';
import { ToolBook } from './tool-book.ts';
import { DeadlineLayer } from './tool-deadline.ts';

/** What policies take. */
export interface PolicyParts {
  readonly spec: ServerSpec;
  readonly clock: Clock;
  readonly random: Random;
  readonly scanner: Scanner;
  readonly log: Log;
  /** Where the server's calls are counted, of all workers. */
  readonly cell: () => CallCell;
}

/** Puts a server's policies around it. */
export function withPolicies(server: Upstream, parts: PolicyParts): Upstream {
  const { spec, clock, random, scanner, log } = parts;
  const { policy } = spec;
  if (policy === undefined) return server;
  const { retries, hedge, idempotencyKey, concurrencyMax, tools } = policy;
  const book = new ToolBook(spec);
  const hasReplicas = (spec.replicas?.length ?? 0) > 0;
  const isRetried = retries.max > 0 || tools.some((rule) => (rule.retries ?? 0) > 0);
  const isHedged = hedge.enabled || tools.some((rule) => rule.hedge === true);
  const totalMs = spec.totalTimeoutMs;
  let upstream = server;
  if (isRetried || isHedged) upstream = new ListEar(upstream, book, scanner);
  if (isHedged) upstream = new HedgeLayer(upstream, { settings: hedge, book, clock, hasReplicas });
  if (isRetried) {
    const firstByteMs = spec.firstByteTimeoutMs;
    const bounds = { totalMs, firstByteMs, hasReplicas };
    upstream = new RetryLayer(upstream, { settings: retries, book, clock, random, log, ...bounds });
  }
  const mayBeKeyed = idempotencyKey === 'all' || tools.some((rule) => rule.idempotent === true);
  if (idempotencyKey !== 'never' && mayBeKeyed && (isRetried || isHedged)) {
    const keys = { policy: idempotencyKey, retries, isHedged: hedge.enabled };
    upstream = new KeyLayer(upstream, { ...keys, book, random, scanner });
  }
  if (tools.some((rule) => rule.timeoutMs !== undefined || rule.firstByteMs !== undefined))
    upstream = new DeadlineLayer(upstream, { book, clock, scanner, totalMs });
  if (concurrencyMax > 0)
    upstream = new ConcurrencyLayer(upstream, { max: concurrencyMax, cell: parts.cell(), clock });
  return upstream;
}
