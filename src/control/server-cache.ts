// What is kept of one MCP server's answers: options, and what becomes of them.
// Called by server-schema.ts and compile.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import type { CacheSettings } from '../upstream/spec.ts';
import { choice, DAY, flag, MINUTE, time, told, whole } from './option.ts';

const KIB = 1024;
const GIB = KIB ** 3;

/** What is kept of the answers. */
export const cache = told(
  z.prefault(
    z.strictObject({
      enabled: flag(
        true,
        'False keeps nothing, but for endpoints that ask for it (`endpoints.NAME.policy.cache`).',
      ),
      maxBytes: whole(
        'bytes',
        { min: 64 * KIB, max: 64 * GIB, value: LIMITS.cacheBytesMax },
        'Memory for the answers of this server, in each worker; what was used longest ago makes room.',
      ),
      defaultTtlMs: time(
        0,
        DAY,
        0,
        'For how long an answer holds that does not say so itself, as none of a server before 2026-07-28 does. Clients are told as well. 0 = not at all.',
      ),
      defaultScope: choice(
        ['private', 'public'],
        'private',
        "Whose such an answer is: `private` of clients with the same principal, endpoint and credentials, `public` everyone's.",
      ),
      staleOnErrorMs: time(
        0,
        DAY,
        LIMITS.cacheStaleMs,
        'For how long an answer, once it has ceased to hold, stands in when the server cannot be reached, answers with 5xx or too late, or is left alone by its breaker. It bears `"sluice/stale": true` in `_meta`. 0 = not at all.',
      ),
    }),
    {},
  ),
  "What is kept of the answers to `server/discover`, to lists and to `resources/read` of clients of 2026-07-28: for as long as the server says (`ttlMs`, a day at most), for whom it says (`cacheScope`), and until it tells of a change, which a subscription of the gateway's own hears of.",
);

const TOOL_NAME_CHARS_MAX = 256;

/** Tools whose results are kept. */
export const cacheTools = told(
  z._default(
    z.record(
      z.string().check(z.minLength(1), z.maxLength(TOOL_NAME_CHARS_MAX)),
      told(
        z.strictObject({
          ttlMs: time(1, DAY, MINUTE, 'For how long a result holds.'),
        }),
        'How the results of one tool are kept.',
      ),
    ),
    {},
  ),
  'Tools, by the names that the server gives them, whose results are kept for clients of 2026-07-28 that call them with the same arguments, each for whoever asked. Only those count that the server lists with `readOnlyHint` and `idempotentHint`. Needs `cache.enabled`.',
);

/** The options of one server that concern its cache. */
interface CacheConfig {
  readonly cache: z.output<typeof cache>;
  readonly cacheTools: z.output<typeof cacheTools>;
}

/** What the data path reads of them. Endpoints may ask for a cache where the server does not. */
export function cacheSettings({ cache: own, cacheTools: tools }: CacheConfig): CacheSettings {
  return {
    ...(own.enabled ? {} : { isOptIn: true }),
    bytesMax: own.maxBytes,
    defaultTtlMs: own.defaultTtlMs,
    defaultScope: own.defaultScope,
    staleOnErrorMs: own.staleOnErrorMs,
    tools: Object.entries(tools).map(([name, { ttlMs }]) => ({ name, ttlMs })),
  };
}
