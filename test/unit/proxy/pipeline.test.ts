// The pipeline's last line of defence, and the bounds of merged lists.
// Runs proxy/pipeline.ts, target.ts and lists.ts.

import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import type { ErrorCode } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { Envelopes } from '../../../src/proxy/envelopes.ts';
import { Pipeline } from '../../../src/proxy/pipeline.ts';
import { contained, type Target } from '../../../src/proxy/target.ts';
import { json, jsonOf, Lab, legacyScript } from '../../fixtures/lab.ts';

const PING = encode('{"jsonrpc":"2.0","id":1,"method":"ping"}');

describe('faults of our own', () => {
  const fault = (): never => {
    throw new Error('boom');
  };
  const broken: Target = {
    keepsSessions: false,
    routes: null,
    sessions: 0,
    post: fault,
    stream: fault,
    end: fault,
    sweep: () => undefined,
    close: () => undefined,
  };

  test('a target that throws, or is not there, costs its exchange and nothing else', () => {
    const lab = new Lab({ servers: { a: () => ({}) } });
    for (const [targets, status, code] of [
      [new Map([['/mcp', broken]]), 500, 'GW_BASE_INTERNAL'],
      [new Map<string, Target>(), 404, 'GW_SERVER_PATH'],
    ] as const) {
      const pipeline = new Pipeline(lab.scanner, targets, new Envelopes());
      const seen = [lab.open('POST'), lab.open('GET'), lab.open('DELETE')] as const;
      pipeline.post(seen[0].exchange, PING);
      pipeline.stream(seen[1].exchange);
      pipeline.end(seen[2].exchange);
      expect(seen.map((one) => [one.status, one.finishes, one.exchange.errorCode])).toEqual(
        Array.from({ length: 3 }, () => [status, 1, code]),
      );
      expect(seen[0].json.id).toBe(1);
    }
  });

  test('a timer that throws, or a comment that cannot be sent, ends its exchange', () => {
    const lab = new Lab({ servers: { a: () => ({}) } });
    const timed = lab.open('POST');
    contained(timed.exchange, fault)();
    expect([timed.status, timed.finishes]).toEqual([500, 1]);
    const streaming = lab.open('GET');
    let failures = 0;
    const body = {
      bytes: 0,
      open: () => undefined,
      end: () => undefined,
      endWith: () => false,
      fail: () => failures++,
      keepAlive: fault,
    };
    streaming.exchange.reply(200, {}, body);
    streaming.exchange.keepAlive();
    expect([failures, streaming.finishes, streaming.exchange.errorCode]).toEqual([1, 1, 'GW_BASE_INTERNAL']);
  });
});

describe('lists', () => {
  const listing = async (script: Parameters<typeof legacyScript>[1]) => {
    const lab = new Lab({ servers: { a: legacyScript('a', script) } });
    const session = await lab.initialize();
    const seen = lab.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, { session });
    await lab.sim.advance(100);
    return seen;
  };

  test('a server that refuses is named; one that has no such method is not', async () => {
    for (const [error, text] of [
      [{ code: -32000, message: 'not today' }, 'not today'],
      [{ code: -32000 }, 'error -32000'],
    ] as const)
      expect((await listing((message) => json({ jsonrpc: '2.0', id: message.id, error }))).text).toContain(
        text,
      );
    const none = await listing((message) =>
      json({ jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'x' } }),
    );
    expect(none.json.result).toEqual({ tools: [] });
  });

  test('regression: pages without end, in number or in bytes, end somewhere', async () => {
    let page = 0;
    const many = await listing((message) =>
      json({ jsonrpc: '2.0', id: message.id, result: { tools: [], nextCursor: String(++page) } }),
    );
    expect(page).toBe(LIMITS.listPagesMax);
    expect(many.text).toContain(`more than ${LIMITS.listPagesMax} pages`);
    const big = 'x'.repeat(LIMITS.listBytesMax / 4);
    let bytes = 0;
    const large = await listing((message) => {
      bytes += big.length;
      return json({ jsonrpc: '2.0', id: message.id, result: { tools: [], big, nextCursor: String(bytes) } });
    });
    expect(bytes).toBe(LIMITS.listBytesMax);
    expect(large.text).toContain('are larger than');
  });
});

test('a notification that does not reach its server is logged; another leg hears it', async () => {
  const script = legacyScript('a');
  const lab = new Lab({
    servers: {
      a: (sent, index) =>
        sent.body.length > 0 && jsonOf(sent.body).method === 'notifications/roots/list_changed'
          ? { fail: 'GW_UPSTREAM_CLOSED' }
          : script(sent, index),
      b: legacyScript('b'),
    },
  });
  const session = await lab.initialize();
  const seen = lab.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }, { session });
  await lab.sim.advance(10);
  expect([seen.status, lab.asked('b', 'notifications/roots/list_changed').length]).toEqual([202, 1]);
  expect(
    lab.logged.some((line) => line.includes('did not reach') && line.includes('GW_UPSTREAM_CLOSED')),
  ).toBe(true);
});

test('a notification’s era: its own claim decides, and its header must agree', () => {
  const lab = new Lab({ servers: { a: () => ({ status: 202 }) } });
  const note = (version: unknown): object => ({
    jsonrpc: '2.0',
    method: 'notifications/x',
    params: { _meta: { 'io.modelcontextprotocol/protocolVersion': version } },
  });
  const rows: readonly [unknown, string | null, number, ErrorCode | null][] = [
    ['2026-07-28', '2026-07-28', 202, null],
    ['2026-07-28', null, 202, null],
    ['2026-07-28', '2025-06-18', 400, 'GW_MCP_HEADER'],
    [5, '2026-07-28', 400, 'GW_MCP_META'],
  ];
  for (const [claim, protocolVersion, status, code] of rows) {
    const seen = lab.post(note(claim), { protocolVersion });
    expect([seen.status, seen.exchange.errorCode]).toEqual([status, code]);
    if (code !== null) expect('id' in seen.json).toBe(false);
  }
});
