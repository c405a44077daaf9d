// The OpenAPI document of the admin API, made of the very schemas that it validates with.
// Called by app.ts, after all operations were added. Promises: made once, when it is first asked for.
import { createRoute, z } from '@hono/zod-openapi';
import { type AdminApp, answers } from './operation.ts';
import { refusals } from './problem.ts';

const getDocument = createRoute({
  method: 'get',
  path: '/api/v1/openapi.json',
  tags: ['gateway'],
  summary: 'This document',
  responses: { 200: answers(z.record(z.string(), z.unknown()), 'OpenAPI 3.1.'), ...refusals() },
});

/** Adds it. */
export function addDocument(app: AdminApp, version: string): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    description: 'The admin token.',
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'session', {
    type: 'apiKey',
    in: 'cookie',
    name: 'sluice_admin',
    description: 'What POST /api/v1/login gives; changes want the header x-sluice-csrf: 1 besides.',
  });
  let made: Record<string, unknown> | null = null;
  app.openapi(getDocument, (c) => {
    made ??= {
      ...app.getOpenAPI31Document({
        openapi: '3.1.0',
        info: { title: 'Sluice admin API', version, description: 'What an operator may look at and do.' },
        servers: [{ url: '/' }],
        security: [{ token: [] }, { session: [] }],
      }),
    };
    return c.json(made, 200);
  });
}
