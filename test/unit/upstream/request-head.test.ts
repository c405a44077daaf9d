// Heads of requests: their exact bytes, and that no value can end a header line early.
// Runs src/upstream/request-head.ts alone.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import {
  hostHeader,
  nameIsSafe,
  RequestHead,
  SCRATCH_BYTES,
  valueIsSafe,
} from '../../../src/upstream/request-head.ts';
import type { HttpTarget } from '../../../src/upstream/spec.ts';
import { type Parts, requestOf, target } from './http-world.ts';

function written(parts: Parts, targetParts: Partial<HttpTarget> = {}, bodyBytes = 2): string | null {
  const head = new RequestHead(target(targetParts));
  const end = head.write(requestOf(parts), bodyBytes);
  return end < 0 ? null : decode(head.scratch, 0, end);
}

describe('the bytes of a head', () => {
  test('of a POST', () => {
    const text = written(
      { headers: ['mcp-protocol-version', '2026-07-28', 'x-request-id', 'abc'], session: 's-1' },
      { headers: ['authorization', 'Bearer secret'] },
      41,
    );
    expect(text).toBe(
      'POST /mcp HTTP/1.1\r\nhost: mcp.example:8080\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n' +
        'authorization: Bearer secret\r\nmcp-protocol-version: 2026-07-28\r\nx-request-id: abc\r\n' +
        'accept: application/json, text/event-stream\r\nmcp-session-id: s-1\r\ncontent-length: 41\r\n\r\n',
    );
  });

  test('of a GET and of a DELETE, which have no body', () => {
    expect(written({ verb: 'GET', session: 's' })).toBe(
      'GET /mcp HTTP/1.1\r\nhost: mcp.example:8080\r\naccept-encoding: identity\r\naccept: text/event-stream\r\nmcp-session-id: s\r\n\r\n',
    );
    expect(written({ verb: 'DELETE', session: 's' })).toBe(
      'DELETE /mcp HTTP/1.1\r\nhost: mcp.example:8080\r\naccept-encoding: identity\r\naccept: application/json\r\nmcp-session-id: s\r\n\r\n',
    );
  });

  test('with a path of its own, which the next request does not have', () => {
    const head = new RequestHead(target({ headers: ['x-configured', 'c'] }));
    const text = (parts: Parts): string => decode(head.scratch, 0, head.write(requestOf(parts), 2));
    const plain = text({});
    const path = '/messages?sessionId=1';
    expect(text({ path })).toBe(plain.replace('/mcp', path));
    expect(text({})).toBe(plain);
    expect(text({ verb: 'GET', path })).toStartWith(`GET ${path} HTTP/1.1\r\nhost: mcp.example:8080\r\n`);
    expect(text({ path: '/' })).toBe(plain.replace('/mcp', '/'));
    for (const bad of [
      '',
      'x',
      'http://x/',
      '/a b',
      '/a\r\nb: c',
      '/\u0100',
      `/${'x'.repeat(SCRATCH_BYTES)}`,
    ])
      expect(head.write(requestOf({ path: bad }), 2)).toBe(-1);
    expect(text({})).toBe(plain);
  });

  test('of one verb after another from one scratch', () => {
    const head = new RequestHead(target());
    for (const verb of ['POST', 'GET', 'POST', 'DELETE', 'DELETE', 'POST'] as const) {
      const end = head.write(requestOf({ verb }), 7);
      const text = decode(head.scratch, 0, end);
      expect(text.startsWith(`${verb} /mcp HTTP/1.1\r\n`)).toBe(true);
      expect(text.includes('content-length: 7\r\n')).toBe(verb === 'POST');
      expect(text.split('\r\n\r\n')).toHaveLength(2);
    }
  });

  test('every length is written in full', () => {
    for (const bytes of [
      0, 1, 9, 10, 11, 99, 100, 101, 999, 1_000, 9_999, 10_000, 65_535, 4_194_304, 2_147_483_647,
      4_294_967_295,
    ]) {
      expect(written({}, {}, bytes)).toContain(`\r\ncontent-length: ${bytes}\r\n\r\n`);
    }
  });

  test('the caller’s accept, and the configured one, replace ours', () => {
    expect(written({ headers: ['accept', 'application/json'] })).toContain(
      '\r\naccept: application/json\r\n',
    );
    const configured = written({ headers: ['accept', 'x/y'] }, { headers: ['accept', 'a/b'] });
    expect(configured?.match(/\r\naccept: .*/g)).toEqual(['\r\naccept: a/b']);
  });

  test('a configured header wins over the caller’s', () => {
    const text = written(
      { headers: ['authorization', 'mine', 'x-a', '1'] },
      { headers: ['authorization', 'theirs'] },
    );
    expect(text?.match(/\r\nauthorization: .*/g)).toEqual(['\r\nauthorization: theirs']);
    expect(text).toContain('\r\nx-a: 1\r\n');
  });

  test('what the transport decides is not the caller’s', () => {
    const own = [
      'content-length',
      'transfer-encoding',
      'host',
      'connection',
      'te',
      'trailer',
      'upgrade',
      'expect',
      'content-type',
      'mcp-session-id',
    ];
    const text = written({ headers: own.flatMap((name) => [name, 'evil']) });
    expect(text).not.toContain('evil');
  });

  test('a configured host is sent once', () => {
    const text = written({}, { headers: ['host', 'virtual.example'] });
    expect(text?.match(/\r\nhost: .*/g)).toEqual(['\r\nhost: virtual.example']);
  });

  test('Host names the port unless it is the default', () => {
    expect(hostHeader(target({ port: 80 }))).toBe('mcp.example');
    expect(hostHeader(target({ port: 443 }))).toBe('mcp.example:443');
    expect(hostHeader(target({ port: 443, secure: true }))).toBe('mcp.example');
    expect(hostHeader(target({ host: '::1', port: 80 }))).toBe('[::1]');
    expect(hostHeader(target({ host: '[::1]', port: 81 }))).toBe('[::1]:81');
  });
});

