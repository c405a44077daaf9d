// The policies of one server, in their order around it: only those that its configuration asks for.
// Called by endpoint-policies.ts, once for the server and once for each endpoint that wants other ones. Promises: a server without policies is returned as it is; the
// contract of upstream.ts otherwise.
//
// From the client inwards: how many at once · how long one tool may take · the key that repeats share · repeats · second requests beside slow ones · what the
// server says of its tools. So a repeat counts as the same call, shares its key and its deadline; and each attempt may have a second request.
import type { CallCell } from '../memory/call-cell.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { EndpointPolicySpec, PolicySpec, ServerSpec, ToolRule } from '../upstream/spec.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { isJoined } from './asked.ts';
import { ConcurrencyLayer } from './concurrency.ts';
import { HedgeLayer } from './hedge.ts';
import { KeyLayer } from './idempotency-key.ts';
import { ListEar } from './list-ear.ts';
import { RetryLayer } from './retry.ts';
import { ToolBook } from './tool-book.ts';
import { DeadlineLayer } from './tool-deadline.ts';
import type { ToolNotes } from './tool-notes.ts';

/** What policies take. */
export interface PolicyParts {
  readonly spec: ServerSpec;
  readonly clock: Clock;
  readonly random: Random;
  readonly scanner: Scanner;
  readonly log: Log;
  /** What the server says of its tools. */
  readonly notes: ToolNotes;
  /** Where the server's calls are counted, of all workers. */
  readonly cell: () => CallCell;
}

/** An endpoint with policies of its own. */
export interface EndpointRules {
  /** As the configuration calls it. */
  readonly name: string;
  readonly policy: EndpointPolicySpec;
  /** Where the endpoint's calls are counted, of all workers. */
  readonly cell: () => CallCell;
}

const NO_POLICY: PolicySpec = Object.freeze({
  retries: { max: 0, budgetPercent: 0, perSecondMin: 0, backoffMs: 0, backoffMaxMs: 0 },
  hedge: { enabled: false, afterPercentile: 95, minMs: 0, budgetPercent: 0 },
  idempotencyKey: 'never',
  concurrencyMax: 0,
  tools: [],
});

/** Puts a server's policies around it; `own`: those of an endpoint, laid over the server's. */
export function withPolicies(
  server: Upstream,
  parts: PolicyParts,
  own: EndpointRules | null = null,
): Upstream {
  const { spec } = parts;
  if (spec.policy === undefined && own === null) return server;
  const over = own?.policy ?? {};
  const policy = laidOver(spec.policy ?? NO_POLICY, over);
  const endpointRules = over.tools ?? [];
  const book = new ToolBook(spec, parts.notes, endpointRules);
  const totalMs = Math.min(spec.totalTimeoutMs, over.timeoutMs ?? Number.POSITIVE_INFINITY);
  const rules = [...policy.tools, ...endpointRules];
  const repeating = withRepeats(server, parts, { policy, book, rules, totalMs });
  return bounded(repeating, parts, { policy, book, rules, totalMs, own });
}

/** What of an endpoint's says nothing of a thing is the server's; rules of tools are looked up one over the other. */
function laidOver(policy: PolicySpec, { retries, hedge }: EndpointPolicySpec): PolicySpec {
  return { ...policy, retries: { ...policy.retries, ...retries }, hedge: { ...policy.hedge, ...hedge } };
}

interface Laid {
  readonly policy: PolicySpec;
  readonly book: ToolBook;
  /** Of the server and of the endpoint. */
  readonly rules: readonly ToolRule[];
  readonly totalMs: number;
}

function withRepeats(server: Upstream, parts: PolicyParts, { policy, book, rules, totalMs }: Laid): Upstream {
  const { spec, clock, random, scanner, log, notes } = parts;
  const { retries, hedge, idempotencyKey } = policy;
  const hasReplicas = (spec.replicas?.length ?? 0) > 0;
  const isRetried = retries.max > 0 || rules.some((rule) => (rule.retries ?? 0) > 0);
  const isHedged = hedge.enabled || rules.some((rule) => rule.hedge === true);
  let upstream = server;
  if (isRetried || isHedged) upstream = new ListEar(upstream, notes, scanner);
  if (isHedged) upstream = new HedgeLayer(upstream, { settings: hedge, book, clock, hasReplicas });
  if (isRetried) {
    const firstByteMs = spec.firstByteTimeoutMs;
    const bounds = { totalMs, firstByteMs, hasReplicas };
    upstream = new RetryLayer(upstream, { settings: retries, book, clock, random, log, ...bounds });
  }
  const mayBeKeyed = idempotencyKey === 'all' || rules.some((rule) => rule.idempotent === true);
  if (idempotencyKey !== 'never' && mayBeKeyed && (isRetried || isHedged)) {
    const keys = { policy: idempotencyKey, retries, isHedged: hedge.enabled };
    upstream = new KeyLayer(upstream, { ...keys, book, random, scanner });
  }
  return upstream;
}

function bounded(
  inner: Upstream,
  { spec, clock, scanner, cell }: PolicyParts,
  { policy, book, rules, totalMs, own }: Laid & { readonly own: EndpointRules | null },
): Upstream {
  const isCeiling = totalMs < spec.totalTimeoutMs;
  const totalOption = isCeiling ? `endpoints.${own?.name ?? ''}.policy.timeoutMs` : 'timeouts.totalMs';
  let upstream = inner;
  if (isCeiling || rules.some((rule) => rule.timeoutMs !== undefined || rule.firstByteMs !== undefined))
    upstream = new DeadlineLayer(upstream, { book, clock, scanner, totalMs, totalOption, isCeiling });
  const { concurrencyMax } = policy;
  if (concurrencyMax > 0) {
    const whose = `"${spec.name}"`;
    upstream = new ConcurrencyLayer(upstream, { max: concurrencyMax, cell: cell(), clock, whose });
  }
  const ownMax = own?.policy.concurrencyMax ?? 0;
  if (own === null || ownMax === 0) return upstream;
  const whose = `endpoint "${own.name}"`;
  return new ConcurrencyLayer(upstream, { max: ownMax, cell: own.cell(), clock, whose, isExempt: isJoined });
}
