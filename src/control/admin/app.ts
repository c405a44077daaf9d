// The admin API as one function from Request to Response: who is let in, all operations, their OpenAPI document, and the dashboard's files.
// Called by listener.ts, which loads it at the first request: the library behind it takes time and memory that a gateway nobody looks at does not pay.
// Promises: nothing but the open paths answers without a token or a session; every refusal and every fault is problem details.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { addAudit } from './audit.ts';
import { addBreakers } from './breakers.ts';
import { addCaches } from './caches.ts';
import { addDashboard, isPagePath } from './dashboard.ts';
import { addDocument } from './document.ts';
import { addEndpoints } from './endpoints.ts';
import { addEvents } from './events.ts';
import { bearerIn, type GuardSettings, isSameSecret, Slowdown, siteFault } from './guard.ts';
import { addImportExport } from './import-export.ts';
import { Loopback } from './loopback.ts';
import { addMetrics } from './metrics-page.ts';
import type { AdminApp, AdminEnv, Surroundings } from './operation.ts';
import { KeyedError, problemResponse } from './problem.ts';
import { addRelay } from './relay.ts';
import { addServers } from './servers.ts';
import { addSessions, BrowserSessions, checkCsrf } from './session.ts';
import { addSessionViews } from './sessions.ts';
import { addStatus } from './status.ts';
import { addTools } from './tools.ts';
import { addTraffic } from './traffic.ts';
import type { Answer } from './web.ts';

/** What the API is made of. */
export interface AppParts extends Surroundings {
  readonly guard: GuardSettings;
}

/** Paths that answer without a token, besides those of the page. */
const OPEN: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/api/v1/login']);

/** Sent with everything: nothing here is for another site's frame, cache or guess. */
const SAFE_HEADERS: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
];

/** Makes it. */
export function createApp(parts: AppParts): Answer {
  const { governed, guard } = parts;
  const { runtime, log } = governed;
  const app: AdminApp = new OpenAPIHono<AdminEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const faults = result.error.issues.map(({ path, message }) => ({
        key: path.join('.'),
        detail: message,
      }));
      // A GatewayError that names keys.
      throw new KeyedError('GW_ADMIN_REQUEST', `its ${result.target} is not as the API wants it`, faults);
    },
  });
  const slowdown = new Slowdown(runtime.clock);
  const sessions = new BrowserSessions(runtime, guard.token);
  app.use('*', async (c, next) => {
    const { method, path } = c.req;
    const isPage = (method === 'GET' || method === 'HEAD') && isPagePath(path);
    const fault = siteFault(c.req.raw.headers, guard, isPage);
    if (fault !== null) throw fault;
    if (!isPage && !OPEN.has(path)) c.set('actor', await actorOf(c));
    await next();
    for (const [name, value] of SAFE_HEADERS) c.res.headers.set(name, value);
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store');
  });
  const actorOf = async (c: Context<AdminEnv>): Promise<string> => {
    const { headers } = c.req.raw;
    const { peer } = c.env;
    const given = bearerIn(headers);
    if (given !== null) {
      if (!isSameSecret(given, guard.token)) throw await slowdown.wrong();
      slowdown.right();
      return `token ${peer}`.trimEnd();
    }
    if (!(await sessions.holds(c))) throw new GatewayError('GW_ADMIN_TOKEN', 'there is none');
    checkCsrf(c.req.method, headers);
    return `dashboard ${peer}`.trimEnd();
  };
  addSessions(app, { sessions, slowdown, token: guard.token });
  addStatus(app, parts);
  addServers(app, parts);
  addAudit(app, parts);
  addBreakers(app, parts);
  addCaches(app, parts);
  addEndpoints(app, parts);
  addImportExport(app, parts);
  addSessionViews(app, parts);
  addTraffic(app, parts);
  addEvents(app, parts);
  const loopback = new Loopback(governed);
  addTools(app, parts, loopback);
  addRelay(app, parts, loopback);
  addMetrics(app, parts);
  addDocument(app, governed.version);
  addDashboard(app, runtime.files);
  app.notFound((c) => problemResponse(missing(app, c.req.method, c.req.path), c.req.path));
  app.onError((thrown, c) => {
    const error = errorOf(thrown);
    if (error.code === 'GW_BASE_INTERNAL')
      log.error('the admin API met a fault', { path: c.req.path, fault: thrown.stack ?? thrown.message });
    return problemResponse(error, c.req.path);
  });
  return (request, peer) => app.fetch(request, { peer });
}

function errorOf(thrown: Error): GatewayError {
  if (thrown instanceof HTTPException)
    return new GatewayError(thrown.status < 500 ? 'GW_ADMIN_REQUEST' : 'GW_BASE_INTERNAL', thrown.message);
  return toGatewayError(thrown);
}

/** A path that another method serves, or that none does. */
function missing(app: AdminApp, method: string, path: string): GatewayError {
  const others = new Set(
    app.openAPIRegistry.definitions.flatMap((definition) => {
      if (definition.type !== 'route') return [];
      const pattern = new RegExp(
        `^${definition.route.path.replace(/\{[^}]+\}/g, '[^/]+').replaceAll('.', '\\.')}$`,
      );
      return pattern.test(path) ? [definition.route.method.toUpperCase()] : [];
    }),
  );
  if (others.size === 0) return new GatewayError('GW_SERVER_PATH', `there is no ${path.slice(0, 200)} here`);
  return new GatewayError('GW_SERVER_METHOD', `${method} is not one of ${[...others].join(', ')}`);
}
