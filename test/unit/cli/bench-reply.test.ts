// The reply reader of `sluice bench`: every framing, split at every offset, and every way to be wrong.
// Runs src/cli/bench/reply.ts and verdict.ts. Promises: a verdict is the same however the bytes were cut.
import { describe, expect, test } from 'bun:test';
import { ReplyReader } from '../../../src/cli/bench/reply.ts';
import { NO_ANSWER, verdictOf } from '../../../src/cli/bench/verdict.ts';

const ID = 100_000_042;
const RESULT = `{"result":{"content":[]},"jsonrpc":"2.0","id":${ID}}`;

function plain(body: string, head = '', status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function chunked(parts: readonly string[], type = 'application/json'): string {
  const chunks = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join('');
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}

function event(data: string): string {
  return `event: message\ndata: ${data}\n\n`;
}

interface Seen {
  readonly fault: string | null;
  readonly answered: boolean;
  readonly ended: boolean;
  readonly keepAlive: boolean;
  readonly session: string | null;
  readonly bytes: number;
}

function see(reader: ReplyReader): Seen {
  const { fault, answered, ended, keepAlive, session, bytes } = reader;
  return { fault, answered, ended, keepAlive, session, bytes };
}

/** Reads a reply cut into pieces; `closed`: the peer closes behind it. */
function read(
  pieces: readonly string[],
  given: { id?: number; closed?: boolean; reader?: ReplyReader } = {},
): Seen {
  const reader = given.reader ?? new ReplyReader();
  reader.begin(given.id ?? ID);
  for (const piece of pieces) if (piece !== '') reader.feed(Buffer.from(piece, 'latin1'));
  if (given.closed === true) reader.close();
  return see(reader);
}

const GOOD: Readonly<Record<string, string>> = {
  'a plain body': plain(RESULT),
  'a plain body with a session': plain(RESULT, 'Mcp-Session-Id: abc\r\n'),
  'a body behind 100 Continue': `HTTP/1.1 100 Continue\r\n\r\n${plain(RESULT)}`,
  'one chunk': chunked([RESULT]),
  'several chunks and an extension': chunked([
    RESULT.slice(0, 5),
    RESULT.slice(5, 30),
    RESULT.slice(30),
  ]).replace('\r\n\r\n5\r\n', '\r\n\r\n5;a=b\r\n'),
  trailers: chunked([RESULT]).replace(/\r\n$/, 'x-trailer: 1\r\n\r\n'),
  'an event stream': chunked([event(RESULT)], 'text/event-stream'),
  'events with CRLF in one chunk each': chunked(
    [
      ': hello\r\n\r\n',
      event('{"jsonrpc":"2.0","method":"notifications/progress"}'),
      event(RESULT).replaceAll('\n', '\r\n'),
    ],
    'text/event-stream; charset=utf-8',
  ),
  'an event stream with a length': plain(event(RESULT)).replace('application/json', 'text/event-stream'),
  'an answer in several data lines': chunked(
    ['data: {"result":{},\ndata: "jsonrpc":"2.0","id"', `:${ID}}\n\n`],
    'text/event-stream',
  ),
};

describe('good replies', () => {
  test.each(Object.entries(GOOD))('%s, cut at every offset and byte by byte', (_name, reply) => {
    const whole = read([reply]);
    expect(whole).toMatchObject({
      fault: null,
      answered: true,
      ended: true,
      keepAlive: true,
      bytes: reply.length,
    });
    for (let cut = 1; cut < reply.length; cut++)
      expect(read([reply.slice(0, cut), reply.slice(cut)])).toEqual(whole);
    expect(read([...reply])).toEqual(whole);
  });

  test('the session id is handed out', () => {
    expect(read([GOOD['a plain body with a session'] ?? '']).session).toBe('abc');
  });

  test('one after another on a connection, heads alike or not', () => {
    const reader = new ReplyReader();
    for (const id of [ID, ID + 1, ID + 2]) {
      for (const reply of Object.values(GOOD)) {
        const seen = read([reply.replaceAll(`${ID}`, `${id}`)], { id, reader });
        expect(seen).toMatchObject({ fault: null, ended: true });
      }
    }
  });

  test('a body without framing ends with the connection', () => {
    const reply = `HTTP/1.1 200 OK\r\n\r\n${RESULT}`;
    expect(read([reply])).toMatchObject({ answered: false, ended: false });
    expect(read([reply], { closed: true })).toMatchObject({ fault: null, ended: true, keepAlive: false });
  });

  test('an answer in a stream that goes on is seen before its end', () => {
    const reply = chunked([event(RESULT), event('{}')], 'text/event-stream');
    const at = reply.indexOf('\n\n\r\n') + 2;
    expect(read([reply.slice(0, at)])).toMatchObject({ fault: null, answered: true, ended: false });
  });

  test('a long body is judged by its two ends', () => {
    const text = 'x'.repeat(300_000);
    for (const body of [
      `{"result":{"content":[{"type":"text","text":"${text}"}]},"jsonrpc":"2.0","id":${ID}}`,
      `{"jsonrpc":"2.0","id":${ID},"result":{"content":[{"type":"text","text":"${text}"}]}}`,
    ]) {
      for (const reply of [plain(body), chunked([body.slice(0, 70_000), body.slice(70_000)])]) {
        for (const size of [1_000, 16_384, 65_536, 1_000_000]) {
          const pieces = Array.from({ length: Math.ceil(reply.length / size) }, (_, n) =>
            reply.slice(n * size, (n + 1) * size),
          );
          expect(read(pieces)).toMatchObject({ fault: null, ended: true, keepAlive: true });
        }
      }
    }
  });

  test('notifications and DELETE want a status only', () => {
    for (const status of ['202 Accepted', '204 No Content', '200 OK'])
      expect(read([`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`], { id: 0 }).fault).toBeNull();
    expect(read(['HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n'], { id: 0 }).fault).toBe('HTTP 405');
  });
});

describe('bad replies', () => {
  test.each([
    ['HTTP 503', plain('{}', '', '503 Busy'), true],
    ['error -32601', plain(`{"jsonrpc":"2.0","id":${ID},"error":{"code":-32601,"message":"no"}}`), true],
    ['tool error', plain(`{"jsonrpc":"2.0","id":${ID},"result":{"content":[],"isError": true}}`), true],
    [NO_ANSWER, plain(RESULT.replace(`${ID}`, `${ID}0`)), true],
    [NO_ANSWER, plain('{}'), true],
    ['error -32700', plain('{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}'), true],
    ['an event stream without the answer', chunked([event('{}')], 'text/event-stream'), true],
    ['bytes that nobody asked for', `${plain(RESULT)}HTTP/1.1 200 OK\r\n`, false],
    ['a head that is no HTTP/1.1', 'SSH-2.0-x\r\n\r\n', false],
    ['a head that is no HTTP/1.1', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n', false],
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`, false],
    ['a chunk size that is no number', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', false],
    ['a chunk of the wrong size', chunked([RESULT]).replace('\r\n0\r\n', 'X\r\n0\r\n'), false],
  ])('%s', (fault, reply, keepAlive) => {
    expect(read([reply])).toMatchObject({ fault, ended: true, keepAlive });
  });

  test('a connection that closes too early', () => {
    const reply = plain(RESULT);
    for (const cut of [0, 10, reply.length - 1])
      expect(read([reply.slice(0, cut)], { closed: true }).fault).toBe('closed before the reply was whole');
    expect(read([reply], { closed: true }).fault).toBeNull();
  });

  test('the peer asks for the connection to be closed', () => {
    expect(read([plain(RESULT, 'Connection: close\r\n')])).toMatchObject({ fault: null, keepAlive: false });
    expect(read([plain(RESULT).replace('1.1', '1.0')])).toMatchObject({ fault: null, keepAlive: false });
  });
});

test('text inside a reply is never taken for its fields', () => {
  const quoted = JSON.stringify(JSON.stringify({ error: { code: 1 }, isError: true, id: 1 }));
  expect(verdictOf(`{"result":{"content":[{"text":${quoted}}]},"id":${ID}}`, ID)).toBeNull();
  expect(verdictOf(`{"result" : {}, "id" : ${ID} }`, ID)).toBeNull();
  expect(verdictOf(`{"id":"${ID}","result":{}}`, ID)).toBe(NO_ANSWER);
});
