// Any valid JSON-RPC message passes through byte for byte, but for the spans that must change; on every scanner.
// Run by `bun test`. The upstream is a real HTTP server that records bytes; the client a plain fetch.
import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/base/bytes.ts';
import { MODERN_META, modernHeaders, scanners } from '../fixtures/messages.ts';
import { type ByteServer, type Plane, startByteServer, startPlane } from '../fixtures/plane.ts';

/** Numbers as clients spell them, not as JavaScript would. */
const SPELLINGS = [
  '1.0',
  '1e3',
  '-0',
  '12345678901234567890',
  '0.10',
  '1E+2',
  '"\\u0041\\/"',
  '"\\ud83d\\ude00"',
  'null',
  '[ ]',
  '{ "a" :1}',
];

/** Arbitrary white space between tokens. */
const blank = fc.constantFrom('', ' ', '\t', '  ', ' \t');

/** Members of an object that no rule of the gateway is about. */
const unknown = fc
  .dictionary(
    fc.stringMatching(/^x[a-z0-9]{1,8}$/),
    fc.oneof(
      fc.constantFrom(...SPELLINGS),
      fc.jsonValue().map((value) => JSON.stringify(value)),
    ),
  )
  .map((record) => Object.entries(record).map(([key, value]) => `"${key}":${value}`));

const idText = fc.oneof(
  fc.integer().map(String),
  fc.string().map((text) => JSON.stringify(text)),
  fc.constant('"\\u0031"'),
);

interface Made {
  readonly text: string;
  readonly id: string;
}

/** A modern tools/call of any spelling; `name` is fixed so that headers agree. */
const modernCall = (name: string): fc.Arbitrary<Made> =>
  fc
    .tuple(idText, unknown, unknown, blank, fc.boolean(), fc.jsonValue())
    .map(([id, top, inner, ws, idLast, args]) => {
      const params = [
        `"name":${ws}${JSON.stringify(name)}`,
        `"arguments":${JSON.stringify(args)}`,
        ...inner,
        `"_meta":${ws}${JSON.stringify(MODERN_META)}`,
      ];
      const head = [`"jsonrpc":${ws}"2.0"`, `"method":"tools/call"`];
      const members = idLast
        ? [...head, `"params":{${params.join(`${ws},`)}}`, ...top, `"id":${ws}${id}`]
        : [`"id":${id}`, ...top, ...head, `"params":{${params.join(',')}}`];
      return { text: `${ws}{${members.join(`,${ws}`)}}${ws}`, id };
    });

const REPLY_REST = [
  '"result":{"content":[],"n":1.0,"resultType":"complete"}',
  '"result" : { "x":[1.50,"\\u00e9"] ,"resultType":"complete"}',
  '"error":{"code":-32602,"message":"no","data":{"n":1e1}}',
];

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<{ status: number; text: string }> {
  const response = await fetch(url, { method: 'POST', headers, body });
  return { status: response.status, text: await response.text() };
}

for (const scanner of scanners()) {
  describe(`pass-through on the ${scanner.name} scanner`, () => {
    let reply = '';
    const server: ByteServer = startByteServer(
      () =>
        new Response(reply, { headers: { 'content-type': 'application/json', 'mcp-session-id': 'own id' } }),
    );
    const plane: Plane = startPlane({
      servers: { one: { url: server.url }, two: { url: server.url } },
      scanner,
    });
    afterAll(async () => {
      await plane.stop();
      server.stop();
    });

    test('one server, unprefixed: both directions are untouched', async () => {
      await fc.assert(
        fc.asyncProperty(modernCall('echo'), fc.constantFrom(...REPLY_REST), async (made, rest) => {
          reply = `{${rest}, "id":${made.id},"jsonrpc":"2.0" }`;
          const got = await post(`${plane.url}/mcp/one`, modernHeaders('tools/call', 'echo'), made.text);
          expect(decode(server.bodies.at(-1) ?? encode(''))).toBe(made.text);
          expect(got).toEqual({ status: 200, text: reply });
        }),
        { numRuns: 150 },
      );
    });

    test('aggregated: only the name changes on the way up, only marked spans on the way down', async () => {
      await fc.assert(
        fc.asyncProperty(modernCall('two__echo'), async (made) => {
          reply = `{"jsonrpc":"2.0", "result":{"content":[{"type":"resource_link", "uri":"a://b","n":1.0}],"resultType":"complete"},"id":${made.id}}`;
          const got = await post(`${plane.url}/mcp`, modernHeaders('tools/call', 'two__echo'), made.text);
          expect(decode(server.bodies.at(-1) ?? encode(''))).toBe(made.text.replace('"two__echo"', '"echo"'));
          expect(server.headers.at(-1)?.get('mcp-name')).toBe('echo');
          expect(got).toEqual({ status: 200, text: reply.replace('"a://b"', '"two+a://b"') });
        }),
        { numRuns: 150 },
      );
    });

    test('legacy messages of any kind are untouched; the session id alone is sealed, and open to the server', async () => {
      reply = '{"jsonrpc":"2.0","id":1,"result":{}}';
      const hello = await fetch(`${plane.url}/mcp/one`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
      });
      const session = hello.headers.get('mcp-session-id') ?? '';
      expect(session).toMatch(/^[A-Za-z0-9_-]{60,}$/);
      const message = fc
        .tuple(idText, unknown, fc.jsonValue(), fc.constantFrom('request', 'notification', 'result'))
        .map(([id, top, value, kind]) => {
          const rest =
            kind === 'result'
              ? `"result":${JSON.stringify({ value })}`
              : `"method":"x/y","params":${JSON.stringify({ value })}`;
          const members = [
            ...top,
            rest,
            '"jsonrpc":"2.0"',
            ...(kind === 'notification' ? [] : [`"id":${id}`]),
          ];
          return { text: `{${members.join(', ')}}`, id };
        });
      await fc.assert(
        fc.asyncProperty(message, async ({ text, id }) => {
          reply = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
          const headers = {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-session-id': session,
          };
          const got = await post(`${plane.url}/mcp/one`, headers, text);
          expect(decode(server.bodies.at(-1) ?? encode(''))).toBe(text);
          expect(server.headers.at(-1)?.get('mcp-session-id')).toBe('own id');
          expect(got.status).toBe(200);
        }),
        { numRuns: 150 },
      );
    });
  });
}
