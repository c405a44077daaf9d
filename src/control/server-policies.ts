// What is done about calls of one MCP server that fail, are slow, or are too many.
// Called by server-schema.ts (options) and compile.ts (their part of a snapshot). Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import type { PolicySpec, ToolRule } from '../upstream/spec.ts';
import { choice, DAY, flag, MINUTE, shaped, time, told, whole } from './option.ts';

const RETRIES_MAX = 10;
/** Patterns are tried one after the other for a name that was never seen. */
const RULES_MAX = 1_000;

/** What bounds repeats. */
export const retryFields = {
  max: whole(
    'repeats',
    { min: 0, max: RETRIES_MAX, value: LIMITS.retriesMax },
    'Times that one request is sent again; 0 = never.',
  ),
  budgetPercent: whole(
    'percent',
    { min: 0, max: 100, value: LIMITS.retryBudgetPercent },
    'Repeats per hundred requests, of each worker: when everything fails, a server gets so many more requests and no more.',
  ),
  perSecondMin: whole(
    'repeats',
    { min: 0, max: 10_000, value: LIMITS.retriesPerSecondMin },
    'Repeats per second that are allowed besides, of each worker, however few requests there are.',
  ),
  backoffMs: time(
    0,
    MINUTE,
    LIMITS.retryBackoffMs,
    'Wait before the first repeat; it doubles with each, and is made longer or shorter by up to a half. With replicas the first repeat goes to another one at once.',
  ),
  backoffMaxMs: time(0, MINUTE, LIMITS.retryBackoffMaxMs, 'Longest such wait.'),
};

const retries = told(
  z.prefault(
    z.strictObject(retryFields).check(
      z.refine((value) => value.backoffMs <= value.backoffMaxMs, {
        path: ['backoffMs'],
        error: 'at most backoffMaxMs',
      }),
    ),
    {},
  ),
  'When a request is sent again: after failures that come before the server can have begun (it cannot be reached, its queue is full, its process does not start); and, when it reads (lists, `prompts/get`, `resources/read`, `completion/complete`, `ping`) or calls a tool that may be called twice, also when the connection breaks, time runs out or a 5xx without JSON comes before anything of a reply went to the client.',
);

/** What bounds second requests. */
export const hedgeFields = {
  enabled: flag(
    false,
    'True hedges every request that reads and every call of a tool that may be called twice.',
  ),
  afterPercentile: whole(
    'percent',
    { min: 50, max: 99, value: LIMITS.hedgeAfterPercentile },
    'A second request is sent after the time within which so many per cent of the replies of that tool came.',
  ),
  minMs: time(0, MINUTE, LIMITS.hedgeMinMs, 'But not earlier than this.'),
  budgetPercent: whole(
    'percent',
    { min: 1, max: 100, value: LIMITS.hedgeBudgetPercent },
    'Second requests per hundred that might have one, of each worker.',
  ),
};

const hedge = told(
  z.prefault(z.strictObject(hedgeFields), {}),
  'A second request beside one that is slow; the first reply wins, the other request is cancelled. Not for requests in a legacy session of the client.',
);

const toolRule = told(
  z.strictObject({
    idempotent: z.optional(
      told(
        z.boolean(),
        'True: the tool may be called twice; false: it may not, whatever the server says. Left out: as its annotations `readOnlyHint` and `idempotentHint` say.',
      ),
    ),
    timeoutMs: z.optional(
      told(
        z.int().check(z.minimum(10), z.maximum(DAY)),
        'Longest time for a call of the tool, repeats included; each report of progress (`notifications/progress`) starts it anew, up to `timeouts.totalMs`. Once the server asks the client something, only `timeouts.totalMs` holds. Then the call is cancelled at the server.',
        'ms',
      ),
    ),
    firstByteMs: z.optional(
      told(
        z.int().check(z.minimum(10), z.maximum(DAY)),
        'In place of `timeouts.firstByteMs`, when that is longer.',
        'ms',
      ),
    ),
    retries: z.optional(
      told(z.int().check(z.minimum(0), z.maximum(RETRIES_MAX)), 'In place of `retries.max`.', 'repeats'),
    ),
    hedge: z.optional(told(z.boolean(), 'In place of `hedge.enabled`.')),
  }),
  'What holds for these tools; what is left out is as with any other.',
);

/** Rules by the names of tools, or by patterns for them. */
export const toolRules = z
  .record(
    shaped(/^[^\0]{1,256}$/, 'a name of a tool, or a pattern with * and ?, of 1 to 256 characters'),
    toolRule,
  )
  .check(
    z.refine((rules) => Object.keys(rules).length <= RULES_MAX, { error: `at most ${RULES_MAX} rules` }),
  );

/** Options of every kind of server. */
export const policies = {
  retries,
  hedge,
  idempotencyKey: choice(
    ['declared', 'all', 'never'],
    'declared',
    'Which calls get a random key in `_meta`, under `sluice/idempotencyKey`, that is the same for a call, its repeats and its second request: those of tools that `tools` declares `idempotent: true`; or those of all tools that may be called twice; or none.',
  ),
  concurrencyMax: whole(
    'requests',
    { min: 0, max: 1_000_000, value: 0 },
    'Requests that the server has under way at once, of all workers together; more are refused with 503 before anything is sent. 0 = any number. Event streams that last are not counted.',
  ),
  tools: told(
    z._default(toolRules, {}),
    'Single tools, by the name that the server gives them, or by a pattern with `*` (any text) and `?` (any character). A name counts before patterns; of several patterns that fit, the first.',
  ),
};

const all = z.strictObject(policies);

/** The policies of one validated server. */
export type PolicyConfig = z.output<typeof all>;

/** Their part of a snapshot. */
export function compilePolicy({
  retries,
  hedge,
  idempotencyKey,
  concurrencyMax,
  tools,
}: PolicyConfig): PolicySpec {
  return {
    retries,
    hedge,
    idempotencyKey,
    concurrencyMax,
    tools: compileRules(tools),
  };
}

/** Rules in the order that they are written in. */
export function compileRules(tools: PolicyConfig['tools']): readonly ToolRule[] {
  return Object.entries(tools).map(([pattern, rule]) => compileRule(pattern, rule));
}

/** Without what is left out: an absent key is not one whose value is undefined, to a reader or to a comparison of two snapshots. */
function compileRule(pattern: string, rule: PolicyConfig['tools'][string]): ToolRule {
  const { idempotent, timeoutMs, firstByteMs, retries, hedge } = rule;
  return {
    pattern,
    ...(idempotent === undefined ? {} : { idempotent }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
    ...(retries === undefined ? {} : { retries }),
    ...(hedge === undefined ? {} : { hedge }),
  };
}
