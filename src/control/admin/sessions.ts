// Operations: legacy sessions and parked calls, looked at and ended.
// Called by app.ts. Promises: ids are digests, which open nothing.
import { createRoute, z } from '@hono/zod-openapi';
import { isoTime } from '../../observe/fields.ts';
import type { Deed } from '../../observe/inspection.ts';
import { type AdminApp, answers, Done, isoTimeOrNull, type Surroundings, unknown } from './operation.ts';
import { refusals } from './problem.ts';
import { Parked, Session } from './schemas.ts';

const tags = ['sessions'];
const idPath = z.strictObject({ id: z.string().min(1).max(200) });

const listSessions = createRoute({
  method: 'get',
  path: '/api/v1/sessions',
  tags,
  summary: 'Sessions of clients before MCP 2026-07-28',
  responses: { 200: answers(z.strictObject({ items: z.array(Session) }), 'All of them.'), ...refusals() },
});
const deleteSession = createRoute({
  method: 'delete',
  path: '/api/v1/sessions/{id}',
  tags,
  summary: 'Ends a session',
  request: { params: idPath },
  responses: { 200: answers(Done, 'How many there were.'), ...refusals('GW_ADMIN_UNKNOWN') },
});
const listParked = createRoute({
  method: 'get',
  path: '/api/v1/parked',
  tags,
  summary: 'Calls that wait for their clients’ answers',
  responses: { 200: answers(z.strictObject({ items: z.array(Parked) }), 'All of them.'), ...refusals() },
});
const deleteParked = createRoute({
  method: 'delete',
  path: '/api/v1/parked/{id}',
  tags,
  summary: 'Cancels a call that waits',
  request: { params: idPath },
  responses: { 200: answers(Done, 'How many there were.'), ...refusals('GW_ADMIN_UNKNOWN') },
});

/** Adds them. */
export function addSessionViews(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listSessions, async (c) => {
    const { sessions } = await governed.inspect();
    const items = sessions.map(({ startedAtMs, lastUsedAtMs, servers, ...rest }) => ({
      ...rest,
      servers: [...servers],
      startedAt: isoTimeOrNull(startedAtMs),
      lastUsedAt: isoTimeOrNull(lastUsedAtMs),
    }));
    return c.json({ items }, 200);
  });
  app.openapi(listParked, async (c) => {
    const { parked } = await governed.inspect();
    const items = parked.map(({ parkedAtMs, expiresAtMs, questions, ...rest }) => ({
      ...rest,
      questions: [...questions],
      parkedAt: isoTime(parkedAtMs),
      expiresAt: isoTime(expiresAtMs),
    }));
    return c.json({ items }, 200);
  });
  const end = async (
    actor: string,
    deed: Deed & { readonly id: string },
    what: string,
  ): Promise<{ done: number }> => {
    const done = await governed.act(deed);
    if (done === 0) throw unknown(what, deed.id);
    await governed.registry.noteAction({ actor, action: deed.kind, subject: deed.id });
    return { done };
  };
  app.openapi(deleteSession, async (c) => {
    const { id } = c.req.valid('param');
    return c.json(await end(c.get('actor'), { kind: 'end-session', id }, 'session'), 200);
  });
  app.openapi(deleteParked, async (c) => {
    const { id } = c.req.valid('param');
    return c.json(await end(c.get('actor'), { kind: 'end-parked', id }, 'parked call'), 200);
  });
}
