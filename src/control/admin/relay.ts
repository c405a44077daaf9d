// Operations: one MCP request of an operator, through the gateway's own data listener, and its reply as it comes.
// Called by app.ts. Promises: the request is recorded like any client's; its protocol headers are made from its body where the caller sent none.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { encode } from '../../base/bytes.ts';
import { encodeMirrored } from '../../mcp/headers.ts';
import type { Loopback } from './loopback.ts';
import { type AdminApp, type AdminEnv, type Surroundings, unknown } from './operation.ts';
import { refusals } from './problem.ts';
import { STREAMED } from './web.ts';

const MODERN = '2026-07-28';

const Message = z
  .looseObject({
    jsonrpc: z.literal('2.0'),
    id: z.union([z.string(), z.number()]).optional(),
    method: z.string().min(1).max(200),
    params: z.record(z.string(), z.unknown()).optional(),
  })
  .openapi('RpcRequest', { description: 'A JSON-RPC request or notification of MCP.' });
const Reply = z.unknown().openapi({ description: 'Whatever the gateway answers: a JSON-RPC response.' });

const REPLIES = { 'application/json': { schema: Reply }, 'text/event-stream': { schema: z.string() } };

/** Replies of the data listener have these statuses too, and are told apart by their media type. */
function relayed(refused: Record<never, never>): Record<never, never> {
  const rows: [string, { readonly content: object }][] = Object.entries(refused);
  return Object.fromEntries(
    rows.map(([status, row]) => [status, { ...row, content: { ...row.content, ...REPLIES } }]),
  );
}

const relayRoute = <P extends '/api/v1/mcp' | '/api/v1/mcp/{endpoint}'>(path: P) =>
  createRoute({
    method: 'post',
    path,
    tags: ['try it'],
    summary: path === '/api/v1/mcp' ? 'Sends an MCP request to /mcp' : 'Sends an MCP request to one endpoint',
    request: {
      ...(path === '/api/v1/mcp' ? {} : { params: z.strictObject({ endpoint: z.string().min(1).max(64) }) }),
      body: { required: true, content: { 'application/json': { schema: Message } } },
    },
    responses: {
      default: {
        description: 'The reply, with the status that the data listener gave it.',
        content: REPLIES,
      },
      ...relayed(refusals('GW_ADMIN_UNKNOWN', 'GW_SERVER_BODY_SIZE', 'GW_UPSTREAM_CONNECT')),
    },
  });

/** Adds them. */
export function addRelay(app: AdminApp, { governed }: Surroundings, loopback: Loopback): void {
  const relay = async (c: Context<AdminEnv>, endpoint: string | null, message: z.output<typeof Message>) => {
    const path = endpoint === null ? '/mcp' : `/mcp/${endpoint}`;
    if (!governed.snapshot().endpoints.some((one) => one.path === path)) throw unknown('endpoint', path);
    const { headers } = c.req.raw;
    const response = await loopback.send(
      {
        path,
        body: encode(JSON.stringify(message)),
        headers: protocolHeaders(headers, message),
        session: headers.get('mcp-session-id'),
        timeoutMs: 0,
      },
      c.req.raw.signal,
    );
    const shown = new Headers(response.headers);
    for (const [name, value] of Object.entries(STREAMED)) shown.set(name, value);
    return new Response(response.body, { status: response.status, headers: shown });
  };
  app.openapi(relayRoute('/api/v1/mcp'), (c) => relay(c, null, c.req.valid('json')));
  app.openapi(relayRoute('/api/v1/mcp/{endpoint}'), (c) =>
    relay(c, c.req.param('endpoint') ?? '', c.req.valid('json')),
  );
}

/** What the protocol wants mirrored in headers (MCP 2026-07-28, Streamable HTTP), and the trace that the caller is in. */
function protocolHeaders(given: Headers, { method, params }: z.output<typeof Message>): string[] {
  const headers: string[] = [];
  const version = given.get('mcp-protocol-version') ?? MODERN;
  headers.push('mcp-protocol-version', version);
  if (version >= MODERN) {
    headers.push('mcp-method', given.get('mcp-method') ?? method);
    const name = given.get('mcp-name') ?? params?.name ?? params?.uri;
    if (typeof name === 'string') headers.push('mcp-name', encodeMirrored(name));
  }
  given.forEach((value, header) => {
    if (header.startsWith('mcp-param-') || header === 'traceparent' || header === 'tracestate')
      headers.push(header, value);
  });
  return headers;
}
