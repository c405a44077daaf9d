// What is done about the calls of one endpoint, in place of what its servers' own options say.
// Called by endpoint-schema.ts (options) and endpoints.ts (their part of a snapshot). Promises: as schema.ts; whatever is left out stays as each server has it.
import * as z from 'zod/mini';
import type { EndpointPolicySpec } from '../upstream/spec.ts';
import { DAY, told } from './option.ts';
import { compileRules, hedgeFields, retryFields, toolRules } from './server-policies.ts';

type Fields = Readonly<Record<string, z.ZodMiniDefault<z.ZodMiniType>>>;
type Open<T extends Fields> = { [K in keyof T]: z.ZodMiniOptional<T[K]['def']['innerType']> };

/** The same options without their defaults. */
function open<T extends Fields>(fields: T): Open<T> {
  const entries = Object.entries(fields).map(([key, field]) => {
    const { description = '', unit } = z.globalRegistry.get(field) ?? {};
    return [
      key,
      told(z.optional(field.def.innerType), description, typeof unit === 'string' ? unit : undefined),
    ];
  });
  // fromEntries() forgets which key has which schema.
  return Object.fromEntries(entries) as Open<T>;
}

/** Policies of an endpoint. */
export const endpointPolicy = told(
  z.optional(
    z.strictObject({
      timeoutMs: z.optional(
        told(
          z.int().check(z.minimum(10), z.maximum(DAY)),
          'Longest time for a call, repeats, reports of progress and questions to the client included; `timeouts.totalMs` of the server, when that is shorter. Then the call is cancelled at the server.',
          'ms',
        ),
      ),
      retries: z.optional(
        told(
          z.strictObject(open(retryFields)),
          'In place of `retries` of the server, option by option. The budget is one of its own.',
        ),
      ),
      hedge: z.optional(
        told(
          z.strictObject(open(hedgeFields)),
          'In place of `hedge` of the server, option by option. The budget is one of its own.',
        ),
      ),
      concurrencyMax: z.optional(
        told(
          z.int().check(z.minimum(0), z.maximum(1_000_000)),
          "Calls that this endpoint has under way at once at all of its servers together, of all workers; more are refused with 503 before anything is sent. The servers' own `concurrencyMax` holds besides. What asks all servers at once (lists, `initialize`, `server/discover`) and streams that last are not counted. 0 = any number.",
          'requests',
        ),
      ),
      cache: z.optional(
        told(
          z.boolean(),
          'In place of `cache.enabled` of the server: false gives nothing that is kept and keeps nothing; true does, within what `cache` of the server says otherwise.',
        ),
      ),
      tools: z.optional(
        told(
          toolRules,
          "Single tools, as `tools` of a server has them, by the server's own name, by server__name, or by a pattern. What a rule here says counts before what the server's rule says; what it leaves out is as there. What a rule says counts before `retries` and `hedge`, wherever these are.",
        ),
      ),
    }),
  ),
  'What is done about calls that come by this endpoint, in place of what the options of the same names of its servers say. Whatever is left out is as there.',
);

type PolicyConfig = z.output<typeof endpointPolicy>;

/** Their part of a snapshot; empty where an endpoint says nothing. */
export function compileEndpointPolicy(config: PolicyConfig): { readonly policy?: EndpointPolicySpec } {
  if (config === undefined) return {};
  const { timeoutMs, retries, hedge, concurrencyMax, cache, tools } = config;
  const policy: EndpointPolicySpec = {
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retries !== undefined && { retries: said(retries) }),
    ...(hedge !== undefined && { hedge: said(hedge) }),
    ...(concurrencyMax !== undefined && { concurrencyMax }),
    ...(cache !== undefined && { isCached: cache }),
    ...(tools !== undefined && { tools: compileRules(tools) }),
  };
  return Object.keys(policy).length === 0 ? {} : { policy };
}

type Said<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is left out: an undefined value laid over the server's would hide it. */
function said<T extends object>(options: T): Said<T> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  // fromEntries() forgets the keys.
  return Object.fromEntries(entries) as Said<T>;
}
