// `sluice bench URL`: a bounded load on one MCP endpoint, whoever serves it, and what it showed.
// Called by program.ts. Promises: bounded in time, count and connections; one call is made and judged before the load begins; Ctrl-C prints
// what there is; sessions that it opened are ended; exit code 1 when any call failed.
import { must } from '../base/assert.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Era } from '../upstream/upstream.ts';
import { Caller, type Route, requestOf } from './bench/caller.ts';
import {
  ask,
  dismiss,
  type Endpoint,
  findTool,
  firstFault,
  type Greeting,
  greet,
  Refusal,
} from './bench/handshake.ts';
import { Load, type Tally } from './bench/load.ts';
import {
  byteLength,
  deleteBytes,
  initializeParams,
  type Message,
  type Place,
  requestBytes,
  type Speech,
  withPayload,
} from './bench/message.ts';
import { closeSessions, openSessions } from './bench/sessions.ts';
import { type Run, summaryJson, summaryText } from './bench/summary.ts';
import { readArguments } from './call.ts';
import { failureText } from './client.ts';
import { EXIT, type World } from './world.ts';

/** Options as the command line gives them. */
export interface BenchOptions {
  readonly tool?: string;
  readonly args?: string;
  readonly era: Era | 'auto';
  readonly method: 'call' | 'list' | 'initialize';
  readonly connections: number;
  readonly duration: number;
  readonly count?: number;
  readonly rate?: number;
  readonly payload?: number;
  readonly warmUp: number;
  readonly timeout: number;
  readonly header: readonly string[];
  readonly progress?: boolean;
  readonly json?: boolean;
}

/** Runs the command; resolves to the exit code. */
export async function bench(world: World, target: string, options: BenchOptions): Promise<number> {
  const url = URL.parse(target.includes('://') ? target : `http://${target}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    world.err(
      `sluice: cannot use the URL: found '${target}'; allowed: an http:// or https:// URL of an MCP endpoint\n`,
    );
    return EXIT.usage;
  }
  const headers = options.header.map(splitHeader);
  const wrong = headers.indexOf(null);
  if (wrong >= 0) {
    world.err(`sluice: cannot use --header: found '${options.header[wrong]}'; allowed: 'Name: value'\n`);
    return EXIT.usage;
  }
  const args = options.args === undefined ? null : await readArguments(world, options.args);
  if (typeof args === 'string') {
    world.err(`sluice: cannot use --args: ${args}\n`);
    return EXIT.usage;
  }
  if (!isLoopback(url)) world.err('sluice: load only servers of your own, or with their owner’s leave\n');
  const endpoint: Endpoint = { url, timeoutMs: options.timeout * 1000 };
  const base = { client: world.version, headers: headers.filter((header) => header !== null) };
  try {
    const prepared = await prepare(endpoint, options, args, base);
    if (prepared instanceof Refusal) {
      world.err(`sluice: cannot load ${url.href}: ${prepared.why}\n`);
      return EXIT.failed;
    }
    return await load(world, endpoint, options, prepared);
  } catch (thrown) {
    world.err(`sluice: ${failureText(thrown, url, undefined)}\n`);
    return EXIT.failed;
  }
}

function splitHeader(line: string): readonly [string, string] | null {
  const found = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\x20-\x7e\t]*)$/.exec(line);
  return found === null ? null : [found[1] ?? '', found[2] ?? ''];
}

function isLoopback(url: URL): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
}

interface Prepared {
  readonly speech: Speech;
  readonly message: Message;
}

/** Finds era and message, and makes the call once. */
async function prepare(
  endpoint: Endpoint,
  options: BenchOptions,
  args: Record<string, unknown> | null,
  base: Omit<Speech, 'era' | 'version'>,
): Promise<Prepared | Refusal> {
  const greeting = await greet(endpoint, options.era, base);
  if (greeting instanceof Refusal) return greeting;
  try {
    const message = await chooseMessage(endpoint, options, args, greeting);
    if (message instanceof Refusal) return message;
    if (message.method === METHOD.initialize) return { speech: greeting.speech, message };
    const fault = firstFault(await ask(endpoint, greeting.speech, message, greeting.session));
    return fault === null ? { speech: greeting.speech, message } : new Refusal(fault);
  } finally {
    await dismiss(endpoint, greeting);
  }
}

