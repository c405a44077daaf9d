// Endpoints of the configuration's own: which servers, and what of them is shown under which names.
// Called by schema.ts. Promises: as schema.ts; what an endpoint names exists, and no two things on it are given one name.
import * as z from 'zod/mini';
import { NAME_CHARS_MAX } from '../mcp/outward.ts';
import { PATTERN_CHARS_MAX, patternFault } from '../mcp/pattern.ts';
import { endpointPolicy } from './endpoint-policies.ts';
import { choice, list, shaped, text, told } from './option.ts';
import { SERVER_NAME, SERVER_NAME_RULE } from './server-schema.ts';

const PATTERNS_MAX = 1024;

/** How names look. */
export const PREFIXES = ['auto', 'always', 'never'] as const;

const pattern = z.string().check(
  z.refine((value) => patternFault(value) === null, {
    error: `a name, a pattern with * and ?, or /a regular expression/ of at most ${PATTERN_CHARS_MAX} characters that fits whole names: at most two of *, + and {n,m}, none of them behind a group, no look-around, no back references`,
  }),
);

/** What is shown of one kind. */
function chosen(what: string) {
  return {
    allow: z.optional(
      told(
        z.array(pattern).check(z.maxLength(PATTERNS_MAX)),
        `Only these ${what} are shown and may be used. Left out: all.`,
      ),
    ),
    deny: list(
      pattern,
      PATTERNS_MAX,
      `These ${what} are neither shown nor may they be used, whatever \`allow\` says.`,
    ),
  };
}

const outward = shaped(
  new RegExp(`^[^\\0]{1,${NAME_CHARS_MAX}}$`),
  `a name of 1 to ${NAME_CHARS_MAX} characters`,
);

const override = told(
  z.strictObject({
    title: z.optional(text('Title that clients are shown.')),
    description: z.optional(text('Description that clients are shown.')),
    annotations: z.optional(
      told(z.record(z.string(), z.unknown()), "Annotations that are laid over the server's own, key by key."),
    ),
  }),
  'What clients are told of one of them. What is left out stays as the server says it.',
);

/** What is shown of what has names. */
function named(what: string) {
  return told(
    z.prefault(
      z.strictObject({
        ...chosen(what),
        rename: told(
          z._default(z.record(z.string(), outward), {}),
          `Names that clients see instead, by the server's own name or by server__name. The ${what} are no longer known by their former names.`,
        ),
        override: told(
          z._default(z.record(z.string(), override), {}),
          "What clients are told instead, by the server's own name or by server__name.",
        ),
      }),
      {},
    ),
    `Which ${what} are shown, and how. Names and patterns are compared with the server's own name and with server__name; one of the two has to fit.`,
  );
}

const endpoint = told(
  z.strictObject({
    servers: z.optional(
      told(
        z.array(z.string()).check(z.minLength(1), z.maxLength(1024)),
        'Names of servers, in the order in which their tools are listed and names are given. Left out: all.',
      ),
    ),
    prefix: choice(
      PREFIXES,
      'auto',
      'Names here: `auto` writes them as server__tool when there are several servers, `always` also when there is one, `never` leaves them as the servers have them: of two alike the first server keeps the name, the other one becomes server__tool.',
    ),
    tools: named('tools'),
    prompts: named('prompts'),
    resources: told(
      z.prefault(z.strictObject(chosen('resources')), {}),
      "Which resources and resource templates are shown. Patterns are compared with the server's own URI and with server+uri.",
    ),
    policy: endpointPolicy,
  }),
  'A choice of servers, and of what they have. Its tools, prompts and resources that are not shown cannot be used either.',
);

/** One endpoint, validated. */
export type EndpointConfig = z.output<typeof endpoint>;

/** All of them, by name. */
export const endpoints = told(
  z._default(z.record(shaped(SERVER_NAME, SERVER_NAME_RULE), endpoint), {}),
  'Endpoints besides /mcp and /mcp/<server>, by name, each reached as /mcp/<name>: a choice of servers, and of what they have.',
);

/** What is wrong with endpoints as to the rest of the configuration. */
export function endpointFaults(
  all: Readonly<Record<string, EndpointConfig>>,
  servers: Readonly<Record<string, unknown>>,
): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  return Object.entries(all).flatMap(([name, one]) => {
    const path = ['endpoints', name];
    const taken = Object.hasOwn(servers, name) ? [{ path, message: 'a name that no server has' }] : [];
    const unknown = (one.servers ?? []).flatMap((server, index, listed) => {
      const at = [...path, 'servers', index];
      if (!Object.hasOwn(servers, server))
        return [{ path: at, message: `one of ${Object.keys(servers).join(', ')}` }];
      return listed.indexOf(server) < index ? [{ path: at, message: 'each server once' }] : [];
    });
    return [
      ...taken,
      ...unknown,
      ...renameFaults([...path, 'tools'], one.tools),
      ...renameFaults([...path, 'prompts'], one.prompts),
    ];
  });
}

function renameFaults(path: readonly string[], { rename }: EndpointConfig['tools']) {
  const names = Object.values(rename);
  return Object.entries(rename).flatMap(([own, name], index) =>
    names.indexOf(name) < index
      ? [{ path: [...path, 'rename', own], message: 'a name that is given once' }]
      : [],
  );
}
