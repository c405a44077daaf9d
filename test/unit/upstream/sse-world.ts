// A scripted HTTP+SSE server and an upstream that reaches it, for the tests of src/upstream/sse*.ts.
// Promises: real sockets on 127.0.0.1; stopAll() closes what a test made, the upstream first.
import { expect } from 'bun:test';
import { soloCell } from '../../../src/memory/cells.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import type { Clock } from '../../../src/runtime/runtime.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createFetchUpstream } from '../../../src/upstream/fetch.ts';
import { createHttpUpstream } from '../../../src/upstream/http.ts';
import type { HttpTarget, ServerSpec } from '../../../src/upstream/spec.ts';
import { createSseUpstream, type SseUpstream } from '../../../src/upstream/sse.ts';
import { createDetecting } from '../../../src/upstream/sse-detect.ts';
import type { ReplyHead, Upstream, UpstreamCall, UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { messageOf, Witness } from '../../contract/upstream.ts';
import { SseServer } from '../../fixtures/sse-server.ts';

const runtime = createBunRuntime();
const { scanner } = chooseScanner('auto');
const stops: (() => Promise<void>)[] = [];

/** Closes what the test made. */
export async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

/** Resolves when the condition holds; fails after four seconds, before the test itself runs out of time. */
export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 4_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('it did not happen within four seconds');
    await Bun.sleep(1);
  }
}

/** A server that echoes: the result of a call is `{"said": <name of the tool>}`. */
export async function serve(): Promise<SseServer> {
  const server = await new SseServer().start();
  server.onMessage = (session, { message }) => {
    if (message.id === undefined || message.method === undefined) return;
    session.say({ jsonrpc: '2.0', id: message.id, result: { said: message.params?.name ?? null } });
  };
  stops.push(() => server.stop());
  return server;
}

/** What a test may set of the upstream. */
export interface Settings {
  readonly target?: Partial<HttpTarget>;
  readonly spec?: Partial<ServerSpec>;
  readonly sessionIdleMs?: number;
  readonly sessionsMax?: number;
  readonly clock?: Clock;
  /** The sessions' clock goes faster by this factor. */
  readonly speed?: number;
}

function specOf(port: number, transport: 'sse' | 'auto', { target, spec }: Settings): ServerSpec {
  return {
    name: 'old',
    target: {
      kind: 'http',
      client: 'http1',
      transport,
      secure: false,
      host: '127.0.0.1',
      port,
      unixPath: null,
      path: '/sse',
      url: `http://127.0.0.1:${port}/sse`,
      headers: [],
      tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
      connectionsMax: 8,
      ...target,
    },
    forwardHeaders: [],
    connectTimeoutMs: 1_000,
    firstByteTimeoutMs: 3_000,
    replyIdleTimeoutMs: 3_000,
    totalTimeoutMs: 5_000,
    queueDepthMax: 100,
    breaker: null,
    era: 'auto',
    ...spec,
  };
}

function clockOf(speed: number): Clock {
  const { clock } = runtime;
  return Object.assign(Object.create(clock) as Clock, {
    now: () => clock.now() * speed,
    after: (ms: number, callback: () => void) => clock.after(ms / speed, callback),
  });
}

function toolsOf(spec: ServerSpec, { sessionIdleMs = 60_000, sessionsMax = 10 }: Settings) {
  const tools = { runtime, scanner, spec, log: SILENT, cell: soloCell() };
  const isFetch = spec.target.kind === 'http' && spec.target.client === 'fetch';
  const http = isFetch ? createFetchUpstream(tools) : createHttpUpstream(tools);
  return { ...tools, http, sessionIdleMs, sessionsMax };
}

/** An upstream of `transport: sse`. */
export function overSse(server: SseServer, settings: Settings = {}): SseUpstream {
  const tools = toolsOf(specOf(server.port, 'sse', settings), settings);
  const hasty = Object.assign(Object.create(runtime) as typeof runtime, {
    clock: clockOf(settings.speed ?? 1),
  });
  const upstream = createSseUpstream({ ...tools, runtime: hasty });
  stops.push(() => upstream.close(0));
  return upstream;
}

/** An upstream of `transport: auto`. */
export function detecting(port: number, settings: Settings = {}): Upstream {
  const spec = specOf(port, 'auto', settings);
  const tools = toolsOf(spec, settings);
  const { clock = runtime.clock } = settings;
  const upstream = createDetecting({
    ...{ spec, scanner, clock, log: SILENT, http: tools.http },
    makeSse: () => createSseUpstream(tools),
  });
  stops.push(() => upstream.close(0));
  return upstream;
}

/** A witness that remembers headers as well. */
export class Listener extends Witness {
  session: string | null = null;
  homed: boolean | undefined;
  authenticate: string | null = null;

  override onHead(head: ReplyHead): void {
    super.onHead(head);
    this.session = head.sessionId;
    this.homed = head.homed;
    this.authenticate = head.header('www-authenticate');
  }

  /** The result of the answer. */
  get result(): unknown {
    return JSON.parse(this.body.includes('data: ') ? (this.body.split('data: ').at(-1) ?? '') : this.body)
      .result;
  }
}

/** An exchange under way. */
export interface Started {
  readonly witness: Listener;
  readonly call: UpstreamCall;
}

/** Starts an exchange with a message. */
export function start(upstream: Upstream, message: object, parts: Partial<UpstreamRequest> = {}): Started {
  const witness = new Listener();
  return { witness, call: upstream.send(messageOf('legacy', message, parts), witness) };
}

let nextId = 1;

/** Starts a call of a tool. */
export function call(
  upstream: Upstream,
  session: string,
  name: string,
  parts: Partial<UpstreamRequest> = {},
): Started {
  const message = { jsonrpc: '2.0', id: nextId++, method: 'tools/call', params: { name } };
  return start(upstream, message, { session, ...parts });
}

/** An initialize. */
export const INITIALIZE = {
  jsonrpc: '2.0',
  id: 'i',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
};

/** Sends an initialize and waits for what comes of it. */
export async function initialize(
  upstream: Upstream,
  parts: Partial<UpstreamRequest> = {},
): Promise<Listener> {
  const { witness } = start(upstream, INITIALIZE, parts);
  await until(() => witness.over);
  expect(witness.complaints).toEqual([]);
  return witness;
}

/** Opens a session; its id. */
export async function open(upstream: Upstream, parts: Partial<UpstreamRequest> = {}): Promise<string> {
  const { session, error } = await initialize(upstream, parts);
  expect(error).toBeNull();
  const note = start(
    upstream,
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { ...parts, session },
  );
  await until(() => note.witness.over);
  expect(note.witness.head?.status).toBe(202);
  return session ?? '';
}

/** Opens the session's event stream. */
export function listen(upstream: Upstream, session: string): Started {
  const witness = new Listener();
  const request = {
    ...messageOf('legacy', INITIALIZE),
    verb: 'GET',
    body: new Uint8Array(0),
    envelope: null,
    session,
  } as const;
  return { witness, call: upstream.send(request, witness) };
}

/** It is over, and was answered by that tool. */
export async function expectSaid({ witness }: Started, name: string): Promise<void> {
  await until(() => witness.over);
  expect(witness.error).toBeNull();
  expect(witness.result).toEqual({ said: name });
  expect(witness.complaints).toEqual([]);
}
