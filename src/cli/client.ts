// A connection to a running gateway, over the official SDK client, and its failures in plain words.
// Called by list and call. Promises: speaks whichever era the gateway answers; the connection is closed whatever happens.
import type { Client } from '@modelcontextprotocol/client';
import { EXIT, type World } from './world.ts';

/** Longest wait for one answer; tools may work for minutes. */
const ANSWER_TIMEOUT_MS = 600_000;

/** Options that every request is sent with. */
export const REQUEST = Object.freeze({ timeout: ANSWER_TIMEOUT_MS });

/** URL of the endpoint: `--url` names the gateway, with or without /mcp; a server adds its name. Null when it is no URL. */
export function endpointUrl(url: string, server: string | undefined): URL | null {
  const parsed = URL.parse(url.includes('://') ? url : `http://${url}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return null;
  const base = parsed.pathname.replace(/\/+$/, '');
  const root = /\/mcp(?:\/[^/]*)?$/.test(base) ? base : `${base}/mcp`;
  parsed.pathname = server === undefined ? root : `${root}/${encodeURIComponent(server)}`;
  return parsed;
}

/** Connects, lets `use` work, closes. Resolves to its exit code; a failure is printed and becomes exit code 1. */
export async function withGateway(
  world: World,
  target: { readonly url: string; readonly server: string | undefined },
  use: (client: Client) => Promise<number>,
): Promise<number> {
  const url = endpointUrl(target.url, target.server);
  if (url === null) {
    world.err(`sluice: cannot use --url: found '${target.url}'; allowed: an http:// or https:// URL\n`);
    return EXIT.usage;
  }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const client = new Client(
    { name: 'sluice', version: world.version },
    { versionNegotiation: { mode: 'auto' } },
  );
  try {
    await client.connect(new StreamableHTTPClientTransport(url), REQUEST);
    return await use(client);
  } catch (thrown) {
    world.err(`sluice: ${failureText(thrown, url, target.server)}\n`);
    return EXIT.failed;
  } finally {
    await client.close().catch(() => undefined);
  }
}

/** What went wrong, for people. */
export function failureText(thrown: unknown, url: URL, server: string | undefined): string {
  const code = causeCode(thrown);
  if (code === 'ECONNREFUSED' || code === 'ConnectionRefused') {
    return `cannot reach a gateway at ${url.origin}: nothing listens there
Start one: \`sluice serve\` (or \`npm start\` in a checkout, with two demo servers), or say where it is with --url`;
  }
  if (code === 'ENOTFOUND') return `cannot reach a gateway at ${url.origin}: the host name is not known`;
  const status = fieldOf(fieldOf(thrown, 'data'), 'status');
  if (status === 404 && server !== undefined) {
    return `cannot find a server named '${server}' at ${url.origin}; \`sluice list\` shows what there is`;
  }
  if (status !== undefined)
    return `cannot talk to ${url.href}: HTTP ${status} ${rpcMessage(thrown) ?? ''}`.trimEnd();
  return `the request failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}

/** The system's error code, however deep the SDK has wrapped it. */
function causeCode(thrown: unknown): unknown {
  let error = thrown;
  for (let depth = 0; depth < 5 && error !== undefined; depth++) {
    const inner = fieldOf(fieldOf(error, 'data'), 'cause') ?? fieldOf(error, 'cause');
    if (inner === undefined) return fieldOf(error, 'code');
    error = inner;
  }
  return undefined;
}

/** Message of the JSON-RPC error in an HTTP error's body, or null. */
function rpcMessage(thrown: unknown): string | null {
  const text = fieldOf(fieldOf(thrown, 'data'), 'text');
  if (typeof text !== 'string') return null;
  try {
    const message = fieldOf(fieldOf(JSON.parse(text), 'error'), 'message');
    return typeof message === 'string' ? message : null;
  } catch {
    return null;
  }
}

/** A field of whatever this is; undefined when it has none. */
export function fieldOf(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined;
}
