// What to try next, printed once the gateway serves (`sluice serve --welcome`, npm start).
// Called by lifecycle.ts. Promises: asks the gateway itself first, so that every line works as printed; when the first
// server does not answer in time, only lines that do not need it are shown.
import { ssePath } from '../server/sse-place.ts';
import type { Snapshot } from '../snapshot.ts';
import { fieldOf } from './client.ts';
import { createPaint } from './paint.ts';

const PROBE_TIMEOUT_MS = 5_000;
const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** The text, with its final newline. */
export async function welcomeText(url: string, snapshot: Snapshot, colour: boolean): Promise<string> {
  const paint = createPaint(colour);
  const first = snapshot.servers[0]?.name ?? '';
  const at = url === 'http://127.0.0.1:8700' ? '' : ` --url ${url}`;
  const tool = await probe(`${url}/mcp/${first}`);
  const lines = [
    '',
    `${paint.bold('Sluice serves')} ${snapshot.servers.map((server) => server.name).join(', ')} at ${paint.accent(`${url}/mcp`)}`,
    `Clients that know only HTTP+SSE go to ${paint.accent(url + ssePath('/mcp'))}`,
    '',
    'Try, in another terminal:',
    '',
    `  npx sluice list${at}`,
    ...(tool === null
      ? []
      : [`  npx sluice call ${first} ${tool.name}${tool.json === '{}' ? '' : ` '${tool.json}'`}${at}`]),
    `  ${curlLine(`${url}/mcp/${first}`, tool !== null)}`,
    '',
    'Press Ctrl-C to stop.',
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** A curl command that lists the tools (modern servers) or opens a session (others). */
function curlLine(url: string, modern: boolean): string {
  const headers = ["-H 'Content-Type: application/json'", "-H 'Accept: application/json, text/event-stream'"];
  if (modern) headers.push("-H 'MCP-Protocol-Version: 2026-07-28'", "-H 'Mcp-Method: tools/list'");
  const body = modern
    ? { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: MODERN_META } }
    : {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: {},
          clientInfo: { name: 'curl', version: '1' },
        },
      };
  return `curl -s ${url} ${headers.join(' ')} -d '${JSON.stringify(body)}'`;
}

/** A tool of the endpoint that can be called with made-up arguments, or null when it does not answer as a modern server. */
async function probe(url: string): Promise<{ readonly name: string; readonly json: string } | null> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/list',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: MODERN_META } }),
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    const text = await response.text();
    const line = text.startsWith('{') ? text : (/^data: ?(\{.*)$/m.exec(text)?.[1] ?? 'null');
    const tools = fieldOf(fieldOf(JSON.parse(line), 'result'), 'tools');
    return Array.isArray(tools) ? easiest(tools) : null;
  } catch {
    return null;
  }
}

/** The first tool that needs no arguments, else the first whose arguments can be made up. */
function easiest(tools: readonly unknown[]): { readonly name: string; readonly json: string } | null {
  const callable = tools.flatMap((tool) => {
    const name = fieldOf(tool, 'name');
    const json = sampleArguments(fieldOf(tool, 'inputSchema'));
    // Names and arguments go into a shell line: only plain ones are shown.
    return typeof name === 'string' && /^[\w.-]+$/.test(name) && json !== null ? [{ name, json }] : [];
  });
  return callable.find((tool) => tool.json === '{}') ?? callable[0] ?? null;
}

function sampleArguments(schema: unknown): string | null {
  const required = fieldOf(schema, 'required');
  const sample: Record<string, unknown> = {};
  for (const key of Array.isArray(required) ? required : []) {
    if (typeof key !== 'string' || !/^[\w.-]+$/.test(key)) return null;
    const type = fieldOf(fieldOf(fieldOf(schema, 'properties'), key), 'type');
    if (type === 'string') sample[key] = 'hello';
    else if (type === 'number' || type === 'integer') sample[key] = 3;
    else if (type === 'boolean') sample[key] = true;
    else return null;
  }
  return JSON.stringify(sample);
}
