// Operation: the figures for a scraper, in Prometheus' format or in OpenMetrics.
// Called by app.ts. Promises: the code behind it is loaded at the first scrape.
import { createRoute, z } from '@hono/zod-openapi';
import type { AdminApp, Surroundings } from './operation.ts';
import { refusals } from './problem.ts';

const getMetrics = createRoute({
  method: 'get',
  path: '/metrics',
  tags: ['gateway'],
  summary: 'Figures for Prometheus',
  responses: {
    200: {
      description: 'As the Accept header wants them.',
      content: {
        'text/plain': { schema: z.string() },
        'application/openmetrics-text': { schema: z.string() },
      },
    },
    ...refusals(),
  },
});

/** Adds it. */
export function addMetrics(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(getMetrics, async (c) => {
    const { metricsText } = await import('../metrics/text.ts');
    const { contentType, text } = await metricsText(governed, c.req.header('accept') ?? null);
    return new Response(text, { status: 200, headers: { 'content-type': contentType } });
  });
}
