// What clients are told of where the time went.
// Runs src/server/server-timing.ts through the HTTP front, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { SILENT } from '../../../src/observe/log.ts';
import type { Reply } from '../../../src/runtime/runtime.ts';
import { Front } from '../../../src/server/http.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { json, Lab } from '../../fixtures/lab.ts';

const HEADERS = {
  host: 'localhost',
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-06-18',
};
const KEY = 'sluice/timing';

async function ask(
  params: object,
  answer: string,
  serverTiming = true,
  method: unknown = 'tools/call',
): Promise<Reply> {
  const lab = new Lab({ servers: { a: () => json(answer, { delayMs: 20 }) }, single: 'http' });
  const { snapshot } = lab;
  let ids = 0;
  const front = new Front({
    snapshot: { ...snapshot, front: { ...snapshot.front, serverTiming } },
    ...{ pipeline: lab.pipeline, handles: lab.handles, scanner: lab.scanner },
    ...{ clock: lab.sim.clock, log: SILENT, newId: () => `id${++ids}` },
  });
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method,
    params: { name: 'echo', ...params },
  });
  const reply = Promise.resolve(front.handle(new FakeInbound('POST', '/mcp', HEADERS, body)));
  await lab.sim.advance(50);
  return reply;
}

function resultOf(reply: Reply) {
  const { body } = reply;
  return JSON.parse(body instanceof Uint8Array ? decode(body) : 'null');
}

const answerOf = (result: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, result });

describe('Server-Timing', () => {
  test('says what the gateway and what the server took', async () => {
    const { headers } = await ask({}, answerOf({ content: [] }));
    expect(headers['server-timing']).toMatch(/^gateway;dur=[\d.]+, upstream;dur=2\d/);
  });

  test('is left out where it is not wanted', async () => {
    const { headers } = await ask({}, answerOf({ content: [] }), false);
    expect(headers).not.toHaveProperty('server-timing');
  });

  test('is on refusals as well', async () => {
    const reply = await ask({}, answerOf({}), true, 5);
    expect(resultOf(reply)).toHaveProperty('error');
    expect(reply.headers['server-timing']).toContain('upstream;dur=0');
  });
});

describe('in _meta', () => {
  for (const [what, result] of [
    ['a result without _meta', { content: [] }],
    ['an empty result', {}],
    ['a result with _meta', { content: [1], _meta: { other: [true] } }],
    ['a result with an empty _meta', { _meta: {} }],
  ] as const)
    test(`comes in ${what}, and nothing else has changed`, async () => {
      const answer = resultOf(await ask({ _meta: { [KEY]: true } }, answerOf(result)));
      const { [KEY]: times, ...meta } = answer.result._meta;
      expect(times).toMatchObject({ queueMs: 0, sends: expect.any(Number), isCached: false });
      expect(times.upstreamMs).toBeGreaterThanOrEqual(20);
      const { _meta: before = {}, ...rest }: { _meta?: object; content?: unknown } = result;
      const { _meta: _, ...after } = answer.result;
      expect(meta).toEqual(before as never);
      expect(after).toEqual(rest);
    });

  test('comes only when it is asked for with true', async () => {
    for (const _meta of [{}, { [KEY]: 'true' }, { [KEY]: false }, { deeper: { [KEY]: true } }])
      expect(resultOf(await ask({ _meta }, answerOf({ content: [] }))).result).not.toHaveProperty('_meta');
  });

  test('an error, and a server’s own times, stay as they are', async () => {
    const error = JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32_602, message: 'x' } });
    expect(resultOf(await ask({ _meta: { [KEY]: true } }, error))).toEqual(JSON.parse(error));
    const own = answerOf({ _meta: { [KEY]: 'mine' } });
    expect(resultOf(await ask({ _meta: { [KEY]: true } }, own))).toEqual(JSON.parse(own));
  });
});
