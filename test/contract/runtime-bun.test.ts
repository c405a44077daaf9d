// The runtime on Bun: what every real runtime has (runtime-machine.ts), and what Bun alone has: HTTP/2 and HTTP/3.
// Called by bun test. Promises: ends every process and socket it starts; asserts no durations.
import { afterEach, describe, expect, test } from 'bun:test';
import http2 from 'node:http2';
import { join } from 'node:path';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Listener, ListenOptions, ReplySink, RequestHandler } from '../../src/runtime/runtime.ts';
import { LISTEN } from './runtime.ts';
import { makeCertificates } from './runtime-certificates.ts';
import { machineContract } from './runtime-machine.ts';
import { sleep } from './runtime-real.ts';
import { text } from './runtime-recorders.ts';

const runtime = createBunRuntime();

machineContract({
  name: 'Bun',
  runtime,
  threadUrl: new URL('./runtime-thread.ts', import.meta.url).href,
  program: join(import.meta.dir, 'runtime-process.ts'),
  isUwsJs: false,
});

const certificates = makeCertificates();
const listeners: Listener[] = [];
const cleanups: (() => void)[] = [];

function listenWith(handler: RequestHandler, options: Partial<ListenOptions>): Listener {
  const listener = runtime.listen({ ...LISTEN, ...options }, handler);
  listeners.push(listener);
  return listener;
}

async function until(claim: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 15_000;
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

// Without openssl there are no certificates: makeCertificates() has printed that on stderr.
describe.skipIf(certificates === null)('HTTP/2 on Bun', () => {
  if (certificates === null) return;
  const { ca, good } = certificates;

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
    await sleep(50);
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
