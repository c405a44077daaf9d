// One server passed through: what comes back goes out, whatever breaks is told, nothing hangs.
// Runs proxy/single.ts, forward.ts and relay.ts over a fake upstream on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { StreamBody } from '../../../src/proxy/relay.ts';
import type { FakeReply } from '../../../src/upstream/fake.ts';
import { eventOf, eventStream, json, Lab, Seen } from '../../fixtures/lab.ts';

const REQUEST = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
const lab = (reply: FakeReply, kind: 'http' | 'stdio' = 'http'): Lab =>
  new Lab({ servers: { a: () => reply }, single: kind });

describe('one server passed through', () => {
  test('regression: a refusal in place of a foreign body keeps the headers that clients act on', async () => {
    const one = lab({
      status: 401,
      headers: {
        'content-type': 'text/plain',
        'www-authenticate': 'Bearer x="y"',
        'cache-control': 'no-store',
      },
      body: 'no',
    });
    const seen = one.post(REQUEST);
    await one.sim.advance(10);
    expect([
      seen.status,
      seen.headers['www-authenticate'],
      seen.headers['content-type'],
      seen.json.id,
    ]).toEqual([401, 'Bearer x="y"', 'application/json', 1]);
  });

  test('a modern stream that breaks between events ends with an error; regression: in the middle of one it is cut', async () => {
    for (const [piece, state] of [
      [eventOf({ jsonrpc: '2.0', method: 'n' }), 'ended'],
      ['data: 1\r\n\r\n', 'ended'],
      ['data: 1\r\r', 'ended'],
      ['data: {"js', 'failed'],
      ['data: 1\n', 'failed'],
    ] as const) {
      const one = lab(eventStream([piece], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }));
      const seen = one.modern(1, 'tools/list');
      await one.sim.advance(10);
      expect([seen.state, seen.text.includes('GW_UPSTREAM_CLOSED')]).toEqual([state, state === 'ended']);
      expect(seen.finishes).toBe(1);
    }
  });

  test('a legacy stream that breaks is cut: its client may take it up again', async () => {
    const one = lab(
      eventStream([eventOf({ jsonrpc: '2.0', method: 'n' })], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
    );
    const seen = one.post(REQUEST);
    await one.sim.advance(10);
    expect([seen.state, seen.exchange.outcome]).toEqual(['failed', 'failed']);
  });

  test('a large body is streamed as it is, never with a comment in it, and cut when it breaks', async () => {
    const piece = 'x'.repeat(200 * 1024);
    const one = lab(
      json('', { body: [piece, piece, piece, '\n\n'], fail: 'GW_UPSTREAM_IDLE', failLate: true, gapMs: 1 }),
    );
    const seen = one.modern(1, 'tools/list');
    await one.sim.advance(3);
    seen.exchange.keepAlive();
    await one.sim.advance(100);
    expect([seen.state, seen.bytes.length]).toEqual(['failed', 600 * 1024 + 2]);
  });

  test('back-pressure goes through, in both ways of streaming', async () => {
    const piece = 'y'.repeat(300 * 1024);
    for (const reply of [
      eventStream(['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n'], { gapMs: 5 }),
      json('', { body: [piece, piece, piece], gapMs: 5 }),
    ]) {
      const one = lab(reply);
      const seen = one.post(REQUEST);
      seen.reads = false;
      await one.sim.advance(100);
      const before = seen.parts.length;
      seen.drain();
      await one.sim.advance(100);
      expect([before < 3, seen.parts.length, seen.state]).toEqual([true, 3, 'ended']);
    }
  });

  test('regression: silent event streams get comments, of GET and POST alike', async () => {
    const one = lab(eventStream([eventOf({ jsonrpc: '2.0', method: 'n' })], { hang: true }));
    const seen = [one.get(one.sealed('s')), one.post(REQUEST)];
    await one.sim.advance(10);
    for (const stream of seen) {
      stream.exchange.keepAlive();
      expect(stream.comments).toBe(1);
    }
    const cut = lab(eventStream(['data: {"half'], { hang: true }));
    const half = cut.get(cut.sealed('s'));
    await cut.sim.advance(10);
    half.exchange.keepAlive();
    expect(half.comments).toBe(0);
  });

  test('draining ends a GET properly, and refuses one that has no reply yet', async () => {
    const open = lab(eventStream([': \n\n'], { hang: true }));
    const seen = open.get(open.sealed('s'));
    await open.sim.advance(10);
    seen.exchange.close(null);
    expect([seen.state, seen.finishes, open.fake('a').sent[0]?.aborted]).toEqual(['ended', 1, true]);
    const silent = lab({ hang: true });
    const early = silent.get(silent.sealed('s'));
    await silent.sim.advance(10);
    early.exchange.close(null);
    early.exchange.close(null);
    expect([early.status, early.finishes, silent.fake('a').sent[0]?.aborted]).toEqual([503, 1, true]);
  });

  test('a running call that is stopped hears why; its server is let go of', async () => {
    const one = lab({ hang: true });
    const seen = one.post(REQUEST);
    await one.sim.advance(10);
    seen.exchange.refuse(new GatewayError('GW_SERVER_STOPPED'));
    seen.exchange.refuse(new GatewayError('GW_SERVER_BUSY'));
    expect([seen.replies, seen.status, seen.json.id, one.fake('a').sent[0]?.aborted]).toEqual([
      1,
      500,
      1,
      true,
    ]);
  });

  test('regression: what is over before its server is called is not called', async () => {
    const one = lab({ hang: true });
    const seen = one.open('POST');
    seen.exchange.refuse(new GatewayError('GW_SERVER_STOPPED'));
    let isAborted = false;
    seen.exchange.hold({ resume: () => undefined, abort: () => (isAborted = true) });
    let isGone = false;
    seen.exchange.whenGone(() => (isGone = true));
    expect([isAborted, isGone]).toEqual([true, true]);
  });

  test('regression: a fault while letting go neither hides the end nor hangs the client', () => {
    const one = lab({ hang: true });
    const seen = one.open('POST');
    seen.exchange.hold({
      resume: () => undefined,
      abort: () => {
        throw new Error('abort fault');
      },
    });
    seen.exchange.abandon();
    expect([seen.status, seen.finishes, String(seen.exchange.fault)]).toEqual([499, 1, 'Error: abort fault']);
  });

  test('one on stdio judges versions itself, one on HTTP leaves that to its server', async () => {
    const headers = { protocolVersion: '2099-01-01', mcpMethod: 'tools/list' };
    const body = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/list',
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2099-01-01',
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    };
    const stdio = lab(json({ jsonrpc: '2.0', id: 1, result: {} }), 'stdio');
    expect(stdio.post(body, headers).json.error?.code).toBe(-32022);
    const http = lab(json({ jsonrpc: '2.0', id: 1, result: {} }));
    const seen = http.post(body, headers);
    await http.sim.advance(10);
    expect(seen.json.result).toEqual({});
    expect([http.target.sessions, http.target.keepsSessions, stdio.target.keepsSessions]).toEqual([
      0,
      false,
      true,
    ]);
    http.target.sweep();
    http.target.close();
  });

  test('media that is none: by what was asked', async () => {
    const rows: readonly [FakeReply, 'POST' | 'GET' | 'DELETE' | 'note' | 'answer', number][] = [
      [{ status: 200 }, 'POST', 502],
      [{ status: 202 }, 'note', 202],
      [{ status: 200 }, 'note', 200],
      [{ status: 200 }, 'answer', 200],
      [{ status: 405 }, 'GET', 405],
      [{ status: 200, headers: { 'content-type': 'text/plain' }, body: 'bye' }, 'DELETE', 200],
      [{ status: 200, headers: { 'content-type': 'text/plain' }, body: 'hm' }, 'GET', 502],
      [{ status: 404, headers: { 'content-type': 'text/html' }, body: '<p>' }, 'POST', 404],
    ];
    for (const [reply, kind, status] of rows) {
      const one = lab(reply);
      const seen =
        kind === 'GET'
          ? one.get(one.sealed('s'))
          : kind === 'DELETE'
            ? one.delete(one.sealed('s'))
            : one.post(
                kind === 'POST'
                  ? REQUEST
                  : kind === 'note'
                    ? { jsonrpc: '2.0', method: 'notifications/x' }
                    : { jsonrpc: '2.0', id: 4, result: {} },
              );
      await one.sim.advance(10);
      expect([kind, seen.status, seen.finishes]).toEqual([kind, status, 1]);
    }
  });
});

