// Operations: the paths that clients reach, with their counts and times.
// Called by app.ts. Promises: figures are sums over all workers since the gateway started.
import { createRoute, z } from '@hono/zod-openapi';
import { type CounterSums, sumCounters } from '../../memory/counters.ts';
import { type Histogram, mergedHistogram } from '../../memory/histogram.ts';
import { type AdminApp, answers, type Surroundings } from './operation.ts';
import { refusals } from './problem.ts';
import { type Counts, Endpoint } from './schemas.ts';
import { slotOf } from './server-view.ts';

const listEndpoints = createRoute({
  method: 'get',
  path: '/api/v1/endpoints',
  tags: ['gateway'],
  summary: 'The paths that clients reach',
  responses: { 200: answers(z.strictObject({ items: z.array(Endpoint) }), 'All of them.'), ...refusals() },
});

/** Adds them. */
export function addEndpoints(app: AdminApp, { governed }: Surroundings): void {
  app.openapi(listEndpoints, (c) => {
    const { memory } = governed;
    const snapshot = governed.snapshot();
    const items = snapshot.endpoints.map(({ name, path, members, prefixed, view }, at) => {
      const slot = slotOf(snapshot, at);
      return {
        ...{ name, path, prefixed },
        ssePath: governed.ssePath(path),
        servers: members.map((member) => snapshot.servers[member]?.name ?? ''),
        hasView: view !== undefined,
        counts: countsView(sumCounters(memory, slot)),
        latencyMs: latencyOf(mergedHistogram(memory, slot)),
      };
    });
    return c.json({ items }, 200);
  });
}

function countsView({ exchanges, ok, refused, failed, abandoned }: CounterSums): z.output<typeof Counts> {
  return { exchanges, ok, refused, failed, abandoned };
}

function latencyOf(times: Histogram): z.output<typeof Endpoint>['latencyMs'] {
  if (times.count === 0) return null;
  const ms = (percent: number): number => times.percentileUs(percent) / 1000;
  return { p50: ms(50), p90: ms(90), p99: ms(99), max: times.maxUs / 1000 };
}
