// What only real runtimes have, Bun's and Node's: TLS, Unix sockets, keep-alive, threads, the process's own streams, orphans.
// Called by runtime-bun.test.ts, and by runtime-node.ts inside Node. Promises: ends every process and socket it starts; asserts no durations.
import { afterEach, describe, expect, test } from 'bun:test';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import tls from 'node:tls';
import { GatewayError } from '../../src/base/errors.ts';
import { canSharePort } from '../../src/runtime/node-ports.ts';
import { processorsOfShare } from '../../src/runtime/parallelism.ts';
import type {
  Listener,
  ListenOptions,
  ReplySink,
  RequestHandler,
  Runtime,
  TlsConnectOptions,
} from '../../src/runtime/runtime.ts';
import { sendRequest } from '../../src/runtime/sim-client.ts';
import { LISTEN } from './runtime.ts';
import { makeCertificates } from './runtime-certificates.ts';
import { sleep } from './runtime-real.ts';
import { ChildRecorder, pattern, SocketRecorder, text } from './runtime-recorders.ts';

/** uWebSockets.js closes idle connections after 10 to 14 s, whatever is asked for. */
const UNTIL_MS = 20_000;

/** A runtime on this machine. */
export interface Machine {
  readonly name: string;
  readonly runtime: Runtime;
  /** Module of the thread (runtime-thread.ts), as this runtime can load it. */
  readonly threadUrl: string;
  /** The program (runtime-process.ts), as this runtime can start it. */
  readonly program: string;
  /**
   * True where the transport `uwebsockets` is uWebSockets.js: a second request that comes before the first is answered ends the connection, and a drain leaves idle
   * connections alone until it is over.
   */
  readonly isUwsJs: boolean;
}

/** A process of the program under test. */
interface Program {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Resolves to the exit code once all output has come. */
  readonly ended: Promise<number | null>;
  out(): string;
  outBytes(): Buffer;
  err(): string;
}

