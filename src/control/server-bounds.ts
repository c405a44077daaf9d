// The bounds of one MCP server: deadlines, and when it is left alone.
// Called by server-schema.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import { BREAKER_FAILURES_MAX, BREAKER_MS_MAX, BREAKER_TRIALS_MAX } from '../memory/breaker-cell.ts';
import { DAY, flag, MINUTE, time, told, whole } from './option.ts';

/** Deadlines of one exchange. */
export const timeouts = told(
  z.prefault(
    z
      .strictObject({
        connectMs: time(
          10,
          10 * MINUTE,
          LIMITS.connectTimeoutMs,
          'Longest wait for a connection to the server, TLS included.',
        ),
        firstByteMs: time(
          10,
          DAY,
          LIMITS.firstByteTimeoutMs,
          'Longest wait from the request sent to the first byte of the reply; for a process, to the first message that belongs to the call. A call that reports progress is past it with the first report.',
        ),
        replyIdleMs: time(
          10,
          DAY,
          LIMITS.replyIdleTimeoutMs,
          'Longest silence inside a reply. Event streams are exempt: progress comes when it comes.',
        ),
        totalMs: time(
          10,
          7 * DAY,
          LIMITS.totalTimeoutMs,
          'Longest time for a whole call, however much progress it reports. Exempt are the event streams of sessions, subscriptions (`subscriptions/listen`), and calls that the bridge between eras has parked until their client answers.',
        ),
      })
      .check(
        z.refine((value) => value.firstByteMs <= value.totalMs, {
          path: ['firstByteMs'],
          error: 'at most totalMs: the first byte is part of the whole',
        }),
      ),
    {},
  ),
  'Deadlines of one exchange with this server.',
);

/** When a server is left alone. */
export const breaker = told(
  z.prefault(
    z.strictObject({
      enabled: flag(true, 'False sends every request, however many have failed.'),
      failures: whole(
        'requests',
        { min: 1, max: BREAKER_FAILURES_MAX, value: LIMITS.breakerFailures },
        'Failures within the window that it takes, counted over all workers.',
      ),
      sharePercent: whole(
        'percent',
        { min: 0, max: 100, value: LIMITS.breakerSharePercent },
        'Share of the requests of the window that must have failed.',
      ),
      windowMs: time(
        100,
        BREAKER_MS_MAX,
        LIMITS.breakerWindowMs,
        'Length of the window; it begins with a failure, and what succeeded in as long before it counts as well.',
      ),
      openMs: time(
        1,
        BREAKER_MS_MAX,
        LIMITS.breakerOpenMs,
        'Time during which requests are refused with 503 before one is tried.',
      ),
      trials: whole(
        'requests',
        { min: 1, max: BREAKER_TRIALS_MAX, value: LIMITS.breakerTrials },
        'Requests that may be tried at once; the first that succeeds ends the outage, one that fails prolongs it.',
      ),
    }),
    {},
  ),
  'When the server is left alone because it is down: time-outs, connections that fail or break off, broken framing, 5xx, processes that do not start or that end count as failures; errors that a tool or the protocol reports do not.',
);
