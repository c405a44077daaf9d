// What only the Bun runtime has: real TLS, HTTP/2, Unix sockets, keep-alive, threads, the process's own streams, orphans.
// Called by bun test. Promises: ends every process and socket it starts; asserts no durations.
import { afterEach, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { GatewayError } from '../../src/base/errors.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { processorsOfShare } from '../../src/runtime/bun-parallelism.ts';
import type {
  Listener,
  ListenOptions,
  ReplySink,
  RequestHandler,
  TlsConnectOptions,
} from '../../src/runtime/runtime.ts';
import { sendRequest } from '../../src/runtime/sim-client.ts';
import { LISTEN } from './runtime.ts';
import { makeCertificates } from './runtime-certificates.ts';
import { ChildRecorder, pattern, SocketRecorder, text } from './runtime-recorders.ts';

const runtime = createBunRuntime();
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
  const end = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${claim}`);
    await Bun.sleep(5);
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

describe.each(['uwebsockets', 'sockets'] as const)('listener on Bun: %s', (transport) => {
  const listen = (handler: RequestHandler, options: Partial<ListenOptions> = {}): Listener =>
    listenWith(handler, { transport, ...options });

  test('one connection serves many requests, pipelined ones too', async () => {
    const listener = listen(echo);
    const post = (body: string): string =>
      `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const client = raw(listener.port, post('one'));
    await until('the first reply', () => client.bytes.toString().endsWith('\r\n\r\none'));
    const more = text(post('two') + post('three'));
    client.socket?.write(more, 0, more.length);
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
      await Bun.sleep(1);
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
    await Bun.sleep(300);
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
  }, 20_000);

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
    await Bun.sleep(50);
    const drained = listener.drain();
    await until('the idle one is closed', () => idle.closed);
    await Bun.sleep(50);
    for (const one of slow) one.resume();
    await drained;
    await until('all closed', () => stuck.closed && slow.every((one) => one.state !== 'streaming'));
    for (const one of slow) expect([one.state, Buffer.compare(one.bytes(), body)]).toEqual(['whole', 0]);
  });

  test('a request whose handler never answers does not hold up a drain once its client left', async () => {
    const listener = listen(() => new Promise(() => undefined));
    const client = raw(listener.port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await until('connected', () => client.socket !== null);
    await Bun.sleep(20);
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
    const first = listen(echo, { reusePort: true });
    const second = listen(echo, { reusePort: true, port: first.port });
    expect(second.port).toBe(first.port);
  });
});

