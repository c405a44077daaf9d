// What a server answers wrongly never reaches a client as an answer: another id, garbage, other media, silence, a broken connection.
// Run by `bun test`, in process, over real sockets.
import { afterAll, describe, expect, test } from 'bun:test';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { startByteServer, startPlane } from '../fixtures/plane.ts';

let answer: () => Response = () => new Response('');
const server = startByteServer(() => answer());
const plane = startPlane({
  servers: { one: { url: server.url } },
  // Whoever asks such a server for its era gets no right answer either.
  spec: { firstByteTimeoutMs: 300, totalTimeoutMs: 600, era: 'modern' },
});

afterAll(async () => {
  await plane.stop();
  server.stop();
});

async function call(id: string | number = 5): Promise<{ status: number; text: string }> {
  const response = await fetch(`${plane.url}/mcp/one`, {
    method: 'POST',
    headers: modernHeaders('tools/list'),
    body: modernRequest(id, 'tools/list'),
  });
  return { status: response.status, text: await response.text() };
}

const json =
  (text: string, status = 200): (() => Response) =>
  () =>
    new Response(text, { status, headers: { 'content-type': 'application/json' } });
const html =
  (status: number): (() => Response) =>
  () =>
    new Response('<html>', { status, headers: { 'content-type': 'text/html' } });

describe('wrong answers', () => {
  const rows: readonly [string, () => Response, number, string][] = [
    [
      'the answer to another request',
      json('{"jsonrpc":"2.0","id":6,"result":{}}'),
      502,
      'GW_UPSTREAM_MESSAGE',
    ],
    ['the same id as a string', json('{"jsonrpc":"2.0","id":"5","result":{}}'), 502, 'GW_UPSTREAM_MESSAGE'],
    ['two ids', json('{"jsonrpc":"2.0","id":5,"id":6,"result":{}}'), 502, 'GW_UPSTREAM_MESSAGE'],
    ['no id', json('{"jsonrpc":"2.0","result":{}}'), 502, 'GW_UPSTREAM_MESSAGE'],
    [
      'an id that is null',
      json('{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":""}}'),
      502,
      'GW_UPSTREAM_MESSAGE',
    ],
    ['garbage', json('<html>'), 502, 'GW_UPSTREAM_MESSAGE'],
    [
      'bytes that are no UTF-8',
      () =>
        new Response(Uint8Array.of(0x22, 0xff, 0x22), { headers: { 'content-type': 'application/json' } }),
      502,
      'GW_UPSTREAM_MESSAGE',
    ],
    ['nothing', json(''), 502, 'GW_UPSTREAM_M'],
    ['a request', json('{"jsonrpc":"2.0","id":5,"method":"x"}'), 502, 'GW_UPSTREAM_MESSAGE'],
    ['a page', html(200), 502, 'GW_UPSTREAM_MEDIA'],
    ['a page with 404', html(404), 404, 'GW_UPSTREAM_MEDIA'],
    ['a page with 500', html(500), 502, 'GW_UPSTREAM_MEDIA'],
    [
      'a redirect',
      () => new Response(null, { status: 302, headers: { location: 'http://127.0.0.1:1/' } }),
      502,
      'GW_UPSTREAM_MEDIA',
    ],
    ['an accepted request without an answer', () => new Response(null, { status: 202 }), 202, ''],
  ];
  for (const [what, made, status, code] of rows) {
    test(what, async () => {
      answer = made;
      const got = await call();
      expect(got.status, got.text).toBe(status);
      expect(got.text).toContain(code);
      if (code !== '') expect(got.text).toStartWith('{"jsonrpc":"2.0","id":5,"error":');
    });
  }

  test('a server that does not answer in time gets a 504 with the id', async () => {
    const response = new Promise<Response>(() => undefined);
    answer = () => response as unknown as Response;
    expect(await call()).toMatchObject({ status: 504, text: expect.stringContaining('"id":5,"error"') });
  });
});

describe('right answers', () => {
  test('an id that is spelled differently is the same id', async () => {
    answer = json('{"jsonrpc":"2.0","id":"\\u0061","result":{}}');
    expect((await call('a')).status).toBe(200);
  });
  test('an error of the server passes with its status, untouched', async () => {
    const text = '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"as it is"}}';
    answer = json(text, 400);
    expect(await call()).toEqual({ status: 400, text });
  });
});
