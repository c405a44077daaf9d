// A validated configuration → the frozen Snapshot that the data path reads.
// Called by cli/ before the gateway starts and later by the reload. Promises: pure; asserts again what the data path rests
// on; every value in the result is plain data, so that it crosses threads as a message.
import { assert, must } from '../base/assert.ts';
import { encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { BreakerSettings } from '../memory/breaker-cell.ts';
import type { FrontSpec, ListenSpec, LogSpec, MetricsSpec, Snapshot } from '../snapshot.ts';
import type { HttpTarget, ServerSpec, StdioTarget } from '../upstream/spec.ts';
import { compileEndpoints } from './endpoints.ts';
import type { Environment } from './references.ts';
import type { Config } from './schema.ts';
import { cacheSettings } from './server-cache.ts';
import { compilePolicy } from './server-policies.ts';
import { compileReplication } from './server-replicas.ts';
import {
  type HttpServerConfig,
  OWN_HEADERS,
  SERVER_NAME,
  type ServerConfig,
  type StdioServerConfig,
} from './server-schema.ts';

/** What a configuration is compiled with. */
export interface CompileInput {
  readonly config: Config;
  /** PEM texts by absolute path. */
  readonly material: ReadonlyMap<string, string>;
  /** The gateway's environment: the base of every process's. */
  readonly env: Environment;
  /** Grows with each publication. */
  readonly epoch: number;
}

/** What one server is compiled with. */
type ServerInput = Pick<CompileInput, 'material' | 'env'>;

/** Builds the Snapshot. Disabled servers are not in it. */
export function compile(input: CompileInput): Snapshot {
  const { config } = input;
  const named = Object.entries(config.servers).filter(([, server]) => !server.disabled);
  const servers = named.map(([name, server]) => compileServer(name, server, input));
  assert(input.epoch > 0, 'epochs count from 1');
  return deepFreeze({
    epoch: input.epoch,
    listen: compileListen(config, input.material),
    front: compileFront(config),
    metrics: compileMetrics(config),
    log: compileLog(config),
    ...(config.tracing.url !== undefined && { tracing: { share: config.tracing.share } }),
    servers,
    endpoints: compileEndpoints(
      servers.map((server) => server.name),
      config,
    ),
  });
}

/** One server, as compile() has it. */
export function compileOne(name: string, server: ServerConfig, input: ServerInput): ServerSpec {
  return compileServer(name, server, input);
}

function compileListen(config: Config, material: ReadonlyMap<string, string>): ListenSpec {
  const { transport, host, port, idleTimeoutMs, tls, http2, http3 } = config.listen;
  assert(tls !== undefined || !(http2 || http3), 'HTTP/2 and HTTP/3 come with TLS');
  assert(transport === 'uwebsockets' || tls === undefined, 'our own transport speaks plain HTTP');
  assert(Number.isInteger(port) && port >= 0 && port <= 65_535, 'a port is a 16-bit number');
  return {
    transport,
    host: bareHost(host),
    port,
    idleTimeoutMs,
    tls:
      tls === undefined
        ? null
        : {
            cert: must(material.get(tls.cert), 'text of listen.tls.cert'),
            key: must(material.get(tls.key), 'text of listen.tls.key'),
            clientCa:
              tls.clientCa === undefined
                ? null
                : must(material.get(tls.clientCa), 'text of listen.tls.clientCa'),
          },
    http2,
    http3,
  };
}

function compileFront(config: Config): FrontSpec {
  const { limits, listen } = config;
  assert(limits.bodyBytesMax > 0 && limits.exchangesMax > 0, 'limits let something through');
  return {
    ...limits,
    memberTimeoutMs: Math.ceil(limits.memberTimeoutMs * LIMITS.memberShare),
    allowedHosts: allowedHosts(listen.host, listen.allowedHosts),
    allowedOrigins: listen.allowedOrigins.includes('*') ? null : unique(listen.allowedOrigins),
    corsHeaders: unique(listen.corsHeaders),
    serverTiming: listen.serverTiming,
  };
}

function compileMetrics({ metrics: { series, toolsMax } }: Config): MetricsSpec {
  const tools = toolsMax === 0 || !series ? 0 : 2 ** Math.ceil(Math.log2(toolsMax));
  return { series, tools };
}

function compileLog({ log }: Config): LogSpec {
  return { ...log, format: log.format === 'auto' ? 'json' : log.format };
}

const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Host names that are accepted, lower case, IPv6 in brackets; null = any. Without a list: the names of this machine's loopback, and the address
 * listened on (an unspecified address names no host, so it adds nothing).
 */
export function allowedHosts(
  listenHost: string,
  configured: readonly string[] | undefined,
): readonly string[] | null {
  if (configured?.includes('*') === true) return null;
  if (configured !== undefined) return unique(configured);
  const host = bareHost(listenHost).toLowerCase();
  if (host === '0.0.0.0' || host === '::') return LOOPBACK_HOSTS;
  return unique([...LOOPBACK_HOSTS, host.includes(':') ? `[${host}]` : host]);
}

/** An address without the brackets that IPv6 wears in URLs. */
function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

/** Specs of servers that were compiled before: of thousands, one differs. Those that name files are compiled anew, as the files may have changed. */
const compiled = new WeakMap<ServerConfig, { readonly spec: ServerSpec; readonly env: Environment }>();

function compileServer(name: string, server: ServerConfig, input: ServerInput): ServerSpec {
  const known = compiled.get(server);
  if (known !== undefined && known.env === input.env && known.spec.name === name) return known.spec;
  const spec = makeServer(name, server, input);
  if ('command' in server || Object.values(server.tls).every((value) => typeof value !== 'string'))
    compiled.set(server, { spec, env: input.env });
  return spec;
}

function makeServer(name: string, server: ServerConfig, input: ServerInput): ServerSpec {
  assert(SERVER_NAME.test(name), 'a server name is safe in paths and before the prefix');
  const { timeouts } = server;
  assert(timeouts.firstByteMs <= timeouts.totalMs, 'a first-byte deadline lies within the total deadline');
  return {
    name,
    ...targetsOf(server, input),
    ...mirrorOf(server, input),
    era: server.era,
    ...(server.required && { required: true as const }),
    forwardHeaders: unique(server.forwardHeaders),
    connectTimeoutMs: timeouts.connectMs,
    firstByteTimeoutMs: timeouts.firstByteMs,
    replyIdleTimeoutMs: timeouts.replyIdleMs,
    totalTimeoutMs: timeouts.totalMs,
    queueDepthMax: server.queueDepthMax,
    breaker: breakerSettings(server.breaker),
    cache: cacheSettings(server),
    policy: compilePolicy(server),
  };
}

function breakerSettings({ enabled, ...settings }: ServerConfig['breaker']): BreakerSettings | null {
  // A trial that hangs is given up when its failure could no longer belong to the outage that it probes.
  return enabled ? { ...settings, trialMs: settings.windowMs } : null;
}

/** Where a server is reached: its one place, or its first replica and the others. */
function targetsOf(
  server: ServerConfig,
  input: ServerInput,
): Pick<ServerSpec, 'target' | 'replicas' | 'replication'> {
  if ('command' in server) return { target: stdioTarget(server, input.env) };
  const places = 'url' in server ? [server] : server.replicas;
  const [first, ...others] = places.map((place) => httpTarget(server, place, input.material));
  const target = must(first, 'a server has a place');
  if (others.length === 0 || 'url' in server) return { target };
  return { target, replicas: others, replication: compileReplication(server) };
}

/** Another place, that is not to be shown what is meant for the server alone. */
function mirrorOf(server: ServerConfig, { material }: ServerInput): Pick<ServerSpec, 'mirror'> {
  if ('command' in server || server.mirror === undefined) return {};
  const { url, headers, percent, all, forwardHeaders } = server.mirror;
  const { serverName: _, cert: __, key: ___, ...tls } = server.tls;
  const connectionsMax = LIMITS.mirrorConnectionsMax;
  const target = httpTarget(
    { ...server, headers, tls, transport: 'streamable-http', connectionsMax },
    { url },
    material,
  );
  return { mirror: { target, percent, all, forwardHeaders: unique(forwardHeaders) } };
}

function httpTarget(
  server: HttpServerConfig,
  place: { readonly url: string; readonly unixPath?: string | undefined },
  material: ReadonlyMap<string, string>,
): HttpTarget {
  const url = new URL(place.url);
  const secure = url.protocol === 'https:';
  assert(secure || url.protocol === 'http:', 'a URL is http or https');
  const pem = (path: string | undefined): string | null =>
    path === undefined ? null : must(material.get(path), 'text of a PEM file');
  const { tls } = server;
  return {
    kind: 'http',
    client: server.client,
    transport: server.transport,
    secure,
    host: bareHost(url.hostname),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    unixPath: place.unixPath ?? null,
    path: url.pathname + url.search,
    url: shownTarget(url),
    headers: targetHeaders(server, url),
    tls: {
      serverName: tls.serverName ?? null,
      ca: pem(tls.ca),
      cert: pem(tls.cert),
      key: pem(tls.key),
      verify: tls.verify,
    },
    connectionsMax: server.connectionsMax,
  };
}

/** A URL for messages: no credentials, and no query since that is where tokens are put. */
function shownTarget(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function targetHeaders(server: HttpServerConfig, url: URL): readonly string[] {
  // Two spellings of one name: the later one counts.
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(server.headers)) {
    assert(!OWN_HEADERS.includes(name.toLowerCase()), 'configured headers leave those of the protocol alone');
    assert(!/[\r\n\0]/.test(value), 'a header value is one line');
    headers.set(name.toLowerCase(), value);
  }
  if ((url.username !== '' || url.password !== '') && !headers.has('authorization')) {
    const bytes = encode(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`);
    headers.set('authorization', `Basic ${btoa(String.fromCharCode(...bytes))}`);
  }
  return [...headers].flat();
}

/** What every process gets of the gateway's environment: enough to find programs, a home and a language, and no secret. */
const INHERITED = /^(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TMPDIR|SHELL|TERM|TZ)$/;

/** The complete environment of a process: the base, what it inherits by name, what is configured; later wins. */
function childEnvironment(
  server: Pick<StdioServerConfig, 'env' | 'inheritEnv'>,
  env: Environment,
): Readonly<Record<string, string>> {
  const complete: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (INHERITED.test(name) || server.inheritEnv.includes(name)))
      complete[name] = value;
  }
  return Object.assign(complete, server.env);
}

function stdioTarget(server: StdioServerConfig, env: Environment): StdioTarget {
  assert(server.command !== '', 'a process has a command');
  return {
    kind: 'stdio',
    command: server.command,
    args: server.args,
    cwd: server.cwd ?? null,
    env: childEnvironment(server, env),
    keep: {
      sharing: server.sharing,
      warm: server.warm,
      idleMs: server.idleMs,
      startMs: server.startMs,
      memoryMaxBytes: server.memoryMaxBytes,
    },
  };
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const below of Object.values(value)) deepFreeze(below);
  }
  return value;
}
