// Heads of requests: what is one, what it says, and what is refused because two readers could differ on it.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { parseRequestHead } from '../../../src/runtime/http1-head.ts';
import { writeReplyHead } from '../../../src/runtime/http1-reply.ts';

/** A head as its lines are. */
const bare = (lines: readonly string[], first = 'POST /mcp HTTP/1.1'): string =>
  `${[first, ...lines].join('\r\n')}\r\n\r\n`;
/** The same with a Host. */
const head = (lines: readonly string[], first?: string): string => bare(['Host: h.test', ...lines], first);
const parse = (text: string) => parseRequestHead(text, null);

describe('request heads', () => {
  test('method, path, query and headers', () => {
    const found = parse(
      bare(['Host: a:1', 'X-Two:  b\t', 'x-two:c', 'X-Empty:', 'X-Latin: \xe9'], 'GET /a%20b?c=/d HTTP/1.1'),
    );
    expect(found).toMatchObject({
      method: 'GET',
      path: '/a%20b',
      query: 'c=/d',
      length: -1,
      chunked: false,
      close: false,
    });
    expect(found?.names).toEqual(['host', 'x-two', 'x-empty', 'x-latin']);
    expect(found?.values).toEqual(['a:1', 'b, c', '', '\xe9']);
  });

  test.each([
    ['/a/../b/./c', '/b/c', ''],
    ['/a/%2e%2E/b', '/b', ''],
    ['/a\\b', '/a/b', ''],
    ['/a//b/', '/a//b/', ''],
    ['http://h.test/x?y', '/x', 'y'],
    ['HTTPS://H.TEST', '/', ''],
    ['http://h.test?y', '/', 'y'],
    ['/http://evil.test/x', '/http://evil.test/x', ''],
    ['//evil.test/x', '//evil.test/x', ''],
    ['*', '*', ''],
  ])('target %s', (target, path, query) => {
    expect(parse(head([], `GET ${target} HTTP/1.1`))).toMatchObject({ path, query });
  });

  test.each([
    [['Connection: close'], 'HTTP/1.1', { close: true }],
    [['Connection: keep-alive, Close'], 'HTTP/1.1', { close: true }],
    [['Connection: disclosed'], 'HTTP/1.1', { close: false }],
    [['Connection: keep-alive'], 'HTTP/1.0', { close: true, old: true }],
    [['Content-Length: 012'], 'HTTP/1.1', { length: 12, chunked: false }],
    [['Transfer-Encoding:\tChunked'], 'HTTP/1.1', { length: -1, chunked: true }],
    [['Expect: 100-Continue'], 'HTTP/1.1', { expects: true }],
    [['Expect: 100-continue'], 'HTTP/1.0', { expects: false }],
    [['Expect: 200-ok'], 'HTTP/1.1', { expects: false }],
    [['Content-Length: 0'], 'HTTP/1.1', { length: 0 }],
    [['Content-Length:  \t7\t '], 'HTTP/1.1', { length: 7 }],
    [['Content_Length: 7', 'Transfer_Encoding: chunked'], 'HTTP/1.1', { length: -1, chunked: false }],
    [['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'], 'HTTP/1.1', { close: false, length: -1 }],
    [['Content-Length: 3'], 'HTTP/1.0', { length: 3, close: true }],
  ])('%j %s', (lines, version, expected) => {
    expect(parse(head(lines, `POST / ${version}`))).toMatchObject(expected);
  });

  test.each([
    ['two lengths', head(['Content-Length: 1', 'Content-Length: 1'])],
    ['a list of lengths', head(['Content-Length: 1, 1'])],
    ['a list of lengths without blank', head(['Content-Length: 1,1'])],
    ['lengths that differ in spelling alone', head(['Content-Length: 1', 'content-length: 01'])],
    ['an empty length', head(['Content-Length:'])],
    ['a length of blanks', head(['Content-Length:  '])],
    ['a signed length', head(['Content-Length: +1'])],
    ['a negative length', head(['Content-Length: -1'])],
    ['a negative nothing', head(['Content-Length: -0'])],
    ['a length with a blank inside', head(['Content-Length: 1 1'])],
    ['a length with a point', head(['Content-Length: 1.0'])],
    ['a length with an exponent', head(['Content-Length: 1e1'])],
    ['a length in digits of another script', head(['Content-Length: \xb2'])],
    ['a length in quotes', head(['Content-Length: "1"'])],
    ['a length behind a no-break space', head(['Content-Length: \xa01'])],
    ['a hexadecimal length', head(['Content-Length: 0x1'])],
    ['a length beyond numbers', head(['Content-Length: 9999999999999999'])],
    ['length and coding', head(['Content-Length: 1', 'Transfer-Encoding: chunked'])],
    ['length and coding, the coding first', head(['Transfer-Encoding: chunked', 'Content-Length: 1'])],
    ['no length and coding', head(['Content-Length: 0', 'Transfer-Encoding: chunked'])],
    ['another coding', head(['Transfer-Encoding: gzip, chunked'])],
    ['another coding behind', head(['Transfer-Encoding: chunked, gzip'])],
    ['no coding at all', head(['Transfer-Encoding: identity'])],
    ['a coding that begins like chunked', head(['Transfer-Encoding: chunkedx'])],
    ['a coding that ends like chunked', head(['Transfer-Encoding: xchunked'])],
    ['chunked with a parameter', head(['Transfer-Encoding: chunked;q=1'])],
    ['chunked in quotes', head(['Transfer-Encoding: "chunked"'])],
    ['chunked and nothing', head(['Transfer-Encoding: chunked,'])],
    ['nothing and chunked', head(['Transfer-Encoding: , chunked'])],
    ['chunked on a folded line', head(['Transfer-Encoding:', ' chunked'])],
    ['a coding in another line', head(['Transfer-Encoding: chunked', 'transfer-encoding: identity'])],
    ['chunked twice', head(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'])],
    ['an empty coding', head(['Transfer-Encoding:'])],
    ['a vertical tab at the coding', head(['Transfer-Encoding: \vchunked'])],
    ['a no-break space at the coding', head(['Transfer-Encoding: \xa0chunked'])],
    ['chunked in HTTP/1.0', head(['Transfer-Encoding: chunked'], 'POST / HTTP/1.0')],
    ['a blank before the colon', head(['Content-Length : 1'])],
    ['a tab before the colon', head(['Transfer-Encoding\t: chunked'])],
    ['a blank before the name', head([' Content-Length: 1'])],
    ['a blank before the first name', bare([' Host: a'])],
    ['a folded line', head(['X-A: 1', ' 2'])],
    ['a line folded with a tab', head(['X-A: 1', '\t2'])],
    ['a name with a NUL', head(['Content-Length\0: 1'])],
    ['a name beyond ASCII', head(['X-\xe9: 1'])],
    ['a name in brackets', head(['X[A]: 1'])],
    ['a line without a colon', head(['X-A'])],
    ['a line without a name', head([': 1'])],
    ['a NUL', head(['X-A: \0'])],
    ['a bare CR', head(['X-A: 1\rX-B: 2'])],
    ['a bare LF', head(['X-A: 1\nContent-Length: 2'])],
    ['a bare CR before the end of a line', head(['X-A: 1\r'])],
    ['a bare CR in the request line', head([], 'POST /\r HTTP/1.1')],
    ['a bare CR before the request line', `\r${head([])}`],
    ['an empty line before the request line', `\r\n${head([])}`],
    ['a vertical tab', head(['X-A: \v'])],
    ['a delete character', head(['X-A: \x7f'])],
    ['a bare CR for the end of the head', head([]).replace(/\n$/, '\r')],
    ['a byte behind the head', `${head([])} `],
    ['half of the blank line', head([]).slice(0, -2)],
    ['no Host', bare([])],
    ['two Hosts', head(['Host: h.test'])],
    ['two Hosts in HTTP/1.0', head(['Host: h.test'], 'GET / HTTP/1.0')],
    ['a bare LF behind the request line', 'POST / HTTP/1.1\nHost: a\r\n\r\n'],
    ['an empty method', head([], ' / HTTP/1.1')],
    ['a method with a colon', head([], 'PO:ST / HTTP/1.1')],
    ['two blanks', head([], 'POST  / HTTP/1.1')],
    ['a blank in the target', head([], 'POST /a b HTTP/1.1')],
    ['a target without a slash', head([], 'POST mcp HTTP/1.1')],
    ['a target that is an authority', head([], 'CONNECT :99999999 HTTP/1.1')],
    ['an absolute target for another host', head([], 'GET http://other.test/x HTTP/1.1')],
    ['an absolute target with another port', head([], 'GET http://h.test:80/x HTTP/1.1')],
    ['an absolute target with a user', head([], 'GET http://u@h.test/x HTTP/1.1')],
    ['an absolute target without a host', bare(['Host:'], 'GET http:///x HTTP/1.1')],
    ['an absolute target without a Host', bare([], 'GET http://h.test/x HTTP/1.1')],
    ['an absolute target of another scheme', head([], 'GET ftp://h.test/x HTTP/1.1')],
    ['a fragment', head([], 'GET /mcp#/../x HTTP/1.1')],
    ['a tab in the target', head([], 'POST /a\tb HTTP/1.1')],
    ['a tab for a blank', head([], 'POST\t/ HTTP/1.1')],
    ['a blank at the end of the request line', head([], 'POST / HTTP/1.1 ')],
    ['a target beyond ASCII', head([], 'POST /\xe9 HTTP/1.1')],
    ['HTTP/1.2', head([], 'POST / HTTP/1.2')],
    ['HTTP/2.0', head([], 'POST / HTTP/2.0')],
    ['HTTP/1.11', head([], 'POST / HTTP/1.11')],
    ['lower-case http', head([], 'POST / http/1.1')],
    ['no version', head([], 'POST /')],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\n'],
    ['too many lines', head(Array.from({ length: 200 }, (_, i) => `x-${i}: 1`))],
    ['nothing', '\r\n\r\n'],
  ])('refused: %s', (_what, text) => expect(parse(text)).toBeNull());

  test('a head that resembles another is read like any other', () => {
    const one = bare(['Host: a', 'Content-Length: 1', 'X-A: 1']);
    const others = [
      bare(['Host: a', 'Content-Length: 12', 'X-A: 1']),
      bare(['Host: a', 'Content-Length: 1', 'X-A: 11', 'X-B: 2']),
      bare(['Content-Length: 1', 'Host: a']),
      bare(['Host: a', 'Host: a', 'Content-Length: 1']),
      bare(['Host: a', 'Content-Length: 1', 'Content-Length: 1']),
      head([]),
    ];
    for (const other of others) expect(parseRequestHead(other, parse(one))).toEqual(parse(other));
  });
});

/** A reply's head as text, or null when it is refused. */
function replyHead(status: number, headers: Record<string, string>, room = 1000): string | null {
  const to = new Uint8Array(room);
  const end = writeReplyHead(to, status, headers);
  return end < 0 ? null : Buffer.from(to.subarray(0, end)).toString('latin1');
}

describe('reply heads', () => {
  test('no room is a refusal', () => {
    expect(replyHead(200, { 'x-a': 'b' }, 25)).toBe('HTTP/1.1 200 OK\r\nx-a: b\r\n');
    expect(replyHead(200, { 'x-a': 'b' }, 24)).toBeNull();
  });

  test('status and headers', () => {
    expect(replyHead(202, { 'x-a': 'b\xe9', 'x-b': '' })).toBe(
      'HTTP/1.1 202 Accepted\r\nx-a: b\xe9\r\nx-b: \r\n',
    );
    expect(replyHead(299, {})).toBe('HTTP/1.1 299 \r\n');
  });

  test.each([
    { 'x-a': 'b\r\nx-evil: 1' },
    { 'x-a': 'b\n' },
    { 'x-a': '\0' },
    { 'x-a': 'ł' },
    { 'x a': 'b' },
    { '': 'b' },
    { 'x:': 'b' },
  ])('refused: %j', (headers) => expect(replyHead(200, headers as Record<string, string>)).toBeNull());
});
