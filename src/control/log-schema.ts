// The options of the log.
// Called by schema.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { ROOMS } from '../observe/log.ts';
import { choice, list, shaped, told } from './option.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

const rooms = told(
  z._default(z.partialRecord(z.enum(ROOMS), z.enum(LEVELS)), {}),
  `Levels of parts of the gateway that are to say more or less than the rest, such as \`{ upstream: debug }\`: ${ROOMS.join(', ')}. \`access\` are the lines of exchanges.`,
);

/** What is logged, and how. */
export const logOptions = told(
  z.prefault(
    z.strictObject({
      level: choice(LEVELS, 'info', 'Least level of the log lines written to stderr.'),
      format: choice(
        ['auto', 'json', 'ecs', 'otel', 'pretty', 'plain'],
        'auto',
        'Shape of the lines: one JSON object each, with our own names, those of the Elastic Common Schema or those of OpenTelemetry; `pretty` is for people, `plain` the same without colours (so is `pretty` where NO_COLOR is set or TERM is `dumb`). `auto`: `pretty` on a terminal, else `json`.',
      ),
      rooms,
      access: choice(
        ['all', 'failures', 'off'],
        'failures',
        'Which exchanges get a line: all of them (level info; warn for those that failed), those that were refused or failed, or none. A line for each costs about 2 µs, a twentieth of a call; where only refused and failed ones get lines, these are bounded (50 each 0.1 s and worker) and the rest counted.',
      ),
      accessShare: told(
        z._default(z.number().check(z.minimum(0), z.maximum(1)), 1),
        'Share of the exchanges which get a line that went well. Those that were refused or failed always get theirs.',
        'share',
      ),
      arguments: choice(
        ['none', 'names', 'redacted'],
        'none',
        'What an exchange’s line says of a call’s arguments: nothing, their names, or names and values without those that `redact` hides.',
      ),
      redact: list(
        shaped(/^[^\0]{1,100}$/, 'a name, `*` for any text'),
        100,
        'Names of arguments whose values are never logged, besides those that mean a secret anyway (passwords, tokens, keys, cookies, credentials). Without regard to case, `*` for any text.',
      ),
    }),
    {},
  ),
  'The log, on stderr.',
);
