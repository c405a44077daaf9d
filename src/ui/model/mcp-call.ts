// One tool call in the words of MCP 2026-07-28: the request, the rounds in which a server asks back, and what its reply says.
// Called by views/try-it.tsx. Promises: plain data in and out; a round repeats the call with a fresh id, the answers and the state that the server gave.
import type { Json } from '../api/types.ts';
import { isObject, type JsonObject } from './schema-fields.ts';

/** The revision this page speaks. */
export const MODERN = '2026-07-28';
const META = 'io.modelcontextprotocol/';

/** A tool and what it is to be called with. */
export interface ToolCall {
  readonly name: string;
  readonly inputSchema: Json;
  readonly args: JsonObject;
}

/** What goes into a repetition: answers to what the server asked, and the state it gave with its questions. */
export interface Round {
  readonly inputResponses: JsonObject;
  readonly requestState: string | null;
}

/** A request as it is sent. */
export interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A header's value as the protocol wants it: plain ASCII as it is, everything else in base64 between marks. */
export function headerValue(text: string): string {
  const isPlain = /^[\x20-\x7e]+$/.test(text) && text.trim() === text && !/^=\?base64\?.*\?=$/.test(text);
  if (isPlain) return text;
  const bytes = new TextEncoder().encode(text);
  return `=?base64?${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}?=`;
}

/** Headers of a modern request. */
export function requestHeaders(method: string, name: string): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': MODERN,
    'Mcp-Method': method,
  };
  if (name !== '') headers['Mcp-Name'] = headerValue(name);
  return headers;
}

/** Arguments that the schema wants repeated in headers (`x-mcp-header`). */
function mirrored(schema: Json, args: Json, into: Record<string, string>): void {
  if (!isObject(schema) || !isObject(schema.properties) || !isObject(args)) return;
  for (const [key, property] of Object.entries(schema.properties)) {
    const value = Object.hasOwn(args, key) ? args[key] : undefined;
    if (!isObject(property) || value === undefined || value === null) continue;
    const header = property['x-mcp-header'];
    if (typeof header === 'string' && typeof value !== 'object')
      into[`Mcp-Param-${header}`] = headerValue(String(value));
    mirrored(property, value, into);
  }
}

/** The request for a call, or for one more round of it. */
export function callMessage(call: ToolCall, id: string, round: Round | null): Message {
  const headers = requestHeaders('tools/call', call.name);
  mirrored(call.inputSchema, call.args, headers);
  const params: Record<string, Json> = { name: call.name, arguments: call.args };
  if (round !== null) {
    params.inputResponses = round.inputResponses;
    if (round.requestState !== null) params.requestState = round.requestState;
  }
  params._meta = {
    [`${META}protocolVersion`]: MODERN,
    [`${META}clientInfo`]: { name: 'sluice-dashboard', version: '1' },
    [`${META}clientCapabilities`]: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
    [`${META}logLevel`]: 'info',
    progressToken: id,
  };
  return { headers, body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params }) };
}

/** Something that the server wants to know before it goes on. */
export interface Question {
  readonly key: string;
  readonly method: string;
  readonly params: JsonObject;
}

/** What a reply says. */
export type Reply =
  | { readonly kind: 'done'; readonly result: JsonObject }
  | { readonly kind: 'asks'; readonly questions: readonly Question[]; readonly requestState: string | null }
  | { readonly kind: 'error'; readonly code: number; readonly words: string; readonly data: Json | null }
  | { readonly kind: 'note'; readonly method: string; readonly params: JsonObject };

/** What one message of the stream says; null for what is none of ours. */
export function readReply(message: Json): Reply | null {
  if (!isObject(message)) return null;
  if (typeof message.method === 'string')
    return { kind: 'note', method: message.method, params: isObject(message.params) ? message.params : {} };
  if (isObject(message.error)) {
    const { code, message: words, data } = message.error;
    return {
      kind: 'error',
      code: typeof code === 'number' ? code : 0,
      words: typeof words === 'string' ? words : 'The call failed',
      data: data ?? null,
    };
  }
  if (!isObject(message.result)) return null;
  const { result } = message;
  if (result.resultType !== 'input_required') return { kind: 'done', result };
  const requests = isObject(result.inputRequests) ? result.inputRequests : {};
  const questions = Object.entries(requests).flatMap(([key, request]): Question[] => {
    if (!isObject(request) || typeof request.method !== 'string') return [];
    return [{ key, method: request.method, params: isObject(request.params) ? request.params : {} }];
  });
  return {
    kind: 'asks',
    questions,
    requestState: typeof result.requestState === 'string' ? result.requestState : null,
  };
}

/** Reads a body of one JSON message, or a stream of events with one message each, and hands each message on. */
export async function readMessages(response: Response, visit: (message: Json) => void): Promise<void> {
  const isStream = (response.headers.get('content-type') ?? '').includes('text/event-stream');
  if (!isStream || response.body === null) {
    const text = await response.text();
    if (text !== '') visit(parse(text));
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (rest + part.value).split(/\r?\n\r?\n/);
    rest = events.pop() ?? '';
    for (const event of events) visitEvent(event, visit);
  }
}

function visitEvent(event: string, visit: (message: Json) => void): void {
  const data = event
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).replace(/^ /, ''))
    .join('\n');
  if (data !== '') visit(parse(data));
}

function parse(text: string): Json {
  try {
    // whatever JSON.parse gives is JSON
    return JSON.parse(text) as Json;
  } catch {
    return { error: { code: -32700, message: 'The reply is no JSON', data: text.slice(0, 2000) } };
  }
}
