// Gateways from the Python registry, each in a virtual environment of its own.
// Called by peer-list.ts. Promises: pinned versions in the cache folder; started on loopback without authentication, as every other here;
// what a gateway keeps on disk goes with it.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, installOnce, isInstalled, runStep } from './cache.ts';
import type { Peer, Upstream, UpstreamKind } from './peer.ts';
import { freePort, startTarget, type Target } from './target.ts';

const INSTALL_MINUTES_MAX = 10;

/** Installs requirements into a virtual environment in a folder of the cache. */
export async function pipInstall(
  who: string,
  folder: string,
  requirements: readonly string[],
): Promise<void> {
  const python = cached(folder, 'bin', 'python3');
  const minutesMax = INSTALL_MINUTES_MAX;
  await installOnce(cached(folder), async () => {
    await runStep({ who, command: ['python3', '-m', 'venv', cached(folder)], minutesMax });
    const pip = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await runStep({ who, command: [...pip, ...requirements], minutesMax });
  });
}

/** A program in a virtual environment of the cache. */
export function venvProgram(folder: string, program: string): string {
  return cached(folder, 'bin', program);
}

interface PythonGateway {
  readonly name: string;
  readonly requirement: string;
  readonly version: string;
  readonly program: string;
  readonly before: readonly UpstreamKind[];
  readonly tool: string;
  start(program: string, kind: UpstreamKind, upstream: Upstream): Promise<Target>;
}

function pythonPeer(gateway: PythonGateway): Peer {
  const { name, version, before, tool } = gateway;
  const folder = `pip-${gateway.requirement}-${version}`;
  const program = venvProgram(folder, gateway.program);
  return {
    name,
    version,
    before,
    tool,
    share: 'basic',
    processPerSession: false,
    isHere: () => isInstalled(cached(folder)) && existsSync(program),
    install: () => pipInstall(`${name} ${version}`, folder, [`${gateway.requirement}==${version}`]),
    start: (kind, upstream) => gateway.start(program, kind, upstream),
  };
}

const FASTMCP = pythonPeer({
  name: 'fastmcp',
  requirement: 'fastmcp',
  // newer ones want a newer certifi than registries have everywhere
  version: '4.1.2',
  program: 'python3',
  before: ['http', 'stdio'],
  tool: 'echo',
  start(program, kind, upstream) {
    const port = freePort();
    const [command = '', ...args] = upstream.command;
    const server = kind === 'http' ? { url: upstream.url } : { command, args };
    const script = join(import.meta.dir, 'servers', 'fastmcp-proxy.py');
    return startTarget(
      'fastmcp',
      [program, script, `${port}`, JSON.stringify({ mcpServers: { echo: server } })],
      { port, url: `http://127.0.0.1:${port}/mcp` },
      { env: { FASTMCP_CHECK_FOR_UPDATES: 'off', FASTMCP_LOG_LEVEL: 'ERROR' } },
    );
  },
});

/** What the settings of ContextForge ask for before it starts at all; nothing of it leaves this machine. */
function contextForgeSettings(folder: string): Record<string, string> {
  const secret = `${crypto.randomUUID()}-${crypto.randomUUID().toUpperCase()}`;
  return {
    DATABASE_URL: `sqlite:///${folder}/mcp.db`,
    JWT_SECRET_KEY: secret,
    AUTH_ENCRYPTION_SECRET: `${secret}.2`,
    PLATFORM_ADMIN_PASSWORD: `${secret}.3`,
    BASIC_AUTH_PASSWORD: `${secret}.4`,
    DEFAULT_USER_PASSWORD: `${secret}.5`,
    AUTH_REQUIRED: 'false',
    MCP_REQUIRE_AUTH: 'false',
    ALLOW_UNAUTHENTICATED_ADMIN: 'true',
    SSRF_ALLOW_LOCALHOST: 'true',
    RATE_LIMITING_ENABLED: 'false',
    CACHE_TYPE: 'memory',
    LOG_LEVEL: 'ERROR',
  };
}

const REGISTER_TIMEOUT_MS = 20_000;

/** Tells it of the upstream, through its API. */
async function registerUpstream(origin: string, url: string): Promise<void> {
  const reply = await fetch(`${origin}/gateways`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'echo', url, transport: 'STREAMABLEHTTP' }),
    signal: AbortSignal.timeout(REGISTER_TIMEOUT_MS),
  });
  const said = await reply.text();
  if (!reply.ok) throw new Error(`the upstream could not be registered: ${reply.status} ${said}`);
}

const CONTEXT_FORGE = pythonPeer({
  name: 'mcp-contextforge-gateway',
  requirement: 'mcp-contextforge-gateway',
  // the last for Python 3.11
  version: '1.0.7.post20260921',
  program: 'mcpgateway',
  before: ['http'],
  tool: 'echo-echo',
  async start(program, _kind, upstream) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    const port = freePort();
    const origin = `http://127.0.0.1:${port}`;
    const target = await startTarget(
      'mcp-contextforge-gateway',
      [program, 'mcpgateway.main:app', '--host', '127.0.0.1', '--port', `${port}`],
      { port, url: `${origin}/mcp/` },
      { env: contextForgeSettings(folder), cwd: folder },
    );
    const stop = (): Promise<number> =>
      target.stop().finally(() => rmSync(folder, { recursive: true, force: true }));
    try {
      await registerUpstream(origin, upstream.url);
    } catch (error) {
      await stop();
      throw error;
    }
    return { ...target, stop };
  },
});

/** The peers. */
export const PYTHON_PEERS: readonly Peer[] = [FASTMCP, CONTEXT_FORGE];
