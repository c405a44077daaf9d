// A validated configuration → the frozen Snapshot that the data path reads.
// Called by cli/ before the gateway starts and later by the reload. Promises: pure; asserts again what the data path rests
// on; every value in the result is plain data, so that it crosses threads as a message.
import { assert, must } from '../base/assert.ts';
import { LIMITS } from '../base/limits.ts';
import type { FrontSpec, ListenSpec, LogSpec, MetricsSpec, Snapshot } from '../snapshot.ts';
import { bareHost, compileServer, type ServerInput, unique } from './compile-server.ts';
import { compileEndpoints } from './endpoints.ts';
import { deepFreeze } from './frozen.ts';
import type { Config } from './schema.ts';

/** What a configuration is compiled with. */
export interface CompileInput extends ServerInput {
  readonly config: Config;
  /** Grows with each publication. */
  readonly epoch: number;
}

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
      input.former?.endpoints,
    ),
  });
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
