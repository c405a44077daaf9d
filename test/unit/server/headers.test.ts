// Which headers of a client are read, and which of them a server gets to see.
// Runs server/headers.ts, server/cors.ts and proxy/headers.ts.
import { describe, expect, test } from 'bun:test';
import { requestHeaders } from '../../../src/proxy/headers.ts';
import { corsHeaders, preflight } from '../../../src/server/cors.ts';
import { readHeaders } from '../../../src/server/headers.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { Lab } from '../../fixtures/lab.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

const CLIENT = {
  host: 'h',
  origin: 'o',
  'content-type': 'application/json',
  'content-encoding': 'identity',
  'content-length': '12',
  accept: '*/*',
  'mcp-protocol-version': ' 2026-07-28 ',
  'mcp-method': 'm ',
  'mcp-name': ' n',
  'mcp-session-id': 's',
  'last-event-id': '7',
  traceparent: 't',
  tracestate: 'u',
  baggage: 'b',
  'mcp-param-region': 'eu',
  authorization: 'Bearer secret',
  cookie: 'c=1',
  'x-tenant': 'x',
};

describe('headers', () => {
  test('are read in one pass, counted and trimmed where the protocol says so', () => {
    const read = readHeaders(new FakeInbound('POST', '/', CLIENT), new Set(['x-tenant']));
    expect(read).toMatchObject({
      host: 'h',
      origin: 'o',
      contentType: 'application/json',
      contentEncoding: 'identity',
      contentLength: 12,
      accept: '*/*',
      protocolVersion: '2026-07-28',
      mcpMethod: 'm',
      mcpName: 'n',
      session: 's',
      lastEventId: '7',
      passed: ['traceparent', 't', 'tracestate', 'u', 'baggage', 'b', 'mcp-param-region', 'eu'],
      optional: ['x-tenant', 'x'],
      count: Object.keys(CLIENT).length,
    });
    const bytes = Object.entries(CLIENT).reduce(
      (sum, [name, value]) => sum + name.length + value.length + 4,
      0,
    );
    expect(read.bytes).toBe(bytes);
    expect(readHeaders(new FakeInbound('POST', '/', CLIENT), new Set()).optional).toEqual([]);
  });

  test('credentials reach only the server that names them', () => {
    const { exchange } = new Lab({ servers: { a: () => ({}) } }).open(
      'POST',
      readHeaders(new FakeInbound('POST', '/', CLIENT), new Set(['authorization', 'x-tenant'])),
    );
    expect(requestHeaders(exchange, []).join(' ')).not.toMatch(/secret|c=1|x-tenant/);
    expect(requestHeaders(exchange, ['authorization'])).toEqual(
      expect.arrayContaining(['authorization', 'Bearer secret']),
    );
    expect(requestHeaders(exchange, ['authorization'])).not.toContain('x-tenant');
    const changed = requestHeaders(exchange, [], { mcpName: 'own', protocolVersion: null });
    expect(changed).toEqual(expect.arrayContaining(['mcp-name', 'own']));
    expect(changed).not.toContain('mcp-protocol-version');
    expect(requestHeaders(exchange, [], { mcpName: null })).not.toContain('mcp-name');
  });

  test('a client that accepts anything is taken at its word; one that is silent gets the protocol’s own', () => {
    const lab = new Lab({ servers: { a: () => ({}) } });
    const accept = (verb: 'POST' | 'GET', value: string | null): string | undefined =>
      requestHeaders(lab.open(verb, { accept: value }).exchange, [])[1];
    expect([accept('POST', '*/*'), accept('POST', null), accept('GET', null)]).toEqual([
      '*/*',
      'application/json, text/event-stream',
      'text/event-stream',
    ]);
  });
});

describe('CORS', () => {
  const { front } = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });

  test('never a wildcard, always varying by origin, session id readable', () => {
    const headers = corsHeaders('http://localhost:1');
    expect(headers['access-control-allow-origin']).toBe('http://localhost:1');
    expect(headers.vary).toBe('Origin');
    expect(headers['access-control-expose-headers']).toContain('mcp-session-id');
  });

  test('a preflight allows what the protocol’s requests carry', () => {
    const { headers, status, body } = preflight('http://localhost:1', front);
    expect([status, body]).toEqual([204, null]);
    for (const name of [
      'content-type',
      'mcp-protocol-version',
      'mcp-method',
      'mcp-name',
      'mcp-session-id',
      'last-event-id',
      'authorization',
    ])
      expect(headers['access-control-allow-headers']).toContain(name);
    expect(preflight(null, front).headers['access-control-allow-origin']).toBeUndefined();
  });
});
