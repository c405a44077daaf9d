// Operations: the breakers of all replicas, tripped and reset by an operator.
// Called by app.ts. Promises: a breaker that was tripped stays open until it is reset; both take effect in all workers at once, through the shared memory.
import { createRoute, z } from '@hono/zod-openapi';
import { forceBreaker, resetBreaker } from '../../memory/breaker-control.ts';
import { breakerView } from './breaker-view.ts';
import type { Governed } from './governed.ts';
import { type AdminApp, answers, type Surroundings, unknown } from './operation.ts';
import { refusals } from './problem.ts';
import { Breaker } from './schemas.ts';
import { addressOf, cellsIn, targetsOf } from './server-view.ts';

const tags = ['breakers'];
const place = z.strictObject({ server: z.string().min(1).max(64), replica: z.string().regex(/^\d{1,3}$/) });

const listBreakers = createRoute({
  method: 'get',
  path: '/api/v1/breakers',
  tags,
  summary: 'The breakers of all servers',
  responses: { 200: answers(z.strictObject({ items: z.array(Breaker) }), 'All of them.'), ...refusals() },
});
const moveBreaker = (verb: 'trip' | 'reset') =>
  createRoute({
    method: 'post',
    path: `/api/v1/breakers/{server}/{replica}/${verb}` as const,
    tags,
    summary: verb === 'trip' ? 'Sends nothing there until it is reset' : 'Sends requests there again',
    request: { params: place },
    responses: { 200: answers(Breaker, 'As it is now.'), ...refusals('GW_ADMIN_UNKNOWN') },
  });

/** One breaker and its cell. */
interface Found {
  readonly cell: number;
  readonly view: z.output<typeof Breaker>;
}

/** Adds them. */
export function addBreakers(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listBreakers, (c) =>
    c.json({ items: breakersOf(governed, null).map(({ view }) => view) }, 200),
  );
  for (const verb of ['trip', 'reset'] as const)
    app.openapi(moveBreaker(verb), async (c) => {
      const { server, replica } = c.req.valid('param');
      const find = (): Found | undefined =>
        breakersOf(governed, server).find(({ view }) => view.replica === Number(replica));
      const found = find();
      if (found === undefined) throw unknown('replica', `${server}/${replica}`);
      const { memory, runtime } = governed;
      const move = verb === 'trip' ? forceBreaker : resetBreaker;
      move(memory, found.cell, runtime.clock.wall());
      const event = {
        actor: c.get('actor'),
        action: verb,
        subject: server,
        after: { replica: found.view.replica },
      };
      await governed.registry.noteAction(event);
      return c.json((find() ?? found).view, 200);
    });
}

/** The breakers of one server, or of all. */
function breakersOf(governed: Governed, server: string | null): Found[] {
  const snapshot = governed.snapshot();
  const cells = cellsIn(snapshot);
  return snapshot.servers.flatMap((spec, at) => {
    if (server !== null && spec.name !== server) return [];
    return targetsOf(spec).map((target, replica) => {
      const cell = cells[at]?.[replica] ?? 0;
      const { state, isForced, failures, successes } = breakerView(governed, spec, cell);
      const address = addressOf(target);
      return { cell, view: { server: spec.name, replica, address, state, isForced, failures, successes } };
    });
  });
}
