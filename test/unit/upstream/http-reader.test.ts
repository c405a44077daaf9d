// Replies as bytes: good ones however they are cut, hostile ones with their verdict, bounds exactly.
// Runs src/upstream/http-reader.ts and reply-head.ts with the portable scanner, without sockets.
import { describe, expect, test } from 'bun:test';
import { concat, decode, encode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { HEAD } from '../../../src/scan/contract.ts';
import { portableScanner } from '../../../src/scan/portable.ts';
import { READ, ReplyReader } from '../../../src/upstream/http-reader.ts';
import { findHeader, HEAD_NUMBERS, keepAliveMs, mediaOf } from '../../../src/upstream/reply-head.ts';

interface Outcome {
  head: string | null;
  body: string;
  /** 'end', 'junk' (an end with bytes behind it), 'more', or a code. */
  ending: string;
  /** More than one body event or an end in another turn than the head. */
  reusable: boolean;
}

/** Feeds pieces, and then the end of the connection if one is named. */
function read(pieces: readonly Uint8Array[], end?: 'clean' | 'broken'): Outcome {
  const head = new Int32Array(HEAD_NUMBERS);
  const reader = new ReplyReader(portableScanner(), head);
  const out: Outcome = { head: null, body: '', ending: 'more', reusable: false };
  const body: Uint8Array[] = [];
  let junk = false;
  for (const piece of pieces) {
    if (reader.complete || reader.fault !== null) {
      junk ||= reader.complete && piece.length > 0;
      continue;
    }
    if (piece.length === 0) continue;
    const event = reader.feed(piece);
    if (event === READ.head) {
      const [start, stop] = [head[HEAD.contentType] ?? -1, head[HEAD.contentType + 1] ?? -1];
      const type = start < 0 ? '' : decode(reader.headBytes, start, stop);
      out.head = `${head[HEAD.status]} ${type} ${mediaOf(head, reader.length === 0)} ${reader.length}`;
      out.reusable = reader.reusable;
    }
    if (event !== READ.nothing) body.push(reader.body);
    junk ||= reader.junk;
  }
  if (end !== undefined && !reader.complete && reader.fault === null)
    reader.endOfConnection(end === 'broken');
  out.body = decode(concat(body));
  out.ending = reader.fault ?? (reader.complete ? (junk ? 'junk' : 'end') : 'more');
  return out;
}

function cuts(bytes: Uint8Array): Uint8Array[][] {
  const all = [[...bytes].map((byte) => Uint8Array.of(byte))];
  for (let at = 0; at <= bytes.length; at++) all.push([bytes.slice(0, at), bytes.slice(at)]);
  return all;
}

const JSON_TYPE = 'content-type: application/json\r\n';
const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = 'transfer-encoding: chunked\r\n';

describe('good replies come out the same however they are cut', () => {
  const cases: readonly (readonly [string, string, Partial<Outcome>, ('clean' | 'broken')?])[] = [
    ['length', `${OK}${JSON_TYPE}content-length: 2\r\n\r\n{}`, { body: '{}', ending: 'end', reusable: true }],
    [
      'empty',
      `${OK}content-length: 0\r\n\r\n`,
      { head: '200  none 0', body: '', ending: 'end', reusable: true },
    ],
    ['no reason phrase', `HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx`, { body: 'x', ending: 'end' }],
    [
      'lower and upper case',
      `${OK}CONTENT-LENGTH:  3 \r\nConTent-Type:APPLICATION/JSON; charset=utf-8\r\n\r\nabc`,
      { head: '200 APPLICATION/JSON; charset=utf-8 json 3', ending: 'end' },
    ],
    [
      'chunked',
      `${OK}${JSON_TYPE}${CHUNKED}\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nt: v\r\n\r\n`,
      { body: 'abc', ending: 'end', reusable: true },
    ],
    [
      'event stream',
      `${OK}content-type: text/event-stream\r\n${CHUNKED}\r\nb\r\ndata: {}\n\n\n\r\n0\r\n\r\n`,
      { head: '200 text/event-stream event-stream -1', body: 'data: {}\n\n\n', ending: 'end' },
    ],
    [
      'accepted',
      'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n',
      { head: '202  none 0', ending: 'end' },
    ],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { head: '204  none 0', ending: 'end', reusable: true }],
    [
      '304 with a length that means nothing',
      'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n',
      { ending: 'end', reusable: false },
    ],
    [
      '100 first',
      `HTTP/1.1 100 Continue\r\n\r\n${OK}content-length: 1\r\n\r\nx`,
      { body: 'x', ending: 'end', reusable: true },
    ],
    [
      '103 and 102 first',
      `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}content-length: 1\r\n\r\nx`,
      { body: 'x', ending: 'end' },
    ],
    [
      'until close',
      `${OK}${JSON_TYPE}\r\n{"a":1}`,
      { head: '200 application/json json -1', body: '{"a":1}', ending: 'end', reusable: false },
      'clean',
    ],
    [
      'connection: close',
      `${OK}connection: close\r\ncontent-length: 1\r\n\r\nx`,
      { ending: 'end', reusable: false },
    ],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx', { ending: 'end', reusable: false }],
    [
      'HTTP/1.0 keep-alive',
      'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx',
      { ending: 'end', reusable: true },
    ],
    ['identity coding', `${OK}content-encoding: identity\r\ncontent-length: 1\r\n\r\nx`, { ending: 'end' }],
    [
      'an error of the server',
      'HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>',
      { head: '500 text/html other 3', body: '<p>', ending: 'end' },
    ],
    [
      'junk behind a length',
      `${OK}content-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n`,
      { body: 'x', ending: 'junk' },
    ],
    ['junk behind chunks', `${OK}${CHUNKED}\r\n1\r\nx\r\n0\r\n\r\nY`, { body: 'x', ending: 'junk' }],
    ['junk behind nothing', 'HTTP/1.1 204 No Content\r\n\r\nx', { body: '', ending: 'junk' }],
  ];
  for (const [name, text, expected, end] of cases) {
    test(name, () => {
      const bytes = encode(text);
      const whole = read([bytes], end);
      expect(whole).toMatchObject(expected);
      for (const pieces of cuts(bytes)) expect(read(pieces, end)).toEqual(whole);
    });
  }

  test('a body that came with its head is a view, not a copy', () => {
    const bytes = encode(`${OK}content-length: 5\r\n\r\nhello`);
    const reader = new ReplyReader(portableScanner(), new Int32Array(HEAD_NUMBERS));
    expect(reader.feed(bytes)).toBe(READ.head);
    expect(reader.complete).toBe(true);
    expect(reader.body.buffer).toBe(bytes.buffer);
  });

  test('several chunks of one read come as one piece', () => {
    const reader = new ReplyReader(portableScanner(), new Int32Array(HEAD_NUMBERS));
    reader.feed(encode(`${OK}${CHUNKED}\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n`));
    expect(reader.complete).toBe(true);
    expect(decode(reader.body)).toBe('ab');
  });
});

