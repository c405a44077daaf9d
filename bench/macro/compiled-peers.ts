// Gateways that are compiled on this machine: `mcp-proxy` from the Rust registry, ToolHive's vMCP through the Go proxy.
// Called by peer-list.ts. Promises: pinned versions, compiled at the lowest priority into the cache folder, whatever time that takes (about ten
// and about six minutes of one core); a missing toolchain is the reason that is given.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, installOnce, isInstalled, runStep } from './cache.ts';
import type { Peer, Upstream, UpstreamKind } from './peer.ts';
import { freePort, startTarget, type Target } from './target.ts';

const COMPILE_MINUTES_MAX = 90;

/** Starts a program whose configuration is one file, in a folder that goes with it. */
async function startConfigured(
  name: string,
  url: string,
  file: { readonly name: string; readonly text: string },
  commandOf: (path: string) => string[],
): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const path = join(folder, file.name);
  writeFileSync(path, file.text);
  const ready = { port: Number(new URL(url).port), url };
  try {
    const target = await startTarget(name, commandOf(path), ready, { env: { HOME: folder }, cwd: folder });
    return { ...target, stop: () => target.stop().finally(remove) };
  } catch (error) {
    remove();
    throw error;
  }
}

const RUST = { name: 'mcp-proxy (Rust)', crate: 'mcp-proxy', version: '0.6.0' };
const RUST_FEATURE = 'protocol-2026-07-28';
const RUST_FOLDER = `cargo-${RUST.crate}-${RUST.version}`;
const RUST_PROGRAM = cached(RUST_FOLDER, 'bin', 'mcp-proxy');

/** Its configuration, in TOML, whose strings are those of JSON here. */
function rustConfig(port: number, kind: UpstreamKind, upstream: Upstream): string {
  const [command = '', ...args] = upstream.command;
  const backend =
    kind === 'http'
      ? `transport = "http"\nurl = ${JSON.stringify(upstream.url)}`
      : `transport = "stdio"\ncommand = ${JSON.stringify(command)}\nargs = ${JSON.stringify(args)}`;
  return `[proxy]\nname = "bench"\n[proxy.listen]\nhost = "127.0.0.1"\nport = ${port}\n[[backends]]\nname = "echo"\n${backend}\n[observability]\nlog_level = "error"\n`;
}

const RUST_PROXY: Peer = {
  name: RUST.name,
  version: RUST.version,
  before: ['http', 'stdio'],
  tool: 'echo/echo',
  share: 'all',
  processPerSession: false,
  isHere: () => isInstalled(cached(RUST_FOLDER)) && existsSync(RUST_PROGRAM),
  install: () =>
    installOnce(cached(RUST_FOLDER), async () => {
      const products = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
      const what = [RUST.crate, '--version', RUST.version, '--features', RUST_FEATURE, '--locked'];
      try {
        await runStep({
          who: `${RUST.name} ${RUST.version}`,
          command: ['cargo', 'install', ...what, '--root', cached(RUST_FOLDER)],
          env: { CARGO_TARGET_DIR: products },
          minutesMax: COMPILE_MINUTES_MAX,
        });
      } finally {
        rmSync(products, { recursive: true, force: true });
      }
    }),
  start(kind, upstream) {
    const port = freePort();
    const file = { name: 'proxy.toml', text: rustConfig(port, kind, upstream) };
    return startConfigured(RUST.name, `http://127.0.0.1:${port}/`, file, (path) => [
      RUST_PROGRAM,
      '--config',
      path,
    ]);
  },
};

// the newest that the Go of most machines compiles: later ones ask for Go 1.27
const VMCP = { name: 'vMCP (ToolHive)', module: 'github.com/stacklok/toolhive/cmd/vmcp', version: 'v0.47.0' };
const VMCP_FOLDER = `go-vmcp-${VMCP.version}`;
const VMCP_PROGRAM = cached(VMCP_FOLDER, 'vmcp');

/** Its configuration: one backend that is known from the start, names as they are, nobody asked who he is. YAML, in the form of JSON. */
function vmcpConfig(url: string): string {
  return JSON.stringify({
    name: 'bench',
    groupRef: 'bench',
    backends: [{ name: 'echo', url, transport: 'streamable-http' }],
    incomingAuth: { type: 'anonymous' },
    outgoingAuth: { source: 'inline', default: { type: 'unauthenticated' } },
    aggregation: {
      conflictResolution: 'priority',
      conflictResolutionConfig: { priorityOrder: ['echo'] },
    },
  });
}

const VMCP_PEER: Peer = {
  name: VMCP.name,
  version: VMCP.version.slice(1),
  before: ['http'],
  tool: 'echo',
  share: 'all',
  processPerSession: false,
  isHere: () => isInstalled(cached(VMCP_FOLDER)) && existsSync(VMCP_PROGRAM),
  install: () =>
    installOnce(cached(VMCP_FOLDER), () =>
      runStep({
        who: `${VMCP.name} ${VMCP.version}`,
        command: ['go', 'install', `${VMCP.module}@${VMCP.version}`],
        env: { GOBIN: cached(VMCP_FOLDER), GOFLAGS: '-buildvcs=false' },
        minutesMax: COMPILE_MINUTES_MAX,
      }),
    ),
  start(_kind, upstream) {
    const port = freePort();
    const file = { name: 'vmcp.yaml', text: vmcpConfig(upstream.url) };
    const listen = ['--host', '127.0.0.1', '--port', `${port}`];
    return startConfigured(VMCP.name, `http://127.0.0.1:${port}/mcp`, file, (path) => [
      ...[VMCP_PROGRAM, 'serve', '--config', path],
      ...listen,
    ]);
  },
};

/** The peers. */
export const COMPILED_PEERS: readonly Peer[] = [RUST_PROXY, VMCP_PEER];
