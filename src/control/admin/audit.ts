// Operations: who changed what, and when.
// Called by app.ts, events.ts. Promises: events are the registry's, which nothing changes or deletes; secrets in them are hidden.
import { createRoute, z } from '@hono/zod-openapi';
import { isoTime } from '../../observe/fields.ts';
import type { AuditEvent as Noted } from '../registry/registry.ts';
import { type AdminApp, answers, type Surroundings } from './operation.ts';
import { refusals } from './problem.ts';
import { AuditEvent } from './schemas.ts';

const PAGE = { default: 100, max: 1_000 };

const listAudit = createRoute({
  method: 'get',
  path: '/api/v1/audit',
  tags: ['audit'],
  summary: 'Changes, oldest first: those after a number, or the newest ones',
  request: {
    query: z.strictObject({
      after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
      limit: z.coerce.number().int().min(1).max(PAGE.max).optional(),
    }),
  },
  responses: {
    200: answers(
      z.strictObject({ items: z.array(AuditEvent), next: z.number().int().nullable() }),
      'Some of them; `next` is what to ask for as `after` to get more.',
    ),
    ...refusals(),
  },
});

/** An event as the API shows it. */
export function auditView({
  id,
  atMs,
  actor,
  action,
  subject,
  before,
  after,
}: Noted): z.output<typeof AuditEvent> {
  return { id, at: isoTime(atMs), actor, action, subject, before: before ?? null, after: after ?? null };
}

/** Adds them. */
export function addAudit(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listAudit, (c) => {
    const { after = null, limit = PAGE.default } = c.req.valid('query');
    const { items, next } = governed.registry.audit(after, limit);
    return c.json({ items: items.map(auditView), next }, 200);
  });
}
