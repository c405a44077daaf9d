// The suite for head(): response heads of HTTP/1.1, whole, cut, changed and at every limit.
// Called by scanner.test.ts for each scanner. Promises: what RFC 9112 leaves open to two readings is refused.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../src/base/bytes.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { HEAD, HEAD_RESULT, MEDIA, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';

const ROOM = HEAD.headers + 4 * LIMITS.replyHeaderCountMax;

/** A head parsed, with its headers as text. */
function parse(
  scanner: Scanner,
  text: string | Uint8Array,
): { code: number; out: Int32Array; headers: [string, string][] } {
  const bytes = typeof text === 'string' ? encode(text) : text;
  const out = new Int32Array(ROOM).fill(77);
  const code = scanner.head(bytes, 0, bytes.length, out);
  const headers: [string, string][] = [];
  const latin1 = String.fromCharCode(...bytes.subarray(0, LIMITS.replyHeadBytesMax));
  if (code === HEAD_RESULT.ok) {
    for (let i = 0; i < (out[HEAD.headerCount] ?? 0); i++) {
      const [nameStart, nameEnd, valueStart, valueEnd] = out.subarray(HEAD.headers + 4 * i);
      headers.push([latin1.slice(nameStart, nameEnd), latin1.slice(valueStart, valueEnd)]);
    }
  }
  return { code, out, headers };
}

function lines(...rows: string[]): string {
  return [...rows, '', ''].join('\r\n');
}

const PLAIN = lines(
  'HTTP/1.1 200 OK',
  'Content-Type: application/json; charset=utf-8',
  'mcp-session-id: \t 1868a90c-5f \t',
  'Content-Length: 12',
  'X-Empty:',
  'Date: Mon, 23 Nov 2026 02:37:00 GMT',
);
const STREAM = lines(
  'HTTP/1.1 200 OK',
  'content-type:text/event-stream',
  'transfer-encoding: chunked',
  'Connection: keep-alive',
);

const { ok, more, bad, ambiguous, large } = HEAD_RESULT;

