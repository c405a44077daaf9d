// The HTTP/1.1 connection over a socket double: however requests are cut and pipelined and however little the kernel takes at a time, the handler sees the same
// requests and the client the same replies, in order. Run by `bun test`; no sockets, and fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/base/errors.ts';
import type { Reply, RequestHandler } from '../../src/runtime/runtime.ts';
import { connectionOver, SocketDouble } from '../fixtures/raw-socket.ts';

const RUNS = 300;

interface Case {
  readonly body: string;
  readonly chunk: number;
  readonly reads: boolean;
  readonly streams: boolean;
  readonly turns: number;
}

const CASE = fc.record<Case>({
  body: fc.string({ maxLength: 300, unit: fc.constantFrom('a', '\r', '\n', '0', 'GET / HTTP/1.1\r\n\r\n') }),
  /** 0: with its length. */
  chunk: fc.integer({ min: 0, max: 40 }),
  reads: fc.boolean(),
  streams: fc.boolean(),
  turns: fc.integer({ min: 0, max: 2 }),
});

function spell(one: Case, index: number): string {
  const start = `POST /${index}${one.reads ? '?read' : ''} HTTP/1.1\r\nhost: a\r\nx-case: ${one.streams ? 's' : 'w'}${one.turns}\r\n`;
  if (one.chunk === 0) return `${start}content-length: ${one.body.length}\r\n\r\n${one.body}`;
  let chunks = '';
  for (let at = 0; at < one.body.length; at += one.chunk) {
    const piece = one.body.slice(at, at + one.chunk);
    chunks += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${start}transfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

const handler: RequestHandler = (inbound): Reply | Promise<Reply> => {
  const [kind = '', count = ''] = inbound.header('x-case') ?? '';
  const early = count === '1' ? inbound.wholeBody : null;
  const said =
    inbound.query === 'read' && early === null
      ? inbound.readBody()
      : Promise.resolve(early !== null && inbound.query === 'read' ? early : new Uint8Array(0));
  const path = `${inbound.method} ${inbound.path}`;
  const reply = (body: Uint8Array): Reply => {
    const bytes = Buffer.from(`${path}:${Buffer.from(body).toString('latin1')}`, 'latin1');
    if (kind === 'w') return { status: 200, headers: { 'x-path': inbound.path }, body: bytes };
    return {
      status: 200,
      headers: { 'x-path': inbound.path },
      body: {
        open(sink) {
          sink.write(bytes.subarray(0, 3));
          void turns(Number(count)).then(() => {
            sink.write(bytes.subarray(3));
            sink.end();
          });
        },
      },
    };
  };
  if (count === '0' && inbound.query !== 'read') return reply(new Uint8Array(0));
  return said.then(async (body) => {
    await turns(Number(count));
    return reply(body);
  });
};

/** Splits what was sent into bodies. */
function bodiesOf(sent: string): string[] {
  const bodies: string[] = [];
  let at = 0;
  while (at < sent.length) {
    const end = sent.indexOf('\r\n\r\n', at) + 4;
    const head = sent.slice(at, end);
    expect(head).toStartWith('HTTP/1.1 200 OK\r\n');
    at = end;
    const length = /content-length: (\d+)/.exec(head)?.[1];
    if (length !== undefined) {
      bodies.push(sent.slice(at, at + Number(length)));
      at += Number(length);
      continue;
    }
    let body = '';
    for (;;) {
      const line = sent.indexOf('\r\n', at);
      const size = Number.parseInt(sent.slice(at, line), 16);
      body += sent.slice(line + 2, line + 2 + size);
      at = line + 2 + size + 2;
      if (size === 0) break;
    }
    bodies.push(body);
  }
  return bodies;
}

test('requests come out whole and replies go out in order, however they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(CASE, { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 }),
      fc
        .array(fc.integer({ min: 0, max: 60 }), { maxLength: 4 })
        .filter((takes) => takes.length === 0 || takes.some((n) => n > 0)),
      fc.boolean(),
      async (cases, cuts, takes, waits) => {
        const faults: unknown[] = [];
        const socket = new SocketDouble(takes);
        const made = connectionOver(socket, handler, faults);
        const bytes = Buffer.from(cases.map(spell).join(''), 'latin1');
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const end = at + (cuts[turn % cuts.length] ?? 1);
          made.data(bytes.subarray(at, end));
          at = end;
          if (waits) await turns(1);
        }
        const expected = cases.map((one, index) => `POST /${index}:${one.reads ? one.body : ''}`);
        for (let i = 0, quiet = 0; i < 4_000 && quiet < 12; i++) {
          const before = socket.sent.length;
          made.drain();
          await turns(1);
          quiet = socket.sent.length === before ? quiet + 1 : 0;
        }
        expect(faults).toEqual([]);
        expect(bodiesOf(socket.sent)).toEqual(expected);
        expect(socket.ended).toBe(false);
      },
    ),
    { numRuns: RUNS },
  );
}, 60_000);

test('ten thousand requests in one read, answered at once, do not pile up on the stack', () => {
  const socket = new SocketDouble([]);
  const made = connectionOver(socket, () => ({ status: 200, headers: {}, body: null }));
  made.data(Buffer.from('GET / HTTP/1.1\r\nhost:\r\n\r\n'.repeat(10_000)));
  expect(socket.sent.match(/HTTP\/1\.1 200 OK/g)?.length).toBe(10_000);
});

test('malformed chunks: the body fails, the client gets a bare 400, and nothing after it is a request', async () => {
  const socket = new SocketDouble([]);
  let seen = '';
  let requests = 0;
  const made = connectionOver(socket, (inbound) => {
    requests++;
    inbound.onAbort(() => {
      seen += 'abort ';
    });
    return inbound.readBody().then(
      () => ({ status: 200, headers: {}, body: null }),
      (error: unknown) => {
        seen += error instanceof GatewayError ? error.code : String(error);
        return { status: 200, headers: {}, body: null };
      },
    );
  });
  made.data(
    Buffer.from('POST / HTTP/1.1\r\nhost:\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nGET / HTTP/1.1\r\n\r\n'),
  );
  made.data(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  await turns(2);
  expect([requests, seen, socket.ended]).toEqual([1, 'abort GW_SERVER_BODY_ABORTED', true]);
  expect(socket.sent).toBe('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
});

test('a body that nobody wants is skipped, up to a bound', async () => {
  const refuse: RequestHandler = () => ({ status: 404, headers: {}, body: null });
  const small = new SocketDouble([]);
  const one = connectionOver(small, refuse);
  one.data(Buffer.from(`POST / HTTP/1.1\r\nhost:\r\ncontent-length: 50000\r\n\r\n`));
  for (let i = 0; i < 5; i++) one.data(Buffer.alloc(10_000, 'GET / HTTP/1.1\r\n\r\n'));
  one.data(Buffer.from('GET / HTTP/1.1\r\nhost:\r\n\r\n'));
  await turns(1);
  expect([small.sent.match(/404/g)?.length, small.ended]).toEqual([2, false]);
  const large = new SocketDouble([]);
  const other = connectionOver(large, refuse);
  other.data(Buffer.from(`POST / HTTP/1.1\r\nhost:\r\ncontent-length: 500000000\r\n\r\n`));
  for (let i = 0; i < 30 && !large.ended; i++) other.data(Buffer.alloc(100_000));
  expect(large.ended).toBe(true);
});
