// A request as a command line for curl, to be pasted into a shell.
// Called by views/try-it.tsx and views/exchange.tsx. Promises: whatever stands in the body or in a header reaches the shell as one word; a request that was cut says so.
import type { Exchange } from '../api/types.ts';
import { MODERN, requestHeaders } from './mcp-call.ts';
import { isObject } from './schema-fields.ts';

/** A request over HTTP. */
export interface Request {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A text as one word of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command, one header a line. */
export function curlOf(request: Request): string {
  const lines = [`curl -sN ${quoted(request.url)}`];
  for (const [name, value] of Object.entries(request.headers))
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  lines.push(`--data-binary ${quoted(request.body)}`);
  return lines.join(' \\\n  ');
}

/** The command for an exchange that the journal kept the beginning of. `base` is the address of the data listener. */
export function curlOfExchange(exchange: Exchange, base: string): string {
  const url = `${base.replace(/\/$/, '')}${exchange.endpoint}`;
  const isCut = new TextEncoder().encode(exchange.request).length < exchange.requestBytes;
  const command = curlOf({ url, headers: headersFor(exchange), body: exchange.request });
  return isCut ? `# The journal kept only the beginning of this request.\n${command}` : command;
}

function headersFor(exchange: Exchange): Record<string, string> {
  if (exchange.request.includes(`"${MODERN}"`)) return requestHeaders(exchange.method, exchange.name);
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  };
  try {
    const message: unknown = JSON.parse(exchange.request);
    const isFirst = isObject(message) && message.method === 'initialize';
    if (!isFirst) headers['Mcp-Session-Id'] = 'SESSION';
  } catch {
    headers['Mcp-Session-Id'] = 'SESSION';
  }
  return headers;
}
