// An MCP server over HTTP to try Sluice with: a clock, dice and a countdown that reports its progress.
// Loaded by examples/start.ts (npm start), or started by itself: `bun examples/demo-http.ts`. Promises: speaks every
// revision of MCP that the SDK knows; keeps nothing between calls.
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** Makes the server; the SDK asks for a fresh one per request. */
function createClock(): McpServer {
  const server = new McpServer({ name: 'sluice-demo-clock', version: '1.0.0' });

  server.registerTool(
    'now',
    {
      title: 'Current time',
      description: 'Tells the date and time, in UTC or in a time zone.',
      inputSchema: z.object({
        zone: z.string().default('UTC').describe('IANA time zone, such as Europe/Paris'),
      }),
      annotations: { readOnlyHint: true },
    },
    ({ zone }) => ({ content: [{ type: 'text', text: timeIn(zone) }] }),
  );

  server.registerTool(
    'roll',
    {
      title: 'Roll dice',
      description: 'Rolls some dice and adds them up.',
      inputSchema: z.object({
        count: z.int().min(1).max(100).default(2),
        sides: z.int().min(2).max(1000).default(6),
      }),
      outputSchema: z.object({ rolls: z.array(z.int()), sum: z.int() }),
    },
    ({ count, sides }) => {
      const rolls = Array.from({ length: count }, () => 1 + Math.floor(Math.random() * sides));
      const result = { rolls, sum: rolls.reduce((sum, roll) => sum + roll, 0) };
      return { content: [{ type: 'text', text: JSON.stringify(result) }], structuredContent: result };
    },
  );

  server.registerTool(
    'countdown',
    {
      title: 'Countdown',
      description: 'Counts down to zero, five steps a second, and reports its progress on the way.',
      inputSchema: z.object({ from: z.int().min(1).max(50).default(5) }),
    },
    async ({ from }, context) => {
      const progressToken = context.mcpReq._meta?.progressToken;
      for (let step = 1; step <= from && !context.mcpReq.signal.aborted; step++) {
        await Bun.sleep(200);
        if (progressToken === undefined) continue;
        await context.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress: step, total: from },
        });
      }
      return { content: [{ type: 'text', text: 'Lift-off' }] };
    },
  );

  server.registerPrompt(
    'plan_day',
    {
      title: 'Plan the day',
      description: 'Asks for a plan of the rest of the day.',
      argsSchema: z.object({ goal: z.string().describe('What should be done by the evening') }),
    },
    ({ goal }) => ({
      messages: [
        {
          role: 'user',
          content: {
            type: 'text',
            text: `It is ${timeIn('UTC')}. Plan the rest of my day so that I ${goal}.`,
          },
        },
      ],
    }),
  );

  server.registerResource(
    'zones',
    'clock://zones',
    { title: 'Time zones', description: 'Every time zone that `now` knows.', mimeType: 'text/plain' },
    (uri) => ({
      contents: [
        { uri: uri.href, mimeType: 'text/plain', text: Intl.supportedValuesOf('timeZone').join('\n') },
      ],
    }),
  );
  return server;
}

function timeIn(zone: string): string {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long', timeZone: zone }).format(
    new Date(),
  );
}

const handler = createMcpHandler(createClock);

/** Answers one HTTP request; only /mcp is served. */
export function answer(request: Request): Response | Promise<Response> {
  return new URL(request.url).pathname === '/mcp'
    ? handler.fetch(request)
    : new Response('Not found\n', { status: 404 });
}

if (import.meta.main) {
  const port = Number(process.env.DEMO_HTTP_PORT ?? 8710);
  // Streams may be silent for long: no idle time-out.
  const server = Bun.serve({ hostname: '127.0.0.1', port, idleTimeout: 0, fetch: answer });
  console.error(`demo clock: ${server.url}mcp`);
}
