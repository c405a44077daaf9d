// The soak's own clients, over fetch: one message out, what belongs to it back, in either era.
// Called by scenes.ts and faults.ts. Promises: every exchange ends within its time; what went wrong is a Trouble whose text has no ids in it, so
// that like goes with like; a legacy client answers the questions that it is asked in the middle of a call.
import type { Rpc } from '../../test/fixtures/legacy-server.ts';
import { modernHeaders } from '../../test/fixtures/messages.ts';
import { readEvents } from '../../test/fixtures/rpc-client.ts';

/** An exchange that did not come to a result; the message is its kind. */
export class Trouble extends Error {}

/** A message of any kind, as far as the soak looks. */
export type Reply = Rpc & { readonly error?: { readonly code: number; readonly message: string } };

/** How one exchange goes. */
export interface ExchangeOptions {
  /** Longest time from the request to the last byte. */
  readonly ms: number;
  /** Hears every message of the reply's stream that is not the response; true ends the exchange, whatever is still to come. */
  visit?(message: Reply): boolean | undefined;
  /** Aborts the exchange. */
  readonly abort?: AbortController;
}

/** What came back. */
interface Exchanged {
  readonly reply: Reply | null;
  readonly session: string | null;
}

/** Longest wait for what should come at once: the machine may be busy with other things. */
export const CALL_MS_MAX = 30_000;

/** Text of an error that is the same whenever the same goes wrong. */
function kindOf(error: unknown): string {
  if (error instanceof Trouble) return error.message;
  // Whatever was thrown: both are looked at before they are used.
  const { code, message } = error as { code?: unknown; message?: unknown };
  return `broken: ${typeof code === 'string' ? code : String(message)}`.slice(0, 100);
}

async function readReply(response: Response, id: unknown, options: ExchangeOptions): Promise<Reply | null> {
  if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) {
    const text = await response.text();
    if (text === '') {
      if (response.ok) return null;
      throw new Trouble(`HTTP ${response.status} without a body`);
    }
    try {
      // Whether it is the reply is seen by its id.
      return JSON.parse(text) as Reply;
    } catch {
      throw new Trouble(`HTTP ${response.status} with no JSON`);
    }
  }
  let last: Reply | null = null;
  let isEnough = false;
  await readEvents(response, (message) => {
    if (message.id === id && message.method === undefined) last = message;
    else if (options.visit?.(message) === true) {
      isEnough = true;
      options.abort?.abort();
    }
  }).catch((error: unknown) => {
    if (!isEnough) throw error;
  });
  if (last === null && !isEnough) throw new Trouble('the stream ended without a response');
  return last;
}

/** Sends one message and reads all that comes of it. Throws a Trouble. */
async function exchange(
  url: string,
  headers: Readonly<Record<string, string>>,
  message: { readonly id?: unknown },
  options: ExchangeOptions,
): Promise<Exchanged> {
  const abort = options.abort ?? new AbortController();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    abort.abort();
  }, options.ms);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(message),
      signal: abort.signal,
    });
    const reply = await readReply(response, message.id, { ...options, abort });
    if (reply !== null && reply.error !== undefined)
      throw new Trouble(`HTTP ${response.status}, error ${reply.error.code}: ${plain(reply.error.message)}`);
    if (!response.ok) throw new Trouble(`HTTP ${response.status}`);
    if (reply !== null && message.id !== undefined && reply.id !== message.id)
      throw new Trouble('CROSSED: a response with another id');
    return { reply, session: response.headers.get('mcp-session-id') };
  } catch (error) {
    throw new Trouble(isLate ? `nothing within ${options.ms} ms` : kindOf(error));
  } finally {
    clearTimeout(timer);
  }
}

/** A message without its figures and ids. */
function plain(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{20,}|\d+/gi, '#').slice(0, 120);
}

let lastId = 0;

/** Capabilities of a client that can be asked. */
const ASKED = { elicitation: { form: {} } };

