// Decisions of the fetch upstream that no server can be made to force: which HTTP version next, which code for which failure.
// Runs src/upstream/fetch-protocol.ts, fetch-reply.ts and fetch-call.ts alone.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { FetchCall } from '../../../src/upstream/fetch-call.ts';
import { codeOf, ProtocolChoice } from '../../../src/upstream/fetch-protocol.ts';
import { failureOf, headOf } from '../../../src/upstream/fetch-reply.ts';
import { Caught, ManualClock } from '../../fixtures/stdio-world.ts';
import { requestOf, target } from './http-world.ts';

describe('the HTTP version', () => {
  test('of plain HTTP is 1.1, and there is no other', () => {
    const choice = new ProtocolChoice(target());
    expect(choice.first()).toBe('http1.1');
    expect(choice.after('http1.1', 'ECONNREFUSED')).toBeNull();
  });

  test('of HTTPS is 2, then what the failure leaves', () => {
    const choice = new ProtocolChoice(target({ secure: true }));
    expect(choice.first()).toBe('http2');
    expect(choice.after('http2', 'HTTP2Unsupported')).toBe('http1.1');
    expect(choice.after('http2', 'ECONNREFUSED')).toBe('http3');
    expect(choice.after('http3', 'ECONNREFUSED')).toBeNull();
    // A request may have been sent by then: no other version may send it again.
    for (const code of ['ECONNRESET', 'ConnectionClosed', 'HTTP2StreamReset', 'ETIMEDOUT', '']) {
      expect(choice.after('http2', code)).toBeNull();
    }
  });

  test('that worked is kept', () => {
    const choice = new ProtocolChoice(target({ secure: true }));
    choice.worked('http1.1');
    expect(choice.first()).toBe('http1.1');
    expect(choice.after('http1.1', 'ECONNREFUSED')).toBeNull();
  });

  test('3 is not for servers with a CA, a certificate or a name of their own', () => {
    const tls = { serverName: null, ca: null, cert: null, key: null, verify: true };
    for (const own of [{ ca: 'x' }, { serverName: 'x' }, { cert: 'x', key: 'y' }]) {
      const choice = new ProtocolChoice(target({ secure: true, tls: { ...tls, ...own } }));
      expect(choice.after('http2', 'ECONNREFUSED')).toBeNull();
    }
  });
});

describe('failures', () => {
  const thrown = (code: string): Error => Object.assign(new TypeError('secret detail'), { code });
  for (const [code, replied, expected] of [
    ['ECONNREFUSED', false, 'GW_UPSTREAM_CONNECT'],
    ['ENOTFOUND', false, 'GW_UPSTREAM_CONNECT'],
    ['HTTP2Unsupported', false, 'GW_UPSTREAM_CONNECT'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', false, 'GW_UPSTREAM_TLS'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', false, 'GW_UPSTREAM_TLS'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', false, 'GW_UPSTREAM_TLS'],
    ['HTTP3HandshakeFailed', false, 'GW_UPSTREAM_TLS'],
    ['ECONNRESET', false, 'GW_UPSTREAM_CLOSED'],
    ['ECONNRESET', true, 'GW_UPSTREAM_CLOSED'],
    ['InvalidContentLength', false, 'GW_UPSTREAM_FRAMING'],
    ['HTTP2StreamReset', true, 'GW_UPSTREAM_FRAMING'],
    ['', true, 'GW_UPSTREAM_CLOSED'],
    ['', false, 'GW_BASE_INTERNAL'],
  ] as const) {
    test(`${code || 'no code'}${replied ? ' within a reply' : ''} is ${expected}`, () => {
      const error = failureOf(thrown(code), 'docs', replied);
      expect(error.code).toBe(expected);
      expect(error.message).not.toContain('secret');
    });
  }

  test('of our own pass as they are', () => {
    const error = new GatewayError('GW_UPSTREAM_BODY_SIZE');
    expect(failureOf(error, 'docs', true)).toBe(error);
  });

  test('codes are strings or nothing', () => {
    for (const value of [null, undefined, 'x', {}, { code: 5 }]) expect(codeOf(value)).toBe('');
  });
});

test('heads of responses are read as the contract words them', () => {
  const of = (body: string | null, init: ResponseInit) => headOf(new Response(body, init));
  const json = { 'content-type': 'Application/JSON; charset=utf-8' };
  expect(of('{}', { headers: json })).toMatchObject({ media: 'json', contentLength: -1, whole: false });
  expect(of('x', { headers: { 'content-type': 'text/event-stream' } }).media).toBe('event-stream');
  expect(of('x', { headers: { 'content-type': 'application/jsonl' } }).media).toBe('other');
  expect(of(null, { status: 202 })).toMatchObject({ media: 'none', contentLength: 0, whole: true });
  expect(of(null, { status: 204, headers: json })).toMatchObject({ media: 'none', whole: true });
  const head = of('{}', { headers: { ...json, 'mcp-session-id': 's', 'content-length': '2' } });
  expect([head.sessionId, head.contentLength, head.header('mcp-session-id'), head.header('x')]).toEqual([
    's',
    2,
    's',
    null,
  ]);
});

test('a call ends once, whatever comes first', () => {
  for (const first of ['end', 'fail', 'abort', 'deadline'] as const) {
    const clock = new ManualClock();
    const sink = new Caught();
    sink.onHead(headOf(new Response(null)));
    let ended = 0;
    const call = new FetchCall({
      ...{ request: requestOf(), sink, clock, firstByteMs: 50 },
      ended: () => ended++,
      outlasts: () => undefined,
    });
    call.watchFirstByte('GW_UPSTREAM_TIMEOUT', 'late');
    if (first === 'deadline') clock.advance(50);
    else if (first === 'fail') call.fail(new GatewayError('GW_UPSTREAM_CLOSED'));
    else call[first]();
    const before = [sink.ended, sink.failed?.code];
    call.end();
    call.fail(new GatewayError('GW_UPSTREAM_FRAMING'));
    call.abort();
    call.resume();
    clock.advance(1_000);
    expect([sink.ended, sink.failed?.code]).toEqual(before);
    expect([ended, clock.pending]).toEqual([1, 0]);
    expect(call.controller.signal.aborted).toBe(first !== 'end');
  }
});
