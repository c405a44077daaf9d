// Who stands between the load and the echo upstream: nobody, nginx, HAProxy, or the gateway.
// Called by routed.ts, transports.ts, suite.ts, capacity.ts and the toy bench. Promises: every peer listens on a free loopback port, keeps its connections to the
// upstream open, writes no access log, and lives in a temporary folder that goes with it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Transport } from '../../src/runtime/runtime.ts';
import { freePort, startTarget, type Target } from './target.ts';

const ROOT = join(import.meta.dir, '..', '..');

/** Where the native scanner lies, from the root on. */

/** Name of the echo server in the gateway's configuration. */
const SERVER = 'echo';

/** Starts the echo upstream, on a free port or on the one given. Its URL is the MCP endpoint. */
export function startEcho(port = 0): Promise<Target> {
  return startTarget('direct', [process.execPath, join(import.meta.dir, 'echo.ts'), `${port}`], {
    stream: 'stdout',
    read(line) {
      const found = /"port":(\d+)/.exec(line);
      return found === null ? null : `http://127.0.0.1:${found[1]}/mcp`;
    },
  });
}

async function inFolder(start: (folder: string) => Promise<Target>): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const target = await start(folder);
    return { ...target, stop: () => target.stop().finally(remove) };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Both sides of the widest load. What nginx may hold it makes room for at once, so that more would show in its memory. */
const NGINX_CONNECTIONS_MAX = 4_096;

function nginxConfig(folder: string, port: number, upstream: URL, connectionsMax: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events { worker_connections ${connectionsMax}; }
http {
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  proxy_buffers 16 128k;
  proxy_busy_buffers_size 256k;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  keepalive_requests 100000000;
  upstream echo { server ${upstream.host}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://echo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}
`;
}

/** Starts nginx as a blind proxy with one worker in one process. */
export function startNginx(
  program: string,
  upstream: string,
  connectionsMax = NGINX_CONNECTIONS_MAX,
): Promise<Target> {
  return inFolder((folder) => {
    const port = freePort();
    const url = new URL(upstream);
    writeFileSync(join(folder, 'nginx.conf'), nginxConfig(folder, port, url, connectionsMax));
    return startTarget('nginx', [program, '-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], {
      stream: 'stderr',
      read: (line) =>
        line.includes('start') || line.includes('epoll') ? `http://127.0.0.1:${port}${url.pathname}` : null,
    });
  });
}

/** Starts HAProxy as a blind proxy with one thread. */
export function startHaproxy(program: string, upstream: string): Promise<Target> {
  return inFolder((folder) => {
    const port = freePort();
    const url = new URL(upstream);
    const config = `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend echo
backend echo
  http-reuse always
  server echo ${url.host}
`;
    writeFileSync(join(folder, 'haproxy.cfg'), config);
    const command = [program, '-db', '-f', join(folder, 'haproxy.cfg')];
    return startTarget('haproxy', command, { port, url: `http://127.0.0.1:${port}${url.pathname}` });
  });
}

/** Starts the gateway as its users do, with one HTTP server. */
export function startGateway(
  upstream: string,
  workers = 1,
  transport: Transport = 'uwebsockets',
): Promise<Target> {
  return startGatewayWith({ [SERVER]: { url: upstream } }, workers, transport);
}

/** The echo server on stdin and stdout, as a command line. */
export const STDIO_ECHO: readonly string[] = [process.execPath, join(import.meta.dir, 'echo-stdio.ts')];

/** True for a process that is the echo server on stdin and stdout, and not a shell that has started it. */
export function isStdioEcho(command: string): boolean {
  return command === STDIO_ECHO.join(' ');
}

/**
 * Starts the gateway with servers described as in its configuration, `echo` among them; its URL is that one's endpoint. One data worker
 * unless more are asked for, since the proxies beside it have one. The rest goes into the configuration as it stands.
 */
export function startGatewayWith(
  servers: Readonly<Record<string, object>>,
  workers = 1,
  transport: Transport = 'uwebsockets',
  { listen: listening, ...more }: Readonly<Record<string, unknown>> & { readonly listen?: object } = {},
): Promise<Target> {
  return inFolder((folder) => {
    const config = join(folder, 'sluice.json');
    // Left out where it is the default: older builds, which are measured as well, do not know it.
    const listen = {
      host: '127.0.0.1',
      port: 0,
      ...(transport === 'sockets' && { transport }),
      ...listening,
    };
    const many = hasWorkersOption() ? { workers } : {};
    writeFileSync(config, JSON.stringify({ listen, servers, ...many, ...more }));
    const base = transport === 'sockets' ? 'sluice (sockets)' : 'sluice';
    const name = workers === 1 ? base : `${base}, ${workers} workers`;
    const command = [join(ROOT, 'bin', 'sluice'), 'serve', '--config', config];
    const ready = { stream: 'stderr', read: readReadyLine } as const;
    // Its keys are made here and forgotten, not kept among the user's own.
    return startTarget(name, command, ready, { env: { XDG_STATE_HOME: folder } });
  });
}

/** Starts the gateway on Node, with one HTTP server and one data worker. It runs dist/node/ as it is there. */
export function startGatewayOnNode(name: string, upstream: string, transport: Transport): Promise<Target> {
  return inFolder((folder) => {
    const main = join(ROOT, 'dist', 'node', 'main.js');
    const config = join(folder, 'sluice.json');
    const listen = { host: '127.0.0.1', port: 0, transport };
    writeFileSync(config, JSON.stringify({ listen, servers: { [SERVER]: { url: upstream } }, workers: 1 }));
    const ready = { stream: 'stderr', read: readReadyLine } as const;
    return startTarget(name, ['node', main, 'serve', '--config', config], ready, {
      env: { XDG_STATE_HOME: folder },
    });
  });
}

/** True when this build takes the number of data workers from its configuration. */
export function hasWorkersOption(): boolean {
  // the file is made from our own schema
  const schema = JSON.parse(readFileSync(join(ROOT, 'docs', 'sluice.schema.json'), 'utf8')) as {
    readonly properties?: Readonly<Record<string, unknown>>;
  };
  return schema.properties?.workers !== undefined;
}

/** The URL of the echo server's endpoint from the gateway's `ready` line, or null for any other line. */
function readReadyLine(line: string): string | null {
  if (!line.includes('"msg":"ready"')) return null;
  const found = /"(http:\/\/[^"/]+)[^"]*"/.exec(line);
  return found === null ? null : `${found[1]}/mcp/${SERVER}`;
}
