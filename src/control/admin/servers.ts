// Operations on servers: list, look up, add, replace, patch, remove, enable, disable, restart, import, export.
// Called by app.ts. Promises: every change goes through the registry, which refuses it whole or makes it durable; ETags are the registry's versions; secrets never
// leave unless an export asks for them.
import { createRoute, z } from '@hono/zod-openapi';
import { toJSONSchema } from 'zod/mini';
import { LIMITS } from '../../base/limits.ts';
import type { Changed, Refusal } from '../registry/registry.ts';
import { serverSchema } from '../server-schema.ts';
import {
  type AdminApp,
  accepted,
  answers,
  Done,
  planQuery,
  type Surroundings,
  serverPath,
  unknown,
} from './operation.ts';
import { refusals } from './problem.ts';
import { Plan, Server } from './schemas.ts';
import { glanceAt, lookAt, serverView } from './server-view.ts';
import { planView } from './status.ts';

const PAGE = { default: 100, max: 1_000 };

/** The very schema that the configuration's file is checked with, as JSON Schema, which OpenAPI 3.1 speaks. */
function settingsShape(): Readonly<Record<string, unknown>> {
  const { $schema: _, ...shape } = toJSONSchema(serverSchema, { io: 'input', unrepresentable: 'any' });
  return shape;
}

const Settings = z.record(z.string(), z.unknown()).openapi('ServerSettings', {
  description:
    'The options of one server, see docs/config.md. Every text may refer to the environment: ${NAME}.',
  example: { url: 'http://127.0.0.1:9/mcp' },
  ...settingsShape(),
});
const NewServer = z.strictObject({ name: z.string(), settings: Settings }).openapi('NewServer', {
  example: { name: 'docs', settings: { url: 'http://127.0.0.1:9/mcp' } },
});
const Change = z.strictObject({ server: z.union([Server, z.null()]), plan: Plan }).openapi('Change', {
  description: 'The entry as it is now (null: there is none, or only the plan was asked for).',
});
const ETAG = z
  .string()
  .regex(/^"v\d{1,15}"$/)
  .openapi({ example: '"v3"' });
const ifMatch = z.object({ 'if-match': z.union([z.literal('*'), ETAG]).optional() });
const conditions = ifMatch.extend({ 'if-none-match': z.literal('*').optional() });

const tags = ['servers'];
const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const etagged = <T extends z.ZodType>(schema: T, description: string) => ({
  ...answers(schema, description),
  headers: z.object({ ETag: ETAG.optional() }),
});
/** What a change may be refused with. */
const changing = refusals(
  'GW_REGISTRY_UNKNOWN',
  'GW_REGISTRY_EXISTS',
  'GW_REGISTRY_FILE',
  'GW_REGISTRY_VERSION',
  'GW_REGISTRY_VALUE',
  'GW_REGISTRY_CLOSED',
  'GW_REGISTRY_BUSY',
  'GW_REGISTRY_FULL',
  'GW_SERVER_BODY_SIZE',
);