describe('listener on Bun with TLS', () => {
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

describe('sockets on Bun', () => {
  test('Unix sockets', async () => {
    const path = join(tmpdir(), `sluice-${process.pid}.sock`);
    const server = Bun.serve({ unix: path, fetch: () => new Response('over unix') });
    cleanups.push(() => {
      void server.stop(true);
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
describe.skipIf(certificates === null)('TLS on Bun', () => {
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
    await Bun.sleep(20);
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
    const plain = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open: (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
        data: () => undefined,
      },
    });
    cleanups.push(() => plain.stop(true));
    for (const verify of [true, false]) {
      const recorder = await visit(plain.port, { ...trusting, verify });
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
    server.on('secureConnection', (socket) => socket.end('x'));
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
    await Bun.sleep(30);
    exchange.resume();
    await until('the reply', () => exchange.state === 'whole');
    expect(Buffer.compare(exchange.bytes(), body)).toBe(0);
  });

  test('HTTP/2: bodies, streams, a client that cancels, a reply that breaks off', async () => {
    let aborted = 0;
    let stay: ReplySink | null = null;
    const listener = listenWith(
      (inbound) => {
        inbound.onAbort(() => aborted++);
        if (inbound.path === '/echo') return echo(inbound);
        return {
          status: 200,
          headers: { 'content-type': 'text/event-stream' },
          body: {
            open(sink) {
              sink.write(text('data: 1\n\n'));
              if (inbound.path === '/stay') stay = sink;
              if (inbound.path === '/break') runtime.clock.after(10, () => sink.fail());
            },
          },
        };
      },
      { tls: { ...good, clientCa: null }, http2: true },
    );
    const session = http2.connect(`https://127.0.0.1:${listener.port}`, { ca, servername: 'good.test' });
    cleanups.push(() => session.destroy());
    const ask = (path: string, body: string | null) => {
      const stream = session.request({ ':path': path, ':method': body === null ? 'GET' : 'POST' });
      const heard = { text: '', status: 0, ended: false, error: '' };
      stream.on('response', (headers) => {
        heard.status = Number(headers[':status']);
      });
      stream.on('data', (bytes) => {
        heard.text += bytes;
      });
      stream.on('end', () => {
        heard.ended = true;
      });
      stream.on('error', (error) => {
        heard.error = error.message;
      });
      stream.end(body ?? undefined);
      return { stream, heard };
    };
    const echoed = ask('/echo', 'over h2');
    await until('the echo', () => echoed.heard.ended);
    expect([echoed.heard.status, echoed.heard.text]).toEqual([200, 'over h2']);
    const left = ask('/leave', null);
    await until('the first event', () => left.heard.text === 'data: 1\n\n');
    left.stream.close(http2.constants.NGHTTP2_CANCEL);
    await until('the abort is heard', () => aborted === 1);
    const broken = ask('/break', null);
    await until('the break shows', () => broken.heard.error !== '');
    expect(aborted).toBe(1);
    const staying = ask('/stay', null);
    await until('it streams', () => staying.heard.text !== '' && stay !== null);
    const drained = listener.drain();
    await Bun.sleep(50);
    expect(staying.heard.error).toBe('');
    (stay as ReplySink | null)?.write(text('data: 2\n\n'));
    (stay as ReplySink | null)?.end();
    await until('it ended well', () => staying.heard.ended);
    expect(staying.heard.text).toBe('data: 1\n\ndata: 2\n\n');
    await drained;
  });
});

// As above.
describe.skipIf(certificates === null)('HTTP/3 on Bun', () => {
  test('the same listener answers HTTP/1.1, 2 and 3', async () => {
    if (certificates === null) return;
    const { ca, good } = certificates;
    const listener = listenWith(echo, { tls: { ...good, clientCa: null }, http2: true, http3: true });
    for (const protocol of ['http1.1', 'http2', 'http3'] as const) {
      const reply = await fetch(`https://127.0.0.1:${listener.port}/`, {
        method: 'POST',
        body: protocol,
        // fetch() knows no CA of its own choice over HTTP/3.
        tls: protocol === 'http3' ? { rejectUnauthorized: false } : { ca },
        protocol,
      });
      expect(await reply.text()).toBe(protocol);
    }
  });
});

describe('children on Bun', () => {
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

describe('no orphans', () => {
  const start = (): Bun.Subprocess<'pipe', 'pipe', 'ignore'> => {
    const gateway = Bun.spawn([process.execPath, join(import.meta.dir, 'runtime-process.ts'), 'orphans'], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'ignore',
      detached: true,
    });
    cleanups.push(() => gateway.kill('SIGKILL'));
    return gateway;
  };

  const ends: Readonly<Record<string, (gateway: ReturnType<typeof start>) => void>> = {
    SIGKILL: (gateway) => gateway.kill('SIGKILL'),
    SIGTERM: (gateway) => gateway.kill('SIGTERM'),
    'SIGINT to its whole group, as a terminal does': (gateway) => void process.kill(-gateway.pid, 'SIGINT'),
    'process.exit': (gateway) => void gateway.stdin.write('exit\n'),
    'an uncaught error': (gateway) => void gateway.stdin.write('throw\n'),
  };

  test(`however the gateway ends: ${Object.keys(ends).join(', ')}`, async () => {
    const runs = Object.entries(ends).map(async ([how, end]) => {
      const gateway = start();
      let said = '';
      for await (const bytes of gateway.stdout) {
        said += new TextDecoder().decode(bytes);
        if (said.includes('running')) break;
      }
      const family = descendants(gateway.pid);
      // Three children, three grandchildren and the reaper at least (their sleeps come and go).
      expect([how, said.trim(), family.length >= 7]).toEqual([how, '"running"', true]);
      end(gateway);
      await gateway.exited;
      await until(`all are gone after ${how}, the reaper too`, () => !family.some(isRunning));
    });
    await Promise.all(runs);
  }, 20_000);
});

describe("the process's own streams", () => {
  const run = (mode: string): Bun.Subprocess<'pipe', 'pipe', 'pipe'> =>
    Bun.spawn([process.execPath, join(import.meta.dir, 'runtime-process.ts'), mode], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    });

  test('stdout loses nothing to a slow reader, though the process exits at once', async () => {
    const child = run('stdout');
    await Bun.sleep(300);
    const [out, err] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
    ]);
    expect(Buffer.compare(out, pattern(4 * 1024 * 1024))).toBe(0);
    expect(err).toBe('last words\n');
  });

  test('stdin is read to its end', async () => {
    const child = run('stdin');
    child.stdin.write(pattern(300_000));
    await child.stdin.end();
    expect(await new Response(child.stdout).text()).toBe('{"count":300000}\n');
    expect(await child.exited).toBe(0);
  });

  test('a timer does not keep the process alive', async () => {
    const child = run('timer');
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stdout).text()).toBe('"soon"\n');
  });
});

describe('worker threads', () => {
  const start = () => {
    const heard: unknown[] = [];
    const exits: (string | null)[] = [];
    const worker = runtime.startWorker(new URL('./runtime-thread.ts', import.meta.url).href, {
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
    await Bun.sleep(20);
    expect(exits).toEqual([null]);
    worker.post('nobody');
  });

  test('a line between two threads: both hear what the other says, also what was said before it came', async () => {
    const [near, far] = runtime.channel();
    const one = start();
    const two = start();
    near.post('early');
    one.worker.post('one', [near]);
    await Bun.sleep(20);
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
    await Bun.sleep(20);
    expect([heard, late]).toEqual([[['from', 'thread']], []]);
  });

  test('a port of another make is refused', () => {
    const { worker } = start();
    const foreign = { post() {}, onMessage() {}, close() {} };
    expect(() => worker.post('x', [foreign])).toThrow('a port goes to a thread');
  });

  test('at least one thread can run', () => {
    expect(runtime.heapBytes()).toBeGreaterThan(0);
    expect(runtime.parallelism).toBeGreaterThanOrEqual(1);
    expect(runtime.parallelism).toBeLessThanOrEqual(navigator.hardwareConcurrency);
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
  }, 15_000);

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