describe('stream bodies', () => {
  test('what is written before the stream is opened comes in order, and its end too', () => {
    const body = new StreamBody();
    let rooms = 0;
    body.onRoom(() => rooms++);
    expect(body.write(encode('a'))).toBe(false);
    expect(body.write(encode('b'))).toBe(false);
    body.end();
    expect(body.write(encode('c'))).toBe(true);
    const seen = new Seen();
    seen.take({ status: 200, headers: {}, body });
    expect([seen.text, seen.state, rooms]).toEqual(['ab', 'ended', 0]);
  });

  test('failing and ending come once; the first decides', () => {
    const body = new StreamBody();
    body.write(encode('a'));
    body.fail();
    body.end();
    expect(body.endWith(encode('x'))).toBe(false);
    const seen = new Seen();
    seen.take({ status: 200, headers: {}, body });
    expect([seen.text, seen.state, body.ended]).toEqual(['', 'failed', true]);
  });

  test('a producer that cannot be paused is told when too much is unread, and goes on once it was read', () => {
    const body = new StreamBody();
    const seen = new Seen();
    seen.take({ status: 200, headers: {}, body });
    seen.reads = false;
    const event = new Uint8Array(LIMITS.downstreamBufferBytesMax / 2 + 1);
    expect([body.offer(event), body.offer(event), body.offer(event)]).toEqual([true, true, false]);
    seen.drain();
    expect(body.offer(event)).toBe(true);
  });

  test('room is told after opening only when something had waited', () => {
    const quiet = new StreamBody();
    let rooms = 0;
    quiet.onRoom(() => rooms++);
    new Seen().take({ status: 200, headers: {}, body: quiet });
    expect(rooms).toBe(0);
    const early = new StreamBody();
    early.onRoom(() => rooms++);
    early.write(encode('a'));
    new Seen().take({ status: 200, headers: {}, body: early });
    expect(rooms).toBe(1);
  });
});
