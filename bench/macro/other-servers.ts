// The echo call as other kinds of server: gRPC in C++, HTTP/2 in Go, Express, FastAPI. Their sources are in servers/.
// Called by echo-kinds.ts. Promises: compiled and installed on demand into the cache folder; one that cannot be is a reason in words; what each
// answers is checked before it is measured.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cached, installOnce, isInstalled, runStep } from './cache.ts';
import { CALL_BODY, CALL_HEADERS } from './call.ts';
import type { H2Call } from './h2load.ts';
import { findNode, npmInstall } from './npm-peers.ts';
import { pipInstall, venvProgram } from './python-peers.ts';
import { freePort, startTarget, type Target } from './target.ts';

/** A server that echoes. */
export interface EchoKind {
  readonly name: string;
  readonly http: '1.1' | '2';
  /** What the report says of it: calls a second, p99, memory a connection. */
  readonly theirs: string;
  isHere(): boolean;
  install(): Promise<void>;
  start(): Promise<Target>;
  /** The call as this server wants it. */
  callTo(url: string): H2Call;
}

const SOURCES = join(import.meta.dir, 'servers');
const COMPILE_MINUTES_MAX = 10;
const INSTALL_MINUTES_MAX = 10;
const TEXT = 'The quick brown fox jumps over the lazy dog';

function startOn(name: string, path: string, commandOf: (port: string) => string[]): Promise<Target> {
  const port = freePort();
  return startTarget(name, commandOf(`${port}`), { port, url: `http://127.0.0.1:${port}${path}` });
}

/** The call in MCP's JSON over HTTP. */
export function jsonCall(url: string, http: '1.1' | '2'): H2Call {
  return { url, http, headers: CALL_HEADERS, body: Buffer.from(CALL_BODY) };
}

const GRPC_FOLDER = 'grpc-echo-1';
const GRPC_PACKAGES = [
  'libgrpc++-dev',
  'libprotobuf-dev',
  'protobuf-compiler-grpc',
  'protobuf-compiler',
  'pkg-config',
  'g++',
];

