// Operations: what the gateway is and how it does, its readiness, its configuration, reload, drain.
// Called by app.ts. Promises: /healthz and /readyz answer without a token and say nothing of names or addresses that a check does not.
import { createRoute, z } from '@hono/zod-openapi';
import { stringify } from 'yaml';
import { isoTime } from '../../observe/fields.ts';
import type { Plan as PlannedChange } from '../plan.ts';
import { isSecret } from '../problem.ts';
import { MASK } from '../registry/registry.ts';
import type { Governed } from './governed.ts';
import { type AdminApp, answers, emptyAnswer, planQuery, type Surroundings } from './operation.ts';
import { KeyedError, refusals } from './problem.ts';
import { Plan, Readiness, Status } from './schemas.ts';

const getStatus = createRoute({
  method: 'get',
  path: '/api/v1/status',
  tags: ['gateway'],
  summary: 'What runs, and how it does',
  responses: { 200: answers(Status, 'Its status.'), ...refusals() },
});

const getHealth = createRoute({
  method: 'get',
  path: '/healthz',
  tags: ['gateway'],
  security: [],
  summary: 'Whether the process answers at all',
  responses: { 200: answers(z.strictObject({ status: z.literal('ok') }), 'It does.'), ...refusals() },
});

const getReadiness = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['gateway'],
  security: [],
  summary: 'Whether it is ready to serve, and what is missing',
  responses: {
    200: answers(Readiness, 'It is.'),
    503: answers(Readiness, 'It is not.'),
    ...withoutStarting(refusals()),
  },
});

const getConfig = createRoute({
  method: 'get',
  path: '/api/v1/config',
  tags: ['gateway'],
  summary: 'The configuration in force, with every default, secrets hidden',
  responses: {
    200: answers(z.strictObject({ text: z.string(), path: z.string().nullable() }), 'As YAML.'),
    ...refusals(),
  },
});

const postReload = createRoute({
  method: 'post',
  path: '/api/v1/reload',
  tags: ['gateway'],
  summary: 'Reads the configuration anew',
  request: { query: planQuery },
  responses: {
    200: answers(z.strictObject({ plan: Plan }), 'What changed, or would.'),
    ...refusals('GW_ADMIN_RELOAD'),
  },
});

const postDrain = createRoute({
  method: 'post',
  path: '/api/v1/drain',
  tags: ['gateway'],
  summary: 'Ends the gateway as SIGTERM does: what runs may finish',
  responses: { 202: emptyAnswer('It drains.'), ...refusals() },
});

/** 503 is no refusal where it is the answer. */
function withoutStarting(responses: Record<never, never>): Record<never, never> {
  return Object.fromEntries(Object.entries(responses).filter(([status]) => status !== '503'));
}

/** Adds them. */
export function addStatus(app: AdminApp, { governed, adminUrl }: Surroundings): void {
  app.openapi(getStatus, async (c) => c.json(await statusOf(governed, adminUrl), 200));
  app.openapi(getHealth, (c) => c.json({ status: 'ok' as const }, 200));
  app.openapi(getReadiness, async (c) => {
    const readiness = await readinessOf(governed);
    return readiness.isReady ? c.json(readiness, 200) : c.json(readiness, 503);
  });
  app.openapi(getConfig, (c) =>
    c.json({ text: stringify(redacted(governed.settings().config, [])), path: governed.configPath }, 200),
  );
  app.openapi(postReload, async (c) => {
    const isTrial = c.req.valid('query').plan === '1';
    const outcome = await governed.reload(isTrial);
    if (outcome.isRefused)
      // A GatewayError that names keys.
      throw new KeyedError(
        'GW_ADMIN_RELOAD',
        '',
        outcome.reasons.map((detail) => ({ key: '', detail })),
      );
    if (!isTrial) await noteAction(c.get('actor'), 'reload');
    return c.json({ plan: planView(outcome.plan) }, 200);
  });
  app.openapi(postDrain, async (c) => {
    await noteAction(c.get('actor'), 'drain');
    governed.drain();
    return c.body(null, 202);
  });
  const noteAction = (actor: string, action: string): Promise<void> =>
    governed.registry.noteAction({ actor, action, subject: 'gateway' });
}

/** A plan as the API shows it. */
export function planView(
  plan: PlannedChange & { readonly notes?: readonly string[] },
): z.output<typeof Plan> {
  return {
    starts: [...plan.starts],
    stops: [...plan.stops],
    changes: plan.changes.map(({ server, keys }) => ({ server, keys: [...keys] })),
    applies: [...plan.applies],
    waits: [...plan.waits],
    notes: [...(plan.notes ?? [])],
  };
}

async function readinessOf(governed: Governed): Promise<z.output<typeof Readiness>> {
  const checks = [...(await governed.readiness())];
  const isDraining = governed.isDraining();
  return { isReady: !isDraining && checks.every(({ ok }) => ok), isDraining, checks };
}

async function statusOf(governed: Governed, adminUrl: string): Promise<z.output<typeof Status>> {
  const { runtime, registry, scanner } = governed;
  const [stats, readiness] = await Promise.all([governed.stats([]), readinessOf(governed)]);
  const usage = runtime.usage();
  const { name, kernel, reason } = scanner;
  return {
    version: governed.version,
    runtime: runtime.name,
    pid: governed.pid,
    startedAt: isoTime(governed.startedAtMs),
    uptimeMs: Math.max(0, Math.round(runtime.clock.wall() - governed.startedAtMs)),
    url: governed.url,
    adminUrl,
    scanner: { name, kernel, reason },
    configPath: governed.configPath,
    epoch: governed.snapshot().epoch,
    isReady: readiness.isReady,
    isDraining: readiness.isDraining,
    readiness: readiness.checks,
    registry: { ...registry.state },
    workers: stats.workers.map((worker) => ({ ...worker })),
    memory: {
      rssBytes: usage.rssBytes,
      sharedBytes: governed.memory.buffer.byteLength,
      heapBytes: stats.heapBytes,
    },
    cpu: { userMs: Math.round(usage.cpuUserMs), systemMs: Math.round(usage.cpuSystemMs) },
  };
}

/** A configuration without its secrets. */
function redacted(value: unknown, path: readonly (string | number)[]): unknown {
  if (Array.isArray(value)) return value.map((entry, index) => redacted(entry, [...path, index]));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, redacted(entry, [...path, key])]),
    );
  return isSecret(path) && typeof value === 'string' ? MASK : value;
}