describe('what could be read in two ways is refused however it is cut', () => {
  const FRAMING = 'GW_UPSTREAM_FRAMING';
  const cases: readonly (readonly [string, string, string])[] = [
    ['both lengths', `${OK}content-length: 2\r\n${CHUNKED}\r\n0\r\n\r\n`, FRAMING],
    ['both lengths, other order', `${OK}${CHUNKED}content-length: 2\r\n\r\n0\r\n\r\n`, FRAMING],
    ['two lengths', `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nabc`, FRAMING],
    ['the same length twice', `${OK}content-length: 2\r\ncontent-length: 2\r\n\r\nab`, FRAMING],
    ['a list of lengths', `${OK}content-length: 2, 2\r\n\r\nab`, FRAMING],
    ['a signed length', `${OK}content-length: +2\r\n\r\nab`, FRAMING],
    ['a negative length', `${OK}content-length: -1\r\n\r\n`, FRAMING],
    ['a hexadecimal length', `${OK}content-length: 0x2\r\n\r\nab`, FRAMING],
    ['an empty length', `${OK}content-length:\r\n\r\n`, FRAMING],
    ['a fraction', `${OK}content-length: 1.0\r\n\r\nx`, FRAMING],
    ['gzip, chunked', `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, FRAMING],
    ['chunked twice', `${OK}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n`, FRAMING],
    ['chunked, identity', `${OK}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`, FRAMING],
    ['xchunked', `${OK}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`, FRAMING],
    ['chunked in HTTP/1.0', `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n0\r\n\r\n`, FRAMING],
    ['obs-fold', `${OK}x: a\r\n b\r\ncontent-length: 0\r\n\r\n`, FRAMING],
    ['a bare LF behind the status line', 'HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n', FRAMING],
    ['a bare LF behind a header', `${OK}content-length: 0\n\r\n`, FRAMING],
    ['a bare CR', `${OK}x: a\rb\r\ncontent-length: 0\r\n\r\n`, FRAMING],
    ['NUL', `${OK}x: a\0b\r\ncontent-length: 0\r\n\r\n`, FRAMING],
    ['a blank before the colon', `${OK}content-length : 0\r\n\r\n`, FRAMING],
    ['no colon', `${OK}content-length\r\n\r\n`, FRAMING],
    ['an empty name', `${OK}: x\r\n\r\n`, FRAMING],
    ['a blank first', ` ${OK}content-length: 0\r\n\r\n`, FRAMING],
    ['an empty line first', `\r\n${OK}content-length: 0\r\n\r\n`, FRAMING],
    ['HTTP/2 in text', 'HTTP/2 200\r\ncontent-length: 0\r\n\r\n', FRAMING],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n', FRAMING],
    ['status 20', 'HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n', FRAMING],
    ['status 2000', 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n', FRAMING],
    ['status 600', 'HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n', FRAMING],
    ['not HTTP', '{"jsonrpc":"2.0"}\r\n\r\n', FRAMING],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n', FRAMING],
    [
      'an interim reply with a length',
      `HTTP/1.1 100 Continue\r\ncontent-length: 3\r\n\r\n${OK}content-length: 0\r\n\r\n`,
      FRAMING,
    ],
    [
      'an interim reply in chunks',
      `HTTP/1.1 103 Early\r\n${CHUNKED}\r\n${OK}content-length: 0\r\n\r\n`,
      FRAMING,
    ],
    ['a bad chunk size', `${OK}${CHUNKED}\r\n1x\r\n`, FRAMING],
    ['compressed', `${OK}content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc`, 'GW_UPSTREAM_MEDIA'],
    [
      'compressed twice',
      `${OK}content-encoding: identity\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc`,
      'GW_UPSTREAM_MEDIA',
    ],
    [
      'a length beyond all numbers',
      `${OK}content-length: 99999999999999999999\r\n\r\n`,
      'GW_UPSTREAM_HEAD_SIZE',
    ],
  ];
  for (const [name, text, code] of cases) {
    test(name, () => {
      const bytes = encode(text);
      const whole = read([bytes], 'clean');
      expect(whole.ending).toBe(code);
      for (const pieces of cuts(bytes)) {
        const { body, ending } = read(pieces, 'clean');
        expect({ body, ending }).toEqual({ body: whole.body, ending: code });
      }
    });
  }
});

describe('connections that end early', () => {
  const text = `${OK}${JSON_TYPE}${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n`;
  test('end the reply as failed at every byte but the last', () => {
    const bytes = encode(text);
    for (let at = 1; at < bytes.length; at++) {
      for (const end of ['clean', 'broken'] as const) {
        expect({ at, ending: read([bytes.slice(0, at)], end).ending }).toEqual({
          at,
          ending: 'GW_UPSTREAM_CLOSED',
        });
      }
    }
    expect(read([bytes], 'broken').ending).toBe('end');
  });
  test('a body until close is complete only when the close was proper', () => {
    const bytes = encode(`${OK}${JSON_TYPE}\r\n{"a":`);
    expect(read([bytes], 'clean').ending).toBe('end');
    expect(read([bytes], 'broken').ending).toBe('GW_UPSTREAM_CLOSED');
  });
});

describe('bounds', () => {
  const { replyHeadBytesMax, replyHeaderCountMax, replyBodyBytesMax } = LIMITS;

  test('bytes of a head', () => {
    const sized = (bytes: number): Uint8Array => {
      const rest = `${OK}content-length: 0\r\nx: \r\n\r\n`;
      return encode(`${OK}content-length: 0\r\nx: ${'v'.repeat(bytes - rest.length)}\r\n\r\n`);
    };
    for (const [bytes, ending] of [
      [replyHeadBytesMax - 1, 'end'],
      [replyHeadBytesMax, 'end'],
      [replyHeadBytesMax + 1, 'GW_UPSTREAM_HEAD_SIZE'],
    ] as const) {
      const reply = sized(bytes);
      expect(reply.length).toBe(bytes);
      expect(read([reply]).ending).toBe(ending);
      for (const at of [1, 40, bytes - 3, bytes - 1])
        expect(read([reply.slice(0, at), reply.slice(at)]).ending).toBe(ending);
    }
  });

  test('a head without a newline does not grow for ever', () => {
    const reader = new ReplyReader(portableScanner(), new Int32Array(HEAD_NUMBERS));
    reader.feed(encode(`${OK}x: `));
    let fed = 0;
    for (; fed < 2 * replyHeadBytesMax && reader.fault === null; fed += 1024)
      reader.feed(encode('v'.repeat(1024)));
    expect(reader.fault).toBe('GW_UPSTREAM_HEAD_SIZE');
    expect(fed).toBeLessThanOrEqual(replyHeadBytesMax + 1024);
  });

  test('a head that comes byte by byte is not parsed anew for each', () => {
    const scanner = portableScanner();
    let parses = 0;
    const head = (...args: Parameters<typeof scanner.head>): number => {
      parses++;
      return scanner.head(...args);
    };
    const reader = new ReplyReader({ ...scanner, head }, new Int32Array(HEAD_NUMBERS));
    const text = `${OK}${JSON_TYPE}x: ${'v'.repeat(5_000)}\r\ncontent-length: 0\r\n\r\n`;
    for (const byte of encode(text)) reader.feed(Uint8Array.of(byte));
    expect(reader.complete).toBe(true);
    expect(parses).toBeLessThanOrEqual(text.split('\n').length + 1);
  });

  test('lines of a head', () => {
    const lined = (lines: number): Uint8Array =>
      encode(`${OK}${'x: y\r\n'.repeat(lines - 1)}content-length: 0\r\n\r\n`);
    expect(read([lined(replyHeaderCountMax - 1)]).ending).toBe('end');
    expect(read([lined(replyHeaderCountMax)]).ending).toBe('end');
    expect(read([lined(replyHeaderCountMax + 1)]).ending).toBe('GW_UPSTREAM_HEAD_SIZE');
  });

  test('interim replies', () => {
    const interim = encode(`HTTP/1.1 103 Early Hints\r\nlink: ${'x'.repeat(1000)}\r\n\r\n`);
    const reader = new ReplyReader(portableScanner(), new Int32Array(HEAD_NUMBERS));
    let fed = 0;
    while (reader.fault === null && fed < 10 * replyHeadBytesMax) {
      reader.feed(interim);
      fed += interim.length;
    }
    expect(reader.fault).toBe('GW_UPSTREAM_HEAD_SIZE');
    expect(fed).toBeLessThanOrEqual(replyHeadBytesMax + interim.length);
  });

  test('the announced length of a body, event streams excepted', () => {
    const announced = (bytes: number, type: string): Uint8Array =>
      encode(`${OK}content-type: ${type}\r\ncontent-length: ${bytes}\r\n\r\n`);
    expect(read([announced(replyBodyBytesMax - 1, 'application/json')]).ending).toBe('more');
    expect(read([announced(replyBodyBytesMax, 'application/json')]).ending).toBe('more');
    expect(read([announced(replyBodyBytesMax + 1, 'application/json')]).ending).toBe('GW_UPSTREAM_BODY_SIZE');
    expect(read([announced(replyBodyBytesMax + 1, 'text/event-stream')]).ending).toBe('more');
  });

  test('the bytes of a chunked body, event streams excepted', () => {
    const size = (bytes: number): string => `${bytes.toString(16)}\r\n`;
    const head = `${OK}${JSON_TYPE}${CHUNKED}\r\n`;
    expect(read([encode(head + size(replyBodyBytesMax))]).ending).toBe('more');
    expect(read([encode(head + size(replyBodyBytesMax + 1))]).ending).toBe('GW_UPSTREAM_BODY_SIZE');
    const stream = `${OK}content-type: text/event-stream\r\n${CHUNKED}\r\n`;
    expect(read([encode(stream + size(replyBodyBytesMax + 1))]).ending).toBe('more');
  });
});

describe('headers of a reply', () => {
  test('are found by name in any case, repeated ones joined', () => {
    const head = new Int32Array(HEAD_NUMBERS);
    const bytes = encode(`${OK}X-One: 1\r\nx-two:2\r\nx-ONE: again\r\nx-empty:\r\ncontent-length: 0\r\n\r\n`);
    portableScanner().head(bytes, 0, bytes.length, head);
    expect(findHeader(bytes, head, 'x-one')).toBe('1, again');
    expect(findHeader(bytes, head, 'x-two')).toBe('2');
    expect(findHeader(bytes, head, 'x-empty')).toBe('');
    expect(findHeader(bytes, head, 'x-on')).toBeNull();
    expect(findHeader(bytes, head, 'x-ones')).toBeNull();
  });

  test('Keep-Alive tells the time-out in seconds, or nothing', () => {
    expect(keepAliveMs('timeout=5')).toBe(5_000);
    expect(keepAliveMs('max=100, Timeout = 72')).toBe(72_000);
    expect(keepAliveMs('timeout="3"')).toBe(3_000);
    for (const value of [null, '', 'max=5', 'timeout=x', 'xtimeout=5']) expect(keepAliveMs(value)).toBeNull();
  });
});
