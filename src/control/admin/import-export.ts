// Operations: the servers of another configuration taken in, and all servers given out as one.
// Called by app.ts. Promises: what is there already is skipped, and said so; secrets leave only when asked for by name.
import { createRoute, z } from '@hono/zod-openapi';
import { type AdminApp, accepted, answers, planQuery, type Surroundings } from './operation.ts';
import { refusals } from './problem.ts';
import { Plan } from './schemas.ts';
import { planView } from './status.ts';

const importServers = createRoute({
  method: 'post',
  path: '/api/v1/import',
  tags: ['servers'],
  summary: 'Adds the servers of a configuration, or of a client’s mcpServers',
  request: {
    query: planQuery,
    body: {
      content: {
        'application/yaml': {
          schema: z.string().openapi({
            description: 'YAML with `servers`.',
            example: 'servers: { docs: { url: http://127.0.0.1:9/mcp } }',
          }),
        },
        'application/json': {
          schema: z.record(z.string(), z.unknown()).openapi({
            description: 'JSON with `mcpServers` or `servers`.',
            example: { mcpServers: { docs: { url: 'http://127.0.0.1:9/mcp' } } },
          }),
        },
      },
    },
  },
  responses: {
    200: answers(
      z.strictObject({
        plan: Plan,
        added: z.array(z.string()),
        skipped: z.array(z.strictObject({ name: z.string(), why: z.string() })),
      }),
      'What was added, or would be.',
    ),
    ...refusals(
      'GW_REGISTRY_VALUE',
      'GW_REGISTRY_CLOSED',
      'GW_REGISTRY_BUSY',
      'GW_REGISTRY_FULL',
      'GW_SERVER_BODY_SIZE',
    ),
  },
});

const exportServers = createRoute({
  method: 'get',
  path: '/api/v1/export',
  tags: ['servers'],
  summary: 'Every server, as a configuration or as clients write it',
  request: {
    query: z.strictObject({
      format: z.enum(['yaml', 'mcpServers']).optional(),
      secrets: z.enum(['0', '1']).optional().openapi({ description: '1: with secrets.' }),
    }),
  },
  responses: {
    200: {
      description: 'The text.',
      content: {
        'application/yaml': { schema: z.string() },
        'application/json': { schema: z.record(z.string(), z.unknown()) },
      },
    },
    ...refusals(),
  },
});

/** Adds them. */
export function addImportExport(app: AdminApp, { governed }: Surroundings): void {
  const { registry } = governed;
  app.openapi(importServers, async (c) => {
    const isPlan = c.req.valid('query').plan === '1';
    const isJson = /^application\/json\b/i.test(c.req.header('content-type') ?? '');
    const terms = { actor: c.get('actor'), isPlan };
    const { plan, added, skipped } = accepted(
      await registry.importText(await c.req.text(), isJson ? 'json' : 'yaml', terms),
    );
    return c.json(
      { plan: planView(plan), added: [...added], skipped: skipped.map((row) => ({ ...row })) },
      200,
    );
  });
  app.openapi(exportServers, async (c) => {
    const { format = 'yaml', secrets } = c.req.valid('query');
    const hasSecrets = secrets === '1';
    const text = await registry.exportText(format, hasSecrets);
    if (hasSecrets)
      await registry.noteAction({ actor: c.get('actor'), action: 'export with secrets', subject: 'servers' });
    const type = format === 'yaml' ? 'application/yaml' : 'application/json';
    return new Response(text, { status: 200, headers: { 'content-type': type } });
  });
}
