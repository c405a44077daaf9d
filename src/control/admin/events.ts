// Operation: live events as an event stream.
// Called by app.ts. Promises: the stream lasts until its reader leaves.
import { createRoute, z } from '@hono/zod-openapi';
import { Live } from './live.ts';
import type { AdminApp, Surroundings } from './operation.ts';
import { refusals } from './problem.ts';
import { AuditEvent, Exchange, Overview } from './schemas.ts';
import { STREAMED } from './web.ts';

/** What the events carry. OpenAPI 3.1 has no words for event streams: these schemas stand in the document for whoever reads it. */
const EVENTS = {
  OverviewEvent: Overview,
  TrafficEvent: z.strictObject({ items: z.array(Exchange) }),
  ServersEvent: z.strictObject({ names: z.array(z.string()) }),
  AuditLogEvent: z.strictObject({ item: AuditEvent }),
};

const getEvents = createRoute({
  method: 'get',
  path: '/api/v1/events',
  tags: ['gateway'],
  summary: 'Live events: overview (each second), traffic, servers, audit',
  description:
    'Data of the events: OverviewEvent, TrafficEvent, ServersEvent, AuditLogEvent, see the schemas.',
  responses: {
    200: { description: 'The stream.', content: { 'text/event-stream': { schema: z.string() } } },
    ...refusals('GW_ADMIN_BUSY'),
  },
});

/** Adds it. */
export function addEvents(app: AdminApp, { governed }: Surroundings): void {
  const live = new Live(governed);
  for (const [name, schema] of Object.entries(EVENTS)) app.openAPIRegistry.register(name, schema);
  app.openapi(getEvents, () => {
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', ...STREAMED };
    return new Response(live.listen(), { status: 200, headers });
  });
}
