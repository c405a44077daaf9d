// What the listener on raw sockets does with requests that try to be read in two ways, with clients that stall, and with those that leave.
// Run by bun test. Promises: real sockets where the kernel matters, a double where only bytes do; waits for events, asserts no durations.
import { afterEach, describe, expect, test } from 'bun:test';
import net from 'node:net';
import { GatewayError } from '../../src/base/errors.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Listener, ListenOptions, Reply, RequestHandler } from '../../src/runtime/runtime.ts';
import { connectionOver, DOUBLE_BODY_BYTES_MAX, SocketDouble } from '../fixtures/raw-socket.ts';
import { LISTEN } from './runtime.ts';
import { text } from './runtime-recorders.ts';

const runtime = createBunRuntime();
const listeners: Listener[] = [];
const clients: net.Socket[] = [];

afterEach(() => {
  for (const listener of listeners.splice(0)) listener.stop();
  for (const client of clients.splice(0)) client.destroy();
});

function listen(handler: RequestHandler, options: Partial<ListenOptions> = {}): Listener {
  const listener = runtime.listen({ ...LISTEN, transport: 'sockets', ...options }, handler);
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

/** A client that keeps its side open until it is told otherwise. */
class Client {
  got = '';
  ended = false;
  closed = false;
  readonly socket: net.Socket;

  constructor(port: number, bytes: string) {
    this.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    clients.push(this.socket);
    this.socket.on('data', (more) => {
      this.got += more.toString('latin1');
    });
    this.socket.on('end', () => {
      this.ended = true;
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('error', () => undefined);
    this.socket.write(bytes, 'latin1');
  }
}

/** Says what the body was, or why there is none. */
const echo: RequestHandler = (inbound) => {
  const whole = inbound.wholeBody;
  const reply = (body: Uint8Array): Reply => ({ status: 200, headers: {}, body });
  if (whole !== null) return reply(whole);
  return inbound.readBody().then(reply, (error: unknown) => ({
    status: error instanceof GatewayError ? error.row.http : 500,
    headers: {},
    body: null,
  }));
};

async function turns(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Statuses of all replies to some bytes, given whole and given byte by byte; they must not differ. */
async function statusesOf(bytes: string, handler = echo): Promise<{ statuses: string[]; sent: string }> {
  const results: { statuses: string[]; sent: string }[] = [];
  for (const step of [bytes.length, 1]) {
    const socket = new SocketDouble();
    const made = connectionOver(socket, handler);
    for (let at = 0; at < bytes.length; at += step)
      made.data(Buffer.from(bytes.slice(at, at + step), 'latin1'));
    await turns();
    const statuses = [...socket.sent.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1] ?? '');
    results.push({ statuses: [...statuses, socket.ended ? 'end' : 'open'], sent: socket.sent });
  }
  const [whole = { statuses: [], sent: '' }, cut] = results;
  expect(cut?.statuses).toEqual(whole.statuses);
  return whole;
}

const CHUNKED = 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n';
const NEXT = 'GET /next HTTP/1.1\r\nhost: a\r\n\r\n';

describe('chunks', () => {
  test.each([
    ['one', '5\r\nhello\r\n0\r\n\r\n'],
    ['two', '2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n'],
    ['an extension', '5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n'],
    ['leading zeros', '00000005\r\nhello\r\n000\r\n\r\n'],
    ['trailers, which count for nothing', '5\r\nhello\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n\r\n'],
  ])('taken: %s', async (_what, chunks) => {
    const { statuses, sent } = await statusesOf(CHUNKED + chunks + NEXT);
    expect(statuses).toEqual(['200', '200', 'open']);
    expect(sent).toContain('\r\n\r\nhello');
  });

  test.each([
    ['a blank before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a blank behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a tab behind the size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['a plus', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a minus', '-5\r\nhello\r\n0\r\n\r\n'],
    ['0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['an underscore', '0_5\r\nhello\r\n0\r\n\r\n'],
    ['no size', '\r\nhello\r\n0\r\n\r\n'],
    ['an extension without a size', ';a\r\nhello\r\n0\r\n\r\n'],
    ['no digit', 'g\r\nhello\r\n0\r\n\r\n'],
    ['nine digits', '000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size beyond 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR behind the size', '5\rhello\r\n0\r\n\r\n'],
    ['two CR behind the size', '5\r\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF in an extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['a bare CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['a NUL in an extension', '5;\0\r\nhello\r\n0\r\n\r\n'],
    ['an endless extension', `5;${'a'.repeat(300)}\r\nhello\r\n0\r\n\r\n`],
    ['data longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
    ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the data', '5\r\nhello\n0\r\n\r\n'],
    ['nothing behind the data', '5\r\nhello0\r\n\r\n'],
    ['a last chunk with bare LF', '5\r\nhello\r\n0\n\n'],
    ['a bare LF for the last line', '5\r\nhello\r\n0\r\n\n'],
    ['a trailer without a colon', '5\r\nhello\r\n0\r\nx\r\n\r\n'],
    ['a trailer with a blank before the colon', '5\r\nhello\r\n0\r\nx : y\r\n\r\n'],
    ['a folded trailer', '5\r\nhello\r\n0\r\nx: y\r\n z\r\n\r\n'],
    ['endless trailers', `5\r\nhello\r\n0\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`],
  ])('refused, and nothing behind is a request: %s', async (_what, chunks) => {
    expect((await statusesOf(CHUNKED + chunks + NEXT)).statuses).toEqual(['400', 'end']);
  });

  test.each(['7fffffff', 'ffffffff', (DOUBLE_BODY_BYTES_MAX + 1).toString(16)])(
    'a chunk of 0x%s bytes is too large before it has come',
    async (size) => {
      const { statuses } = await statusesOf(`${CHUNKED}${size}\r\nhello`);
      expect(['413', '400']).toContain(statuses[0] ?? '');
      expect(statuses).toHaveLength(2);
      expect(statuses[1]).toBe('end');
    },
  );

  test('chunks that are too large together', async () => {
    const chunk = `1000\r\n${'a'.repeat(0x1000)}\r\n`;
    expect((await statusesOf(`${CHUNKED}${chunk.repeat(3)}0\r\n\r\n${NEXT}`)).statuses).toEqual([
      '413',
      'end',
    ]);
  });
});

describe('heads', () => {
  test.each([
    [
      'bytes beyond a length are the next request',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok',
    ],
    ['a body of a GET is no request', 'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok'],
    [
      'what looks like a request in a body is none',
      `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${NEXT.length}\r\n\r\n${NEXT}`,
    ],
    ['no length is no body', 'POST / HTTP/1.1\r\nhost: a\r\n\r\n'],
    [
      'an offer to upgrade is not taken',
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n',
    ],
    [
      'a web socket is not opened',
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    ],
    ['a CONNECT with a path is a request like others', 'CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n'],
  ])('%s', async (_what, first) => {
    expect((await statusesOf(first + NEXT)).statuses).toEqual(['200', '200', 'open']);
  });

  test.each([
    ['Connection: close', 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\n\r\n'],
    ['HTTP/1.0 that asks to stay', 'GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n'],
  ])('the last request of a connection: %s', async (_what, first) => {
    const { statuses, sent } = await statusesOf(first + NEXT);
    expect(statuses).toEqual(['200', 'end']);
    expect(sent.match(/connection: close\r\n/g)?.length).toBe(1);
  });

  test('HTTP/1.0 gets no chunks: a stream ends with the connection', async () => {
    const { sent, statuses } = await statusesOf('GET / HTTP/1.0\r\n\r\n', () => ({
      status: 200,
      headers: {},
      body: {
        open(sink) {
          sink.write(text('one '));
          void turns(1).then(() => {
            sink.write(text('two'));
            sink.end();
          });
        },
      },
    }));
    expect(statuses).toEqual(['200', 'end']);
    expect(sent).toBe('HTTP/1.1 200 OK\r\nconnection: close\r\ndate: now\r\n\r\none two');
  });

  test('a head that is no request is a bare 400, and nothing behind it is a request', async () => {
    expect((await statusesOf(`GET / HTTP/1.1\r\nhost : a\r\n\r\n${NEXT}`)).statuses).toEqual(['400', 'end']);
    expect((await statusesOf(`GET / HTTP/1.1\nhost: a\n\n${NEXT}`)).statuses).toEqual(['400', 'end']);
    expect((await statusesOf(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${NEXT}`)).statuses).toEqual(['400', 'end']);
  });

  test.each([
    [16 * 1024, ['200', 'open']],
    [16 * 1024 + 1, ['431', 'end']],
    [100 * 1024, ['431', 'end']],
  ])('a head of %d bytes', async (size, expected) => {
    const start = 'GET / HTTP/1.1\r\nhost: a\r\nx: ';
    const bytes = `${start.padEnd(size - 4, 'y')}\r\n\r\n`;
    expect((await statusesOf(bytes)).statuses).toEqual(expected);
  });

  test('the length of a body that is announced as too large is refused before it comes', async () => {
    const announced = `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${DOUBLE_BODY_BYTES_MAX + 1}\r\n\r\n`;
    expect((await statusesOf(announced)).statuses).toEqual(['413', 'open']);
  });
});

describe('Expect: 100-continue', () => {
  const asking = (version: string): string =>
    `POST / HTTP/${version}\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n`;

  test('is answered when the body is wanted', async () => {
    const { statuses } = await statusesOf(asking('1.1'));
    expect(statuses).toEqual(['100', 'open']);
    const socket = new SocketDouble([7, 3]);
    const made = connectionOver(socket, echo);
    made.data(Buffer.from(asking('1.1')));
    for (let i = 0; i < 9; i++) made.drain();
    expect(socket.sent).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    made.data(Buffer.from('hello'));
    await turns();
    for (let i = 0; i < 40; i++) made.drain();
    expect(socket.sent).toEndWith('\r\n\r\nhello');
  });

  test('is not answered to HTTP/1.0', async () => {
    expect((await statusesOf(asking('1.0'))).statuses).toEqual(['open']);
  });

  test('a refusal without the body ends the connection: what follows may be the body or a request', async () => {
    const refuse: RequestHandler = () => ({ status: 415, headers: {}, body: null });
    for (const follows of ['hello', NEXT]) {
      const socket = new SocketDouble();
      const made = connectionOver(socket, refuse);
      made.data(Buffer.from(asking('1.1')));
      made.data(Buffer.from(follows));
      expect([socket.sent.match(/HTTP\/1\.1/g)?.length, socket.ended]).toEqual([1, true]);
      expect(socket.sent).toContain('connection: close\r\n');
    }
  });
});

describe('pipelining', () => {
  test('replies keep the order of the requests, whichever is ready first', async () => {
    const answers = new Map<string, (reply: Reply) => void>();
    const seen: string[] = [];
    const socket = new SocketDouble();
    const made = connectionOver(socket, (inbound) => {
      const { path } = inbound;
      seen.push(path);
      return new Promise((resolve) => answers.set(path, resolve));
    });
    made.data(Buffer.from(['/1', '/2', '/3'].map((path) => NEXT.replace('/next', path)).join('')));
    for (const path of ['/1', '/2', '/3']) {
      // One at a time: no request begins before the reply to the one before is out.
      expect(seen.at(-1)).toBe(path);
      answers.get(path)?.({ status: 200, headers: { 'x-path': path }, body: null });
      await turns();
    }
    expect([...socket.sent.matchAll(/x-path: (\S+)/g)].map((match) => match[1])).toEqual(['/1', '/2', '/3']);
  });

  test('what comes ahead is bounded: the client is not read on, until its turn comes', async () => {
    let answer: (reply: Reply) => void = () => undefined;
    const socket = new SocketDouble();
    const made = connectionOver(socket, (inbound) =>
      inbound.path === '/slow'
        ? new Promise<Reply>((resolve) => {
            answer = resolve;
          })
        : { status: 200, headers: {}, body: null },
    );
    made.data(Buffer.from(NEXT.replace('/next', '/slow')));
    let count = 0;
    while (!socket.paused && count < 100_000) {
      made.data(Buffer.from(NEXT));
      count++;
    }
    expect(count * NEXT.length).toBeLessThanOrEqual(64 * 1024 + NEXT.length);
    answer({ status: 200, headers: {}, body: null });
    await turns();
    expect([socket.paused, socket.sent.match(/HTTP\/1\.1 200/g)?.length]).toEqual([false, count + 1]);
  });
});

describe('clients that stall', () => {
  test.each([
    ['a head', 'GET / HTTP/1.1\r\nx: ', 'y'],
    ['a body', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9000\r\n\r\n', 'y'],
    ['a chunk', `${CHUNKED}2000\r\n`, 'y'],
    ['nothing at all', '', ''],
  ])(
    '%s that drips does not keep a connection',
    async (_what, start, drop) => {
      const outcomes: string[] = [];
      const listener = listen(
        (inbound) =>
          inbound.readBody().then(
            () => ({ status: 200, headers: {}, body: null }),
            (error: unknown) => {
              outcomes.push(error instanceof GatewayError ? error.code : String(error));
              return { status: 400, headers: {}, body: null };
            },
          ),
        { idleTimeoutMs: 1_000 },
      );
      const client = new Client(listener.port, start);
      const drip = setInterval(() => client.socket.write(drop), 50);
      try {
        await until('it is cut off', () => client.closed || client.ended);
      } finally {
        clearInterval(drip);
      }
      expect(client.got).toBe('');
      if (start.startsWith('POST')) expect(outcomes).toEqual(['GW_SERVER_BODY_ABORTED']);
    },
    20_000,
  );

  test('a slow body that makes headway is taken', async () => {
    const listener = listen(echo, { idleTimeoutMs: 1_000, bodyBytesMax: 200_000 });
    const client = new Client(listener.port, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 160000\r\n\r\n');
    for (let i = 0; i < 8; i++) {
      await Bun.sleep(400);
      client.socket.write('y'.repeat(20_000));
    }
    await until('the reply', () => client.got.length > 160_000);
    expect(client.got).toStartWith('HTTP/1.1 200');
  }, 20_000);
});

describe('ends', () => {
  test('a client that still sends gets the refusal, whole, and then the end', async () => {
    const listener = listen((inbound) =>
      inbound.readBody().then(
        () => ({ status: 200, headers: {}, body: null }),
        () => ({ status: 413, headers: { connection: 'close' }, body: text('too large') }),
      ),
    );
    for (const head of [
      `${CHUNKED}7ffffff\r\n`,
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n',
    ]) {
      const client = new Client(listener.port, head);
      const more = Buffer.alloc(64 * 1024, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      for (let i = 0; i < 40 && !client.closed && !client.ended; i++) {
        client.socket.write(more);
        await Bun.sleep(1);
      }
      await until('the end', () => client.ended || client.closed);
      expect(client.got.match(/HTTP\/1\.1/g)?.length).toBe(1);
      expect(client.got).toEndWith('too large');
      client.socket.end();
    }
  });

  test('a client that never ends after we have is let go', async () => {
    const listener = listen(echo);
    const client = new Client(listener.port, `no request\r\n\r\n`);
    await until('the refusal and the end', () => client.ended);
    expect(client.got).toStartWith('HTTP/1.1 400');
    // It still has its own side open; a reset shows when it writes.
    const drip = setInterval(() => client.socket.write('y'), 50);
    await until('it is cut off', () => client.closed).finally(() => clearInterval(drip));
  }, 20_000);

  test('a half-close is a client that leaves; what could be answered at once was answered', async () => {
    const heard: string[] = [];
    const listener = listen((inbound) => {
      if (inbound.path === '/now') return { status: 200, headers: {}, body: text('now') };
      inbound.onAbort(() => heard.push('abort'));
      return new Promise<Reply>(() => undefined);
    });
    const now = new Client(listener.port, NEXT.replace('/next', '/now'));
    now.socket.end();
    await until('the reply and the end', () => now.ended);
    expect(now.got).toEndWith('now');
    const later = new Client(listener.port, NEXT);
    later.socket.end();
    await until('the abort is heard', () => heard.length > 0);
    await until('it is closed', () => later.ended);
    expect([heard, later.got]).toEqual([['abort'], '']);
  });

  test('clients that reset at every moment take nothing down', async () => {
    let isOpen = 0;
    const listener = listen((inbound) => {
      isOpen++;
      inbound.onAbort(() => isOpen--);
      if (inbound.path === '/stream')
        return {
          status: 200,
          headers: {},
          body: { open: (sink) => void sink.write(new Uint8Array(500_000)) },
        };
      return inbound.readBody().then(
        () => new Promise<Reply>(() => undefined),
        () => ({ status: 400, headers: {}, body: null }),
      );
    });
    const starts = ['', 'GET', `${CHUNKED}5\r\nhel`, `${NEXT}${NEXT}`, NEXT.replace('/next', '/stream')];
    for (let i = 0; i < 60; i++) {
      const client = new Client(listener.port, starts[i % starts.length] ?? '');
      await new Promise<void>((resolve) => client.socket.once('connect', () => resolve()));
      await Bun.sleep(i % 3);
      client.socket.resetAndDestroy();
    }
    await until('all are gone', () => isOpen === 0);
    const after = new Client(listener.port, `${CHUNKED}zz`);
    await until('it still serves', () => after.got.startsWith('HTTP/1.1 400'));
  }, 20_000);

  test('a drain waits for no body that nobody wants, and for no client that keeps its side open', async () => {
    const listener = listen(() => ({ status: 404, headers: {}, body: null }));
    const unread = new Client(
      listener.port,
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9000\r\n\r\nsome',
    );
    const bad = new Client(listener.port, 'no request\r\n\r\n');
    const silent = new Client(listener.port, 'GET');
    await until('two are answered', () => unread.got !== '' && bad.got !== '');
    await listener.drain();
    await until('all ended', () => unread.ended && bad.ended && silent.ended);
  });

  test('a GET that sends without end is cut off, and one whose stream runs gets nothing put into it', async () => {
    const listener = listen((inbound) => {
      inbound.onAbort(() => undefined);
      return {
        status: 200,
        headers: { 'content-type': 'text/event-stream' },
        body: { open: (sink) => void sink.write(text('data: 1\n\n')) },
      };
    });
    const endless = new Client(
      listener.port,
      'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n',
    );
    await until('the stream', () => endless.got.includes('data: 1'));
    const more = Buffer.alloc(256 * 1024);
    for (let i = 0; i < 40 && !endless.closed; i++) {
      endless.socket.write(more);
      await Bun.sleep(1);
    }
    await until('it is cut off', () => endless.closed || endless.ended);
    const broken = new Client(listener.port, CHUNKED);
    await until('the stream', () => broken.got.includes('data: 1'));
    broken.socket.write('zz');
    await until('it is cut off', () => broken.closed || broken.ended);
    expect(broken.got.match(/HTTP\/1\.1/g)?.length).toBe(1);
  });
});
