// A laboratory for the face that legacy clients see of a modern server: a scripted server, a simulated clock, clients that record.
// Called by the tests beside it. Promises: nothing happens but when the test lets time pass; every reply is recorded.
import { concat, decode, EMPTY, encode } from '../../../../src/base/bytes.ts';
import type { GatewayError } from '../../../../src/base/errors.ts';
import type { Face, FaceBounds } from '../../../../src/bridge/face.ts';
import { createLegacyFace } from '../../../../src/bridge/legacy-to-modern/face.ts';
import { SILENT } from '../../../../src/observe/log.ts';
import { createSimRuntime, type SimRuntime } from '../../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../../src/scan/scan.ts';
import {
  createFakeUpstream,
  type FakeReply,
  type FakeSent,
  type FakeUpstream,
} from '../../../../src/upstream/fake.ts';
import type { ServerSpec } from '../../../../src/upstream/spec.ts';
import type {
  ReplyHead,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../../../../src/upstream/upstream.ts';
import { eventOf, eventStream, json } from '../../../fixtures/lab.ts';
import { envelopeOf } from '../../../fixtures/messages.ts';
import { snapshotOf } from '../../../fixtures/plane.ts';

/** A message, loosely. */
export interface Rpc {
  readonly jsonrpc?: string;
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** JSON of what a server was sent. */
export function rpcOf(sent: FakeSent | undefined): Rpc {
  return sent === undefined ? {} : (JSON.parse(decode(sent.body)) as Rpc);
}

/** `_meta` of a request that a server was sent. */
export function metaSent(sent: FakeSent | undefined): Record<string, unknown> {
  return { ...(rpcOf(sent).params?._meta as object) };
}

/** A header that a server was sent. */
export function headerSent(sent: FakeSent | undefined, name: string): string | undefined {
  const at = sent?.headers.findIndex((one, i) => i % 2 === 0 && one === name) ?? -1;
  return at < 0 ? undefined : sent?.headers[at + 1];
}

/** One event as a client read it. */
export interface ReadEvent {
  readonly id: string | null;
  readonly message: Rpc | null;
}

/** What a client saw of one request. */
export class Client implements UpstreamSink {
  heads = 0;
  status = 0;
  media: ReplyHead['media'] | null = null;
  sessionId: string | null = null;
  header: (name: string) => string | null = () => null;
  state: 'waiting' | 'open' | 'ended' | 'failed' = 'waiting';
  error: GatewayError | null = null;
  /** False plays a client that does not read. */
  reads = true;
  /** True once send() has returned. */
  isReturned = false;
  call: UpstreamCall = { resume: () => undefined, abort: () => undefined };
  readonly parts: Uint8Array[] = [];
  /** What should not have come when it did: whoever sent it may have caught what is thrown. */
  readonly faults: string[] = [];
  #isGone = false;

  get text(): string {
    return decode(concat([EMPTY, ...this.parts]));
  }

  get rpc(): Rpc {
    return JSON.parse(this.text) as Rpc;
  }

  get events(): readonly ReadEvent[] {
    return this.text
      .split('\n\n')
      .filter((one) => one !== '' && !one.startsWith(':'))
      .map((one) => {
        const line = (name: string): string | undefined =>
          one
            .split('\n')
            .find((field) => field.startsWith(`${name}: `))
            ?.slice(name.length + 2);
        const data = line('data') ?? '';
        return { id: line('id') ?? null, message: data === '' ? null : (JSON.parse(data) as Rpc) };
      });
  }

  get messages(): readonly Rpc[] {
    return this.events.flatMap(({ message }) => (message === null ? [] : [message]));
  }

  /** The response, however it came. */
  get answer(): Rpc {
    if (this.media === 'json') return this.rpc;
    return this.messages.find((one) => one.method === undefined) ?? {};
  }

  #check(isInTime: boolean, what: string): void {
    if (isInTime && !this.#isGone) return;
    this.faults.push(what);
    throw new Error(what);
  }

  onHead(head: ReplyHead): void {
    this.#check(this.isReturned && this.heads === 0, 'a head at the wrong time');
    this.heads++;
    this.status = head.status;
    this.media = head.media;
    this.sessionId = head.sessionId;
    this.header = head.header;
    this.state = 'open';
  }

  onData(bytes: Uint8Array): boolean {
    this.#check(this.state === 'open', 'data at the wrong time');
    this.parts.push(bytes.slice());
    return this.reads;
  }

  onEnd(): void {
    this.#check(this.state === 'open', 'an end at the wrong time');
    this.state = 'ended';
  }

  onFail(error: GatewayError): void {
    this.#check(this.isReturned && this.state !== 'ended' && this.state !== 'failed', 'a late failure');
    this.state = 'failed';
    this.error = error;
  }

  leave(): void {
    this.#isGone = true;
    this.call.abort();
  }
}

/** How a request differs from the plain one. */
export interface Way {
  readonly session?: string | null;
  readonly headers?: readonly string[];
  readonly principal?: string;
  readonly endpoint?: string;
  readonly edits?: UpstreamRequest['edits'];
}

const ACCEPT = ['accept', 'application/json, text/event-stream'];

/** What server/discover says unless a test has it otherwise. */
export const DISCOVERED = {
  resultType: 'complete',
  supportedVersions: ['2026-07-28'],
  capabilities: {
    tools: { listChanged: true },
    prompts: {},
    resources: { subscribe: true, listChanged: true },
    logging: {},
  },
  instructions: 'Be kind.',
  ttlMs: 0,
  cacheScope: 'private',
  _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'server', version: '3' } },
};