const listServers = createRoute({
  method: 'get',
  path: '/api/v1/servers',
  tags,
  summary: 'The servers, page by page',
  request: {
    query: z.strictObject({
      search: z.string().max(200).optional(),
      limit: z.coerce.number().int().min(1).max(PAGE.max).optional(),
      cursor: z
        .string()
        .regex(/^\d{1,9}$/)
        .optional(),
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ items: z.array(Server), next: z.string().nullable(), total: z.number().int() }),
      'Those whose name or settings hold the text.',
    ),
    ...refusals(),
  },
});
const getServer = createRoute({
  method: 'get',
  path: '/api/v1/servers/{name}',
  tags,
  summary: 'One server',
  request: { params: serverPath },
  responses: { 200: etagged(Server, 'The server.'), ...refusals('GW_ADMIN_UNKNOWN') },
});
const postServer = createRoute({
  method: 'post',
  path: '/api/v1/servers',
  tags,
  summary: 'Adds a server',
  request: { query: planQuery, body: { required: true, content: json(NewServer) } },
  responses: {
    200: answers(Change, 'What would change.'),
    201: etagged(Change, 'It is there.'),
    ...changing,
  },
});
const putServer = createRoute({
  method: 'put',
  path: '/api/v1/servers/{name}',
  tags,
  summary: 'Adds or replaces a server',
  request: {
    params: serverPath,
    query: planQuery,
    headers: conditions,
    body: { required: true, content: json(Settings) },
  },
  responses: { 200: etagged(Change, 'It was replaced.'), 201: etagged(Change, 'It is there.'), ...changing },
});
const patchServer = createRoute({
  method: 'patch',
  path: '/api/v1/servers/{name}',
  tags,
  summary: 'Changes some settings of a server (JSON Merge Patch, RFC 7396)',
  request: {
    params: serverPath,
    query: planQuery,
    headers: ifMatch,
    body: { required: true, content: { 'application/merge-patch+json': { schema: Settings } } },
  },
  responses: { 200: etagged(Change, 'It was changed.'), ...changing },
});
const deleteServer = createRoute({
  method: 'delete',
  path: '/api/v1/servers/{name}',
  tags,
  summary: 'Removes a server',
  request: { params: serverPath, query: planQuery, headers: ifMatch },
  responses: { 200: answers(z.strictObject({ plan: Plan }), 'What changed, or would.'), ...changing },
});
const switchServer = (verb: 'enable' | 'disable') =>
  createRoute({
    method: 'post',
    path: `/api/v1/servers/{name}/${verb}` as const,
    tags,
    summary: verb === 'enable' ? 'Serves a server again' : 'Leaves a server out, and keeps its entry',
    request: { params: serverPath, query: planQuery },
    responses: { 200: etagged(Change, 'It was done.'), ...changing },
  });
const restartServer = createRoute({
  method: 'post',
  path: '/api/v1/servers/{name}/restart',
  tags,
  summary:
    'Ends the connections and processes of a server: what runs may finish, what comes meets fresh ones',
  request: { params: serverPath },
  responses: { 200: answers(Done, 'How many workers had any.'), ...refusals('GW_ADMIN_UNKNOWN') },
});

/** What a caller expects of the entry: a version, none, or anything. */
function expectation(headers: Partial<z.output<typeof conditions>>): number | 'new' | null {
  if (headers['if-none-match'] !== undefined) return 'new';
  const match = headers['if-match'];
  return match === undefined || match === '*' ? null : Number(match.slice(2, -1));
}

function etagOf(version: number | null): Record<string, string> {
  return version === null ? {} : { etag: `"v${version}"` };
}

/** Who asks for an answer as soon as the change is durable gets it then (`Prefer: respond-async`, RFC 7240). */
const ASYNC = /(?:^|[,;\s])respond-async(?:$|[,;\s])/i;

