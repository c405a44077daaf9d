// The options of the admin listener.
// Called by schema.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { flag, hosts, list, shaped, text, told } from './option.ts';

/** Port of the admin listener where nothing is said. */
export const ADMIN_PORT = 8701;

/** `listen` shares the words for hosts and origins. */
export function adminOptions<
  H extends z.ZodMiniType<string, string>,
  O extends z.ZodMiniType<string, string>,
>(hostName: H, origin: O) {
  return told(
    z.prefault(
      z.strictObject({
        enabled: flag(true, 'False: no admin listener, no dashboard, no metrics.'),
        host: told(
          z._default(text(''), '127.0.0.1'),
          'Address to listen on, with plain HTTP: for other machines put a proxy with TLS in front.',
        ),
        port: told(
          z.optional(z.int().check(z.minimum(0), z.maximum(65_535))),
          `Port to listen on; 0 takes any free one. Left out: ${ADMIN_PORT}, or any free one when \`listen.port\` is 0; when it is taken the gateway serves without.`,
          'port',
        ),
        token: z.optional(
          told(
            shaped(/^[\x21-\x7e]{16,512}$/, '16 to 512 printable ASCII characters without blanks'),
            'Token that every request must carry (`Authorization: Bearer …`). Left out: one is made at the first start, printed once, and kept in the file admin.token of `dataDir`.',
          ),
        ),
        allowedHosts: hosts(hostName),
        allowedOrigins: list(
          origin,
          1024,
          'Web origins by which the dashboard is reached through a proxy that changes the Host header. Pages of all other sites are refused.',
        ),
      }),
      {},
    ),
    'Where operators look and act: dashboard, API and metrics.',
  );
}
