// One server of a validated configuration → its spec, the part of the snapshot that concerns it.
// Called by compile.ts, and by registry/outlook.ts for a server that may come to be. Promises: pure; frozen; settings that were compiled before give the same object again.
import { assert, must } from '../base/assert.ts';
import { encode } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { BreakerSettings } from '../memory/breaker-cell.ts';
import type { Snapshot } from '../snapshot.ts';
import {
  type HttpTarget,
  isSameServer,
  placesByName,
  type ServerSpec,
  type StdioTarget,
} from '../upstream/spec.ts';
import { deepFreeze } from './frozen.ts';
import type { Environment } from './references.ts';
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

/** What one server is compiled with. */
export interface ServerInput {
  /** PEM texts by absolute path. */
  readonly material: ReadonlyMap<string, string>;
  /** The gateway's environment: the base of every process's. */
  readonly env: Environment;
  /** What runs already: what comes out the same is taken over as it is. */
  readonly former?: Snapshot;
}

/** Specs of servers that were compiled before: of thousands, one differs. Those that name files are compiled anew, as the files may have changed. */
const compiled = new WeakMap<ServerConfig, { readonly spec: ServerSpec; readonly env: Environment }>();

/** Builds the spec of one server, or finds the one that it has. Throws GatewayError when it cannot be served. */
export function compileServer(name: string, server: ServerConfig, input: ServerInput): ServerSpec {
  const known = compiled.get(server);
  if (known !== undefined && known.env === input.env && known.spec.name === name) return known.spec;
  const spec = takenOver(makeServer(name, server, input), input.former);
  if ('command' in server || Object.values(server.tls).every((value) => typeof value !== 'string'))
    compiled.set(server, { spec, env: input.env });
  return spec;
}

/** The spec that runs already, when a new one says the same: nothing that goes by the object then takes it for a change. */
function takenOver(spec: ServerSpec, former: Snapshot | undefined): ServerSpec {
  const had = former?.servers[placesByName(former.servers).get(spec.name) ?? -1];
  return had !== undefined && isSameServer(had, spec) ? had : deepFreeze(spec);
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
    forwardHeaders: alike(unique(server.forwardHeaders)),
    connectTimeoutMs: timeouts.connectMs,
    firstByteTimeoutMs: timeouts.firstByteMs,
    replyIdleTimeoutMs: timeouts.replyIdleMs,
    totalTimeoutMs: timeouts.totalMs,
    queueDepthMax: server.queueDepthMax,
    breaker: alike(breakerSettings(server.breaker)),
    cache: alike(cacheSettings(server)),
    policy: alike(compilePolicy(server)),
  };
}

/** Parts of specs by what they say. */
const parts = new Map<string, unknown>();
const PARTS_MAX = 256;

/** A part that says the same as one before is that one: of thousands of servers most have most parts alike, which then take memory, and cross to the workers, once. */
function alike<T>(part: T): T {
  const said = JSON.stringify(part) ?? '';
  // Certificates are nobody else's.
  if (said.length > 1_000) return part;
  const known = parts.get(said);
  // What says the same was made of the same options.
  if (known !== undefined) return known as T;
  if (parts.size >= PARTS_MAX) parts.clear();
  parts.set(said, deepFreeze(part));
  return part;
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
    tls: alike({
      serverName: tls.serverName ?? null,
      ca: pem(tls.ca),
      cert: pem(tls.cert),
      key: pem(tls.key),
      verify: tls.verify,
    }),
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

/** An address without the brackets that IPv6 wears in URLs. */
export function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** Lower case, each once. */
export function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))];
}