describe('values that are no values', () => {
  test('every character that is a control, or more than one byte, is refused', () => {
    for (let code = 0; code <= 0x400; code++) {
      const value = `a${String.fromCharCode(code)}b`;
      const safe = code === 9 || (code >= 32 && code !== 127 && code <= 255);
      expect({ code, sent: written({ headers: ['x-v', value] }) !== null }).toEqual({ code, sent: safe });
      expect(valueIsSafe(value)).toBe(safe);
    }
    // Their low bytes are CR and LF: a careless write would split the header.
    for (const char of ['\u010a', '\u010d', '\u560a', '\u560d'])
      expect(written({ session: `s${char}x: y` })).toBeNull();
  });

  test('names are tokens', () => {
    for (const name of ['', 'a b', 'a:b', 'a\r\nb', 'ä', 'a\0']) {
      expect(nameIsSafe(name)).toBe(false);
      expect(written({ headers: [name, 'v'] })).toBeNull();
    }
  });

  test('a head that the scratch cannot hold is refused, and the next one is whole', () => {
    const head = new RequestHead(target());
    const huge = requestOf({ headers: ['x-huge', 'v'.repeat(SCRATCH_BYTES)] });
    const many = requestOf({
      headers: Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 'x-n' : 'v')),
    });
    expect(head.write(huge, 2)).toBe(-1);
    expect(head.write(many, 2)).toBe(-1);
    const end = head.write(requestOf({}), 2);
    expect(decode(head.scratch, 0, end)).toBe(written({}) ?? '');
  });

  test('names that clients choose do not pile up', () => {
    const head = new RequestHead(target());
    for (let i = 0; i < 2_000; i++) {
      const end = head.write(requestOf({ headers: [`mcp-param-${i}`, 'v'] }), 2);
      expect(decode(head.scratch, 0, end)).toContain(`\r\nmcp-param-${i}: v\r\n`);
    }
  });
});
