// What a server may name as its endpoint.
// Promises: pure; messages never leave for another origin.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import type { HttpTarget } from '../../../src/upstream/spec.ts';
import { postPath } from '../../../src/upstream/sse-endpoint.ts';

const TARGET: HttpTarget = {
  kind: 'http',
  client: 'http1',
  secure: false,
  host: 'old.example',
  port: 8080,
  unixPath: null,
  path: '/api/sse?key=1',
  url: 'http://old.example:8080/api/sse',
  headers: [],
  tls: { serverName: null, ca: null, cert: null, key: null, verify: true },
  connectionsMax: 1,
};
const SECURE: HttpTarget = { ...TARGET, secure: true, host: '::1', port: 443 };

function pathOf(text: string, target = TARGET): string {
  const path = postPath(target, encode(text));
  return path instanceof GatewayError ? path.code : path;
}

describe('the endpoint', () => {
  test.each([
    ['/messages?sessionId=1', '/messages?sessionId=1'],
    ['messages/7', '/api/messages/7'],
    ['?session=2', '/api/sse?session=2'],
    ['  /spaced \n', '/spaced'],
    ['http://old.example:8080/m?x=1#part', '/m?x=1'],
    ['//old.example:8080/m', '/m'],
    ['/a b/é', '/a%20b/%C3%A9'],
    ['/m/../n', '/n'],
  ])('%p is %p', (text, path) => {
    expect(pathOf(text)).toBe(path);
  });

  test('of an IPv6 address and the default port', () => {
    expect(pathOf('https://[::1]/m', SECURE)).toBe('/m');
    expect(pathOf('/m', SECURE)).toBe('/m');
    expect(pathOf('http://[::1]/m', SECURE)).toBe('GW_UPSTREAM_STREAM');
  });

  test.each([
    'http://other.example:8080/m',
    'http://old.example/m',
    'https://old.example:8080/m',
    '//evil.example/m',
    'http://old.example:8080@evil.example/m',
    'http://user:secret@old.example:8080/m',
    '\\\\evil.example\\m',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'http://',
    '',
  ])('%p is refused', (text) => {
    expect(pathOf(text)).toBe('GW_UPSTREAM_STREAM');
  });

  test('one that is longer than any session id needs is refused', () => {
    expect(pathOf(`/${'x'.repeat(9_000)}`)).toBe('GW_UPSTREAM_STREAM');
  });

  test('whatever it says, it is a path that fits a request line, or refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const path = postPath(TARGET, encode(text));
        expect(path instanceof GatewayError || /^\/[\x21-\x7e]*$/.test(path)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