/** Debian's packages, where this user may install them. */
export async function aptInstall(who: string, packages: readonly string[]): Promise<void> {
  const hint = `Debian: apt-get install ${packages.join(' ')}`;
  if (Bun.which('apt-get') === null || process.getuid?.() !== 0) throw new Error(`not installed (${hint})`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const minutesMax = INSTALL_MINUTES_MAX;
  const command = ['apt-get', 'install', '--yes', '--no-install-recommends', ...packages];
  await runStep({ who, command: ['apt-get', 'update'], env, minutesMax });
  await runStep({ who, command, env, minutesMax });
}

async function compileGrpc(who: string, folder: string): Promise<void> {
  const minutesMax = COMPILE_MINUTES_MAX;
  const tools = ['grpc_cpp_plugin', 'protoc', 'pkg-config', 'c++'];
  const hasTools = tools.every((tool) => Bun.which(tool) !== null);
  if (!hasTools || !Bun.spawnSync(['pkg-config', '--exists', 'grpc++', 'protobuf']).success)
    await aptInstall(who, GRPC_PACKAGES);
  const plugin = `protoc-gen-grpc=${Bun.which('grpc_cpp_plugin') ?? ''}`;
  const outputs = [`--cpp_out=${folder}`, `--grpc_out=${folder}`];
  await runStep({
    who,
    command: ['protoc', '-I', SOURCES, ...outputs, `--plugin=${plugin}`, join(SOURCES, 'grpc-echo.proto')],
    minutesMax,
  });
  const libraries = `$(pkg-config --cflags --libs grpc++ protobuf)`;
  const sources = `${join(SOURCES, 'grpc-echo.cc')} grpc-echo.pb.cc grpc-echo.grpc.pb.cc`;
  const compile = `c++ -O2 -std=c++17 -I. -o grpc-echo ${sources} ${libraries} -lpthread`;
  await runStep({ who, command: ['sh', '-c', compile], cwd: folder, minutesMax });
}

/** A call in protobuf behind gRPC's five bytes: name and text, none longer than 127 bytes. */
function grpcBody(): Uint8Array {
  const name = Buffer.from('echo');
  const text = Buffer.from(TEXT);
  const message = Buffer.concat([
    Buffer.from([0x0a, name.length]),
    name,
    Buffer.from([0x12, text.length]),
    text,
  ]);
  return Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
}

const GRPC: EchoKind = {
  name: 'gRPC, C++',
  http: '2',
  theirs: '2,100 calls/s, p99 1.2 ms, 120 KB a connection',
  isHere: () => isInstalled(cached(GRPC_FOLDER)),
  install: () => installOnce(cached(GRPC_FOLDER), () => compileGrpc('gRPC, C++', cached(GRPC_FOLDER))),
  start: () => startOn('gRPC, C++', '/bench.Echo/Call', (port) => [cached(GRPC_FOLDER, 'grpc-echo'), port]),
  callTo: (url) => ({
    url,
    http: '2',
    headers: { 'content-type': 'application/grpc', te: 'trailers' },
    body: grpcBody(),
  }),
};

const GO_FOLDER = 'h2c-echo-1';

const GO: EchoKind = {
  name: 'HTTP/2, Go',
  http: '2',
  theirs: '1,800 calls/s, p99 1.5 ms, 85 KB a connection',
  isHere: () => isInstalled(cached(GO_FOLDER)),
  install: () =>
    installOnce(cached(GO_FOLDER), () =>
      runStep({
        who: 'HTTP/2, Go',
        command: ['go', 'build', '-o', cached(GO_FOLDER, 'h2c-echo'), join(SOURCES, 'h2c-echo.go')],
        env: { GOFLAGS: '-buildvcs=false' },
        minutesMax: COMPILE_MINUTES_MAX,
      }),
    ),
  start: () => startOn('HTTP/2, Go', '/mcp', (port) => [cached(GO_FOLDER, 'h2c-echo'), port]),
  callTo: (url) => jsonCall(url, '2'),
};

const EXPRESS = { package: 'express@5.3.0', folder: 'npm-express-5.3.0' };

const EXPRESS_KIND: EchoKind = {
  name: 'Express',
  http: '1.1',
  theirs: '650 calls/s, p99 3.8 ms, 1.8 MB a connection',
  isHere: () => isInstalled(cached(EXPRESS.folder)) && Bun.which('node') !== null,
  install: () => npmInstall('Express', EXPRESS.folder, [EXPRESS.package]),
  start: () =>
    startOn('Express', '/mcp', (port) => [
      findNode() ?? 'node',
      ...[join(SOURCES, 'express-echo.mjs'), port, cached(EXPRESS.folder)],
    ]),
  callTo: (url) => jsonCall(url, '1.1'),
};

const FASTAPI = { requirements: ['fastapi==0.163.2', 'uvicorn[standard]==0.54.0'], folder: 'pip-fastapi-1' };

const FASTAPI_KIND: EchoKind = {
  name: 'FastAPI',
  http: '1.1',
  theirs: '450 calls/s, p99 5.2 ms, 2.5 MB a connection',
  isHere: () => isInstalled(cached(FASTAPI.folder)) && existsSync(venvProgram(FASTAPI.folder, 'python3')),
  install: () => pipInstall('FastAPI', FASTAPI.folder, FASTAPI.requirements),
  start: () =>
    startOn('FastAPI', '/mcp', (port) => [
      venvProgram(FASTAPI.folder, 'python3'),
      ...[join(SOURCES, 'fastapi-echo.py'), port],
    ]),
  callTo: (url) => jsonCall(url, '1.1'),
};

/** The servers, in the report's order. */
export const ECHO_KINDS: readonly EchoKind[] = [GRPC, GO, EXPRESS_KIND, FASTAPI_KIND];

/** Calls once, by a client that knows its protocol: throws when the text does not come back. */
export async function checkEcho(call: H2Call): Promise<void> {
  const text = call.http === '2' ? await callHttp2(call) : await callHttp1(call);
  if (!text.includes(TEXT)) throw new Error(`${call.url} answers something else: ${text.slice(0, 300)}`);
}

async function callHttp1(call: H2Call): Promise<string> {
  const body = Buffer.from(call.body);
  const reply = await fetch(call.url, { method: 'POST', headers: call.headers, body });
  return `${reply.status} ${await reply.text()}`;
}

const CALL_WITHIN_MS = 10_000;

async function callHttp2(call: H2Call): Promise<string> {
  const { connect } = await import('node:http2');
  const url = new URL(call.url);
  return new Promise((resolve, reject) => {
    const session = connect(url.origin);
    const timer = setTimeout(() => end(new Error(`${call.url} did not answer`)), CALL_WITHIN_MS);
    const end = (error: Error | null, text = ''): void => {
      clearTimeout(timer);
      session.destroy();
      if (error === null) resolve(text);
      else reject(error);
    };
    session.on('error', end);
    const stream = session.request({ ':method': 'POST', ':path': url.pathname, ...call.headers });
    let text = '';
    stream.setEncoding('latin1');
    stream.on('error', end);
    stream.on('data', (part: string) => {
      text += part;
    });
    stream.on('end', () => end(null, text));
    stream.end(call.body);
  });
}
