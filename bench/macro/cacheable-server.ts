// An MCP server whose answers may be kept: a list of tools and a resource, each for a minute, and a subscription that is acknowledged and says nothing.
// Started by cached.ts as `bun bench/macro/cacheable-server.ts`. Promises: prints {"port":N} when it listens; 2026-07-28 only; GET /count answers with the number of
// requests that it has served, subscriptions aside.
import { META, METHOD } from '../../src/mcp/protocol.ts';

const TTL_MS = 60_000;
const TOOL_COUNT = 50;
const TEXT_CHARS = 12 * 1024;

const TOOLS = Array.from({ length: TOOL_COUNT }, (_, n) => ({
  name: `warehouse_tool_${n}`,
  description: `Looks up stock number ${n} in the warehouse, and says where it lies and how much of it there is.`,
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  annotations: { readOnlyHint: true },
}));
const KEPT = `"ttlMs":${TTL_MS},"cacheScope":"private","resultType":"complete"`;
const LIST = `{"tools":${JSON.stringify(TOOLS)},${KEPT}}`;
const TEXT = 'All work and no play makes Jack a dull boy. '.repeat(TEXT_CHARS / 44);
const READ = `{"contents":[{"uri":"file:///text","text":"${TEXT}"}],${KEPT}}`;
const DISCOVERED = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}},"ttlMs":0,"cacheScope":"private","resultType":"complete"}`;
const JSON_HEADERS = { 'content-type': 'application/json' };

let served = 0;

interface Asked {
  readonly id: unknown;
  readonly method: string;
  readonly params?: { readonly notifications?: unknown };
}

function resultOf(method: string): string | null {
  if (method === METHOD.toolsList) return LIST;
  if (method === METHOD.resourcesRead) return READ;
  return method === METHOD.discover ? DISCOVERED : null;
}

/** A stream that says what it will tell of, and then stays open. */
function listen({ id, params }: Asked): Response {
  const acknowledged = JSON.stringify({
    jsonrpc: '2.0',
    method: METHOD.acknowledged,
    params: { notifications: params?.notifications ?? {}, _meta: { [META.subscriptionId]: id } },
  });
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) =>
      controller.enqueue(new TextEncoder().encode(`event: message\ndata: ${acknowledged}\n\n`)),
  });
  return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
}

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 0,
  fetch: async (request) => {
    if (request.method === 'GET') return new Response(String(served));
    // the bench's own messages
    const asked = (await request.json()) as Asked;
    if (asked.method === METHOD.listen) return listen(asked);
    served++;
    const result = resultOf(asked.method);
    const id = JSON.stringify(asked.id);
    if (result !== null)
      return new Response(`{"jsonrpc":"2.0","id":${id},"result":${result}}`, { headers: JSON_HEADERS });
    const error = `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"no such method"}}`;
    return new Response(error, { status: 404, headers: JSON_HEADERS });
  },
});

console.log(JSON.stringify({ port: server.port }));