/** Capabilities of a client that can be asked anything. */
export const ABLE = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {} },
  roots: { listChanged: true },
};

/** What a server answers to one message. */
export type Answer = (message: Rpc, sent: FakeSent) => FakeReply | undefined;

/** A result under the request's id. */
export function result(
  message: Rpc,
  value: Record<string, unknown>,
  rest: Partial<FakeReply> = {},
): FakeReply {
  return json({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', ...value } }, rest);
}

/** An error under the request's id. */
export function failure(
  message: Rpc,
  code: number,
  rest: Record<string, unknown> = {},
  status = 400,
): FakeReply {
  const error = { code, message: `error ${code}`, ...rest };
  return json({ jsonrpc: '2.0', id: message.id, error }, { status });
}

/** An event stream: notifications, and then the result under the request's id. */
export function streamed(message: Rpc, before: readonly object[], value: Record<string, unknown>): FakeReply {
  const last = { jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', ...value } };
  return eventStream([...before, last].map((one) => eventOf(one)));
}

/** A face over a fake server. */
export class FaceLab {
  readonly sim: SimRuntime = createSimRuntime({ seed: 11 });
  readonly server: FakeUpstream;
  readonly face: Face;

  constructor(
    answer: Answer = () => undefined,
    bounds: Partial<FaceBounds> = {},
    spec: Partial<ServerSpec> = {},
  ) {
    this.server = createFakeUpstream({
      clock: this.sim.clock,
      script: (sent) => {
        const message = rpcOf(sent);
        const own = answer(message, sent);
        if (own !== undefined) return own;
        if (message.method === 'server/discover') return result(message, DISCOVERED);
        if (message.method === 'tools/list')
          return result(message, { tools: [{ name: 't', inputSchema: {} }] });
        return result(message, { content: [] });
      },
    });
    const [plain] = snapshotOf({ servers: { one: { url: 'http://127.0.0.1:1/mcp' } } }).servers;
    if (plain === undefined) throw new Error('no server');
    this.face = createLegacyFace({
      spec: { ...plain, ...spec },
      inner: this.server,
      scanner: chooseScanner('portable').scanner,
      clock: this.sim.clock,
      random: this.sim.random,
      log: SILENT,
      bounds: { sessionsMax: 10, sessionIdleMs: 60_000, ...bounds },
    });
  }

  /** Requests that the server got, by method. */
  asked(method: string): readonly FakeSent[] {
    return this.server.sent.filter((sent) => rpcOf(sent).method === method);
  }

  #send(verb: UpstreamRequest['verb'], body: Uint8Array, envelope: Int32Array | null, way: Way): Client {
    const client = new Client();
    const request: UpstreamRequest = {
      verb,
      era: 'legacy',
      body,
      envelope,
      edits: way.edits ?? [],
      headers: way.headers ?? ACCEPT,
      session: way.session ?? null,
      exchangeId: 'x',
      client: { principal: way.principal ?? 'p', endpoint: way.endpoint ?? '/mcp' },
      timeoutMs: 0,
    };
    client.call = this.face.send(request, client);
    client.isReturned = true;
    return client;
  }

  /** Posts a message; the client's own, unfinished. */
  begin(message: object | string, way: Way = {}): Client {
    const text = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
    const { bytes, envelope } = envelopeOf(text);
    return this.#send('POST', bytes, envelope, way);
  }

  batch(text: string, way: Way = {}): Client {
    return this.#send('POST', encode(text), null, way);
  }

  bare(verb: 'GET' | 'DELETE', way: Way = {}): Client {
    return this.#send(verb, EMPTY, null, way);
  }

  /** Posts a message and lets some time pass. */
  async post(message: object | string, way: Way = {}): Promise<Client> {
    const client = this.begin(message, way);
    await this.sim.advance(5);
    return client;
  }

  async get(session: string, headers: readonly string[] = []): Promise<Client> {
    const client = this.bare('GET', { session, headers: ['accept', 'text/event-stream', ...headers] });
    await this.sim.advance(5);
    return client;
  }

  /** Opens a session; its id. */
  async open(
    params: { readonly version?: string; readonly capabilities?: object } = {},
    way: Way = {},
  ): Promise<string> {
    const { version = '2025-06-18', capabilities = {} } = params;
    const client = await this.post(
      {
        id: 0,
        method: 'initialize',
        params: { protocolVersion: version, capabilities, clientInfo: { name: 'c', version: '1' } },
      },
      way,
    );
    if (client.sessionId === null) throw new Error(`no session: ${client.error?.message} ${client.text}`);
    return client.sessionId;
  }
}

/** Posts a call of the tool `t`. */
export function toolCall(id: unknown, args: object = {}, more: object = {}): object {
  return { id, method: 'tools/call', params: { name: 't', arguments: args, ...more } };
}

/** A result that asks. */
export function asks(
  message: Rpc,
  inputRequests: Record<string, object> | null,
  requestState: string | null = null,
): FakeReply {
  return result(message, {
    resultType: 'input_required',
    ...(inputRequests === null ? {} : { inputRequests }),
    ...(requestState === null ? {} : { requestState }),
  });
}

/** A question with a form. */
export const FORM = {
  method: 'elicitation/create',
  params: { mode: 'form', message: 'Who?', requestedSchema: { type: 'object', properties: {} } },
};
