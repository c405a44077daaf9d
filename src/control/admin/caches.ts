// Operations: what is kept of servers' answers, and forgetting it.
// Called by app.ts. Promises: counts are sums over all workers.
import { createRoute, z } from '@hono/zod-openapi';
import { type AdminApp, answers, Done, type Surroundings, unknown } from './operation.ts';
import { refusals } from './problem.ts';
import { Cache } from './schemas.ts';

const tags = ['caches'];
const CacheOf = Cache.extend({ server: z.string() }).openapi('CacheOfServer');

const listCaches = createRoute({
  method: 'get',
  path: '/api/v1/caches',
  tags,
  summary: 'The caches of servers that have one',
  responses: { 200: answers(z.strictObject({ items: z.array(CacheOf) }), 'All of them.'), ...refusals() },
});
const purge = createRoute({
  method: 'post',
  path: '/api/v1/caches/purge',
  tags,
  summary: 'Forgets what is kept of one server, or of all',
  request: {
    body: { content: { 'application/json': { schema: z.strictObject({ server: z.string().optional() }) } } },
  },
  responses: {
    200: answers(Done, 'How many answers were kept.'),
    ...refusals('GW_ADMIN_UNKNOWN', 'GW_SERVER_BODY_SIZE'),
  },
});

/** Adds them. */
export function addCaches(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listCaches, async (c) => {
    const { upstreams } = await governed.stats();
    const items = Object.entries(upstreams).flatMap(([server, { cache }]) =>
      cache === undefined ? [] : [{ server, ...cache }],
    );
    return c.json({ items }, 200);
  });
  app.openapi(purge, async (c) => {
    const { server = null } = c.req.valid('json');
    if (server !== null && !governed.snapshot().servers.some(({ name }) => name === server))
      throw unknown('server', server);
    const done = await governed.act({ kind: 'purge-cache', server });
    await governed.registry.noteAction({
      actor: c.get('actor'),
      action: 'purge',
      subject: server ?? 'all caches',
    });
    return c.json({ done }, 200);
  });
}
