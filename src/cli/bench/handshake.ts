// What has to be known before a load: the era that the endpoint speaks, the tool to call and arguments that it takes.
// Called by bench.ts. Promises: a few plain requests, each bounded in time; never picks a tool that was not named but `echo`; outcomes that
// end the command are values with words for people.
import { LEGACY_VERSIONS, METHOD, MODERN_VERSIONS } from '../../mcp/protocol.ts';
import type { Era } from '../../upstream/upstream.ts';
import { fieldOf } from '../client.ts';
import { FIRST_ID, headersFor, initializeParams, type Message, messageText, type Speech } from './message.ts';

/** The endpoint, and how long to wait for each answer. */
export interface Endpoint {
  readonly url: URL;
  readonly timeoutMs: number;
}

/** An answer: HTTP status, the JSON-RPC response if there was one, and the session that was opened. */
export interface Answer {
  readonly status: number;
  readonly message: unknown;
  readonly session: string | null;
}

/** The probe's speech became this one; `session` is one to use for further questions (and to end). */
export interface Greeting {
  readonly speech: Speech;
  readonly session: string | null;
}

/** Why the load cannot begin, in words. */
export class Refusal {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

const METHOD_NOT_FOUND = -32_601;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Asks one question with fetch(). Throws what fetch() throws. */
export async function ask(
  endpoint: Endpoint,
  speech: Speech,
  message: Message,
  session: string | null,
): Promise<Answer> {
  const reply = await fetch(endpoint.url, {
    method: 'POST',
    headers: headersFor(speech, message, session).map(([name, value]): [string, string] => [name, value]),
    body: messageText(speech, message, message.method.startsWith('notifications/') ? null : FIRST_ID),
    redirect: 'manual',
    signal: AbortSignal.timeout(endpoint.timeoutMs),
  });
  const text = await readAnswer(reply);
  return { status: reply.status, message: parsed(text), session: reply.headers.get('mcp-session-id') };
}

/** The body, or of an event stream the first event that holds a response. */
async function readAnswer(reply: Response): Promise<string> {
  const isStream = reply.headers.get('content-type')?.startsWith('text/event-stream') === true;
  if (!isStream || reply.body === null) return reply.text();
  let text = '';
  const decoder = new TextDecoder();
  for await (const bytes of reply.body) {
    text += decoder.decode(bytes, { stream: true }).replaceAll('\r', '');
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const data = event.replace(/^(?!data:).*\n?/gm, '').replace(/^data: ?/gm, '');
      if (fieldOf(parsed(data), 'id') === FIRST_ID) return data;
    }
    if (text.length > BODY_BYTES_MAX) break;
  }
  return '';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Finds the era: the one asked for, unless the server does not speak it; or modern where `server/discover` is answered and legacy elsewhere. */
export async function greet(
  endpoint: Endpoint,
  era: Era | 'auto',
  base: Omit<Speech, 'era' | 'version'>,
): Promise<Greeting | Refusal> {
  const modern: Speech = { ...base, era: 'modern', version: MODERN_VERSIONS[0] ?? '' };
  if (era !== 'legacy') {
    const answer = await ask(endpoint, modern, { method: METHOD.discover, params: {} }, null);
    const offered = fieldOf(fieldOf(answer.message, 'result'), 'supportedVersions');
    if (Array.isArray(offered) && offered.includes(modern.version)) return { speech: modern, session: null };
    // The era was named, and the server knows all but this one method: there are gateways that do. The first call is judged anyway.
    const lacksDiscover = fieldOf(fieldOf(answer.message, 'error'), 'code') === METHOD_NOT_FOUND;
    if (era === 'modern' && lacksDiscover) return { speech: modern, session: null };
    if (era === 'modern') return new Refusal(`it does not answer server/discover: ${describe(answer)}`);
  }
  const legacy: Speech = { ...base, era: 'legacy', version: LEGACY_VERSIONS[0] ?? '' };
  const answer = await ask(
    endpoint,
    legacy,
    { method: METHOD.initialize, params: initializeParams(legacy) },
    null,
  );
  const version = fieldOf(fieldOf(answer.message, 'result'), 'protocolVersion');
  if (answer.status !== 200 || typeof version !== 'string')
    return new Refusal(`it does not answer initialize: ${describe(answer)}`);
  const speech = { ...legacy, version };
  const { session } = answer;
  await ask(endpoint, speech, { method: METHOD.initialized, params: {} }, session);
  return { speech, session };
}

/** Ends a session, whatever the server says to it. */
export async function dismiss(endpoint: Endpoint, { speech, session }: Greeting): Promise<void> {
  if (session === null) return;
  const headers: [string, string][] = [
    ['mcp-session-id', session],
    ['mcp-protocol-version', speech.version],
    ...speech.headers.map(([name, value]): [string, string] => [name, value]),
  ];
  await fetch(endpoint.url, {
    method: 'DELETE',
    headers,
    signal: AbortSignal.timeout(endpoint.timeoutMs),
  }).catch(() => undefined);
}

/** The tool to call: the one named, or `echo` where there is one; with arguments that its schema asks for. */
export async function findTool(
  endpoint: Endpoint,
  greeting: Greeting,
  wanted: { readonly tool: string | undefined; readonly args: Readonly<Record<string, unknown>> | null },
): Promise<Message | Refusal> {
  const name = wanted.tool ?? 'echo';
  if (wanted.args !== null) return callOf(name, wanted.args);
  const answer = await ask(
    endpoint,
    greeting.speech,
    { method: METHOD.toolsList, params: {} },
    greeting.session,
  );
  const tools = fieldOf(fieldOf(answer.message, 'result'), 'tools');
  if (!Array.isArray(tools)) return new Refusal(`it does not list its tools: ${describe(answer)}`);
  const tool: unknown = tools.find((one) => fieldOf(one, 'name') === name);
  // A tool that was named may stand on a later page of the list.
  if (tool === undefined && wanted.tool !== undefined) return callOf(name, { text: SAMPLE });
  if (tool === undefined) {
    const names = tools.slice(0, 10).map((one) => String(fieldOf(one, 'name')));
    return new Refusal(
      `it has no tool named echo, and no other is called unless you name it: --tool ${names.join(' | ') || 'NAME'}`,
    );
  }
  const args = sampleArguments(fieldOf(tool, 'inputSchema'));
  if (args instanceof Refusal) return args;
  return callOf(name, args);
}

const SAMPLE = 'The quick brown fox jumps over the lazy dog';

/** Arguments for a schema whose required properties are strings. */
export function sampleArguments(schema: unknown): Record<string, unknown> | Refusal {
  const required = fieldOf(schema, 'required');
  const names = Array.isArray(required) ? required.map(String) : [];
  const properties = fieldOf(schema, 'properties');
  const args: Record<string, unknown> = {};
  for (const name of names) {
    const type = fieldOf(fieldOf(properties, name), 'type');
    if (type !== 'string')
      return new Refusal(`the tool asks for '${name}' (${String(type)}): give its arguments with --args`);
    args[name] = SAMPLE;
  }
  return args;
}

function callOf(name: string, args: Readonly<Record<string, unknown>>): Message {
  return { method: METHOD.toolsCall, params: { name, arguments: args }, name };
}

/** What an answer was, for people. */
function describe(answer: Answer): string {
  const error = fieldOf(answer.message, 'error');
  const said = fieldOf(error, 'message');
  const where = answer.status >= 300 && answer.status < 400 ? ' (redirects are not followed)' : '';
  return `HTTP ${answer.status}${where}${typeof said === 'string' ? `, ${said.slice(0, 200)}` : ''}`;
}

/** What is wrong with the first answer to the call that is to be repeated, or null. */
export function firstFault(answer: Answer): string | null {
  const result = fieldOf(answer.message, 'result');
  if (answer.status !== 200 || result === undefined) return describe(answer);
  if (fieldOf(result, 'resultType') === 'input_required')
    return 'the tool asks for input, which a load cannot give';
  if (fieldOf(result, 'isError') !== true) return null;
  return `the tool answers with an error: ${JSON.stringify(fieldOf(result, 'content')).slice(0, 300)}`;
}