/** Heads and the result that the contract's words lead to. */
const RESULTS: readonly (readonly [name: string, text: string, code: number])[] = [
  ['no header at all', 'HTTP/1.1 204 No Content\r\n\r\n', ok],
  ['no reason', 'HTTP/1.1 200 \r\n\r\n', ok],
  ['neither reason nor the blank before it', 'HTTP/1.1 200\r\n\r\n', ok],
  ['a reason beyond ASCII', 'HTTP/1.1 200 né\t!\r\n\r\n', ok],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n', ok],
  ['100', 'HTTP/1.1 100 Continue\r\n\r\n', ok],
  ['599', 'HTTP/1.1 599 x\r\n\r\n', ok],
  ['nothing', '', more],
  ['099', 'HTTP/1.1 099 x\r\n\r\n', bad],
  ['600', 'HTTP/1.1 600 x\r\n\r\n', bad],
  ['a code of four digits', 'HTTP/1.1 2000 x\r\n\r\n', bad],
  ['a code of two digits', 'HTTP/1.1 20 x\r\n\r\n', bad],
  ['two blanks before the code', 'HTTP/1.1  200 x\r\n\r\n', bad],
  ['HTTP/2', 'HTTP/2 200\r\n\r\n', bad],
  ['HTTP/1.2', 'HTTP/1.2 200 x\r\n\r\n', bad],
  ['http in small letters', 'http/1.1 200 x\r\n\r\n', bad],
  ['a blank line first', '\r\nHTTP/1.1 200 x\r\n\r\n', bad],
  ['a request', 'GET / HTTP/1.1\r\n\r\n', bad],
  ['TLS', '\x15\x03\x01', bad],
  ['a bare LF behind the status line', 'HTTP/1.1 200 x\n\r\n', bad],
  ['a bare LF behind a header', 'HTTP/1.1 200 x\r\nA: b\nC: d\r\n\r\n', bad],
  ['a bare LF as blank line', 'HTTP/1.1 200 x\r\nA: b\r\n\n', bad],
  ['a bare CR in a value', 'HTTP/1.1 200 x\r\nA: b\rc\r\n\r\n', bad],
  ['a bare CR as blank line', 'HTTP/1.1 200 x\r\n\rX', bad],
  ['NUL in a value', 'HTTP/1.1 200 x\r\nA: b\0\r\n\r\n', bad],
  ['DEL in a value', 'HTTP/1.1 200 x\r\nA: \x7f\r\n\r\n', bad],
  ['NUL in the reason', 'HTTP/1.1 200 \0\r\n\r\n', bad],
  ['a folded line', 'HTTP/1.1 200 x\r\nA: b\r\n c\r\n\r\n', bad],
  ['a folded first line', 'HTTP/1.1 200 x\r\n A: b\r\n\r\n', bad],
  ['a blank before the colon', 'HTTP/1.1 200 x\r\nA : b\r\n\r\n', bad],
  ['no name', 'HTTP/1.1 200 x\r\n: b\r\n\r\n', bad],
  ['no colon', 'HTTP/1.1 200 x\r\nA\r\n\r\n', bad],
  ['a bracket in a name', 'HTTP/1.1 200 x\r\nA[]: b\r\n\r\n', bad],
  ['a letter beyond ASCII in a name', 'HTTP/1.1 200 x\r\né: b\r\n\r\n', bad],
  ['every character of a token', "HTTP/1.1 200 x\r\n!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n", ok],
  ['length twice', lines('HTTP/1.1 200 x', 'Content-Length: 1', 'Content-Length: 2'), ambiguous],
  ['length twice, equal', lines('HTTP/1.1 200 x', 'Content-Length: 1', 'content-length: 1'), ambiguous],
  ['a list of lengths', lines('HTTP/1.1 200 x', 'Content-Length: 1, 1'), ambiguous],
  ['a length with a sign', lines('HTTP/1.1 200 x', 'Content-Length: +1'), ambiguous],
  ['a negative length', lines('HTTP/1.1 200 x', 'Content-Length: -1'), ambiguous],
  ['a length in hexadecimal', lines('HTTP/1.1 200 x', 'Content-Length: 0x1'), ambiguous],
  ['an empty length', lines('HTTP/1.1 200 x', 'Content-Length: '), ambiguous],
  ['a length with a blank inside', lines('HTTP/1.1 200 x', 'Content-Length: 1 2'), ambiguous],
  [
    'length and chunked',
    lines('HTTP/1.1 200 x', 'Content-Length: 1', 'Transfer-Encoding: chunked'),
    ambiguous,
  ],
  [
    'chunked and length',
    lines('HTTP/1.1 200 x', 'Transfer-Encoding: chunked', 'Content-Length: 1'),
    ambiguous,
  ],
  [
    'chunked twice',
    lines('HTTP/1.1 200 x', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    ambiguous,
  ],
  ['chunked, chunked', lines('HTTP/1.1 200 x', 'Transfer-Encoding: chunked, chunked'), ambiguous],
  ['gzip, chunked', lines('HTTP/1.1 200 x', 'Transfer-Encoding: gzip, chunked'), ambiguous],
  ['identity', lines('HTTP/1.1 200 x', 'Transfer-Encoding: identity'), ambiguous],
  ['no transfer encoding', lines('HTTP/1.1 200 x', 'Transfer-Encoding:'), ambiguous],
  ['chunked in HTTP/1.0', lines('HTTP/1.0 200 x', 'Transfer-Encoding: chunked'), ambiguous],
  ['the largest length', lines('HTTP/1.1 200 x', 'Content-Length: 2147483647'), ok],
  ['one more than the largest length', lines('HTTP/1.1 200 x', 'Content-Length: 2147483648'), large],
  ['a length of many digits', lines('HTTP/1.1 200 x', `Content-Length: ${'9'.repeat(400)}`), large],
  ['a length of many zeros', lines('HTTP/1.1 200 x', `Content-Length: ${'0'.repeat(400)}5`), ok],
];

/** Runs the suite on the scanner that `make` gives. */
export function headSuite(label: string, make: () => Scanner): void {
  describe(`head() of ${label}`, () => {
    test('takes what framing, session and media type need', () => {
      const { code, out, headers } = parse(make(), `${PLAIN}{"a":1}`);
      expect(code).toBe(ok);
      expect(headers).toEqual([
        ['Content-Type', 'application/json; charset=utf-8'],
        ['mcp-session-id', '1868a90c-5f'],
        ['Content-Length', '12'],
        ['X-Empty', ''],
        ['Date', 'Mon, 23 Nov 2026 02:37:00 GMT'],
      ]);
      expect(out[HEAD.bodyStart]).toBe(PLAIN.length);
      expect([...out.subarray(HEAD.status, HEAD.sessionId)]).toEqual([200, 1, 12, 0, 1, MEDIA.json, 5]);
      expect(PLAIN.slice(out[HEAD.sessionId], out[HEAD.sessionId + 1])).toBe('1868a90c-5f');
      expect(PLAIN.slice(out[HEAD.contentType], out[HEAD.contentType + 1])).toBe(
        'application/json; charset=utf-8',
      );
    });

    test('takes a chunked event stream', () => {
      const { out } = parse(make(), STREAM);
      expect([...out.subarray(HEAD.status, HEAD.sessionId)]).toEqual([
        200,
        1,
        -1,
        1,
        1,
        MEDIA.eventStream,
        3,
      ]);
      expect(out[HEAD.sessionId]).toBe(-1);
    });

    test.each(RESULTS)('%s', (_name, text, wanted) => {
      expect(parse(make(), text).code).toBe(wanted);
    });

    test('connection reuse', () => {
      const keepAlive = (version: string, ...rows: string[]) =>
        parse(make(), lines(`HTTP/${version} 200 OK`, ...rows)).out[HEAD.keepAlive];
      expect(keepAlive('1.1')).toBe(1);
      expect(keepAlive('1.1', 'Connection: close')).toBe(0);
      expect(keepAlive('1.1', 'Connection: upgrade,  CLOSE ')).toBe(0);
      expect(keepAlive('1.1', 'connection: keep-alive', 'connection: close')).toBe(0);
      expect(keepAlive('1.1', 'connection: closed')).toBe(1);
      expect(keepAlive('1.1', 'proxy-connection: close')).toBe(1);
      expect(keepAlive('1.0')).toBe(0);
      expect(keepAlive('1.0', 'Connection: Keep-Alive')).toBe(1);
      expect(keepAlive('1.0', 'Connection: ,keep-alive,')).toBe(1);
      expect(keepAlive('1.0', 'Connection: keep-alive, close')).toBe(0);
    });

    test('media types', () => {
      const media = (...values: string[]) =>
        parse(make(), lines('HTTP/1.1 200 OK', ...values.map((value) => `Content-Type: ${value}`))).out[
          HEAD.media
        ];
      expect(media()).toBe(MEDIA.absent);
      expect(media('Application/JSON')).toBe(MEDIA.json);
      expect(media('application/json ; charset=utf-8')).toBe(MEDIA.json);
      expect(media('text/event-stream;x')).toBe(MEDIA.eventStream);
      expect(media('application/json-seq')).toBe(MEDIA.other);
      expect(media('application/problem+json')).toBe(MEDIA.other);
      expect(media('')).toBe(MEDIA.other);
      expect(media('application/json', 'text/html')).toBe(MEDIA.other);
    });

    test('every cut is `more`, every byte at a time too, and what follows the head is not looked at', () => {
      const scanner = make();
      for (const text of [PLAIN, STREAM]) {
        const bytes = encode(text);
        const out = new Int32Array(ROOM);
        for (let end = 0; end < bytes.length; end++)
          expect([end, scanner.head(bytes, 0, end, out)]).toEqual([end, more]);
        const { code, out: whole } = parse(scanner, text);
        expect(code).toBe(ok);
        for (const tail of ['\0', '\r\n', 'HTTP/1.1 nonsense'])
          expect(parse(scanner, text + tail).out).toEqual(whole);
      }
    });

    test('offsets are absolute, wherever the head lies', () => {
      const scanner = make();
      const bytes = encode(`garbage${PLAIN}garbage`);
      const out = new Int32Array(ROOM);
      expect(scanner.head(bytes, 7, bytes.length, out)).toBe(ok);
      const alone = parse(scanner, PLAIN).out;
      expect(out[HEAD.bodyStart]).toBe(7 + (alone[HEAD.bodyStart] ?? 0));
      expect(out[HEAD.sessionId]).toBe(7 + (alone[HEAD.sessionId] ?? 0));
      expect(out[HEAD.headers + 4]).toBe(7 + (alone[HEAD.headers + 4] ?? 0));
    });

    test('a faulty head stays faulty whatever follows: no cut of it is ok, and no longer cut is better', () => {
      const scanner = make();
      const out = new Int32Array(ROOM);
      for (const [name, text, wanted] of RESULTS) {
        if (wanted === ok || wanted === more) continue;
        const bytes = encode(text);
        let before: number = more;
        for (let end = 0; end <= bytes.length; end++) {
          const code = scanner.head(bytes, 0, end, out);
          expect([name, end, before === more || code === before, code !== ok]).toEqual([
            name,
            end,
            true,
            true,
          ]);
          before = code;
        }
      }
    });

    test('limits, one below, at, and one above: lines and bytes', () => {
      const scanner = make();
      const count = LIMITS.replyHeaderCountMax;
      const rows = (number: number) => Array.from({ length: number }, (_, i) => `H${i}: v`);
      expect(parse(scanner, lines('HTTP/1.1 200 OK', ...rows(count - 1))).code).toBe(ok);
      expect(parse(scanner, lines('HTTP/1.1 200 OK', ...rows(count))).headers).toHaveLength(count);
      expect(parse(scanner, lines('HTTP/1.1 200 OK', ...rows(count + 1))).code).toBe(large);
      const start = 'HTTP/1.1 200 OK\r\nA: ';
      const sized = (bytes: number) => `${start}${'x'.repeat(bytes - start.length - 4)}\r\n\r\n`;
      const most = LIMITS.replyHeadBytesMax;
      expect(parse(scanner, sized(most - 1)).code).toBe(ok);
      expect(parse(scanner, sized(most)).code).toBe(ok);
      expect(parse(scanner, `${sized(most)}body`).code).toBe(ok);
      expect(parse(scanner, sized(most + 1)).code).toBe(large);
      expect(parse(scanner, sized(most + 1).slice(0, most - 1)).code).toBe(more);
      expect(parse(scanner, sized(most + 1).slice(0, most)).code).toBe(large);
    });

    test('all 256 bytes in each class of place: name, value, reason, code', () => {
      const scanner = make();
      const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/;
      for (let byte = 0; byte < 256; byte++) {
        const put = (before: string, after: string) =>
          parse(scanner, Uint8Array.from([...encode(before), byte, ...encode(after)])).code;
        const letter = String.fromCharCode(byte);
        const isText = byte === 9 || (byte >= 32 && byte !== 127);
        const isToken = byte < 128 && token.test(letter);
        expect([byte, put('HTTP/1.1 200 OK\r\nA', 'b: c\r\n\r\n')]).toEqual([
          byte,
          isToken || letter === ':' ? ok : bad,
        ]);
        expect([byte, put('HTTP/1.1 200 OK\r\nA: b', 'c\r\n\r\n')]).toEqual([byte, isText ? ok : bad]);
        expect([byte, put('HTTP/1.1 200 O', 'K\r\n\r\n')]).toEqual([byte, isText ? ok : bad]);
        expect([byte, put('HTTP/1.1 20', ' OK\r\n\r\n')]).toEqual([
          byte,
          byte >= 48 && byte <= 57 ? ok : bad,
        ]);
        expect([byte, put('HTTP/1.1 ', '00 OK\r\n\r\n')]).toEqual([
          byte,
          byte >= 49 && byte <= 53 ? ok : bad,
        ]);
        expect([byte, put('HTTP/1.', ' 200 OK\r\n\r\n')]).toEqual([
          byte,
          letter === '0' || letter === '1' ? ok : bad,
        ]);
      }
    });
  });
}

/** Compares the scanner that `make` gives with the portable one: heads with each byte changed, and each cut of those. */
export function compareHeads(label: string, make: () => Scanner): void {
  test(`head() of ${label}: equal to the portable scanner on every change of every byte`, () => {
    const scanner = make();
    const portable = portableScanner();
    const wanted = new Int32Array(ROOM);
    const got = new Int32Array(ROOM);
    const compare = (bytes: Uint8Array, end: number) => {
      wanted.fill(0);
      got.fill(0);
      const code = portable.head(bytes, 0, end, wanted);
      if (
        scanner.head(bytes, 0, end, got) !== code ||
        (code === ok && !Buffer.from(wanted.buffer).equals(Buffer.from(got.buffer)))
      ) {
        expect([
          String.fromCharCode(...bytes.subarray(0, end)),
          scanner.head(bytes, 0, end, got),
          got,
        ]).toEqual(['', code, wanted]);
      }
    };
    const texts = [PLAIN, STREAM, ...RESULTS.map(([, text]) => text).filter((text) => text.length < 200)];
    for (const text of texts) {
      const bytes = encode(`${text}x`);
      for (let at = 0; at < bytes.length; at++) {
        const old = bytes[at] ?? 0;
        compare(bytes, at);
        for (const byte of [0, 9, 10, 13, 32, 44, 48, 57, 58, 67, 99, 127, 128, 255]) {
          bytes[at] = byte;
          compare(bytes, bytes.length);
        }
        bytes[at] = old;
      }
    }
  });
}