/** Adds them. */
export function addServers(app: AdminApp, { governed }: Surroundings): void {
  const { registry, runtime } = governed;
  /** What a change came to, once it is in force in every worker, or a moment later; a plan changes nothing to wait for. */
  const carriedOut = async (
    c: { readonly req: { header(name: string): string | undefined } },
    isPlan: boolean,
    outcome: Changed | Refusal,
  ): Promise<Changed> => {
    const done = accepted(outcome);
    if (isPlan || ASYNC.test(c.req.header('prefer') ?? '')) return done;
    const late = new Promise<void>((resolve) => runtime.clock.after(LIMITS.adminInForceMs, resolve));
    await Promise.race([registry.settled(), late]);
    return done;
  };
  const changeView = ({ server, plan }: Changed): z.output<typeof Change> => ({
    server: server === null ? null : serverView(glanceAt(governed), server),
    plan: planView(plan),
  });
  app.openapi(listServers, async (c) => {
    const { search = '', limit = PAGE.default, cursor = '0' } = c.req.valid('query');
    const wanted = search.toLowerCase();
    const all = registry
      .list()
      .filter(
        ({ name, settings }) =>
          wanted === '' || `${name} ${JSON.stringify(settings)}`.toLowerCase().includes(wanted),
      );
    const from = Number(cursor);
    const page = all.slice(from, from + limit);
    const names = page.map(({ name }) => name);
    const moment = await lookAt(governed, names);
    const next = from + limit < all.length ? String(from + limit) : null;
    return c.json({ items: page.map((entry) => serverView(moment, entry)), next, total: all.length }, 200);
  });
  app.openapi(getServer, async (c) => {
    const { name } = c.req.valid('param');
    const entry = registry.get(name);
    if (entry === null) throw unknown('server', name);
    return c.json(serverView(await lookAt(governed, [name]), entry), 200, etagOf(entry.version));
  });
  app.openapi(postServer, async (c) => {
    const { name, settings } = c.req.valid('json');
    const isPlan = c.req.valid('query').plan === '1';
    const terms = { actor: c.get('actor'), expect: 'new', isPlan } as const;
    const done = await carriedOut(c, isPlan, await registry.put(name, settings, terms));
    const view = changeView(done);
    return isPlan ? c.json(view, 200) : c.json(view, 201, etagOf(done.server?.version ?? null));
  });
  app.openapi(putServer, async (c) => {
    const { name } = c.req.valid('param');
    const isPlan = c.req.valid('query').plan === '1';
    const terms = { actor: c.get('actor'), expect: expectation(c.req.valid('header')), isPlan };
    const outcome = await registry.put(name, c.req.valid('json'), terms);
    // Where a header asked that there be none, the condition failed (RFC 9110 §13.1.2): that is no conflict.
    const isUnmet = terms.expect === 'new' && !outcome.ok && outcome.code === 'GW_REGISTRY_EXISTS';
    const told = isUnmet ? { ...outcome, code: 'GW_REGISTRY_VERSION' as const } : outcome;
    const done = await carriedOut(c, isPlan, told);
    const headers = etagOf(done.server?.version ?? null);
    return c.json(changeView(done), done.isNew && !isPlan ? 201 : 200, headers);
  });
  app.openapi(patchServer, async (c) => {
    const { name } = c.req.valid('param');
    const isPlan = c.req.valid('query').plan === '1';
    const terms = { actor: c.get('actor'), expect: expectation(c.req.valid('header')), isPlan };
    const done = await carriedOut(c, isPlan, await registry.patch(name, c.req.valid('json'), terms));
    return c.json(changeView(done), 200, etagOf(done.server?.version ?? null));
  });
  app.openapi(deleteServer, async (c) => {
    const { name } = c.req.valid('param');
    const isPlan = c.req.valid('query').plan === '1';
    const terms = { actor: c.get('actor'), expect: expectation(c.req.valid('header')), isPlan };
    const { plan } = await carriedOut(c, isPlan, await registry.remove(name, terms));
    return c.json({ plan: planView(plan) }, 200);
  });
  for (const verb of ['enable', 'disable'] as const)
    app.openapi(switchServer(verb), async (c) => {
      const { name } = c.req.valid('param');
      const isPlan = c.req.valid('query').plan === '1';
      const terms = { actor: c.get('actor'), expect: null, isPlan };
      const done = await carriedOut(c, isPlan, await registry.setEnabled(name, verb === 'enable', terms));
      return c.json(changeView(done), 200, etagOf(done.server?.version ?? null));
    });
  app.openapi(restartServer, async (c) => {
    const { name } = c.req.valid('param');
    if (!governed.snapshot().servers.some((server) => server.name === name)) throw unknown('server', name);
    const done = await governed.act({ kind: 'restart-server', server: name });
    await registry.noteAction({ actor: c.get('actor'), action: 'restart', subject: name });
    return c.json({ done }, 200);
  });
}