/** Runs the whole suite. */
export function machineContract(machine: Machine): void {
  const { name, runtime, threadUrl } = machine;

  function startProgram(mode: string, { isSlow = false } = {}): Program {
    const child = spawn(process.execPath, [machine.program, mode], { stdio: 'pipe', detached: true });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (bytes: Buffer) => void out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => void err.push(bytes));
    if (isSlow) child.stdout.pause();
    child.stdin.on('error', () => undefined);
    const ended = new Promise<number | null>((resolve) => {
      child.on('close', (code) => resolve(code));
    });
    return {
      child,
      ended,
      out: () => Buffer.concat(out).toString(),
      outBytes: () => Buffer.concat(out),
      err: () => Buffer.concat(err).toString(),
    };
  }

  const certificates = makeCertificates();
  const listeners: Listener[] = [];
  const cleanups: (() => void)[] = [];
  const ENV = { PATH: process.env.PATH ?? '' };

  function listenWith(handler: RequestHandler, options: Partial<ListenOptions> = {}): Listener {
    const listener = runtime.listen({ ...LISTEN, ...options }, handler);
    listeners.push(listener);
    return listener;
  }

  async function until(claim: string, holds: () => boolean): Promise<void> {
    const end = performance.now() + UNTIL_MS;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`never came true: ${claim}`);
      await sleep(5);
    }
  }

  afterEach(() => {
    for (const listener of listeners.splice(0)) listener.stop();
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  const echo: RequestHandler = (inbound) =>
    inbound.readBody().then((body) => ({ status: 200, headers: {}, body }));

  /** A raw client: what it sent and everything that came back. */
  function raw(port: number, bytes: string): SocketRecorder {
    const recorder = new SocketRecorder({
      onOpen: (socket) => void socket.write(text(bytes), 0, text(bytes).length),
    });
    runtime.connect({ host: '127.0.0.1', port }, null, recorder);
    return recorder;
  }

  describe.each(['uwebsockets', 'sockets'] as const)(`listener on ${name}: %s`, (transport) => {
    const isUwsJs = machine.isUwsJs && transport === 'uwebsockets';
    const listen = (handler: RequestHandler, options: Partial<ListenOptions> = {}): Listener =>
      listenWith(handler, { transport, ...options });

    test('one connection serves many requests, with our own HTTP/1.1 pipelined ones too', async () => {
      const listener = listen(echo);
      const post = (body: string): string =>
        `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
      const client = raw(listener.port, post('one'));
      await until('the first reply', () => client.bytes.toString().endsWith('\r\n\r\none'));
      // uWebSockets closes the connection when a request comes before the reply to the last one is there.
      const mayPipeline = transport === 'sockets';
      const send = (bytes: Uint8Array): void => void client.socket?.write(bytes, 0, bytes.length);
      send(text(post('two') + (mayPipeline ? post('three') : '')));
      await until('the second reply', () => client.bytes.toString().includes('\r\n\r\ntwo'));
      if (!mayPipeline) send(text(post('three')));
      await until('the next two', () => client.bytes.toString().endsWith('\r\n\r\nthree'));
      expect(client.bytes.toString().match(/HTTP\/1\.1 200/g)?.length).toBe(3);
      client.socket?.destroy();
    });

    test('a body refused for its size is not taken for the next request', async () => {
      const listener = listen((inbound) =>
        inbound.readBody().then(
          () => ({ status: 200, headers: {}, body: text(`read ${inbound.path}`) }),
          () => ({ status: 413, headers: {}, body: null }),
        ),
      );
      const size = LISTEN.bodyBytesMax + 1;
      const client = raw(listener.port, `POST /big HTTP/1.1\r\nhost: a\r\ncontent-length: ${size}\r\n\r\n`);
      await until('the refusal', () => client.bytes.toString().startsWith('HTTP/1.1 413'));
      const rest = text(
        `${'GET /smuggled HTTP/1.1\r\n\r\n'.padEnd(size, 'x')}GET /next HTTP/1.1\r\nhost: a\r\n\r\n`,
      );
      let at = 0;
      while (at < rest.length) {
        at += client.socket?.write(rest, at, rest.length) ?? 0;
        await sleep(1);
      }
      await until('the next reply', () => client.bytes.toString().includes('read /next'));
      expect(client.bytes.toString()).not.toContain('smuggled');
      client.socket?.destroy();
    });

    test('a Host header that breaks the URL leaves path and query alone', async () => {
      const listener = listen((inbound) => ({
        status: 200,
        headers: {},
        body: text(`${inbound.path}|${inbound.query}`),
      }));
      for (const host of ['good', 'a/b', 'a?b', 'a#b', 'a@b:80', '']) {
        const client = raw(
          listener.port,
          `GET /mcp/x?y=/z HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
        );
        await until('closed', () => client.closed);
        expect(client.bytes.toString()).toEndWith('/mcp/x|y=/z');
      }
    });

    test('a request that waits, or streams in silence, outlives the idle timeout; an idle connection does not', async () => {
      const answers: (() => void)[] = [];
      let sink: ReplySink | null = null;
      const open = (opened: ReplySink): void => {
        sink = opened;
      };
      const listener = listen(
        (inbound) => {
          if (inbound.path === '/now') return { status: 200, headers: {}, body: text('now') };
          if (inbound.path === '/stream') {
            return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: { open } };
          }
          return new Promise((resolve) => {
            answers.push(() => resolve({ status: 200, headers: {}, body: text('late') }));
          });
        },
        { idleTimeoutMs: 1000 },
      );
      const get = (path: string): SocketRecorder =>
        raw(listener.port, `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
      const waited = get('/late');
      await until('the first runs', () => answers.length === 1);
      const waiting = get('/late');
      const streaming = get('/stream');
      await until('all run', () => answers.length === 2 && streaming.bytes.length > 0);
      // Long enough for the watch to have exempted all three; the first is answered and idle from then on.
      await sleep(300);
      answers[0]?.();
      const idle = get('/now');
      await until('the idle ones are closed', () => idle.closed && waited.closed);
      expect(waited.bytes.toString()).toEndWith('late');
      expect([waiting.closed, streaming.closed]).toEqual([false, false]);
      answers[1]?.();
      (sink as ReplySink | null)?.write(text('data: 1\n\n'));
      (sink as ReplySink | null)?.end();
      await until('both got their replies', () => {
        return waiting.bytes.toString().endsWith('late') && streaming.bytes.toString().endsWith('0\r\n\r\n');
      });
      for (const one of [waiting, streaming]) one.socket?.destroy();
    }, 40_000);

    test('drain closes connections that are idle or stuck in their head at once, and cuts no reply short', async () => {
      const size = 12 * 1024 * 1024;
      const body = pattern(size);
      const listener = listen((inbound) => {
        if (inbound.path === '/whole') return { status: 200, headers: {}, body };
        if (inbound.path === '/idle') return { status: 200, headers: {}, body: null };
        return {
          status: 200,
          headers: {},
          body: {
            open(sink) {
              sink.write(body.subarray(0, 1));
              runtime.clock.after(5, () => {
                sink.write(body.subarray(1));
                sink.end();
              });
            },
          },
        };
      });
      const idle = raw(listener.port, 'GET /idle HTTP/1.1\r\nhost: a\r\n\r\n');
      const stuck = raw(listener.port, 'GET /id');
      const address = { host: '127.0.0.1', port: listener.port };
      const slow = ['/whole', '/streamed'].map((path) =>
        sendRequest(runtime, address, { method: 'GET', path }),
      );
      await until('all run', () => idle.bytes.length > 0 && slow.every((one) => one.state === 'streaming'));
      for (const one of slow) one.pause();
      await sleep(50);
      const drained = listener.drain();
      if (!isUwsJs) await until('the idle one is closed', () => idle.closed);
      await sleep(50);
      for (const one of slow) one.resume();
      await drained;
      await until(
        'all closed',
        () => idle.closed && stuck.closed && slow.every((one) => one.state !== 'streaming'),
      );
      for (const one of slow) expect([one.state, Buffer.compare(one.bytes(), body)]).toEqual(['whole', 0]);
    });

    test('a request whose handler never answers does not hold up a drain once its client left', async () => {
      const listener = listen(() => new Promise(() => undefined));
      const client = raw(listener.port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      await until('connected', () => client.socket !== null);
      await sleep(20);
      client.socket?.destroy();
      await listener.drain();
    });

    test('a stream that cannot be opened costs a bare 500, and one that breaks behind its first bytes is broken', async () => {
      const listener = listen((inbound) => ({
        status: 200,
        headers: {},
        body: {
          open(sink) {
            sink.write(inbound.path === '/late' ? pattern(1024 * 1024) : text('never seen'));
            throw new TypeError('expected by this test: secret');
          },
        },
      }));
      const address = { host: '127.0.0.1', port: listener.port };
      const ask = (path: string) => sendRequest(runtime, address, { method: 'GET', path });
      const early = ask('/early');
      await until('the reply', () => early.state === 'whole');
      expect([early.status, early.text()]).toEqual([500, '']);
      const late = ask('/late');
      await until('it is over', () => late.state === 'whole' || late.state === 'broken');
      if (late.state === 'whole') expect([late.status, late.text()]).toEqual([500, '']);
    });

    test('two listeners share a port with reusePort', () => {
      if (name === 'Node' && !isUwsJs && !canSharePort()) {
        expect(() => listen(echo, { reusePort: true })).toThrow('with Node');
        return;
      }
      const first = listen(echo, { reusePort: true });
      const second = listen(echo, { reusePort: true, port: first.port });
      expect(second.port).toBe(first.port);
    });
  });

  describe(`listener on ${name} with TLS`, () => {
    test('a key that is none is GW_RUNTIME_LISTEN', () => {
      let code = '';
      try {
        listenWith(echo, { tls: { cert: 'none', key: 'none', clientCa: null } });
      } catch (thrown) {
        if (thrown instanceof GatewayError) code = thrown.code;
      }
      expect(code).toBe('GW_RUNTIME_LISTEN');
    });
  });

  describe(`sockets on ${name}`, () => {
    test('Unix sockets', async () => {
      const path = join(tmpdir(), `sluice-${process.pid}.sock`);
      const server = http.createServer((_request, reply) => void reply.end('over unix'));
      await new Promise<void>((resolve) => server.listen(path, resolve));
      cleanups.push(() => {
        server.close();
        server.closeAllConnections();
        rmSync(path, { force: true });
      });
      const reply = sendRequest(runtime, { unixPath: path }, { method: 'GET', path: '/' });
      await until('the reply', () => reply.state === 'whole');
      expect(reply.text()).toBe('over unix');
      const missing = new SocketRecorder();
      runtime.connect({ unixPath: `${path}.none` }, null, missing);
      await until('the refusal', () => missing.events.length > 0);
      expect([missing.events, missing.error?.startsWith('ENOENT')]).toEqual([['connectError'], true]);
    });

    test('names are looked up; one that does not exist is a connect error', async () => {
      const listener = listenWith(echo);
      const found = sendRequest(
        runtime,
        { host: 'localhost', port: listener.port },
        { method: 'GET', path: '/' },
      );
      await until('the reply', () => found.state === 'whole');
      const missing = new SocketRecorder();
      runtime.connect({ host: 'no-such-host.invalid', port: 80 }, null, missing);
      await until('the refusal', () => missing.events.length > 0);
      expect([missing.events, missing.tls]).toEqual([['connectError'], false]);
    });
  });

  // Without openssl there are no certificates: makeCertificates() has printed that on stderr.
  describe.skipIf(certificates === null)(`TLS on ${name}`, () => {
    if (certificates === null) return;
    const { ca, good, other, client, stranger } = certificates;
    const trusting: TlsConnectOptions = { serverName: 'good.test', ca, cert: null, key: null, verify: true };

    /** One GET over TLS; what the recorder heard. */
    async function visit(port: number, options: TlsConnectOptions): Promise<SocketRecorder> {
      const recorder = new SocketRecorder({
        onOpen(socket) {
          const request = text('GET / HTTP/1.1\r\nhost: good.test\r\nconnection: close\r\n\r\n');
          socket.write(request, 0, request.length);
        },
      });
      runtime.connect({ host: '127.0.0.1', port }, options, recorder);
      await until('an outcome', () => recorder.closed || recorder.events.includes('connectError'));
      return recorder;
    }
    const serve = (pair: { cert: string; key: string }, clientCa: string | null = null): number =>
      listenWith(() => ({ status: 200, headers: {}, body: text('secret') }), { tls: { ...pair, clientCa } })
        .port;

    test('a certificate of a trusted CA for the right name is accepted, by name and by address', async () => {
      const port = serve(good);
      expect((await visit(port, trusting)).bytes.toString()).toEndWith('secret');
      expect((await visit(port, { ...trusting, serverName: '127.0.0.1' })).bytes.toString()).toEndWith(
        'secret',
      );
    });

    test.each([
      ['another name', other, trusting],
      ['a CA that is not trusted', stranger, { ...trusting, serverName: 'stranger' }],
      ['the system CAs only', good, { ...trusting, ca: null }],
    ] as const)('refused, with not a byte sent: %s', async (_name, pair, options) => {
      const recorder = await visit(serve(pair), options);
      await sleep(20);
      expect(recorder.events).toEqual(['connectError']);
      expect(recorder.tls).toBe(true);
      expect(recorder.error).not.toBe('');
    });

    test('verify: false accepts all of these', async () => {
      for (const pair of [other, stranger, good]) {
        const recorder = await visit(serve(pair), { ...trusting, verify: false });
        expect(recorder.bytes.toString()).toEndWith('secret');
      }
      const nothingFits = await visit(serve(stranger), { ...trusting, ca: null, verify: false });
      expect(nothingFits.bytes.toString()).toEndWith('secret');
    });

    test('a peer that speaks no TLS, and CA bytes that are none', async () => {
      const plain = net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
      await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
      cleanups.push(() => plain.close());
      const place = plain.address();
      const plainPort = place !== null && typeof place === 'object' ? place.port : 0;
      for (const verify of [true, false]) {
        const recorder = await visit(plainPort, { ...trusting, verify });
        expect([recorder.events, recorder.tls]).toEqual([['connectError'], true]);
      }
      const nonsense = await visit(serve(good), { ...trusting, ca: 'nonsense' });
      expect([nonsense.events, nonsense.tls]).toEqual([['connectError'], true]);
    });

    test('SNI carries the server name', async () => {
      const names: string[] = [];
      const server = tls.createServer({
        ...good,
        SNICallback(name, answer) {
          names.push(name);
          answer(null, tls.createSecureContext(name === 'other.test' ? other : good));
        },
      });
      server.on('secureConnection', (socket) => {
        socket.on('error', () => undefined);
        socket.end('x');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      cleanups.push(() => server.close());
      const place = server.address();
      const port = place !== null && typeof place === 'object' ? place.port : 0;
      for (const serverName of ['good.test', 'other.test']) {
        expect((await visit(port, { ...trusting, serverName })).bytes.toString()).toBe('x');
      }
      expect(names).toEqual(['good.test', 'other.test']);
    });

    test('client certificates: asked for, checked, presented', async () => {
      const port = serve(good, ca);
      expect((await visit(port, { ...trusting, ...client })).bytes.toString()).toEndWith('secret');
      for (const pair of [{ cert: null, key: null }, stranger]) {
        const refused = await visit(port, { ...trusting, ...pair });
        expect(refused.bytes.toString()).not.toContain('secret');
      }
    });

    test('large transfers survive short writes and pauses', async () => {
      const body = pattern(6 * 1024 * 1024);
      const listener = listenWith(echo, { tls: { ...good, clientCa: null }, bodyBytesMax: body.length });
      const exchange = sendRequest(
        { connect: (address, _none, handler) => runtime.connect(address, trusting, handler) },
        { host: '127.0.0.1', port: listener.port },
        { method: 'POST', path: '/', body },
      );
      await until('the head', () => exchange.state !== 'waiting');
      exchange.pause();
      await sleep(30);
      exchange.resume();
      await until('the reply', () => exchange.state === 'whole');
      expect(Buffer.compare(exchange.bytes(), body)).toBe(0);
    });
  });

  describe(`children on ${name}`, () => {
    test('a bad directory, a file that is no program, a missing program: what to do is said', () => {
      const cases: [string, string | null, string][] = [
        ['sh', '/no/such/directory', '"/no/such/directory" does not exist'],
        ['/etc/passwd', null, 'may not be executed'],
        ['/no/such/program', null, 'was not found'],
      ];
      for (const [command, cwd, said] of cases) {
        let error: unknown = null;
        try {
          runtime.spawn({ command, args: [], cwd, env: ENV }, new ChildRecorder());
        } catch (thrown) {
          error = thrown;
        }
        expect(error instanceof GatewayError && error.code).toBe('GW_UPSTREAM_SPAWN');
        expect(String(error)).toContain(said);
      }
    });

    test('directory, arguments and environment arrive as given', async () => {
      const recorder = new ChildRecorder();
      const script = 'printf "%s|%s|%s|" "$PWD" "$1" "$SECRET"; env | wc -l';
      runtime.spawn(
        { command: 'sh', args: ['-c', script, 'sh', 'a b "c" $d'], cwd: '/', env: { ...ENV, SECRET: 's' } },
        recorder,
      );
      await until('it ended', () => recorder.exited);
      // PATH and SECRET; sh itself adds PWD.
      expect(recorder.out.trim()).toMatch(/^\/\|a b "c" \$d\|s\|\s*[23]$/);
    });

    test('kill reaches the whole group, and the end of a leader ends the rest', async () => {
      for (const how of ['kill', 'exit'] as const) {
        const recorder = new ChildRecorder();
        const last = how === 'kill' ? 'wait' : 'exit 4';
        const child = runtime.spawn(
          { command: 'sh', args: ['-c', `sleep 300 & echo $!; ${last}`], cwd: null, env: ENV },
          recorder,
        );
        await until('the grandchild is known', () => recorder.out.endsWith('\n'));
        if (how === 'kill') child.kill('SIGTERM');
        await until('it ended', () => recorder.exited);
        await until('the grandchild is gone', () => !isRunning(Number(recorder.out)));
        expect([recorder.code, recorder.signal]).toEqual(how === 'kill' ? [null, 'SIGTERM'] : [4, null]);
      }
    });

    test('output held open by a process that left the group does not hold up onExit', async () => {
      const recorder = new ChildRecorder();
      const script =
        'setsid sh -c "echo $$ >/dev/null; exec sleep 300" & sleep 0.1; pgrep -n -x sleep >/dev/null; echo gone; exit 0';
      runtime.spawn({ command: 'sh', args: ['-c', script], cwd: null, env: ENV }, recorder);
      await until('it ended', () => recorder.exited);
      expect(recorder.out).toBe('gone\n');
      for (const pid of descendants(1).concat(descendants(process.pid))) {
        if (commandOf(pid) === 'sleep 300') process.kill(pid, 'SIGKILL');
      }
    });

    test('children inherit nothing but their three streams', async () => {
      listenWith(echo);
      const recorder = new ChildRecorder();
      runtime.spawn({ command: 'ls', args: ['/proc/self/fd'], cwd: null, env: ENV }, recorder);
      await until('it ended', () => recorder.exited);
      // 3 is the directory that ls itself reads.
      expect(recorder.out.trim().split(/\s+/)).toEqual(['0', '1', '2', '3']);
    });
  });

  /** True while a process runs (a zombie does not). */
  function isRunning(pid: number): boolean {
    try {
      return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return false;
    }
  }

  function commandOf(pid: number): string {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    } catch {
      return '';
    }
  }

  /** Every process below a process. */
  function descendants(root: number): number[] {
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]));
      } catch {
        // It ended between the listing and the look.
      }
    }
    const below: number[] = [];
    const visit = (pid: number): void => {
      for (const [one, parent] of parents) {
        if (parent !== pid) continue;
        below.push(one);
        visit(one);
      }
    };
    visit(root);
    return below;
  }

  describe(`no orphans on ${name}`, () => {
    const start = (): Program => {
      const gateway = startProgram('orphans');
      cleanups.push(() => void gateway.child.kill('SIGKILL'));
      return gateway;
    };

    const ends: Readonly<Record<string, ({ child }: Program) => void>> = {
      SIGKILL: ({ child }) => void child.kill('SIGKILL'),
      SIGTERM: ({ child }) => void child.kill('SIGTERM'),
      'SIGINT to its whole group, as a terminal does': ({ child }) =>
        void process.kill(-(child.pid ?? 0), 'SIGINT'),
      'process.exit': ({ child }) => void child.stdin.write('exit\n'),
      'an uncaught error': ({ child }) => void child.stdin.write('throw\n'),
    };

    test(`however the gateway ends: ${Object.keys(ends).join(', ')}`, async () => {
      const runs = Object.entries(ends).map(async ([how, end]) => {
        const gateway = start();
        await until('it runs', () => gateway.out().includes('running'));
        const said = gateway.out();
        const family = descendants(gateway.child.pid ?? 0);
        // Three children, three grandchildren and the reaper at least (their sleeps come and go).
        expect([how, said.trim(), family.length >= 7]).toEqual([how, '"running"', true]);
        end(gateway);
        await gateway.ended;
        await until(`all are gone after ${how}, the reaper too`, () => !family.some(isRunning));
      });
      await Promise.all(runs);
    }, 40_000);
  });

  describe(`the streams of a process on ${name}`, () => {
    test('stdout loses nothing to a slow reader, though the process exits at once', async () => {
      const { child, ended, outBytes, err } = startProgram('stdout', { isSlow: true });
      await sleep(300);
      child.stdout.resume();
      await ended;
      expect(Buffer.compare(outBytes(), pattern(4 * 1024 * 1024))).toBe(0);
      expect(err()).toBe('last words\n');
    });

    test('stdin is read to its end', async () => {
      const { child, ended, out } = startProgram('stdin');
      child.stdin.end(pattern(300_000));
      expect(await ended).toBe(0);
      expect(out()).toBe('{"count":300000}\n');
    });

    test('a timer does not keep the process alive', async () => {
      const { ended, out } = startProgram('timer');
      expect(await ended).toBe(0);
      expect(out()).toBe('"soon"\n');
    });
  });

  describe(`worker threads on ${name}`, () => {
    const start = () => {
      const heard: unknown[] = [];
      const exits: (string | null)[] = [];
      const worker = runtime.startWorker(threadUrl, {
        onMessage: (message) => void heard.push(message),
        onExit: (error) => void exits.push(error),
      });
      cleanups.push(() => worker.terminate());
      return { worker, heard, exits };
    };

    test('messages in order, shared memory shared; terminate ends without error, once', async () => {
      expect(runtime.scope).toBeNull();
      const { worker, heard, exits } = start();
      const shared = new SharedArrayBuffer(8);
      worker.post('early');
      worker.post({ shared });
      worker.post('last');
      await until('all came back', () => heard.length === 4);
      expect(heard[0]).toBe('ready');
      expect([heard[1], heard[3]]).toEqual([
        ['echo', 'early'],
        ['echo', 'last'],
      ]);
      worker.terminate();
      worker.terminate();
      await until('it ended', () => exits.length > 0);
      await sleep(20);
      expect(exits).toEqual([null]);
      worker.post('nobody');
    });

    test('a line between two threads: both hear what the other says, also what was said before it came', async () => {
      const [near, far] = runtime.channel();
      const one = start();
      const two = start();
      near.post('early');
      one.worker.post('one', [near]);
      await sleep(20);
      two.worker.post('two', [far]);
      await until('both heard', () => one.heard.length === 2 && two.heard.length === 3);
      expect(one.heard).toEqual(['ready', ['heard', ['from', 'two']]]);
      expect(two.heard).toEqual(['ready', ['heard', 'early'], ['heard', ['from', 'one']]]);
    });

    test('a line to a thread that has ended swallows what is said; closing it ends it for both', async () => {
      const [near, far] = runtime.channel();
      const heard: unknown[] = [];
      near.onMessage((message) => heard.push(message));
      const { worker, exits } = start();
      worker.post('thread', [far]);
      await until('it spoke', () => heard.length === 1);
      worker.terminate();
      await until('it ended', () => exits.length === 1);
      near.post('nobody');
      near.close();
      near.post('still nobody');
      const [open, closed] = runtime.channel();
      const late: unknown[] = [];
      open.onMessage((message) => late.push(message));
      closed.close();
      closed.post('lost');
      await sleep(20);
      expect([heard, late]).toEqual([[['from', 'thread']], []]);
    });

    test('a port of another make is refused', () => {
      const { worker } = start();
      const foreign = { post() {}, onMessage() {}, close() {} };
      expect(() => worker.post('x', [foreign])).toThrow('a port goes to a thread');
    });

    test('at least one thread can run', () => {
      expect(runtime.heapBytes()).toBeGreaterThan(0);
      expect(runtime.usage().rssBytes).toBeGreaterThan(runtime.heapBytes());
      expect(runtime.usage().cpuUserMs).toBeGreaterThan(0);
      expect(runtime.parallelism).toBeGreaterThanOrEqual(1);
      expect(runtime.parallelism).toBeLessThanOrEqual(cpus().length);
      expect(
        ['max 100000\n', '150000 100000\n', '50000 100000\n', '0 100000', ''].map(processorsOfShare),
      ).toEqual([Number.POSITIVE_INFINITY, 2, 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
    });

    test('an uncaught error and an exit are told', async () => {
      for (const [message, told] of [
        ['throw', 'expected by this test'],
        ['exit', 'code 3'],
      ]) {
        const { worker, heard, exits } = start();
        await until('it runs', () => heard.length === 1);
        worker.post(message);
        await until('it ended', () => exits.length > 0);
        expect(exits.length).toBe(1);
        expect(exits[0]).toContain(told ?? '');
      }
    });

    test('the children of a thread end with it, however it ends', async () => {
      for (const how of ['terminate', 'throw', 'exit']) {
        const { worker, heard, exits } = start();
        worker.post('spawn');
        await until('the child runs', () => heard.length === 2);
        const family = descendants(process.pid).filter((pid) => commandOf(pid).startsWith('/bin/sh -c trap'));
        expect(family).toContain(Number(heard[1]));
        if (how === 'terminate') worker.terminate();
        else worker.post(how);
        await until('the thread ended', () => exits.length === 1);
        await until('child and reaper are gone', () => !isRunning(Number(heard[1])));
        expect(heard.length).toBe(2);
      }
    }, 30_000);

    test('a module that is not there ends with its reason', async () => {
      const exits: (string | null)[] = [];
      runtime.startWorker('file:///no/such/module.ts', {
        onMessage: () => undefined,
        onExit: (error) => void exits.push(error),
      });
      await until('it ended', () => exits.length > 0);
      expect(exits[0]).toContain('module.ts');
    });
  });
}