async function chooseMessage(
  endpoint: Endpoint,
  options: BenchOptions,
  args: Record<string, unknown> | null,
  greeting: Greeting,
): Promise<Message | Refusal> {
  const { speech } = greeting;
  if (options.method === 'list') return { method: METHOD.toolsList, params: {} };
  if (options.method === 'initialize') {
    if (speech.era === 'modern') return { method: METHOD.discover, params: {} };
    return { method: METHOD.initialize, params: initializeParams(speech) };
  }
  const call = await findTool(endpoint, greeting, { tool: options.tool, args });
  if (call instanceof Refusal || options.payload === undefined) return call;
  const filled = withPayload({ ...Object(call.params.arguments) }, options.payload);
  return { ...call, params: { ...call.params, arguments: filled } };
}

async function load(
  world: World,
  endpoint: Endpoint,
  options: BenchOptions,
  { speech, message }: Prepared,
): Promise<number> {
  const { url } = endpoint;
  const place: Place = { host: url.host, path: `${url.pathname}${url.search}` };
  const now = (): number => performance.now();
  const route = routeTo(world, url);
  const callers = Array.from({ length: options.connections }, () => new Caller(route, now));
  const wantsSessions = speech.era === 'legacy' && message.method !== METHOD.initialize;
  if (wantsSessions) {
    const fault = await openSessions(callers, place, speech, endpoint.timeoutMs);
    if (fault !== null) {
      world.err(`sluice: cannot load ${url.href}: a session could not be opened: ${fault}\n`);
      return EXIT.failed;
    }
  }
  for (const caller of callers) caller.request = requestBytes(place, speech, message, caller.session);
  const afterEach = message.method === METHOD.initialize ? endSession(place, speech) : null;
  const running = new Load(
    {
      warmUpMs: options.warmUp * 1000,
      durationMs: options.duration * 1000,
      countMax: options.count ?? Number.POSITIVE_INFINITY,
      ratePerSecond: options.rate ?? null,
      timeoutMs: endpoint.timeoutMs,
      afterEach,
      onPhase: (phase) => {
        if (options.progress === true) world.err(`${phase}\n`);
      },
    },
    callers,
    now,
  );
  let interrupted = false;
  world.onStopSignal(() => {
    interrupted = true;
    running.stop();
  });
  const tally = await running.run();
  for (const caller of callers) if (caller.busy) caller.abort('the load is over');
  await closeSessions(callers, place, speech);
  return report(world, options, tally, {
    url: url.href,
    what: message.name === undefined ? message.method : `${message.method} ${message.name}`,
    era: speech.era,
    version: speech.version,
    connections: options.connections,
    ratePerSecond: options.rate ?? null,
    warmUpSeconds: options.warmUp,
    requestBytes: byteLength(requestOf(must(callers[0], 'a client'))),
    interrupted,
  });
}

function report(world: World, options: BenchOptions, tally: Tally, run: Run): number {
  world.out(
    options.json === true ? `${JSON.stringify(summaryJson(run, tally), null, 2)}\n` : summaryText(run, tally),
  );
  return tally.errors.size > 0 || tally.latency.count === 0 ? EXIT.failed : EXIT.ok;
}

function routeTo(world: World, url: URL): Route {
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const tls = secure ? { serverName: host, ca: null, cert: null, key: null, verify: true } : null;
  return {
    runtime: world.runtime,
    address: { host, port: Number(url.port) || (secure ? 443 : 80) },
    tls,
  };
}

/** After an initialize the session that it opened is ended, so that a load leaves none behind. */
function endSession(place: Place, speech: Speech) {
  return (caller: Caller, next: (caller: Caller) => void): void => {
    const { session } = caller.reader;
    if (session === null) next(caller);
    else caller.send(deleteBytes(place, speech, session), 0, performance.now(), next);
  };
}