/** One request of a modern client. `params` as they are; `asked`: it has a user. */
export async function modern(
  url: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
  options: Partial<ExchangeOptions> & { readonly asked?: boolean; readonly progress?: boolean } = {},
): Promise<Record<string, unknown>> {
  const id = `m${++lastId}`;
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'soak', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': options.asked === true ? ASKED : {},
    ...(options.progress === true && { progressToken: id }),
  };
  const name = params.name ?? params.uri;
  const headers = modernHeaders(method, typeof name === 'string' ? name : undefined);
  const message = { jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } };
  const { reply } = await exchange(url, headers, message, { ms: CALL_MS_MAX, ...options });
  return resultOf(reply);
}

function resultOf(reply: Reply | null): Record<string, unknown> {
  // A response that is no error has a result, which is an object.
  return (reply?.result ?? {}) as Record<string, unknown>;
}

const VERSION = '2025-11-25';
const PLAIN = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** What the user of a legacy client says, whatever the question. */
export const ANSWER = { action: 'accept', content: { username: 'ada', email: 'ada@example.org' } };

/** A legacy client with its session. */
export class LegacyClient {
  readonly #url: string;
  #session: string | null = null;
  #stream: AbortController | null = null;
  /** Why a question of the call under way got no answer; empty when it got one, or was none. */
  #unanswered = '';

  constructor(url: string) {
    this.#url = url;
  }

  async begin(): Promise<void> {
    const clientInfo = { name: 'soak', version: '1' };
    const params = { protocolVersion: VERSION, capabilities: { elicitation: {} }, clientInfo };
    await this.request('initialize', params);
    await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' }, { ms: CALL_MS_MAX });
  }

  async request(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    options: Partial<ExchangeOptions> & { readonly progress?: boolean } = {},
  ): Promise<Record<string, unknown>> {
    const id = ++lastId;
    const meta = options.progress === true ? { _meta: { progressToken: id } } : {};
    const message = { jsonrpc: '2.0', id, method, params: { ...params, ...meta } };
    this.#unanswered = '';
    const { reply, session } = await this.#post(message, {
      ms: CALL_MS_MAX,
      ...options,
      visit: (other) => {
        this.#answer(other);
        return options.visit?.(other);
      },
    }).catch((error: unknown) => {
      throw new Trouble(kindOf(error) + this.#unanswered);
    });
    this.#session ??= session;
    return resultOf(reply);
  }

  /** Opens the session's own stream, and hands on what comes there. Resolves when it is open; throws a Trouble when it cannot be. */
  async listen(visit: (message: Reply) => void): Promise<void> {
    this.#stream = new AbortController();
    const headers = { ...this.#headers(), accept: 'text/event-stream' };
    const response = await fetch(this.#url, { headers, signal: this.#stream.signal }).catch(
      (error: unknown) => {
        throw new Trouble(kindOf(error));
      },
    );
    if (!response.ok) throw new Trouble(`HTTP ${response.status} for the event stream`);
    // It ends with the session, or when we abort it.
    void readEvents(response, visit).catch(() => undefined);
  }

  /** Closes the event stream, if there is one; the session stays. */
  hush(): void {
    this.#stream?.abort();
    this.#stream = null;
  }

  /** Ends the session; `abandon`: says nothing to anyone. */
  async end(abandon: boolean): Promise<void> {
    this.hush();
    if (abandon || this.#session === null) return;
    const signal = AbortSignal.timeout(CALL_MS_MAX);
    const response = await fetch(this.#url, { method: 'DELETE', headers: this.#headers(), signal }).catch(
      (error: unknown) => {
        throw new Trouble(kindOf(error));
      },
    );
    await response.text().catch(() => undefined);
    // A server may let its clients not end sessions.
    if (!response.ok && response.status !== 405) throw new Trouble(`HTTP ${response.status} for the end`);
  }

  #answer(question: Reply): void {
    if (question.method !== 'elicitation/create') return;
    this.#post({ jsonrpc: '2.0', id: question.id, result: ANSWER }, { ms: CALL_MS_MAX }).catch(
      // The call that asks fails as well, and says so.
      (error: unknown) => {
        this.#unanswered = `, and its question was not answered: ${kindOf(error)}`;
      },
    );
  }

  #headers(): Record<string, string> {
    if (this.#session === null) return PLAIN;
    return { ...PLAIN, 'mcp-session-id': this.#session, 'mcp-protocol-version': VERSION };
  }

  #post(message: object, options: ExchangeOptions): Promise<Exchanged> {
    return exchange(this.#url, this.#headers(), message, options);
  }
}
