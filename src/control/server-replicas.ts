// Several places of one MCP server: which one a request goes to, which are left out, and where copies of requests go.
// Called by server-schema.ts (options) and compile.ts (their part of a snapshot). Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import type { ReplicationSpec } from '../upstream/spec.ts';
import { choice, DAY, flag, MINUTE, shaped, time, told, whole } from './option.ts';

const HOUR = 60 * MINUTE;

/** What a place gets of the requests. */
export const weight = whole(
  'parts',
  { min: 0, max: 1_000_000, value: 100 },
  'Its part of the requests, against those of the other places: 5 beside 95 is a canary with 5 %. 0 = drained: it gets nothing new, sessions and tasks that it has go on.',
);

const balance = told(
  z.prefault(
    z.strictObject({
      policy: choice(
        ['least-busy', 'round-robin', 'hash'],
        'least-busy',
        '`least-busy`: the less busy of two that are drawn at random, seen over all workers; `round-robin`: each in turn, in each worker; `hash`: what is alike goes to the same place, and when a place comes or goes only what was, or is to be, there moves.',
      ),
      hashOn: told(
        z._default(
          shaped(
            /^(?:session|principal|argument:[^\0]{1,128})$/,
            'session, principal or argument: with the name of an argument, such as argument:path',
          ),
          'session',
        ),
        'With `hash`, what has to be alike. `principal`: who the client is. `session`: the same and its forwarded credentials, since requests of 2026-07-28 have no session; those of a legacy session stay where it began under every policy. `argument:NAME`: the value of that argument of a tool or a prompt. A request without any of it goes to the less busy of two.',
      ),
      slowStartMs: time(
        0,
        HOUR,
        LIMITS.slowStartMs,
        'Time over which the part of a place that is back grows from a tenth to the whole; 0 = at once.',
      ),
    }),
    {},
  ),
  'Which place a request goes to. A legacy session stays where it began whatever is said here, and so does a task.',
);

const outliers = told(
  z.prefault(
    z
      .strictObject({
        enabled: flag(true, 'False leaves no place out for doing worse than the others.'),
        windowMs: time(
          100,
          HOUR,
          LIMITS.outlierWindowMs,
          'Time between two judgements; what was before one counts half as much at the next.',
        ),
        requestsMin: whole(
          'requests',
          { min: 1, max: 1_000_000, value: LIMITS.outlierRequestsMin },
          'Requests without which a place is not judged, and the others together not compared with.',
        ),
        failurePoints: whole(
          'percent',
          { min: 1, max: 100, value: LIMITS.outlierFailurePoints },
          'Percentage points by which the share of its requests that fail is above that of the others. What counts as failure is what `breaker` counts.',
        ),
        latencyFactor: whole(
          'times',
          { min: 2, max: 1_000, value: LIMITS.outlierLatencyFactor },
          'Its replies begin so many times later than those of the others: median against the median of their medians.',
        ),
        latencyMinMs: time(0, HOUR, LIMITS.outlierLatencyMinMs, 'And by so much besides.'),
        ejectMs: time(
          1,
          HOUR,
          LIMITS.outlierEjectMs,
          'For how long it is left out; twice as long each further time, until it has done well for `ejectMaxMs`.',
        ),
        ejectMaxMs: time(1, DAY, LIMITS.outlierEjectMaxMs, 'Longest such time.'),
      })
      .check(
        z.refine((value) => value.ejectMs <= value.ejectMaxMs, {
          path: ['ejectMs'],
          error: 'at most ejectMaxMs',
        }),
      ),
    {},
  ),
  'When a place is left out because it fails more often, or answers later, than the others; judged by one worker from the requests of all. Never more than half of the places are.',
);

const health = told(
  z.prefault(
    z.strictObject({
      probe: choice(
        ['auto', 'none'],
        'auto',
        '`auto` asks each place, by one worker, whether it is up: `server/discover` where it speaks 2026-07-28, else `ping`, inside a session that a client uses there, or without any; no session is ever begun for it. Every answer below 500 will do. `none` asks nothing.',
      ),
      intervalMs: time(
        10,
        HOUR,
        LIMITS.healthIntervalMs,
        'Time between two questions; ± a fifth, so that those to different places spread.',
      ),
      downIntervalMs: time(
        10,
        HOUR,
        LIMITS.healthDownIntervalMs,
        'The same while a place is down or the last answer is missing; at most `intervalMs` holds.',
      ),
      timeoutMs: time(10, MINUTE, LIMITS.healthTimeoutMs, 'Longest wait for an answer.'),
      unhealthyAfter: whole(
        'answers',
        { min: 1, max: 100, value: LIMITS.healthUnhealthyAfter },
        'So many missing in a row, and the place gets no requests while there is another.',
      ),
      healthyAfter: whole(
        'answers',
        { min: 1, max: 100, value: LIMITS.healthHealthyAfter },
        'So many in a row, and it gets requests again.',
      ),
    }),
    {},
  ),
  'Asks the places of a server whether they are up, so that one that hangs is found without a client that waits for it.',
);

/** Options of a server in several places. */
export const replication = { balance, outliers, health };

const all = z.strictObject(replication);

/** The validated options of a server in several places. */
interface ReplicatedConfig extends z.output<typeof all> {
  readonly replicas: readonly { readonly weight: number }[];
}

/** What the data path reads of them. */
export function compileReplication(server: ReplicatedConfig): ReplicationSpec {
  const { enabled, ...judging } = server.outliers;
  const { probe, ...asking } = server.health;
  return {
    weights: server.replicas.map((place) => place.weight),
    balance: server.balance,
    outliers: enabled ? judging : null,
    health: probe === 'none' ? null : asking,
  };
}
