// Operations: the tools of all servers.
// Called by app.ts. Promises: what does not answer is named with its reason; names are those that clients of /mcp see.
import { createRoute, z } from '@hono/zod-openapi';
import { NameGiver, PREFIXED } from '../../mcp/outward.ts';
import { View } from '../../mcp/view.ts';
import type { Snapshot } from '../../snapshot.ts';
import type { Loopback } from './loopback.ts';
import { type AdminApp, answers, type Surroundings } from './operation.ts';
import { refusals } from './problem.ts';
import { Tool } from './schemas.ts';
import { type Listed, ToolShelf } from './tool-shelf.ts';

const listTools = createRoute({
  method: 'get',
  path: '/api/v1/tools',
  tags: ['tools'],
  summary: 'The tools of all servers',
  request: {
    query: z.strictObject({ search: z.string().max(200).optional(), server: z.string().max(64).optional() }),
  },
  responses: {
    200: answers(
      z.strictObject({
        items: z.array(Tool),
        missing: z.array(z.strictObject({ server: z.string(), detail: z.string() })),
      }),
      'Those whose name, title or description holds the text; `missing` are the servers that did not answer.',
    ),
    ...refusals(),
  },
});

type ToolView = z.output<typeof Tool>;

/** Adds them. */
export function addTools(app: AdminApp, { governed }: Surroundings, loopback: Loopback): void {
  const shelf = new ToolShelf(governed, loopback);
  app.openapi(listTools, async (c) => {
    const { search = '', server } = c.req.valid('query');
    const snapshot = governed.snapshot();
    const names = snapshot.servers.map(({ name }) => name);
    const listed = await shelf.all(
      server === undefined || isNamedApart(snapshot) ? names : names.filter((n) => n === server),
    );
    const wanted = search.toLowerCase();
    const items = viewsOf(snapshot, listed).filter(
      (tool) =>
        (server === undefined || tool.server === server) &&
        `${tool.name}\n${tool.shownAs}\n${tool.title ?? ''}\n${tool.description ?? ''}`
          .toLowerCase()
          .includes(wanted),
    );
    const missing = [...listed].flatMap(([name, { fault }]) =>
      fault === null || (server !== undefined && name !== server) ? [] : [{ server: name, detail: fault }],
    );
    return c.json({ items, missing }, 200);
  });
}

/** True when the name of a tool at /mcp depends on the tools of other servers. */
function isNamedApart(snapshot: Snapshot): boolean {
  return snapshot.endpoints.find(({ path }) => path === '/mcp')?.view?.names === 'own';
}

function viewsOf(snapshot: Snapshot, listed: ReadonlyMap<string, Listed>): ToolView[] {
  const root = snapshot.endpoints.find(({ path }) => path === '/mcp');
  const isSole = root?.members.length === 1;
  const rule = root?.view === undefined ? PREFIXED : new View(root.view, isSole).tools;
  const giver = new NameGiver(rule);
  const isPlain = root?.view === undefined && root?.prefixed === false;
  return [...listed].flatMap(([server, { tools }]) =>
    tools.map(({ name, title, description, inputSchema, annotations }) => ({
      server,
      name,
      shownAs: isPlain ? name : giver.give(server, name),
      title: title ?? null,
      description: description ?? null,
      inputSchema: inputSchema ?? null,
      annotations: annotations ?? null,
    })),
  );
}
